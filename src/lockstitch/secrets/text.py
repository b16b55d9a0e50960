"""Looks for secrets in one text."""

import bisect
import functools
import re
from collections.abc import Iterable, Iterator

from lockstitch.secrets.finding import Finding, excerpt
from lockstitch.secrets.patterns import RULES, SIGNS, Rule
from lockstitch.suppressions import allowed_lines

__all__ = ["decoded", "find", "may_have"]

_SAMPLE = 8192  # bytes in which a binary file has a zero


def decoded(data: bytes) -> str | None:
    """Return the text of a file, or None for one that is binary."""
    if data[:2] in {b"\xff\xfe", b"\xfe\xff"}:  # editors of Windows save such text
        return data.decode("utf-16", "replace")
    return None if b"\0" in data[:_SAMPLE] else data.decode("utf-8", "replace")


def may_have(data: bytes, path: str) -> bool:
    """Return whether a file may hold a secret: a quick no for nearly all, and never a wrong one."""
    if data[:2] in {b"\xff\xfe", b"\xfe\xff"} or any(r.files and r.is_for(path) for r in RULES):
        return True
    return any(sign.search(data) for sign in _signs())


@functools.cache
def _signs() -> tuple[re.Pattern[bytes], ...]:
    return tuple(re.compile(sign) for sign in SIGNS)


def find(text: str, path: str, *, rules: Iterable[Rule] = RULES) -> list[Finding]:
    """Return the secrets of a text in the order of their places; `path` is only named.

    What a comment allows, and known examples and placeholders, are none.
    """
    lower = text.lower()
    found: list[tuple[int, Finding]] = []
    starts: list[int] = []
    allowed: set[int] = set()
    for rule in rules:
        if not rule.is_for(path) or not any(anchor in lower for anchor in rule.anchors):
            continue
        for at, secret in _matches(rule, text):
            if not starts:
                starts = [0, *(match.end() for match in re.finditer("\n", text))]
                allowed = allowed_lines(text)
            line = bisect.bisect_right(starts, at)
            if line not in allowed:
                found.append((at, _finding(rule, path, line, at - starts[line - 1] + 1, secret)))
    return [each for _, each in sorted(found, key=lambda pair: (pair[0], pair[1].rule))]


def _matches(rule: Rule, text: str) -> Iterator[tuple[int, str]]:
    """Yield where each match starts, and the secret in it."""
    for match in rule.compiled().finditer(text):
        secret = match["secret"] if "secret" in match.re.groupindex else match[0]
        if not rule.refuses(secret):
            has_group = "secret" in match.re.groupindex and rule.name != "private-key"
            yield match.start("secret" if has_group else 0), secret


def _finding(rule: Rule, path: str, line: int, column: int, secret: str) -> Finding:
    return Finding(
        path=path,
        line=line,
        column=column,
        rule=rule.name,
        severity="high" if rule.high else "medium",
        excerpt=excerpt(secret),
        found_by=("lockstitch",),
    )
