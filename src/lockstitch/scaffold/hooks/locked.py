"""What a project's lock has, and how a hook calls a program of it."""

import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lockstitch import files
from lockstitch.errors import LockstitchError

__all__ = ["Locked", "normal", "read"]

_PINNED = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*)(?:\[[^\]]*\])?==([^\s;\\,]+)")
# `uv run --locked` installs what the lock says when it is not there; offline, from uv's cache only.
_UV, _VENV = "uv run --quiet --locked --offline ", ".venv/bin/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Locked:
    """The lock's name, and the version of each package by its normal name.

    `calls` says for packages that no environment has by default what to put before the program.
    """

    name: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)
    prefix: str = _VENV
    calls: Mapping[str, str] = field(default_factory=dict)

    def version(self, package: str) -> str:
        """Return the version of a package, or an empty text."""
        return self.versions.get(normal(package), "")

    def call(self, package: str) -> str:
        """Return what stands before the package's program in a hook, with a space if needed."""
        return self.calls.get(normal(package), self.prefix)


def normal(name: str) -> str:
    """Return a package's name as indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def read(root: Path) -> Locked:
    """Return a project's lock: uv's, else Poetry's, else pinned requirements, else an empty one."""
    if (root / "uv.lock").is_file():
        return _uv(root)
    if (root / "poetry.lock").is_file():
        packages = _packages(root / "poetry.lock")
        return Locked(name="poetry.lock", versions=_versions(packages))
    versions: dict[str, str] = {}
    names = []
    for path in sorted(root.glob("requirements*.txt")):
        found = [_PINNED.match(line) for line in files.read_text(path).splitlines()]
        pinned = {normal(match[1]): match[2] for match in found if match}
        names += [path.name] if pinned else []
        versions = pinned | versions
    return Locked(name=", ".join(names), versions=versions)


def _toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(files.read_text(path))
    except tomllib.TOMLDecodeError as error:
        message = f"`{path.name}` is not TOML: {error}"
        raise LockstitchError(message, hint="write the lock again: uv lock") from error


def _packages(path: Path) -> list[dict[str, Any]]:
    # A lock of a version that is not known yet still has names and versions.
    listed = _list(_toml(path).get("package"))
    return [each for each in listed if isinstance(_table(each).get("name"), str)]


def _list(found: object) -> list[Any]:
    return found if isinstance(found, list) else []


def _table(found: object) -> dict[str, Any]:
    return found if isinstance(found, dict) else {}


def _versions(packages: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    found: dict[str, str] = {}
    for each in packages:
        version = str(each.get("version", ""))
        if re.fullmatch(r"[A-Za-z0-9.!+_-]{1,64}", version):  # it is shown
            found.setdefault(normal(each["name"]), version)
    return found


def _uv(root: Path) -> Locked:
    packages = _packages(root / "uv.lock")
    by_name = {normal(each["name"]): each for each in packages}
    own = [each for each in packages if "." in _sources(each)]
    groups: dict[str, list[Any]] = {}
    extras: dict[str, list[Any]] = {}
    for each in own:
        groups |= _table(each.get("dev-dependencies"))
        extras |= _table(each.get("optional-dependencies"))
    default = _default_groups(root, groups)
    roots = [d for each in own for d in _list(each.get("dependencies"))]
    roots += [d for name in default for d in _list(groups.get(name))]
    installed = _closure(roots, by_name)
    calls: dict[str, str] = {}
    for option, parts in (("--group", groups), ("--extra", extras)):
        for name in sorted(parts):
            for package in _closure(_list(parts[name]), by_name) - installed:
                calls.setdefault(package, f"{_UV}{option} {name} ")
    versions = _versions(packages)
    known = {name: v for name, v in versions.items() if name in installed | set(calls)}
    # Without a project of its own, as in a workspace, all of the lock counts.
    return Locked(name="uv.lock", versions=known if own else versions, prefix=_UV, calls=calls)


def _sources(package: Mapping[str, Any]) -> list[object]:
    return [*_table(package.get("source")).values()]


def _default_groups(root: Path, groups: Iterable[str]) -> list[str]:
    path = root / "pyproject.toml"
    tool = _table(_toml(path).get("tool")) if path.is_file() else {}
    given = _table(tool.get("uv")).get("default-groups", ["dev"])
    return sorted(groups) if given == "all" else [str(name) for name in _list(given)]


def _closure(roots: Iterable[Any], by_name: Mapping[str, Mapping[str, Any]]) -> set[str]:
    seen: set[str] = set()
    waiting = [*roots]
    asked: set[tuple[str, str]] = set()
    while waiting:
        each = _table(waiting.pop())
        name = normal(str(each.get("name", "")))
        package = by_name.get(name, {})
        extras = _table(package.get("optional-dependencies"))
        for extra in map(str, _list(each.get("extra"))):
            if (name, extra) not in asked:
                asked.add((name, extra))
                waiting += _list(extras.get(extra))
        if name and name not in seen:
            seen.add(name)
            waiting += _list(package.get("dependencies"))
    return seen
