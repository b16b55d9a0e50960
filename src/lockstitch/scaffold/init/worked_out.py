"""What the code of a setup.py comes to, worked out from its syntax tree; nothing of it is run.

Names, texts, lists, functions, loops and files of the folder are followed, as far as a few kinds
of values go; whatever else there is is UNKNOWN, and so is all that is made of it.
"""

import ast
import operator
import posixpath
import re
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import PurePosixPath
from typing import Any

from lockstitch.python.imports import COMPARISONS
from lockstitch.python.syntax import tree_of

UNKNOWN: Any = object()
_MOST_STEPS = 50_000
_LONGEST = 200_000  # characters of a text, or members of a list
_PYTHON = (3, 11)
_BUILTINS: dict[str, Callable[..., Any]] = {
    **{f.__name__: f for f in (str, len, list, tuple, set, dict, sorted, any, all, enumerate, zip)},
    **{f.__name__: f for f in (reversed, bool, int, min, max)},
}
_COMPARED = {**COMPARISONS, ast.Is: operator.eq, ast.IsNot: operator.ne}
_METHODS: dict[type, frozenset[str]] = {
    str: frozenset(
        {"strip", "lstrip", "rstrip", "split", "rsplit", "splitlines", "startswith", "endswith"}
        | {"replace", "join", "lower", "upper", "partition", "rpartition", "find", "index", "count"}
        | {"removeprefix", "removesuffix", "format", "title"}
    ),
    list: frozenset({"append", "extend", "remove", "insert", "pop", "index", "sort", "copy"}),
    dict: frozenset({"get", "items", "keys", "values", "update", "setdefault", "pop", "copy"}),
    set: frozenset({"add", "update", "union", "discard", "remove"}),
    re.Match: frozenset({"group", "groups"}),
}
_SAME = frozenset(  # what gives a path or a text back as it is
    {"os.path.abspath", "os.path.realpath", "os.path.normpath", "os.fspath", "os.path.expanduser"}
    | {"resolve", "absolute", "as_posix", "compile", "decode", "encode", "ast.literal_eval"}
)
_PATHS = frozenset({"pathlib.Path", "pathlib.PurePath", "pathlib.PosixPath"})
_SEARCHES = frozenset({"search", "match", "findall", "sub", "split", "fullmatch"})
_SLOW = re.compile(r"[*+}]\)?[*+{]")  # a pattern that may take for ever
_WIDE = re.compile(r"%[^a-z]*\d{3}|\*")  # a place of a text that is filled with far too much
_NAMED = frozenset({"requirement", "req", "line"})  # of what pip's parser yields: texts here


class _ReturnError(Exception):
    """A `return`, with its value."""


class _FailedError(Exception):
    """What would be an exception, or the end of the program."""


