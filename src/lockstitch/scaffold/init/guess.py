"""Which distributions imports and models need, as far as tables of the most used know."""

import ast
import functools
import posixpath
import re
import sys
from collections.abc import Collection, Iterator, Mapping

from lockstitch.python.imports import named, standard_library
from lockstitch.python.names import known_modules, normal, shared_modules
from lockstitch.scaffold.init import pickles
from lockstitch.scaffold.init.folder import Folder
from lockstitch.scaffold.init.requirements import names_table
from lockstitch.values import frozen

_HANDLED = {"ImportError", "ModuleNotFoundError", "Exception", "BaseException"}
_APART = frozenset(
    {"tests", "test", "docs", "doc", "examples", "example", "notebooks", "benchmarks", "build"}
    | {"dist", "site-packages", "third_party", "vendor", "experiments"}
)
_MOST = 400  # files that are read
_OLDER, _NEWEST = 8, 14
# Written without a module of their own, or only for developing.
_BROUGHT = frozenset({"joblib", "numpy", "scipy"})  # by scikit-learn
_IMPORT = r"(?m)^\s*(?:import|from) (?:{})\b"
_ASYNC_VIEW = re.compile(r"(?m)^\s*@\w+\.(?:route|get|post)\([^\n]*\)\n(?:\s*@.*\n)*\s*async def")
_TOOLS = frozenset({"pip", "wheel", "pytest", "nox", "invoke", "sphinx"})


@frozen
class Guess:
    """Distributions by name with the first place that imports each, and modules of no table."""

    distributions: Mapping[str, str]
    alike: Mapping[str, tuple[str, ...]]  # other distributions that would do
    unknown: Mapping[str, str]


@functools.cache
def _standard() -> frozenset[str]:
    known = sys.stdlib_module_names
    libraries = (standard_library(minor, known) for minor in range(_OLDER, _NEWEST))
    return frozenset(name for library in libraries for name in library)


def own_modules(names: Collection[str]) -> frozenset[str]:
    """Return the modules that a project's own files could be imported as."""
    own = set()
    for name in names:
        if name.endswith(".py"):
            *folders, file = name.split("/")
            own |= {file.removesuffix(".py"), *folders}
    return frozenset(own)


def guess(folder: Folder, names: Collection[str]) -> Guess:
    """Return the packages that a folder's Python files import; tests and examples do not count."""
    own = own_modules(names) | _standard()
    distributions: dict[str, str] = {}
    alike: dict[str, tuple[str, ...]] = {}
    unknown: dict[str, str] = {}
    paths = [name for name in sorted(names) if name.endswith(".py") and is_counted(name)]
    if not any(_runs(folder.module(path)) for path in paths[:_MOST]):
        books = [name for name in sorted(names) if name.endswith(".ipynb")]
        paths += [name for name in books if not any(p.startswith(".") for p in name.split("/"))]
    models = pickles.models(names)
    mentioned: set[str] = set()
    for path in paths[:_MOST]:
        tree = folder.module(path)
        read = folder.notebook if path.endswith(".ipynb") else folder.text
        text = read(path) or "" if tree else ""
        imports = [*_imports(tree)] if tree else []
        imports += [(m, n) for m, n, _ in named(tree)] if tree and "django" in text else []
        for module, line in sorted(imports):
            top = module.partition(".")[0]
            if top in own or top in _TOOLS:
                continue
            place = f"{path}:{line}"
            distribution = known_distribution(module)
            if not distribution:
                unknown.setdefault(top, place)
                continue
            distributions.setdefault(distribution, place)
            alike[distribution] = tuple(names_table("alike").get(top, ()))
        mentioned |= {name for name in models if tree and posixpath.basename(name) in text}
        for distribution, call in _hidden(text) if tree else ():
            distributions.setdefault(distribution, f"{path}`, for `{call}")
            alike.setdefault(distribution, tuple(names_table("alike").get(distribution, ())))
    for path in sorted(mentioned or models):
        tops = pickles.modules(folder, path)
        for top in sorted(tops - own - (_BROUGHT if "sklearn" in tops else set())):
            if distribution := normal(known_modules().get(top, "")):
                if ".ipynb:" in distributions.get(distribution, ".ipynb:"):
                    distributions[distribution] = path  # whether the notebook is run or not
                alike.setdefault(distribution, tuple(names_table("alike").get(top, ())))
    return Guess(distributions=distributions, alike=alike, unknown=unknown)


def _hidden(text: str) -> Iterator[tuple[str, str]]:
    """Yield the distributions that a file needs without an import, each with what needs it."""
    plain = text.replace('"', "'")
    for call, needed in names_table("hidden").items():
        beside = names_table("hidden_beside").get(call, "")
        if call in plain and (not beside or re.search(_IMPORT.format(beside), plain)):
            named = needed if isinstance(needed, list) else [needed]
            yield from ((distribution, call.rstrip("('")) for distribution in named)
    if "Flask" in plain and _ASYNC_VIEW.search(plain):
        yield "asgiref", "async def"


def _runs(tree: ast.Module | None) -> bool:
    """Return whether a file does something when it is started."""
    return tree is not None and any(
        (isinstance(node, ast.Expr) and isinstance(node.value, ast.Call))
        or (isinstance(node, ast.If) and "__name__" in ast.dump(node.test))
        for node in tree.body
    )


def is_counted(path: str) -> bool:
    """Return whether a Python file may be of a program: no test, example or tool of packaging."""
    *folders, file = path.split("/")
    if file.startswith(("test_", "setup.")) or file in {"conftest.py", "noxfile.py"}:
        return False
    return not {*folders} & _APART and not posixpath.basename(path).endswith("_test.py")


def known_distribution(module: str) -> str:
    """Return the distribution of a dotted name, "" where no table has one."""
    for name, distribution in shared_modules().items():
        if module == name or module.startswith(f"{name}."):
            return distribution
    top = module.partition(".")[0]
    if top in {"google", "azure"}:
        return ""
    return normal(known_modules().get(top, ""))


def _imports(tree: ast.Module) -> Iterator[tuple[str, int]]:
    """Yield the modules that a file imports wherever it runs, with their lines."""
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            if not node.level and node.module:
                # `from google.cloud import storage` names a module, as far as tables know.
                yield from ((_named(node.module, a.name), node.lineno) for a in node.names)
        elif isinstance(node, ast.Try) and any(map(_handles, node.handlers)):
            waiting += [*node.orelse, *node.finalbody]
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            waiting += node.orelse
        else:
            waiting += ast.iter_child_nodes(node)


def _named(module: str, name: str) -> str:
    whole = f"{module}.{name}"
    return whole if whole in shared_modules() else module


def _handles(handler: ast.ExceptHandler) -> bool:
    if handler.type is None:
        return True
    return any(isinstance(n, ast.Name) and n.id in _HANDLED for n in ast.walk(handler.type))
