"""Adds to a TOML file, keeping its comments, its order and every value that is there."""

import copy
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from lockstitch.errors import LockstitchError
from lockstitch.python.tables import parse_toml
from lockstitch.values import frozen

_ON_TOP = {("project",), ("build-system",)}  # where people look for them


@frozen
class Table:
    """A table that a file should have.

    A key that is there is kept, unless the table is of settings that may be `replaced`. A list
    of `extended` gets the values that it lacks; all others are written when the key is missing,
    or, of a `whole` table, when the table is.
    """

    path: tuple[str, ...]
    values: Mapping[str, Any]
    replaced: bool = False
    extended: bool = False
    whole: bool = False


@frozen
class Edited:
    """The new text, and a note for each value that differs and was kept."""

    text: str
    notes: tuple[str, ...]


def edit(text: str, tables: Sequence[Table], name: str, *, force: bool = False) -> Edited:
    """Return a TOML text with tables added; `force` replaces the values that may be.

    What comes out is read again: it has all that was there and all that was added, or
    LockstitchError says which table has to be added by hand.
    """
    notes: list[str] = []
    fresh = not text.strip()
    for table in tables:
        document = parse_toml(text, f"`{name}`", hint="correct that line")
        changes = _changes(document, table, notes, force=force)
        if changes is None:
            continue
        on_top = not fresh and table.path in _ON_TOP
        wanted = _with(document, table.path, changes)
        candidates = _candidates(text, document, table.path, changes, on_top=on_top)
        good = (candidate for candidate in candidates if _same(candidate, wanted))
        text = next(good, "") or _refuse(name, table.path, changes)
    return Edited(text=text, notes=tuple(notes))


def _changes(
    document: Mapping[str, Any], table: Table, notes: list[str], *, force: bool
) -> dict[str, Any] | None:
    """Return the values to set, or None when the table has all that it should."""
    there = _at(document, table.path)
    where = ".".join(table.path)
    if there is not None and not isinstance(there, dict):
        notes.append(f"`{where}` is no table: kept")
        return None
    changes: dict[str, Any] = {}
    for key, value in table.values.items():
        if there is None or (key not in there and (force or not table.whole)):
            changes[key] = value
        elif key not in there:
            continue
        elif table.extended and isinstance(there[key], list):
            more = [item for item in value if item not in there[key]]
            changes |= {key: [*there[key], *more]} if more else {}
        elif there[key] != value and table.replaced:
            if force:
                changes[key] = value
            else:
                notes.append(f"`{where}.{key}` is `{there[key]!r:.60}`, ours `{value!r:.60}`: kept")
    return changes if changes or there is None else None


def _at(document: Mapping[str, Any], path: Sequence[str]) -> Any:
    node: Any = document
    for key in path:
        if not isinstance(node, dict):
            return node
        node = node.get(key)
        if node is None:
            return None
    return node


def _with(
    document: Mapping[str, Any], path: Sequence[str], changes: Mapping[str, Any]
) -> dict[str, Any]:
    wanted = copy.deepcopy(dict(document))
    table = wanted
    for key in path:
        table = table.setdefault(key, {})
    table |= changes
    return wanted


def _refuse(name: str, path: Sequence[str], changes: Mapping[str, Any]) -> str:
    message = f"`{name}` cannot get a table [{'.'.join(path)}] beside what is there"
    lines = "; ".join(f"{key} = {value!r:.60}" for key, value in changes.items())
    raise LockstitchError(message, hint=f"add it by hand: {lines}")


def _same(text: str, wanted: Mapping[str, Any]) -> bool:
    try:
        return tomllib.loads(text) == wanted
    except ValueError:
        return False


def _candidates(
    text: str,
    document: Mapping[str, Any],
    path: tuple[str, ...],
    changes: Mapping[str, Any],
    *,
    on_top: bool,
) -> Iterator[str]:
    """Yield texts from the best to the last resort; which ones are right is for the caller."""
    import tomlkit
    from tomlkit.exceptions import TOMLKitError

    there = _at(document, path)
    only_tables = there is not None and all(isinstance(value, dict) for value in there.values())
    block = _block(path, changes)
    if not there or only_tables:
        if on_top and text.startswith("["):
            yield f"{block}\n{text}"
        yield f"{text.rstrip()}\n\n{block}" if text.strip() else block
    try:
        table: Any = (parsed := tomlkit.parse(text))
        for key in path:
            if key not in table:
                table[key] = tomlkit.inline_table()
            table = table[key]
        for key, value in changes.items():
            _set(table, key, value)
        yield parsed.as_string()
    except (TOMLKitError, KeyError, TypeError, ValueError, AttributeError, RecursionError):
        return


def _set(table: Any, key: str, value: Any) -> None:
    from tomlkit.items import Array

    there = table.get(key)
    if isinstance(there, Array) and isinstance(value, list) and value[: len(there)] == list(there):
        for item in value[len(there) :]:
            there.append(item)  # in the style of the list, its comments kept
    else:
        table[key] = _item(value)


def _block(path: Sequence[str], values: Mapping[str, Any]) -> str:
    import tomlkit

    table = tomlkit.document()
    for key, value in values.items():
        table.add(key, _item(value))
    name = ".".join(tomlkit.key(part).as_string() for part in path)
    return f"[{name}]\n{table.as_string()}"


def _item(value: Any) -> Any:
    import tomlkit

    if isinstance(value, dict):
        inline = tomlkit.inline_table()
        inline.update(value)
        return inline
    if not isinstance(value, list):
        return tomlkit.item(value)
    array = tomlkit.array()
    array.extend(_item(item) for item in value)
    array.multiline(len(array.as_string()) > 76)  # a longer list gets a line for each value
    return array
