"""All that `lockstitch init` finds in a folder, as one value."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lockstitch.errors import LockstitchError, raise_all
from lockstitch.python.tables import parse_toml
from lockstitch.scaffold.init import asked, legacy, programs
from lockstitch.scaffold.init.folder import Folder

__all__ = ["MANAGERS", "Found", "look", "table"]

MANAGERS = ("uv", "poetry")
_REQUIREMENTS = ("requirements.in", "requirements.txt")
_DEV = ("requirements-dev.in", "requirements-dev.txt", "dev-requirements.txt")


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What is there, and what was left out on the way."""

    folder: Folder
    text: str  # of pyproject.toml
    document: Mapping[str, Any]
    manager: str
    classic: bool  # the metadata is in [tool.poetry]
    legacy: legacy.Metadata
    listed: asked.Asked | None  # in requirements.in, else requirements.txt
    listed_dev: asked.Asked | None
    packages: Mapping[str, str]  # import name to path
    installed: bool  # whether the packages get into the environment as a wheel
    loose: tuple[str, ...]  # globs of the modules that do not
    trainer: str
    server: programs.Server | None
    minor: str  # of .python-version, as in `3.11`

    @property
    def project(self) -> Mapping[str, Any]:
        """The [project] table."""
        return table(self.document, "project")

    @property
    def poetry(self) -> Mapping[str, Any]:
        """The [tool.poetry] table."""
        return table(self.document, "tool", "poetry")


def table(document: Mapping[str, Any], *path: str) -> Mapping[str, Any]:
    """Return a table below others, empty when there is none."""
    found: Any = document
    for key in path:
        found = found.get(key) if isinstance(found, Mapping) else None
    return found if isinstance(found, Mapping) else {}


def look(folder: Folder, manager: str = "") -> Found:
    """Return what a folder holds, or raise LockstitchError with all that cannot be worked with."""
    text = folder.text("pyproject.toml") or ""
    document = parse_toml(text, "`pyproject.toml`", hint="correct that line")
    classic = "project" not in document and "name" in table(document, "tool", "poetry")
    chosen = _manager(folder, document, manager, classic=classic)
    packages = programs.packages(folder)
    virtual = (
        table(document, "tool", "uv").get("package") is False
        or table(document, "tool", "poetry").get("package-mode") is False
    )
    installed = bool(packages) and not virtual
    return Found(
        folder=folder,
        text=text,
        document=document,
        manager=chosen,
        classic=classic,
        legacy=legacy.read(folder),
        listed=_first(folder, _REQUIREMENTS),
        listed_dev=_first(folder, _DEV),
        packages=packages,
        installed=installed,
        loose=tuple(programs.loose(folder, packages if installed else {})),
        trainer=programs.trainer(folder, packages),
        server=programs.server(folder, packages),
        minor=_minor(folder),
    )


def _first(folder: Folder, names: tuple[str, ...]) -> asked.Asked | None:
    return next((found for name in names if (found := asked.read(folder, name))), None)


def _minor(folder: Folder) -> str:
    text = folder.text(".python-version") or ""
    match = re.fullmatch(r"\s*(?:cpython-)?(3\.\d{1,2})(?:\.\d+)?\s*", text)
    return match[1] if match else ""


def _manager(folder: Folder, document: Mapping[str, Any], wanted: str, *, classic: bool) -> str:
    locks = {"uv": folder.has("uv.lock"), "poetry": folder.has("poetry.lock")}
    problems = []
    if wanted and wanted not in MANAGERS:
        hint = f"there is: {', '.join(MANAGERS)}"
        problems.append(LockstitchError(f"`{wanted}` is not a manager", hint=hint))
    if all(locks.values()):
        message = f"`{folder.root}` has a `poetry.lock` and a `uv.lock`"
        hint = "keep the lock that your team uses, delete the other"
        problems.append(LockstitchError(message, hint=hint))
    raise_all(problems)
    has_table = bool(table(document, "tool", "poetry"))
    is_poetry = locks["poetry"] or (has_table and not locks["uv"])
    chosen = wanted or ("poetry" if is_poetry else "uv")
    other = "poetry" if chosen == "uv" else "uv"
    if locks[other]:
        message = f"`{folder.root}` has a `{other}.lock`, and `--manager {chosen}` was given"
        hint = f"lockstitch init --manager {other}, or delete `{other}.lock` to change over"
        raise LockstitchError(message, hint=hint)
    if chosen == "uv" and classic:
        message = "`pyproject.toml` has its metadata in [tool.poetry], which uv does not read"
        hint = "lockstitch init --manager poetry, or move it to [project]: uvx migrate-to-uv"
        raise LockstitchError(message, hint=hint)
    return chosen
