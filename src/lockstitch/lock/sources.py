"""Packages that a lock pins without a wheel: built once, from what the lock names, and pinned.

A wheel is built by the package's own backend with exactly the build requirements that are locked
for it, without network, under a fixed umask, time zone, locale, hash seed and SOURCE_DATE_EPOCH.
Its zip is written anew in one spelling. It is built a second time with all of that changed, and
what differs is an error: such a wheel could not be made again elsewhere.
"""

import base64
import csv
import functools
import hashlib
import io
import os
import re
import shutil
import stat
import struct
import sys
import sysconfig
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import TypeVar
from urllib.parse import unquote, urlsplit

from lockstitch import clock, environ, files, git, process, zstd
from lockstitch.digest import Digest, canonical_json, of_bytes
from lockstitch.errors import LockstitchError, raise_all
from lockstitch.lock import carried
from lockstitch.lock import uv as uv_lock
from lockstitch.lock.builder import Container, wrappers
from lockstitch.lock.elf import needs
from lockstitch.lock.file import BuiltWheel, Lock, LockedFolder
from lockstitch.net.download import Download
from lockstitch.oci import deflate
from lockstitch.oci.registry.client import Client
from lockstitch.oci.rootfs import DAMAGE
from lockstitch.patterns import regex
from lockstitch.python.locks.pylock import Built, Unbuilt
from lockstitch.python.locks.resolution import LockedWheel
from lockstitch.python.tables import Table, parse_toml
from lockstitch.python.target import Target
from lockstitch.resources import load_table
from lockstitch.store import Store
from lockstitch.table import first_of
from lockstitch.values import frozen

T = TypeVar("T")

LEGACY = ("setuptools>=40.8.0",)  # PEP 517: what builds a project that names no backend

EPOCH = "315619200"  # 1980-01-02, the time of every file that lockstitch writes
_FORM = 1  # of records
_LINES = 15  # of a failing build that are shown
_PLAIN_FROM = 4 << 20  # bytes of a file above which it is stored: our encoder is slow
_UNSEEN = frozenset({".git", ".venv", "__pycache__", ".lockstitch"})  # folders
_MOST_FILES, _MOST_BYTES = 200_000, 8 << 30
_TAG = regex(r"-(?P<python>[^-]+)-(?P<abi>[^-]+)-(?P<platform>[^-]+)\.whl$")
_ERRORS = 5  # lines that speak of an error, wherever they are
PIN = "pin a version that has a wheel"  # a hint where no such version is known yet
# Lines by which a build says that a file or program of the system is not there.
_MISSING = regex(
    r"(?im)^.*(?:\.h\b.*no such file|config\b.*(?:not found|no such file|error)"
    r"|valid pkg-config|required .*(?:header|librar)|cannot find -l|headers? .*not found).*$"
)
_ERROR = regex(r"(?i)\berror\b|fatal|exception|no such file|not found|cannot find")
_UV_SAYS = regex(r"error: Failed to build|\s+cause: |hint: Build failures|Building wheel\.\.\.")
_NATIVE = (".c", ".cc", ".cpp", ".cxx", ".pyx", ".pxd")
_COMPILED = frozenset({*_NATIVE, ".cu", ".f", ".f90", ".f77", ".for", ".rs"})
_CONTAINED = 'builder = "docker" in [tool.lockstitch]'
_ENTRIES = 4  # of a wheel that a message names
_COPIED = "files of its source"
_MACHINES = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64"}


Resolve = Callable[[Sequence[str]], tuple[str, ...]]  # requirements -> all of them, with hashes


@frozen
class Place:
    """The place where packages are built: a project's folder, the store, the target's Python."""

    root: Path  # the project's folder, whose pyproject.toml may name indexes
    store: Store
    target: Target
    container: Container | None = None  # for what is compiled; None is this machine
    client: Client | None = None  # of the registry that has built wheels
    registry: str = ""  # the repository of it, "" for none


