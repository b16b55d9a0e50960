"""The environment variables and arguments that Python code needs: those without a default.

`os.environ["X"]` counts anywhere, `os.getenv("X")` where it runs as its file is imported, and a
field of pydantic's settings where the file makes them.
"""

import ast
from collections.abc import Iterator

from lockstitch.repository.code.applications import Code, dotted

_READ = frozenset({"os.getenv", "os.environ.get", "decouple.config", "decouple.AutoConfig"})
# What a system or a platform sets, or nobody misses.
_USUAL = frozenset(
    {"PATH", "HOME", "USER", "PWD", "HOSTNAME", "LANG", "TZ", "TERM", "SHELL", "TMPDIR", "PORT"}
    | {"HOST", "DEBUG", "CI", "PYTHONPATH", "RANK", "LOCAL_RANK", "WORLD_SIZE", "DYNO", "RENDER"}
    | {"CUDA_VISIBLE_DEVICES", "LOG_LEVEL", "ENV", "ENVIRONMENT"}
)


def variables_of(code: Code) -> list[tuple[str, int]]:
    """Return the variables that a file reads without a default, with the line, each once."""
    with_default = {
        id(value)
        for node in code.nodes
        if isinstance(node, ast.BoolOp) and isinstance(node.op, ast.Or)
        for value in node.values[:-1]
    }
    # `if os.getenv("X"):` and `os.getenv("X") is None` are ready for its absence.
    tested = {id(inner) for node in code.nodes for test in _tests(node) for inner in ast.walk(test)}
    later = {
        id(inner)
        for node in code.nodes
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        for inner in ast.walk(node)
        if isinstance(inner, ast.Call)
    }
    first: dict[str, int] = {}
    for node in code.nodes:
        name = _read(code, node)
        if name and name not in _USUAL and id(node) not in with_default | tested | later:
            first.setdefault(name, getattr(node, "lineno", 1))
    for name, line in _settings(code):
        first.setdefault(name, line)
    optional = {_read(code, node) for node in code.nodes if id(node) in tested}
    optional |= {name for node in code.nodes for name in _ready(code, node)}
    return sorted((name, line) for name, line in first.items() if name not in optional)


def read_by(code: Code) -> list[str]:
    """Return the variables that a file reads without a default, ready for their absence or not."""
    return [*dict.fromkeys(name for node in ast.walk(code.tree) if (name := _read(code, node)))]


def arguments_of(code: Code) -> list[str]:
    """Return the arguments that a file cannot run without, by their names: of argparse or click.

    Those that it takes from `sys.argv` unasked are called by what they are assigned to.
    """
    needed: list[str] = [*_argv(code, code.tree)]
    for call in (node for node in code.nodes if isinstance(node, ast.Call)):
        names = [str(n) for arg in call.args if (n := getattr(arg, "value", None))]
        called = dotted(call.func, code.names).rpartition(".")[2]
        given = {keyword.arg: getattr(keyword.value, "value", None) for keyword in call.keywords}
        is_positional = bool(names) and not names[0].startswith("-") and "default" not in given
        if called in {"add_argument", "option"} and given.get("required") is True:
            needed.append(next((n for n in names if n.startswith("--")), names[0] if names else ""))
        elif called in {"add_argument", "argument"} and is_positional:
            needed += [] if given.get("nargs") in {"?", "*"} else [names[0].upper()]
    return [*dict.fromkeys(filter(None, needed))]


def _settings(code: Code) -> Iterator[tuple[str, int]]:
    """Yield the fields without a default of pydantic's settings that a file makes, with lines."""
    for node in code.tree.body:
        bases = node.bases if isinstance(node, ast.ClassDef) else ()
        names = {dotted(base, code.names).rpartition(".")[2] for base in bases}
        if not isinstance(node, ast.ClassDef) or "BaseSettings" not in names:
            continue
        prefix = ""
        for inner in ast.walk(node):
            match inner:
                case ast.keyword(arg="env_prefix", value=ast.Constant(value=str(text))):
                    prefix = text
        for statement in node.body if node.name in code.calls else ():
            if isinstance(statement, ast.AnnAssign) and statement.value is None:
                name = getattr(statement.target, "id", "")
                if (
                    name
                    and not name.startswith("_")
                    and "ClassVar" not in ast.dump(statement.annotation)
                ):
                    yield f"{prefix}{name}".upper(), statement.lineno


def _argv(code: Code, node: ast.AST) -> Iterator[str]:
    """Yield the names that `sys.argv[N]` is given to where nothing asks whether it is there."""
    if isinstance(node, ast.If | ast.IfExp) and "argv" in ast.dump(node.test):
        return
    if isinstance(node, ast.Try):
        return
    for value in ast.iter_child_nodes(node):
        match value:
            case ast.Subscript(value=taken, slice=ast.Constant(value=int(number))) if number > 0:
                if dotted(taken, code.names) == "sys.argv":
                    target = node.targets[0] if isinstance(node, ast.Assign) else None
                    named = target.id if isinstance(target, ast.Name) else f"argument{number}"
                    yield named.upper()
        yield from _argv(code, value)


def _tests(node: ast.AST) -> Iterator[ast.expr]:
    if isinstance(node, ast.If | ast.IfExp | ast.While | ast.Assert):
        yield node.test
    elif isinstance(node, ast.Compare):
        yield node


def _ready(code: Code, node: ast.AST) -> Iterator[str]:
    """Yield the variables that code sets itself, or looks for before it reads them."""
    match node:
        case ast.Compare(left=ast.Constant(value=str(name)), ops=[ast.In() | ast.NotIn()]):
            yield name
        case ast.Call(
            func=ast.Attribute(attr="setdefault"), args=[ast.Constant(value=str(name)), _]
        ):
            yield name
        case ast.Subscript(value=value, slice=ast.Constant(value=str(name)), ctx=ast.Store()):
            if dotted(value, code.names) == "os.environ":
                yield name


def _read(code: Code, node: ast.AST) -> str:
    """Return the variable that an expression reads without a default, or an empty text."""
    match node:
        case ast.Subscript(value=value, slice=ast.Constant(value=str(name)), ctx=ast.Load()):
            return name if dotted(value, code.names) == "os.environ" else ""
        case ast.Call(func=func, args=[ast.Constant(value=str(name))], keywords=keywords):
            has_default = any(keyword.arg == "default" for keyword in keywords)
            return name if dotted(func, code.names) in _READ and not has_default else ""
    return ""
