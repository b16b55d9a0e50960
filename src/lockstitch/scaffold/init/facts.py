"""The facts of a project's folder: its files, metadata and packages.

Python is read as syntax trees; nothing of the folder runs.
"""

import contextlib
import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from lockstitch import files, git
from lockstitch.errors import LockstitchError, UsageError, raise_all
from lockstitch.python.declared import is_for_uv
from lockstitch.python.names import of_requirement
from lockstitch.python.tables import parse_toml, table
from lockstitch.resources import load_table
from lockstitch.scaffold.init import pythons
from lockstitch.scaffold.init.folder import Folder
from lockstitch.scaffold.init.inputs import Inputs, read_inputs
from lockstitch.scaffold.init.sources import SetupMetadata, is_version, read_setup, reader_of
from lockstitch.scaffold.init.worked_out import Code
from lockstitch.values import frozen, replace

_MANAGERS = ("uv", "poetry")
_NO_PACKAGES = frozenset(load_table(__package__, "words.toml")["no_packages"])
_NO_PROGRAMS = frozenset({"setup.py", "conftest.py", "noxfile.py", "tasks.py", "fabfile.py"})

# `src` as the folder of packages: `package_dir={"": "src"}`, `find_packages("src")`, `where = src`.
_ROOT = re.compile(
    r"""package.dir\s*=\s*\{?\s*["']*\s*[:=]\s*["']?src\b"""
    r"""|find_(?:namespace_)?packages\(\s*(?:where\s*=\s*)?["']src["']"""
    r"""|^where\s*=\s*(?:src\b|\[\s*["']src["']\s*\])""",
    re.MULTILINE,
)
_NO_CODE = ("**/*.md", "**/*.rst", "docs/**", ".github/**", "**/LICENSE*")
_SRC = re.compile(r"(?m)^\s*(?:from|import)\s+src\b")


@frozen
class Facts:
    """All that is known of a folder; nothing is decided yet but who locks it."""

    folder: Folder
    text: str  # of pyproject.toml, with a `requires-python` that is one
    document: Mapping[str, Any]
    manager: str
    classic: bool  # the metadata is in [tool.poetry]
    setup: SetupMetadata
    inputs: Inputs  # what it needs, by whatever file says so
    packages: Mapping[str, str]  # import name to path
    installed: bool  # whether the packages get into the environment as a wheel
    loose: tuple[str, ...]  # globs of the modules that do not
    minor: str  # of .python-version, as in `3.11`
    changed: str = ""  # the day when git last saw its code or its lists change
    day: str = ""  # the day whose versions are locked, "" for the newest
    converts: bool = False  # from Poetry to uv: [project] is written from [tool.poetry]

    @property
    def project(self) -> Mapping[str, Any]:
        """The [project] table."""
        return table(self.document, "project")

    @property
    def poetry(self) -> Mapping[str, Any]:
        """The [tool.poetry] table."""
        return table(self.document, "tool", "poetry")

    def for_python(self, minor: str, notes: list[str]) -> "Facts":
        """Return the facts with pins that have a wheel for a Python; a note for each other one."""
        if self.manager != "uv" or self.folder.has("uv.lock"):
            return self
        inputs = self.inputs.fitted(minor)
        notes += inputs.notes[len(self.inputs.notes) :]
        return replace(self, inputs=inputs)


def read(folder: Folder, manager: str = "", *, has_poetry: bool = True) -> Facts:
    """Return the facts of a folder, for this manager or the one whose files are there.

    Without Poetry on this machine, a project of Poetry is one of uv from then on. Raises
    LockstitchError with all that cannot be worked with.
    """
    notes: list[str] = []
    text = (folder.text("pyproject.toml") or "").removeprefix("\ufeff")
    text = pythons.repaired(text, notes)
    document = parse_toml(text, "`pyproject.toml`", hint="correct that line")
    poetry = table(document, "tool", "poetry")
    classic = "project" not in document and bool(poetry.keys() & {"name", "dependencies"})
    chosen = _manager(folder, document, manager, has_poetry=has_poetry)
    grouped = bool(poetry.keys() & {"group", "dev-dependencies"})
    grouped = grouped or (bool(document) and folder.has("poetry.lock"))
    converts = chosen == "uv" and (classic or (grouped and not is_for_uv(document)))
    if converts:
        notes.append("`[tool.poetry]` is kept; [project] has what it asks for, which uv locks")
    setup = read_setup(folder)
    programs = {
        **setup.scripts,
        **table(document, "project", "scripts"),
        **table(poetry, "scripts"),
    }
    tops = {re.split(r"[.:]", str(target))[0] for target in programs.values()}
    packages = packages_of(folder, tops)
    virtual = (
        table(document, "tool", "uv").get("package") is False
        or table(document, "tool", "poetry").get("package-mode") is False
    )
    # Poetry finds a package of the project's name: an application has none, and stays a folder.
    named = of_requirement(str(poetry.get("name", ""))).replace("-", "_")
    named = named or of_requirement(str(table(document, "project").get("name", "")))
    named = named.replace("-", "_")
    if converts and "packages" not in poetry and named not in packages:
        virtual = True
    installed = bool(packages) and not virtual and _is_published(folder, document, packages)
    inputs = read_inputs(folder, document, setup, converts=converts)
    inputs.notes[:0] = notes
    return Facts(
        folder=folder,
        text=text,
        document=document,
        manager=chosen,
        classic=classic and not converts,
        setup=setup,
        inputs=inputs,
        packages=packages,
        installed=installed,
        loose=tuple(loose_modules(folder, packages if installed else {})),
        minor=_minor(folder),
        changed=git.last_change(folder.root, _NO_CODE),
        converts=converts,
    )


