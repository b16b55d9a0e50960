"""Follows the imports of a program through its own modules, by reading and never running them.

An import is needed when the start of the program certainly reaches it: at the top of the entry
and of each module that is imported there, and in functions that are called there. What stands in
an untaken branch, a function that only a request calls, `try` with a handler for ImportError, or
`if TYPE_CHECKING` is not. Modules that a framework imports by a name in a string (Django's
settings, uvicorn.run), by their place (pages of Dash and Streamlit, pipelines of Kedro) or by paths
that code runs (`st.Page`, `exec`) count as imported.
"""

import ast
import enum
import functools
import operator
import posixpath
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from lockstitch import files
from lockstitch.patterns import regex
from lockstitch.python.syntax import tree_of
from lockstitch.values import field, frozen, ordered, positional

_HANDLED = frozenset(
    {"ImportError", "ModuleNotFoundError", "Exception", "BaseException", "OSError"}
)
_IMPORTERS = frozenset({"importlib.import_module", "import_module", "__import__", "uvicorn.run"})
# Settings of Django that name modules, and the modules of an application that it looks for.
_SETTINGS = regex(r"(?:[A-Z]+_)*(?:APPS|MIDDLEWARE|URLCONF|WSGI_APPLICATION|ASGI_APPLICATION)")
_PARTS = ("apps", "models", "admin", "signals")
_NAMED = regex(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*")
_PAGED = regex(
    r"streamlit|use_pages|configure_project|\bPage\(|exec\(|run_path|import_module|from_file_loc"
)
# What runs or imports files that the texts of its file name.
_LOADERS = frozenset({"exec", "run_path", "Page", "spec_from_file_location", "import_module"})
_HELPER = regex(r"import|optional|suppress|ignore|lazy")
_LARGEST = 2_000_000  # characters of a module
_MOST = 5_000  # modules of one program
# Modules that a Python no longer has, by the minor version that lost them (What's New pages).
_REMOVED = {
    12: ("asynchat", "asyncore", "distutils", "imp", "smtpd"),
    13: (
        *("aifc", "audioop", "cgi", "cgitb", "chunk", "crypt", "imghdr", "lib2to3", "mailcap"),
        *("msilib", "nis", "nntplib", "ossaudiodev", "pipes", "sndhdr", "spwd", "sunau"),
        *("telnetlib", "uu", "xdrlib"),
    ),
}
COMPARISONS: dict[type[ast.cmpop], Callable[[Any, Any], object]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.In: lambda have, value: have in value,
    ast.NotIn: lambda have, value: have not in value,
}
_ADDED = {11: ("tomllib",), 14: ("annotationlib", "compression")}


@frozen
class Entry:
    """The beginning of a program: a file, or a module to be found, and the first of sys.path."""

    path: str = ""  # of a script, from the tree's root
    module: str = ""  # of `-m`, a server's `module:name`, a console script
    roots: tuple[str, ...]  # folders that imports are looked for in, from the tree's root


class Reach(enum.IntEnum):
    """The certainty that a program's start comes to an import."""

    OPTIONAL = 0  # the program goes on without the module
    POSSIBLE = 1  # a branch, or a function that something else calls
    CERTAIN = 2


@ordered
class Import:
    """One import of a module that is not in the tree."""

    path: str
    line: int
    module: str  # the whole dotted name
    reach: Reach
    file: str = ""  # that would be it, where the tree has the folder that it should be in

    @property
    def top(self) -> str:
        """The top-level module."""
        return self.module.partition(".")[0]


_Statement = tuple[str, tuple[str, ...], int, int, Reach]
_Part = tuple[str, bool | None]
# A module's imports, what its Django settings name, and globs of what it loads by place or path:
# at its start, perhaps (False), or perhaps where it is the program's first file (None).
Contents = tuple[tuple[_Statement, ...], tuple[tuple[str, int, Reach], ...], tuple[_Part, ...]]


@functools.lru_cache(maxsize=4096)  # each program of a repository walks much the same files
def read(text: str, python: tuple[int, int], *, is_main: bool) -> Contents:
    """Return what a module imports: nothing where it is no Python."""
    module = tree_of(text)
    if module is None:
        return (), (), ()
    return (
        tuple(_Reader(python, is_main=is_main).imports(module)),
        tuple(named(module)) if "django" in text else (),
        tuple(_parts(module)) if _PAGED.search(text) else (),
    )


@positional
class Tree:
    """The files of a program."""

    names: frozenset[str]  # POSIX paths
    text: Callable[[str], str | None]
    python: tuple[int, int] = (3, 11)
    installed: dict[str, str] = field(default_factory=dict)  # own top-level module -> its folder
    read: Callable[..., Contents] = read


def standard_library(minor: int, known: Iterable[str]) -> frozenset[str]:
    """Return the top-level modules of CPython 3.`minor`, given those of this interpreter."""
    modules = {*known}
    for version, names in _REMOVED.items():
        modules = modules - {*names} if minor >= version else modules | {*names}
    for version, names in _ADDED.items():
        modules = modules | {*names} if minor >= version else modules - {*names}
    return frozenset(modules)


def certain_lines(text: str, python: tuple[int, int]) -> set[int]:
    """Return the lines of the imports that a module certainly comes to when it is imported."""
    parsed = tree_of(text)
    if parsed is None:
        return set()
    reader = _Reader(python, is_main=False)
    return {line for *_, line, reach in reader.imports(parsed) if reach is Reach.CERTAIN}


def follow(tree: Tree, entry: Entry) -> tuple[Import, ...]:
    """Return the imports that lead out of the tree, sorted, each with how sure it is."""
    walk = _Walk(tree, entry)
    walk.run()
    return tuple(sorted(walk.outside))


def reached(tree: Tree, entry: Entry) -> tuple[str, ...]:
    """Return the files of the tree that a program is made of: its first, and all it may import."""
    return tuple(sorted(reaches(tree, entry)))


def reaches(tree: Tree, entry: Entry) -> dict[str, Reach]:
    """Return the files of the tree that a program may import, with how sure each is."""
    walk = _Walk(tree, entry)
    walk.run()
    return walk.done


def loaded(tree: Tree, path: str, parts: Iterable[_Part] | None = None) -> Iterator[_Part]:
    """Yield the files that a file loads by their place or path, as `Contents` has their globs."""
    if parts is None:
        parts = tree.read(tree.text(path) or "", tree.python, is_main=True)[2]
    for glob, sure in parts:
        folders = (posixpath.dirname(path), *[""] * (sure is False))
        places = {posixpath.normpath(posixpath.join(folder, glob)) for folder in folders}
        yield from (
            (name, sure) for name in tree.names if any(files.matches(name, p) for p in places)
        )


class _Walk:
    """One program: the modules that were read, and those that wait."""

    def __init__(self, tree: Tree, entry: Entry) -> None:
        self._tree = tree
        self._entry = entry
        self.outside: set[Import] = set()
        self.done: dict[str, Reach] = {}  # by path of a module
        self._waiting: list[tuple[str, Reach]] = []

    def run(self) -> None:
        start = self._entry.path
        if not start and self._entry.module:
            places = self._places(self._entry.module)
            start = next((path for path in reversed(places) if path in self._tree.names), "")
            for path in places[:-1]:
                self._push(path, reach=Reach.CERTAIN)
            if places and posixpath.basename(places[-1]) == "__init__.py":
                main = posixpath.join(posixpath.dirname(places[-1]), "__main__.py")
                self._push(main if main in self._tree.names else places[-1], reach=Reach.CERTAIN)
        if start in self._tree.names:
            self._push(start, reach=Reach.CERTAIN)
        while self._waiting and len(self.done) < _MOST:
            path, reach = self._waiting.pop()
            if self.done.get(path, -1) >= reach:
                continue
            self.done[path] = reach
            self._read(path, reach=reach)

    def _push(self, path: str, *, reach: Reach) -> None:
        self._waiting.append((path, reach))

    def _read(self, path: str, *, reach: Reach) -> None:
        text = self._tree.text(path)
        if text is None or len(text) > _LARGEST:
            return
        is_main = path == self._entry.path or posixpath.basename(path) == "__main__.py"
        read = self._tree.read(text, self._tree.python, is_main=is_main)
        statements, settings, parts = read
        for name, names, level, line, inner in statements:
            for wanted in self._absolute(path, name, names, level):
                self._resolve(path, line, wanted, reach=min(inner, reach))
        for name, line, inner in settings:
            head, dot, last = name.rpartition(".")
            self._resolve(path, line, f"{head}:{last}" if dot else last, reach=min(inner, reach))
            app = name.removesuffix(".apps")
            places = self._places(app)
            is_whole = len(places) == len(app.split(".")) and not places[-1].endswith(f"{last}.py")
            for part in _PARTS if is_whole else ():
                self._resolve(path, line, f"{app}:{part}", reach=reach)
        for part, sure in loaded(self._tree, path, parts):
            if sure is not None or path == self._entry.path:
                self._push(part, reach=reach if sure else _possible(reach))

    def _absolute(self, path: str, name: str, names: Sequence[str], level: int) -> Iterator[str]:
        """Yield the names of an import statement, as `module` or `module:name`."""
        if level:
            folder = posixpath.dirname(path)
            for _ in range(level - 1):
                folder = posixpath.dirname(folder)
            base = posixpath.join(folder, *name.split(".")) if name else folder
            for attribute in names or [""]:
                yield f"/{base}:{attribute}"
        elif names:
            for attribute in names:
                yield f"{name}:{attribute}"
        else:
            yield name

    def _resolve(self, path: str, line: int, wanted: str, *, reach: Reach) -> None:
        module, _, name = wanted.partition(":")
        if module.startswith("/"):  # relative: a path in the tree
            base = module[1:]
            inside = [base, *([posixpath.join(base, name)] if name else [])]
            for place in (place for base in inside for place in _module_paths(base)):
                self._own(place, reach=reach)
            if base and not self._is_folder(base) and not self._is_there(base):
                self._lack(path, line, base.replace("/", "."), f"{base}.py", reach=reach)
            return
        if module.endswith("."):  # any module below: which one, only a run can tell
            for place in self._places(module[:-1])[-1:]:
                folder = place.removesuffix("__init__.py")
                below = [n for n in self._tree.names if n.startswith(folder) and n.endswith(".py")]
                for submodule in below if folder.endswith("/") else ():
                    self._push(submodule, reach=_possible(reach))
            return
        places = self._places(module)
        if not places:
            self._lack(path, line, module, self._file(module), reach=reach)
            return
        if len(places) < len(module.split(".")):
            *above, last = places[-1].removesuffix(".py").removesuffix("/__init__").split("/")
            base = posixpath.join(*above, last, *module.split(".")[len(places) :])
            if not self._is_there(base):
                self._lack(path, line, module, f"{base}.py", reach=reach)
        for place in places:
            self._own(place, reach=reach)
        if name and posixpath.basename(places[-1]) == "__init__.py":
            for place in _module_paths(posixpath.join(posixpath.dirname(places[-1]), name)):
                self._own(place, reach=reach)
        elif name and places[-1].endswith("/"):
            for place in _module_paths(places[-1] + name):
                self._own(place, reach=reach)

    def _lack(self, path: str, line: int, module: str, file: str, *, reach: Reach) -> None:
        self.outside.add(Import(path=path, line=line, module=module, reach=reach, file=file))

    def _file(self, module: str) -> str:
        """Return where an own module would be, empty for one of no folder of the tree."""
        first, _, rest = module.partition(".")
        folders = [posixpath.join(root, first) for root in self._entry.roots]
        folder = next((folder for folder in folders if rest and self._has_python(folder)), "")
        return f"{folder}/{rest.replace('.', '/')}.py" if folder else ""

    def _is_there(self, base: str) -> bool:
        """Return whether a file is a module of any kind: Python, compiled, or to be compiled."""
        if self._tree.text(f"{base}.pyx") is not None:
            return True
        return any(name.startswith((f"{base}.", f"{base}/")) for name in self._tree.names)

    def _own(self, place: str, *, reach: Reach) -> None:
        if place in self._tree.names:
            self._push(place, reach=reach)

    def _places(self, module: str) -> list[str]:
        """Return the files that an own module is made of, outermost package first, or none.

        A folder without __init__.py, a namespace package, stands as its path with a `/`.
        """
        parts = module.split(".")
        own = self._tree.installed.get(parts[0])
        for root in [*self._entry.roots, *([] if own is None else [own])]:
            places = []
            base = root
            for part in parts:
                base = posixpath.normpath(posixpath.join(base, part))
                there = [place for place in _module_paths(base) if place in self._tree.names]
                if there:
                    places.append(there[0])
                elif self._is_folder(base):
                    places.append(f"{base}/")
                else:
                    break
            # Of `a.b`, b may be a name in a: one part is enough to be our own.
            if places and (
                not places[0].endswith("/") or len(places) > 1 or self._has_python(base)
            ):
                return places
        return []

    def _is_folder(self, base: str) -> bool:
        return any(name.startswith(f"{base}/") for name in self._tree.names)

    def _has_python(self, base: str) -> bool:
        return any(n.startswith(f"{base}/") and n.endswith(".py") for n in self._tree.names)


def named(module: ast.Module) -> Iterator[tuple[str, int, Reach]]:
    """Yield the modules that a file of Django names for it to import, each with line and reach."""
    for node in ast.walk(module):
        values: list[ast.expr] = []
        is_part = False  # the last name is what a module has: an application, a middleware
        match node:
            case (
                ast.Assign(targets=[ast.Name(id=name)], value=value)
                | ast.AugAssign(target=ast.Name(id=name), value=value)
            ) if _SETTINGS.fullmatch(name):
                values = [value]
                is_part = name.endswith(("APPLICATION", "MIDDLEWARE"))
            case ast.Call(func=function, args=[first, *rest]):
                is_setting = getattr(first, "value", "") == "DJANGO_SETTINGS_MODULE"
                values = [first] if _dotted(function) == "include" else rest if is_setting else []
        branched = isinstance(node, ast.stmt) and node not in module.body
        for inner in (child for value in values for child in ast.walk(value)):
            match inner:
                case ast.Constant(value=str(text)) if _NAMED.fullmatch(text):
                    head, _, last = text.rpartition(".")
                    reach = Reach.POSSIBLE if branched else Reach.CERTAIN
                    is_inner = is_part or last[:1].isupper()
                    yield head if head and is_inner else text, inner.lineno, reach


def _parts(module: ast.Module) -> Iterator[_Part]:
    """Yield globs of the files beside a file, or from the tree's root, that it loads.

    Dash imports its pages, Kedro its whole package, Streamlit the page that somebody opens.
    """
    nodes = [*ast.walk(module)]
    loaders: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Import | ast.ImportFrom) and "streamlit" in {
            getattr(node, "module", None),
            *(alias.name for alias in node.names),
        }:
            yield "pages/**/*.py", None
        if isinstance(node, ast.Call):
            loaders |= {_dotted(node.func).rpartition(".")[2]} & _LOADERS
            given = {word.arg: getattr(word.value, "value", None) for word in node.keywords}
            if given.get("use_pages") is True:
                yield f"{given.get('pages_folder') or 'pages'}/**/*.py", True
            if _dotted(node.func).endswith("configure_project"):
                yield "**/*.py", True
    for text in map(_path, nodes) if loaders else ():
        if text.endswith(".py") and ("/" in text or "*" not in text):
            yield text.lstrip("/"), False
        elif "import_module" in loaders and "." in text and _NAMED.fullmatch(text):
            yield f"{text.replace('.', '/')}.py", False


