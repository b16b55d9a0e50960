"""Compiles bytecode with an image's own interpreter, so that the host's Python never shows.

A base that is put together from signed packages is unpacked in the store, and its Python run by
its own loader. Nothing of a registry's base is run: a CPython of this machine compiles for it.
Bytecode of one minor version runs on all its patch versions, but only the same patch version
surely makes the same.
"""

import contextlib
import functools
import json
import os
import struct
import sys
import tempfile
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from importlib import resources
from pathlib import Path, PurePosixPath
from typing import Any

from lockstitch import environ, files, process, zstd
from lockstitch.digest import Digest, canonical_json, of_bytes
from lockstitch.errors import LockstitchError
from lockstitch.image.bases import root_files
from lockstitch.image.paths import LAYOUT
from lockstitch.lock.bases import Base
from lockstitch.oci import deflate
from lockstitch.oci.entry import Content, Entry, Kind
from lockstitch.store import TREES, Store
from lockstitch.values import frozen

_LOADERS = {
    "linux/amd64": ("x86_64", "usr/lib64/ld-linux-x86-64.so.2", "usr/lib/x86_64-linux-gnu"),
    "linux/arm64": ("aarch64", "usr/lib/ld-linux-aarch64.so.1", "usr/lib/aarch64-linux-gnu"),
}


@frozen
class Interpreter:
    """The command that runs the image's Python here, and what its output depends on."""

    argv: tuple[str, ...]
    root: str  # the folder that holds its files
    key: Digest
    minor: str


_UNREAD = ("etc/", "usr/share/", "var/")  # what of a base no compiler of bytecode reads
_ENVIRONMENT = {"LC_ALL": "C"}  # nothing of the host's environment reaches the compiler
# Before 3.11 the members of a set stand in bytecode in the order of their hashes (cpython#81777),
# whose seed only a variable sets, which -I does not read. No module of the script's folder is
# imported.
_UNSORTED = dict.fromkeys(("3.8", "3.9", "3.10"), ("-s", "0"))


def _script() -> AbstractContextManager[Path]:
    return resources.as_file(resources.files("lockstitch.runtime").joinpath("bytecode.py"))


_ANSWERED = b"\xff\xff\xff\xff"
_kept: dict[tuple[str, ...], process.Answering] = {}  # compilers of a process that makes layers
_keeps: list[bool] = []  # not empty in such a process


def keep_compilers() -> None:
    """Let compilers wait for the next layer from now on, until `end_compilers`."""
    _keeps.append(True)


def end_compilers() -> None:
    """End the compilers that wait."""
    while _kept:
        _kept.popitem()[1].close()


@contextlib.contextmanager
def _compiler(words: tuple[str, ...], env: dict[str, str]) -> Iterator[process.Answering]:
    """Yield a compiler, one that was started before where they are kept."""
    with _script() as script:
        compiler = _kept.pop(words, None) or process.Answering([*words, script], env=env)
        try:
            yield compiler
        except BaseException:
            compiler.close()
            raise
        if _keeps:
            _kept[words] = compiler
        else:
            compiler.close()


Sources = Sequence[tuple[str, str]]  # name in a root, path in the image without a leading slash


def compile_files(
    interpreter: Interpreter, trees: Sequence[tuple[Path, Sources]]
) -> list[dict[str, bytes]]:
    """Return path in the image → .pyc for the modules that compile, of each tree.

    A tree is a folder or a wheel with its sources; no two of them know of each other. Raises
    LockstitchError when the compiler fails.
    """
    # Sorted by bytes, since CPython's output depends on the order of compilation.
    ordered = [sorted(sources, key=lambda source: source[1].encode()) for _, sources in trees]
    if not any(ordered):
        return [{} for _ in trees]
    jobs = [
        {"root": str(root), "files": [[name, f"/{path}"] for name, path in sources]}
        for (root, _), sources in zip(trees, ordered, strict=True)
    ]
    how, seed = _UNSORTED.get(interpreter.minor, ("-I", ""))
    env = _ENVIRONMENT | ({"PYTHONHASHSEED": seed} if seed else {})
    compiled: list[dict[str, bytes]] = [{} for _ in trees]
    tag = f"cpython-{interpreter.minor.replace('.', '')}"  # PEP 3147
    with _compiler((*interpreter.argv, how, "-S", "-B"), env) as compiler:
        compiler.ask(json.dumps(jobs).encode())
        for number, path in [(number, path) for number, o in enumerate(ordered) for _, path in o]:
            (size,) = struct.unpack("<I", compiler.read(4))
            if size:
                source = PurePosixPath(path)
                name = str(source.parent / "__pycache__" / f"{source.stem}.{tag}.pyc")
                compiled[number][name] = compiler.read(size)
        if (end := compiler.read(4)) != _ANSWERED:
            message = f"the bytecode compiler wrote {end.hex()} where its answer ends"
            raise LockstitchError(message)
    return compiled


