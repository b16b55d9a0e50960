"""The bases of a project, one for each platform. A kind of base is one module and one of KINDS."""

from collections.abc import Sequence
from typing import Final

from lockstitch.lock.bases import cpython, debian, registry
from lockstitch.lock.bases.base import Base, ImageDefaults, Kind, Sources
from lockstitch.python.model import Project

__all__ = ["KINDS", "Base", "ImageDefaults", "Kind", "Sources", "kind_of", "pin"]

# The first that matches counts, and any name may be that of an image in a registry.
KINDS: Final = (debian.KIND, cpython.KIND, registry.KIND)


def kind_of(base: str) -> Kind:
    """Return the kind of the base that a `base` of pyproject.toml names."""
    return next(kind for kind in KINDS if kind.matches(base))


def pin(
    project: Project, before: Sequence[Base], sources: Sources, *, upgrade: bool
) -> tuple[Base, ...]:
    """Return the base of each platform, sorted; what was pinned before and fits is kept.

    Raises LockstitchError when a platform has no such base.
    """
    bases: list[Base] = []
    for platform in sorted(project.platforms):
        wanted = (project.base, platform, project.python)
        fitting = [b for b in before if (b.name, b.platform, b.target().minor) == wanted]
        kept = next((b for b in fitting if b.requested == project.packages), None)
        if kept is None or upgrade:
            fresh = kind_of(project.base).pin(*wanted, sources, project.packages)
            kept = kept if kept and kept.equivalent(fresh) else fresh
        bases.append(kept)
    return tuple(bases)
