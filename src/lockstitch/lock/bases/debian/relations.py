"""Dependencies as Debian control files write them (Debian policy, chapter 7)."""

import re
from dataclasses import dataclass

from lockstitch.errors import LockstitchError

__all__ = ["Relation", "compare", "parse"]

_FORM = re.compile(
    r"(?P<name>[a-z0-9][a-z0-9+.-]*)(?::[a-z0-9-]+)?"
    r"(?:\s*\(\s*(?P<operator><<|<=|=|>=|>>)\s*(?P<version>[^\s()]+)\s*\))?"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Relation:
    """A package by name, and which of its versions will do."""

    name: str
    operator: str = ""
    version: str = ""

    def __str__(self) -> str:
        """Return it as control files write it."""
        return f"{self.name} ({self.operator} {self.version})" if self.operator else self.name

    def accepts(self, version: str) -> bool:
        """Return whether a version will do; an empty one is unknown, and fits no bound."""
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


def parse(text: str) -> tuple[tuple[Relation, ...], ...]:
    """Return the groups that must all hold, each a choice of relations."""
    groups = [group for group in text.split(",") if group.strip()]
    return tuple(tuple(_relation(one) for one in group.split("|")) for group in groups)


def _relation(text: str) -> Relation:
    match = _FORM.fullmatch(text.strip())
    if match is None:
        message = f"`{text.strip():.100}` is not a dependency of a Debian package"
        raise LockstitchError(message, hint="set LOCKSTITCH_DEBIAN_MIRROR to another mirror")
    return Relation(
        name=match["name"], operator=match["operator"] or "", version=match["version"] or ""
    )