# --- bytecode of a wheel, kept in the store


@frozen
class StoredBytecode:
    """The bytecode of one module, compressed: a part of a blob of the store."""

    blob: Path
    start: int
    packed: int
    size: int
    crc: int

    def deflated(self) -> Iterator[bytes]:
        """Yield the compressed form."""
        with self.blob.open("rb") as handle:
            handle.seek(self.start)
            yield handle.read(self.packed)

    def plain(self) -> Iterator[bytes]:
        """Yield the content, and raise LockstitchError when the blob was damaged."""
        try:
            data = zlib.decompress(next(self.deflated()), -15)
        except zlib.error:
            data = b""
        if (len(data), zlib.crc32(data)) != (self.size, self.crc):
            message = f"`{self.blob}` is damaged"
            raise LockstitchError(message, hint=f"remove {self.blob}, then lockstitch build")
        yield data


def of_wheels(
    interpreter: Interpreter, store: Store, wheels: Sequence[tuple[Digest, Sources]]
) -> list[dict[str, Content]]:
    """Return path in the image → bytecode for the modules of each wheel, which the store has.

    Compiling and encoding cost more than all the rest of a layer, so the result is recorded by
    wheel and interpreter: a bucket of twenty packages compiles only the package that changed.
    """
    keys = [_key(interpreter, *wheel) for wheel in wheels]
    records = [store.record("bytecode", key) for key in keys]
    missing = [
        number
        for number, (_, sources) in enumerate(wheels)
        if sources and not _is_whole(records[number], store)
    ]
    with contextlib.ExitStack() as opened:
        places = [(store.path(wheels[n][0]), wheels[n][1]) for n in missing]
        trees = [opened.enter_context(_readable(*place)) for place in places]
        codes = compile_files(interpreter, trees)
    for number, compiled in zip(missing, codes, strict=True):
        rows = []
        with store.writer() as writer:
            for path, data in compiled.items():
                packed_data = deflate.compress(data)
                rows.append([path, writer.size, len(packed_data), len(data), zlib.crc32(data)])
                writer.write(packed_data)
            size, blob = writer.size, writer.commit(proved=True)  # by `_is_whole`, each time
            records[number] = {"size": size, "blob": blob, "files": rows}
        store.put_record("bytecode", keys[number], records[number])
    return [
        {
            path: StoredBytecode(
                blob=store.path(Digest.parse(record["blob"])),
                start=start,
                packed=packed,
                size=size,
                crc=crc,
            )
            for path, start, packed, size, crc in record["files"]
        }
        if sources
        else {}
        for record, (_, sources) in zip(records, wheels, strict=True)
    ]


def _key(interpreter: Interpreter, wheel: Digest, sources: Sources) -> str:
    # The list counts too: what is compiled before a module can change its bytes.
    listing = of_bytes(canonical_json([list(source) for source in sources]))
    return of_bytes(canonical_json([LAYOUT, wheel, interpreter.key, listing])).hex


def _is_whole(record: Any, store: Store) -> bool:
    return record is not None and store.read_again(Digest.parse(record["blob"]))


@contextlib.contextmanager
def _readable(wheel: Path, sources: Sources) -> Iterator[tuple[Path, Sources]]:
    """Yield a wheel and its modules, or a folder of them where the image's Python has no zstd."""
    with zipfile.ZipFile(wheel) as archive:
        if all(archive.getinfo(name).compress_type != zstd.METHOD for name, _ in sources):
            yield wheel, sources
            return
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            named = [(str(number), path) for number, (_, path) in enumerate(sources)]
            for (file, _), (member, _) in zip(named, sources, strict=True):
                try:
                    (folder / file).write_bytes(zstd.read_member(archive, member))
                except zipfile.BadZipFile as error:
                    message = f"`{member}` of the wheel `{wheel}`: {error}"
                    raise LockstitchError(message, hint="do not use this wheel") from error
            yield folder, named


# --- the interpreter of a base that may be run


def runnable(base: Base, locked: Sequence[Base]) -> Base | None:
    """Return a base of the same Python that this host can run: itself, or another platform's.

    Bytecode does not depend on the processor, so either gives the same.
    """
    for other in (base, *locked):
        if other.interpreter is None:
            continue
        fits = sys.platform == "linux" and os.uname().machine == _LOADERS[other.platform][0]
        if fits and other.python == base.python:
            return other
    return None


def of_base(base: Base, locked: Sequence[Base], store: Store) -> Interpreter:
    """Return the interpreter of a base, unpacked once for each set of its packages.

    On a host that can run none of the locked bases, a Python of exactly the same version
    serves. Raises LockstitchError when there is none.
    """
    assert base.interpreter is not None  # noqa: S101 -- the caller compiles on this host else
    minor = base.target().minor
    runner = runnable(base, locked)
    root = unpacked(base, store)
    if runner is None:
        argv = _same_version(base)
    else:
        is_same = runner.plain.digest == base.plain.digest
        argv = _own_loader(runner, root if is_same else unpacked(runner, store))
    key = _seeded(base.interpreter, minor)
    return Interpreter(argv=argv, root=str(root), key=key, minor=minor)