def build(unbuilt: Unbuilt, place: Place, resolve: Resolve) -> BuiltWheel:
    """Return the wheel of a source for a target; it is in the store afterwards.

    The source's archive is in the store already. `resolve` locks build requirements.
    Raises LockstitchError when it cannot be built here, does not come out the same twice, or
    does not fit the target.
    """
    source, target = Source.of(unbuilt), place.target
    _take(source, unbuilt.url, place.root, place.store)
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder) / "source"
        _unpack(source, tree, place.store)
        requires = _resolved(source, tree, resolve)
        compiled = (p for p in tree.rglob("*") if p.suffix.lower() in _COMPILED and p.is_file())
        contained = place.container is not None and any(compiled)
        first = _built(source, requires, place, contained=contained, changed=False)
        if place.container is not None and not contained and not _is_pure(first[0]):
            contained = True
            first = _built(source, requires, place, contained=True, changed=False)
        second = _built(source, requires, place, contained=contained, changed=True)
        filename, data = first
        if data != second[1]:
            data = _in_order(data)
            if data != _in_order(second[1]):
                raise _differs(source, data, _in_order(second[1]))
        generated = _made(data, tree)
    pure = _is_pure(filename)
    if not pure and not contained:
        _check_here(source, target)
    if not pure:
        _check_glibc(source, data, target)
    compiler = place.container.compiler() if place.container and contained else _compiler()
    return BuiltWheel(
        name=source.name,
        version=source.version or filename.split("-")[1],
        artifact=source.artifact,
        url=unbuilt.url,
        filename=filename,
        digest=place.store.put(data),
        platform="any" if pure else target.platform,
        python=target.minor,
        compiler="" if pure else compiler,
        requires=requires,
        builder=place.container.engine if place.container and contained else "",
        made=generated,
    )


def _is_pure(filename: str) -> bool:
    match = _TAG.search(filename)
    return match is not None and match["platform"] == "any"


def _made(wheel: bytes, tree: Path) -> tuple[str, ...]:
    """Return `SHA256 PATH` of each file of a wheel that is none of its source's.

    The others, as files of a source are known by its own hash, are one row under the name `*`.
    """
    own = {of_bytes(path.read_bytes()).hex for path in _files_of(tree)}
    entries = _entries(wheel)
    generated = {name: digest for name, digest in entries.items() if digest not in own}
    rows = generated | {"*": _rest(entries, generated)}
    return tuple(f"{digest} {name}" for name, digest in rows.items())


def _entries(wheel: bytes) -> dict[str, str]:
    """Return the hash of each file of a wheel, but of RECORD, which is of the others."""
    with zipfile.ZipFile(io.BytesIO(wheel)) as archive:
        names = [name for name in sorted(archive.namelist()) if not name.endswith("/RECORD")]
        return {name: of_bytes(archive.read(name)).hex for name in names}


def _rest(entries: Mapping[str, str], generated: Collection[str]) -> str:
    rows = [[name, digest] for name, digest in entries.items() if name not in generated]
    return of_bytes(canonical_json(rows)).hex


def download(wheel: BuiltWheel) -> Download | None:
    """Return the archive that a wheel is built from; None for a repository or a file."""
    if "://" not in wheel.url:
        return None
    name = unquote(PurePosixPath(urlsplit(wheel.url).path).name)
    digest = Digest.parse(wheel.artifact.partition("#")[0])
    return Download(name=name, url=wheel.url, digest=digest, size=None)


def rebuild(wheel: BuiltWheel, place: Place) -> None:
    """Build a pinned wheel again into a store that lacks it; its archive is there already.

    A wheel that lies in `wheels/` beside the lock, or that the registry has, is taken in place of
    a build. Raises LockstitchError when other bytes come out than the lock names, or are there.
    """
    beside = place.root / "wheels" / wheel.filename
    if beside.is_file() and of_bytes(beside.read_bytes()) == wheel.digest:
        place.store.put(beside.read_bytes())
        return
    source = Source(name=wheel.name, version=wheel.version, artifact=wheel.artifact)
    if place.registry:
        data = carried.fetch(wheel, place.client or Client(), place.registry)
        if data is not None and of_bytes(data) != wheel.digest:
            message = f"`{place.registry}` has another `{wheel.filename}` under the hash of the "
            message += f"locked one, {of_bytes(data).short}…{_other_entries(wheel, data)}"
            raise LockstitchError(message, hint="find out who pushed it, or leave out `wheels`")
        if data is not None:
            place.store.put(data)
            return
    _take(source, wheel.url, place.root, place.store)
    contained = bool(wheel.builder)
    filename, data = _built(source, wheel.requires, place, contained=contained, changed=False)
    if of_bytes(data) != wheel.digest and of_bytes(_in_order(data)) == wheel.digest:
        data = _in_order(data)
    if of_bytes(data) != wheel.digest or filename != wheel.filename:
        here = _compiler()
        if place.container and contained:
            here = place.container.compiler()
        message = f"`{source.title}` built here is {filename}, {of_bytes(data).short}…, "
        message += f"the lock names {wheel.filename}, {wheel.digest.short}…"
        message += _other_entries(wheel, data)
        how = f" ({wheel.compiler} built it, here is {here})" if wheel.compiler else ""
        hint = "carry the wheel that was locked, with lockstitch export wheels on that machine: "
        hint += f"wheels/{wheel.filename} beside the lock, or --push to a registry"
        raise LockstitchError(message + how, hint=hint)
    place.store.put(data)


