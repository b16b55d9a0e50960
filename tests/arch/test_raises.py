"""Whoever calls a public function reads in its first lines which of our errors it raises.

What a function raises is read from the code: its own `raise`, and what it calls by a name that
leads to a function of ours. Calls of methods of values are not followed.
"""

import ast
import functools
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from support import sources

PACKAGE = Path(__file__).parents[2] / "src" / "lockstitch"
ROOMS = {"digest", "files", "git", "net", "oci", "process", "python", "store"}
EVERY = frozenset({"LockstitchError", "Exception", "BaseException"})


@dataclass
class Function:
    module: str
    owner: str  # its class, "" outside of any
    node: ast.FunctionDef
    raised: set[str] = field(default_factory=set)
    calls: set[str] = field(default_factory=set)

    @property
    def name(self) -> str:
        return f"{self.owner}.{self.node.name}" if self.owner else self.node.name


@functools.cache
def modules() -> dict[str, Path]:
    """Return the modules of the rooms and of all below them, by their dotted names."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        if len(parts) == 2 or parts[1] in ROOMS:  # with the leaves below them
            name = ".".join(part for part in parts if part != "__init__")
            found[name] = path
    return found


def nodes(module: str) -> list[ast.AST]:
    return sources.nodes(modules()[module])


@functools.cache
def errors() -> frozenset[str]:
    """Return the names of LockstitchError and of all that inherit it."""
    classes = [n for module in modules() for n in nodes(module) if isinstance(n, ast.ClassDef)]
    found = {"LockstitchError"}
    while more := {n.name for n in classes if found & {*map(last, n.bases)}} - found:
        found |= more
    return frozenset(found)


def last(node: ast.AST | None) -> str:
    """Return the last part of a name, also of one that is called."""
    node = node.func if isinstance(node, ast.Call) else node
    return getattr(node, "attr", getattr(node, "id", ""))


def dotted(node: ast.AST) -> str:
    """Return a name with what stands before its dots, or an empty text."""
    if isinstance(node, ast.Attribute):
        before = dotted(node.value)
        return f"{before}.{node.attr}" if before else ""
    return node.id if isinstance(node, ast.Name) else ""


def read(function: Function, node: ast.AST) -> None:
    """Note what a part of a function raises and calls where nothing catches it."""
    if isinstance(node, ast.FunctionDef | ast.Lambda | ast.ClassDef):
        return
    if isinstance(node, ast.Try) and any(map(catches, node.handlers)):
        for part in (*node.handlers, *node.orelse, *node.finalbody):
            read(function, part)
        return
    if isinstance(node, ast.With) and any(map(suppresses, node.items)):
        return
    if isinstance(node, ast.Raise) and last(node.exc) in errors():
        function.raised.add(last(node.exc))
    if isinstance(node, ast.Call):
        function.calls.add(dotted(node.func))
    for part in ast.iter_child_nodes(node):
        read(function, part)


def catches(handler: ast.ExceptHandler) -> bool:
    kinds = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    return bool(EVERY & {*map(last, kinds)})


def suppresses(item: ast.withitem) -> bool:
    call = item.context_expr
    named = isinstance(call, ast.Call) and last(call) == "suppress"
    return named and bool(EVERY & {*map(last, call.args)})


def written(module: str, nodes: list[ast.stmt], owner: str = "") -> Iterator[Function]:
    for node in nodes:
        if isinstance(node, ast.FunctionDef):
            function = Function(module, owner, node)
            for part in node.body:
                read(function, part)
            yield function
        elif isinstance(node, ast.ClassDef):
            yield from written(module, node.body, node.name)


@functools.cache
def functions() -> dict[tuple[str, str], Function]:
    """Return every function and method, with all that it raises."""
    found = {
        (function.module, function.name): function
        for module, path in modules().items()
        for function in written(module, sources.parsed(path).body)
    }
    found["lockstitch.errors", "raise_all"].raised.add("LockstitchError")
    called = {key: [*_called(found, function)] for key, function in found.items()}
    changed = True
    while changed:
        changed = False
        for key, function in found.items():
            more = {error for each in called[key] for error in each.raised} - function.raised
            changed = changed or bool(more)
            function.raised |= more
    return found


def _called(found: dict[tuple[str, str], Function], caller: Function) -> Iterator[Function]:
    for call in caller.calls:
        head, _, rest = call.partition(".")
        place, name = caller.module, call
        if head in {"self", "cls"}:
            name = f"{caller.owner}.{rest}"
        elif head in (imported := imports(caller.module)):
            place, name = imported[head]
            inner = f"{place}.{name}"
            name = f"{name}.{rest}".rstrip(".")
            place, name = (inner, rest) if inner in modules() else (place, name)
        for known in ((place, name), (place, f"{name}.__post_init__")):
            if known in found:
                yield found[known]


@functools.cache
def imports(module: str) -> dict[str, tuple[str, str]]:
    return {
        alias.asname or alias.name: (node.module or "", alias.name)
        for node in nodes(module)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }


@pytest.mark.xdist_group("sources")
def test_public_functions_name_the_errors_that_they_raise() -> None:
    silent, seen = [], set()
    for function in functions().values():
        room = function.module.split(".")[1:2]
        hidden = any(part.startswith("_") for part in function.name.split("."))
        if ROOMS & {*room} and function.raised and not hidden:
            seen |= {*room}
            words = ast.get_docstring(function.node) or ""
            if not any(error in words for error in errors()):
                silent.append(f"{function.module}.{function.name}: {sorted(function.raised)}")
    assert silent == []
    assert seen == ROOMS  # or the reader finds none any more
