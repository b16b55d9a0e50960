"""A TOML document as blocks of whole lines, so that keys can be moved with their comments.

A library that edits TOML moves a key and leaves the comment above it behind. Whoever moves
blocks parses the result, and compares it with what it should be.
"""

import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from lockstitch.patterns import regex

__all__ = ["Block", "blocks", "insert", "moved", "section", "text_of"]

_HEADER = regex(r"\s*\[\[?(?P<path>[^\[\]]+)\]\]?\s*(?:#.*)?")
_PART = regex(r"""\s*(?:([A-Za-z0-9_-]+)|"([^"\\]*)"|'([^']*)')\s*(?:\.|$|=)""")
_LONGEST = 400  # lines of one value


@dataclass(frozen=True, slots=True)
class Block:
    """A header, a key with its value, or a line of neither; `lead` are the comments above a key."""

    kind: str  # header, key, other
    path: tuple[str, ...]  # as it is written: of a key from its table
    text: str
    lead: str = ""

    @property
    def whole(self) -> str:
        """Return the block with its comments."""
        return self.lead + self.text


def blocks(text: str) -> list[Block] | None:
    """Return the blocks of a document, None when a line cannot be told."""
    lines = text.splitlines(keepends=True)
    found: list[Block] = []
    at = 0
    while at < len(lines):
        line = lines[at]
        bare = line.strip()
        header = _HEADER.fullmatch(line.rstrip("\r\n"))
        if not bare or bare.startswith("#"):
            found.append(Block("other", (), line))
            at += 1
        elif header and not _value(line):
            path = _parts(f"{header['path']}=")
            if path is None:
                return None
            found.append(Block("header", path, line))
            at += 1
        else:
            end = _end(lines, at)
            path = _parts(line)
            if end is None or path is None:
                return None
            found.append(Block("key", path, "".join(lines[at:end])))
            at = end
    return _with_leads(found)


def _value(line: str) -> bool:
    """Return whether a line is a key with a value by itself."""
    try:
        return bool(tomllib.loads(line)) and "=" in line.partition("#")[0].partition("]")[2]
    except ValueError:
        return False


def _end(lines: Sequence[str], start: int) -> int | None:
    """Return the line after a value: the first at which it is TOML."""
    for end in range(start + 1, min(len(lines), start + _LONGEST) + 1):
        try:
            tomllib.loads("".join(lines[start:end]))
        except (ValueError, RecursionError):
            continue
        return end
    return None


def _parts(text: str) -> tuple[str, ...] | None:
    """Return a dotted key that ends at a `=`."""
    found, at = [], 0
    while match := _PART.match(text, at):
        found.append(next(part for part in match.groups() if part is not None))
        at = match.end()
        if text[at - 1] == "=":
            return tuple(found)
    return None


def _with_leads(found: list[Block]) -> list[Block]:
    """Return the blocks with comment lines joined to the key that they stand right above."""
    result: list[Block] = []
    for each in found:
        lead = ""
        while each.kind == "key" and result and _is_comment(result[-1]):
            lead = result.pop().text + lead
        result.append(replace(each, lead=lead))
    return result


def _is_comment(block: Block) -> bool:
    return block.kind == "other" and block.text.lstrip().startswith("#")


def section(listed: Sequence[Block], path: tuple[str, ...]) -> tuple[int, int] | None:
    """Return where a table's own keys stand, from after its header; None without such a header."""
    start = None if path else 0
    for number, each in enumerate(listed):
        if each.kind == "header":
            if start is not None:
                return start, number
            if each.path == path:
                start = number + 1
    return None if start is None else (start, len(listed))


def moved(
    listed: list[Block], path: tuple[str, ...], wanted: Callable[[str], bool]
) -> tuple[list[Block], list[Block]]:
    """Return the blocks without a table's keys that are wanted, and those keys."""
    place = section(listed, path)
    if place is None:
        return listed, []
    inside = range(*place)
    taken = [n for n in inside if listed[n].kind == "key" and wanted(listed[n].path[0])]
    rest = [each for n, each in enumerate(listed) if n not in taken]
    return rest, [listed[n] for n in taken]


def insert(
    listed: list[Block], path: tuple[str, ...], keys: Sequence[Block], after: tuple[str, ...]
) -> list[Block]:
    """Return the blocks with keys in a table; a new one comes behind the table `after`."""
    newline = "\r\n" if any("\r\n" in each.text for each in listed) else "\n"
    ended = [
        each if each.text.endswith("\n") else replace(each, text=each.text + newline)
        for each in keys
    ]
    place = section(listed, path)
    if place is not None:
        at = place[0]
        return [*_ended(listed[:at], newline), *ended, *listed[at:]]
    place = section(listed, after)
    at = len(listed) if place is None else place[1]
    while at and listed[at - 1].kind == "other":
        at -= 1
    header = [Block("other", (), newline), Block("header", path, f"[{'.'.join(path)}]{newline}")]
    if at and listed[at - 1].kind == "header" and listed[at - 1].path == after:
        header = header[1:]
    return [*_ended(listed[:at], newline), *header, *ended, *listed[at:]]


def _ended(listed: list[Block], newline: str) -> list[Block]:
    """Return blocks of which the last ends its line."""
    if not listed or listed[-1].text.endswith("\n"):
        return listed
    return [*listed[:-1], replace(listed[-1], text=listed[-1].text + newline)]


def text_of(listed: Sequence[Block]) -> str:
    """Return the document."""
    return "".join(each.whole for each in listed)
