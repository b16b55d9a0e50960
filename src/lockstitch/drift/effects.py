"""The effects that differences can have on results, and how likely: the order to show them in.

`effects.toml` names the packages that compute, `known.toml` releases that are known to change
results, with their release notes.
"""

import enum
import functools
import re
from collections.abc import Collection, Mapping

from lockstitch.fingerprint.model import Fingerprint
from lockstitch.resources import load_table
from lockstitch.values import frozen

# A class, a function of a module, or a name with an underscore, in a sentence.
_NAMED = re.compile(r"\b(?:[A-Z]\w*[a-z]\w*[A-Z]\w*|\w+(?:\.\w+)+|[a-z]+(?:_[a-z]+)+)\b")
_PLAIN_LOCALE = re.compile(r"(?:(?:C|POSIX|en_(?:US|GB|AU|CA))(?:\.[\w-]+)?)?")


class Effect(enum.IntEnum):
    """The way a difference can reach a result; the lower, the sooner it is looked at."""

    RESULT = -1  # a metric or an output of a recorded run: what came out differs
    INPUT = 0  # a file that the run read: other data, other results
    IMPORTED = 1  # a package that the recorded run imported, not only to draw or to track
    EDITED = 2  # a package whose files were edited by hand
    NUMERIC = 3  # a package that computes
    NEEDS_NUMERIC = 4  # one that requires such a package, where imports are not known
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


@frozen
class _Table:
    numeric: tuple[str, ...]
    bystanders: frozenset[str]
    unasked: frozenset[str]
    system: re.Pattern[str]


@functools.cache
def _table() -> _Table:
    words = load_table(__package__, "effects.toml")
    return _Table(
        numeric=tuple(words["numeric"]),
        bystanders=frozenset(words["bystanders"]),
        unasked=frozenset(words["unasked"]),
        system=re.compile(words["system"]),
    )


def order(name: str) -> int:
    """Return the rank of a package among those that compute; the others come after them."""
    numeric = _table().numeric
    return numeric.index(name) if name in numeric else len(numeric)


def is_numeric(name: str) -> bool:
    """Return whether a package is known to compute."""
    return name in _table().numeric


def is_unasked(name: str) -> bool:
    """Return whether others use a package as soon as it is installed."""
    return name in _table().unasked


def computes(name: str) -> bool:
    """Return whether a system package computes, such as a libm or an OpenMP."""
    return bool(_table().system.fullmatch(name))


def is_plain_locale(value: str) -> bool:
    """Return whether numbers, dates and sorting are written the C way, or unset."""
    return bool(_PLAIN_LOCALE.fullmatch(value))


class Ranks:
    """Ranks packages of two environments, by what was imported and who needs what."""

    def __init__(self, before: Fingerprint, after: Fingerprint) -> None:
        # A run that imported nothing trained in a process that was not seen: that is not known.
        known = [fingerprint.imported for fingerprint in (before, after) if fingerprint.imported]
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
        if self.imported is not None and not is_unasked(name):
            return Effect.NONE  # nothing of it was loaded: it changed nothing, as for `build`
        if is_numeric(name):
            return Effect.NUMERIC
        if self.imported is None and name not in table.bystanders and self._requires_numeric(name):
            return Effect.NEEDS_NUMERIC
        return Effect.NONE

    def of_one_side(self, name: str) -> Effect:
        """Return how a package that only one side has can reach a result.

        Serving needs fewer than training: what a side does not need changes nothing of it. Only
        what others use without being asked, as soon as it is there, does.
        """
        return self.of(name) if is_unasked(name) else Effect.NONE

    def was_imported(self, name: str) -> bool | None:
        """Return whether the recorded run imported a package, or None when that is not known."""
        return None if self.imported is None else name in self.imported

    def _requires_numeric(self, name: str) -> bool:
        packages = [fingerprint.package(name) for fingerprint in self._both]
        needs = {need for package in packages if package for need in package.needs}
        return not needs.isdisjoint(_table().numeric)


def _aside(both: Collection[Fingerprint]) -> frozenset[str]:
    """Return the bystanders, and the packages that only they require."""
    needs: dict[str, set[str]] = {}
    for package in (package for fingerprint in both for package in fingerprint.packages):
        needs.setdefault(package.name, set()).update(package.needs)
    bystanders = _table().bystanders & needs.keys()
    asked = {need for names in needs.values() for need in names}
    within = _reached(needs, needs.keys() - asked - bystanders, bystanders)
    return (_reached(needs, bystanders, frozenset()) | bystanders) - within


def _reached(
    needs: Mapping[str, set[str]], start: Collection[str], closed: Collection[str]
) -> frozenset[str]:
    reached, waiting = set(start), list(start)
    while waiting:
        for need in needs.get(waiting.pop(), ()):
            if need not in reached and need not in closed:
                reached.add(need)
                waiting.append(need)
    return frozenset(reached)


def required_by(
    name: str, known_by: Collection[Fingerprint]
) -> tuple[bool | None, tuple[str, ...]]:
    """Return whether the project requires a package itself, and which packages do."""
    packages = [package for fingerprint in known_by if (package := fingerprint.package(name))]
    known = [package.direct for package in packages if package.direct is not None]
    asking = {p.name for fingerprint in known_by for p in fingerprint.packages if name in p.needs}
    own = {
        p.name for fingerprint in known_by for p in fingerprint.packages if p.origin == "editable"
    }
    direct = any(known) if known else (True if asking & own else None)
    return direct, tuple(sorted(asking - own))


# --- releases that are known to change results


@frozen
class KnownChange:
    """A change of results that a release of a package brought."""

    package: str
    version: str  # the first that has it
    what: str  # one sentence
    source: str  # release notes, by project, version and section
    words: tuple[str, ...] = ()  # that code has which it concerns, beside the names in `what`

    def document(self) -> dict[str, str]:
        """Return the change as JSON."""
        return {key: getattr(self, key) for key in ("package", "version", "what", "source")}

    def concerns(self, code: Collection[str]) -> bool:
        """Return whether code with these words names the change's subject."""
        named = _NAMED.findall(self.what)
        return any(word.rpartition(".")[2] in code for word in (*self.words, *named))


@functools.cache
def everything() -> tuple[KnownChange, ...]:
    """Return every known change of results, by package and version."""
    rows = load_table(__package__, "known.toml")["move"]
    return tuple(KnownChange(**{**row, "words": tuple(row.get("words", ()))}) for row in rows)


def known_changes(package: str, before: str, after: str) -> tuple[KnownChange, ...]:
    """Return the known changes between two versions of a package, whichever is the newer."""
    ends = sorted(version for version in (_parsed(before), _parsed(after)) if version)
    if len(ends) != 2:
        return ()
    low, high = ends
    return tuple(
        change
        for change in everything()
        if change.package == package
        and (crossed := _parsed(change.version))
        and low < crossed <= high
    )


def step(before: str, after: str) -> int:
    """Return how far apart two versions are: 0 major, 1 minor, 2 less, 3 unknown."""
    ends = (_parsed(before), _parsed(after))
    if not all(ends):
        return 3
    first, second = ((*end, 0, 0)[:2] for end in ends if end)
    return 0 if first[0] != second[0] else 1 if first[1] != second[1] else 2


def _parsed(version: str) -> tuple[int, ...] | None:
    from packaging.version import InvalidVersion, Version

    try:
        return Version(version).release
    except InvalidVersion:
        return None
