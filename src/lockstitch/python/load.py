"""Finds the project and reads its pyproject.toml once, at the edge."""

import re
from pathlib import Path, PurePosixPath
from typing import Any

from lockstitch import files
from lockstitch.errors import LockstitchError
from lockstitch.python import size
from lockstitch.python.accelerators import ACCELERATOR
from lockstitch.python.model import ImageSpec, Project, StackSpec
from lockstitch.python.names import normal
from lockstitch.python.tables import Table, parse_toml

_NAME = re.compile(r"[a-z0-9]+(?:[._-][a-z0-9]+)*")
_CPYTHON = re.compile(r"cpython:(3\.\d{1,2})")
PYTHONS = ("3.10", "3.11", "3.12", "3.13", "3.14")  # that a base of ours has
_DEBIAN = {"3.11": "debian:bookworm", "3.13": "debian:trixie"}  # the Python of each release
_MINOR = re.compile(r"3\.\d{1,2}")
_ENDPOINT = re.compile(r"https?://[A-Za-z0-9.-]+(:[0-9]{1,5})?/?")
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_REGION = re.compile(r"[a-z0-9-]{1,40}")
_USER = re.compile(r"(?:\d{1,10}|[a-z_][a-z0-9_-]*)(?::(?:\d{1,10}|[a-z_][a-z0-9_-]*))?")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
# What projects have that know no pyproject.toml: `lockstitch init` reads each of them.
_OTHER_KINDS = (
    *("requirements*.txt", "requirements*.in", "setup.py", "setup.cfg", "Pipfile"),
    *("environment.yml", "environment.yaml", "*.py"),
)
_OLD = "[tool.lockstep"  # the name until version 0.1


def find_root(start: Path) -> Path:
    """Return the nearest folder, from `start` upward, whose pyproject.toml names lockstitch.

    Falls back to the nearest with any pyproject.toml, whose error then says what is missing.
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
    """Return what to type in a folder without pyproject.toml: it may be a project of another kind.

    In a git repository the folders above it are looked at too.
    """
    chain = (folder, *folder.parents)
    root = next((n for n, each in enumerate(chain, 1) if (each / ".git").exists()), 1)
    for each in chain[:root]:
        if any(any(each.glob(pattern)) for pattern in _OTHER_KINDS):
            return _init_hint(each)
    return "lockstitch new NAME"


def _init_hint(folder: Path) -> str:
    """Return the command that adds lockstitch to the project of a folder."""
    return "lockstitch init" if folder.absolute() == Path.cwd() else f"lockstitch init {folder}"


def load(start: Path) -> Project:
    """Return the project that a folder belongs to, or raise every problem of its pyproject."""
    root = find_root(start)
    path = root / "pyproject.toml"
    document = parse_toml(files.read_text(path), f"`{path}`", hint="correct that line")
    return read(document, root)


def read(document: dict[str, Any], root: Path) -> Project:
    """Return the project that a parsed pyproject describes."""
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
    settings = tool.table("lockstitch")
    uv, poetry = tool.table("uv"), tool.table("poetry")
    groups = (*_groups(top), *(normal(name) for name in poetry.table("group")))
    known = groups, (*project.table("optional-dependencies"), *poetry.table("extras"))
    images = [_image(name, t, *known) for name, t in settings.tables("images").items()]
    if not images and not problems:
        settings.complain("images", "names no image", hint="add [tool.lockstitch.images.serve]")
    build = top.table("build-system")
    name = project.text("name", poetry.text("name"))
    version = project.text("version", poetry.text("version"))
    python, base = _python(settings)
    loaded = Project(
        root=root,
        name=name,
        version=version,
        python=python,
        base=base,
        platforms=_platforms(settings),
        lock=_lock(settings),
        images=tuple(sorted(images, key=lambda image: image.name)),
        is_package=_is_package(top, uv, poetry),
        require_record=settings.flag("require-record"),
        build_requires=build.texts("requires"),
        build_extra=settings.texts("build-requires"),
        stack=_stack(settings.table("stack"), declared=settings.has("stack")),
        document=document,
    )
    if not loaded.name:
        message = "`project.name` is missing"
        problems.append(LockstitchError(message, hint="add a [project] table with a name"))
    settings.table("check")  # read by `lockstitch check`, which needs no image
    settings.refuse_others()
    settings.close()
    return loaded


def _is_package(top: Table, uv: Table, poetry: Table) -> bool:
    # Each manager's own way to say that there is nothing to install.
    default = poetry.flag("package-mode", default=top.has("build-system"))
    return uv.flag("package", default=default and top.has("build-system"))


def _groups(top: Table) -> tuple[str, ...]:
    return tuple(normal(name) for name in top.table("dependency-groups"))


def default_base(python: str) -> str:
    """Return the base of a project that names none: Debian's own Python where it has that."""
    return _DEBIAN.get(python, f"cpython:{python}")


