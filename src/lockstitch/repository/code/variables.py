"""The environment variables and arguments that Python code needs: those without a default.

`os.environ["X"]` counts anywhere, `os.getenv("X")` where it runs as its file is imported, and a
field of pydantic's settings where the file makes them.
"""

import ast
import re
from collections.abc import Callable, Iterator

from lockstitch.repository.code.applications import Code, dotted
from lockstitch.repository.compose.values import dotenv
from lockstitch.resources import load_table

_READ = frozenset({"os.getenv", "os.environ.get", "decouple.config", "decouple.AutoConfig"})
# What a system or a platform sets, or nobody misses.
_EXAMPLES = (
    *(".env.example", ".env.sample", ".env.template", ".env.dist", "env.example"),
    "example.env",
)
_UNFILLED = re.compile(r"(?i)[<>\[\]{}$]|\.\.\.|\byour?\b|\byour_|xxx|path/to")
# What a system or a platform sets, or nobody misses.
_USUAL = frozenset(load_table(__package__, "words.toml")["usual"])


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


def examples(read: Callable[[str], str | None]) -> dict[str, str]:
    """Return the variables that a file in place of `.env` gives as an example, with their values.

    `read` returns the text of a file of the repository, None where it has none.
    """
    texts = (read(name) or "" for name in _EXAMPLES)
    given = dotenv(next(filter(None, texts), ""), {})
    return {
        line.name: line.value for line in given if line.value and not _UNFILLED.search(line.value)
    }


def read_by(code: Code) -> list[str]:
    """Return the variables that a file reads without a default, ready for their absence or not."""
    return [*dict.fromkeys(name for node in ast.walk(code.tree) if (name := _read(code, node)))]


def arguments_of(code: Code) -> list[str]:
    """Return the arguments that a file cannot run without, by their names: of argparse or click.

    Those that it takes from `sys.argv` unasked are called by what they are assigned to.
    """
    needed: list[str] = [*_argv(code, code.tree)]
    needed += [_needed(node, code) for node in code.nodes if isinstance(node, ast.Call)]
    return [*dict.fromkeys(filter(None, needed))]


def _needed(call: ast.Call, code: Code) -> str:
    """Return the argument that a call of argparse or click says to be needed, or an empty text."""
    names = [str(n) for arg in call.args if (n := getattr(arg, "value", None))]
    called = dotted(call.func, code.names).rpartition(".")[2]
    given = {
        keyword.arg: keyword.value.value if isinstance(keyword.value, ast.Constant) else None
        for keyword in call.keywords
    }
    is_positional = bool(names) and not names[0].startswith("-") and "default" not in given
    if called in {"add_argument", "option"} and given.get("required") is True:
        return next((n for n in names if n.startswith("--")), names[0] if names else "")
    if called in {"add_argument", "argument"} and is_positional:
        optional = "nargs" in given and given["nargs"] in {"?", "*", "...", None}  # or REMAINDER
        return "" if optional else names[0].upper()
    return ""


def subcommands_of(code: Code) -> list[str]:
    """Return the words of which one must follow a file, and after which it needs no argument.

    They are the commands of click, typer, argparse, fire and Lightning's client.
    """
    if any(name.endswith("LightningCLI") for name in code.calls):
        return ["fit"]
    named: dict[str, ast.AST] = {}  # the word to what says its arguments
    parsers: dict[str, str] = {}
    for node in code.nodes:
        match node:
            case ast.FunctionDef(decorator_list=decorators):
                for mark in decorators:
                    call = mark if isinstance(mark, ast.Call) else ast.Call(mark, [], [])
                    without = "invoke_without" in ast.dump(mark)
                    if not without and (word := _word(call, node, code)):
                        named[word] = node
            case ast.Assign(
                targets=[ast.Name(id=name)],
                value=ast.Call(
                    func=ast.Attribute(attr="add_parser"), args=[ast.Constant(value=str(word)), *_]
                ),
            ):
                parsers[name] = word
            case ast.Call(args=[ast.Name(id=name)]) if dotted(node.func, code.names) == "fire.Fire":
                classes = (n for n in code.tree.body if isinstance(n, ast.ClassDef))
                body = next((n.body for n in classes if n.name == name), [])
                named |= {n.name: n for n in body if isinstance(n, ast.FunctionDef)}
    typer = any(name.startswith("typer") for name in code.names.values())
    if typer and len(named) == 1:
        return []  # which has no word of its own
    words = [word for word, node in named.items() if word[:1] != "_" and not _demands(node, code)]
    needing = {
        node.func.value.id
        for node in code.nodes
        if isinstance(node, ast.Call)
        if isinstance(node.func, ast.Attribute) and isinstance(node.func.value, ast.Name)
        if _needed(node, code)
    }
    return [*words, *(word for name, word in parsers.items() if name not in needing)]


def _word(call: ast.Call, function: ast.FunctionDef, code: Code) -> str:
    """Return the word of a command of click or typer that a decorator makes of a function."""
    if not isinstance(call.func, ast.Attribute) or call.func.attr != "command":
        return ""
    if dotted(call.func, code.names) == "click.command":
        return ""
    given = [*call.args, *(k.value for k in call.keywords if k.arg == "name")]
    name = getattr(given[0], "value", None) if given else None
    bare = re.sub(r"_(?:command|cmd|group|grp)$", "", function.name) if not name else ""
    return name if isinstance(name, str) else bare.replace("_", "-").lower()


def _demands(node: ast.AST, code: Code) -> bool:
    """Return whether a command cannot run without arguments."""
    if not isinstance(node, ast.FunctionDef):
        return False
    calls = [item for item in node.decorator_list if isinstance(item, ast.Call)]
    if any(_needed(item, code) for item in calls):
        return True
    options = {dotted(item.func, code.names).rpartition(".")[2] for item in calls}
    names = [a.arg for a in node.args.args if a.arg not in {"self", "ctx", "context"}]
    without = names[: len(names) - len(node.args.defaults)]
    ellipsis = any("Ellipsis" in ast.dump(default) for default in node.args.defaults)
    return ellipsis or (bool(without) and not options & {"option", "argument", "pass_context"})


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
