"""The files and folders that Python code opens, writes or names: read from the code, never run.

Literals, constants, `os.path.join`, paths and defaults of arguments are followed, also those that
come from another file, and what a function does with the path that it is given. `*` stands for
what only a run can tell. A path that begins where the file stands (`__file__`) is turned into one
from the repository's folder; others are of the working folder, which is taken to be that too.
"""

import ast
import functools
import posixpath
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType

from lockstitch.patterns import regex
from lockstitch.repository.code.applications import Code, dotted
from lockstitch.resources import load_table
from lockstitch.values import frozen

_calls = functools.partial(load_table, __package__, "opened.toml")
_ROOT = "/@/"  # the repository's folder, in paths that begin at __file__
_DEEPEST = 12
_LONGEST = 200
_PATHLIKE = regex(r"[\w@.+\- ]*(?:/[\w@.+\-* ]+)+/?|[\w@+\-][\w@.+\-* ]*\.[A-Za-z][A-Za-z0-9]{0,9}")
SQLITE = regex(r"sqlite(?:\+\w+)?:///(?P<path>[^?:\n]+)(?:\?[^\n]*)?")
_MEDIA = regex(r"application/(?:vnd\.[\w.+-]+|[\w+-]+)")  # a type of what a page sends
_FOLDERLIKE = regex(r"(?i)dir|folder|path|root|directory")
# `{kind}` of f"{kind}_model.pkl", which is no folder.
_IN_A_NAME = regex(r"\{(?!\w*(?:dir|folder|path|root))(\w+)[^{}/]*\}(?!/)")
_KEPT = regex(r"(?i)dir|folder|path|root|file|csv|data|model")  # an attribute of settings
_WRITTEN = regex(r"to_(?:csv|parquet|json|pickle|excel|feather|html|hdf|file|markdown|disk|xml)")
_PATH_OF = regex(r"path|^(?:io|source)$")  # an argument of those
_QUERIES = regex(r"read_(?:sql|database|gbq|clipboard)")  # no path is read
_TELLS = regex(r"[A-Z]\w+ (?:\w+ )*(?:at|from|in|into|to|under) ")  # `Model saved to `
_SAME = frozenset(load_table(__package__, "words.toml")["same"])


@frozen
class PathUse:
    """One path that code names, and what it does with it."""

    text: str  # from the repository's folder, or with `*` where it is not known
    line: int
    kind: str  # "reads", "folder", "writes" a file, "fills" a folder, "names"
    anchored: bool = False  # it begins at __file__


