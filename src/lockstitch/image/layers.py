"""Makes layers, each in a process of its own: entries in, a blob of the store and facts out."""

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from lockstitch import environ, memory
from lockstitch.digest import Digest
from lockstitch.errors import LockstitchError
from lockstitch.files import FoundFile
from lockstitch.image import bytecode, contents, libraries, licences, packs, sizes
from lockstitch.image.bases import added_files, root_files
from lockstitch.image.bytecode import Interpreter
from lockstitch.image.contents import InstalledWheel
from lockstitch.image.packs import Pack
from lockstitch.image.paths import APP
from lockstitch.image.plan import LayerPlan
from lockstitch.image.project_wheel import ProjectWheel
from lockstitch.image.wheel import MisrecordedError
from lockstitch.lock.bases import Base
from lockstitch.lock.sbom import PackageFacts
from lockstitch.oci import listing, stargz
from lockstitch.oci.entry import STORED_FROM, Content, Entry, Generated, Kind
from lockstitch.oci.layer import LayerFacts, arrange, stitch
from lockstitch.progress import Reporter
from lockstitch.python.locks.resolution import LockedWheel
from lockstitch.python.model import ImageSpec
from lockstitch.store import Store
from lockstitch.table import counted
from lockstitch.values import field, frozen, replace

if TYPE_CHECKING:
    from concurrent.futures import Future, ProcessPoolExecutor

ROOT_KINDS = frozenset({"system", "python"})  # of the layers that are a base
_BASE_KINDS = ROOT_KINDS | {"added"}  # made of the packages of a base
_SMALL = 4 << 20  # bytes of input below which a process costs more than it saves
_WORKER = 160 << 20  # bytes of memory of a worker and of the compiler of bytecode that it starts


@frozen
class Job:
    """A planned layer with everything that its entries are made from."""

    plan: LayerPlan
    store: Path
    base: Base
    image: ImageSpec
    interpreter: Interpreter | None = None
    compiles: bool = False  # whether an interpreter has yet to be got ready for it
    unpacks: bool = False  # whether the files of its base are written for an interpreter too
    name: str = ""  # of what may be taken over from the layer that this one replaces
    files: tuple[FoundFile, ...] = ()  # below outputs, of all app layers
    project_wheel: ProjectWheel | None = None

    def size_of(self, wheel: LockedWheel) -> int:
        """Return the bytes of a wheel: some indexes say none, and the store has it by now."""
        if wheel.size is None:
            with contextlib.suppress(OSError):
                return Store(self.store).path(wheel.digest).stat().st_size
        return wheel.size or 0


@frozen
class LayerResult:
    """A layer that is now in the store."""

    facts: LayerFacts
    notes: tuple[str, ...]
    packages: dict[str, PackageFacts]  # that it is made from, by hex digest


@frozen
class Damaged:
    """A missing or damaged input of a layer, which is removed from the store."""

    digests: tuple[Digest, ...]


@frozen
class _Findings:
    """Notes, and facts of packages, collected while entries are read."""

    notes: list[str] = field(default_factory=list)
    packages: dict[str, PackageFacts] = field(default_factory=dict)
    root: list[Entry]  # the files of a base, once they were read
    opened: contextlib.ExitStack  # the wheels, closed when the layer is made
    hashed: Collection[str]  # wheels whose RECORD has other hashes than their files
    watched: list[libraries.Watch] = field(default_factory=list)  # ELF files of the wheels


def make(job: Job, root: list[Entry] | None = None) -> LayerResult | Damaged:
    """Write the layer to the store and return its facts, or what has to be fetched again.

    Each package that it is made from is hashed first: a wheel in the store is years old at
    times. `root` keeps the files of a base for the next job of the same base. Raises
    LockstitchError for a package that is malformed although its digest is right, and for a file
    that changed since it was hashed.
    """
    store = Store(job.store)
    if job.plan.kind not in _BASE_KINDS and (damaged := _damaged(job, store)):
        return Damaged(digests=damaged)  # whoever unpacks a base's packages hashes them
    try:
        return _made(job, store, [] if root is None else root)
    except (LockstitchError, OSError):
        # Nobody is blamed for a package that another process has damaged or taken away.
        damaged = _damaged(job, store)
        if not damaged:
            raise
        return Damaged(digests=damaged)


