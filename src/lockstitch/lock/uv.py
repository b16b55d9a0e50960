"""Calls to uv, the resolver: lock, export, and the build requirements with hashes."""

import functools
import os
import re
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import unquote

from lockstitch import environ, files, process
from lockstitch.digest import of_bytes
from lockstitch.errors import LockstitchError, raise_all
from lockstitch.lock.bases import Base
from lockstitch.net.transport import no_answer
from lockstitch.patterns import regex
from lockstitch.progress import say
from lockstitch.python.locks import holds
from lockstitch.python.locks.pylock import Unbuilt
from lockstitch.python.model import ImageSpec, Project
from lockstitch.python.names import PKG_RESOURCES
from lockstitch.python.tables import parse_toml, table, tables, texts, toml
from lockstitch.store import Store

LOCK = "uv.lock"
_FAILED = {  # the message when a command of uv fails
    "lock": "the packages cannot be locked",
    "export": "the lock cannot be exported",
    "sync": "the environment cannot be made",
    "venv": "the environment cannot be made",
    "pip": "the requirements cannot be resolved",
}
_PACKAGE = "\n[[packages]]\n"
_MARKER = regex(r"^marker = .+$", re.MULTILINE)
_FILES = regex(r"^(?:wheels|sdist|vcs|directory|archive) = ", re.MULTILINE)
_FILE_URL = regex(r'url = "file://(?P<path>/[^"]*)"')
_FILE_INDEX = regex(r'index = "file://')
_CONFLICT = "no versions fit together"
_UNBUILT = regex(r"Failed to build `([\w.-]+)==([^`]+)`")
_NEVER = "2100-01-01T00:00:00Z"  # when nothing is excluded
_OWN_WHEEL = "70.1"  # of setuptools, the first with `bdist_wheel`
_VERSION = regex(r'(?m)^version = "([^"]+)"$')
_OLD_SETUPTOOLS = "No module named 'pkg_resources'"
_CAUSE = regex(r"\s+(?:cause|Caused by): ")
_UNSENT = regex(r"error sending request for url \((\S+?)\)")
_OLDER = regex(r"requested Python version \([^)]*\) does not satisfy Python>=(\d+\.\d+)")
_GONE = regex(r"\b(\S+) was not found in the package registry")
_FULL = regex(r"(`[^`]+`): (?:No space left on device|Disk quota exceeded)")
_OF_GIT = regex(
    r"(?s)git fetch [^`]*?'([^'+]+)'.*?\n\s*(?:fatal|ERROR): "
    r"(?:unable to access '[^']*': )?([^\n]+)"
)
_OS_ERROR = regex(r" \(os error \d+\)")
_CONSTRAINTS = {"constraint-dependencies", "override-dependencies"}
# The settings of uv that say where packages come from, and whether they name places.
_OF_INDEXES = {
    **dict.fromkeys(("find-links", "index", "index-url", "extra-index-url"), True),
    **dict.fromkeys(("no-index", "index-strategy", "keyring-provider"), False),
    **dict.fromkeys(("exclude-newer", "exclude-newer-package"), False),
    **dict.fromkeys(("allow-insecure-host", "native-tls", "system-certs", "offline"), False),
}
_SHOWN = 20  # lines of uv's output


def locks(project: Project) -> tuple[str, ...]:
    """Return the path of its lock from the project: a workspace has one for all its members."""
    return (os.path.relpath(workspace(project.root) / LOCK, project.root).replace(os.sep, "/"),)


def workspace(root: Path) -> Path:
    """Return the folder of the workspace that a project is a member of, or its own."""
    for folder in (root, *root.parents):
        path = folder / "pyproject.toml"
        try:
            document = toml(files.read_text(path)) if path.is_file() else {}
        except (LockstitchError, ValueError, RecursionError):  # not ours to judge
            continue
        settings = table(document, "tool", "uv", "workspace")
        if settings and (folder == root or _names(settings, folder, root)):
            return folder
    return root


def _names(workspace: Mapping[str, object], folder: Path, member: Path) -> bool:
    """Return whether a workspace's table names a folder as a member, and does not exclude it."""

    def named(key: str) -> bool:
        return any(member in folder.glob(pattern) for pattern in texts(workspace.get(key)))

    return named("members") and not named("exclude")