def _other_entries(wheel: BuiltWheel, data: bytes) -> str:
    """Return which files of a wheel are not those that were locked, as the end of a sentence."""
    wanted = {name: digest for digest, _, name in (row.partition(" ") for row in wheel.made)}
    try:
        entries = _entries(data)
    except (*DAMAGE, zipfile.BadZipFile, NotImplementedError):
        return ", which is no wheel"
    entries["*"] = _rest(entries, wanted)
    other = [f"`{name}`" for name, digest in wanted.items() if entries.get(name) != digest]
    other = [_COPIED if name == "`*`" else name for name in other]
    verb = "differs" if len(other) == 1 and _COPIED not in other else "differ"
    return f": {first_of(other, _ENTRIES)} {verb}" if other else ""


def folder(unbuilt: Unbuilt, root: Path, resolve: Resolve) -> LockedFolder:
    """Lock a folder's build requirements; raises LockstitchError when they cannot be locked."""
    requires = _resolved(Source.of(unbuilt), root / unbuilt.artifact, resolve)
    return LockedFolder(name=unbuilt.name, path=unbuilt.artifact, requires=requires)


def folder_wheel(locked: LockedFolder, target: Target, root: Path, store: Store) -> LockedWheel:
    """Return the wheel of a folder as its files are now; it is in the store afterwards.

    Built again only when one of its files changed, since a build sees nothing else: no git, no
    variable, no file beside the folder. Raises LockstitchError when its backend fails.
    """
    tree, minor = root / locked.path, target.minor
    facts = [(str(path.relative_to(tree)), *_facts(path)) for path in _files_of(tree)]
    key = of_bytes(repr([_FORM, os.fspath(tree.resolve()), minor, locked.requires, facts]).encode())
    record = store.record("folders", key.hex)
    if isinstance(record, dict) and store.read_again(Digest.parse(record["digest"])):
        filename, digest = record["filename"], Digest.parse(record["digest"])
    else:
        source = Source(name=locked.name, version="", artifact=os.fspath(tree))
        place = Place(root=root, store=store, target=target)
        filename, data = _built(source, locked.requires, place, contained=False, changed=False)
        match = _TAG.search(filename)
        if match is None or match["platform"] != "any":
            message = f"`{filename}` is for one platform: its compiler would decide the digest"
            hint = "publish it as a wheel and depend on it, so that the lock names its hash"
            raise LockstitchError(message, hint=hint)
        digest = store.put(data)
        store.put_record("folders", key.hex, {"filename": filename, "digest": digest})
    return LockedWheel(
        name=locked.name,
        version=filename.split("-")[1],
        filename=filename,
        digest=digest,
        first_party=True,
    )


def built_for(lock: Lock, target: Target, root: Path, store: Store) -> Built:
    """Return the builder of the wheels that a lock pins as source only, for a target.

    What it returns builds the wheel of a folder, takes a wheel that is a file into the store, and
    raises LockstitchError when that fails.
    """
    folders = {locked.path: locked for locked in lock.folders}

    def built(unbuilt: Unbuilt) -> LockedWheel | None:
        locked = folders.get(unbuilt.artifact)
        if unbuilt.kind == "folder" and locked:
            return folder_wheel(locked, target, root, store)
        if unbuilt.kind == "wheel":
            return given_wheel(unbuilt, root, store)
        for wheel in lock.built:
            if wheel.fits(unbuilt.artifact, target.platform, target.minor):
                return LockedWheel(
                    name=wheel.name,
                    version=wheel.version or unbuilt.version,
                    filename=wheel.filename,
                    digest=wheel.digest,
                )
        return None

    return built


def given_wheel(unbuilt: Unbuilt, root: Path, store: Store) -> LockedWheel:
    """Store a wheel that a lock names; raises LockstitchError for another than was locked."""
    _take(Source.of(unbuilt), unbuilt.url, root, store)
    is_file = "://" not in unbuilt.url
    return LockedWheel(
        name=unbuilt.name,
        version=unbuilt.version or unbuilt.filename.split("-")[1],
        filename=unbuilt.filename,
        url="" if is_file else unbuilt.url,
        digest=Digest.parse(unbuilt.artifact),
        size=unbuilt.size or None,
        first_party=is_file,
    )