def _damaged(job: Job, store: Store) -> tuple[Digest, ...]:
    return tuple(digest for digest in _packages(job) if not store.read_again(digest))


def _made(job: Job, store: Store, root: list[Entry]) -> LayerResult:
    hashed: set[str] = set()
    while True:  # once more for each wheel whose RECORD is wrong, which few are
        try:
            with contextlib.ExitStack() as opened:
                return _written(job, store, _Findings(root=root, opened=opened, hashed=hashed))
        except MisrecordedError as error:
            hashed.add(error.filename)


def _written(job: Job, store: Store, findings: _Findings) -> LayerResult:
    if job.plan.kind in {"files", "app"}:
        with packs.opened(store, job.name) as pack:
            facts = _stitched(job, _app(job, pack), store)
            pack.keep()
    else:
        facts = _stitched(job, _entries(job, store, findings), store)
    for watch in findings.watched:
        watch.keep()
    return LayerResult(facts=facts, notes=tuple(findings.notes), packages=findings.packages)


def _stitched(job: Job, entries: Iterable[Entry], store: Store) -> LayerFacts:
    root = "" if job.plan.kind in {"system", "python", "stdlib", "added"} else APP
    arranged = arrange(entries, root=root)
    first = _FIRST.get(job.plan.kind, _none)
    write = partial(stargz.stitch, first=first, split=job.plan.split)
    with store.writer() as writer:
        facts = (write if job.plan.lazy else stitch)(arranged, writer.write, writer.hasher)
        writer.commit(facts.digest)
    if job.plan.kind not in {"files", "app"}:  # which each edit changes, and which are soon read
        held = listing.of_entries(arranged)
        listing.keep(held, facts.digest, store)
        sizes.remember(facts.digest, held, store)
    return facts


# What an engine fetches before a container of a lazy image starts, by kinds of layers: what every
# start reads for certain. A layer of a wheel is of many images, and none of them may decide.
_FIRST = {
    "venv": lambda _: True,
    "own": lambda entry: entry.path.endswith((".py", ".pyc")),
    "files": lambda entry: entry.path.endswith((".py", ".pyc")),
    "app": lambda entry: entry.path.endswith((".py", ".pyc")),
}


def _none(_: Entry) -> bool:
    return False


def _packages(job: Job) -> list[Digest]:
    """Return the digests of the wheels and the Debian packages that a layer is made from."""
    match job.plan.kind:
        case "system" | "python":
            return [download.digest for download in job.base.plain.downloads()]
        case "added":
            return [download.digest for download in job.base.downloads()]
        case "own":
            return [job.project_wheel.digest] if job.project_wheel else []
        case _:
            return [wheel.digest for wheel in job.plan.wheels]


def _entries(job: Job, store: Store, findings: _Findings) -> Iterable[Entry]:
    match job.plan.kind:
        case "system" | "python" as kind:
            if not findings.root:
                facts = findings.packages if kind == "system" else None
                findings.root[:] = [*root_files(job.base.plain, store, facts)]
            if job.unpacks:
                bytecode.unpacked(job.base.plain, store, findings.root)
            part = (e for e in findings.root if _of_python(e, job.base) == (kind == "python"))
            return libraries.noted(part, store, job.plan.key)
        case "added":
            added = added_files(job.base, store, findings.packages)
            return libraries.noted(added, store, job.plan.key)
        case "stdlib":
            return _stdlib(job)
        case "venv":
            return contents.venv(job.base.python, job.base.program, job.base.target().minor_abi)
        case "wheels":
            return _wheels(job, store, findings)
        case _:
            return _project_wheel(job, store, findings)


def _of_python(entry: Entry, base: Base) -> bool:
    # A layer of its own: a security fix of OpenSSL changes the other one only.
    return entry.path.startswith(base.python_paths)


def _stdlib(job: Job) -> Iterator[Entry]:
    assert job.interpreter is not None  # noqa: S101 -- the plan has this layer only with one
    root = Path(job.interpreter.root)
    library = root / job.base.library
    names = [path.relative_to(root).as_posix() for path in library.rglob("*.py")]
    (compiled,) = bytecode.compile_files(job.interpreter, [(root, [(n, n) for n in names])])
    for path, data in compiled.items():
        yield Entry(path=path, kind=Kind.FILE, mode=0o644, content=Generated(data))


