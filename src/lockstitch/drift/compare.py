"""What differs between two environments, by meaning and never by bytes, ranked by effect."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from lockstitch.drift import effects, known, machines
from lockstitch.drift.effects import Effect, Ranks, by_whom
from lockstitch.drift.known import Move
from lockstitch.drift.machines import Found
from lockstitch.fingerprint.model import Fingerprint, Package

__all__ = ["Difference", "between", "matters"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One thing that is not the same in two environments."""

    what: str  # "package", or a part of a fingerprint: "python", "blas", "variable", …
    name: str
    kind: str  # "moved", "added", "removed", "other files", "edited", "tests only", "changed"
    before: str  # "" where it is added
    after: str  # "" where it is removed
    effect: Effect
    imported: bool | None = None  # by the recorded run; None when there is none
    direct: bool | None = None  # whether the project asks for it
    by: tuple[str, ...] = ()  # packages that ask for it
    moves: tuple[Move, ...] = field(default=())  # known changes of results that lie between

    def document(self) -> dict[str, Any]:
        """Return it as JSON."""
        keys = ("what", "name", "kind", "before", "after", "imported", "direct")
        found: dict[str, Any] = {key: getattr(self, key) for key in keys}
        return found | {
            "by": list(self.by),
            "effect": self.effect.name.lower().replace("_", "-"),
            "matters": self.effect.matters,
            "known": [move.document() for move in self.moves],
        }


def between(
    before: Fingerprint, after: Fingerprint, graph: Fingerprint | None = None
) -> list[Difference]:
    """Return everything that differs, what can change results first.

    What one side does not know is no difference. `graph` is a lock that knows who asks for whom.
    """
    ranks = Ranks(before, after)
    known_by = (before, after, *([graph] if graph else []))
    # An editable install is the project itself, which an export of a lock leaves out.
    own = {p.name for each in known_by for p in each.packages if p.origin == "editable"}
    found = [
        _package(name, change, ranks, known_by)
        for name in sorted({each.name for each in (*before.packages, *after.packages)})
        for change in _changes(before.package(name), after.package(name))
        if name not in own or change[0] not in {"added", "removed"}
    ]
    found += [_plain(each) for each in machines.between(before, after)]
    return sorted(found, key=_order)


def matters(found: Sequence[Difference]) -> bool:
    """Return whether any of them can change results."""
    return any(each.effect.matters for each in found)


def _order(each: Difference) -> tuple[int, bool, int, int, str, str, str]:
    # A known change of results goes before others of its rank, a larger step before a smaller.
    step = known.step(each.before, each.after) if each.what == "package" else 0
    place = effects.order(each.name)
    return (each.effect, not each.moves, place, step, each.what, each.name, each.kind)


def _plain(found: Found) -> Difference:
    return Difference(
        what=found.what,
        name=found.name,
        kind=found.kind,
        before=found.before,
        after=found.after,
        effect=found.effect,
    )


# --- packages

Change = tuple[str, str, str]  # kind, before, after


def _package(
    name: str, change: Change, ranks: Ranks, known_by: Sequence[Fingerprint]
) -> Difference:
    kind, before, after = change
    direct, by = by_whom(name, known_by)
    effect = ranks.of(name, edited=kind == "edited")
    moves = known.between(name, before, after) if kind == "moved" else ()
    return Difference(
        what="package",
        name=name,
        kind=kind,
        before=before,
        after=after,
        effect=Effect.NONE if kind == "tests only" else effect,
        imported=ranks.was_imported(name),
        direct=direct,
        by=by,
        moves=moves,
    )


def _changes(before: Package | None, after: Package | None) -> Iterator[Change]:
    if before is None or after is None:
        if before:
            yield "removed", before.version, ""
        if after:
            yield "added", "", after.version
        return
    if before.version != after.version:
        yield "moved", before.version, after.version
    elif kind := _other_files(before, after):
        yield kind, before.version, after.version
    if before.edited != after.edited:
        yield "edited", _edited(before), _edited(after)


def _edited(package: Package) -> str:
    """Say what was done to the files of a package by hand."""
    if not package.edited:
        return "as installed"
    more = f" and {len(package.edited) - 1} more" if len(package.edited) > 1 else ""
    return f"{package.edited[0]}{more}"


def _other_files(before: Package, after: Package) -> str:
    """Return what kind of difference there is between two packages of one version, or ""."""
    if before.record and after.record:
        if before.record == after.record:
            return ""
        return "tests only" if before.code == after.code else "other files"
    if before.artifacts and after.artifacts:
        return "" if {*before.artifacts} & {*after.artifacts} else "other files"
    if before.origin != after.origin and "editable" not in {before.origin, after.origin}:
        return "other files"
    return "other files" if _other_tags(before.tags, after.tags) else ""


def _other_tags(before: Sequence[str], after: Sequence[str]) -> bool:
    """Return whether two wheels are for other machines, as far as their tags are to be trusted."""
    if not before or not after or {*before} & {*after}:
        return False
    # A wheel that was repaired may keep the tag of the machine that built it in its WHEEL.
    return not any("-linux_" in tag for tag in (*before, *after))
