"""Writes TOML in canonical form, for a file whose bytes are hashed and reviewed."""

from collections.abc import Iterator, Mapping, Sequence

_ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r"}


def dumps(document: Mapping[str, object], *, comment: str = "") -> str:
    """Return a document of texts, numbers, flags, lists of texts, tables and lists of tables."""
    lines = [f"# {line}" for line in comment.splitlines()]
    lines += [*_table(document, ())]
    return "\n".join(lines) + "\n"


def _table(table: Mapping[str, object], path: tuple[str, ...]) -> Iterator[str]:
    later: list[tuple[str, object, list[Mapping[str, object]]]] = []
    for key, value in table.items():
        if isinstance(value, Mapping):
            later.append((key, value, [value]))
        elif isinstance(value, list | tuple) and value and isinstance(value[0], Mapping):
            later.append((key, value, list(value)))
        else:
            yield f"{_key(key)} = {_value(value)}"
    for key, value, tables in later:
        where = (*path, key)
        name = ".".join(_key(part) for part in where)
        for item in tables:
            yield ""
            yield f"[{name}]" if isinstance(value, Mapping) else f"[[{name}]]"
            yield from _table(item, where)


def _key(key: str) -> str:
    bare = key and all(c.isascii() and (c.isalnum() or c in "-_") for c in key)
    return key if bare else _text(key)


def _value(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, Sequence):
        if not value:
            return "[]"
        if len(value) == 1:
            return f"[{_value(value[0])}]"
        return "[\n" + "".join(f"    {_value(item)},\n" for item in value) + "]"
    raise TypeError(value)


def _text(text: str) -> str:
    return f'"{"".join(map(_character, text))}"'


def _character(character: str) -> str:
    plain = character >= " " and character != "\x7f"
    return _ESCAPES.get(character) or (character if plain else f"\\u{ord(character):04X}")