def _is_published(folder: Folder, document: Mapping[str, Any], packages: Mapping[str, str]) -> bool:
    """Return whether packages are made to be installed, and not an application's own folders.

    There is a setup.py or setup.cfg, or a backend that finds them, or they lie in `src`, from
    where nothing imports them otherwise: no code says `from src.…`, or setuptools is told.
    """
    own = all(path.startswith("src/") for path in packages.values())
    if folder.has("setup.py") or folder.has("setup.cfg"):
        return not own or _has_root(folder) or not _says_src(folder)
    backend = table(document, "build-system").get("build-backend")
    poetry = table(document, "tool", "poetry")
    if backend is None:
        return own and not _says_src(folder)
    if "poetry" in str(backend) and "packages" not in poetry:
        name = table(document, "project").get("name") or poetry.get("name") or ""
        return re.sub(r"[-_.]+", "_", str(name)).lower() in packages
    return True


def _says_src(folder: Folder) -> bool:
    return any(_SRC.search(text) for text in _texts(folder))


def _texts(folder: Folder) -> Iterator[str]:
    for file in files.walk(folder.root):
        if file.name.endswith(".py") and not file.outside:
            with contextlib.suppress(LockstitchError):
                yield folder.text(file.name, any_encoding=True) or ""


def _minor(folder: Folder) -> str:
    text = folder.text(".python-version") or ""
    match = re.fullmatch(r"\s*(?:cpython-)?(3\.\d{1,2})(?:\.\d+)?\s*", text)
    return match[1] if match else ""


def _manager(folder: Folder, document: Mapping[str, Any], wanted: str, *, has_poetry: bool) -> str:
    locks = {"uv": folder.has("uv.lock"), "poetry": folder.has("poetry.lock")}
    problems: list[LockstitchError] = []
    if wanted and wanted not in _MANAGERS:
        hint = f"there is: {', '.join(_MANAGERS)}"
        problems.append(UsageError(f"`{wanted}` is not a manager", hint=hint))
    for_uv = is_for_uv(document)
    if all(locks.values()) and not for_uv:
        message = f"`{folder.root}` has a `poetry.lock` and a `uv.lock`"
        hint = "keep the lock that your team uses, delete the other"
        problems.append(LockstitchError(message, hint=hint))
    raise_all(problems)
    has_table = bool(table(document, "tool", "poetry"))
    is_poetry = locks["poetry"] or (has_table and not locks["uv"])
    is_poetry = is_poetry and has_poetry and not for_uv
    chosen = wanted or ("poetry" if is_poetry else "uv")
    if chosen == "poetry" and locks["uv"]:
        message = f"`{folder.root}` has a `uv.lock`, and `--manager poetry` was given"
        hint = "lockstitch init --manager uv, or delete `uv.lock` to change over"
        raise LockstitchError(message, hint=hint)
    return chosen


# --- packages


def packages_of(folder: Folder, programs: Collection[str] = ()) -> dict[str, str]:
    """Return the packages that could be installed: import name to path, sorted.

    `programs` are those whose programs the metadata names: they need no `__init__.py`.
    """
    if folder.has("src/__init__.py") and not _has_root(folder):
        packages = {"src": "src"}  # the code imports `src.…`
    else:
        packages = {name: f"src/{name}" for name in folder.folders("src")}
        packages = {name: path for name, path in packages.items() if name not in _NO_PACKAGES}
    for places in (packages, {n: n for n in folder.folders() if n not in _NO_PACKAGES}):
        there = {n: p for n, p in sorted(places.items()) if _is_package(folder, n, p, programs)}
        if there:
            return there
    return {}


def _has_root(folder: Folder) -> bool:
    """Return whether setuptools is told that packages lie in `src`, whatever it holds itself."""
    texts = [folder.text(name) or "" for name in ("setup.py", "setup.cfg", "pyproject.toml")]
    return any(map(_ROOT.search, texts))


def _is_package(folder: Folder, name: str, path: str, programs: Collection[str]) -> bool:
    begins = folder.has(f"{path}/__init__.py") or (name in programs and folder.modules(path))
    return name.isidentifier() and bool(begins)


def loose_modules(folder: Folder, installed: Mapping[str, str]) -> list[str]:
    """Return globs of the Python files that belong to no installed package, sorted."""
    globs = [name for name in folder.modules() if _is_program(name)]
    inside = {path.partition("/")[0] for path in installed.values()}
    if "src" not in installed and any(map(_is_program, folder.modules("src"))):
        globs.append("src/*.py")
    for name in folder.folders("src"):
        if f"src/{name}" not in installed.values() and _holds_python(folder, f"src/{name}"):
            globs += [f"src/{name}/**/*.py"] if "src" not in installed else []
    for name in folder.folders():
        if name not in inside | _NO_PACKAGES | {"src"} and _holds_python(folder, name):
            globs.append(f"{name}/**/*.py")
    return sorted(globs)


def _is_program(name: str) -> bool:
    return name not in _NO_PROGRAMS and not name.startswith(("test_", "."))


def _holds_python(folder: Folder, path: str) -> bool:
    return any(map(_is_program, folder.modules(path)))


def version_of(folder: Folder, packages: Mapping[str, str]) -> str:
    """Return the `__version__` that a package's __init__.py assigns as a text, or an empty one."""
    for path in packages.values():
        tree = folder.module(f"{path}/__init__.py")
        value = Code(tree, reader_of(folder)).names.get("__version__") if tree else None
        if isinstance(value, str) and is_version(value):
            return value
    return ""