def version() -> str:
    """Return `uv X.Y.Z` of the uv that is called."""
    return _version(process.find_uv())


@functools.cache
def _version(program: Path) -> str:
    return " ".join(process.run([program, "--version"]).stdout.split()[:2])


def lock(project: Project, *, upgrade: Sequence[str] | None) -> None:
    """Bring uv.lock up to date; `upgrade` names what is not kept, all when it is empty."""
    words = ["--upgrade"] if upgrade is not None and not upgrade else []
    words += [word for name in upgrade or () for word in ("--upgrade-package", name)]
    # A source that is new here has no locked build requirements yet: they are locked next.
    try:
        _uv("lock", *words, cwd=project.root, UV_REQUIRE_BUILD_HASHES="0", **_python(project))
    except LockstitchError as error:
        if _is_too_early(project):
            error.hint = "delete `exclude-newer` from [tool.uv], then: lockstitch lock"
        elif _CONFLICT in error.message:
            from lockstitch.lock import loosen

            env = environ.for_uv(**_python(project))
            error.hint = loosen.hint(project, error.message, env) or error.hint
        elif _OLD_SETUPTOOLS in error.message:
            line = f'build-constraint-dependencies = ["{PKG_RESOURCES}"]'
            error.hint = f"{line} in [tool.uv]: what builds it needs an older setuptools"
        elif match := _UNBUILT.search(error.message):
            unbuilt = Unbuilt(name=match[1], version=match[2], kind="sdist", artifact="")
            error.hint = with_wheel(project, unbuilt) or error.hint
        raise


def _is_too_early(project: Project) -> bool:
    """Return whether the day of `exclude-newer` alone is why nothing can be locked.

    A package came later, or the index does not say when its files came (PEP 700).
    """
    if "exclude-newer" not in table(project.document, "tool", "uv"):
        return False
    env = environ.for_uv(UV_EXCLUDE_NEWER=_NEVER, UV_REQUIRE_BUILD_HASHES="0", **_python(project))
    words: list[str | Path] = [process.find_uv(), "lock", "--dry-run", "--quiet"]
    return process.run(words, cwd=project.root, env=env, check=False).code == 0


def with_wheel(project: Project, unbuilt: Unbuilt) -> str:
    """Return the command that takes the nearest version of a package with a wheel, "" for none."""
    from lockstitch.lock import loosen

    env = environ.for_uv(**_python(project))
    words = ["pip", "compile", "-", "--no-deps", "--quiet", "--no-header", "--no-annotate"]
    words += ["--only-binary", unbuilt.name, "--python-platform", "linux"]
    words += ["--python-version", project.python]
    with indexes_of(project.root) as where:

        def pin(asked: str, *more: str) -> str:
            command: list[str | Path] = [process.find_uv(), *words, *more]
            done = process.run(command, cwd=where, env=env, stdin=f"{asked}\n", check=False)
            return done.stdout.strip() if done.code == 0 else ""

        lowest = pin(f"{unbuilt.name}>={unbuilt.version}", "--resolution", "lowest")
        name, _, version = lowest.partition("==")
        series = ".".join(version.split(".")[:2])  # its last one has most of its faults mended
        nearest = version and (pin(f"{name}=={series}.*") or lowest)
    return loosen.pinned(project, nearest, env) if nearest else ""


def take_wheels(project: Project, unbuilt: Sequence[Unbuilt]) -> bool:
    """Bring packages without a wheel to the newest version that has one; return whether any moved.

    Only those that compile: what is Python alone is built in no time. One that something asks for
    in that very version stays. One that only newer versions have a wheel of is an old version that
    uv took since it bounds nothing, as numba 0.53 beside a new numpy: uv chooses again, with
    wheels of all of these.
    """
    from packaging.version import Version

    path, moved = workspace(project.root) / LOCK, False
    moves: list[tuple[list[Unbuilt], list[str]]] = []
    passed: list[Unbuilt] = []
    for package in unbuilt:
        newest = _newest_compiled(project, package)
        if newest and Version(newest) < Version(package.version):
            moves.append(([package], ["--upgrade-package", f"{package.name}=={newest}"]))
        elif newest:
            passed.append(package)
    both = ("--no-build-package", "--upgrade-package")
    again = [(passed, [word for p in passed for option in both for word in (option, p.name)])]
    for packages, words in [*(again if passed else []), *moves]:
        before = path.read_bytes()
        try:
            _uv("lock", *words, cwd=project.root, **_python(project))
        except LockstitchError:
            files.write_bytes(path, before)
            continue
        if path.read_bytes() != before:
            moved = True
            for package in packages:
                what = "a version with a wheel" if packages is passed else words[1].split("==")[1]
                has_none = f"{package.version} has no wheel for Python {project.python}"
                say(f"* `{package.name}` is {what}: {has_none}")
    return moved


