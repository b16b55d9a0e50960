"""Comments that suppress findings: `lockstitch: ignore CODE -- reason` after a comment's sign.

It counts for its own line, and on a line of its own for the next line that is no comment.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from lockstitch.audit.finding import Finding
from lockstitch.patterns import regex

__all__ = ["Comment", "comments"]

_COMMENT = regex(
    r"(?:#|//|;|<!--)\s*lockstitch:\s*ignore(?P<codes>[\s,A-Z0-9]*?)\s*(?:--+\s*(?P<reason>.*?))?\s*(?:-->)?\s*$"
)
_CODE = regex(r"[A-Z]{3}(?:[0-9]{3})?")
_ALONE = regex(r"\s*(?:#|//|;|<!--)")


@dataclass(slots=True, kw_only=True)
class Comment:
    """One comment; `used` collects the codes of what it suppressed."""

    path: str
    line: int
    codes: tuple[str, ...]
    reason: str
    lines: tuple[int, ...]  # that it counts for
    used: set[str] = field(default_factory=set)

    def suppresses(self, finding: Finding) -> bool:
        """Return whether it does, and remember it; without a reason it does not."""
        fits = finding.line in self.lines and finding.code.startswith(self.codes)
        if fits and self.reason:
            self.used.update(code for code in self.codes if finding.code.startswith(code))
        return fits and bool(self.reason)


def comments(path: str, text: str) -> list[Comment]:
    """Return the comments of a file's text."""
    if "lockstitch: ignore" not in text and "lockstitch:ignore" not in text:
        return []
    lines = text.splitlines()
    found = []
    for number, line in enumerate(lines, 1):
        match = _COMMENT.search(line)
        if match:
            own = _ALONE.match(line) is not None
            counted = (number, _next(lines, number)) if own else (number,)
            codes = tuple(_CODE.findall(match["codes"]))
            reason = (match["reason"] or "").strip()
            found.append(Comment(path=path, line=number, codes=codes, reason=reason, lines=counted))
    return found


def _next(lines: Sequence[str], number: int) -> int:
    """Return the number of the next line that is neither empty nor a comment alone."""
    for later in range(number, len(lines)):
        if lines[later].strip() and not _ALONE.match(lines[later]):
            return later + 1
    return number
