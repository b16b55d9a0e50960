"""Settings that tools read from another place now: what they are, and the document with them there.

A move is only made where the parsed result is what it should be, and no comment is lost.
"""

import copy
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping, MutableMapping, Sequence
from typing import Any

from lockstitch.patterns import regex
from lockstitch.python.tables import table
from lockstitch.resources import load_table
from lockstitch.values import frozen, positional, replace

# Top-level settings of ruff that `lint` has now (ruff 0.2, "deprecated top-level linter settings").
RUFF = frozenset(load_table(__package__, "words.toml")["ruff"])

_HEADER = regex(r"\s*\[\[?(?P<path>[^\[\]]+)\]\]?\s*(?:#.*)?")
_PART = regex(r"""\s*(?:([A-Za-z0-9_-]+)|"([^"\\]*)"|'([^']*)')\s*(?:\.|$|=)""")
_LONGEST = 400  # lines of one value

Document = Mapping[str, Any]
Path = tuple[str, ...]


@frozen
class Move:
    """Keys of a table that belong into another one; `text` is the document then, if provable."""

    source: Path
    keys: tuple[str, ...]
    target: Path
    text: str | None = None


@positional
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


def find(document: Document, text: str, *, ruff: bool, locked: bool) -> Iterator[Move]:
    """Yield the settings in a deprecated place.

    `ruff`: the document is a ruff.toml. `locked`: a poetry.lock has a hash of the document, so
    that nothing of Poetry is moved.
    """
    place: Path = () if ruff else ("tool", "ruff")
    keys = tuple(key for key in _at(document, place) if key in RUFF)
    if keys:
        yield _checked(document, text, place, keys, (*place, "lint"))
    if ruff:
        return
    if "dev-dependencies" in table(document, "tool", "uv"):
        source: Path = ("tool", "uv")
        target: Path = ("dependency-groups",)
        yield _checked(
            document, text, source, ("dev-dependencies",), target, {"dev-dependencies": "dev"}
        )
    if "dev-dependencies" in table(document, "tool", "poetry"):
        source, target = ("tool", "poetry"), ("tool", "poetry", "group", "dev")
        names = {"dev-dependencies": "dependencies"}
        move = _checked(document, text, source, ("dev-dependencies",), target, names)
        yield replace(move, text=None) if locked else move


def _at(document: Document, path: Path) -> Document:
    return table(document, *path) if path else document


def _checked(
    document: Document,
    text: str,
    source: Path,
    keys: Path,
    target: Path,
    names: Mapping[str, str] | None = None,
) -> Move:
    move = Move(source=source, keys=keys, target=target)
    renamed = {key: (names or {}).get(key, key) for key in keys}
    wanted = _expected(document, source, target, renamed)
    moved = _made(text, source, target, renamed)
    if wanted is None or moved is None:
        return move
    try:
        same = tomllib.loads(moved) == wanted
    except (ValueError, RecursionError):
        return move
    kept = _comments(text) == _comments(moved)
    return replace(move, text=moved) if same and kept else move


def _comments(text: str) -> list[str]:
    return sorted(line.partition("#")[2].strip() for line in text.splitlines() if "#" in line)


def _expected(
    document: Document, source: Path, target: Path, renamed: Mapping[str, str]
) -> dict[str, Any] | None:
    """Return the parsed document as it should be, None where the target has a key already."""
    wanted = copy.deepcopy(dict(document))
    taken = _reach(wanted, source)
    put = _reach(wanted, target)
    if taken is None or put is None or any(name in put for name in renamed.values()):
        return None
    for key, name in renamed.items():
        put[name] = taken.pop(key)
    return wanted


def _reach(document: MutableMapping[str, Any], path: Path) -> MutableMapping[str, Any] | None:
    for part in path:
        below = document.setdefault(part, {})
        if not isinstance(below, MutableMapping):
            return None
        document = below
    return document


def _made(text: str, source: Path, target: Path, renamed: Mapping[str, str]) -> str | None:
    listed = blocks(text)
    if listed is None:
        return None
    listed = [_new_header(block, source, target, renamed) for block in listed]
    rest, keys = _moved(listed, source, lambda key: key in renamed)
    if keys:
        place = _section(rest, source)
        empty = place is not None and not any(b.kind == "key" for b in rest[slice(*place)])
        new = _section(rest, target) is None
        if empty and new and target[: len(source)] == source and source:
            named = {**renamed}
            listed = [_whole(block, source, target, named) for block in listed]
            return _text_of(listed)
        keys = [_new_key(key, renamed) for key in keys]
        listed = _insert(rest, target, keys, source)
    return _text_of(listed)