def _newest_compiled(project: Project, package: Unbuilt) -> str:
    """Return the newest version of a package with a wheel of its own for the images' Python.

    An older one than the package's, where there is one.
    """
    words = ["pip", "compile", "-", "--no-deps", "--quiet", "--no-header", "--format"]
    words += ["pylock.toml", "--only-binary", package.name, "--python-platform", "linux"]
    words += ["--python-version", project.python]
    with indexes_of(project.root) as where:
        for bound in "<>":
            done = process.run(
                [process.find_uv(), *words],
                cwd=where,
                env=environ.for_uv(**_python(project)),
                stdin=f"{package.name}{bound}{package.version}\n",
                check=False,
            )
            version = _VERSION.search(done.stdout)
            if done.code == 0 and version:
                return version[1] if "-none-any.whl" not in done.stdout else ""
    return ""


def check(project: Project) -> None:
    """Raise LockstitchError when uv.lock is missing or stale; needs no network."""
    done = process.run(
        [process.find_uv(), "lock", "--check", "--offline", "--quiet"],
        cwd=project.root,
        env=environ.for_uv(**_python(project)),
        check=False,
    )
    if done.code != 0:
        raise LockstitchError("`uv.lock` does not fit pyproject.toml", hint="lockstitch lock")


def export_image(
    project: Project, image: ImageSpec, target: Path, bases: Sequence[Base] = ()
) -> None:
    """Write the PEP 751 lock of one image: the project's dependencies and the image's groups."""
    _export(project, "pylock.toml", target, _chosen(image))
    text = files.read_text(target)
    environments = [base.target().markers() for base in bases]
    head, *blocks = text.split(_PACKAGE)
    kept = [block for block in blocks if not _is_left_out(block, environments)]
    if bases and len(kept) < len(blocks):
        none = "" if kept else "packages = []\n"
        files.write_text(target, _PACKAGE.join([head + none, *kept]))


def _is_left_out(block: str, environments: Sequence[Mapping[str, str]]) -> bool:
    """Return whether a package has no files and a marker that holds on no base.

    uv exports what an override such as `NAME; sys_platform == 'never'` leaves out that way, which
    is no valid PEP 751.
    """
    marker = _MARKER.search(block)
    if marker is None or _FILES.search(block):
        return False
    text = str(toml(marker[0])["marker"])
    return not any(holds(text, environment, ()) for environment in environments)


def _chosen(image: ImageSpec) -> list[str]:
    chosen = ["--package", image.package] if image.package else []
    chosen += [word for group in image.groups for word in ("--group", group)]
    chosen += [word for extra in image.extras for word in ("--extra", extra)]
    return ["--no-default-groups", *chosen]


def export_requirements(project: Project, target: Path) -> None:
    """Write all of the lock as requirements with hashes, for pip, uv and any Dockerfile.

    Of groups and extras that exclude each other, only the first is in it.
    """
    _export(project, "requirements.txt", target, _everything(project))


def _everything(project: Project) -> list[str]:
    words = ["--all-groups", "--all-extras"]
    conflicts = table(project.document, "tool", "uv").get("conflicts")
    for sides in conflicts if isinstance(conflicts, list) else ():
        for side in tables(sides)[1:]:
            for kind in ("group", "extra"):
                words += [f"--no-{kind}", str(side[kind])] if kind in side else []
    return words


def _export(project: Project, form: str, target: Path, chosen: Sequence[str]) -> None:
    # --locked, never --frozen: that one exports a stale lock in silence.
    words = ["export", "--locked", "--no-header", "--quiet"]
    words += [] if "--package" in chosen else ["--no-emit-project"]
    # Not to a file: paths of members are written from where the file lies.
    text = _uv(*words, "--format", form, *chosen, cwd=project.root, **_python(project))
    files.write_text(target, _portable(text, project))