def _wheels(job: Job, store: Store, findings: _Findings) -> Iterator[Entry]:
    """Yield the entries of all wheels; of two wheels with one path the later name wins."""
    chosen: dict[str, tuple[Entry, str]] = {}
    installed = [
        _installed(job, store, wheel.digest, wheel.filename, findings, job.plan.lost_by(wheel.name))
        for wheel in job.plan.wheels
    ]
    for wheel, entries in zip(job.plan.wheels, _with_bytecode(job, store, installed), strict=True):
        for entry in entries:
            other = chosen.get(entry.path)
            if other and not _same(other[0], entry):
                findings.notes.append(
                    f"`{entry.path}` is in {other[1]} and in {wheel.name}: kept the latter"
                )
            chosen[entry.path] = (entry, wheel.name)
    yield from (entry for entry, _ in chosen.values())


def _same(one: Entry, other: Entry) -> bool:
    if one.content is None or other.content is None:
        return one == other
    return (one.size, one.content.crc) == (other.size, other.content.crc)


def _installed(
    job: Job, store: Store, wheel: Digest, filename: str, findings: _Findings, lost: Collection[str]
) -> tuple[Digest, InstalledWheel]:
    minor = job.base.target().minor_abi
    installed = InstalledWheel(
        store.path(wheel),
        filename,
        minor,
        trimmed=job.image.trim,
        lost=lost,
        hashed=filename in findings.hashed,
    )
    findings.opened.callback(installed.close)
    if wrong := installed.misrecorded:
        findings.notes.append(
            f"`{filename}` has other hashes in its RECORD for {counted(len(wrong), 'file')}, as "
            f"`{wrong[0]}`: the image has the files of the locked wheel, and their own hashes"
        )
    findings.packages[wheel.hex] = PackageFacts(
        licences=licences.of_metadata(installed.metadata()), left_out=installed.left_out()
    )
    findings.watched.append(libraries.Watch(installed.wheel, wheel, store))
    return wheel, installed


def _with_bytecode(
    job: Job, store: Store, wheels: Sequence[tuple[Digest, InstalledWheel]]
) -> Iterator[Iterator[Entry]]:
    """Yield the entries of each wheel, compiled by one start of the interpreter."""
    compiled: list[dict[str, Content]] = [{} for _ in wheels]
    if job.interpreter:
        sources = [(wheel, installed.sources()) for wheel, installed in wheels]
        compiled = bytecode.of_wheels(job.interpreter, store, sources)
    for (_, installed), code in zip(wheels, compiled, strict=True):
        yield installed.entries(code)


def _project_wheel(job: Job, store: Store, findings: _Findings) -> Iterator[Entry]:
    wheel = job.project_wheel
    assert wheel is not None  # noqa: S101 -- the plan has this layer only with one
    lost = [path for _, paths in job.plan.lost for path in paths]
    installed = _installed(job, store, wheel.digest, wheel.filename, findings, lost)
    (entries,) = _with_bytecode(job, store, [installed])
    for entry in entries:
        # Compressed again by us: this wheel's streams come from the host's zlib.
        data = b"".join(entry.content.plain()) if entry.content else b""
        yield replace(entry, content=Generated(data))
    # By what is in it: this wheel's own digest comes from the host's zlib too.
    findings.packages[wheel.contents.hex] = findings.packages.pop(wheel.digest.hex)


def _app(job: Job, pack: Pack) -> Iterator[Entry]:
    digests = {file.name: digest for file, digest in job.plan.files}

    def content(file: FoundFile) -> Content:
        if file.size >= (stargz.CHUNK if job.plan.lazy else STORED_FROM):  # stored, or cut
            return contents.content_of(file)
        packed = pack.content(file.path, file.size, digests[file.name])
        if packed is None:
            raise contents.changed(file)
        return packed

    yield from contents.app_files([file for file, _ in job.plan.files], job.image, content)
    if job.plan.kind == "app":
        yield from contents.app_folders(job.files, job.image)


# --- many at once


