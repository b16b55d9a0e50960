"""What can change a result, and how likely: the order in which differences are shown."""

import enum
import functools
import re
import tomllib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from importlib import resources

from lockstitch.fingerprint.model import Fingerprint

__all__ = ["Effect", "Ranks", "by_whom", "computes", "is_plain_locale", "order"]

_PLAIN_LOCALE = re.compile(r"(?:(?:C|POSIX|en_(?:US|GB|AU|CA))(?:\.[\w-]+)?)?")


class Effect(enum.IntEnum):
    """How a difference can reach a result; the lower, the sooner it is looked at."""

    INPUT = 0  # a file that the run read: other data, other results
    IMPORTED = 1  # a package that the recorded run imported, not only to draw or to track
    EDITED = 2  # a package whose files somebody changed
    NUMERIC = 3  # a package that computes
    NEEDS_NUMERIC = 4  # one that asks for such a package, where nobody knows what was imported
    PYTHON = 5
    BLAS = 6
    GPU = 7
    CPU = 8
    THREADS = 9
    SETTING = 10
    LIBRARY = 11  # of the base: libc, OpenMP
    NONE = 12  # not known to change results

    @property
    def matters(self) -> bool:
        """Whether results can differ because of it."""
        return self is not Effect.NONE


@dataclass(frozen=True, slots=True, kw_only=True)
class _Table:
    numeric: tuple[str, ...]
    bystanders: frozenset[str]
    system: re.Pattern[str]


@functools.cache
def _table() -> _Table:
    text = resources.files("lockstitch.drift").joinpath("effects.toml").read_text("utf-8")
    found = tomllib.loads(text)
    return _Table(
        numeric=tuple(found["numeric"]),
        bystanders=frozenset(found["bystanders"]),
        system=re.compile(found["system"]),
    )


def order(name: str) -> int:
    """Return where a package stands among those that compute; the others come after them."""
    numeric = _table().numeric
    return numeric.index(name) if name in numeric else len(numeric)


def computes(name: str) -> bool:
    """Return whether a package of the distribution computes."""
    return bool(_table().system.fullmatch(name))


def is_plain_locale(value: str) -> bool:
    """Return whether numbers, dates and sorting are written the C way, or unset."""
    return bool(_PLAIN_LOCALE.fullmatch(value))


class Ranks:
    """Ranks packages of two environments, by what was imported and who needs what."""

    def __init__(self, before: Fingerprint, after: Fingerprint) -> None:
        """Keep what both know."""
        known = [each.imported for each in (before, after) if each.imported is not None]
        self.imported = frozenset(name for names in known for name in names) if known else None
        self._both = (before, after)
        self._aside = _aside((before, after))

    def of(self, name: str, *, edited: bool = False) -> Effect:
        """Return how a difference of a package can reach a result."""
        table = _table()
        if self.imported is not None and name in self.imported and name not in self._aside:
            return Effect.IMPORTED
        if edited and self.imported is None:
            return Effect.EDITED
        if name in table.numeric:
            return Effect.NUMERIC
        if self.imported is None and name not in table.bystanders and self._asks(name):
            return Effect.NEEDS_NUMERIC
        return Effect.NONE

    def was_imported(self, name: str) -> bool | None:
        """Return whether the recorded run imported a package; None when nobody knows."""
        return None if self.imported is None else name in self.imported

    def _asks(self, name: str) -> bool:
        packages = [each.package(name) for each in self._both]
        needs = {need for each in packages if each for need in each.needs}
        return not needs.isdisjoint(_table().numeric)


def _aside(both: Collection[Fingerprint]) -> frozenset[str]:
    """Return the bystanders, and the packages that only they ask for."""
    needs: dict[str, set[str]] = {}
    for package in (package for each in both for package in each.packages):
        needs.setdefault(package.name, set()).update(package.needs)
    bystanders = _table().bystanders & needs.keys()
    asked = {need for names in needs.values() for need in names}
    tops = needs.keys() - asked - bystanders
    within = _reached(needs, tops, bystanders)
    return (_reached(needs, bystanders, frozenset()) | bystanders) - within


def _reached(
    needs: Mapping[str, set[str]], start: Collection[str], closed: Collection[str]
) -> frozenset[str]:
    found, waiting = set(start), list(start)
    while waiting:
        for need in needs.get(waiting.pop(), ()):
            if need not in found and need not in closed:
                found.add(need)
                waiting.append(need)
    return frozenset(found)


def by_whom(name: str, known_by: Collection[Fingerprint]) -> tuple[bool | None, tuple[str, ...]]:
    """Return whether the project asks for a package itself, and which packages do."""
    packages = [package for each in known_by if (package := each.package(name))]
    known = [each.direct for each in packages if each.direct is not None]
    asking = {each.name for found in known_by for each in found.packages if name in each.needs}
    own = {p.name for found in known_by for p in found.packages if p.origin == "editable"}
    direct = any(known) if known else (True if asking & own else None)
    return direct, tuple(sorted(asking - own))
