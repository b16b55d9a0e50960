"""The part of a project that goes to an engine: what Dockerfiles copy, and .dockerignore."""

import re
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any, Final

from lockstitch import files
from lockstitch.errors import LockstitchError, raise_all
from lockstitch.listing import SKIPPED_FOLDERS
from lockstitch.lock.file import pylock_name
from lockstitch.python.model import ImageSpec, Project
from lockstitch.python.names import normal
from lockstitch.python.tables import table, texts
from lockstitch.values import frozen

MARK: Final = (
    "# Written by `lockstitch export dockerfile` from pyproject.toml and the locks; do not edit."
)
BUILD_REQUIREMENTS: Final = "requirements-build.txt"

_WILD: Final = re.compile(r"[*?\[]")
_ENDING: Final = re.compile(r".*\.[A-Za-z0-9_]+")
_BY_CUSTOM: Final = (
    *("setup.py", "setup.cfg", "MANIFEST.in", "hatch_build.py"),
    *("LICENSE", "LICENSE.md", "LICENSE.txt", "LICENCE", "COPYING", "NOTICE", "AUTHORS"),
)


@frozen
class Copy:
    """Something of the project that a Dockerfile copies: a folder, or a file or glob of files."""

    source: str
    folder: bool = False
    exact: bool = True  # whether it brings just what the pattern names

    @property
    def target(self) -> str:
        """The path below the working directory that it is copied to."""
        path = PurePosixPath(self.source)
        parent = path if self.folder else path.parent
        return "./" if str(parent) == "." else f"./{parent}/"


def render(project: Project) -> str:
    """Return a .dockerignore that leaves out all but the sources of COPY, and caches always."""
    allowed = {pylock_name(spec.name) for spec in project.images}
    allowed |= {copy.source for spec in project.images for copy in included(spec)}
    if project.is_package:
        allowed |= {BUILD_REQUIREMENTS, *(copy.source for copy in first_party(project))}
    lines = [MARK, "*", *(f"!{'*' if folder == '.' else folder}" for folder in sorted(allowed))]
    # Later lines win: a folder brings everything below it, but never these.
    # A package may be called `venv`, which an environment is mostly.
    walked = files.walk(project.root) if project.root.is_dir() else ()
    sources = any("venv" in PurePosixPath(file.name).parts[:-1] for file in walked)
    skipped = SKIPPED_FOLDERS | (set() if sources else {"venv"})
    lines += [f"**/{name}" for name in sorted(skipped)]
    lines += [f"**/{pattern}" for pattern in files.SKIPPED_FILES]
    return "\n".join(lines) + "\n"


def included(spec: ImageSpec) -> list[Copy]:
    """Return the copies that bring the files of an image's `include`."""
    return sorted({_copy_of(pattern) for pattern in spec.include}, key=_order)


def _order(copy: Copy) -> tuple[str, bool, str]:
    return copy.target, not copy.folder, copy.source


def _copy_of(pattern: str) -> Copy:
    """Return the copy for an `include` pattern; a folder where COPY cannot express it."""
    parts = PurePosixPath(pattern).parts
    wild = [number for number, part in enumerate(parts) if _WILD.search(part)]
    if not wild:
        return Copy(source="/".join(parts))
    last = len(parts) - 1
    if wild == [last] and "**" not in parts[last] and _ENDING.fullmatch(parts[last]):
        # An ending such as .csv: a glob that matches a folder too would pour out what is in it.
        return Copy(source="/".join(parts).replace("[!", "[^"))
    folder = "/".join(parts[: wild[0]]) or "."
    return Copy(source=folder, folder=True, exact=parts[wild[0] :] == ("**",))


def first_party(project: Project) -> list[Copy]:
    """Return the copies of what a build backend reads: named in pyproject, or usual names.

    Raises LockstitchError when no package is found, or when one is outside the project.
    """
    document = project.document
    metadata, tool = table(document, "project"), table(document, "tool")
    named = {"pyproject.toml", _readme(metadata), _text(table(metadata, "license"), "file")}
    named |= {_text(table(tool, "hatch", "version"), "path")}
    named |= {*texts(metadata.get("license-files"))}
    named |= {name for name in _BY_CUSTOM if (project.root / name).is_file()}
    packages = _packages_of(project, tool)
    if not packages:
        message = f"nothing says where the packages of `{project.name}` are"
        hint = "put them into src, or name them for the build backend in pyproject.toml"
        raise LockstitchError(message, hint=hint)
    inside = tuple(f"{package}/" for package in packages)
    copies = {Copy(source=package, folder=not package.endswith(".py")) for package in packages}
    copies |= {_copy_of(package) for package in named if package and not package.startswith(inside)}
    raise_all([error for copy in copies for error in _outside(copy)])
    return sorted(copies, key=_order)


def _outside(copy: Copy) -> Iterator[LockstitchError]:
    path = PurePosixPath(copy.source)
    if ".." in path.parts or path.is_absolute():
        message = f"`{copy.source}` is outside the project: a Dockerfile cannot copy it"
        yield LockstitchError(message, hint="move it into the project")


def _packages_of(project: Project, tool: Mapping[str, Any]) -> list[str]:
    hatch = table(tool, "hatch", "build", "targets", "wheel")
    poetry = table(tool, "poetry").get("packages")
    find = table(tool, "setuptools", "packages", "find")
    named = [
        *(texts(hatch.get("packages")) or texts(hatch.get("only-include"))),
        *(f"{_text(item, 'from')}/{_text(item, 'include')}".strip("/") for item in poetry or ()),
        *texts(find.get("where")),
        _text(table(tool, "uv", "build-backend"), "module-root"),
    ]
    # A glob stands for the folder it starts from.
    folders = sorted({_copy_of(package).source or "." for package in named if package})
    if folders:
        return folders
    module = normal(project.name).replace("-", "_")
    there = [folder for folder in ("src", module) if (project.root / folder).is_dir()]
    return there[:1] or [name for name in (f"{module}.py",) if (project.root / name).is_file()]


def _text(values: object, key: str) -> str:
    value = values.get(key) if isinstance(values, Mapping) else None
    return value if isinstance(value, str) else ""


def _readme(metadata: Mapping[str, Any]) -> str:
    return _text(metadata, "readme") or _text(table(metadata, "readme"), "file")
