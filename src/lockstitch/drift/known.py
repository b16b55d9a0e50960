"""Releases that are known to change results, as data with their release notes."""

import functools
import tomllib
from dataclasses import dataclass
from importlib import resources
from typing import Any

__all__ = ["Move", "between", "everything", "step"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """A change of behaviour that a release brought."""

    package: str
    version: str  # the first that has it
    what: str  # one sentence
    source: str  # release notes, by project, version and section

    def document(self) -> dict[str, str]:
        """Return it as JSON."""
        return {key: getattr(self, key) for key in self.__slots__}


@functools.cache
def everything() -> tuple[Move, ...]:
    """Return all of them, by package and version."""
    text = resources.files("lockstitch.drift").joinpath("known.toml").read_text("utf-8")
    found: list[dict[str, Any]] = tomllib.loads(text)["move"]
    return tuple(Move(**each) for each in found)


def between(package: str, before: str, after: str) -> tuple[Move, ...]:
    """Return the changes that lie between two versions, whichever is the newer."""
    ends = sorted(each for each in (_parsed(before), _parsed(after)) if each)
    if len(ends) != 2:  # noqa: PLR2004 -- both ends
        return ()
    low, high = ends
    return tuple(
        each
        for each in everything()
        if each.package == package and (crossed := _parsed(each.version)) and low < crossed <= high
    )


def step(before: str, after: str) -> int:
    """Return how large a step between two versions is: 0 major, 1 minor, 2 less, 3 unknown."""
    ends = (_parsed(before), _parsed(after))
    if not all(ends):
        return 3
    first, second = ((*each, 0, 0)[:2] for each in ends if each)
    return 0 if first[0] != second[0] else 1 if first[1] != second[1] else 2


def _parsed(version: str) -> tuple[int, ...] | None:
    from packaging.version import InvalidVersion, Version

    try:
        return Version(version).release
    except InvalidVersion:
        return None
