"""The program whose lock a project has: uv, Poetry, or another one that wrote a given file."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from lockstitch.errors import LockstitchError
from lockstitch.lock import external, poetry, uv
from lockstitch.lock import external as given
from lockstitch.lock.bases import Base
from lockstitch.python.declared import is_for_uv
from lockstitch.python.model import ImageSpec, Project


class Manager(Protocol):
    """The interface of a package manager for `lockstitch lock`, called in this order."""

    def locks(self, project: Project) -> tuple[str, ...]:
        """Return the names of its locks."""

    def version(self) -> str:
        """Return its name and version, or an empty text when neither is known."""

    def lock(self, project: Project, *, upgrade: Sequence[str] | None) -> None:
        """Bring its lock up to date; `upgrade` names packages to renew, or all when it is empty."""

    def check(self, project: Project) -> None:
        """Raise LockstitchError when its lock is missing or stale; needs no network."""

    def export_requirements(self, project: Project, target: Path) -> None:
        """Write all of its lock as requirements with hashes, or nothing if it is that already."""

    def export_image(
        self, project: Project, image: ImageSpec, target: Path, bases: Sequence[Base]
    ) -> None:
        """Write the PEP 751 lock of one image."""

    def sync(self, project: Project, image: ImageSpec, folder: Path) -> None:
        """Make an environment of exactly an image's packages, and of the project, editable."""


def of(project: Project) -> Manager:
    """Return the manager of the lock or of pyproject.toml; raises LockstitchError for two locks."""
    if external.is_given(project):
        return given
    if is_for_uv(project.document):
        return uv
    there = [lock for lock in (poetry.LOCK, uv.LOCK) if (project.root / lock).exists()]
    if len(there) > 1:
        message = f"`{project.root}` has a `{poetry.LOCK}` and a `{uv.LOCK}`"
        raise LockstitchError(message, hint="keep the lock that your team uses, delete the other")
    has_table = "poetry" in project.document.get("tool", {})
    return poetry if there == [poetry.LOCK] or (not there and has_table) else uv