class Opened:
    """The paths that the files of a repository name, and what they take from one another."""

    def __init__(
        self,
        codes: Mapping[str, Code],
        variables: Mapping[str, str] = MappingProxyType({}),
        settings: Callable[[], Iterable[tuple[str, str]]] = tuple,
        examples: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        """Take the files that paths are followed through, and what variables are known to be.

        `settings` gives the texts of files of settings, each with its keys: `data.path`;
        `examples` are variables for code that cannot do without.
        """
        self._codes = codes
        self.variables = variables
        self.needed = {**examples, **variables}
        self._settings = functools.cache(lambda: tuple(settings()))
        self._readers: dict[str, _Reader] = {}
        self._uses: dict[str, list[PathUse]] = {}
        self._given: dict[str, list[tuple[str, str, int, str]]] | None = None

    def paths_of(self, path: str) -> list[PathUse]:
        """Return the paths that a file names, in the order of their lines, each once."""
        if path not in self._uses:
            reader = self.reader(path)
            called = [*reader.called()]
            written = {(use.text, use.line) for use in called if use.kind in {"writes", "fills"}}
            named = [u for u in reader.named() if (u.text, u.line) not in written]
            uses = [*called, *named, *_defaults(self._codes[path])]
            ordered = sorted(dict.fromkeys(uses), key=lambda use: (use.line, use.text, use.kind))
            self._uses[path] = [use for use in ordered if use.text and len(use.text) < _LONGEST]
        return self._uses[path]

    @functools.cached_property
    def named(self) -> frozenset[str]:
        """The paths that any file names."""
        return frozenset(use.text for path in self._codes for use in self.paths_of(path))

    def setting(self, keys: Sequence[str]) -> str | None:
        """Return the text that settings have under keys, None where they have none or several."""
        for start in range(len(keys)):
            wanted = f".{'.'.join(keys[start:])}"
            texts = {text for key, text in self._settings() if f".{key}".endswith(wanted)}
            if texts:
                return texts.pop() if len(texts) == 1 else None
        return None

    def imports(self, module: str) -> bool:
        """Return whether any file imports a module."""
        return any(
            name == module or name.startswith(f"{module}.")
            for code in self._codes.values()
            for name in code.names.values()
        )

    def reader(self, path: str) -> "_Reader":
        """Return the facts of a file."""
        if path not in self._readers:
            self._readers[path] = _Reader(self._codes[path], self)
        return self._readers[path]

    def module(self, code: Code, dotted: str) -> tuple["_Reader", str] | None:
        """Return the file that a whole name of another file is in, and what is left of the name."""
        dots = len(dotted) - len(dotted.lstrip("."))
        folder = posixpath.dirname(code.path)
        for _ in range(dots - 1):
            folder = posixpath.dirname(folder)
        parts = dotted.lstrip(".").split(".")
        for end in range(len(parts), 0, -1):
            tail = "/".join(parts[:end])
            names = (f"{tail}.py", f"{tail}/__init__.py")
            here = [posixpath.join(folder, name) for name in names]
            paths = [path for path in here if path in self._codes and path != code.path]
            if not paths and not dots:
                paths = [p for p in self._codes if f"/{p}".endswith(tuple(f"/{n}" for n in names))]
                paths = [p for p in paths if p != code.path]
            if paths:
                return self.reader(min(paths, key=len)), ".".join(parts[end:])
        return None

    def folder(self, package: str, near: str) -> str | None:
        """Return the folder of code whose path ends with a package's, the nearest to a file."""
        folders = {posixpath.dirname(path) for path in self._codes}
        fitting = [folder for folder in folders if package and f"/{folder}".endswith(f"/{package}")]

        def rank(folder: str) -> tuple[int, int, str]:
            return -len(posixpath.commonpath([folder, near])), len(folder), folder

        return _ROOT + min(fitting, key=rank) if fitting else None

    def given(self, name: str) -> list[tuple[str, str, int, str]]:
        """Return the uses that functions of this name make of their arguments.

        Each is the kind, the file, the argument's place (not counting `self`) and its name.
        """
        if self._given is None:
            self._given = {}
            for _ in range(2):  # a function may hand its argument on
                known: dict[str, list[tuple[str, str, int, str]]] = {}
                for path in sorted(self._codes):
                    for function, kind, place, argument in self.reader(path).parameters():
                        known.setdefault(function, []).append((kind, path, place, argument))
                self._given = known
        return self._given.get(name, [])


def paths_of(code: Code) -> list[PathUse]:
    """Return the paths that a file names, in the order of their lines, each once."""
    return Opened({code.path: code}).paths_of(code.path)


def values_of(text: str) -> Iterator[tuple[int, str]]:
    """Yield the words of a settings file (YAML, JSON, TOML, INI) that may be paths, with lines."""
    for number, line in enumerate(text.splitlines(), 1):
        for word in re.split(r"[\s\"'\[\],{}=]+|:(?=\s|$)", line.partition(" #")[0]):
            is_path = _PATHLIKE.fullmatch(word) or SQLITE.fullmatch(word)
            if is_path and len(word) < _LONGEST:
                yield number, word.removeprefix("./")


def downloads(code: Code) -> bool:
    """Return whether a file calls or imports what keeps files in the home folder."""
    known = _calls()["downloads"]["calls"]
    ends = tuple(name for name in known if name.startswith("."))
    tops = {name.partition(".")[0] for name in code.names.values()}
    return not tops.isdisjoint(_calls()["downloads"]["modules"]) or any(
        call in known or call.endswith(ends) for call in code.calls
    )


def _defaults(code: Code) -> Iterator[PathUse]:
    """Yield the folders that libraries write to by default."""
    names = {*code.names.values()}
    called = {
        node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        for node in code.nodes
        if isinstance(node, ast.Call)
    }
    called |= {name.rpartition(".")[2] for name in names}
    if "set_tracking_uri" in called:
        names -= {name for name in names if name.partition(".")[0] == "mlflow"}
    for key, folders in _calls()["defaults"].items():
        module, _, function = key.partition(" ")
        imported = any(name == module or name.startswith(f"{module}.") for name in names)
        if imported and (not function or function in called):
            for folder in folders:
                yield PathUse(text=folder, line=_line_of(code, module), kind="fills")


def _line_of(code: Code, module: str) -> int:
    for node in code.nodes:
        if isinstance(node, ast.Import) and any(a.name.startswith(module) for a in node.names):
            return node.lineno
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(module):
            return node.lineno
    return 1


def _upward(function: ast.FunctionDef) -> bool:
    """Return whether a function goes through the folders above one."""
    loops = (node for node in ast.walk(function) if isinstance(node, ast.For | ast.While))
    return any(
        getattr(node, "attr", "") in {"parent", "parents"} or getattr(node, "id", "") == "dirname"
        for loop in loops
        for node in ast.walk(loop)
    )


class _Reader:
    """One file: what its names are worth, and the paths of its calls."""

    def __init__(self, code: Code, others: Opened) -> None:
        self._code = code
        self._others = others
        self._values: dict[str, ast.expr] = {}  # the first one
        self._several: dict[str, list[ast.expr]] = {}
        self._functions = sorted(
            (
                (node.lineno, node.end_lineno or node.lineno)
                for node in code.nodes
                if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
            ),
            key=lambda lines: lines[1] - lines[0],
        )
        self._attributes: dict[str, ast.expr] = {}
        self._items: dict[str, ast.expr] = {}  # of `config["KEY"] = …`
        self._documented: set[int] = set()
        self._defined = {n.name: n for n in code.nodes if isinstance(n, ast.FunctionDef)}
        self._depth = 0  # of functions whose results are followed
        loops = (node for node in code.nodes if isinstance(node, ast.For))
        self._loops = {n.target.id: n.iter for n in loops if isinstance(n.target, ast.Name)}
        for node in code.nodes:
            self._take(node)

    def _keep(self, name: str, value: ast.expr) -> None:
        if isinstance(value, ast.Constant) and value.value is None:
            return  # it has another one later
        self._values.setdefault(name, value)
        self._several.setdefault(name, []).append(value)

    def _nearest(self, node: ast.Name) -> ast.expr:
        """Return the value of a name: in its own function, else the first one."""
        several = self._several[node.id]
        scope = self._scope(node) if len(several) > 1 else None
        inside = (value for value in several if scope and self._scope(value) == scope)
        return next(inside, several[0])

    def _scope(self, node: ast.expr) -> tuple[int, int] | None:
        """Return the lines of the function that an expression is in."""
        return next((s for s in self._functions if s[0] <= node.lineno <= s[1]), None)

    def _take(self, node: ast.AST) -> None:
        """Keep the value that a name or an attribute is given."""
        match node:
            case ast.Assign(targets=targets, value=value):
                for target in targets:
                    if isinstance(target, ast.Name):
                        self._keep(target.id, value)
                        self._attributes.setdefault(target.id, value)
                    elif isinstance(target, ast.Attribute):
                        self._attributes.setdefault(target.attr, value)
                    elif key := _key(target):
                        self._items.setdefault(key, value)
            case ast.AnnAssign(target=ast.Name(id=name), value=value):
                # Without one, of pydantic's settings, a variable gives it.
                text = ast.Constant(self._others.needed.get(name.upper()))
                value = value or ast.copy_location(text, node)
                self._keep(name, value)
                self._attributes.setdefault(name, value)
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef() | ast.Module():
                first = node.body[0] if node.body else None
                if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
                    self._documented.add(id(first.value))
                if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                    given = [*node.args.posonlyargs, *node.args.args]
                    defaults = node.args.defaults
                    for parameter, value in zip(
                        given[len(given) - len(defaults) :], defaults, strict=True
                    ):
                        self._keep(parameter.arg, value)
                    for parameter, default in zip(
                        node.args.kwonlyargs, node.args.kw_defaults, strict=True
                    ):
                        if default is not None:
                            self._keep(parameter.arg, default)
            case ast.Call(func=ast.Attribute(attr="add_argument"), args=args, keywords=keywords):
                name = next((_literal(arg) for arg in args if _literal(arg).startswith("--")), "")
                name = name or next((_literal(arg) for arg in args), "")
                default = next((k.value for k in keywords if k.arg == "default"), None)
                if name and default is not None:
                    self._attributes.setdefault(name.lstrip("-").replace("-", "_"), default)

    # --- what an expression is worth

    def value(self, node: ast.expr | None, depth: int = 0) -> str | None:  # noqa: C901, PLR0911 -- one case for each kind of expression
        """Return the path that an expression stands for, with `*` for its unknown parts."""
        if node is None or depth > _DEEPEST:
            return None

        def again(inner: ast.expr | None) -> str | None:
            return self.value(inner, depth + 1)

        match node:
            case ast.Constant(value=str(text)):
                return text
            case ast.Name(id="__file__"):
                return _ROOT + self._code.path
            case ast.JoinedStr(values=values):
                texts = ["*" if (v := again(value)) is None else v for value in values]
                return re.sub(r"\*+", "*", "".join(texts))
            case ast.FormattedValue(value=value):
                return again(value)
            case ast.Attribute(attr="parent", value=value):
                return _parent(again(value))
            case ast.Name() | ast.Attribute():
                return self._named(node, depth)
            case ast.Subscript(
                value=ast.Attribute(attr="parents", value=value), slice=ast.Constant(value=int(up))
            ):
                path = again(value)
                for _ in range(up + 1):
                    path = _parent(path)
                return path
            case ast.Subscript(slice=ast.Constant(value=str(key))):
                return again(self._items.get(key)) or self._item(node, key)
            case ast.BinOp(left=left, op=ast.Div(), right=right):
                return _joined([again(left), again(right)])
            case ast.BinOp(left=left, op=ast.Add(), right=right):
                ends = [again(left), again(right)]
                whole = "".join("*" if end is None else end for end in ends)
                return None if ends == [None, None] else whole
            case ast.BinOp(left=left, op=ast.Mod()):
                path = again(left)
                return None if path is None else re.sub(r"%\w*", "*", path)
            case ast.BoolOp(values=values):
                return next((v for value in reversed(values) if (v := again(value))), None)
            case ast.IfExp(body=body, orelse=orelse):
                path = again(body)
                return again(orelse) if path is None else path
            case ast.Call():
                return self._call_value(node, again)
        return None

    def _keys(self, node: ast.expr | None, depth: int = 0) -> list[str]:
        """Return the keys by which an expression takes something: `["b", "c"]` of `a["b"].c`."""
        match node:
            case ast.Subscript(value=inner, slice=ast.Constant(value=str(key))):
                return [*self._keys(inner, depth), key]
            case ast.Attribute(value=inner, attr=key):
                return [*self._keys(inner, depth), key]
            case ast.Call(
                func=ast.Attribute(value=inner, attr="get"), args=[ast.Constant(value=str(key)), *_]
            ):
                return [*self._keys(inner, depth), key]
            case ast.Name() if node.id in self._values and depth < _DEEPEST:  # `part = all["part"]`
                return self._keys(self._nearest(node), depth + 1)
        return []

    def _item(self, node: ast.Subscript, key: str) -> str | None:
        """Return what a variable or the settings have under a key."""
        if _last(node.value) == "environ":
            return self._others.needed.get(key)
        return self._others.setting(self._keys(node))

    def _named(self, node: ast.Name | ast.Attribute, depth: int) -> str | None:
        """Return the value of a name or attribute, here or in the file that defines it."""
        if isinstance(node, ast.Attribute) and node.attr == "instance_path":
            return "instance"  # of Flask
        if isinstance(node, ast.Attribute) and node.attr == "root_path":
            return _parent(_ROOT + self._code.path)  # of Flask too
        if isinstance(node, ast.Name):
            if node.id in self._values:
                return self.value(self._nearest(node), depth + 1)
            return self._imported(self._code.names.get(node.id, ""), depth)
        first, _, rest = ast.unparse(node).partition(".")
        whole = self._code.names.get(first)
        path = self._imported(f"{whole}.{rest}", depth) if whole else None
        if path is None and node.attr in self._attributes:
            return self.value(self._attributes[node.attr], depth + 1)
        if path is None and _KEPT.search(node.attr):
            return self._others.setting(self._keys(node))
        return path

    def _imported(self, dotted: str, depth: int) -> str | None:
        """Return the value of another file's name, or of an attribute of an object there."""
        place = self._others.module(self._code, dotted) if dotted and depth < _DEEPEST else None
        if place is None or not place[1]:
            return None
        reader, (first, *rest) = place[0], place[1].split(".")
        if rest:
            node = reader._attributes.get(rest[-1])  # noqa: SLF001 -- of another file
        else:
            node = reader._values.get(first)  # noqa: SLF001 -- of another file
            if node is None:  # it has the name from a third file
                return reader._imported(reader._code.names.get(first, ""), depth + 1)  # noqa: SLF001 -- as above
        return reader.value(node, depth + 1)

    def parameters(self) -> Iterator[tuple[str, str, int, str]]:
        """Yield the uses of an argument by functions: function, kind, place and argument's name."""
        for node in self._code.nodes:
            if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            names = [parameter.arg for parameter in (*node.args.posonlyargs, *node.args.args)]
            names = names[1:] if names[:1] in (["self"], ["cls"]) else names
            names += [kwonlyarg.arg for kwonlyarg in node.args.kwonlyargs]
            whose = {name: name for name in names} | {
                loop.target.id: loop.iter.id  # `for folder in folders:`
                for loop in ast.walk(node)
                if isinstance(loop, ast.For)
                and isinstance(loop.target, ast.Name)
                and isinstance(loop.iter, ast.Name)
                and loop.iter.id in names
            }
            for inner in ast.walk(node):
                if not isinstance(inner, ast.Call):
                    continue
                for kind, argument in (*self._arguments(inner), *self._handed(inner)):
                    bare = argument
                    while isinstance(bare, ast.Call) and bare.args and _last(bare.func) in _SAME:
                        bare = bare.args[0]
                    if isinstance(bare, ast.Name) and bare.id in whose:
                        name = whose[bare.id]
                        yield node.name, kind, names.index(name), name
                    elif kind in {"writes", "fills"}:
                        used = {n.id for n in ast.walk(argument) if isinstance(n, ast.Name)}
                        used -= {*_IN_A_NAME.findall(ast.unparse(argument))}
                        for name in sorted(used & {*names}):
                            yield node.name, "fills", names.index(name), name

    def _package(self, node: ast.expr | None) -> str | None:
        """Return the folder of a package of the repository that is named, else of this file."""
        if node is None or ast.unparse(node) in {"__package__", "__name__"}:
            return _ROOT + posixpath.dirname(self._code.path)
        first = ast.unparse(node).partition(".")[0]
        imported = dotted(node, self._code.names) if first in self._code.names else ""
        return self._others.folder((_literal(node) or imported).replace(".", "/"), self._code.path)

    def _call_value(  # noqa: PLR0911 -- one case for each kind of call
        self, node: ast.Call, again: Callable[[ast.expr | None], str | None]
    ) -> str | None:
        name = _last(node.func)
        owner = node.func.value if isinstance(node.func, ast.Attribute) else None
        modules = {"os.path", "path", "osp", "posixpath", "os"}
        of_os = owner is not None and ast.unparse(owner) in modules
        if name == "join" and of_os:
            return _joined([again(arg) for arg in node.args])
        if name == "joinpath" and owner is not None:
            return _joined([again(owner), *(again(arg) for arg in node.args)])
        if name == "files" and "importlib" in dotted(node.func, self._code.names):
            return self._package(node.args[0] if node.args else None)
        if name == "dirname":
            return _parent(again(node.args[0])) if node.args else None
        if name in {"getcwd", "cwd"}:
            return ""
        if name in {"getenv", "get", "Field", "field", "Option", "Argument"}:
            keyword = next((k.value for k in node.keywords if k.arg == "default"), None)
            last = node.args[1] if len(node.args) > 1 else keyword
            if node.args and (known := self._others.variables.get(_literal(node.args[0]))):
                return known
            if name == "get" and (kept := self._others.setting(self._keys(node))):
                return kept
            if name in {"Field", "Option", "Argument"}:
                last = keyword or (node.args[0] if node.args else None)
            return again(last)
        if name == "format" and owner is not None:
            text = again(owner)
            return None if text is None else re.sub(r"\{[^}]*\}", "*", text)
        if name in _SAME:
            if name.endswith("Path") and node.args:
                return _joined([again(arg) for arg in node.args])
            if name.endswith("Path"):
                return ""
            return again(node.args[0] if node.args else owner)
        return self._returned(node)

    def _returned(self, node: ast.Call) -> str | None:
        """Return the path that a function of the repository returns.

        One that goes up from folder to folder looks for the repository's.
        """
        if not isinstance(node.func, ast.Name) or self._depth > _DEEPEST:
            return None
        name, reader = node.func.id, self
        if name in self._code.names:
            place = self._others.module(self._code, self._code.names[name])
            reader, name = place or (self, "")
        function = reader._defined.get(name)  # noqa: SLF001 -- of another file
        if function is None:
            return None
        if _upward(function):
            return _ROOT
        results = [inner.value for inner in ast.walk(function) if isinstance(inner, ast.Return)]
        reader._depth += 1  # noqa: SLF001 -- as above
        path = next((v for result in results if (v := reader.value(result))), None)
        reader._depth -= 1  # noqa: SLF001 -- as above
        return path

    # --- calls

    def called(self) -> Iterator[PathUse]:
        """Yield the paths of calls that read or write."""
        for node in self._code.nodes:
            if isinstance(node, ast.Call):
                for kind, argument in self._arguments(node):
                    text = self.value(argument)
                    if text is None and (several := [*self._looped(argument)]):
                        for element in several:
                            yield from self._use(element, node.lineno, kind)
                    elif text is None:
                        if kind in {"writes", "fills"}:
                            yield PathUse(text="*", line=node.lineno, kind="writes")
                    else:
                        yield from self._use(text, node.lineno, kind)
                for kind, argument in self._handed(node):
                    yield from self._use(self.value(argument) or "", node.lineno, kind)
            elif isinstance(node, ast.Dict):  # of Django's DATABASES
                given = dict(zip(map(_literal, node.keys), node.values, strict=True))
                if "sqlite3" in _literal(given.get("ENGINE")):
                    yield from self._use(self.value(given.get("NAME")) or "", node.lineno, "writes")

    def _looped(self, argument: ast.expr) -> Iterator[str]:
        """Yield the paths of a list that a loop goes through, for the name that it gives them."""
        while isinstance(argument, ast.Call) and argument.args and _last(argument.func) in _SAME:
            argument = argument.args[0]
        listed = self._loops.get(argument.id) if isinstance(argument, ast.Name) else None
        if isinstance(listed, ast.Name) and listed.id in self._values:
            listed = self._nearest(listed)
        for element in getattr(listed, "elts", ()):
            if text := self.value(element):
                yield text

    def _use(self, text: str, line: int, kind: str) -> Iterator[PathUse]:
        if database := SQLITE.fullmatch(text):  # a connection writes it, whatever names it
            if self._others.imports("flask_sqlalchemy") and not database["path"].startswith("/"):
                yield PathUse(text="instance", line=line, kind="fills")
                return
            text, kind = database["path"], "writes" if kind == "names" else kind
        if kind in {"writes", "fills"}:
            text = re.sub("^file:(?://)?", "", text)
        anchored = text.startswith(_ROOT)
        if "://" in text or "\n" in text:
            return
        if anchored:
            text = text.removeprefix(_ROOT)
        elif text.startswith("/app/"):
            text = text.removeprefix("/app/")
        elif text.startswith(("/", "~")):
            return
        text = posixpath.normpath(text) if text else ""
        if text != ".":  # `..`: it is run from a folder of its own
            yield PathUse(text=text, line=line, kind=kind, anchored=anchored)

    def _handed(self, node: ast.Call) -> Iterator[tuple[str, ast.expr]]:
        """Yield the uses that a function of the repository makes of path arguments."""
        whole = dotted(node.func, self._code.names)
        first = (ast.unparse(node.func)).partition(".")[0]
        if first in self._code.names and self._others.module(self._code, whole) is None:
            return  # of another distribution: `uvicorn.run("app:app")`
        own = {(kind, n, arg) for kind, _, n, arg in self._others.given(_last(node.func))}
        for kind, place, keyword in sorted(own):
            argument = _at(node, keyword) or _at(node, place)
            if isinstance(argument, ast.List | ast.Tuple):
                yield from ((kind, element) for element in argument.elts)
            elif argument is not None:
                yield kind, argument

    def _arguments(self, node: ast.Call) -> Iterator[tuple[str, ast.expr]]:
        """Yield the use that a call makes of each of its arguments that may be a path."""
        inside = self._resource(node)
        yield from [inside] if inside else self._of_call(node)

    def _resource(self, node: ast.Call) -> tuple[str, ast.expr] | None:
        """Return the file that a call reads from a package of the repository, or None."""
        known = _calls()["resources"]
        name = _last(node.func)
        folder = self._package(node.args[0]) if name in known and node.args else None
        inside = _at(node, 1) or _at(node, "package_path")
        text = self.value(inside) if inside else known.get(name)
        if folder is not None and inside and not text:  # one of them
            return "folder", ast.Constant(value=folder)
        if folder is None or not text:
            return None
        place = ast.Constant(value=posixpath.join(folder, text))
        return ("folder" if known[name] else "reads"), place

    def _of_call(self, node: ast.Call) -> Iterator[tuple[str, ast.expr]]:
        name = _last(node.func)
        owner = node.func.value if isinstance(node.func, ast.Attribute) else None
        kind, module = _calls()["methods"].get(name, ("", ""))
        if dotted(node.func, self._code.names).startswith("bentoml."):
            return  # names of its store
        if name == "open":
            if owner is None or ast.unparse(owner) in _calls()["openers"]["modules"]:
                yield from self._open(node, node.args[:1], 1)
            else:
                yield from self._open(node, [owner], 0)
        elif kind and owner is not None and ast.unparse(owner) != module:
            yield kind, node.args[0] if name == "exists" and node.args else owner
        elif name == "main" and owner is not None and ast.unparse(owner) == "hydra":
            yield from self._hydra(node)
        elif (reads := name.startswith(("read_", "scan_")) and not _QUERIES.match(name)) or (
            _WRITTEN.fullmatch(name)
        ):
            named = (k.value for k in node.keywords if k.arg and _PATH_OF.search(k.arg))
            argument = node.args[0] if node.args else next(named, None)
            kind = "reads" if reads else "writes"
            yield from [(kind, argument)] if argument is not None else []
        else:
            yield from self._of_known(node, name)

    def _of_known(self, node: ast.Call, name: str) -> Iterator[tuple[str, ast.expr]]:
        known = _calls()
        for kind, table in (("reads", "read"), ("folder", "folder"), ("writes", "write")):
            for place in known[table].get(name, ()):
                argument = _at(node, place)
                if argument is None or (place == 0 and _last_text(argument) is False):
                    continue
                if name in {"save", "save_model"} and self.value(argument) is None:
                    continue
                fills = kind == "writes" and name in known["folders"]["names"]
                yield ("fills" if fills else kind), argument
                break

    def _open(
        self, node: ast.Call, paths: list[ast.expr], place: int
    ) -> Iterator[tuple[str, ast.expr]]:
        mode = node.args[place] if len(node.args) > place else None
        mode = next((k.value for k in node.keywords if k.arg == "mode"), mode)
        text = _literal(mode) if mode is not None else "r"
        for path in paths:
            yield ("writes" if set(text) & set("wax+") else "reads"), path

    def _hydra(self, node: ast.Call) -> Iterator[tuple[str, ast.expr]]:
        """Yield the folder of Hydra's settings, beside the file; Hydra 0 names a file in it."""
        for keyword in node.keywords:
            if keyword.arg == "config_path" and (text := _literal(keyword.value)):
                text = posixpath.dirname(text) if text.endswith((".yaml", ".yml")) else text
                folder = posixpath.join(_ROOT, posixpath.dirname(self._code.path), text)
                yield "folder", ast.Constant(value=posixpath.normpath(folder))

    # --- what is only named

    def named(self) -> Iterator[PathUse]:
        """Yield the literals and joined paths that look like those of files or folders."""
        for node in self._code.nodes:
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                text = node.value.removeprefix("./")
                is_path = bool(_PATHLIKE.fullmatch(text) or SQLITE.fullmatch(text))
                is_path = is_path and not (_MEDIA.fullmatch(text) or _TELLS.match(text))
                if id(node) not in self._documented and is_path:
                    yield from self._use(text, node.lineno, "names")
            elif isinstance(node, ast.BinOp | ast.Call | ast.JoinedStr):
                text = self.value(node) or ""
                if _TELLS.match(text):
                    continue
                if "/" in text and not text.endswith("*") and text.strip("*/"):
                    yield from self._use(text, node.lineno, "names")
            elif isinstance(node, ast.Assign):
                text = _literal(node.value)
                target = node.targets[0]
                name = target.id if isinstance(target, ast.Name) else _key(target)
                if text and _FOLDERLIKE.search(name) and re.fullmatch(r"[\w.-]+", text):
                    yield from self._use(text, node.lineno, "names")
            elif isinstance(node, ast.keyword) and node.arg and _FOLDERLIKE.search(node.arg):
                text = _literal(node.value)
                if text and re.fullmatch(r"[\w./-]+", text):
                    yield from self._use(text, node.value.lineno, "names")


def _at(node: ast.Call, place: int | str) -> ast.expr | None:
    if isinstance(place, str):
        return next((k.value for k in node.keywords if k.arg == place), None)
    return node.args[place] if len(node.args) > place else None


def _key(node: ast.expr) -> str:
    """Return the key of `names["KEY"]`, or an empty text."""
    return _literal(node.slice) if isinstance(node, ast.Subscript) else ""


def _last_text(node: ast.expr) -> bool | None:
    """Return False for a first argument that can be no path: a number, a list, a lambda."""
    if isinstance(node, ast.Constant):
        return isinstance(node.value, str)
    return False if isinstance(node, ast.List | ast.Dict | ast.Lambda) else None


def _literal(node: ast.expr | None) -> str:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


def _last(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


def _parent(path: str | None) -> str | None:
    return None if path is None else posixpath.dirname(path.rstrip("/")) or ""


def _joined(parts: list[str | None]) -> str | None:
    if all(part is None for part in parts):
        return None
    return posixpath.join(*("*" if part is None else part for part in parts))