def _portable(text: str, project: Project) -> str:
    """Return a PEP 751 lock in which files of `find-links` are named from the project's folder.

    uv names them by their place on this machine, which the lock's bytes must not hold.
    """
    top = workspace(project.root).absolute()

    def path(match: re.Match[str]) -> str:
        place = Path(unquote(match["path"]))
        if not place.is_relative_to(top):
            return match[0]
        return f'path = "{os.path.relpath(place, project.root).replace(os.sep, "/")}"'

    lines = [line for line in text.splitlines() if not _FILE_INDEX.match(line)]
    return "".join(f"{_FILE_URL.sub(path, line)}\n" for line in lines)


def sync(project: Project, image: ImageSpec, folder: Path) -> None:
    """Make an environment of exactly an image's packages, and of the project, editable."""
    words = ["sync", "--locked", "--quiet", "--python", project.python, *_chosen(image)]
    _uv(*words, cwd=project.root, UV_PROJECT_ENVIRONMENT=str(folder))


def sync_given(project: Project, pylock: Path, folder: Path) -> None:
    """Make an environment of exactly what a PEP 751 lock names, and of the project, editable."""
    python = venv(project, folder)
    _uv("pip", "sync", "--quiet", "--require-hashes", "--python", str(python), str(pylock))
    if project.is_package:
        words = ["pip", "install", "--quiet", "--no-deps", "--python", str(python)]
        _uv(*words, "--editable", str(project.root), cwd=project.root)


def install(
    words: Sequence[str | Path], requirements: Sequence[str], root: Path, store: Store
) -> None:
    """Run a `uv pip install` of requirements, from the wheels of a bundle where they are enough.

    `root` has the pyproject.toml that may name indexes. Raises LockstitchError when it fails.
    """
    text = "\n".join(requirements) + "\n"
    with indexes_of(root) as where:
        if store.wheels.is_dir():
            local: list[str | Path] = ["--offline", "--no-index", "--find-links", store.wheels]
            if process.run([*words, *local], cwd=where, stdin=text, check=False).code == 0:
                return
        process.run(words, cwd=where, stdin=text, hint="lockstitch lock")


def sync_wheels(
    project: Project, pylock: Path, wheels: Path, built: Mapping[str, str], folder: Path
) -> None:
    """Make the environment of `sync_given` without a network, from a folder of wheels.

    `built` has the file names of wheels that were built for lack of one, by package. Raises
    LockstitchError when the folder lacks one of them.
    """
    import tomlkit

    document = tomlkit.parse(files.read_text(pylock))
    for package in document.get("packages", ()):
        own = wheels / built.get(str(package["name"]), "-")
        if "wheels" not in package and own.is_file():
            for key in ("sdist", "archive", "vcs"):
                package.pop(key, None)
            sha256 = of_bytes(own.read_bytes()).hex
            package["wheels"] = [{"path": str(own), "hashes": {"sha256": sha256}}]
        for wheel in package.get("wheels", ()):
            address = str(wheel.get("url", ""))
            name = wheel.get("name") or address.partition("#")[0].rpartition("/")[2]
            path = wheels / unquote(str(name))
            if path.is_file():
                wheel.pop("url", None)
                wheel["path"] = str(path)
    python = venv(project, folder)
    with tempfile.TemporaryDirectory() as temporary:
        local = Path(temporary, "pylock.toml")
        local.write_text(tomlkit.dumps(document))
        words = ["pip", "sync", "--quiet", "--offline", "--require-hashes", "--python", str(python)]
        _uv(*words, str(local))
    if project.is_package:
        words = ["pip", "install", "--quiet", "--no-deps", "--python", str(python), "--offline"]
        words += ["--no-index", "--find-links", str(wheels)]
        # Editable would need more than the locked build requirements; each run installs anew.
        _uv(*words, "--reinstall", str(project.root), cwd=project.root)


