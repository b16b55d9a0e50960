"""Debian's package lists: packages by name, and the closure of their dependencies."""

import difflib
import functools
import lzma
import re
from collections import deque
from collections.abc import Collection, Iterable, Sequence

from lockstitch.digest import Digest
from lockstitch.errors import LockstitchError, raise_all
from lockstitch.headers import fields_of
from lockstitch.lock.bases.debian.base import DebianPackage
from lockstitch.values import frozen

_OTHER = "set LOCKSTITCH_DEBIAN_MIRROR to another mirror"
_LATER = "the mirror may be half way through an update: run the command again later"
# Dependencies as Debian control files write them (Debian policy, chapter 7).
_FORM = re.compile(
    r"(?P<name>[a-z0-9][a-z0-9+.-]*)(?::[a-z0-9-]+)?"
    r"(?:\s*\(\s*(?P<operator><<|<=|=|>=|>>)\s*(?P<version>[^\s()]+)\s*\))?"
)


@frozen
class Relation:
    """A package by name, and a bound on its version."""

    name: str
    operator: str = ""
    version: str = ""

    def __str__(self) -> str:
        return f"{self.name} ({self.operator} {self.version})" if self.operator else self.name

    def accepts(self, version: str) -> bool:
        """Return whether a version is within the bound; an empty one is unknown, and in none."""
        if not self.operator:
            return True
        if not version:
            return False
        order = compare(version, self.version)
        return {
            "<<": order < 0,
            "<=": order <= 0,
            "=": order == 0,
            ">=": order >= 0,
            ">>": order > 0,
        }[self.operator]


def compare(left: str, right: str) -> int:
    """Return less than, equal to or more than 0, in the order of Debian's versions."""
    from debian.debian_support import NativeVersion  # only when something is resolved

    one, other = NativeVersion(left), NativeVersion(right)
    return (one > other) - (one < other)


def parse_relations(text: str) -> tuple[tuple[Relation, ...], ...]:
    """Return the groups of a dependency, each of choices; raises LockstitchError for none."""
    groups = [group for group in text.split(",") if group.strip()]
    return tuple(tuple(_relation(one) for one in group.split("|")) for group in groups)


def _relation(text: str) -> Relation:
    match = _FORM.fullmatch(text.strip())
    if match is None:
        message = f"`{text.strip():.100}` is not a dependency of a Debian package"
        raise LockstitchError(message, hint=_OTHER)
    return Relation(
        name=match["name"], operator=match["operator"] or "", version=match["version"] or ""
    )


@frozen
class Candidate:
    """A package that can be chosen, with what it needs and what it provides."""

    package: DebianPackage
    needs: tuple[tuple[Relation, ...], ...]
    provides: tuple[Relation, ...]

    def satisfies(self, relation: Relation) -> bool:
        """Return whether this package, or what it provides, satisfies a relation."""
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
            raise LockstitchError(message, hint=_OTHER)
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
        versions = [_candidate(*pair) for pair in self._stanzas.get(name, ())]
        order = functools.cmp_to_key(compare)
        return max(versions, key=lambda c: order(c.package.version)) if versions else None

    def satisfying(self, relation: Relation) -> Candidate | None:
        """Return the package for a relation: the one of its name, else the first provider."""
        names = [relation.name, *sorted(self._providers.get(relation.name, ()))]
        candidates = [candidate for name in names if (candidate := self.best(name))]
        return next((c for c in candidates if c.satisfies(relation)), None)


def unpack(data: bytes, name: str) -> bytes:
    """Return the text of a Packages.xz file; raises LockstitchError when it is none."""
    try:
        return lzma.decompress(data)
    except (lzma.LZMAError, EOFError) as error:
        raise LockstitchError(f"the {name} is not an xz file: {error}", hint=_OTHER) from error