def _take(source: "Source", url: str, root: Path, store: Store) -> None:
    """Take a file of the repository into the store, where a lock names one by its hash."""
    if not url or "://" in url:
        return
    wanted = Digest.parse(source.artifact.partition("#")[0])
    try:
        data = (root / url).read_bytes()
    except OSError as error:
        message = f"`{url}`, which the lock names for `{source.title}`, cannot be read"
        raise LockstitchError(message, hint=f"put the file there: {error.strerror}") from error
    if of_bytes(data) != wanted:
        message = f"`{url}` is not the file that was locked for `{source.title}`: wanted sha256 "
        message += f"{wanted.short}…, found {of_bytes(data).short}…"
        raise LockstitchError(message, hint="lockstitch lock")
    store.put(data)


@frozen
class Source:
    """The source of a wheel: an archive by its hash, or a commit of a repository."""

    name: str
    version: str
    artifact: str

    @classmethod
    def of(cls, unbuilt: Unbuilt) -> "Source":
        """Return the source of a package that a lock has no wheel of."""
        return cls(name=unbuilt.name, version=unbuilt.version, artifact=unbuilt.artifact)

    @property
    def title(self) -> str:
        """The package and its version, for people."""
        return f"{self.name} {self.version}".strip()


def _resolved(source: Source, tree: Path, resolve: Resolve) -> tuple[str, ...]:
    """Return the build requirements that a source's pyproject.toml names, locked."""
    path = tree / "pyproject.toml"
    requires: tuple[str, ...] = LEGACY
    if path.is_file():
        problems: list[LockstitchError] = []
        hint = PIN
        title = f"pyproject.toml of `{source.title}`"
        document = parse_toml(files.read_text(path), title, hint=hint)
        requires = (
            Table(document, f"{title}: ", problems).table("build-system").texts("requires", LEGACY)
        )
        raise_all(problems)
    try:
        return resolve(requires)
    except LockstitchError as error:
        message = f"the build requirements of `{source.title}` cannot be locked: {error.message}"
        hint = error.hint.replace(
            "in pyproject.toml", f"of `{source.title}`, or take another version"
        )
        raise LockstitchError(message, hint=hint) from error


# --- one build


def _built(
    source: Source, requires: Sequence[str], place: Place, *, contained: bool, changed: bool
) -> tuple[str, bytes]:
    """Return the name and the bytes of the wheel; `changed` varies what must not matter."""
    if contained:
        return _built_with(None, source, requires, place, changed=changed)
    return in_environment(
        requires,
        place.target.minor,
        place.root,
        place.store,
        lambda python: _built_with(python, source, requires, place, changed=changed),
    )


def _built_with(
    python: Path | None, source: Source, requires: Sequence[str], place: Place, *, changed: bool
) -> tuple[str, bytes]:
    with tempfile.TemporaryDirectory(prefix="b" if changed else "build-elsewhere-") as temporary:
        folder = Path(temporary)
        tree = folder / "source"
        _unpack(source, tree, place.store)
        log = place.store.scratch("logs") / f"{source.name}-{source.version or 'source'}.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        lines: list[str] = []
        umask = "0o077" if changed else "0o022"
        if python is None:
            assert place.container  # noqa: S101 -- `build` asks for it
            _check_tools(source, tree, requires, place.container)
            inside = "/b" if changed else "/build-elsewhere"
            variables = _variables(Path(inside), changed=changed)
            words = [umask, *_backend(source, tree)]
            build = place.container.build
            code = build(folder, inside, variables, words, requires, lines.append)
        else:
            _check_tools(source, tree, requires, None)
            code = _built_here(python, folder, umask, changed=changed, line=lines.append)
        files.write_text(log, "".join(f"{line}\n" for line in lines))
        out = folder / "out"
        wheels = sorted(out.glob("*.whl")) if out.is_dir() else []
        if code != 0 or len(wheels) != 1:
            raise _failed(source, lines, log)
        return wheels[0].name, _normal(wheels[0])


def _built_here(
    python: Path, folder: Path, umask: str, *, changed: bool, line: Callable[[str], object]
) -> int:
    """Build a source on this machine, into `out` of its folder; return the exit code."""
    # Below the folder, so that its place in this machine's cache is in nothing that is built.
    tools = folder / "requires"
    tools.symlink_to(python.parent.parent, target_is_directory=True)
    python = tools / python.relative_to(python.parent.parent)
    (folder / "home").mkdir()
    words: list[str | Path] = [process.find_uv(), "build", "--wheel", "--offline"]
    words += ["--no-build-isolation", "--python", python, "--out-dir", folder / "out"]
    prefix: list[str | Path] = [*_without_network(), sys.executable, "-I", "-S", "-c", _UMASK]
    variables = _variables(folder, changed=changed)
    kept = ("PATH", "LD_LIBRARY_PATH", "UV_CACHE_DIR", "CC", "CXX", "TMPDIR", "SYSTEMROOT")
    variables |= {name: text for name, text in environ.child().items() if name in kept}
    if os.name == "posix":
        wrappers(folder / "bin")
        variables["PATH"] = f"{folder / 'bin'}{os.pathsep}{variables.get('PATH', os.defpath)}"
    command = [*prefix, umask, *words, folder / "source"]
    return process.follow(command, cwd=folder, env=variables, line=line)


