"""First-party code: the project's own wheel, built by its backend in a locked environment."""

import ast
import os
import sys
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from lockstitch import clock, environ, git, process
from lockstitch.digest import Digest, canonical_json, of_bytes
from lockstitch.errors import LockstitchError
from lockstitch.files import FoundFile
from lockstitch.image import edited_wheel
from lockstitch.image.own_files import OwnFiles
from lockstitch.image.paths import LAYOUT
from lockstitch.image.wheel import Wheel
from lockstitch.listing import STEP
from lockstitch.lock import sources
from lockstitch.python.model import Project
from lockstitch.python.names import of_requirement
from lockstitch.store import Store
from lockstitch.values import frozen, replace

_MOST_RECENT = 16 << 20  # bytes of files of just now, which are read again each time
_EPOCH = "315619200"  # the mtime of every file that lockstitch writes; zip has none before 1980


@frozen
class ProjectWheel:
    """The project's wheel in the store, and the digest of what is in it."""

    filename: str
    digest: Digest
    contents: Digest  # equal for equal files, whatever zlib the host compressed them with


def build(
    project: Project, requirements: tuple[str, ...], store: Store, own: OwnFiles | None = None
) -> ProjectWheel | None:
    """Return the project's wheel, built again when anything changed that its backend may read.

    None where the backend finds no package: an application's code stays in the tree.

    Which files a backend reads is its own affair, so any change counts, and equal contents give
    an equal layer. Edits of ordinary files are put into the last wheel where metadata depends on
    none (`edited_wheel`). A backend that may read git or run code of the project is asked each
    time, where it cannot be known what it will find.
    """
    own = own or OwnFiles(project, store)
    since = int(clock.now() * 1e9) - STEP
    key = _signature(project, requirements, own.listed())
    recent = [file for file in own.listed() if file.changed > since]
    known = store.record("own", key) if key else None
    if known and all(own.facts(f).digest == known["recent"].get(f.name) for f in recent):
        if known.get("none"):
            return None
        if store.read_again(Digest.parse(known["digest"])):
            return _of_record(known)
    built = _edited(project, requirements, store, own)
    if built is None:
        minor = f"{sys.version_info.major}.{sys.version_info.minor}"
        built = sources.in_environment(
            requirements, minor, project.root, store, lambda python: _built(python, project, store)
        )
        if built and _keeps_last(project):
            now = OwnFiles(project).listed()  # with what the backend has left there
            last = edited_wheel.last(store.path(built.digest), now, since)
            record = last.document() | _record(built)
            store.put_record("last own", _base_key(project, requirements), record)
    if key and sum(file.size for file in recent) <= _MOST_RECENT:
        hashed = {file.name: own.facts(file).digest for file in recent}
        record = _record(built) if built else {"none": True}
        store.put_record("own", key, record | {"recent": hashed})
    return built


def _record(built: ProjectWheel) -> dict[str, Any]:
    return {"filename": built.filename, "digest": built.digest, "contents": built.contents}


def _of_record(known: Mapping[str, Any]) -> ProjectWheel:
    return ProjectWheel(
        filename=known["filename"],
        digest=Digest.parse(known["digest"]),
        contents=Digest.parse(known["contents"]),
    )


def _keeps_last(project: Project) -> bool:
    return is_decided_by_files(project) and edited_wheel.is_plain(project)


def _edited(
    project: Project, requirements: tuple[str, ...], store: Store, own: OwnFiles
) -> ProjectWheel | None:
    """Return the last wheel with what was edited since, None where the backend has to be asked."""
    if not _keeps_last(project):
        return None
    base = _base_key(project, requirements)
    record = store.record("last own", base)
    if record is None:
        return None
    before = _of_record(record)
    last = edited_wheel.Last(
        files=record["files"], members=record["members"], others=record["others"]
    )
    data = store.read(before.digest)
    wheel = edited_wheel.of(data, last, own.listed(), project) if data else None
    if wheel is None:
        return None
    digest = store.put(wheel)
    contents = before.contents
    if digest != before.digest:
        contents = _contents(store.path(digest), before.filename)
    built = replace(before, digest=digest, contents=contents)
    since = int(clock.now() * 1e9) - STEP
    now = replace(last, files=edited_wheel.marks(own.listed(), since))
    store.put_record("last own", base, now.document() | _record(built))
    return built