def _candidate(archive: str, stanza: bytes) -> Candidate:
    fields = fields_of(stanza.strip(b"\n"))
    for name in ("Version", "Architecture", "Filename", "SHA256", "Size"):
        if name.lower() not in fields:
            message = f"`{fields['package']}` has no `{name}` in the package list"
            raise LockstitchError(message, hint=_OTHER)
    package = DebianPackage(
        name=fields["package"],
        version=fields["version"],
        architecture=fields["architecture"],
        archive=archive,
        path=fields["filename"].removeprefix("./"),
        digest=Digest.of_hex(fields["sha256"]),
        size=int(fields["size"]),
    )
    needs = [parse_relations(fields.get(name, "")) for name in ("pre-depends", "depends")]
    provides = [group[0] for group in parse_relations(fields.get("provides", ""))]
    return Candidate(package=package, needs=(*needs[0], *needs[1]), provides=tuple(provides))


def close(
    index: Index, roots: Iterable[tuple[Relation, ...]], left_out: Collection[str]
) -> tuple[DebianPackage, ...]:
    """Return the roots and all they depend on, by name, or raise with all that is missing.

    Of alternatives, one that is chosen already wins, else the first in the lists. A
    dependency on a package of `left_out` holds without it.
    """
    chosen: dict[str, Candidate] = {}
    _close(index, deque(("the base", group) for group in roots), left_out, chosen)
    # By name: the order of choosing must not reach a lock.
    return tuple(chosen[name].package for name in sorted(chosen))


def extend(
    index: Index, base: Sequence[DebianPackage], names: Iterable[str], left_out: Collection[str]
) -> tuple[DebianPackage, ...]:
    """Return packages and all they depend on that a base does not have, by name.

    Raises LockstitchError with every name that is no package, and with all that is missing.
    """
    chosen = {p.name: candidate for p in base if (candidate := index.best(p.name))}
    roots: list[Candidate] = []
    problems: list[LockstitchError] = []
    for name in names:
        provider = index.satisfying(Relation(name=name))
        if provider is None:
            # `libgl1-mesa-glx` has become `libgl1`
            shorter = [other for other in index.names() if name.startswith(f"{other}-")]
            alike = difflib.get_close_matches(name, index.names(), n=3, cutoff=0.75)
            near = [*dict.fromkeys([*sorted(shorter, key=len)[-1:], *alike])][:3]
            message = f"`{name}` is not a package of this release of Debian"
            ways = " or ".join(f"`{other}`" for other in near)
            hint = f"did you mean {ways}?" if near else f"look it up: apt-cache search {name}"
            problems.append(LockstitchError(message, hint=hint))
        else:
            roots.append(provider)
    raise_all(problems)
    queue = deque((c.package.name, need) for c in roots for need in c.needs)
    before = {*chosen}
    chosen |= {c.package.name: c for c in roots}
    _close(index, queue, left_out, chosen)
    return tuple(chosen[name].package for name in sorted({*chosen} - before))


def _close(
    index: Index,
    queue: deque[tuple[str, tuple[Relation, ...]]],
    left_out: Collection[str],
    chosen: dict[str, Candidate],
) -> None:
    """Add what the queue's owners need to what is chosen, or raise with all that is missing."""
    problems: dict[str, LockstitchError] = {}
    while queue:
        owner, group = queue.popleft()
        if any(c.satisfies(relation) for relation in group for c in chosen.values()):
            continue
        match = _first(index, group, left_out)
        if isinstance(match, Candidate):
            chosen[match.package.name] = match
            queue.extend((match.package.name, need) for need in match.needs)
        elif match is None:
            problem = _missing(index, owner, group)
            problems.setdefault(problem.message, problem)
    raise_all(list(problems.values()))


def _first(
    index: Index, group: tuple[Relation, ...], left_out: Collection[str]
) -> Candidate | bool | None:
    """Return the first alternative in the lists, True when it is left out, None for none."""
    for relation in group:
        if relation.name in left_out:
            return True
        candidate = index.satisfying(relation)
        if candidate is not None:
            return candidate.package.name in left_out or candidate
    return None


def _missing(index: Index, owner: str, group: tuple[Relation, ...]) -> LockstitchError:
    wanted = " | ".join(str(relation) for relation in group)
    others = [c.package for r in group if (c := index.best(r.name))]
    has = ", ".join(f"`{package.name} {package.version}`" for package in others)
    message = f"{owner if owner == 'the base' else f'`{owner}`'} needs `{wanted}`, "
    message += f"the mirror has {has}" if has else "the mirror has none"
    return LockstitchError(message, hint=_LATER)