def venv(project: Project, folder: Path) -> Path:
    """Return the Python of an environment, which is made when it is missing."""
    python = folder / ("Scripts" if os.name == "nt" else "bin") / "python"
    if not python.exists():
        _uv("venv", "--quiet", "--clear", "--python", project.python, str(folder))
    return python


def of_build(
    requirements: Sequence[str], project: Project, before: Sequence[str] = ()
) -> tuple[str, ...]:
    """Return `compile_requirements` of what a build needs, within the bounds that uv has for it."""
    bounds = texts(table(project.document, "tool", "uv").get("build-constraint-dependencies"))
    pins = compile_requirements(requirements, project, before, bounds)
    old = any(pin.startswith("setuptools==") and _is_before(pin, _OWN_WHEEL) for pin in pins)
    if old and not any(pin.startswith("wheel==") for pin in pins):
        # PEP 517: its hook asks for what makes wheels, which later versions bring.
        pins = compile_requirements([*requirements, "wheel"], project, before, bounds)
    return pins


def _is_before(pin: str, version: str) -> bool:
    from packaging.version import Version

    return Version(pin.partition("==")[2].split()[0]) < Version(version)


def compile_requirements(
    requirements: Sequence[str],
    project: Project,
    before: Sequence[str] = (),
    bounds: Sequence[str] = (),
) -> tuple[str, ...]:
    """Return requirements with every transitive one pinned and hashed, one text each.

    What `before` pins and still fits is kept; `bounds` are constraints. Raises LockstitchError
    when the index no longer has a file that it names by hash.
    """
    if not requirements:
        return ()
    words = ["pip", "compile", "-", "--universal", "--generate-hashes", "--no-header"]
    words += ["--no-annotate", "--quiet", "--python-version", project.python]
    if project.python == f"{sys.version_info.major}.{sys.version_info.minor}":
        # Or uv looks for one, and asks each shim of pyenv on the way, for 0.2 s each.
        words += ["--python", sys.executable]
    with tempfile.TemporaryDirectory() as folder:
        pins = Path(folder) / "requirements.txt"
        # Without their hashes, which uv would repeat and not compare with the index.
        files.write_text(pins, "".join(f"{line.partition(' --hash=')[0]}\n" for line in before))
        words += ["--no-emit-index-url", "--output-file", str(pins)]
        if bounds:
            constraints = Path(folder) / "constraints.txt"
            files.write_text(constraints, "".join(f"{line}\n" for line in bounds))
            words += ["--constraints", str(constraints)]
        with indexes_of(project.root) as where:
            _uv(*words, cwd=where, stdin="\n".join(requirements) + "\n")
        text = files.read_text(pins).replace("\\\n", " ")
    lines = sorted(" ".join(line.split()) for line in text.splitlines() if line.strip())
    raise_all(list(_replaced(before, lines)))
    return tuple(lines)


@contextmanager
def indexes_of(root: Path) -> Iterator[Path]:
    """Give a folder in which uv knows a project's indexes and not what it constrains.

    Constraints are of the project's own packages: what a source distribution is built with needs
    none of them, and uv refuses one without a hash beside requirements with hashes.
    """
    own = root / "uv.toml"
    path = own if own.is_file() else root / "pyproject.toml"
    document = (
        parse_toml(files.read_text(path), f"`{path.name}`", hint="") if path.is_file() else {}
    )
    settings = document if path == own else table(document, "tool", "uv")
    if not settings.keys() & _CONSTRAINTS:
        yield root
        return
    import tomlkit

    kept = {
        key: _absolute(settings[key], root) if places else settings[key]
        for key, places in _OF_INDEXES.items()
        if key in settings
    }
    with tempfile.TemporaryDirectory() as folder:
        files.write_text(Path(folder) / "uv.toml", tomlkit.dumps(kept))
        yield Path(folder)


def _absolute(value: object, root: Path) -> object:
    """Return a setting with the places of files from the root of this machine."""
    match value:
        case Mapping():
            places = {k: _absolute(v, root) if k == "url" else v for k, v in value.items()}
            return {**value, **places}
        case list():
            return [_absolute(item, root) for item in value]
        case str() if "://" not in value:
            return str(root / value)
    return value


