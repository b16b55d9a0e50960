"""A secret that was found: where it is and what it looks like, never what it is."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from lockstitch.errors import LockstitchError

__all__ = ["Finding", "Seen", "excerpt", "merged"]

_SHOWN = 4
_LONG = 16  # of a shorter one, four characters would be too much
_RANKS = {"high": 0, "medium": 1, "low": 2}


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One secret in a file; lines and columns count from 1."""

    path: str
    line: int
    column: int
    rule: str
    severity: str  # high: a secret by its form; medium: by its name or place; low: perhaps
    excerpt: str
    found_by: tuple[str, ...]

    def document(self) -> dict[str, object]:
        """Return the finding as JSON values."""
        return {
            "path": self.path,
            "line": self.line,
            "column": self.column,
            "rule": self.rule,
            "severity": self.severity,
            "excerpt": self.excerpt,
            "found_by": list(self.found_by),
        }

    def error(self, where: str) -> LockstitchError:
        """Return the error that stops a build."""
        message = f"`{where}:{self.line}` holds a secret ({self.rule}): {self.excerpt}"
        hint = "take it out and give it at run time, or, where it is none, put before it: "
        return LockstitchError(message, hint=hint + "# lockstitch: allow-secret -- WHY")


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What a search found, and how much of the files it could read."""

    findings: tuple[Finding, ...]
    files: int
    binary: int
    large: int


def excerpt(secret: str) -> str:
    """Return all that may be shown of a secret: at most four characters, and its length."""
    first = secret[:_SHOWN] if len(secret) >= _LONG and secret[:_SHOWN].isprintable() else ""
    return f"{first}… ({len(secret)} characters)"


def merged(findings: Iterable[Finding]) -> list[Finding]:
    """Return one finding for each file and line, the most severe, with all who found it."""
    kept: dict[tuple[str, int], Finding] = {}
    for each in sorted(findings, key=_order):
        place = (each.path, each.line)
        other = kept.setdefault(place, each)
        names = tuple(dict.fromkeys((*other.found_by, *each.found_by)))
        kept[place] = replace(other, found_by=names)
    return [kept[place] for place in sorted(kept, key=lambda place: (place[0].encode(), place[1]))]


def _order(each: Finding) -> tuple[int, bool, int, str]:
    # Our own names first: they are the ones that the documents explain.
    ours = each.found_by == ("lockstitch",)
    return _RANKS.get(each.severity, 2), not ours, each.column, each.rule
