"""Differences among several environments: what most of them have, and the odd ones out."""

import itertools
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from lockstitch.drift.compare import Difference
from lockstitch.drift.effects import KnownChange
from lockstitch.drift.source import Context, differences
from lockstitch.fingerprint.model import Fingerprint
from lockstitch.table import counted, table
from lockstitch.values import frozen

# Parts of a fingerprint that a source may not know: then it is in no group.
_PARTS = {
    **{name: name for name in ("python", "platform", "cpu", "blas")},
    "variable": "variables",
    "input": "inputs",
    "metric": "results",
    "output": "results",
    "system package": "system",
    "system packages": "system",
}


@frozen
class Group:
    """Environments that have the same."""

    value: str  # "" where they have none
    names: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.value or '-'} ({', '.join(self.names)})"


@frozen
class Fact:
    """One thing that is not the same everywhere, by groups, the largest first."""

    strongest: Difference  # of all pairs
    groups: tuple[Group, ...]
    known: tuple[KnownChange, ...]

    @property
    def name(self) -> str:
        """The name for people."""
        change = self.strongest
        return change.name if change.what == "package" else f"{change.what}: {change.name}"

    @property
    def odd(self) -> tuple[str, ...]:
        """The environments that differ from most."""
        return tuple(name for group in self.groups[1:] for name in group.names)

    def document(self) -> dict[str, Any]:
        """Return the fact as JSON."""
        difference = self.strongest
        return {
            "what": difference.what,
            "name": difference.name,
            "effect": difference.effect.name.lower().replace("_", "-"),
            "matters": difference.effect.matters,
            "groups": [{"value": g.value, "environments": list(g.names)} for g in self.groups],
            "known": [change.document() for change in self.known],
        }


def compared(names: Sequence[str], prints: Sequence[Fingerprint], where: Context) -> list[Fact]:
    """Return the differences between all environments, those that can change results first."""
    varied: dict[tuple[str, str], dict[tuple[int, int], Difference]] = {}
    ranks: dict[tuple[str, str], tuple[int, int]] = {}
    for one, other in itertools.combinations(range(len(prints)), 2):
        for place, difference in enumerate(differences(prints[one], prints[other], where)):
            key = (difference.what, difference.name)
            varied.setdefault(key, {})[one, other] = difference
            ranks[key] = min(ranks.get(key, (difference.effect, place)), (difference.effect, place))
    return [
        _fact(names, prints, varied[key])
        for key in sorted(varied, key=lambda key: (ranks[key], key))
    ]


def _fact(
    names: Sequence[str], prints: Sequence[Fingerprint], pairs: dict[tuple[int, int], Difference]
) -> Fact:
    strongest = min(pairs.values(), key=lambda fact: fact.effect)
    part = _PARTS.get(strongest.what, "packages")
    members: list[list[int]] = []
    for number, fingerprint in enumerate(prints):
        if getattr(fingerprint, part) is None:
            continue
        for group in members:
            if not any((other, number) in pairs for other in group):
                group.append(number)
                break
        else:
            members.append([number])
    members.sort(key=len, reverse=True)  # stable: of two as large the first named comes first
    values = [_value(group, pairs) for group in members]
    groups = tuple(
        Group(
            value=f"{value}, other files" if value and value in values[:place] else value,
            names=tuple(names[number] for number in group),
        )
        for place, (group, value) in enumerate(zip(members, values, strict=True))
    )
    known = dict.fromkeys(change for pair in pairs.values() for change in pair.known)
    return Fact(strongest=strongest, groups=groups, known=tuple(known))


def _value(group: Sequence[int], pairs: dict[tuple[int, int], Difference]) -> str:
    """Return a group's value, in the words of a difference."""
    for (one, other), difference in pairs.items():
        if one in group or other in group:
            return difference.before if one in group else difference.after
    return ""


# --- for people and programs


def named(words: Sequence[str]) -> list[str]:
    """Return a name for each source: its word, with a number where it is named again."""
    seen: Counter[str] = Counter()
    names = []
    for word in words:
        seen[word] += 1
        names.append(word if seen[word] == 1 else f"{word}#{seen[word]}")
    return names


def document(
    names: Sequence[str], prints: Sequence[Fingerprint], facts: Sequence[Fact]
) -> dict[str, Any]:
    """Return the comparison as JSON; `odd` is how often an environment is not as most are."""
    odd = _odd(facts)
    return {
        "environments": [
            {"name": name, "digest": fingerprint.digest, "odd": odd[name]}
            for name, fingerprint in zip(names, prints, strict=True)
        ],
        "matters": any(fact.strongest.effect.matters for fact in facts),
        "differences": [fact.document() for fact in facts],
    }


def listing(names: Sequence[str], facts: Sequence[Fact], *, everything: bool) -> str:
    """Return who is the odd one out, a table, known changes, and how much is folded away."""
    strong = [fact for fact in facts if fact.strongest.effect.matters]
    rest = [fact for fact in facts if fact not in strong]
    lines = list(_summary(names, strong))
    if strong:
        lines += ["", "what can change results", _table(strong)]
    notes = dict.fromkeys(
        f"  {change.package} {change.version}: {change.what} ({change.source})"
        for fact in strong
        for change in fact.known
    )
    if notes:
        lines += ["", "known changes of results between these versions", *notes]
    if rest and everything:
        lines += ["", "the rest", _table(rest)]
    elif rest:
        lines += ["", f"and {counted(len(rest), 'difference')} not known to change results (--all)"]
    return "\n".join(lines) + "\n"


def _odd(facts: Sequence[Fact]) -> Counter[str]:
    return Counter(name for fact in facts if fact.strongest.effect.matters for name in fact.odd)


def _summary(names: Sequence[str], strong: Sequence[Fact]) -> Iterator[str]:
    odd = _odd(strong)
    yield f"{len(names)} environments"
    if not strong:
        yield "nothing that is known to change results differs"
        return
    same = [name for name in names if not odd[name]]
    if same:
        yield f"as most are in all that can change results: {', '.join(same)}"
    for name, times in odd.most_common():
        yield f"odd one out: {name}, in {counted(times, 'thing')}"


def _table(facts: Sequence[Fact]) -> str:
    rows = [
        [fact.name, str(fact.groups[0]), "; ".join(str(group) for group in fact.groups[1:])]
        for fact in facts
    ]
    return table(("name", "most", "others"), rows, left=3)
