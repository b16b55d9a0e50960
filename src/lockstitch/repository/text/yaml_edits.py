"""Edits of YAML files for fixes, which leave the rest unchanged.

Each function that writes returns the edits of one change, as lines of the text; `proved` lets them
through only where the text, parsed again, is the old document with just that change.
"""

import functools
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from lockstitch.repository.text.lines import Edit, applied, line_start, newline_of

Path = tuple[str | int, ...]  # keys and places in lists, from the root
Change = Callable[[Any], object]  # of the document as texts, lists and dictionaries


def proved(path: str, text: str, edits: Iterable[Edit] | None, change: Change) -> tuple[Edit, ...]:
    """Return edits whose result is the document with a change made, and nothing else; or none."""
    listed = tuple(edits or ())
    before, after = _plain(text), _plain(applied(text, listed))
    if not listed or before is None or after is None or any(e.path != path for e in listed):
        return ()
    try:
        change(before)
    except (KeyError, IndexError, TypeError, AttributeError):
        return ()
    return listed if before == after else ()


def put(where: Path, value: object) -> Change:
    """Return the change that sets the value at a path."""

    def change(document: Any) -> None:
        for key in where[:-1]:
            document = document[key]
        document[where[-1]] = _texts(value)

    return change


def _texts(value: object, meant: Callable[[str], str] = str) -> object:
    """Return a value as the document is compared: texts, lists and dictionaries."""
    if isinstance(value, dict):
        return {key: _texts(item, meant) for key, item in value.items()}
    return [_texts(v, meant) for v in value] if isinstance(value, list) else meant(str(value))


def leaves_equal(text: str, edits: Iterable[Edit], meant: Callable[[str], str]) -> bool:
    """Return whether a text with edits has the same texts as before, each by what is meant."""
    before, after = _plain(text), _plain(applied(text, edits))
    return None not in (before, after) and _texts(before, meant) == _texts(after, meant)


def _plain(text: str) -> Any:
    """Return a document as texts, lists and dictionaries that share nothing, None for no YAML."""
    import yaml

    loader = getattr(yaml, "CBaseLoader", yaml.BaseLoader)
    try:
        documents = list(yaml.load_all(text, Loader=loader))
        return json.loads(json.dumps(documents[0])) if len(documents) == 1 else None
    except (yaml.YAMLError, ValueError, RecursionError, TypeError):
        return None


# --- places


@functools.lru_cache(maxsize=4)
def _root(text: str) -> Any:
    import yaml

    try:
        return yaml.compose(text, Loader=getattr(yaml, "CLoader", yaml.Loader))
    except (yaml.YAMLError, ValueError, RecursionError):
        return None


def node_at(text: str, where: Path) -> Any:
    """Return PyYAML's node at a path, None where there is none."""
    import yaml

    node = _root(text)
    for step in where:
        if isinstance(node, yaml.MappingNode):
            node = next((value for key, value in node.value if key.value == step), None)
        elif isinstance(node, yaml.SequenceNode) and isinstance(step, int):
            node = node.value[step] if step < len(node.value) else None
        else:
            return None
    return node


def at_line(text: str, line: int) -> Path | None:
    """Return the path of the first mapping that begins on a line."""
    for where, node in _walk(_root(text), ()):
        if node.id == "mapping" and where and node.start_mark.line == line - 1:
            return where
    return None


def _walk(node: Any, where: Path) -> Iterator[tuple[Path, Any]]:
    if node is None:
        return
    yield where, node
    if node.id == "mapping":
        for key, value in node.value:
            yield from _walk(value, (*where, str(key.value)))
    elif node.id == "sequence":
        for number, value in enumerate(node.value):
            yield from _walk(value, (*where, number))


def last_line(node: Any) -> int:
    """Return the last line of a node, from 0, without the comments after it."""
    # The mark at the end of a block is where the next thing begins, after comments.
    if node.id != "scalar" and not node.flow_style and node.value:
        last = node.value[-1]
        return last_line(last[1] if isinstance(last, tuple) else last)
    end = node.end_mark
    block_text = node.id == "scalar" and node.style in {"|", ">"}
    ended = end.column == 0 and end.line > node.start_mark.line and block_text
    return int(end.line - 1 if ended else end.line)


def span(text: str, node: Any) -> tuple[int, int]:
    """Return where a scalar or flow node begins and ends in a text."""
    start, end = node.start_mark, node.end_mark
    return (
        line_start(text, start.line + 1) + start.column,
        line_start(text, end.line + 1) + end.column,
    )