def _backend(source: Source, tree: Path) -> list[str]:
    """Return the backend that a source names, and the folders of it that the backend is in."""
    path = tree / "pyproject.toml"
    problems: list[LockstitchError] = []
    document = parse_toml(files.read_text(path), source.title, hint="") if path.is_file() else {}
    system = Table(document, "", problems).table("build-system")
    name = system.text("build-backend") if system.has("build-backend") else ""
    return [name or "setuptools.build_meta:__legacy__", *system.texts("backend-path")]


_UMASK = "import os, sys; os.umask(int(sys.argv[1], 8)); os.execv(sys.argv[2], sys.argv[2:])"


def _variables(folder: Path, *, changed: bool) -> dict[str, str]:
    """Return a build's variables: nothing of the user's settings, and no way to the network."""
    nowhere = "http://127.0.0.1:9"
    # No debugging symbols and no path of this machine in what is compiled.
    flags = f"-g0 -ffile-prefix-map={folder}=/build"
    return {
        "HOME": str(folder / "home"),
        "CFLAGS": flags,
        "CXXFLAGS": flags,
        "LANG": "C" if changed else "C.UTF-8",
        "TZ": "Pacific/Chatham" if changed else "UTC",
        "PYTHONHASHSEED": "4711" if changed else "0",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONUNBUFFERED": "1",
        "SOURCE_DATE_EPOCH": EPOCH,
        "http_proxy": nowhere,
        "https_proxy": nowhere,
        "PIP_NO_INDEX": "1",
        "UV_OFFLINE": "1",
    }


@functools.cache
def _without_network() -> tuple[str, ...]:
    """Return the words that start a program without network, where this machine lets us."""
    program = shutil.which("unshare")
    if program is None:
        return ()
    words = (program, "--net") if os.geteuid() == 0 else (program, "--net", "--map-root-user")
    return words if process.run([*words, "true"], check=False).code == 0 else ()


def in_environment(
    requires: Sequence[str], minor: str, root: Path, store: Store, build: Callable[[Path], T]
) -> T:
    """Return the result of a build with the Python that has exactly the locked build requirements.

    The environment is in the store, where something may damage it while the build reads it, and
    another build makes it anew: a build that failed meanwhile runs once more.

    Raises LockstitchError when there is no such Python here, a hash is wrong, or the build fails.
    """
    python = _environment(requires, minor, root, store)
    before = python.parent.stat()
    try:
        return build(python)
    except LockstitchError:
        _environment(requires, minor, root, store)
        now = python.parent.stat()
        if (now.st_ino, now.st_ctime_ns) == (before.st_ino, before.st_ctime_ns):
            raise
        return build(python)


def _environment(requires: Sequence[str], minor: str, root: Path, store: Store) -> Path:
    interpreter = _interpreter(minor)
    document = repr([list(requires), minor, interpreter]).encode()
    folder = store.scratch(f"build-{of_bytes(document).hex[:24]}")
    python = folder / ("Scripts" if os.name == "nt" else "bin") / "python"
    with store.lock(folder.name):
        if not store.has_whole_tree(folder):
            uv: str | Path = process.find_uv()
            for patience in (0.2, 1.0, 0.0):  # the uv of a build that was killed may still write
                files.remove(folder)
                words: list[str | Path] = [uv, "venv", "--quiet", "--clear", "--python"]
                done = process.run([*words, interpreter, folder], check=not patience)
                if done.code == 0:
                    break
                clock.sleep(patience)
            if requires:
                # Compiled now, since nothing may be written there later; copied, so that no file
                # of it is also one of uv's cache.
                install = [uv, "pip", "install", "--quiet", "--require-hashes", "--no-deps"]
                install += ["--compile-bytecode", "--link-mode", "copy", "--python", python]
                uv_lock.install([*install, "--requirements", "-"], requires, root, store)
            store.remember_tree(folder)
    return python


