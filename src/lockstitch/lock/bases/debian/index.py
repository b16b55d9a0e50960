"""The packages of several suites, found by name; a stanza is parsed when it is asked for."""

import functools
import lzma
from collections.abc import Iterable
from dataclasses import dataclass

from lockstitch.digest import Digest
from lockstitch.errors import LockstitchError
from lockstitch.lock.bases.debian.base import DebianPackage
from lockstitch.lock.bases.debian.relations import Relation, compare, parse

__all__ = ["Candidate", "Index", "unpack"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A package that can be chosen, with what it needs and what else it is."""

    package: DebianPackage
    needs: tuple[tuple[Relation, ...], ...]
    provides: tuple[Relation, ...]

    def satisfies(self, relation: Relation) -> bool:
        """Return whether this package, or what it provides, will do for a relation."""
        if self.package.name == relation.name:
            return relation.accepts(self.package.version)
        # Policy 7.5: what is provided without a version fits only a relation without a bound.
        return any(p.name == relation.name and relation.accepts(p.version) for p in self.provides)


class Index:
    """Finds the newest version of each package in all lists together."""

    def __init__(self, lists: Iterable[tuple[str, bytes]]) -> None:
        """Take (archive, text of a Packages file) pairs; 63,000 stanzas take 0.2 s."""
        self._stanzas: dict[str, list[tuple[str, bytes]]] = {}
        self._providers: dict[str, set[str]] = {}
        for archive, text in lists:
            for stanza in text.split(b"\n\n"):
                if stanza.strip():
                    self._add(archive, stanza)

    def _add(self, archive: str, stanza: bytes) -> None:
        # Policy has no order of fields, but every archive writes the name first.
        first, _, _ = stanza.lstrip(b"\n").partition(b"\n")
        if not first.startswith(b"Package: "):
            message = f"a package list of `{archive}` has a stanza that starts with {first!r:.60}"
            raise LockstitchError(message, hint="set LOCKSTITCH_DEBIAN_MIRROR to another mirror")
        name = first[9:].decode(errors="replace")
        self._stanzas.setdefault(name, []).append((archive, stanza))
        at = stanza.find(b"\nProvides: ")
        if at >= 0:
            line = stanza[at + 11 :].partition(b"\n")[0].decode(errors="replace")
            for word in line.split(","):
                self._providers.setdefault(word.split()[0], set()).add(name)

    def names(self) -> Iterable[str]:
        """Return the names of all packages."""
        return self._stanzas.keys()

    @functools.cache  # noqa: B019 -- an index lives as long as one resolution
    def best(self, name: str) -> Candidate | None:
        """Return the newest version of a package; of equal ones that of the first list."""
        found = [_candidate(*pair) for pair in self._stanzas.get(name, ())]
        order = functools.cmp_to_key(compare)
        return max(found, key=lambda c: order(c.package.version)) if found else None

    def satisfying(self, relation: Relation) -> Candidate | None:
        """Return the package of that name that will do, else the first by name providing it."""
        names = [relation.name, *sorted(self._providers.get(relation.name, ()))]
        found = [candidate for name in names if (candidate := self.best(name))]
        return next((c for c in found if c.satisfies(relation)), None)


def unpack(data: bytes, name: str) -> bytes:
    """Return the text of a Packages.xz file."""
    try:
        return lzma.decompress(data)
    except (lzma.LZMAError, EOFError) as error:
        message = f"the {name} is not an xz file: {error}"
        raise LockstitchError(
            message, hint="set LOCKSTITCH_DEBIAN_MIRROR to another mirror"
        ) from error


def _candidate(archive: str, stanza: bytes) -> Candidate:
    fields = _fields(stanza)
    try:
        package = DebianPackage(
            name=fields["Package"],
            version=fields["Version"],
            architecture=fields["Architecture"],
            archive=archive,
            path=fields["Filename"].removeprefix("./"),
            digest=Digest.of_hex(fields["SHA256"]),
            size=int(fields["Size"]),
        )
    except KeyError as error:
        message = f"`{fields['Package']}` has no `{error.args[0]}` in the package list"
        raise LockstitchError(
            message, hint="set LOCKSTITCH_DEBIAN_MIRROR to another mirror"
        ) from error
    needs = [parse(fields.get(name, "")) for name in ("Pre-Depends", "Depends")]
    provides = [group[0] for group in parse(fields.get("Provides", ""))]
    return Candidate(package=package, needs=(*needs[0], *needs[1]), provides=tuple(provides))


def _fields(stanza: bytes) -> dict[str, str]:
    fields: dict[str, str] = {}
    for line in stanza.decode(errors="replace").strip("\n").split("\n"):
        name, colon, value = line.partition(":")
        if colon and not line.startswith((" ", "\t")):
            fields[name] = value.strip()
    return fields
