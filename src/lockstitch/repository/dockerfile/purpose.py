"""Tells libraries from what runs, and tools of development from packages of run time."""

import re

from lockstitch.patterns import regex
from lockstitch.python.names import normal
from lockstitch.python.tables import table
from lockstitch.repository.dockerfile.images import dockerfiles
from lockstitch.repository.dockerfile.installs import facts
from lockstitch.repository.dockerfile.instruction import Instruction
from lockstitch.repository.files import Repository
from lockstitch.repository.packaging.declared import beside, folder_of
from lockstitch.repository.packaging.files import lock_files, project_folders

_PYTHON = regex(r"\b(?:pip|uv|poetry|pdm|pipenv|conda|mamba|python3?)\b")
_RUNS = frozenset({"Procfile", "MLproject", "dvc.yaml", "runtime.txt", "app.yaml"})
_PUBLISHED = ("classifiers", "urls", "repository", "homepage")
_LOCKS = frozenset(
    {"uv.lock", "poetry.lock", "pdm.lock", "Pipfile.lock", "pixi.lock", "requirements.lock"}
    | {"conda-lock.yml", "conda-lock.yaml", "requirements-dev.lock", "environment.lock.yml"}
)
_FOR_PEOPLE = regex(
    r"(?:^|[-_./])(?:dev|develop|development|tests?|testing|docs?|lint|ci|github)(?=[-_./]|$)"
)
_APART = (
    *("docs/", "doc/", "examples/", "example/", "experiments/", "benchmarks/", "benchmark/"),
    *(".devcontainer/", ".github/"),
)
_TESTS = regex(r"(?:^|/)(?:conftest|noxfile|test_[^/]*|[^/]*_test|setup)\.py$")
_NOTEBOOKS = frozenset({"notebooks", "notebook", "jupyter", "jupyterhub", "jupyterlab"})
_SERVES = regex(r"(?im)^[ \t]*(?:CMD|ENTRYPOINT)\b[^\n]*\bjupyter")
_MOST_FILES = 2_000


def lock_names(repo: Repository) -> list[str]:
    """Return the names of all locks of what runs, those included that no rule reads."""
    lists = [
        lock.path
        for lock in lock_files(repo)
        if any(package.version for package in lock.packages) and is_runtime_list(repo, lock.path)
    ]
    return [*repo.named(*_LOCKS), *lists]


def is_for_developers(path: str) -> bool:
    """Return whether a list of requirements is for who works on a project, not for what runs."""
    return _FOR_PEOPLE.search(path.lower()) is not None


def is_beside_model(repo: Repository, path: str) -> bool:
    """Return whether MLflow has written a list beside a model that it saved."""
    folder = folder_of(path)
    return any(beside(place, "MLmodel") in repo.name_set for place in (folder, folder_of(folder)))


def is_runtime_list(repo: Repository, path: str) -> bool:
    """Return whether a list is for what runs, neither for developers nor beside a saved model."""
    return not is_for_developers(path) and not is_beside_model(repo, path)


def owner(repo: Repository, path: str) -> str | None:
    """Return the nearest project folder at or above a file, None when there is none."""
    folder = folder_of(path)
    while folder not in project_folders(repo):
        if not folder:
            return None
        folder = folder_of(folder)
    return folder


def is_library(repo: Repository, folder: str) -> bool:
    """Return whether a folder is a package for an index, and nothing here runs it.

    Libraries leave the choice of versions to who installs them. Metadata for an index tells one:
    classifiers, addresses, or a setup.py alone; scripts and notebooks may be among it.
    """
    document = repo.toml(beside(folder, "pyproject.toml"))
    project, poetry = table(document, "project"), table(document, "tool", "poetry")
    setup = any(beside(folder, name) in repo.name_set for name in ("setup.py", "setup.cfg"))
    if not project and not poetry and setup:
        return not is_deployed(repo, folder)
    builds = bool(table(document, "build-system")) and poetry.get("package-mode") is not False
    published = any(key in section for section in (project, poetry) for key in _PUBLISHED)
    return builds and published and not is_deployed(repo, folder)


def is_deployed(repo: Repository, folder: str) -> bool:
    """Return whether something here puts a folder's code into images or runs it as a service."""
    if table(repo.toml(beside(folder, "pyproject.toml")), "tool", "lockstitch"):
        return True
    start = f"{folder}/" if folder else ""
    if any(name.startswith(start) for name in repo.named(*_RUNS)):
        return True
    return any(
        file.path.startswith(start)
        and not file.path.startswith(_APART)
        and owner(repo, file.path) == folder
        and _PYTHON.search(file.text)
        and any(
            _takes(instruction) for stage in file.value.stages for instruction in stage.instructions
        )
        for file in dockerfiles(repo)
    )


def _takes(instruction: "Instruction") -> bool:
    """Return whether an instruction brings files of the repository into an image."""
    if instruction.name in {"COPY", "ADD"}:
        return instruction.flag("from") is None
    mounts = [flag.value or "" for flag in instruction.flags if flag.name == "mount"]
    return any("type=bind" in mount and "from=" not in mount for mount in mounts)


def is_tool(name: str) -> bool:
    """Return whether a package is a tool of development."""
    tools = facts("tools")
    own = name in tools["packages"] or name in tools["modules"]
    family = name.startswith(tuple(tools["families"])) and name != "mypy-extensions"
    return own or family  # that one others need to run


def misplaced(repo: Repository, folder: str, names: set[str]) -> set[str]:
    """Return the names of tools that the folder's code does not need to run."""
    tools = {name for name in names if is_tool(name)}
    if not tools:
        return tools
    document = repo.toml(beside(folder, "pyproject.toml"))
    own = normal(str(table(document, "project").get("name", "")))
    points = {str(key) for key in table(document, "project", "entry-points")}
    tools -= {
        name
        for name in tools
        if name.partition("-")[0] in own.split("-") or any(p.startswith(name) for p in points)
    }
    # Where notebooks are the product, what runs them is no tool of development.
    interactive = tools & {*facts("tools")["interactive"]}
    if interactive and any(n.endswith(".ipynb") for n in repo.names) and not dockerfiles(repo):
        tools -= interactive
    start = f"{folder}/" if folder else ""
    served = [f for f in dockerfiles(repo) if f.path.startswith(start) and _SERVES.search(f.text)]
    if interactive and (served or _NOTEBOOKS & {*folder.lower().split("/")}):
        tools -= interactive
    return tools - _imported(repo, folder, tools)


def _imported(repo: Repository, folder: str, names: set[str]) -> set[str]:
    """Return the names whose modules code imports, or starts by a list of words."""
    special = facts("tools")["modules"]
    modules = {name: special.get(name, name.replace("-", "_")) for name in names}
    patterns = {
        name: re.compile(
            rf"(?m)^[ \t]*(?:import|from)[ \t]+{re.escape(module)}\b"
            rf"|[\"']{re.escape(module)}[\"'],[ \t]*[\"']"
        )
        for name, module in modules.items()
    }
    start = f"{folder}/" if folder else ""
    own = [n for n in repo.names if n.endswith(".py") and n.startswith(start)]
    imported: set[str] = set()
    for path in [path for path in own if not _TESTS.search(path)][:_MOST_FILES]:
        text = repo.text(path) or "" if imported != names else ""
        for name in names - imported:
            if modules[name] in text and patterns[name].search(text):
                imported.add(name)
    return imported