@functools.cache
def _interpreter(minor: str) -> str:
    if minor == f"{sys.version_info.major}.{sys.version_info.minor}":
        return sys.executable
    words = ["python", "find", "--no-project", minor]
    done = process.run([process.find_uv(), *words], env=environ.for_uv(), check=False)
    if done.code == 0 and done.stdout.strip():
        return done.stdout.strip()
    message = f"there is no CPython {minor} here to build a package with"
    raise LockstitchError(message, hint=f"uv python install {minor}")


# --- the source


def _unpack(source: Source, tree: Path, store: Store) -> None:
    """Put the source into a folder. An archive's own top folder is left out."""
    place, _, folder = source.artifact.partition("#")
    whole = tree.with_name("whole")
    if os.path.isabs(place):  # noqa: PTH117 -- a folder of the repository, kept as it is
        for path in _files_of(Path(place)):
            copy = tree / path.relative_to(place)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, copy)
        return
    if place.startswith("sha256:"):
        _extract(store.path(Digest.parse(place)), source, whole)
        inside = sorted(whole.iterdir())
        inner = inside[0] if len(inside) == 1 and inside[0].is_dir() else whole
    else:
        url, _, commit = place.rpartition("@")
        _checkout(url, commit, whole, source)
        inner = whole
    chosen = (inner / folder).resolve() if folder else inner
    if not chosen.is_relative_to(whole.resolve()) or not chosen.is_dir():
        message = f"`{source.title}` has no folder `{folder}`"
        raise LockstitchError(message, hint="correct `subdirectory` of its source")
    chosen.rename(tree)


def _files_of(folder: Path, above: tuple[Path, ...] = ()) -> Iterator[Path]:
    """Yield the files that a build of a folder sees, those behind symlinks too."""
    here = folder.resolve()
    for path in sorted(folder.iterdir()) if here not in above else ():
        if path.is_dir():
            if path.name not in _UNSEEN and not path.name.endswith(".egg-info"):
                yield from _files_of(path, (*above, here))
        elif path.is_file():
            yield path


def _facts(path: Path) -> tuple[int, int, bool]:
    facts = path.stat()
    return facts.st_size, facts.st_mtime_ns, bool(facts.st_mode & 0o111)


def _checkout(url: str, commit: str, folder: Path, source: Source) -> None:
    folder.mkdir()
    address = url.removeprefix("git+")
    git.run(folder, "init", "--quiet")
    done = git.run(folder, "fetch", "--quiet", "--depth=1", address, commit, check=False)
    if done.code != 0:  # a server that gives no single commits
        done = git.run(folder, "fetch", "--quiet", address, "+refs/*:refs/*", check=False)
    if done.code == 0:
        done = git.run(folder, "checkout", "--quiet", "--detach", commit, check=False)
    if done.code == 0 and (folder / ".gitmodules").exists():
        words = ("submodule", "update", "--quiet", "--init", "--recursive", "--depth=1")
        done = git.run(folder, *words, check=False)
    if done.code != 0:
        lines = [line for line in done.stderr.splitlines() if line.strip()] or ["git failed"]
        message = f"`{source.title}`: {git.without_login(address)} at {commit[:12]}: "
        raise LockstitchError(
            message + git.without_login(lines[-1]), hint="look whether the repository still has it"
        )


def _extract(archive: Path, source: Source, folder: Path) -> None:
    """Unpack a source distribution; nothing of it leads out of the folder."""
    folder.mkdir()
    try:
        if zipfile.is_zipfile(archive):
            with zipfile.ZipFile(archive) as zipped:
                members = zipped.infolist()
                _bound(source, len(members), sum(member.file_size for member in members))
                zipped.extractall(folder)  # noqa: S202 -- zipfile keeps names inside
            return
        with tarfile.open(archive, "r:*") as tar:
            tarred = tar.getmembers()
            _bound(source, len(tarred), sum(member.size for member in tarred))
            tar.extractall(folder, tarred, filter="data")
    except (*DAMAGE, OSError, zipfile.BadZipFile, NotImplementedError) as e:
        message = f"the source of `{source.title}` cannot be unpacked: {e}"
        raise LockstitchError(message, hint=PIN) from e


def _bound(source: Source, count: int, size: int) -> None:
    if count > _MOST_FILES or size > _MOST_BYTES:
        message = f"the source of `{source.title}` has {count} files of {size} bytes"
        raise LockstitchError(message, hint=PIN)


# --- what a build needs of this machine