def _built(python: Path, project: Project, store: Store) -> ProjectWheel | None:
    with tempfile.TemporaryDirectory() as folder:
        try:
            uv: str | Path = process.find_uv()
            # No isolation: the environment is ours, with exactly what the lock names.
            words = [uv, "build", "--wheel", "--offline", "--no-build-isolation"]
            process.run(
                [*words, "--python", python, "--out-dir", folder, project.root],
                env=environ.child(
                    SOURCE_DATE_EPOCH=_EPOCH, PYTHONDONTWRITEBYTECODE="1", VIRTUAL_ENV=None
                ),
                hint="make `uv build --wheel` work, then lockstitch build",
            )
        except LockstitchError as error:
            if not any(text in error.message for text in _NO_PACKAGE):
                raise
            return None
        path = _only_wheel(Path(folder))
        digest = store.put(path.read_bytes())
        return ProjectWheel(filename=path.name, digest=digest, contents=_contents(path, path.name))


# What backends say of a project in which they find nothing to install.
_NO_PACKAGE = (
    "Unable to determine which files to ship inside the wheel",  # hatchling
    "At least one file selection option must be defined",  # hatchling, the end of the same
    "No file/folder found for package",  # poetry-core
    "No file/folder found for module",  # flit-core
    "Multiple top-level packages discovered in a flat-layout",  # setuptools
    "Multiple top-level modules discovered in a flat-layout",
    'look for "package discovery" on setuptools docs',  # the end of both
    "Expected a Python module at",  # uv-build
)
# Backends that read the project's files and nothing else, unless a table or a hook says so.
_BACKENDS = frozenset(
    {"flit_core.buildapi", "hatchling.build", "pdm.backend", "poetry.core.masonry.api"}
    | {"setuptools.build_meta", "setuptools.build_meta:__legacy__", "uv_build"}
)
# Where tools of versions look, and what switches backends: variables by how their names start.
_VARIABLES = (
    *("SETUPTOOLS_SCM_", "HATCH_", "PBR_", "PDM_BUILD_", "POETRY_DYNAMIC_VERSIONING_", "FLIT_"),
    *("UV_DYNAMIC_VERSIONING_", "VERSIONINGIT_", "DUNAMAI_", "VERSIONEER_", "SETUPTOOLS_"),
    *("SETUP_PY_", "DISTUTILS_"),
)


def _signature(project: Project, requirements: tuple[str, ...], listed: Iterable[FoundFile]) -> str:
    """Return the key of the project's wheel, empty where nothing that is known decides it."""
    if _reads_anything(project):
        return ""
    state: str | None = ""
    if not _is_plain(project):
        state = git.described(project.root)
        if state is None:
            return ""
    listing = [
        # A name may be none of UTF-8, and no image has to include it.
        [f.name.encode("utf-8", "backslashreplace").decode(), *f.mark, f.executable]
        for f in listed
    ]
    document = [_base_key(project, requirements), listing, state]
    return of_bytes(canonical_json(document)).hex


def _base_key(project: Project, requirements: tuple[str, ...]) -> str:
    """Return the key of all that decides a wheel besides the project's files and git."""
    document = [LAYOUT, os.fspath(project.root), list(requirements)]
    document.append(sorted(environ.starting(*_VARIABLES).items()))
    document += [os.fspath(process.find_uv()), sys.version]
    return of_bytes(canonical_json(document)).hex


def is_decided_by_files(project: Project) -> bool:
    """Return whether its files alone decide a project's wheel: no code of it runs, and no git."""
    return _is_plain(project) and not _reads_anything(project)