def _seeded(key: Digest, minor: str) -> Digest:
    """Return an interpreter's key, another one where the hash seed is set too."""
    return of_bytes(canonical_json([key, *_UNSORTED[minor]])) if minor in _UNSORTED else key


def is_unpacked(base: Base, store: Store) -> bool:
    """Return whether the files of a base were written for its interpreter before."""
    return store.record(TREES, _folder(base)) is not None


def unpacked(base: Base, store: Store, entries: Iterable[Entry] | None = None) -> Path:
    """Return where the files of a base are for its interpreter; writes them where they are not.

    `entries` are its files, where these were read already. Raises LockstitchError as `root_files`.
    """
    root = store.scratch(_folder(base))
    with store.lock(root.name):
        if not store.has_whole_tree(root):
            _unpack(root_files(base, store) if entries is None else entries, root)
            _start(base, root)
            store.remember_tree(root)
    return root


def _folder(base: Base) -> str:
    return f"base-{base.plain.digest.hex[:24]}"


def _unpack(entries: Iterable[Entry], root: Path) -> None:
    """Write the files that an interpreter reads below a folder of the store.

    The links of a base stay inside of it.
    """
    files.remove(root)
    root.mkdir(parents=True)
    for entry in entries:
        if entry.path.startswith(_UNREAD):
            continue  # half of the files of Debian's: zones, licences, certificates
        path = root / entry.path
        if entry.kind is Kind.FOLDER:
            path.mkdir(parents=True, exist_ok=True)
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        if entry.kind is Kind.SYMLINK:
            if not entry.target.startswith("/"):
                path.symlink_to(entry.target)
            continue
        with path.open("wb") as handle:
            for chunk in entry.content.plain() if entry.content else ():
                handle.write(chunk)
        path.chmod(0o755 if entry.mode & 0o111 else 0o644)


def _start(base: Base, root: Path) -> None:
    """Let the compiler start once, so that Python keeps the bytecode of what it imports.

    It starts for each wheel, in a quarter of the time then. What it makes is the same.
    """
    if runnable(base, ()) is None:
        return
    # What keeps it from starting is told where it has something to do.
    with _script() as script, contextlib.suppress(LockstitchError):
        words: list[str | Path] = [*_own_loader(base, root), "-I", "-S", script]
        process.pipe(words, b"[]", env=_ENVIRONMENT)


def _own_loader(base: Base, root: Path) -> tuple[str, ...]:
    _, loader, libraries = _LOADERS[base.platform]
    program = root / base.program.lstrip("/")
    return (str(root / loader), "--library-path", str(root / libraries), str(program))


def _same_version(base: Base) -> tuple[str, ...]:
    words = ["python", "find", base.python]
    search = process.run([process.find_uv(), *words], env=environ.for_uv(), check=False)
    path = search.stdout.strip()
    if search.code != 0 or not path:
        message = f"bytecode for Python {base.python} needs that very version, and this host "
        message += "can neither run a locked base nor has one"
        hint = f"uv python install {base.python}, or set bytecode = false"
        raise LockstitchError(message, hint=hint)
    return (path,)


# --- a CPython of this machine, for a base that is not run


@functools.cache
def find_local(version: str) -> tuple[Interpreter | None, str]:
    """Return a CPython of version X.Y.Z, else of X.Y, else None; and a note for the user."""
    minor = version.rpartition(".")[0]
    local = _local(version) or _local(minor)
    if local is None:
        note = f"no bytecode: this machine has no CPython {minor} to make it (uv python install "
        return None, f"{note}{version})"
    path, own = local
    key = _seeded(of_bytes(canonical_json(["host", own])), minor)
    note = f"bytecode is made by CPython {own} of this machine, the base has {version}: the digest "
    note += f"is the same where that one makes it (uv python install {version} is best)"
    interpreter = Interpreter(argv=(path,), root="", key=key, minor=minor)
    return interpreter, "" if own == version else note


def _local(version: str) -> tuple[str, str] | None:
    """Return the path and the full version of a CPython of this machine."""
    import platform

    own = platform.python_version()
    cpython = platform.python_implementation() == "CPython"
    if cpython and (own == version or own.rpartition(".")[0] == version):
        return sys.executable, own
    uv: str | Path = process.find_uv()
    words = [uv, "python", "find", "--no-python-downloads", f"cpython@{version}"]
    path = process.run(words, env=environ.for_uv(), check=False).stdout.strip()
    if not path:
        return None
    ask = "import platform; print(platform.python_version())"
    answer = process.run([path, "-I", "-S", "-c", ask], check=False).stdout.strip()
    return (path, answer) if f"{answer}.".startswith(f"{version}.") else None
