"""Comments that suppress findings, of `lockstitch check` and of `lockstitch check --secrets`.

`lockstitch: ignore CODE -- REASON` is for findings of rules, `lockstitch: allow-secret -- REASON`
for secrets. Each counts for its own line and, on a line of its own, for the next one too.
"""

from collections.abc import Sequence

from lockstitch.patterns import regex
from lockstitch.values import frozen

_IGNORE = regex(
    r"(?:#|//|;|<!--)\s*lockstitch:\s*ignore(?P<codes>[\s,A-Z0-9]*?)\s*(?:--+\s*(?P<reason>.*?))?\s*(?:-->)?\s*$"
)
_CODE = regex(r"[A-Z]{3}(?:[0-9]{3})?")
_COMMENT = regex(r"\s*(?:#|//|;|<!--)")
_ALLOW = regex(r"lockstitch: allow-secret -- \S")
_ALLOW_ALONE = regex(r"\s*(?:#|//|;|--|<!--|/\*)\s*lockstitch: allow-secret -- \S")


@frozen
class Suppression:
    """One `ignore` comment, with the lines that it counts for; without a reason for none."""

    line: int
    codes: tuple[str, ...]  # whole ones, or a family's letters
    reason: str
    lines: tuple[int, ...]


def suppressions(text: str) -> list[Suppression]:
    """Return the `ignore` comments of a text; one alone on a line is about the next code."""
    if "lockstitch: ignore" not in text and "lockstitch:ignore" not in text:
        return []
    lines = text.splitlines()
    comments = []
    for number, line in enumerate(lines, 1):
        match = _IGNORE.search(line)
        if match:
            alone = _COMMENT.match(line) is not None
            codes = tuple(_CODE.findall(match["codes"]))
            reason = (match["reason"] or "").strip()
            counted = (number, _next_code(lines, number)) if alone else (number,)
            comments.append(Suppression(line=number, codes=codes, reason=reason, lines=counted))
    return comments


def _next_code(lines: Sequence[str], number: int) -> int:
    for later in range(number, len(lines)):
        if lines[later].strip() and not _COMMENT.match(lines[later]):
            return later + 1
    return number


def allowed_lines(text: str) -> set[int]:
    """Return the numbers of the lines whose secrets an `allow-secret` comment allows."""
    allowed: set[int] = set()
    if "lockstitch: allow-secret" in text:
        for number, line in enumerate(text.split("\n"), 1):
            if _ALLOW.search(line):
                allowed |= {number, number + 1} if _ALLOW_ALONE.match(line) else {number}
    return allowed
