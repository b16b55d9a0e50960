"""Whether an MLflow server's image has the driver of the database that it is told to use."""

import posixpath
import re

from lockstitch.patterns import regex
from lockstitch.repository.compose.reader import Service
from lockstitch.repository.compose.services import beside, dockerfile_of, image_of, said
from lockstitch.repository.files import Repository
from lockstitch.values import frozen

__all__ = ["Lacks", "without_driver"]

_URI = regex(r"(postgresql|postgres|mysql)(?:\+\w+)?://")
_DRIVERS = {
    "postgresql": ("PostgreSQL", "psycopg2", "psycopg2-binary", r"psycopg|pg8000|asyncpg"),
    "mysql": ("MySQL", "PyMySQL", "pymysql", r"(?i:pymysql|mysqlclient|mysql-connector)"),
}
_OPAQUE = regex(r"\b(?:uv sync|uv run|poetry|pdm|pipenv|conda|mamba|pixi|nix)\b|\.whl|\.sh\b")
_INSTALLS = regex(r"\bpip3?\s+install\b")
_FROM = regex(r"^\s*FROM\s+(?:--\S+\s+)*(\S+)", re.MULTILINE | re.IGNORECASE)
_REQUIREMENTS = regex(r"(?:-r|--requirements?)[ =]*(\S+)")


@frozen
class Lacks:
    """What an image has not: the words for a message."""

    database: str
    driver: str
    package: str
    where: str


def without_driver(repo: Repository, service: Service) -> Lacks | None:
    """Return what the image of an MLflow server lacks, None where nobody can be sure."""
    command = said(service.entrypoint, service.command)
    store = service.environment.get("MLFLOW_BACKEND_STORE_URI")
    store_text = store.value.text if store and store.value else ""
    match = _URI.search(f"{command} {store_text}")
    if match is None:
        return None
    key = "mysql" if match[1] == "mysql" else "postgresql"
    database, driver, package, pattern = _DRIVERS[key]
    if re.search(pattern, command.replace(match[0], "")) or ".sh" in command:
        return None
    where = _official(service) if service.build is None else _built(repo, service, pattern)
    if where is None:
        return None
    return Lacks(database=database, driver=driver, package=package, where=where)


def _official(service: Service) -> str | None:
    image = image_of(service)
    fits = image is not None and image.path == "mlflow/mlflow" and not image.tag.endswith("-full")
    return service.image.text if fits and service.image else None


def _built(repo: Repository, service: Service, pattern: str) -> str | None:
    """Return the Dockerfile of a service when all that it installs is known, and no driver is."""
    text = dockerfile_of(repo, service)
    if text is None or re.search(pattern, text) or _OPAQUE.search(text):
        return None
    bases = _FROM.findall(text)
    own = len(bases) == 1 and re.fullmatch(
        r"(?:.*/)?(?:python:.*|mlflow/mlflow(?::(?!.*-full$).*)?)", bases[0]
    )
    if not own or (not _INSTALLS.search(text) and "mlflow/mlflow" not in bases[0]):
        return None
    build = service.build
    context = beside(build.path, build.context.text) if build and build.context else "."
    for name in _REQUIREMENTS.findall(text):
        base = posixpath.basename(name)
        listed = repo.text(posixpath.normpath(posixpath.join(context, base)))
        if listed is None or re.search(pattern, listed) or "-r " in listed:
            return None
    return build.dockerfile.text if build and build.dockerfile else "Dockerfile"