def _path(node: ast.AST) -> str:
    """Return a text or a path that code joins, with `*` for what only a run can tell."""
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.JoinedStr(values=parts):
            return "".join(_path(part) or "*" for part in parts)
        case ast.BinOp(left=left, op=ast.Div(), right=right):
            return f"{_path(left)}/{_path(right) or '*'}"
        case ast.Call(func=ast.Attribute(attr="join"), args=args):
            return "/".join(map(_path, args))
    return ""


def _module_paths(base: str) -> tuple[str, str]:
    return f"{base}/__init__.py", f"{base}.py"


class _Reader:
    """Reads one module's imports, each with how surely running the module comes to it."""

    def __init__(self, python: tuple[int, int], *, is_main: bool) -> None:
        self._python = python
        self._is_main = is_main
        self._functions: dict[str, ast.FunctionDef | ast.AsyncFunctionDef] = {}
        self._entered: set[str] = set()

    def imports(self, module: ast.Module) -> Iterator[_Statement]:
        """Yield name, names, level, line and certainty of each import."""
        for node in module.body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                self._functions[node.name] = node
        yield from self._block(module.body, reach=Reach.CERTAIN)
        for name, function in self._functions.items():
            if name not in self._entered:
                yield from self._block(function.body, reach=Reach.POSSIBLE)

    def _block(self, body: Sequence[ast.stmt], *, reach: Reach) -> Iterator[_Statement]:
        for node in body:
            yield from self._statement(node, reach=reach)
            if reach is Reach.CERTAIN and isinstance(
                node, ast.Return | ast.Raise | ast.Continue | ast.Break
            ):
                return  # nothing behind it is reached
            taken = self._test(node.test) if isinstance(node, ast.If) else False
            if isinstance(node, ast.If) and taken is not False and _leaves(node):
                reach = _possible(
                    reach
                )  # what follows is reached only when the branch is not taken

    def _statement(  # noqa: C901, PLR0912 -- one case for each kind of statement
        self, node: ast.stmt, *, reach: Reach
    ) -> Iterator[_Statement]:
        match node:
            case ast.Import():
                for alias in node.names:
                    yield alias.name, (), 0, node.lineno, reach
            case ast.ImportFrom():
                names = tuple(alias.name for alias in node.names)
                yield node.module or "", names, node.level, node.lineno, reach
            case ast.If():
                taken = self._test(node.test)
                if taken is not False:
                    yield from self._calls(node.test, reach=reach)
                    yield from self._block(
                        node.body, reach=reach if taken is True else self._guarded(node.test, reach)
                    )
                if taken is not True:
                    yield from self._block(
                        node.orelse,
                        reach=reach if taken is False else self._guarded(node.test, reach),
                    )
            case ast.Try() | ast.TryStar():
                handled = any(_handles_imports(handler) for handler in node.handlers)
                yield from self._block(node.body, reach=Reach.OPTIONAL if handled else reach)
                for handler in node.handlers:
                    inner = Reach.OPTIONAL if handled else _possible(reach)
                    yield from self._block(handler.body, reach=inner)
                yield from self._block(node.orelse, reach=Reach.OPTIONAL if handled else reach)
                yield from self._block(node.finalbody, reach=reach)
            case ast.With() | ast.AsyncWith():
                hidden = any(_suppresses(item.context_expr) for item in node.items)
                for item in node.items:
                    yield from self._calls(item.context_expr, reach=reach)
                yield from self._block(node.body, reach=Reach.OPTIONAL if hidden else reach)
            case ast.For() | ast.AsyncFor():
                yield from self._calls(node.iter, reach=reach)
                yield from self._block(node.body, reach=_possible(reach))
                yield from self._block(node.orelse, reach=_possible(reach))
            case ast.While():
                endless = isinstance(node.test, ast.Constant) and bool(node.test.value)
                yield from self._block(node.body, reach=reach if endless else _possible(reach))
            case ast.Match():
                for case in node.cases:
                    yield from self._block(case.body, reach=_possible(reach))
            case ast.ClassDef():
                for decorator in node.decorator_list:
                    yield from self._calls(decorator, reach=reach)
                for child in node.body:
                    if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
                        yield from self._block(child.body, reach=_possible(reach))
                    else:
                        yield from self._statement(child, reach=reach)
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                for decorator in node.decorator_list:
                    yield from self._calls(decorator, reach=reach)
                if node.name not in self._functions or self._functions[node.name] is not node:
                    yield from self._block(node.body, reach=_possible(reach))
            case _:
                yield from self._calls(node, reach=reach)

    def _calls(self, node: ast.AST, *, reach: Reach) -> Iterator[_Statement]:
        """Yield the imports that calls in an expression make: by name, or of a function here."""
        for child in _walk(node):
            if not isinstance(child, ast.Call):
                continue
            name = _dotted(child.func)
            if name in _IMPORTERS:
                module = _begin(child.args[0]) if child.args else ""
                if module and not module.startswith("."):
                    yield module.partition(":")[0], (), 0, child.lineno, reach
            elif name in self._functions and reach is Reach.CERTAIN and name not in self._entered:
                self._entered.add(name)
                yield from self._block(self._functions[name].body, reach=reach)

    def _guarded(self, test: ast.expr, reach: Reach) -> Reach:
        """Return the reach of a branch: one that asks whether a module is there is optional."""
        words = ast.dump(test).lower()
        asks = "find_spec" in words or "available" in words or "has_" in words
        return Reach.OPTIONAL if asks else _possible(reach)

    def _test(self, node: ast.expr) -> bool | None:
        """Return a condition's value on Linux at run time, or None where it is not known."""
        match node:
            case ast.Constant():
                return bool(node.value)
            case ast.UnaryOp(op=ast.Not()):
                inner = self._test(node.operand)
                return None if inner is None else not inner
            case ast.BoolOp():
                values = [self._test(value) for value in node.values]
                if isinstance(node.op, ast.And):
                    return False if False in values else None if None in values else True
                return True if True in values else None if None in values else False
            case ast.Name(id="TYPE_CHECKING") | ast.Attribute(attr="TYPE_CHECKING"):
                return False
            case ast.Compare(ops=[op], comparators=[right]):
                return self._compare(_dotted(node.left), op, right)
            case ast.Call(func=ast.Attribute(attr="startswith"), args=[ast.Constant(value=str(v))]):
                assert isinstance(node.func, ast.Attribute)  # noqa: S101 -- the pattern says so
                return "linux".startswith(v) if _dotted(node.func.value) == "sys.platform" else None
        return None

    def _compare(self, left: str, op: ast.cmpop, right: ast.expr) -> bool | None:
        try:
            value = ast.literal_eval(right)
        except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
            return None
        known: dict[str, object] = {
            "__name__": "__main__" if self._is_main else "a module",
            "sys.platform": "linux",
            "os.name": "posix",
            "sys.version_info": self._python,
            "sys.version_info[0]": self._python[0],
            "sys.version_info.major": self._python[0],
            "sys.version_info[1]": self._python[1],
            "sys.version_info.minor": self._python[1],
            "platform.system()": "Linux",
        }
        if left not in known:
            return None
        have = known[left]
        if isinstance(have, tuple) and isinstance(value, tuple):
            if len(value) > len(have) and value[: len(have)] == have:
                return None  # the patch release decides
            have = have[: len(value)]
        try:
            return bool(COMPARISONS[type(op)](have, value)) if type(op) in COMPARISONS else None
        except TypeError:
            return None


