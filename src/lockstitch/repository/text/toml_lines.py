"""Finds the line of a TOML key: tomllib gives values without places."""

from lockstitch.patterns import regex

__all__ = ["line_of"]

_HEADER = regex(r"\s*(\[\[?)\s*([^\[\]]+?)\s*\]\]?\s*(?:#.*)?")
_KEY = regex(
    r"""\s*((?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*')(?:\s*\.\s*(?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*'))*)\s*="""
)
_PART = regex(r"""[A-Za-z0-9_-]+|"[^"]*"|'[^']*'""")
_LONG = ('"""', "'''")


def line_of(text: str, *path: str) -> int:
    """Return the line, from 1, of the key or table at a path, of the nearest above it, or 0.

    The path may end inside an inline table or a list of its own key: the key's line counts.
    """
    best, found = 0, 0
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
            best, found = common, number
    return found


def _parts(text: str) -> tuple[str, ...]:
    return tuple(part.strip("\"'") for part in _PART.findall(text))


def _opened(line: str) -> str:
    """Return the quotes of a text that goes on over the next line, or nothing."""
    for quotes in _LONG:
        if line.count(quotes) % 2:
            return quotes
    return ""
