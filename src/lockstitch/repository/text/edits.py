"""Edits by line: what fixes are made of."""

import re
from dataclasses import dataclass

__all__ = ["Edit", "after_line", "in_line", "line_start", "without_line"]


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Edit:
    """Characters `start` to `end` of a file that become `text`; without a file it is made."""

    path: str
    start: int
    end: int
    text: str


def line_start(text: str, line: int) -> int:
    """Return the offset of a line's first character; lines count from 1."""
    at = 0
    for _ in range(line - 1):
        end = text.find("\n", at)
        if end == -1:
            return len(text)
        at = end + 1
    return at


def without_line(path: str, text: str, line: int) -> Edit:
    """Return the edit that takes a line out, and an empty one after it at the file's start."""
    start = line_start(text, line)
    end = line_start(text, line + 1)
    if start == 0:
        blank = re.compile(r"(?:[ \t]*\r?\n)+").match(text, end)
        end = blank.end() if blank else end
    return Edit(path=path, start=start, end=end, text="")


def in_line(path: str, text: str, line: int, old: str, new: str) -> Edit | None:
    """Return the edit that replaces a text on a line, None when it is not there just once."""
    start, end = line_start(text, line), line_start(text, line + 1)
    if text.count(old, start, end) != 1:
        return None
    at = text.index(old, start, end)
    return Edit(path=path, start=at, end=at + len(old), text=new)


def after_line(path: str, text: str, line: int, new: str) -> Edit:
    """Return the edit that adds lines below a line, with the line ends of the file."""
    at = line_start(text, line + 1)
    newline = "\r\n" if "\r\n" in text else "\n"
    lead = newline if at == len(text) and text and not text.endswith("\n") else ""
    return Edit(path=path, start=at, end=at, text=lead + new.replace("\n", newline))
