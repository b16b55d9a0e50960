"""The services of the stack, one module each."""

from lockstitch.stack.folder import Folder
from lockstitch.stack.service import Service, parts_of
from lockstitch.stack.services.mlflow import Mlflow
from lockstitch.stack.services.objects import Objects
from lockstitch.stack.services.own import OwnService
from lockstitch.stack.services.postgres import Postgres

__all__ = ["planned"]


def planned(folder: Folder) -> list[Service]:
    """Return the services of the plan that `up` wrote, each after what it needs."""
    parts = parts_of(folder)
    objects = [] if parts.endpoint else [Objects(parts=parts)]
    own = [OwnService(parts=parts, own=service) for service in parts.services]
    return [Postgres(parts=parts), *objects, Mlflow(parts=parts), *own]
