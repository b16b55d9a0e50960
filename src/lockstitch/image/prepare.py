"""From a project and its lock to the plan of one image for one platform."""

from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

from lockstitch import files
from lockstitch.digest import Digest, Hasher, of_bytes
from lockstitch.errors import LockstitchError
from lockstitch.files import FoundFile
from lockstitch.image import interpreter, local_python, secret_guard
from lockstitch.image.bytecode import Interpreter
from lockstitch.image.contents import app
from lockstitch.image.paths import LAYOUT
from lockstitch.image.plan import BASE, LayerPlan, Parts, plan
from lockstitch.image.project_wheel import OwnWheel
from lockstitch.lock.bases import Base
from lockstitch.lock.bases.debian import DebianBase
from lockstitch.lock.bases.registry import RegistryBase
from lockstitch.lock.created import created
from lockstitch.lock.file import Lock
from lockstitch.lock.make import pylock_name
from lockstitch.oci import canonical
from lockstitch.oci.reference import Reference
from lockstitch.python.locks import pylock
from lockstitch.python.locks.resolution import LockedWheel
from lockstitch.python.model import ImageSpec, Project
from lockstitch.store import Store

__all__ = ["Prepared", "base_only", "pinned", "prepare"]

_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """One image for one platform, planned."""

    spec: ImageSpec
    base: Base
    wheels: tuple[LockedWheel, ...]
    files: tuple[FoundFile, ...]
    own: OwnWheel | None
    layers: tuple[LayerPlan, ...]
    created: int
    lock: Digest  # of the image's PEP 751 lock
    host: Interpreter | None = None  # what compiles for a base that is not run here
    notes: tuple[str, ...] = ()


def prepare(
    project: Project,
    lock: Lock,
    spec: ImageSpec,
    platform: str,
    own: OwnWheel | None,
    store: Store,
) -> Prepared:
    """Return the plan of an image; reads the locks and the project's files, fetches nothing."""
    base = lock.base_for(platform)
    text = files.read_text(project.root / pylock_name(spec.name))
    digest = of_bytes(text.encode())
    wheels = _wheels(text, digest, base, pylock_name(spec.name), store)
    found = app.found(project, spec)
    digests = [_hash(each) for each in found]
    secret_guard.refuse(project, spec, found, digests, own, store)
    compiler, notes = _compiler(base, spec)
    parts = Parts(
        **_of_base(base, spec, compiler),
        trimmed=spec.trim,
        wheels=wheels,
        own=own.contents if own else None,
        own_name=f"{project.name} {project.version}".strip(),
        app=_app_digest(found, digests, spec),
    )
    return Prepared(
        spec=spec,
        base=base,
        wheels=tuple(wheels),
        files=tuple(found),
        own=own,
        layers=plan(parts),
        created=created(wheels, base),
        lock=digest,
        host=compiler,
        notes=notes,
    )


def base_only(project: Project, lock: Lock, platform: str) -> Prepared:
    """Return the plan of the base alone, compiled when any image of the project is.

    Raises LockstitchError for a base that a registry has already.
    """
    base = lock.base_for(platform)
    if not isinstance(base, DebianBase):
        message = f"the base `{base.reference}` is an image already"
        raise LockstitchError(message, hint=f"docker pull {pinned(base)}")
    spec = ImageSpec(name="base", bytecode=any(image.bytecode for image in project.images))
    digest = _base_digest(base)
    parts = Parts(
        **_of_base(base, spec, None),
        trimmed=False,
        wheels=(),
        own=None,
        own_name="",
        app=of_bytes(b""),
    )
    return Prepared(
        spec=spec,
        base=base,
        wheels=(),
        files=(),
        own=None,
        layers=tuple(each for each in plan(parts) if each.kind in BASE),
        created=created([], base),
        lock=digest,
    )


def pinned(base: RegistryBase) -> str:
    """Return the reference of a base by digest; of all its platforms where it has several."""
    return str(Reference.parse(base.reference).at(base.index or base.manifest))


def _compiler(base: Base, spec: ImageSpec) -> tuple[Interpreter | None, tuple[str, ...]]:
    """Return what compiles here for a base of a registry, and what is to be said about it."""
    if isinstance(base, DebianBase) or not spec.bytecode:
        return None, ()
    found, note = local_python.find(base.python)
    return found, (note,) if note else ()


def _of_base(base: Base, spec: ImageSpec, compiler: Interpreter | None) -> dict[str, Any]:
    """Return the parts of a plan that depend on the base."""
    found: dict[str, Any] = {"python": base.python}
    if isinstance(base, DebianBase):
        key = interpreter.key(base) if spec.bytecode else None
        name = f"debian {base.release}"
        return found | {"base": _base_digest(base), "base_name": name, "interpreter": key}
    key = compiler.key if compiler else None
    return found | {
        "base": None,
        "base_name": base.reference,
        "interpreter": key,
        "program": base.program,
    }


def _base_digest(base: DebianBase) -> Digest:
    return of_bytes(canonical.dumps(base.parts))


def _wheels(text: str, digest: Digest, base: Base, source: str, store: Store) -> list[LockedWheel]:
    """Return the wheels for the target; choosing takes a while, so the choice is recorded."""
    target = base.target()
    machine = [
        target.platform,
        target.python,
        target.glibc,
        *([target.musl] if target.musl else []),
    ]
    key = of_bytes(canonical.dumps([LAYOUT, digest, *machine])).hex
    known = store.record("wheels", key)
    if known is not None:
        return [LockedWheel.of_document(each) for each in known]
    wheels = pylock.select(text, target, source)
    store.put_record("wheels", key, [wheel.document() for wheel in wheels])
    return wheels


def _app_digest(found: list[FoundFile], digests: list[Digest], spec: ImageSpec) -> Digest:
    hashed = zip(found, digests, strict=True)
    listing = [[each.name, each.executable, digest] for each, digest in hashed]
    health = _health_digest() if spec.health else ""
    links = [sorted(spec.links.items())] if spec.links else []
    return of_bytes(canonical.dumps([listing, list(spec.outputs), health, *links]))


def _hash(found: FoundFile) -> Digest:
    hasher = Hasher()
    with found.path.open("rb") as handle:
        while chunk := handle.read(_CHUNK):
            hasher.update(chunk)
    return hasher.digest()


@cache
def _health_digest() -> Digest:
    return of_bytes(resources.files("lockstitch.runtime").joinpath("health.py").read_bytes())
