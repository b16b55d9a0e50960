"""The applications of a Python file: servers of a framework, workers, scripts."""

import ast
import functools
from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType

from lockstitch.python.syntax import tree_of
from lockstitch.repository.code.source import dotted as as_written
from lockstitch.repository.code.source import names_of, parsed
from lockstitch.resources import load_table
from lockstitch.values import frozen, replace

_frameworks = functools.partial(load_table, __package__, "applications.toml")
_FACTORIES = ("create_app", "make_app", "get_app", "build_app", "create_application", "init_app")
# The routes by which a server says that it is well, the best first.
_ROUTES = (
    *("/health", "/healthz", "/health/", "/healthcheck", "/ping", "/api/health", "/livez"),
    *("/live", "/ready", "/status", "/"),
)
_GIVEN = frozenset({"request", "req", "response", "background_tasks", "self"})
_LOCAL = frozenset({"127.0.0.1", "localhost", "::1", None})
_SERVES = frozenset({"run_app", "serve", "serve_forever", "run_simple", "run_server", "listen"})
_PORTS = ("port", "server_port", "bind_port")
_HIGHEST = 65535
_DEEPEST = 5  # names that stand for others


@frozen
class Application:
    """One application; `name` is the attribute of its module, empty for a file that is run.

    That is so too for one that only a run makes: below `if __name__ == "__main__"`.
    """

    kind: str  # a table of applications.toml, or `script`
    path: str
    line: int
    name: str = ""
    factory: bool = False
    port: int = 0  # that the code says
    health: str = ""  # a route of the code

    @property
    def by(self) -> str:
        """The program that runs it."""
        return by_of(self.kind)


@frozen
class Code:
    """One file, for readers of programs."""

    path: str
    tree: ast.Module
    nodes: tuple[ast.AST, ...]  # of the tree, as `ast.walk` gives them
    names: Mapping[str, str]  # what a name in the file stands for, as a whole dotted name
    calls: frozenset[str]  # whole dotted names of what it calls
    relative: bool  # whether it imports from its own package by dots
    is_script: bool
    has_main: bool  # `if __name__ == "__main__"`


def by_of(kind: str) -> str:
    """Return the command that runs an application of a kind."""
    return str(_frameworks().get(kind, {}).get("by", "file"))


def default_of(kind: str) -> tuple[int, str]:
    """Return the port of a framework, and the route that it answers by itself."""
    facts = _frameworks().get(kind, {})
    return int(facts.get("port", 0)), str(facts.get("health", ""))


def code_of(path: str, text: str) -> Code | None:
    """Return a Python file as its tree and names, None when it is no Python of today."""
    tree = tree_of(text)
    source = parsed(f"{path}.py", text)  # a notebook's code comes as that of one file
    if tree is None or source is None:
        return None
    has_main = any(_is_guard(node) for node in tree.body)
    return Code(
        path=path,
        tree=tree,
        nodes=tuple(ast.walk(tree)),
        names=names_of(tree),
        calls=frozenset(call.name for call in source.calls),
        relative=bool(source.relative),
        is_script=source.is_script,
        has_main=has_main,
    )


def applications(
    code: Code,
    factories: Mapping[str, str] | None = None,
    fields: Mapping[str, ast.expr] = MappingProxyType({}),
) -> list[Application]:
    """Return the applications of a file, the most likely one first.

    `factories` are functions of other files that return applications: dotted name to kind; `fields`
    are what attributes of settings are worth.
    """
    listed = [*_assigned(code, factories or {}), *_factories(code)]
    listed += (
        _started(code) if not any(application.by != "celery" for application in listed) else []
    )
    port = _port(code, fields)
    return [
        replace(application, port=port, health=_best(_routes(code, _owners(code, application))))
        for application in dict.fromkeys(listed)
    ]