class Code:
    """One file worked out: the values of its names, and the words of its calls of setup()."""

    def __init__(self, tree: ast.Module, read: Callable[[str], str | None]) -> None:
        """Work out a file; `read` returns the text of a file of the folder."""
        self.names: dict[str, Any] = {"__name__": "__main__", "__file__": "setup.py"}
        self.calls: list[dict[str, Any]] = []
        self._read = read
        self._steps = 0
        self._every(tree.body, self.names)

    # --- statements

    def _every(self, body: Iterable[ast.stmt], scope: dict[str, Any]) -> None:
        for node in body:
            try:
                self._do(node, scope)
            except _ReturnError:
                raise
            except Exception as error:
                if self._steps > _MOST_STEPS:
                    return
                if not isinstance(error, _FailedError) or scope is self.names:
                    self._forget(node, scope)
                    continue
                raise

    def _forget(self, node: ast.stmt, scope: dict[str, Any]) -> None:
        for name in ast.walk(node):
            if isinstance(name, ast.Name) and isinstance(name.ctx, ast.Store):
                scope[name.id] = UNKNOWN

    def _do(self, node: ast.stmt, scope: dict[str, Any]) -> None:  # noqa: C901, PLR0912 -- one case for each kind of statement
        match node:
            case ast.Assign(targets=targets, value=value):
                for target in targets:
                    self._bind(target, self.value(value, scope), scope)
            case ast.AnnAssign(target=target, value=ast.expr() as value):
                self._bind(target, self.value(value, scope), scope)
            case ast.AugAssign(target=ast.Name(id=name) as target, op=op, value=value):
                whole = ast.BinOp(left=ast.Name(id=name, ctx=ast.Load()), op=op, right=value)
                self._bind(target, self.value(whole, scope), scope)
            case ast.Expr(value=value):
                self.value(value, scope)
            case ast.Return(value=value):
                raise _ReturnError(self.value(value, scope) if value else None)
            case ast.FunctionDef(name=name):
                scope[name] = node
            case ast.Import(names=names):
                for alias in names:
                    first = alias.name.partition(".")[0]
                    scope[alias.asname or first] = _Dotted(alias.name if alias.asname else first)
            case ast.ImportFrom(module=module, names=names):
                for alias in names:
                    scope[alias.asname or alias.name] = _Dotted(f"{module}.{alias.name}")
            case ast.If(test=test, body=body, orelse=orelse):
                condition = self.value(test, scope)  # what is not known is most often an exception
                self._every(body if condition is not UNKNOWN and condition else orelse, scope)
            case ast.For(target=target, iter=iterated, body=body):
                for member in self._items(self.value(iterated, scope)):
                    self._bind(target, member, scope)
                    self._every(body, scope)
            case ast.With(items=items, body=body):
                for item in items:
                    opened = self.value(item.context_expr, scope)
                    if item.optional_vars:
                        self._bind(item.optional_vars, opened, scope)
                self._every(body, scope)
            case ast.Try(body=body, handlers=handlers, orelse=orelse, finalbody=final):
                try:
                    for statement in body:
                        self._do(statement, scope)
                    self._every(orelse, scope)
                except _ReturnError:
                    raise
                except Exception:  # noqa: BLE001 -- as above
                    self._every(handlers[0].body if handlers else [], scope)
                self._every(final, scope)
            case ast.Raise():
                raise _FailedError

    def _bind(self, target: ast.expr, value: Any, scope: dict[str, Any]) -> None:
        match target:
            case ast.Name(id=name):
                scope[name] = value
            case ast.Subscript(value=owner, slice=key):
                whole = self.value(owner, scope)
                if isinstance(whole, dict | list):
                    whole[self.value(key, scope)] = value
            case ast.Tuple(elts=parts) | ast.List(elts=parts):
                values = list(value) if value is not UNKNOWN else [UNKNOWN] * len(parts)
                for part, item in zip(parts, values, strict=True):
                    self._bind(part, item, scope)

    @staticmethod
    def _items(value: Any) -> list[Any]:
        if value is UNKNOWN:
            raise _FailedError
        return value.splitlines(keepends=True) if isinstance(value, _File) else list(value)

    # --- expressions

    def value(self, node: ast.expr, scope: dict[str, Any]) -> Any:  # noqa: C901, PLR0911, PLR0912 -- one case for each kind of expression
        """Return what an expression comes to, or UNKNOWN."""
        self._steps += 1
        if self._steps > _MOST_STEPS:
            raise _FailedError

        def of(inner: ast.expr) -> Any:
            return self.value(inner, scope)

        match node:
            case ast.Constant(value=value):
                return value
            case ast.Name(id=name):
                return scope.get(name, self.names.get(name, _Dotted(name)))
            case ast.List(elts=parts):
                return self._members(parts, scope)
            case ast.Tuple(elts=parts):
                return tuple(self._members(parts, scope))
            case ast.Set(elts=parts):
                return set(self._members(parts, scope))
            case ast.Dict(keys=keys, values=values):
                mapping: dict[Any, Any] = {}
                for key, item in zip(keys, values, strict=True):
                    mapping |= {of(key): of(item)} if key else of(item)
                return mapping
            case ast.JoinedStr(values=values):
                return _whole("".join, [str(of(part)) for part in values], values, of)
            case ast.FormattedValue(value=inner, format_spec=None):
                return of(inner)
            case ast.ListComp() | ast.GeneratorExp() | ast.SetComp() | ast.DictComp():
                return self._comprehension(node, dict(scope))
            case ast.BinOp(left=left, op=op, right=right):
                return _added(of(left), op, of(right))
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                result = of(operand)
                return UNKNOWN if result is UNKNOWN else not result
            case ast.BoolOp(op=op, values=values):
                for choice in values:
                    result = of(choice)
                    if result is UNKNOWN or bool(result) is isinstance(op, ast.Or):
                        break
                return result
            case ast.IfExp(test=test, body=body, orelse=orelse):
                result = of(test)
                return UNKNOWN if result is UNKNOWN else of(body if result else orelse)
            case ast.Compare(left=left, ops=[op], comparators=[right]):
                return _compared(of(left), op, of(right))
            case ast.Subscript(value=owner, slice=ast.Slice(lower=lower, upper=upper)):
                whole = of(owner)
                part = slice(lower and of(lower), upper and of(upper))
                return UNKNOWN if whole is UNKNOWN else _known(whole)[part]
            case ast.Subscript(value=owner, slice=key):
                whole = of(owner)
                return UNKNOWN if whole is UNKNOWN else _known(whole)[of(key)]
            case ast.Attribute(value=owner, attr=name):
                return _attribute(of(owner), name)
            case ast.Call():
                return self._call(node, scope)
        return UNKNOWN

    def _members(self, parts: Iterable[ast.expr], scope: dict[str, Any]) -> list[Any]:
        members: list[Any] = []
        for part in parts:
            if isinstance(part, ast.Starred):
                members += self._items(self.value(part.value, scope))
            else:
                members.append(self.value(part, scope))
        return members

    def _comprehension(
        self, node: ast.ListComp | ast.GeneratorExp | ast.SetComp | ast.DictComp, scope: Any
    ) -> Any:
        scopes = [scope]
        for generator in node.generators:
            inner = []
            for outer in scopes:
                for item in self._items(self.value(generator.iter, outer)):
                    mine = dict(outer)
                    self._bind(generator.target, item, mine)
                    if all(self.value(test, mine) for test in generator.ifs):
                        inner.append(mine)
            scopes = inner
        if isinstance(node, ast.DictComp):
            return {self.value(node.key, s): self.value(node.value, s) for s in scopes}
        items = [self.value(node.elt, s) for s in scopes]
        return set(items) if isinstance(node, ast.SetComp) else items

    # --- calls

    def _call(self, node: ast.Call, scope: dict[str, Any]) -> Any:
        function = self.value(node.func, scope)
        if str(function).rpartition(".")[2] == "setup":
            self.calls.append(self._words(node.keywords, scope))
            return None
        given = self._members(node.args, scope)
        named = self._words(node.keywords, scope)
        if isinstance(function, ast.FunctionDef):
            return self._of_own(function, given, named, dict(scope))
        if isinstance(node.func, ast.Attribute) and not isinstance(function, _Dotted):
            return self._method(self.value(node.func.value, scope), node.func.attr, given, named)
        return (
            self._of_known(str(function), given, named)
            if isinstance(function, _Dotted)
            else UNKNOWN
        )

    def _words(self, keywords: Iterable[ast.keyword], scope: dict[str, Any]) -> dict[str, Any]:
        """Return named arguments: one that is not known is UNKNOWN, `**` what is no dict."""
        named: dict[str, Any] = {}
        for keyword in keywords:
            value = UNKNOWN
            with suppress(Exception):
                value = _known(self.value(keyword.value, scope))
            whole = value if isinstance(value, dict) else {"**": value}
            named |= {keyword.arg: value} if keyword.arg else whole
        return named

    def _of_own(self, function: ast.FunctionDef, given: list[Any], named: Any, scope: Any) -> Any:
        arguments = function.args
        names = [argument.arg for argument in (*arguments.posonlyargs, *arguments.args)]
        for name, default in zip(names[::-1], arguments.defaults[::-1], strict=False):
            scope[name] = self.value(default, self.names)
        for argument, value in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
            scope[argument.arg] = self.value(value, self.names) if value else UNKNOWN
        scope |= dict(zip(names, given, strict=False)) | named
        if arguments.vararg:
            scope[arguments.vararg.arg] = given[len(names) :]
        try:
            self._every(function.body, scope)
        except _ReturnError as returned:
            return returned.args[0]
        return None

    def _of_known(self, name: str, given: list[Any], named: dict[str, Any]) -> Any:  # noqa: PLR0911 -- one case for each function
        last = name.rpartition(".")[2]
        if name in {"sys.exit", "exit", "quit"}:
            raise _FailedError
        if name == "exec":
            inner = tree_of(str(given[0]))
            return self._every(
                inner.body if inner else [], given[1] if len(given) > 1 else self.names
            )
        if any(argument is UNKNOWN for argument in given):
            return UNKNOWN
        if last in {"open", "read_text"} or name == "parse_requirements":
            return self._opened(given[0])
        if last == "parse_requirements":  # pip's reads a file, setuptools' takes lines
            texts = given[0] if isinstance(given[0], _File | list) else self._opened(given[0])
            texts = self._items(texts) if isinstance(texts, _File) else texts
            return [text.strip() for text in texts if text.strip() and text.lstrip()[0] not in "#-"]
        if name == "runpy.run_path":
            inner = tree_of(self._opened(given[0]))
            return Code(inner, self._read).names if inner else UNKNOWN
        if name in {"os.path.join", *_PATHS}:
            return PurePosixPath(*given) if name in _PATHS else posixpath.join(*map(str, given))
        if name in _SAME:
            return given[0]
        if name == "os.path.dirname":
            return posixpath.dirname(str(given[0]))
        if name in {"os.getcwd", "pathlib.Path.cwd"}:
            return ""
        if name in {"os.path.exists", "os.path.isfile"}:
            return self._text(given[0]) is not None
        if name in {"os.environ.get", "os.getenv"}:
            return given[1] if len(given) > 1 else None
        if name.startswith("re.") and (last in _SEARCHES):
            return _searched(last, *given)
        if name == "isinstance":
            return True
        return _BUILTINS[name](*given, **named) if name in _BUILTINS else UNKNOWN

    def _method(self, owner: Any, name: str, given: list[Any], named: dict[str, Any]) -> Any:
        if isinstance(owner, PurePosixPath):
            if name in {"read_text", "open"}:
                return self._opened(owner)
            if name in {"exists", "is_file"}:
                return self._text(owner) is not None
            return owner.joinpath(*given) if name == "joinpath" else owner
        if isinstance(owner, _File) and name in {"read", "readlines", "close"}:
            return {"read": str(owner), "readlines": self._items(owner)}.get(name)
        if isinstance(owner, re.Pattern) and name in _SEARCHES:
            return _searched(name, owner, *given)
        for kind, names in _METHODS.items():
            if isinstance(owner, kind) and name in names and not _is_huge(owner, name, given):
                return _sized(getattr(_sized(owner), name)(*map(_known, given), **named))
        return owner if name in _SAME else UNKNOWN

    def _text(self, path: Any) -> str | None:
        return self._read(posixpath.normpath(str(path)).lstrip("/"))

    def _opened(self, path: Any) -> "_File":
        text = self._text(path)
        if text is None:
            raise _FailedError
        return _File(text)


