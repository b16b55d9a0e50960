"""Which packages can be told apart: those that need each other's exact version move together.

What counts is what the installed packages of both sides ask for (Requires-Dist), not a list of
names: torch and its nvidia-*, pydantic and pydantic-core, and whatever comes next.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from lockstitch.drift.bisect.model import Cause, Mixture, Question

__all__ = ["Installed", "coupled", "implied", "question"]

_GUESSES = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Installed:
    """What the environment of one side holds: versions, and what each package asks for."""

    versions: Mapping[str, str]
    requires: Mapping[str, Sequence[str]]  # lines of Requires-Dist by name
    python: str  # X.Y of it, which decides markers


def implied(before: Installed, after: Installed, moved: Iterable[str]) -> dict[str, Mixture]:
    """Return for each moved package those that must be as in B when it is.

    A requirement that its own side does not keep is no reason: somebody overrode it.
    """
    found: dict[str, set[str]] = {name: set() for name in moved}
    for own, other, forward in ((before, after, False), (after, before, True)):
        for name in found:
            for need in _broken(name, own, other, found):
                # As in B it needs B's other one; as in A it needs A's, so that B's needs B's.
                one, two = (name, need) if forward else (need, name)
                found[one].add(two)
    return {name: frozenset(needs) for name, needs in found.items()}


def coupled(causes: Sequence[Cause], needs: Mapping[str, Mixture]) -> list[Cause]:
    """Return the causes with those made one that imply each other, in the order of the first."""
    reach = {each.label: _reached(each.label, needs) for each in causes}
    found: list[Cause] = []
    taken: set[str] = set()
    for each in causes:
        if each.label in taken:
            continue
        same = [c for c in causes if c.label in reach[each.label] and each.label in reach[c.label]]
        group = [each, *(c for c in same if c is not each)]
        taken |= {c.label for c in group}
        parts = tuple(part for cause in group for part in cause.parts)
        found.append(Cause(label=each.label, parts=parts))
    return found


def question(causes: Sequence[Cause], needs: Mapping[str, Mixture]) -> Question:
    """Return what to search among causes that are coupled already."""
    owner = {name: cause.label for cause in causes for name in cause.packages}
    between = {
        cause.label: frozenset(
            owner[need] for name in cause.packages for need in needs.get(name, ()) if need in owner
        )
        - {cause.label}
        for cause in causes
    }
    guesses = sum(cause.matters for cause in causes)
    return Question(
        causes=tuple(cause.label for cause in causes),
        guesses=min(guesses, _GUESSES),
        implied=between,
    )


def _reached(label: str, needs: Mapping[str, Mixture]) -> frozenset[str]:
    found, waiting = {label}, [label]
    while waiting:
        new = needs.get(waiting.pop(), frozenset()) - found
        found |= new
        waiting += new
    return frozenset(found)


def _broken(
    name: str, own: Installed, other: Installed, moved: Mapping[str, object]
) -> Iterator[str]:
    """Yield moved packages that a package of one side cannot take from the other."""
    from packaging.requirements import InvalidRequirement, Requirement
    from packaging.utils import canonicalize_name

    environment = {"python_version": own.python, "python_full_version": f"{own.python}.0"}
    for line in own.requires.get(name, ()):
        try:
            requirement = Requirement(line)
        except InvalidRequirement:
            continue  # an old package with a line that pip, too, passes over
        need = str(canonicalize_name(requirement.name))
        if need not in moved or need == name:
            continue
        marker = requirement.marker
        if marker and not marker.evaluate({**environment, "extra": ""}):
            continue
        if _fits(requirement, own.versions.get(need)) and not _fits(
            requirement, other.versions.get(need)
        ):
            yield need


def _fits(requirement: object, version: str | None) -> bool:
    from packaging.requirements import Requirement

    assert isinstance(requirement, Requirement)  # noqa: S101 -- its type is loaded lazily
    if version is None:
        return False
    return requirement.specifier.contains(version, prereleases=True)
