"""The program whose lock a project has: uv or Poetry."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from lockstep.errors import LockstepError
from lockstep.lock import poetry, uv
from lockstep.lock.debian import DebianBase
from lockstep.project.model import ImageSpec, Project

__all__ = ["Manager", "of"]


class Manager(Protocol):
    """What `lockstep lock` asks of it, in this order."""

    @property
    def LOCK(self) -> str:  # noqa: N802 -- a module's constant
        """The name of its lock."""

    def version(self) -> str:
        """Return its name and version."""

    def lock(self, project: Project, *, upgrade: bool) -> None:
        """Bring its lock up to date, keeping what still fits unless `upgrade` is set."""

    def check(self, project: Project) -> None:
        """Raise LockstepError when its lock is missing or stale; needs no network."""

    def export_requirements(self, project: Project, target: Path) -> None:
        """Write all of its lock as requirements with hashes."""

    def export_image(
        self, project: Project, image: ImageSpec, target: Path, bases: Sequence[DebianBase]
    ) -> None:
        """Write the PEP 751 lock of one image."""


def of(project: Project) -> Manager:
    """Return the manager whose lock is there; without one, what pyproject.toml is written for."""
    there = [each for each in (poetry.LOCK, uv.LOCK) if (project.root / each).exists()]
    if len(there) > 1:
        message = f"`{project.root}` has a `{poetry.LOCK}` and a `{uv.LOCK}`"
        raise LockstepError(message, hint="keep the lock that your team uses, delete the other")
    has_table = "poetry" in project.document.get("tool", {})
    return poetry if there == [poetry.LOCK] or (not there and has_table) else uv
