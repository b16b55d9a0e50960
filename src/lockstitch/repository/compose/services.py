"""What the services of compose files are: databases, object stores, MLflow, and what they run."""

import posixpath
import re
from collections.abc import Iterator
from dataclasses import replace
from enum import StrEnum
from typing import TYPE_CHECKING

from lockstitch.patterns import regex
from lockstitch.repository.compose.files import compose_files
from lockstitch.repository.compose.reader import Command, Compose, Service, Value, merged
from lockstitch.repository.text.image_names import Reference, reference
from lockstitch.values import frozen

if TYPE_CHECKING:
    from lockstitch.repository.files import File, Repository

__all__ = [
    "Role",
    "Stack",
    "beside",
    "dockerfile_of",
    "image_of",
    "is_for_tests",
    "is_stand_in",
    "role_of",
    "said",
    "stacks",
    "words",
]


class Role(StrEnum):
    """What a service does for the others, in words for messages."""

    DATABASE = "database"
    STORE = "object store"
    MLFLOW = "MLflow server"
    QUEUE = "queue"


_ROLES = {
    **dict.fromkeys(
        (
            *("postgres", "postgresql", "postgis", "timescaledb", "timescaledb-ha", "pgvector"),
            *("mysql", "mariadb", "mysql-server", "mongo", "mongodb", "cockroach", "clickhouse"),
            *("clickhouse-server", "qdrant", "weaviate", "elasticsearch", "opensearch"),
        ),
        Role.DATABASE,
    ),
    **dict.fromkeys(("minio", "seaweedfs", "rustfs", "garage", "localstack"), Role.STORE),
    **dict.fromkeys(("redis", "valkey", "rabbitmq", "kafka", "redis-stack-server"), Role.QUEUE),
    "mlflow": Role.MLFLOW,
}
_MLFLOW = regex(r"(?:^|[\s/;&\"'])mlflow\s+(?:server|ui)\b")
_MAIN = ("compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml")
_STAND_INS = frozenset({"localstack", "localstack-pro", "moto", "s3mock", "fake-gcs-server"})
_TESTS = regex(r"(?:^|[._-])(?:tests?|testing|ci|e2e|integration)(?:[._-]|$)", re.IGNORECASE)


@frozen
class Stack:
    """One compose file's services as they run: with the file that it overrides, or its override."""

    file: "File[Compose]"
    services: dict[str, Service]
    judged: tuple[Service, ...]  # those to speak of: the ones that this file starts itself
    over: bool  # whether it is laid over another file, which is spoken of by itself


def stacks(repo: "Repository") -> Iterator[Stack]:
    """Yield each compose file's services, merged as `docker compose` would by default."""
    by_path = {file.path: file for file in compose_files(repo)}
    for file in compose_files(repo):
        folder, name = posixpath.split(file.path)
        main = next((p for each in _MAIN if (p := posixpath.join(folder, each)) in by_path), None)
        if main is None or name in _MAIN:
            over = _override(folder, by_path) if name in _MAIN else None
            services = {**file.value.services}
            for each in over.value.services.values() if over else ():
                base = services.get(each.name)
                services[each.name] = _laid(base, each) if base else each
            judged = [s for n, s in services.items() if n in file.value.services]
        else:
            services = {**by_path[main].value.services}
            judged = []
            for each in file.value.services.values():
                base = services.get(each.name)
                whole = merged(base, each) if base else each
                services[each.name] = whole
                judged += [whole] if each.image or each.build or base is None else []
        starts = tuple(each for each in judged if each.image or each.build)
        over_another = main is not None and name not in _MAIN
        yield Stack(file=file, services=services, judged=starts, over=over_another)


def _override(folder: str, by_path: "dict[str, File[Compose]]") -> "File[Compose] | None":
    names = (each.replace(".y", ".override.y") for each in _MAIN)
    found = (by_path.get(posixpath.join(folder, each)) for each in names)
    return next((each for each in found if each), None)


def _laid(base: Service, over: Service) -> Service:
    """Return a service with its override, at the place of the service."""
    return replace(merged(base, over), line=base.line, path=base.path, keys=base.keys)


def image_of(service: Service) -> Reference | None:
    """Return the image of a service, None where only a run can tell it."""
    value = service.image
    if value is None or value.unknown or value.wrong:
        return None
    return reference(value.text)


def role_of(service: Service) -> Role | None:
    """Return what a service is, by its image's name or its command."""
    image = image_of(service)
    found = _ROLES.get(image.last) if image and service.build is None else None
    if found is None and _MLFLOW.search(said(service.entrypoint, service.command)):
        found = Role.MLFLOW
    return found


def words(*commands: Command | None) -> list[Value]:
    """Return the words of commands."""
    return [word for command in commands if command for word in command.words]


def said(*commands: Command | None) -> str:
    """Return commands as one text."""
    return " ".join(word.text for word in words(*commands))


def is_for_tests(service: Service) -> bool:
    """Return whether a service lives as long as a test run: by its file, name, profile or image."""
    base = posixpath.basename(service.path).rpartition(".")[0]
    names = (base, service.name, *(profile.text for profile in service.profiles))
    return is_stand_in(service) or any(_TESTS.search(each) for each in names)


def is_stand_in(service: Service) -> bool:
    """Return whether a service stands in for a cloud, and takes any password."""
    image = image_of(service)
    return image is not None and image.last in _STAND_INS


def beside(path: str, name: str) -> str:
    """Return the path of what a compose file names, from the repository's root."""
    return posixpath.normpath(posixpath.join(posixpath.dirname(path), name))


def dockerfile_of(repo: "Repository", service: Service) -> str | None:
    """Return the text of the Dockerfile that a service is built with, None when not known."""
    build = service.build
    if build is None:
        return None
    if build.inline is not None:
        return build.inline.text
    parts = [build.context, build.dockerfile]
    if any(each is not None and (each.unknown or each.wrong) for each in parts):
        return None
    context = build.context.text if build.context else "."
    name = build.dockerfile.text if build.dockerfile else "Dockerfile"
    return repo.text(posixpath.normpath(posixpath.join(beside(build.path, context), name)))
