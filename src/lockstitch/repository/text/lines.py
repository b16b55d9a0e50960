"""Lines of a text: problems and edits on them, and the line of a TOML key."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from lockstitch.patterns import regex
from lockstitch.values import ordered

_HEADER = regex(r"\s*(\[\[?)\s*([^\[\]]+?)\s*\]\]?\s*(?:#.*)?")
_KEY = regex(
    r"""\s*((?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*')(?:\s*\.\s*(?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*'))*)\s*="""
)
_PART = regex(r"""[A-Za-z0-9_-]+|"[^"]*"|'[^']*'""")
_LONG = ('"""', "'''")


@ordered
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


def applied(text: str, edits: Iterable[Edit]) -> str:
    """Return a text with edits that do not overlap."""
    for edit in sorted(edits, reverse=True):
        text = text[: edit.start] + edit.text + text[edit.end :]
    return text


def newline_of(text: str) -> str:
    """Return the line ending of a text."""
    return "\r\n" if "\r\n" in text else "\n"


def replace_on_line(path: str, text: str, line: int, old: str, new: str) -> Edit | None:
    """Return the edit that replaces a text on a line, None when it is not there just once."""
    start, end = line_start(text, line), line_start(text, line + 1)
    if text.count(old, start, end) != 1:
        return None
    at = text.index(old, start, end)
    return Edit(path=path, start=at, end=at + len(old), text=new)


def add_below(path: str, text: str, line: int, new: str) -> Edit:
    """Return the edit that adds lines below a line, with the line ends of the file."""
    at = line_start(text, line + 1)
    newline = newline_of(text)
    lead = newline if at == len(text) and text and not text.endswith("\n") else ""
    return Edit(path=path, start=at, end=at, text=lead + new.replace("\n", newline))


def with_table(
    path: str, text: str, place: Sequence[str], values: Mapping[str, Any]
) -> Edit | None:
    """Return the edit that adds a table to a TOML text, None where that gives no such document."""
    import json
    import tomllib

    newline = newline_of(text)
    # Texts, lists of texts and true are the same in JSON.
    lines = [f"[{'.'.join(place)}]", *(f"{key} = {json.dumps(v)}" for key, v in values.items())]
    lead = "" if text.endswith("\n") or not text else newline
    added = lead + newline + "".join(f"{line}{newline}" for line in lines)
    try:
        wanted, parsed = tomllib.loads(text), tomllib.loads(text + added)
    except ValueError:
        return None
    below: Any = wanted
    for key in place:
        below = below.setdefault(key, {}) if isinstance(below, dict) else None
    if not isinstance(below, dict) or below.keys() & values.keys():
        return None
    below.update(values)
    return Edit(path=path, start=len(text), end=len(text), text=added) if parsed == wanted else None


def line_of_key(text: str, *path: str) -> int:
    """Return the line, from 1, of the key or table at a path, of the nearest above it, or 0.

    The path may end inside an inline table or a list of its own key: the key's line counts.
    """
    best, nearest = 0, 0
    table: tuple[str, ...] = ()
    inside = ""
    for number, line in enumerate(text.splitlines(), 1):
        if inside:
            inside = "" if inside in line else inside
            continue
        header = _HEADER.fullmatch(line)
        key = None if header else _KEY.match(line)
        if header:
            table = _parts(header[2])
            here = table
        elif key:
            here = (*table, *_parts(key[1]))
            inside = _opened(line)
        else:
            inside = _opened(line)
            continue
        common = len(here) if path[: len(here)] == here else 0
        if common > best:
            best, nearest = common, number
    return nearest


def _parts(text: str) -> tuple[str, ...]:
    return tuple(part.strip("\"'") for part in _PART.findall(text))


def _opened(line: str) -> str:
    """Return the quotes of a text that goes on over the next line, or nothing."""
    for quotes in _LONG:
        if line.count(quotes) % 2:
            return quotes
    return ""
