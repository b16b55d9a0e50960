"""The Python code of scripts and notebooks: what it calls and imports."""

import ast
import json
import re
from collections.abc import Iterator
from typing import Any

from lockstitch.patterns import regex
from lockstitch.python.syntax import tree_of
from lockstitch.resources import load_table
from lockstitch.values import frozen

_LARGEST = 2_000_000  # characters of code that are parsed
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_MAGIC = regex(r"^\s*[%!?]|.*\?\s*$")


@frozen
class Call:
    """One call: the whole name of the function, its node, its line in the file."""

    name: str
    node: ast.Call
    line: int
    at_once: bool  # not in a function: when the file is started or imported


@frozen
class Source:
    """The code of a file: its calls in order, and what its imports name."""

    path: str
    calls: tuple[Call, ...]
    imports: frozenset[str]  # modules and what is taken from them, as whole names
    relative: tuple[tuple[int, str], ...]  # dots and name of relative imports
    is_script: bool  # something at its top level runs when it is started

    def keyword(self, call: Call, *names: str) -> ast.expr | None:
        """Return the value of a call's keyword; `**` counts as any of them."""
        for node in call.node.keywords:
            if node.arg is None or node.arg in names:
                return node.value
        return None


def parsed(path: str, text: str) -> Source | None:
    """Return a file's code, None when it is too much."""
    if len(text) > _LARGEST:
        return None
    reader = _Reader()
    for code, lines in _cells(text) if path.endswith(".ipynb") else [(text, None)]:
        tree = tree_of(code)
        if tree is not None:
            reader.read(tree, lines)
    calls = sorted(reader.calls, key=lambda call: call.line)
    return Source(
        path=path,
        calls=tuple(calls),
        imports=frozenset(reader.names.values()) | frozenset(reader.modules),
        relative=tuple(reader.relative),
        is_script=reader.is_script,
    )


def names_of(tree: ast.Module) -> dict[str, str]:
    """Return the full names behind a file's imported names; `*` for a module imported whole."""
    reader = _Reader()
    reader.read(tree, None)
    return reader.names


def python_of(text: str) -> str:
    """Return a notebook's Python code, without magics, each line where the notebook has it."""
    lines: list[str] = []
    for code, places in _cells(text):
        if tree_of(code) is None:
            continue
        at = max(places[0] - 1, len(lines)) if places else len(lines)
        lines += [""] * (at - len(lines)) + code.split("\n")
    return "\n".join([*lines, ""])


def _cells(text: str) -> Iterator[tuple[str, list[int]]]:
    """Yield the code cells of a notebook, without magics, with the file's line of each line."""
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return
    listed = document.get("cells") if isinstance(document, dict) else None
    written = text.splitlines()
    at = 0
    for cell in listed if isinstance(listed, list) else ():
        source = cell.get("source") if isinstance(cell, dict) else None
        if isinstance(cell, dict) and cell.get("cell_type") == "code" and source:
            lines = _source_lines(source)
            if lines and re.match(r"%%(?!time|capture)", lines[0]):
                continue
            places = []
            for line in lines:
                at = _place(written, json.dumps(line, ensure_ascii=False)[1:-1], at)
                places.append(at + 1)
            yield "\n".join(_without_magic(line) for line in lines), places


def _without_magic(line: str) -> str:
    """Return a line, a `pass` as far to the right in place of a magic."""
    return line[: len(line) - len(line.lstrip())] + "pass" if _MAGIC.match(line) else line


def _source_lines(source: Any) -> list[str]:
    if isinstance(source, list):
        source = "".join(line for line in source if isinstance(line, str))
    return source.splitlines() if isinstance(source, str) else []


def _place(written: list[str], wanted: str, start: int) -> int:
    """Return where a line of a cell stands in the file, the last place when it cannot be told."""
    if not wanted.strip():
        return start
    for number in range(start, min(len(written), start + 5000)):
        if wanted in written[number]:
            return number
    return start


class _Reader:
    """Collects calls and imports."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.names: dict[str, str] = {}  # what a name in the file stands for
        self.modules: set[str] = set()
        self.relative: list[tuple[int, str]] = []
        self.is_script = False

    def read(self, tree: ast.Module, lines: list[int] | None) -> None:
        """Take one module or cell."""
        nodes = [*ast.walk(tree)]
        for node in nodes:
            if isinstance(node, ast.Import):
                for alias in node.names:
                    self.modules.add(alias.name)
                    first = alias.name.partition(".")[0]
                    self.names[alias.asname or first] = alias.name if alias.asname else first
            elif isinstance(node, ast.ImportFrom):
                self._import_from(node)
        above = {id(inner) for node in tree.body for inner in _at_once(node)}
        for node in nodes:
            if isinstance(node, ast.Call) and (name := dotted(node.func)):
                first, dot, rest = name.partition(".")
                line = lines[node.lineno - 1] if lines else node.lineno
                whole = self.names.get(first, first) + dot + rest
                call = Call(name=whole, node=node, line=line, at_once=id(node) in above)
                self.calls.append(call)
        own = {node.name for node in tree.body if isinstance(node, _FUNCTIONS)}
        runs = any(_runs(node, own) for node in tree.body)
        self.is_script = self.is_script or lines is not None or runs

    def _import_from(self, node: ast.ImportFrom) -> None:
        module = node.module or ""
        if node.level:
            self.relative.append((node.level, module))
            self.relative += [(node.level, f"{module}.{a.name}".strip(".")) for a in node.names]
        else:
            self.modules.add(module)
        for alias in node.names:
            lead = "." * node.level + module
            self.names[alias.asname or alias.name] = f"{lead}.{alias.name}"


def dotted(node: ast.expr) -> str:
    """Return a name with its attributes, `?` before them where they are of no name."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    if isinstance(node, ast.Name):
        parts.append(node.id)
    elif parts:
        parts.append("?")  # a call's result, a subscript
    return ".".join(reversed(parts))


# Calls at the top of many a module that make ready for others, and are no work of their own.
_SETS_UP = frozenset(load_table(__package__, "words.toml")["sets_up"])


_MAKES_READY = re.compile(r"(?i)log|config|setting|seed|device|env")


def _runs(node: ast.stmt, own: set[str]) -> bool:
    """Return whether a statement at the top level does something when the file is started.

    What is assigned is mostly a logger, a type or a pattern, unless one of the file's `own`
    functions makes it.
    """
    if isinstance(node, ast.If):
        return "__name__" in ast.dump(node.test)
    if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call):
        called = node.value.func.id if isinstance(node.value.func, ast.Name) else ""
        return called in own and not _MAKES_READY.search(called)
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        return dotted(node.value.func).rpartition(".")[2] not in _SETS_UP
    return isinstance(node, ast.For | ast.With | ast.While)


def _at_once(node: ast.AST) -> Iterator[ast.AST]:
    """Yield a node and what is in it, but for the bodies of functions."""
    todo = [node]
    while todo:
        inner = todo.pop()
        yield inner
        if not isinstance(inner, (*_FUNCTIONS, ast.Lambda)):
            todo += ast.iter_child_nodes(inner)