def default_python(base: str) -> str:
    """Return the minor version of Python of a project that names only a base, or neither."""
    named = _CPYTHON.match(base)
    return named[1] if named else "3.11"


def _python(settings: Table) -> tuple[str, str]:
    """Return the minor version of Python, and the base; either may follow from the other."""
    text = settings.text("python", default_python(str(settings.raw("base") or "")))
    if not _MINOR.fullmatch(text):
        hint = "write the minor version, as in 3.11; the lock pins the patch version"
        settings.complain("python", f"is `{text}`, not a version of Python 3", hint=hint)
    return text, settings.text("base") or default_base(text)


def _platforms(settings: Table) -> tuple[str, ...]:
    platforms = settings.texts("platforms", ("linux/amd64",))
    supported = ("linux/amd64", "linux/arm64")
    if not platforms or len(set(platforms)) != len(platforms):
        hint = 'platforms = ["linux/amd64"]'
        settings.complain("platforms", "must name each platform once, and one at least", hint=hint)
    for platform in platforms:
        if platform not in supported:
            hint = f"supported: {', '.join(supported)}"
            settings.complain("platforms", f"names `{platform}`", hint=hint)
    return platforms


def _image(name: str, table: Table, groups: tuple[str, ...], extras: tuple[str, ...]) -> ImageSpec:
    if not _NAME.fullmatch(name):
        table.complain("", "is no image name", hint="use a-z, 0-9, and single . _ - between")
    wanted = table.texts("groups")
    normal_extras = tuple(normal(extra) for extra in extras)
    for group in wanted:
        if normal(group) not in groups + normal_extras:
            have = ", ".join(sorted({*groups, *normal_extras})) or "none"
            hint = f"add it under [dependency-groups] (there: {have})"
            table.complain("groups", f"names `{group}`, which the project does not have", hint=hint)
    spec = ImageSpec(
        name=name,
        lock=_lock(table),
        package=normal(table.text("package")),
        groups=tuple(sorted(g for g in wanted if normal(g) in groups)),
        extras=tuple(sorted(g for g in wanted if normal(g) not in groups)),
        include=_globs(table, "include"),
        outputs=_globs(table, "outputs"),
        command=table.texts("command"),
        workdir=_workdir(table),
        env=_env(table.table("env")),
        labels=_labels(table.table("labels")),
        port=table.number("port", least=1, most=65535),
        health=table.text("health"),
        user=_user(table),
        budget=_budget(table),
        allow_missing=table.texts("allow-missing"),
        prefer=tuple(normal(each) for each in table.texts("prefer")),
        accelerator=_accelerator(table),
        collisions=_collisions(table),
        bytecode=table.flag("bytecode"),
        trim=table.flag("trim"),
    )
    if spec.health and not (spec.port and spec.health.startswith("/")):
        table.complain("health", "needs a `port`, and a path that starts with /")
    table.refuse_others()
    return spec


def _accelerator(table: Table) -> str:
    text = table.text("accelerator")
    if text and not ACCELERATOR.fullmatch(text):
        hint = '"cpu", "cuda", "cu12", "cu128", "rocm" or "xpu"'
        table.complain("accelerator", f"is `{text:.40}`", hint=hint)
    return text