def _whole(block: Block, source: Path, target: Path, renamed: Mapping[str, str]) -> Block:
    """Return the header of a table of which all keys move, as the header of their new place."""
    if block.kind == "header" and block.path == source:
        old = re.compile(r"\[\s*" + r"\s*\.\s*".join(map(re.escape, source)) + r"\s*\]")
        return replace(block, path=target, text=old.sub(f"[{'.'.join(target)}]", block.text, 1))
    inside = block.kind == "key" and block.path[0] in renamed
    return _new_key(block, renamed) if inside and renamed[block.path[0]] != block.path[0] else block


def _new_header(block: Block, source: Path, target: Path, renamed: Mapping[str, str]) -> Block:
    """Return the header of a table below a key that moves with its new path."""
    size = len(source)
    key = block.path[size] if block.kind == "header" and len(block.path) > size else ""
    if block.path[:size] != source or key not in renamed:
        return block
    old = r"\s*\.\s*".join(re.escape(part) for part in (*source, key))
    pattern = re.compile(rf"(\[\s*){old}(?=\s*[.\]])")
    name = ".".join((*target, renamed[key]))
    path = (*target, renamed[key], *block.path[size + 1 :])
    return replace(block, path=path, text=pattern.sub(rf"\g<1>{name}", block.text, count=1))


def _new_key(block: Block, renamed: Mapping[str, str]) -> Block:
    name = renamed[block.path[0]]
    text = block.text.replace(block.path[0], name, 1) if name != block.path[0] else block.text
    return replace(block, path=(name, *block.path[1:]), text=text)


# --- a document as blocks of whole lines, so that keys are moved with their comments: a library
# that edits TOML moves a key and leaves the comment above it behind


def blocks(text: str) -> list[Block] | None:
    """Return the blocks of a document, None when a line cannot be told."""
    lines = text.splitlines(keepends=True)
    parts: list[Block] = []
    at = 0
    while at < len(lines):
        line = lines[at]
        bare = line.strip()
        header = _HEADER.fullmatch(line.rstrip("\r\n"))
        if not bare or bare.startswith("#"):
            parts.append(Block("other", (), line))
            at += 1
        elif header and not _value(line):
            path = _parts(f"{header['path']}=")
            if path is None:
                return None
            parts.append(Block("header", path, line))
            at += 1
        else:
            end = _end(lines, at)
            path = _parts(line)
            if end is None or path is None:
                return None
            parts.append(Block("key", path, "".join(lines[at:end])))
            at = end
    return _with_leads(parts)


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
    parts, at = [], 0
    while match := _PART.match(text, at):
        parts.append(next(part for part in match.groups() if part is not None))
        at = match.end()
        if text[at - 1] == "=":
            return tuple(parts)
    return None


def _with_leads(parts: list[Block]) -> list[Block]:
    """Return the blocks with comment lines joined to the key that they stand right above."""
    result: list[Block] = []
    for block in parts:
        lead = ""
        while block.kind == "key" and result and result[-1].kind == "other":
            if not result[-1].text.lstrip().startswith("#"):
                break
            lead = result.pop().text + lead
        result.append(replace(block, lead=lead))
    return result


def _section(listed: Sequence[Block], path: tuple[str, ...]) -> tuple[int, int] | None:
    """Return where a table's own keys stand, from after its header; None without such a header."""
    start = None if path else 0
    for number, block in enumerate(listed):
        if block.kind == "header":
            if start is not None:
                return start, number
            if block.path == path:
                start = number + 1
    return None if start is None else (start, len(listed))


def _moved(
    listed: list[Block], path: tuple[str, ...], wanted: Callable[[str], bool]
) -> tuple[list[Block], list[Block]]:
    """Return the blocks without a table's keys that are wanted, and those keys."""
    place = _section(listed, path)
    if place is None:
        return listed, []
    taken = [n for n in range(*place) if listed[n].kind == "key" and wanted(listed[n].path[0])]
    return [block for n, block in enumerate(listed) if n not in taken], [listed[n] for n in taken]


def _insert(
    listed: list[Block], path: tuple[str, ...], keys: Sequence[Block], after: tuple[str, ...]
) -> list[Block]:
    """Return the blocks with keys in a table; a new one comes behind the table `after`."""
    newline = "\r\n" if any("\r\n" in block.text for block in listed) else "\n"
    ended = [
        key if key.text.endswith("\n") else replace(key, text=key.text + newline) for key in keys
    ]
    place = _section(listed, path)
    if place is not None:
        at = place[0]
        return [*_ended(listed[:at], newline), *ended, *listed[at:]]
    place = _section(listed, after)
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


def _text_of(listed: Sequence[Block]) -> str:
    """Return the document."""
    return "".join(block.whole for block in listed)