def _reads_anything(project: Project) -> bool:
    """Return whether a build runs code of the project, or reads what is outside of it."""
    build = project.document.get("build-system", {})
    tools = project.document.get("tool", {})
    hatch = tools.get("hatch", {})
    hooks = [hatch.get("build", {}).get("hooks"), hatch.get("metadata", {}).get("hooks")]
    hooks += [part.get("hooks") for part in hatch.get("build", {}).get("targets", {}).values()]
    hooks += [hatch.get("version", {}).get("source") in {"code", "env"}]
    hooks += [tools.get("poetry", {}).get("build"), tools.get("pdm", {}).get("build")]
    hooks += [(tools.get("pdm", {}).get("version") or {}).get("source") == "call"]
    hooks += [build.get("backend-path")]
    files_of_hooks = ("hatch_build.py", "pdm_build.py", "build.py")
    hooks += [(project.root / name).exists() for name in files_of_hooks]
    hooks += [_leads_out(project.document.get("project", {}))]
    hooks += [_leads_out(tools.get(name)) for name in ("hatch", "poetry", "setuptools", "pdm")]
    return any(hooks) or _has_setup_code(project.root / "setup.py")


def _has_setup_code(path: Path) -> bool:
    """Return whether a setup.py does more than call `setup` with constants."""
    if not path.exists():
        return False
    try:
        body = ast.parse(path.read_bytes()).body
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):
        return True
    for line in body:
        if isinstance(line, ast.Import | ast.ImportFrom):
            names = [name.name for name in line.names]
            module = line.module if isinstance(line, ast.ImportFrom) else names[0]
            if module == "setuptools" and len(names) == 1:
                continue
        if isinstance(line, ast.Expr) and isinstance(line.value, ast.Constant):
            continue
        call = line.value if isinstance(line, ast.Expr) else None
        if isinstance(call, ast.Call) and ast.unparse(call.func) in {"setup", "setuptools.setup"}:
            given = [*call.args, *(keyword.value for keyword in call.keywords)]
            if all(isinstance(node, ast.Constant) for node in given):
                continue
        return True
    return False


def _is_plain(project: Project) -> bool:
    """Return whether a backend reads files of the project only, and no git."""
    build = project.document.get("build-system", {})
    backend = build.get("build-backend", "setuptools.build_meta:__legacy__")
    names = {of_requirement(item) for item in build.get("requires", ())}
    own = {"flit-core", "hatchling", "pdm-backend", "poetry-core", "setuptools", "uv-build"}
    if backend not in _BACKENDS or not names <= {*own, "wheel"}:
        return False  # setuptools-scm, hatch-vcs, versioningit, pbr and many others
    tools = project.document.get("tool", {})
    version = tools.get("pdm", {}).get("version") or {}
    dynamic = tools.get("setuptools", {}).get("dynamic", {}).get("version") or {}
    return "attr" not in dynamic and version.get("source", "file") == "file"


def _leads_out(value: object) -> bool:
    """Return whether a setting names a file outside of the project."""
    if isinstance(value, str):
        return ".." in PurePosixPath(value).parts
    if isinstance(value, Mapping):
        return any(_leads_out(part) for pair in value.items() for part in pair)
    return isinstance(value, list) and any(_leads_out(item) for item in value)


def _only_wheel(folder: Path) -> Path:
    wheels = sorted(folder.glob("*.whl"))
    if len(wheels) != 1:
        message = f"the build backend made {len(wheels)} wheels, not one"
        raise LockstitchError(message, hint="uv build --wheel")
    if not wheels[0].stem.endswith("-none-any"):
        message = f"`{wheels[0].name}` is for one platform: its compiler would decide the digest"
        hint = "publish it as a wheel and depend on it, so that the lock names its hash"
        raise LockstitchError(message, hint=hint)
    return wheels[0]


def _contents(path: Path, name: str) -> Digest:
    wheel = Wheel(path, name)
    try:
        listing = [
            [name, of_bytes(member.read()), member.executable]
            for name, member in wheel.members.items()
        ]
    finally:
        wheel.close()
    return of_bytes(canonical_json([name, listing]))