class Workers:
    """The processes that make a build's layers, started with the first that is worth one."""

    def __init__(self) -> None:
        """Start none yet."""
        self._lock = threading.Lock()
        self._is_open = True
        self._pool: ProcessPoolExecutor | None = None
        self._store: Store | None = None
        self.begun: dict[tuple[str, ...], Future[list[LayerResult | Damaged]]] = {}  # by keys

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        """End the processes, at once after an error."""
        self._is_open = False
        if kind:
            self.stop()
        elif self._pool:
            self._pool.shutdown()

    def begin(self, jobs: Sequence[Job]) -> None:
        """Start making bases where there are processes for them; `make_all` takes them over."""
        roots = [unit for unit in _units(jobs) if unit[0].plan.kind in ROOT_KINDS]
        with contextlib.suppress(LockstitchError):  # too little memory: `make_all` says so
            if most := _workers(len(jobs)):
                self.begun |= {_keys(unit): self.submit(unit, most) for unit in roots}

    def submit(self, unit: tuple[Job, ...], most: int) -> "Future[list[LayerResult | Damaged]]":
        """Return the results to come of jobs that one process makes; `most` processes start."""
        with self._lock:
            if begun := self.begun.pop(_keys(unit), None):
                return begun
            if not self._is_open:
                message = "the build has ended"
                raise LockstitchError(message)
            self._store = Store(unit[0].store)
            self._pool = self._pool or _pool(most)  # whose tracker lets interrupts through again
            with _interrupts_held():  # while children start, who take the mask over
                return self._pool.submit(_made_together, unit)

    def stop(self) -> None:
        """End the processes, and remove what they leave in the store."""
        with self._lock:
            pool, self._pool = self._pool, None
            self.begun.clear()
        if pool is None or self._store is None:
            return
        import multiprocessing

        # Without this, Ctrl-C would wait for the longest layer.
        pool.shutdown(wait=False, cancel_futures=True)
        children = multiprocessing.active_children()
        for child in children:
            child.terminate()
        for child in children:
            child.join()
            self._store.drop_temporaries(child.pid)


def make_all(
    jobs: Sequence[Job],
    progress: Reporter,
    interpreter: Callable[[Job], Interpreter],
    workers: Workers | None = None,
) -> Iterator[tuple[Job, LayerResult | Damaged]]:
    """Yield each job with its result, the longest first, on as many processes as cores.

    `interpreter` gets one ready for a job that compiles, while what needs none is made. Raises
    LockstitchError when a layer cannot be made, or when its process dies.
    """
    made: dict[Digest, Future[Any]] = {}  # bases, whose packages are read by one process alone

    def ready(unit: tuple[Job, ...]) -> tuple[Job, ...]:
        for job in unit:
            if job.compiles and (base := made.get(job.base.plain.digest)):
                while not base.done() and not bytecode.is_unpacked(job.base, Store(job.store)):
                    concurrent.futures.wait([base], timeout=0.02)
        return tuple(replace(e, interpreter=interpreter(e)) if e.compiles else e for e in unit)

    units = _units(jobs)
    label = f"build {counted(len(jobs), 'layer')}"
    total = sum(_weight(job) + 1 for job in jobs)
    most = _workers(len(units)) if total >= _SMALL else 0
    if workers and workers.begun:
        most = most or 1
    with progress.task(label, total) as task, contextlib.ExitStack() as opened:
        if not most:
            for unit in units:
                root: list[Entry] = []
                for job in ready(unit):
                    yield job, make(job, root)
                    task.advance(_weight(job) + 1)
            return
        import concurrent.futures  # and processes: 15 ms that a build of a small layer does without

        workers = workers or opened.enter_context(Workers())
        futures = {}
        try:
            for unit in map(ready, units):
                futures[future := workers.submit(unit, most)] = unit
                made |= {job.base.plain.digest: future for job in unit if job.unpacks}
            for future in concurrent.futures.as_completed(futures):
                unit = futures[future]
                for job, result in zip(unit, _results(future, unit), strict=True):
                    yield job, result
                    task.advance(_weight(job) + 1)
        except BaseException:
            workers.stop()
            raise