def _assigned(code: Code, factories: Mapping[str, str]) -> Iterator[Application]:
    """Yield the applications that names at the top of a file stand for."""
    own = {function.name: kind for function, kind in _makers(code)}
    guarded = [node for top in code.tree.body if _is_guard(top) for node in ast.walk(top)]
    for node in (*_top(code.tree.body), *guarded):
        value = getattr(node, "value", None)
        if isinstance(node, ast.With):
            for item in node.items:
                name = getattr(item.optional_vars, "id", "")
                kind = _kind(code, item.context_expr)
                if kind and name:
                    yield Application(kind=kind, path=code.path, line=node.lineno, name=name)
        if isinstance(node, ast.ClassDef):
            for decorator in node.decorator_list:
                named = dotted(decorator, code.names) == "bentoml.service"
                if named or _kind(code, decorator) == "bentoml":
                    yield Application(
                        kind="bentoml", path=code.path, line=node.lineno, name=node.name
                    )
        if not isinstance(node, ast.Assign | ast.AnnAssign) or not isinstance(value, ast.Call):
            continue
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        name = next((target.id for target in targets if isinstance(target, ast.Name)), "")
        called = dotted(value.func, code.names)
        kind = _kind(code, value) or own.get(called, "") or factories.get(called, "")
        kind = kind or _bound(code, value) or _guessed(code, name)
        if kind and name and node not in guarded:
            yield Application(kind=kind, path=code.path, line=node.lineno, name=name)
        elif kind and name and by_of(kind) in {"asgi", "wsgi"}:
            yield Application(kind=kind, path=code.path, line=node.lineno)


def _bound(code: Code, value: ast.Call) -> str:
    """Return `ray` for `Deployment.bind()` in a file that has deployments of Ray Serve."""
    is_bind = isinstance(value.func, ast.Attribute) and value.func.attr == "bind"
    serves = any(name.startswith("ray.serve") or name == "ray" for name in code.names.values())
    return "ray" if is_bind and serves else ""


def _guessed(code: Code, name: str) -> str:
    """Return the framework that a file imports whose `app` something unknown makes."""
    if name != "app":
        return ""
    imported = {name.partition(".")[0] for name in code.names.values()}
    return next((kind for kind in ("fastapi", "starlette", "flask") if kind in imported), "")


def _kind(code: Code, node: ast.expr) -> str:
    """Return the framework whose application a call makes, or an empty text."""
    if not isinstance(node, ast.Call):
        return ""
    called = dotted(node.func, code.names)
    for kind, facts in _frameworks().items():
        if called in facts.get("makes", ()):
            return kind
        # `from fastapi import *`
        for call in facts.get("makes", ()):
            module, _, name = call.rpartition(".")
            if called == name and code.names.get("*", "") == f"{module}.*":
                return kind
    return ""


def _factories(code: Code) -> Iterator[Application]:
    """Yield the functions at the top that need no argument and return an application."""
    for node, kind in _makers(code):
        named = node.name in _FACTORIES or node.name.endswith(("_app", "application"))
        if named and not _needs_arguments(node):
            yield Application(
                kind=kind, path=code.path, line=node.lineno, name=node.name, factory=True
            )


def _makers(code: Code) -> Iterator[tuple[ast.FunctionDef | ast.AsyncFunctionDef, str]]:
    """Yield the functions at the top that make an application of a kind and return something."""
    for node in code.tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            inside = [*ast.walk(node)]
            kinds = [_kind(code, node) for node in inside if isinstance(node, ast.Call)]
            kind = next(filter(None, kinds), "")
            returns = any(isinstance(node, ast.Return) and node.value for node in inside)
            if kind and returns and by_of(kind) in {"asgi", "wsgi"}:
                yield node, kind


