"""Writes a new project from a template that ships with lockstep."""

import re
from collections.abc import Iterator
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

from lockstep import files
from lockstep.errors import LockstepError, raise_all

__all__ = ["MANAGERS", "TEMPLATES", "create"]

TEMPLATES = {
    "churn": "customer churn: training with scikit-learn, serving with FastAPI and ONNX",
    "iris": "iris species: the same on 150 flowers, read in five minutes",
}
MANAGERS = ("uv", "poetry")
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9]*(?:[-_.][A-Za-z0-9]+)*")
# In these only, `{{name}}` stands for the project's name, and a line `#: WHO` says which manager
# the lines below it are for: `uv`, `poetry` or `all`. Those for Poetry are commented out, so that
# the template is valid as it is.
_RENDERED = ("pyproject.toml", "README.md")
_TOKEN, _MARK, _COMMENT = "{{name}}", "#: ", "# "
_OF_ONE_MANAGER = {"poetry.toml": "poetry"}


def create(folder: Path, template: str, manager: str = "uv") -> list[str]:
    """Write a template's files into a new or empty folder, and return their names, sorted.

    The project is named like the folder. Raises LockstepError when the folder has files.
    """
    name = folder.absolute().name
    _check(folder, name, template, manager)
    root = resources.files("lockstep.scaffold").joinpath("templates", template)
    written = []
    for path, source in sorted(_walk(root, "")):
        if _OF_ONE_MANAGER.get(path, manager) != manager:
            continue
        data = source.read_bytes()
        if path in _RENDERED:
            data = _render(data.decode(), name, manager).encode()
        files.write_bytes(folder / path, data)
        written.append(path)
    return written


def _render(text: str, name: str, manager: str) -> str:
    kept, owner = [], "all"
    for line in text.splitlines(keepends=True):
        if line.startswith(_MARK):
            owner = line.removeprefix(_MARK).strip()
        elif owner == "poetry" == manager:
            kept.append(line.removeprefix(_COMMENT))
        elif owner in {"all", manager}:
            kept.append(line)
    return "".join(kept).replace(_TOKEN, name)


def _check(folder: Path, name: str, template: str, manager: str) -> None:
    problems = []
    if template not in TEMPLATES:
        hint = f"there is: {', '.join(sorted(TEMPLATES))}"
        problems.append(LockstepError(f"`{template}` is not a template", hint=hint))
    if manager not in MANAGERS:
        hint = f"there is: {', '.join(sorted(MANAGERS))}"
        problems.append(LockstepError(f"`{manager}` is not a manager", hint=hint))
    if not _NAME.fullmatch(name):
        message = f"`{name}` cannot name a project"
        hint = "start with a letter; letters, digits, and single - _ . between"
        problems.append(LockstepError(message, hint=hint))
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        message = f"`{folder}` is there already and not empty"
        problems.append(LockstepError(message, hint="choose another name, or remove it"))
    raise_all(problems)


def _walk(root: Traversable, prefix: str) -> Iterator[tuple[str, Traversable]]:
    for each in root.iterdir():
        if each.is_dir():
            if each.name not in files.SKIPPED_FOLDERS:
                yield from _walk(each, f"{prefix}{each.name}/")
        elif not each.name.endswith(".pyc"):
            yield prefix + each.name, each