def _keys(unit: tuple[Job, ...]) -> tuple[str, ...]:
    return tuple(job.plan.key for job in unit)


def _units(jobs: Sequence[Job]) -> list[tuple[Job, ...]]:
    """Return the jobs that one process makes, the longest first, after those that compile nothing.

    The two layers of a base are one unit: its packages are read once.
    """
    units: dict[str, list[Job]] = {}
    compiled = {job.base.plain.digest for job in jobs if job.compiles}
    for job in sorted(jobs, key=lambda job: (job.plan.kind != "system", job.plan.key)):
        is_root = job.plan.kind in ROOT_KINDS
        group = units.setdefault(job.base.plain.digest.hex if is_root else job.plan.key, [])
        unpacks = is_root and not group and job.base.plain.digest in compiled
        group.append(replace(job, unpacks=True) if unpacks else job)
    groups = map(tuple, units.values())
    return sorted(groups, key=lambda unit: (unit[0].compiles, -sum(map(_weight, unit))))


def _made_together(unit: tuple[Job, ...]) -> list[LayerResult | Damaged]:
    root: list[Entry] = []
    results = [make(job, root) for job in unit]
    if root:
        root.clear()
        memory.give_back()  # of a hundred megabytes, before the next layer
    return results


def _workers(layers: int) -> int:
    """Return how many processes make layers; raises LockstitchError for too little memory."""
    limit, free = memory.limit(), memory.free()
    if limit < _WORKER:
        message = f"making layers takes {_shown(_WORKER)} of memory, and"
        message += f" the limit here is {_shown(limit)}"
        raise LockstitchError(message, hint=_MORE)
    most = min(environ.integer("LOCKSTITCH_JOBS") or os.cpu_count() or 1, layers)
    # One that is alone and may be killed for its memory is a process too, so that this one tells.
    return min(most, max(1, free // _WORKER)) if most > 1 else int(free < 2 * _WORKER)


def _shown(size: int) -> str:
    return f"{size >> 20} MiB"


_MORE = "give the container more memory, such as docker run --memory 512m"


def _weight(job: Job) -> int:
    """Return about how much work a layer is, so that the longest starts first."""
    if job.plan.kind in {"system", "python", "stdlib", "added"}:
        return 100 << 20  # unpacked, compiled or both, and all of it through our own encoder
    if job.plan.kind == "wheels":
        return sum(map(job.size_of, job.plan.wheels)) * (
            4 if job.compiles or job.interpreter else 1
        )
    return sum(file.size for file, _ in job.plan.files)


def _results(
    future: "Future[list[LayerResult | Damaged]]", unit: tuple[Job, ...]
) -> list[LayerResult | Damaged]:
    import concurrent.futures.process

    try:
        return future.result()
    except concurrent.futures.process.BrokenProcessPool as error:
        message = (
            f"a worker died while it made `{unit[0].plan.title}`: it takes {_shown(_WORKER)} of "
        )
        message += f"memory, and {_shown(memory.free())} of {_shown(memory.limit())} are free here"
        hint = _MORE if memory.free() < 2 * _WORKER else "LOCKSTITCH_JOBS=1 lockstitch build"
        raise LockstitchError(message, hint=hint) from error


def _pool(workers: int) -> "ProcessPoolExecutor":
    import concurrent.futures
    import multiprocessing

    # spawn: the same on every system, and no lock of a thread is copied into a child.
    context = multiprocessing.get_context("spawn")
    return concurrent.futures.ProcessPoolExecutor(
        workers, mp_context=context, initializer=_in_worker
    )


@contextlib.contextmanager
def _interrupts_held() -> Iterator[None]:
    """Hold SIGINT back; one that comes is delivered at the end."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _in_worker() -> None:
    # Ctrl-C goes to the whole group; the parent alone handles it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # The parent ends its children so: what they started and their temporary files go with them.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    import multiprocessing.util

    bytecode.keep_compilers()
    multiprocessing.util.Finalize(None, bytecode.end_compilers, exitpriority=0)

    # A parent that was killed tells no child, and its output would stay open here.
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent.sentinel,), daemon=True).start()


def _end_with(sentinel: int) -> None:
    import multiprocessing.connection

    multiprocessing.connection.wait([sentinel])
    os._exit(1)
