"""Makes one layer, in a process of its own: entries in, a blob of the store and facts out."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from lockstitch.digest import Digest
from lockstitch.files import FoundFile
from lockstitch.image import bytecode, bytecode_cache, debian, licences
from lockstitch.image.bytecode import Interpreter
from lockstitch.image.contents import app, venv
from lockstitch.image.contents.wheels import InstalledWheel
from lockstitch.image.paths import APP
from lockstitch.image.plan import LayerPlan
from lockstitch.image.project_wheel import OwnWheel
from lockstitch.lock.bases import Base
from lockstitch.lock.bases.debian import DebianBase
from lockstitch.lock.sbom import Facts
from lockstitch.oci.entry import Entry, Generated, Kind
from lockstitch.oci.layer import LayerFacts, arrange, stitch
from lockstitch.python.model import ImageSpec
from lockstitch.store import Store

__all__ = ["Job", "Made", "make"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A planned layer with everything that its entries are made from."""

    plan: LayerPlan
    store: Path
    base: Base
    interpreter: Interpreter | None
    image: ImageSpec
    files: tuple[FoundFile, ...]
    own: OwnWheel | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """A layer that is now in the store."""

    facts: LayerFacts
    notes: tuple[str, ...]
    parts: dict[str, Facts]  # of what it is made from, by its hex digest


@dataclass(frozen=True, slots=True)
class _Said:
    """What is found out while entries are read."""

    notes: list[str] = field(default_factory=list)
    parts: dict[str, Facts] = field(default_factory=dict)


def make(job: Job) -> Made:
    """Write the layer to the store and return its facts."""
    store = Store(job.store)
    said = _Said()
    root = "" if job.plan.kind in {"system", "python", "stdlib"} else APP
    entries = arrange(_entries(job, store, said), root=root)
    with store.writer() as writer:
        facts = stitch(entries, writer.write)
        writer.commit(facts.digest)
    return Made(facts=facts, notes=tuple(said.notes), parts=said.parts)


def _entries(job: Job, store: Store, said: _Said) -> Iterable[Entry]:
    match job.plan.kind:
        case "system":
            found = debian.entries(_debian(job), store, said.parts)
            return (each for each in found if not _of_python(each))
        case "python":
            return (e for e in debian.entries(_debian(job), store) if _of_python(e))
        case "stdlib":
            return _stdlib(job)
        case "venv":
            return venv.entries(job.base.python, job.base.program)
        case "wheels":
            return _wheels(job, store, said)
        case "own":
            return _own(job, store, said)
        case _:
            return app.entries(job.files, job.image)


def _debian(job: Job) -> DebianBase:
    assert isinstance(job.base, DebianBase)  # noqa: S101 -- no other base has such layers
    return job.base


def _minor(job: Job) -> str:
    return job.base.target().minor


def _of_python(entry: Entry) -> bool:
    # Two layers of about the same size: two cores make them at once, and a security fix of
    # OpenSSL moves one of them only.
    return entry.path.startswith(("usr/lib/python3", "usr/bin/python3"))


def _stdlib(job: Job) -> Iterator[Entry]:
    assert job.interpreter is not None  # noqa: S101 -- the plan has this layer only with one
    root = Path(job.interpreter.root)
    library = root / "usr" / "lib" / f"python{_minor(job)}"
    names = [path.relative_to(root).as_posix() for path in library.rglob("*.py")]
    found = bytecode.compile_files(job.interpreter, root, [(name, name) for name in names])
    for path, data in found.items():
        yield Entry(path=path, kind=Kind.FILE, mode=0o644, content=Generated(data))


def _wheels(job: Job, store: Store, said: _Said) -> Iterator[Entry]:
    """Yield the entries of all wheels; of two wheels with one path the later name wins."""
    chosen: dict[str, tuple[Entry, str]] = {}
    for wheel in job.plan.wheels:
        for entry in _installed(job, store, wheel.digest, wheel.filename, said):
            other = chosen.get(entry.path)
            if other and not _same(other[0], entry):
                said.notes.append(
                    f"`{entry.path}` is in {other[1]} and in {wheel.name}: kept the latter"
                )
            chosen[entry.path] = (entry, wheel.name)
    yield from (entry for entry, _ in chosen.values())


def _same(one: Entry, other: Entry) -> bool:
    if one.content is None or other.content is None:
        return one == other
    return (one.size, one.content.crc) == (other.size, other.content.crc)


def _installed(
    job: Job, store: Store, wheel: Digest, filename: str, said: _Said
) -> Iterator[Entry]:
    path = store.path(wheel)
    installed = InstalledWheel(path, filename, _minor(job), trimmed=job.image.trim)
    said.parts[wheel.hex] = Facts(
        licences=licences.of_metadata(installed.metadata()), left_out=installed.left_out()
    )
    sources = installed.sources() if job.interpreter else []
    found = (
        bytecode_cache.of_wheel(job.interpreter, store, wheel, sources) if job.interpreter else {}
    )
    yield from installed.entries(found)


def _own(job: Job, store: Store, said: _Said) -> Iterator[Entry]:
    assert job.own is not None  # noqa: S101 -- the plan has this layer only with one
    for entry in _installed(job, store, job.own.digest, job.own.filename, said):
        # Compressed again by us: this wheel's streams come from the host's zlib.
        data = b"".join(entry.content.plain()) if entry.content else b""
        yield replace(entry, content=Generated(data))
    # By what is in it: this wheel's own digest comes from the host's zlib too.
    said.parts[job.own.contents.hex] = said.parts.pop(job.own.digest.hex)
