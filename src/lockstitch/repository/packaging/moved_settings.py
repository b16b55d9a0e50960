"""Settings that tools read from another place now: what they are, and the document with them there.

A move is only made where the parsed result is what it should be, and no comment is lost.
"""

import copy
import re
import tomllib
from collections.abc import Iterator, Mapping, MutableMapping
from dataclasses import replace
from typing import Any

from lockstitch.python.tables import table
from lockstitch.repository.packaging import toml_blocks
from lockstitch.repository.packaging.toml_blocks import Block
from lockstitch.values import frozen

__all__ = ["RUFF", "Move", "find"]

# Top-level settings of ruff that `lint` has now (ruff 0.2, "deprecated top-level linter settings").
RUFF = frozenset(
    {"allowed-confusables", "dummy-variable-rgx", "explicit-preview-rules", "extend-fixable"}
    | {"extend-ignore", "extend-per-file-ignores", "extend-safe-fixes", "extend-select"}
    | {"extend-unfixable", "extend-unsafe-fixes", "external", "fixable", "flake8-annotations"}
    | {"flake8-bandit", "flake8-boolean-trap", "flake8-bugbear", "flake8-builtins"}
    | {"flake8-comprehensions", "flake8-copyright", "flake8-errmsg", "flake8-gettext"}
    | {"flake8-implicit-str-concat", "flake8-import-conventions", "flake8-pytest-style"}
    | {"flake8-quotes", "flake8-self", "flake8-tidy-imports", "flake8-type-checking"}
    | {"flake8-unused-arguments", "ignore", "ignore-init-module-imports", "isort"}
    | {"logger-objects", "mccabe", "pep8-naming", "per-file-ignores", "pycodestyle"}
    | {"pydocstyle", "pyflakes", "pylint", "pyupgrade", "select", "task-tags", "typing-modules"}
    | {"unfixable"}
)

Document = Mapping[str, Any]
Path = tuple[str, ...]


@frozen
class Move:
    """Keys of a table that belong into another one; `text` is the document then, if provable."""

    source: Path
    keys: tuple[str, ...]
    target: Path
    text: str | None = None


def find(document: Document, text: str, *, ruff: bool, locked: bool) -> Iterator[Move]:
    """Yield what stands in a deprecated place.

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
    made = _made(text, source, target, renamed)
    if wanted is None or made is None:
        return move
    try:
        same = tomllib.loads(made) == wanted
    except (ValueError, RecursionError):
        return move
    kept = _comments(text) == _comments(made)
    return replace(move, text=made) if same and kept else move


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
    listed = toml_blocks.blocks(text)
    if listed is None:
        return None
    listed = [_new_header(each, source, target, renamed) for each in listed]
    rest, keys = toml_blocks.moved(listed, source, lambda key: key in renamed)
    if keys:
        place = toml_blocks.section(rest, source)
        empty = place is not None and not any(b.kind == "key" for b in rest[slice(*place)])
        new = toml_blocks.section(rest, target) is None
        if empty and new and target[: len(source)] == source and source:
            named = {**renamed}
            listed = [_whole(each, source, target, named) for each in listed]
            return toml_blocks.text_of(listed)
        keys = [_new_key(each, renamed) for each in keys]
        listed = toml_blocks.insert(rest, target, keys, source)
    return toml_blocks.text_of(listed)


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
