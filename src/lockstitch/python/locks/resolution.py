"""A Python lock for one target: pinned packages and wheels."""

import datetime
import functools
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from lockstitch.digest import Digest
from lockstitch.values import fields_of, frozen, ordered

if TYPE_CHECKING:
    from packaging.tags import Tag

    Wheel = tuple[str, frozenset[Tag]]


@ordered
class LockedWheel:
    """One wheel that a lock pins for a target."""

    name: str  # normalised (PEP 503)
    version: str
    filename: str
    url: str = ""
    digest: Digest
    size: int | None = None
    uploaded: int = 0  # seconds since 1970; 0 when the lock does not say
    first_party: bool = False  # built from a folder of the repository

    def document(self) -> dict[str, Any]:
        """Return it as JSON for a record."""
        return fields_of(self)

    @classmethod
    def of_document(cls, document: dict[str, Any]) -> "LockedWheel":
        """Return the wheel of a record; raises LockstitchError when its digest is none."""
        return cls(**(document | {"digest": Digest.parse(document["digest"])}))


@frozen
class Pinned:
    """One package that a lock without addresses pins for a target."""

    name: str  # normalised (PEP 503)
    version: str
    hashes: frozenset[Digest]  # any of these, and nothing else
    filename: str = ""  # of the wheel, where the lock has file names
    index: str = ""  # `NAME=URL` of the index that the lock names, without a user or a password
    url: str = ""  # where the lock names a file by its address

    @property
    def is_wheel(self) -> bool:
        """Whether a wheel is wanted, and not a source archive."""
        return self.filename.endswith(".whl") or not self.filename


def best_wheel(
    filenames: Iterable[str], tags: "Sequence[Tag]", *, name: str, version: str
) -> str | None:
    """Return the wheel of a package whose tags come first, the latest build of it, or None."""
    from packaging.utils import parse_wheel_filename
    from packaging.version import Version

    wheels = []
    for filename in filenames:
        try:
            project, release, build, fits = parse_wheel_filename(filename)
            same = project == name and release == Version(version)
        except ValueError:
            continue  # an sdist, or a wheel from before PEP 427 that nothing can install
        if same:
            wheels.append((build, filename, fits))
    wheels.sort(key=lambda rank: rank[:2], reverse=True)
    ordered = _selector(tuple(tags))((wheel[1], wheel[2]) for wheel in wheels)
    return next(iter(ordered), None)


@functools.lru_cache(maxsize=4)  # it ranks a thousand tags, and a lock has hundreds of packages
def _selector(tags: "tuple[Tag, ...]") -> "Callable[[Iterable[Wheel]], Iterator[str]]":
    from packaging.tags import create_compatible_tags_selector

    return create_compatible_tags_selector(tags)


def seconds(uploaded: str) -> int:
    """Return the seconds since 1970 of a time in ISO 8601, 0 for ""; without a zone it is UTC."""
    if not uploaded:
        return 0
    time = datetime.datetime.fromisoformat(uploaded)
    # PEP 751 wants UTC: the host's zone must not count.
    return int((time if time.tzinfo else time.replace(tzinfo=datetime.UTC)).timestamp())