def _check_tools(
    source: Source, tree: Path, requires: Sequence[str], container: Container | None
) -> None:
    """Raise LockstitchError for compilers that the source needs and its place of build lacks."""
    names = {path.suffix.lower() for path in tree.rglob("*") if path.is_file()}
    backends = " ".join(requires).lower()
    wanted = []
    if names & {".cu", ".cuh"}:
        wanted.append(("nvcc", "CUDA sources", "nvidia-cuda-toolkit"))
    if (tree / "Cargo.toml").exists() or "maturin" in backends or "setuptools-rust" in backends:
        wanted.append(("cargo", "Rust sources", "cargo"))
    if names & {".f", ".f90", ".f77", ".for"}:
        wanted.append(("gfortran", "Fortran sources", "gfortran"))
    if container is not None:
        there = {package.name for package in container.builder.packages}
        for program, what, package in wanted:
            if package not in there:
                message = f"`{source.title}` has {what} and no wheel, and the builder has no "
                message += f"`{program}`"
                hint = f'build-packages = ["{package}"] in [tool.lockstitch], or pin a version '
                raise LockstitchError(message, hint=f"{hint}that has a wheel")
        return
    if names & {*_NATIVE} and (tree / "setup.py").exists():
        text = (tree / "setup.py").read_text("utf-8", "replace")
        if "ext_modules" in text or "Extension(" in text:
            wanted.append((_c_compiler(), "C sources", "gcc g++"))
            if not (Path(sysconfig.get_path("include")) / "Python.h").exists():
                message = f"`{source.title}` has C sources, and Python.h is not here"
                raise LockstitchError(message, hint=f"apt-get install python3-dev, {_CONTAINED}")
    for program, what, package in wanted:
        if shutil.which(program) is None:
            message = f"`{source.title}` has {what} and no wheel, and `{program}` is not here"
            hint = f"apt-get install {package}, {_CONTAINED}, or pin a version that has a wheel"
            if program == "nvcc":
                hint = "install the CUDA toolkit, or pin a version that has a wheel"
            raise LockstitchError(message, hint=hint)


def _c_compiler() -> str:
    return environ.child().get("CC") or "cc"


@functools.cache
def _compiler() -> str:
    program = shutil.which(_c_compiler())
    if program is None:
        return "no compiler"
    lines = process.run([program, "--version"], check=False).stdout.splitlines()
    return lines[0].strip() if lines else Path(program).name


def _failed(source: Source, output: Sequence[str], log: Path) -> LockstitchError:
    # What uv adds at the end says nothing of the package.
    lines = [line for line in output if line.strip() and not _UV_SAYS.match(line)]
    message = f"`{source.title}` has no wheel for this target and its build failed:\n"
    # uv gives a backend's errors and its other output one after the other.
    errors = [n for n, line in enumerate(lines) if _ERROR.search(line)][-_ERRORS:]
    last = range(max(0, len(lines) - _LINES + len(errors)), len(lines))
    message += "\n".join(f"  {lines[n]}" for n in sorted({*errors, *last}))
    needed = _headers(source, "\n".join(lines))
    if needed:
        listed = ", ".join(f'"{name}"' for name in needed)
        hint = f"apt-get install {' '.join(needed)} && lockstitch lock; or {_CONTAINED} and "
        return LockstitchError(message, hint=f"{hint}build-packages = [{listed}]")
    return LockstitchError(message, hint=f"read {log}, or {PIN}")


def _headers(source: Source, output: str) -> list[str]:
    """Return the packages of Debian that a failed build wants, by what it says and by name."""
    tables = load_table(__package__, "headers.toml")
    missing = "\n".join(_MISSING.findall(output))
    wanted = [text for form, text in tables["said"].items() if re.search(form, missing)]
    wanted += [tables["packages"].get(source.name, "")] if missing else []
    return [*dict.fromkeys(" ".join(wanted).split())]


# --- the wheel


def _normal(path: Path) -> bytes:
    """Return a wheel in one spelling: sorted names, constant times and modes, our encoder."""
    with zipfile.ZipFile(path) as archive:
        members = {
            name: (zstd.read_member(archive, name), bool((info.external_attr >> 16) & stat.S_IXUSR))
            for name, info in archive.NameToInfo.items()
            if not info.is_dir()
        }
    for name, (data, executable) in members.items():
        if name.endswith(".dist-info/RECORD"):
            rows = sorted(csv.reader(io.StringIO(data.decode("utf-8"))))
            text = io.StringIO()
            csv.writer(text, lineterminator="\n").writerows(rows)
            members[name] = (text.getvalue().encode(), executable)
    return _zip(members)