def _pair(text: str, where: Path) -> tuple[Any, Any] | None:
    node = node_at(text, where[:-1])
    if node is None or node.id != "mapping" or node.flow_style:
        return None
    return next((pair for pair in node.value if pair[0].value == where[-1]), None)


# --- edits


def added(
    path: str, text: str, where: Path, values: Mapping[str, object], *, after: str = ""
) -> list[Edit] | None:
    """Return the edits that add keys to a block mapping, below another key or at its end."""
    node = node_at(text, where)
    if node is None or node.id != "mapping" or node.flow_style or not node.value:
        return None
    names = [key.value for key, _ in node.value]
    if not values or values.keys() & {*names}:
        return None
    last = node.value[names.index(after) if after in names else -1][1]
    at = line_start(text, last_line(last) + 2)
    lines = [
        line for key, value in values.items() for line in _lines(key, value, node.start_mark.column)
    ]
    newline = newline_of(text)
    lead = newline if at == len(text) and not text.endswith("\n") else ""
    new = lead + "".join(f"{line}{newline}" for line in lines)
    return [Edit(path=path, start=at, end=at, text=new)]


def within(path: str, text: str, where: Path, old: str, new: str) -> list[Edit] | None:
    """Return the edits that replace a part of a value, which stands there once on one line."""
    pair = _pair(text, where)
    if pair is None:
        return None
    start = line_start(text, pair[1].start_mark.line + 1)
    end = line_start(text, last_line(pair[1]) + 2)
    if text.count(old, start, end) != 1:
        return None
    at = text.index(old, start, end)
    return [Edit(path=path, start=at, end=at + len(old), text=new)]


def removed(path: str, text: str, where: Path) -> list[Edit] | None:
    """Return the edits that take a key and its value out of a block mapping, with their lines."""
    pair = _pair(text, where)
    if pair is None:
        return None
    start = line_start(text, pair[0].start_mark.line + 1)
    if text[start : start + pair[0].start_mark.column].strip():
        return None  # the first key behind the dash of a list
    return [Edit(path=path, start=start, end=line_start(text, last_line(pair[1]) + 2), text="")]


def replaced(path: str, text: str, where: Path, value: object) -> list[Edit] | None:
    """Return the edits that write another value behind a key of a block mapping."""
    pair = _pair(text, where)
    if pair is None:
        return None
    key, old = pair
    if isinstance(value, str) and old.id == "scalar" and old.style not in {"|", ">"}:
        start, end = span(text, old)
        return [Edit(path=path, start=start, end=end, text=_scalar(value))] if old.value else None
    start = line_start(text, key.start_mark.line + 1) + key.start_mark.column
    end = line_start(text, last_line(old) + 2)
    newline = newline_of(text)
    lines = _lines(str(where[-1]), value, key.start_mark.column)
    return [Edit(path=path, start=start, end=end, text=newline.join(lines).lstrip() + newline)]


def key_renamed(path: str, text: str, where: Path, new: str) -> list[Edit] | None:
    """Return the edits that give a key of a block mapping another name."""
    pair = _pair(text, where)
    if pair is None:
        return None
    start, end = span(text, pair[0])
    return [Edit(path=path, start=start, end=end, text=new)]


def _lines(key: str, value: object, column: int) -> Sequence[str]:
    """Return `key: value` as lines in block style."""
    indent = " " * column
    if isinstance(value, dict):
        lines = [f"{indent}{key}:"]
        for inner, item in value.items():
            lines += _lines(inner, item, column + 2)
        return lines
    if isinstance(value, str) and "\n" in value:
        return [f"{indent}{key}: |", *(f"{indent}  {line}" for line in value.splitlines())]
    if isinstance(value, list):
        return [f"{indent}{key}: [{', '.join(_scalar(str(item), flow=True) for item in value)}]"]
    return [f"{indent}{key}: {_scalar(value) if isinstance(value, str) else value}"]


def _scalar(value: str, *, flow: bool = False) -> str:
    """Return a text on one line, with quotes where YAML wants them or in a list."""
    import yaml

    style = '"' if flow else None
    dumped = yaml.safe_dump(value, default_style=style, width=2**20, allow_unicode=True)
    return str(dumped).removesuffix("\n").removesuffix("\n...")
