"""Which packages are tools of development, and whether a project really runs without them."""

import re

from lockstitch.patterns import regex
from lockstitch.repository.dockerfile.files import dockerfiles
from lockstitch.repository.files import Repository
from lockstitch.repository.packaging.declared import beside, table
from lockstitch.repository.packaging.locks import normal

__all__ = ["TOOLS", "is_tool", "misplaced"]

# Name of the package: name of the module that code would import.
TOOLS = {
    **{n: n for n in ("autoflake", "autopep8", "bandit", "black", "commitizen", "coverage")},
    **{n: n for n in ("deptry", "flake8", "hypothesis", "ipdb", "isort", "jupytext", "mypy")},
    **{n: n for n in ("notebook", "nox", "prek", "pycodestyle", "pydocstyle", "pyflakes")},
    **{
        n: n
        for n in ("pylint", "pyright", "pytest", "pyupgrade", "ruff", "tox", "twine", "vulture")
    },
    **{n: n for n in ("yapf", "basedpyright", "bumpversion", "nbstripout", "jupyterlab")},
    "detect-secrets": "detect_secrets",
    "jupyter": "jupyter",
    "pip-tools": "piptools",
    "pre-commit": "pre_commit",
}
_FAMILIES = ("pytest-", "flake8-", "pylint-", "mypy-")
_INTERACTIVE = frozenset({"jupyter", "jupyterlab", "notebook", "jupytext", "nbstripout"})
_TESTS = regex(r"(?:^|/)(?:conftest|noxfile|test_[^/]*|[^/]*_test|setup)\.py$")
_MOST_FILES = 2_000


def is_tool(name: str) -> bool:
    """Return whether a package is a tool of development."""
    return name in TOOLS or name.startswith(_FAMILIES)


def misplaced(repo: Repository, folder: str, names: set[str]) -> set[str]:
    """Return those of the names that are tools which the folder's code does not need to run."""
    found = {name for name in names if is_tool(name)}
    if not found:
        return found
    document = repo.toml(beside(folder, "pyproject.toml"))
    own = normal(str(table(document, "project").get("name", "")))
    points = {str(key) for key in table(document, "project", "entry-points")}
    plugin = {n for n in found if n.partition("-")[0] in own.split("-") or _hooks(n, points)}
    found -= plugin
    # Where notebooks are the product, what runs them is no tool of development.
    notebooks = any(name.endswith(".ipynb") for name in repo.names)
    if found & _INTERACTIVE and notebooks and not dockerfiles(repo):
        found -= _INTERACTIVE
    return found - _imported(repo, folder, found)


def _hooks(name: str, points: set[str]) -> bool:
    return any(point.startswith(name) for point in points)


def _imported(repo: Repository, folder: str, names: set[str]) -> set[str]:
    """Return those of the names that code imports, or starts by a list of words."""
    modules = {name: TOOLS.get(name, name.replace("-", "_")) for name in names}
    patterns = {
        name: re.compile(
            rf"(?m)^[ \t]*(?:import|from)[ \t]+{re.escape(module)}\b"
            rf"|[\"']{re.escape(module)}[\"'],[ \t]*[\"']"
        )
        for name, module in modules.items()
    }
    start = f"{folder}/" if folder else ""
    own = [n for n in repo.names if n.endswith(".py") and n.startswith(start)]
    found: set[str] = set()
    for path in [each for each in own if not _TESTS.search(each)][:_MOST_FILES]:
        text = repo.text(path) or "" if found != names else ""
        for name in names - found:
            if modules[name] in text and patterns[name].search(text):
                found.add(name)
    return found