def _begin(node: ast.expr) -> str:
    """Return a text, or as much of it as ends with a dot where a run makes the rest."""
    match node:
        case ast.Constant(value=str(text)):
            return text
        case (
            ast.JoinedStr(values=[ast.Constant(value=str(text)), *_])
            | ast.BinOp(left=ast.Constant(value=str(text)), op=ast.Add())
        ) if text.endswith("."):
            return text
    return ""


def _possible(reach: Reach) -> Reach:
    return min(reach, Reach.POSSIBLE)


def _walk(node: ast.AST) -> Iterator[ast.AST]:
    """Yield the nodes of an expression that are evaluated with it: no body of a lambda."""
    waiting = [node]
    while waiting:
        inner = waiting.pop()
        yield inner
        if isinstance(inner, ast.IfExp | ast.BoolOp | ast.Lambda):
            continue  # only some of it is evaluated
        waiting += reversed(list(ast.iter_child_nodes(inner)))


def _dotted(node: ast.expr) -> str:
    match node:
        case ast.Name():
            return node.id
        case ast.Attribute():
            return f"{_dotted(node.value)}.{node.attr}"
        case ast.Subscript(slice=ast.Constant(value=int(index))):
            return f"{_dotted(node.value)}[{index}]"
        case ast.Subscript(slice=ast.Slice()):
            return _dotted(node.value)
        case ast.Call(args=[], keywords=[]):
            return f"{_dotted(node.func)}()"
    return "?"


def _leaves(node: ast.If) -> bool:
    """Return whether a branch may end the block: return, raise, or a call that exits."""
    for child in ast.walk(node):
        if isinstance(child, ast.Return | ast.Raise | ast.Continue | ast.Break):
            return True
        if isinstance(child, ast.Call) and _dotted(child.func) in {"sys.exit", "exit", "quit"}:
            return True
    return False


def _handles_imports(handler: ast.ExceptHandler) -> bool:
    if handler.type is None:
        return True
    kinds = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    return any(_dotted(kind).rpartition(".")[2] in _HANDLED for kind in kinds)


def _suppresses(node: ast.expr) -> bool:
    """Return whether a block goes on without a module: `suppress`, or a helper by its name."""
    if not isinstance(node, ast.Call):
        return False
    name = _dotted(node.func).rpartition(".")[2]
    if name == "suppress":
        return any(_dotted(arg).rpartition(".")[2] in _HANDLED for arg in node.args)
    return _HELPER.search(name.lower()) is not None  # Optuna's try_import, and its like