def _replaced(before: Sequence[str], after: Sequence[str]) -> Iterator[LockstitchError]:
    """Yield an error for each pin of which the index has other files than the lock named."""
    now = {pin: set(hashes) for pin, *hashes in (line.split(" --hash=") for line in after)}
    for pin, *hashes in (line.split(" --hash=") for line in before):
        gone = sorted(set(hashes) - now.get(pin, set(hashes)))
        if gone:
            message = (
                f"`{pin}`: the lock names {gone[0]}, the index has {', '.join(sorted(now[pin]))}"
            )
            name = pin.partition("==")[0]
            hint = f"find out who is right, then: lockstitch lock --upgrade {name}"
            yield LockstitchError(message, hint=hint)


def _uv(*words: str, cwd: Path | None = None, stdin: str = "", **changes: str | None) -> str:
    program = process.find_uv()
    env = environ.for_uv(**changes)
    done = process.run([program, *words], cwd=cwd, env=env, stdin=stdin, check=False)
    if done.code != 0:
        raise unsolved(_FAILED[words[0]], done.stderr.strip() or done.stdout.strip())
    return done.stdout


def unsolved(what: str, output: str) -> LockstitchError:
    """Return uv's message without its command line and its temporary folders."""
    start = output.find("error: ")
    lines = output[max(start, 0) :].replace(tempfile.gettempdir() + os.sep, "").splitlines()
    causes = [line.strip().removeprefix("cause: ") for line in lines if _CAUSE.match(line)]
    unsent = _UNSENT.search(output)
    if unsent and causes:
        message, hint = no_answer(unsent[1], _OS_ERROR.sub("", causes[-1]).lower())
        return LockstitchError(f"{what}: {message}", hint=hint)
    if full := _FULL.search(output):
        hint = "free some space, or set UV_CACHE_DIR to a folder on a larger disk"
        return LockstitchError(f"{what}: no space left on the disk for {full[1]}", hint=hint)
    if unreached := _OF_GIT.search(output):
        url, reason = unreached.groups()
        hint = f"`git ls-remote {url}` shows what git needs there; then run the same command again"
        return LockstitchError(f"{what}: git does not get `{url}`: {reason}", hint=hint)
    if "No solution found" in output:
        hint = "change the requirements that exclude each other in pyproject.toml"
        conflict = " ".join(_CAUSE.sub("", line).strip() for line in lines[1:])
        conflict = conflict.partition("hint: ")[0].strip()
        if older := _OLDER.search(conflict):
            # The project takes in Pythons that it may never run on, and uv looks for all of them.
            hint = f'requires-python = ">={older[1]}" or higher in [project]'
        elif re.search(r"\{sys_platform == '(?:darwin|win32)'\}", conflict):
            hint = "environments = [\"sys_platform == 'linux'\"] in [tool.uv]"  # as images are
        if gone := _GONE.search(conflict):
            name = gone[1]
            needed = re.search(rf"(?:project|:(\S+)) depends on {re.escape(name)}\b", conflict)
            group = f"--group {needed[1]} " if needed and needed[1] else ""
            message = f"{what}: the index has no `{name}`: it is withdrawn, or was never there"
            shows = f"`uv tree --frozen --invert --package {name}` shows what requires it"
            hint = f"uv remove {group}{name}" if needed else shows
            return LockstitchError(f"{message}\n{conflict}", hint=hint)
        return LockstitchError(f"{what}: {_CONFLICT}\n{conflict}", hint=hint)
    lines = [*_without_frames(lines)]
    text = [_CAUSE.sub("  ", line).removeprefix("error: ") for line in lines[:_SHOWN]]
    return LockstitchError("\n".join([f"{what}:", *text]))


def _without_frames(lines: Iterable[str]) -> Iterator[str]:
    """Yield lines without the frames of tracebacks, whose last line says what is wrong."""
    deep: int | None = None
    for line in lines:
        indent = len(line) - len(line.lstrip())
        if line.lstrip().startswith("Traceback (most recent call last)"):
            deep = indent
        elif deep is None or not line.strip() or indent <= deep:
            deep = None
            yield line


def _python(project: Project) -> dict[str, str]:
    """Return the variables that make uv take the images' Python, not that of `.python-version`."""
    path = project.root / ".python-version"
    named = files.read_text(path).strip() if path.is_file() else ""
    return {} if named in {"", project.python} else {"UV_PYTHON": project.python}