class _Dotted(str):
    """The whole name of what is imported or built in."""

    __slots__ = ()


class _File(str):
    """A file that is open, by its text."""

    __slots__ = ()


def _known(value: Any) -> Any:
    if value is UNKNOWN or isinstance(value, _Dotted):
        raise _FailedError
    return value


def _sized(value: Any) -> Any:
    if isinstance(value, str | list | dict | set | tuple) and len(value) > _LONGEST:
        raise _FailedError
    return value


def _is_huge(owner: Any, name: str, given: list[Any]) -> bool:
    """Return whether a method may make a text that is far too long."""
    if name == "join":
        return sum(len(argument) + len(owner) for argument in given[0]) > _LONGEST
    if name == "replace":
        return len(owner) * len(given[1]) > 100 * _LONGEST
    return name == "format" and ":" in owner


def _whole(make: Any, texts: list[str], parts: Iterable[ast.expr], of: Any) -> Any:
    return make(texts) if all(of(part) is not UNKNOWN for part in parts) else UNKNOWN


def _added(left: Any, op: ast.operator, right: Any) -> Any:
    if left is UNKNOWN or right is UNKNOWN:
        return UNKNOWN
    if isinstance(op, ast.Add):
        return _sized(left + right)
    if isinstance(op, ast.Div) and isinstance(left, PurePosixPath):
        return left / right
    if (
        isinstance(op, ast.Mod)
        and isinstance(left, str)
        and not re.search(r"%[^a-z]*[\d*]{3}|\*", left)
    ):
        return left % right
    return left | right if isinstance(op, ast.BitOr) and isinstance(left, dict | set) else UNKNOWN