def _in_order(wheel: bytes) -> bytes:
    """Return a wheel with the requirements and extras of its METADATA sorted.

    A setup.py that keeps them in a set lists them in the order of the hash seed.
    """
    with zipfile.ZipFile(io.BytesIO(wheel)) as archive:
        members = {
            name: (archive.read(name), bool((info.external_attr >> 16) & stat.S_IXUSR))
            for name, info in archive.NameToInfo.items()
        }
    for name in [name for name in members if name.endswith(".dist-info/METADATA")]:
        head, blank, body = members[name][0].partition(b"\n\n")
        lines = head.split(b"\n")
        listed = [
            line for line in lines if line.startswith((b"Requires-Dist:", b"Provides-Extra:"))
        ]
        at = lines.index(listed[0]) if listed else 0
        rest = [line for line in lines if line not in listed]
        head = b"\n".join([*rest[:at], *sorted(listed), *rest[at:]])
        data = head + blank + body
        members[name] = (data, members[name][1])
        record = name.removesuffix("METADATA") + "RECORD"
        if record in members:
            rows = list(csv.reader(io.StringIO(members[record][0].decode("utf-8"))))
            hashed = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
            stated = [name, f"sha256={hashed}", str(len(data))]
            text = io.StringIO()
            writer = csv.writer(text, lineterminator="\n")
            writer.writerows(stated if row[:1] == [name] else row for row in rows)
            members[record] = (text.getvalue().encode(), members[record][1])
    return _zip(members)


def _zip(members: Mapping[str, tuple[bytes, bool]]) -> bytes:
    """Return a zip file (APPNOTE 6.3.10) whose bytes depend on names, contents and x bits only."""
    body, directory = io.BytesIO(), io.BytesIO()
    # RECORD last, as PEP 427 recommends.
    for name in sorted(members, key=lambda n: (n.endswith(".dist-info/RECORD"), n.encode())):
        data, executable = members[name]
        packed, method = data, 0
        if data and len(data) < _PLAIN_FROM:
            squeezed = deflate.compress(data)
            packed, method = (squeezed, 8) if len(squeezed) < len(data) else (data, 0)
        encoded = name.encode()
        common = struct.pack(
            *("<HHHHHIIIHH", 20, 0x800, method, 0, (1 << 5) | 2, zlib.crc32(data), len(packed)),
            *(len(data), len(encoded), 0),
        )
        mode = stat.S_IFREG | (0o755 if executable else 0o644)
        place = struct.pack("<HHHII", 0, 0, 0, mode << 16, body.tell())
        directory.write(b"PK\x01\x02" + struct.pack("<H", (3 << 8) | 20) + common + place + encoded)
        body.write(b"PK\x03\x04" + common + encoded + packed)
    start, count = body.tell(), len(members)
    entries = directory.getvalue()
    end = struct.pack("<HHHHIIH", 0, 0, count, count, len(entries), start, 0)
    return body.getvalue() + entries + b"PK\x05\x06" + end


def _differs(source: Source, one: bytes, other: bytes) -> LockstitchError:
    names = ", ".join(f"`{name}`" for name in _different(one, other))
    message = f"`{source.title}` does not build the same twice: {names} differ with umask, time "
    message += "zone, locale, hash seed and folder"
    return LockstitchError(message, hint=PIN)


def _different(one: bytes, other: bytes) -> Iterator[str]:
    with zipfile.ZipFile(io.BytesIO(one)) as a, zipfile.ZipFile(io.BytesIO(other)) as b:
        for name in sorted({*a.namelist(), *b.namelist()}):
            there = name in a.namelist() and name in b.namelist()
            if not there or a.read(name) != b.read(name):
                yield name


def _check_here(source: Source, target: Target) -> None:
    """Raise LockstitchError where what this machine compiles is not for the target."""
    here = f"linux/{_MACHINES.get(os.uname().machine.lower(), os.uname().machine)}"
    if sys.platform != "linux" or here != target.platform:
        message = f"`{source.title}` has to be compiled for {target.platform}, and this is {here}"
        raise LockstitchError(message, hint=f"{_CONTAINED}; or lock on {target.platform}")


def _check_glibc(source: Source, data: bytes, target: Target) -> None:
    """Raise LockstitchError for a compiled wheel that needs a newer C library than the base's."""
    limit = tuple(int(part) for part in target.glibc.split(".")) if target.glibc else ()
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        for name in archive.namelist():
            if ".so" not in PurePosixPath(name).name:
                continue
            for version in needs(archive.read(name)).versions:
                have = re.fullmatch(r"GLIBC_(\d+)\.(\d+)(?:\.\d+)?", version)
                if have and limit and (int(have[1]), int(have[2])) > limit:
                    message = f"`{source.title}`: {name} needs {version}, "
                    message += f"the base has glibc {target.glibc}"
                    hint = f"{_CONTAINED}; or lock where glibc is no newer than the base's"
                    raise LockstitchError(message, hint=hint)
