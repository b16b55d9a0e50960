"""The bases of a project, one for each platform: Debian's packages, or an image of a registry."""

from collections.abc import Sequence
from dataclasses import dataclass

from lockstitch.lock.bases import debian, registry
from lockstitch.lock.bases.debian import DebianBase
from lockstitch.lock.bases.registry import RegistryBase
from lockstitch.net.download import Fetcher
from lockstitch.oci.reference import Reference
from lockstitch.oci.registry.client import Client
from lockstitch.oci.registry.repository import Repository
from lockstitch.progress import Reporter
from lockstitch.python.model import Project
from lockstitch.store import Store

__all__ = ["Base", "Pinner"]

Base = DebianBase | RegistryBase


@dataclass(frozen=True, slots=True, kw_only=True)
class Pinner:
    """Finds bases: where to ask, and where to keep what was answered."""

    store: Store
    fetcher: Fetcher
    progress: Reporter
    client: Client

    def pin(self, project: Project, before: Sequence[Base], *, upgrade: bool) -> tuple[Base, ...]:
        """Return the base of each platform, sorted; what was pinned before and fits is kept."""
        found: list[Base] = []
        for platform in sorted(project.platforms):
            kept = next((each for each in before if _fits(each, platform, project)), None)
            if kept is None or upgrade:
                find = self._debian if project.is_debian else self._registry
                fresh = find(project, platform)
                kept = kept if kept and _same(kept, fresh) else fresh
            found.append(kept)
        return tuple(found)

    def _debian(self, project: Project, platform: str) -> Base:
        return debian.pin(
            project.base.partition(":")[2],
            platform,
            project.python,
            fetcher=self.fetcher,
            store=self.store,
            progress=self.progress,
        )

    def _registry(self, project: Project, platform: str) -> Base:
        return registry.pin(
            project.base,
            platform,
            project.python,
            repository=Repository(self.client, Reference.parse(project.base)),
            store=self.store,
            progress=self.progress,
        )


def _fits(base: Base, platform: str, project: Project) -> bool:
    name = f"debian:{base.release}" if isinstance(base, DebianBase) else base.reference
    same = (base.platform, base.target().minor) == (platform, project.python)
    return same and name == project.base


def _same(kept: Base, fresh: Base) -> bool:
    # A list that is signed anew without another package must not move a digest.
    if isinstance(kept, DebianBase) and isinstance(fresh, DebianBase):
        return kept.packages == fresh.packages
    return kept == fresh
