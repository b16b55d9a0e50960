"""Writes a new project from a template that ships with lockstep."""

import re
from collections.abc import Iterator
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

from lockstep import files
from lockstep.errors import LockstepError, raise_all

__all__ = ["TEMPLATES", "create"]

TEMPLATES = {"churn": "customer churn: training with scikit-learn, serving with FastAPI and ONNX"}
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9]*(?:[-_.][A-Za-z0-9]+)*")
_TOKEN = b"{{name}}"
# The token stands for the project's name in these only; other files are valid as they are.
_WITH_TOKEN = ("pyproject.toml", "README.md")


def create(folder: Path, template: str) -> list[str]:
    """Write a template's files into a new or empty folder, and return their names, sorted.

    The project is named like the folder. Raises LockstepError when the folder has files.
    """
    name = folder.absolute().name
    _check(folder, name, template)
    root = resources.files("lockstep.scaffold").joinpath("templates", template)
    written = []
    for path, source in sorted(_walk(root, "")):
        data = source.read_bytes()
        if path in _WITH_TOKEN:
            data = data.replace(_TOKEN, name.encode())
        files.write_bytes(folder / path, data)
        written.append(path)
    return written


def _check(folder: Path, name: str, template: str) -> None:
    problems = []
    if template not in TEMPLATES:
        hint = f"there is: {', '.join(sorted(TEMPLATES))}"
        problems.append(LockstepError(f"`{template}` is not a template", hint=hint))
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