def _compared(left: Any, op: ast.cmpop, right: Any) -> Any:
    if left is UNKNOWN or right is UNKNOWN or isinstance(left, _Dotted):
        return UNKNOWN
    return _COMPARED[type(op)](left, right) if type(op) in _COMPARED else UNKNOWN


def _attribute(owner: Any, name: str) -> Any:
    if isinstance(owner, _Dotted):
        whole = f"{owner}.{name}"
        known = {"sys.version_info": _PYTHON, "sys.argv": ["setup.py", "sdist"], "os.sep": "/"}
        known |= {"sys.platform": "linux", "os.name": "posix", "os.linesep": "\n"}
        return known.get(whole, _Dotted(whole))
    if isinstance(owner, PurePosixPath) and name in {"parent", "name", "stem", "suffix"}:
        return getattr(owner, name)
    if isinstance(owner, str) and name in _NAMED:
        return owner
    return UNKNOWN


def _searched(name: str, pattern: Any, *given: Any) -> Any:
    text = pattern.pattern if isinstance(pattern, re.Pattern) else str(pattern)
    flags = re.MULTILINE if any(isinstance(word, _Dotted) for word in given) else 0
    texts = [word for word in given if isinstance(word, str) and not isinstance(word, _Dotted)]
    if _SLOW.search(text) or len(text) > 300:
        return UNKNOWN
    return getattr(re, name)(text, *texts, flags=flags)