def _needs_arguments(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    given = function.args
    positional = len(given.posonlyargs) + len(given.args) - len(given.defaults)
    return positional > 0 or any(default is None for default in given.kw_defaults)


def _started(code: Code) -> Iterator[Application]:
    """Yield the programs that a file is when it is run: a framework's page, a server, a script."""
    calls = {dotted(node.func, code.names): node.lineno for node in _calls(code)}
    imported = {name.partition(".")[0] for name in code.names.values()}
    for kind, facts in _frameworks().items():
        ends = tuple(call for call in facts.get("calls", ()) if call.startswith("."))
        line = next(
            (
                number
                for name, number in calls.items()
                if name in facts.get("calls", ()) or (ends and name.endswith(ends))
            ),
            0,
        )
        modules = {*facts.get("imports", ())}
        shown = next((n for name, n in calls.items() if name.partition(".")[0] in modules), 0)
        if "calls" in facts and "imports" in facts:
            line = line if modules & imported else 0
        elif modules:
            decorated = modules & imported and kind == "chainlit"
            line = shown or (1 if decorated else 0)
        if not line and facts.get("makes") and facts["by"] in {"gradio", "file", "dash"}:
            line = next((number for name, number in calls.items() if name in facts["makes"]), 0)
        if line and (code.is_script or facts["by"] not in {"gradio", "file", "dash"}):
            yield Application(kind=kind, path=code.path, line=line)
            return
    if code.is_script:
        line = next((node.lineno for node in code.tree.body if _is_guard(node)), 1)
        yield Application(kind="script", path=code.path, line=line)


def _is_guard(node: ast.stmt) -> bool:
    """Return whether a statement is `if __name__ == "__main__"`, which no import runs."""
    return isinstance(node, ast.If) and "__name__" in ast.dump(node.test)


def _top(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Yield the statements that run at import, those in branches too."""
    for node in body:
        yield node
        if isinstance(node, ast.If | ast.Try | ast.With) and not _is_guard(node):
            for part in ("body", "orelse", "finalbody"):
                yield from _top(getattr(node, part, []))


def _calls(code: Code) -> Iterator[ast.Call]:
    return (node for node in code.nodes if isinstance(node, ast.Call))


def dotted(node: ast.expr, names: Mapping[str, str]) -> str:
    """Return an expression as a whole dotted name, by what the names of its file stand for."""
    first, dot, rest = as_written(node).partition(".")
    return f"{names.get(first, first)}{dot}{rest}"


# --- ports and routes


def fields_of(codes: Iterable[Code]) -> dict[str, ast.expr]:
    """Return the defaults of classes' fields, and ports by name; without those that differ."""
    fields: dict[str, dict[str, ast.expr]] = {}
    for code in codes:
        for top in code.tree.body:
            for node in top.body if isinstance(top, ast.ClassDef) else (top,):
                match node:
                    case (
                        ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value)
                        | ast.Assign(targets=[ast.Name(id=name)], value=value)
                    ):
                        if node is not top or "port" in name.lower():
                            fields.setdefault(name, {})[ast.dump(value)] = value
    return {
        name: next(iter(values.values())) for name, values in fields.items() if len(values) == 1
    }


def texts_of(codes: Iterable[Code]) -> Iterator[tuple[str, str]]:
    """Yield the fields of classes that are texts, by which `app.config["DATA"]` takes them."""
    for name, value in fields_of(codes).items():
        if isinstance(value, ast.Constant) and isinstance(value.value, str) and value.value:
            yield name, value.value


def _port(code: Code, fields: Mapping[str, ast.expr]) -> int:
    """Return the port that a call of the file says, 0 when none does."""
    constants = dict(fields) | {
        target.id: node.value
        for node in code.tree.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    for call in _calls(code):
        name = dotted(call.func, code.names).rpartition(".")[2]
        if name == "add_argument" and _text(call) in {"--port", "-p"}:
            default = next((k.value for k in call.keywords if k.arg == "default"), None)
            if default is not None and (number := _number(default, constants)):
                return number
        if name in {"run", "launch", "run_server", "run_app", "serve", "listen"}:
            for keyword in call.keywords:
                if keyword.arg in _PORTS and (number := _number(keyword.value, constants)):
                    return number
        if name == "listen" and call.args and (number := _number(call.args[0], constants)):
            return number
        if name in {"add_insecure_port", "add_secure_port"} and call.args:
            last = call.args[0]
            end = last.values[-1] if isinstance(last, ast.JoinedStr) else None
            port = isinstance(end, ast.FormattedValue) and _number(end.value, constants)
            if port:
                return port
            text = last.value if isinstance(last, ast.Constant) else ""
            if isinstance(text, str) and text.rpartition(":")[2].isdecimal():
                return int(text.rpartition(":")[2])
        if name.endswith(("Server", "make_server")) and call.args:
            first = call.args[0]
            elements = first.elts if isinstance(first, ast.Tuple) else call.args[:2]
            if len(elements) > 1 and (number := _number(elements[1], constants)):
                return number
    return 0


def says_port(code: Code, port: int) -> bool:
    """Return whether a file's code gives a port as a number alone, which no variable changes."""
    given = (keyword for call in _calls(code) for keyword in call.keywords)
    return any(
        k.arg in _PORTS and isinstance(k.value, ast.Constant) and k.value.value == port
        for k in given
    )


def is_local(code: Code, application: Application) -> bool | None:
    """Return whether a file serves an application to this machine alone, None where it does not.

    What cannot be told, a host of a variable or a server of another kind, is taken to be open.
    """
    local: bool | None = None
    for call in _calls(code):
        name = dotted(call.func, code.names)
        own = name == f"{application.name}.run" if application.name else name.endswith("app.run")
        if own or name in {"uvicorn.run", "bottle.run"}:
            given = {keyword.arg: keyword.value for keyword in call.keywords}
            first = 0 if own else 1
            hosts = [given["host"]] if "host" in given else call.args[first : first + 1]
            texts = [host.value for host in hosts if isinstance(host, ast.Constant)]
            if None in given or not {*texts} <= _LOCAL or ("host" in given and not texts):
                return False
            local = True
        elif (
            name.rpartition(".")[2] in _SERVES
            or name in {"asyncio.run", "anyio.run"}
            or (name.endswith(".run") and not name.startswith(("subprocess.", "mlflow.")))
        ):
            return False
    return local


def _text(call: ast.Call) -> str:
    first = call.args[-1] if call.args else None
    return first.value if isinstance(first, ast.Constant) and isinstance(first.value, str) else ""


def _key(node: ast.expr) -> str:
    """Return what an expression reads of settings: `server.port` of `c["server"].get("port", 80)`.

    The object itself has no name here, since a file's values are known by their keys alone.
    """
    match node:
        case ast.Subscript(value=inner, slice=ast.Constant(value=str(name))):
            names = [name]
        case ast.Call(func=ast.Attribute(value=inner, attr="get" | "getint"), args=args):
            names = [
                a.value for a in args if isinstance(a, ast.Constant) and isinstance(a.value, str)
            ]
        case ast.Attribute(value=inner, attr=name):
            names = [name]
        case _:
            return ""
    return ".".join([*filter(None, [_key(inner)]), *names])


def _number(node: ast.expr, constants: Mapping[str, ast.expr], depth: int = 0) -> int:
    key = _key(node)
    for known in (key, key.rpartition(".")[2]):
        if known in constants and depth < _DEEPEST:
            return _number(constants[known], constants, depth + 1)
    match node:
        case ast.Constant(value=value):
            text = str(value)  # `True` is no number
            return int(text) if text.isdecimal() and 0 < int(text) <= _HIGHEST else 0
        case ast.Name(id=name) | ast.Attribute(attr=name) if name in constants and depth < _DEEPEST:
            return _number(constants[name], constants, depth + 1)
        case (
            ast.Call(args=[_, default])
            | ast.Call(args=[_], keywords=[ast.keyword(value=default)])
            | ast.Call(args=[], keywords=[ast.keyword(arg="default", value=default), *_])
        ):
            return _number(default, constants, depth + 1)  # os.environ.get("PORT", 8000)
        case ast.Call(args=[inner]):
            return _number(inner, constants, depth + 1)  # int(…)
        case ast.BoolOp(values=[*_, last]):
            return _number(last, constants, depth + 1)
    return 0


def health_of_parts(code: Code, codes: Iterable[Code]) -> str:
    """Return the route of a router in another file by which a file's server is well, or ""."""
    routes: dict[str, str] = {}
    for call in _calls(code):
        way = call.func.attr if isinstance(call.func, ast.Attribute) else ""
        at = _prefix(call)
        if way not in {"include_router", "register_blueprint"} or not call.args or at is None:
            continue
        module, _, router = dotted(call.args[0], code.names).lstrip(".").rpartition(".")
        for other in codes:
            whole = other.path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
            if module and f".{whole}".endswith(f".{module}"):
                value = dict(_assigned_names(other)).get(router)
                own = _prefix(value) if isinstance(value, ast.Call) else None
                if own is not None:
                    whole = f"{at}{own}" if way == "include_router" else at or own
                    routes = _routes(other, {router: whole}) | routes
    routes.pop("/", None)  # the list of some things, and not a word about the server
    return _best(routes)


def _routes(code: Code, owners: Mapping[str, str]) -> dict[str, str]:
    """Return the routes that a GET without arguments reaches, whole, by how the code has them."""
    routes: dict[str, str] = {}
    for node in code.nodes:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and _is_free(node):
            for call in node.decorator_list:
                if not isinstance(call, ast.Call):
                    continue
                if dotted(call.func, code.names) == "litestar.get":  # of any application
                    routes.setdefault(_text(call), _text(call))
                if isinstance(call.func, ast.Attribute):
                    owner = getattr(call.func.value, "id", "")
                    route = _text(call) if len(call.args) == 1 else ""
                    if owner in owners and route and _is_get(call):
                        routes.setdefault(route, f"{owners[owner]}{route}")
    return routes


def _best(routes: Mapping[str, str]) -> str:
    return next((routes[route] for route in _ROUTES if route in routes), "")


def _assigned_names(code: Code) -> list[tuple[str, ast.expr]]:
    return [
        (target.id, node.value)
        for node in code.nodes
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    ]


def _owners(code: Code, application: Application) -> dict[str, str]:
    """Return the names whose routes are the application's, each with the prefix of its routes.

    They are the application's own name, or what its function calls it, and the routers of this
    file that it includes.
    """
    assigned = _assigned_names(code)
    named = [name for name, value in assigned if _kind(code, value) == application.kind]
    names = [application.name] if application.name in named else [application.name, *named]
    owners = dict.fromkeys(names, "")
    values = dict(assigned)
    for call in _calls(code):
        way = call.func.attr if isinstance(call.func, ast.Attribute) else ""
        router = getattr(call.args[0], "id", "") if call.args else ""
        child = values.get(router)
        if way in {"include_router", "register_blueprint"} and isinstance(child, ast.Call):
            at, own = _prefix(call), _prefix(child)
            if at is not None and own is not None:
                # A prefix of Flask's `register_blueprint` stands in place of the blueprint's own.
                owners[router] = f"{at}{own}" if way == "include_router" else at or own
    return owners


def _prefix(call: ast.Call) -> str | None:
    """Return the prefix of a router's routes that a call says, None for one that is no text."""
    for keyword in call.keywords:
        if keyword.arg in {"prefix", "url_prefix"}:
            value = keyword.value
            text = value.value if isinstance(value, ast.Constant) else None
            return text if isinstance(text, str) else None
    return ""


def _is_get(call: ast.Call) -> bool:
    name = call.func.attr if isinstance(call.func, ast.Attribute) else ""
    methods = next((k.value for k in call.keywords if k.arg == "methods"), None)
    return name == "get" or (name == "route" and (methods is None or "GET" in ast.dump(methods)))


def _is_free(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Return whether a function of a route can be called without anything from the caller."""
    given = function.args
    positional = [*given.posonlyargs, *given.args]
    needed = positional[: len(positional) - len(given.defaults)]
    return all(node.arg in _GIVEN for node in needed)
