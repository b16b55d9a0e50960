"""Colour for terminals, in ruff's manner; a pipe or a file gets none.

`NO_COLOR` set to anything switches it off, `FORCE_COLOR` on, as elsewhere: the first wins.
"""

import re
from typing import TextIO

from lockstitch import environ

_CODES = {"red": "1;31", "green": "32", "yellow": "1;33", "cyan": "1;36", "bold": "1", "out": "31"}
_HEADS = {
    "error": "red",
    "warning": "yellow",
    "hint": "cyan",
    "note": "cyan",
    "next": "cyan",
    "skipped": "yellow",
    "left out": "yellow",
}
_HEAD = re.compile(rf"(\s*)({'|'.join(_HEADS)}):(?= )")
_FINDING = re.compile(r"(.+?)((?::\d+:\d+)?: )(error|warning) ([A-Z]{3}\d{3})(?= )")
_CHANGES = {"+": "green", "-": "out", "@": "cyan"}


def is_wanted(stream: TextIO) -> bool:
    """Return whether a stream gets colour."""
    if environ.flag("NO_COLOR"):
        return False
    return environ.get("FORCE_COLOR") not in {"", "0"} or stream.isatty()


def painted(text: str, style: str) -> str:
    """Return a text in a style."""
    return f"\x1b[{_CODES[style]}m{text}\x1b[0m"


def line(text: str, stream: TextIO) -> str:
    """Return a line of talk with its first word (`error:`, `hint:`) in colour where it may be."""
    match = _HEAD.match(text)
    if match is None or not is_wanted(stream):
        return text
    return f"{match[1]}{painted(match[2], _HEADS[match[2]])}:{text[match.end() :]}"


def findings(text: str, stream: TextIO) -> str:
    """Return findings, one a line, with path, severity and code in colour where they may be."""
    if not is_wanted(stream):
        return text
    return "".join(_finding(part, stream) for part in text.splitlines(keepends=True))


def _finding(text: str, stream: TextIO) -> str:
    match = _FINDING.match(text)
    if match is None:
        return line(text, stream)
    path, place, severity, code = match.groups()
    place = place.replace(":", painted(":", "cyan")) if ":" in place[:-2] else place
    head = f"{painted(path, 'bold')}{place}{painted(severity, _HEADS[severity])}"
    return f"{head} {painted(code, 'red')}{text[match.end() :]}"


def difference(text: str, stream: TextIO) -> str:
    """Return a unified difference with added and removed lines in colour where it may be."""
    if not is_wanted(stream):
        return text
    lines = text.splitlines(keepends=True)
    return "".join(_change(part) for part in lines)


def _change(text: str) -> str:
    body = text.rstrip("\n")
    style = "bold" if body.startswith(("+++ ", "--- ")) else _CHANGES.get(body[:1])
    return painted(body, style) + text[len(body) :] if style else text
