"""Finds packages, and the programs that train and serve, by reading syntax trees only."""

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from lockstitch.scaffold.init.folder import Folder

__all__ = ["Server", "loose", "packages", "server", "trainer"]

_SERVERS = ("api", "app", "main", "serve", "server")
_NO_PACKAGES = frozenset(
    {"tests", "test", "docs", "doc", "examples", "notebooks", "data", "models", "scripts"}
    | {"benchmarks", "build", "dist", "artifacts", "outputs"}
)
_NO_PROGRAMS = frozenset({"setup.py", "conftest.py", "noxfile.py", "tasks.py", "fabfile.py"})
_ROUTES = ("/health", "/healthz")
_FACTORIES = ("create_app", "make_app", "get_app", "build_app")


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A file with an ASGI application."""

    path: str
    attribute: str
    factory: bool
    health: str


def packages(folder: Folder) -> dict[str, str]:
    """Return the packages that could be installed: import name to path, sorted."""
    if folder.has("src/__init__.py"):
        found = {"src": "src"}  # the code imports `src.…`
    else:
        found = {name: f"src/{name}" for name in folder.folders("src")}
        found = {name: path for name, path in found.items() if name not in _NO_PACKAGES}
    if not any(_is_package(folder, name, path) for name, path in found.items()):
        found = {name: name for name in folder.folders() if name not in _NO_PACKAGES}
    return {name: path for name, path in sorted(found.items()) if _is_package(folder, name, path)}


def _is_package(folder: Folder, name: str, path: str) -> bool:
    return name.isidentifier() and folder.has(f"{path}/__init__.py")


def loose(folder: Folder, installed: Mapping[str, str]) -> list[str]:
    """Return globs of the Python files that belong to no installed package, sorted."""
    found = [name for name in folder.modules() if _is_program(name)]
    inside = {path.partition("/")[0] for path in installed.values()}
    if "src" not in installed and any(map(_is_program, folder.modules("src"))):
        found.append("src/*.py")
    for name in folder.folders("src"):
        if f"src/{name}" not in installed.values() and _has_modules(folder, f"src/{name}"):
            found += [f"src/{name}/**/*.py"] if "src" not in installed else []
    for name in folder.folders():
        if name not in inside | _NO_PACKAGES | {"src"} and _has_modules(folder, name):
            found.append(f"{name}/**/*.py")
    return sorted(found)


def _is_program(name: str) -> bool:
    return name not in _NO_PROGRAMS and not name.startswith(("test_", "."))


def _has_modules(folder: Folder, path: str) -> bool:
    return any(map(_is_program, folder.modules(path)))


def trainer(folder: Folder, installed: Mapping[str, str]) -> str:
    """Return the path of the training program, or an empty text."""
    places = ["", "src/", *(f"{path}/" for path in installed.values()), "scripts/"]
    for place in places:
        if folder.module(f"{place}train.py") is not None:
            return f"{place}train.py"
    return ""


def server(folder: Folder, installed: Mapping[str, str]) -> Server | None:
    """Return the program that serves with FastAPI, or None."""
    places = ["src/", "", "app/", *(f"{path}/" for path in installed.values())]
    for place in dict.fromkeys(places):
        for name in _SERVERS:
            path = f"{place}{name}.py"
            tree = folder.module(path)
            found = _application(tree) if tree and _imports_asgi(tree) else None
            if tree and found:
                health = _health(tree, "" if found[1] else found[0])
                return Server(path=path, attribute=found[0], factory=found[1], health=health)
    return None


def _imports_asgi(tree: ast.Module) -> bool:
    names: list[str] = []
    for node in ast.walk(tree):
        names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
    return any(name.partition(".")[0] in {"fastapi", "starlette"} for name in names)


def _application(tree: ast.Module) -> tuple[str, bool] | None:
    """Return the name of the application, and whether it has to be called first."""
    assigned = [*_assigned(tree)]
    for name, call in assigned:
        if _called(call) == "FastAPI":
            return name, False
    if any(name == "app" for name, _ in assigned):
        return "app", False
    functions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
    for name in _FACTORIES:
        if name in functions and not _needs_arguments(functions[name]):
            return name, True
    return None


def _assigned(tree: ast.Module) -> Iterator[tuple[str, ast.Call]]:
    for node in tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call):
            for target in node.targets:
                if isinstance(target, ast.Name):
                    yield target.id, node.value
        elif isinstance(node, ast.AnnAssign) and isinstance(node.value, ast.Call):
            yield getattr(node.target, "id", ""), node.value


def _called(call: ast.Call) -> str:
    function = call.func
    if isinstance(function, ast.Attribute):
        return function.attr
    return function.id if isinstance(function, ast.Name) else ""


def _needs_arguments(function: ast.FunctionDef) -> bool:
    given = function.args
    positional = len(given.posonlyargs) + len(given.args) - len(given.defaults)
    return positional > 0 or any(default is None for default in given.kw_defaults)


def _health(tree: ast.Module, application: str) -> str:
    """Return the route of a GET of the application by which it says that it is well, or ""."""
    found = set()
    for node in ast.walk(tree):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        for call in node.decorator_list:
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute):
                owner = call.func.value  # a router may have a prefix, which nobody can see here
                mine = isinstance(owner, ast.Name) and application in {"", owner.id}
                route = call.args[0] if call.args else None
                if mine and call.func.attr == "get" and isinstance(route, ast.Constant):
                    found.add(route.value)
    return next((route for route in _ROUTES if route in found), "")