def _collisions(table: Table) -> str:
    found = table.text("collisions", "warn")
    if found not in {"warn", "error"}:
        table.complain("collisions", f"is `{found:.40}`", hint='"warn" or "error"')
    return found


def _user(table: Table) -> str:
    text = table.text("user")
    if text and not _USER.fullmatch(text):
        hint = 'write it as user = "1000:1000"; numbers are what Kubernetes can check'
        table.complain("user", f"is `{text:.80}`, which is no user", hint=hint)
    return text


def _workdir(table: Table) -> str:
    text = table.text("workdir")
    path = PurePosixPath(text)
    if path.is_absolute() or ".." in path.parts or "\\" in text:
        table.complain("workdir", f"leads out of the project: `{text:.80}`")
    return "" if str(path) == "." else str(path)


def _lock(table: Table) -> str:
    text = table.text("lock")
    path = PurePosixPath(text)
    if path.is_absolute() or ".." in path.parts or "\\" in text:
        table.complain("lock", f"leads out of the project: `{text}`")
    elif text and path.suffix not in {".txt", ".toml"}:
        hint = 'lock = "requirements.txt", or "pylock.toml"'
        table.complain("lock", f"is `{text}`, neither requirements nor a PEP 751 lock", hint=hint)
    return text


def _stack(table: Table, *, declared: bool) -> StackSpec:
    numbers, own = table.table("ports"), table.table("object-store")
    data = PurePosixPath(table.text("data", StackSpec().data))
    if data.is_absolute() or ".." in data.parts or data == PurePosixPath():
        table.complain("data", f"must be a folder inside the project, found `{data}`")
    spec = StackSpec(
        declared=declared,
        runner=table.text("runner", StackSpec().runner),
        data=str(data),
        postgres_port=numbers.number("postgres", 5432, least=1024, most=65535),
        objects_port=numbers.number("objects", 9000, least=1024, most=65535),
        mlflow_port=numbers.number("mlflow", 5000, least=1024, most=65535),
        endpoint=own.text("endpoint"),
        bucket=own.text("bucket", "mlflow"),
        region=own.text("region", "us-east-1"),
    )
    if spec.runner not in {"native", "compose"}:
        hint = 'runner = "native", or "compose" where there is Docker'
        table.complain("runner", f"is `{spec.runner:.80}`", hint=hint)
    if spec.endpoint and not _ENDPOINT.fullmatch(spec.endpoint):
        hint = 'write endpoint = "https://host:port", and its keys into AWS_* variables'
        own.complain("endpoint", "is no http or https address without a login", hint=hint)
    if not _BUCKET.fullmatch(spec.bucket):
        own.complain("bucket", f"is `{spec.bucket:.80}`, not the name of a bucket")
    if not _REGION.fullmatch(spec.region):
        own.complain("region", f"is `{spec.region:.80}`, not the name of a region")
    for each in (numbers, own, table):
        each.refuse_others()
    return spec


def _globs(table: Table, key: str) -> tuple[str, ...]:
    patterns = table.texts(key)
    for pattern in patterns:
        if PurePosixPath(pattern).is_absolute() or ".." in PurePosixPath(pattern).parts:
            table.complain(key, f"leads out of the project: `{pattern}`")
    return tuple(sorted(patterns))


def _env(table: Table) -> dict[str, str]:
    found = {name: table.text(name) for name in table}
    for name in found:
        if not _VARIABLE.fullmatch(name):
            table.complain(name, "is no variable name")
    return found


def _labels(table: Table) -> dict[str, str]:
    return {name: table.text(name) for name in table}


def _budget(table: Table) -> int:
    text = table.text("budget")
    if not text:
        return 0
    found = size.parse(text)
    if found is None:
        table.complain("budget", f"is `{text}`, not a size", hint='write it as "350MB"')
    return found or 0
