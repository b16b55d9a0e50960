"""Python code of scripts and notebooks, parsed when a quick look says that a rule is about it."""

import ast
import json
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from lockstitch.patterns import regex
from lockstitch.repository.file_cache import cached_per_file
from lockstitch.repository.files import Repository, once
from lockstitch.values import frozen

__all__ = ["APPS", "SERVERS", "Call", "Signs", "Source", "cells", "code_signs", "parsed"]

_LARGEST = 2_000_000  # characters of code that are parsed
_NAMES = regex(r"(?i)train|tune|fit")
# Who imports these serves; of the others, clients and types may be all that is used.
SERVERS = frozenset({"bentoml", "django", "gradio", "litserve", "robyn", "streamlit"})
APPS = frozenset(
    (
        *("fastapi.FastAPI", "fastapi.APIRouter", "flask.Flask", "flask.Blueprint"),
        *("starlette.applications.Starlette", "starlette.routing.Router", "litestar.Litestar"),
        *("litestar.Router", "litestar.get", "litestar.post", "sanic.Sanic", "sanic.Blueprint"),
        *("quart.Quart", "quart.Blueprint", "blacksheep.Application", "aiohttp.web.Application"),
        *("blacksheep.server.Application", "falcon.App", "falcon.API", "falcon.asgi.App"),
        "tornado.web.Application",
    )
)
_IMPORTED = rb"(?:%s)\b" % b"|".join(
    sorted({name.partition(".")[0].encode() for name in SERVERS | APPS})
)
# What a file has that any of these fit. Each begins with letters where that can be: those are
# looked for ten times as quickly as anything else.
_SIGNS: tuple[tuple[re.Pattern[bytes], ...], ...] = (
    (regex(rb"\.(?:fit|fit_generator|step|train|backward|save|start_run|log_metric)\("),),
    (regex(rb"rand|Random|split|shuffle|sample|choice|KMeans|Mixture|MLP|SGD|torch|keras|make_"),),
    (regex(rb"loads?\("),),
    (regex(rb"from[ \t]+" + _IMPORTED), regex(rb"import[ \t]+" + _IMPORTED)),
    (regex(rb"seed\w*\("),),
    (regex(rb"/home/"), regex(rb"/Users/"), regex(rb"\\Users\\")),
)
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_MAGIC = regex(r"^\s*[%!?]|.*\?\s*$")


@dataclass(frozen=True, slots=True)
class Signs:
    """What a quick look at a file has seen."""

    bits: int

    @property
    def trains(self) -> bool:
        """Return whether it may train and draw."""
        return self.bits & 3 == 3  # noqa: PLR2004 -- the first two signs

    @property
    def loads(self) -> bool:
        """Return whether it may load a pickle."""
        return bool(self.bits & 4)

    @property
    def serves(self) -> bool:
        """Return whether it may be a server."""
        return bool(self.bits & 8)

    @property
    def seeds(self) -> bool:
        """Return whether it calls something by the name of seed."""
        return bool(self.bits & 16)

    @property
    def homes(self) -> bool:
        """Return whether it may name a person's folder."""
        return bool(self.bits & 32)


@frozen
class Call:
    """One call: the whole name of what is called, its node, its line in the file."""

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
        for each in call.node.keywords:
            if each.arg is None or each.arg in names:
                return each.value
        return None


@once
def code_signs(repo: Repository) -> dict[str, Signs]:
    """Return what a quick look sees in each Python file and notebook that rules look at."""
    names = [
        n for n in repo.names if n.endswith((".py", ".ipynb")) and ".ipynb_checkpoints" not in n
    ]
    version = "\n".join(repr(each.pattern) for sign in _SIGNS for each in sign)
    return {
        n: Signs(bits) for n, bits in cached_per_file(repo, names, "checked-code", version, _look)
    }


def _look(name: str, data: bytes) -> tuple[int, bool]:
    bits = sum(1 << n for n, sign in enumerate(_SIGNS) if any(p.search(data) for p in sign))
    return bits | bool(_NAMES.search(name)), True


def parsed(path: str, text: str) -> Source | None:
    """Return a file's code, None when it is too much."""
    if len(text) > _LARGEST:
        return None
    reader = _Reader()
    for code, lines in cells(text) if path.endswith(".ipynb") else [(text, None)]:
        tree = _tree(code)
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


def _tree(code: str) -> ast.Module | None:
    try:
        with warnings.catch_warnings():  # a wrong escape in somebody's string is not ours to say
            warnings.simplefilter("ignore")
            return ast.parse(code.removeprefix("\ufeff"))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def cells(text: str) -> Iterator[tuple[str, list[int]]]:
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
            kept = ["pass" if _MAGIC.match(line) else line for line in lines]
            yield "\n".join(_indented(lines, kept)), places


def _indented(lines: list[str], kept: list[str]) -> Iterator[str]:
    """Yield lines, a magic's place taken by a `pass` that is as far to the right."""
    for line, word in zip(lines, kept, strict=True):
        lead = line[: len(line) - len(line.lstrip())]
        yield lead + word if word == "pass" and word != line else word


def _source_lines(source: Any) -> list[str]:
    if isinstance(source, list):
        source = "".join(each for each in source if isinstance(each, str))
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
        above = {id(each) for node in tree.body for each in _at_once(node)}
        for node in nodes:
            if isinstance(node, ast.Call) and (name := _dotted(node.func)):
                first, dot, rest = name.partition(".")
                line = lines[node.lineno - 1] if lines else node.lineno
                whole = self.names.get(first, first) + dot + rest
                call = Call(name=whole, node=node, line=line, at_once=id(node) in above)
                self.calls.append(call)
        own = {each.name for each in tree.body if isinstance(each, _FUNCTIONS)}
        runs = any(_runs(each, own) for each in tree.body)
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


def _dotted(node: ast.expr) -> str:
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    if isinstance(node, ast.Name):
        parts.append(node.id)
    elif parts:
        parts.append("?")  # a call's result, a subscript
    return ".".join(reversed(parts))


def _runs(node: ast.stmt, own: set[str]) -> bool:
    """Return whether a statement at the top level does something when the file is started.

    What is assigned is mostly a logger, a type or a pattern, unless one of the file's `own`
    functions makes it.
    """
    if isinstance(node, ast.If):
        return "__name__" in ast.dump(node.test)
    if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call):
        return isinstance(node.value.func, ast.Name) and node.value.func.id in own
    starts = isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)
    return starts or isinstance(node, ast.For | ast.With | ast.While)


def _at_once(node: ast.AST) -> Iterator[ast.AST]:
    """Yield a node and what is in it, but for the bodies of functions."""
    todo = [node]
    while todo:
        each = todo.pop()
        yield each
        if not isinstance(each, (*_FUNCTIONS, ast.Lambda)):
            todo += ast.iter_child_nodes(each)
