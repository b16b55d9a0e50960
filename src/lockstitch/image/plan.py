"""Which layers an image has: from a project and its lock to a plan, which fetches nothing."""

import os
from collections.abc import Collection, Mapping, Sequence
from hashlib import sha256
from typing import Any

from lockstitch import files
from lockstitch.digest import Digest, canonical_json, of_bytes
from lockstitch.errors import LockstitchError
from lockstitch.files import FoundFile
from lockstitch.image import bytecode, collisions, contents, secret_guard
from lockstitch.image.bytecode import Interpreter
from lockstitch.image.collisions import Collision
from lockstitch.image.own_files import OwnFiles
from lockstitch.image.paths import LAYOUT
from lockstitch.image.project_wheel import ProjectWheel
from lockstitch.lock import sources
from lockstitch.lock.bases import Base
from lockstitch.lock.file import Lock, created, pylock_name
from lockstitch.oci import stargz
from lockstitch.oci.entry import STORED_FROM, Entry
from lockstitch.python.locks import pylock
from lockstitch.python.locks.resolution import LockedWheel
from lockstitch.python.model import ImageSpec, Project
from lockstitch.python.names import minor, normal
from lockstitch.store import Store
from lockstitch.values import frozen, replace

_ADDED = 1  # the form of layers of packages that a project adds
_ALONE_FROM = 8 << 20  # bytes of a wheel; 15 % of wheels, 92 % of their bytes
_ALONE_MOST = 40
_BUCKETS = 4
_APP_ALONE_MOST = 24  # files of the project in layers of their own; engines take 127 layers
_APP_ONE_MOST = (500, 8 << 20)  # files, and bytes of them, that are one layer
_APP_BUCKETS = 16

HashedFile = tuple[FoundFile, Digest]

Lost = tuple[tuple[str, tuple[str, ...]], ...]  # paths by the names of packages, sorted


@frozen
class LayerPlan:
    """One layer before it has bytes: its kind, its title, and the key of its record."""

    kind: str
    title: str
    key: str  # hex; the same key means the same bytes
    wheels: tuple[LockedWheel, ...] = ()
    lost: Lost = ()  # what its packages have and leave to others
    lazy: bool = False  # whether it has a table of contents (`oci.stargz`)
    split: bool = False  # whether large streams of wheels are made anew, in chunks
    files: tuple[HashedFile, ...] = ()  # of the project

    def lost_by(self, package: str) -> frozenset[str]:
        """Return the paths that a package of the layer leaves to others."""
        return frozenset(path for name, paths in self.lost for path in paths if name == package)


@frozen
class AppFiles:
    """The project's own files in an image, and what else the layer above them has."""

    files: tuple[HashedFile, ...] = ()
    outputs: tuple[str, ...] = ()  # where they may be written to
    others: str = ""  # what decides folders of outputs, links and the health check


@frozen
class PlanInputs:
    """The inputs of a plan: two plans with equal inputs have equal keys."""

    python: str  # full version of the base's Python
    base: Digest  # of all that the base itself consists of
    added: Digest | None = None  # of the base with what the project adds to it
    requested: Sequence[str] = ()  # what that is, by name
    base_name: str
    layer_kinds: Sequence[str] = ("system", "python", "stdlib")  # that are made of the base
    interpreter: Digest | None  # of the Python that compiles; None without bytecode
    trimmed: bool = False
    wheels: Sequence[LockedWheel] = ()
    project: Digest | None = None  # of the contents of the project's own wheel
    project_name: str = ""
    app: AppFiles | None = None  # None for a base alone
    program: str = ""  # the path of the base's Python where it is not Debian's
    minor: str = ""  # as folders are named, where it is not X.Y
    lost: Lost = ()
    lazy: bool = False
    split: bool = False


@frozen
class Prepared:
    """One image for one platform, planned."""

    spec: ImageSpec
    base: Base
    wheels: tuple[LockedWheel, ...] = ()
    files: tuple[FoundFile, ...] = ()
    project_wheel: ProjectWheel | None = None
    layers: tuple[LayerPlan, ...] = ()
    created: int
    lock: Digest  # of the image's PEP 751 lock
    host: Interpreter | None = None  # what compiles for a base that is not run here
    notes: tuple[str, ...] = ()
    inputs: PlanInputs | None = None  # of the layers
    collisions: tuple[Collision, ...] = ()


def plan(inputs: PlanInputs) -> tuple[LayerPlan, ...]:
    """Return the layers, lowest first; the order of `inputs.wheels` does not matter."""
    layers = _layers(inputs)
    if not inputs.lazy:
        return tuple(layers)
    return tuple(_lazy(layer, split=inputs.split and layer.kind == "wheels") for layer in layers)


def _lazy(layer: LayerPlan, *, split: bool) -> LayerPlan:
    form = {"lazy": stargz.FORM, "layer": layer.key, **({"split": True} if split else {})}
    return replace(layer, key=of_bytes(canonical_json(form)).hex, lazy=True, split=split)


def _layers(inputs: PlanInputs) -> list[LayerPlan]:
    installed: dict[str, Any] = {
        "python": inputs.minor or minor(inputs.python),
        "bytecode": str(inputs.interpreter or ""),
        "trim": inputs.trimmed,
    }
    layers = [_base_layer(kind, inputs) for kind in inputs.layer_kinds if _has(kind, inputs)]
    if inputs.app is None:
        return layers
    program = {"program": inputs.program} if inputs.program else {}
    layers.append(_layer("venv", "virtual environment", {"python": inputs.python, **program}))
    for wheels in _groups(inputs.wheels):
        title = ", ".join(f"{wheel.name} {wheel.version}" for wheel in wheels)
        digests = {"wheels": [str(wheel.digest) for wheel in wheels], **installed}
        names = {wheel.name for wheel in wheels}
        layers.append(_layer("wheels", title, digests, wheels, _of(inputs.lost, names)))
    if inputs.project:
        # The kind is part of keys, so that it keeps the name that it had first.
        content = {"contents": str(inputs.project), **installed}
        lost = _of(inputs.lost, {own_name(inputs.project_name)})
        layers.append(_layer("own", inputs.project_name, content, lost=lost))
    return [*layers, *_app_layers(inputs.app)]


def own_name(title: str) -> str:
    """Return the normal name of the project's own package, from its name and version."""
    return normal(title.partition(" ")[0])


def _of(lost: Lost, names: Collection[str]) -> Lost:
    return tuple((name, paths) for name, paths in lost if name in names)


def _has(kind: str, inputs: PlanInputs) -> bool:
    return kind != "stdlib" or inputs.interpreter is not None


def _base_layer(kind: str, inputs: PlanInputs) -> LayerPlan:
    """Return a layer of the base's packages, or of the bytecode that they lack."""
    python = f"python {inputs.python}"
    if kind == "stdlib":
        return _layer(kind, f"bytecode of {python}", {"bytecode": inputs.interpreter})
    if kind == "added":
        title = f"{inputs.base_name}: {', '.join(inputs.requested)}"
        return _layer(kind, title, {"base": inputs.added, "form": _ADDED})
    title = f"{inputs.base_name}: {python if kind == 'python' else kind}"
    return _layer(kind, title, {"base": inputs.base})


def _groups(wheels: Sequence[LockedWheel]) -> list[tuple[LockedWheel, ...]]:
    """Return large wheels and packages of the repository alone, the others in buckets by name.

    A bucket depends on names only, so that a new version or a new small package changes one
    bucket; a wheel alone depends on nothing but itself.
    """
    by_size = sorted(wheels, key=lambda wheel: (-(wheel.size or 0), wheel.name))
    large = {wheel for wheel in by_size[:_ALONE_MOST] if (wheel.size or 0) >= _ALONE_FROM}
    large |= {wheel for wheel in wheels if wheel.first_party}
    buckets: dict[int, list[LockedWheel]] = {}
    for wheel in sorted(wheels):
        if wheel not in large:
            bucket = sha256(wheel.name.encode()).digest()[0] % _BUCKETS
            buckets.setdefault(bucket, []).append(wheel)
    return [(wheel,) for wheel in sorted(large)] + [tuple(buckets[n]) for n in sorted(buckets)]


def _app_layers(app: AppFiles) -> list[LayerPlan]:
    """Return large files alone, many small ones in buckets by name, and what is left above them.

    So that an edit changes one layer, and beside a large file or among many a small one.
    """
    by_size = sorted(app.files, key=lambda part: (-part[0].size, part[0].name))
    large = sorted(f.name for f, _ in by_size[:_APP_ALONE_MOST] if f.size >= STORED_FROM)
    by_name = {file[0].name: file for file in app.files}
    parts = {f"app files: {name}": [by_name.pop(name)] for name in large}
    rest = [*by_name.values()]
    most, bytes_most = _APP_ONE_MOST
    if len(rest) > most or sum(file.size for file, _ in rest) > bytes_most:
        for part in rest:
            number = sha256(os.fsencode(part[0].name)).digest()[0] % _APP_BUCKETS + 1
            title = f"app files, part {number:02} of {_APP_BUCKETS}"
            parts.setdefault(title, []).append(part)
        rest = []
    layers = [_app_layer("files", title, parts[title], app) for title in sorted(parts)]
    return [*layers, _app_layer("app", "app files", rest, app)]


def _app_layer(kind: str, title: str, hashed: Sequence[HashedFile], app: AppFiles) -> LayerPlan:
    listing = [[file.name, file.executable, digest] for file, digest in hashed]
    inputs = {"files": listing, "outputs": list(app.outputs)}
    inputs |= {"others": [app.others]} if kind == "app" else {}
    return replace(_layer(kind, title, inputs), files=tuple(hashed))


def _layer(
    kind: str,
    title: str,
    inputs: Mapping[str, Any],
    wheels: tuple[LockedWheel, ...] = (),
    lost: Lost = (),
) -> LayerPlan:
    less = {"lost": [[name, list(paths)] for name, paths in lost]} if lost else {}
    key = of_bytes(canonical_json({"layout": LAYOUT, "kind": kind, **inputs, **less})).hex
    return LayerPlan(kind=kind, title=title, key=key, wheels=wheels, lost=lost)


def prepare(
    project: Project,
    lock: Lock,
    spec: ImageSpec,
    platform: str,
    project_wheel: ProjectWheel | None,
    store: Store,
    *,
    own: OwnFiles | None = None,
) -> Prepared:
    """Return the plan of an image; reads the locks and the project's files, fetches nothing.

    Raises LockstitchError when a package has no wheel for the platform, when `include` names
    nothing, and for each secret that the image would hold.
    """
    project_wheel = None if spec.package else project_wheel
    base = lock.base_for(platform)
    text = files.read_text(project.root / pylock_name(spec.name))
    digest = of_bytes(text.encode())
    wheels = wheels_of(text, spec, base, project, lock, store)
    own = own or OwnFiles(project, store)
    included = contents.included(project, spec, own)
    digests = [own.facts(file).digest for file in included]
    own.keep()
    secret_guard.refuse(project, spec, included, digests, project_wheel, store)
    host, note = None, ""
    if spec.bytecode and base.interpreter is None:
        host, note = bytecode.find_local(base.python)
    inputs = PlanInputs(
        **_of_base(base),
        interpreter=(base.interpreter or (host.key if host else None)) if spec.bytecode else None,
        trimmed=spec.trim,
        wheels=wheels,
        project=project_wheel.contents if project_wheel else None,
        project_name=f"{project.name} {project.version}".strip(),
        app=AppFiles(
            files=tuple(zip(included, digests, strict=True)),
            outputs=spec.outputs,
            others=_others(included, spec),
        ),
        lazy=spec.lazy,
        split=spec.lazy_split,
    )
    return Prepared(
        spec=spec,
        base=base,
        wheels=tuple(wheels),
        files=tuple(included),
        project_wheel=project_wheel,
        layers=plan(inputs),
        created=created(wheels, base),
        lock=digest,
        host=host,
        notes=(note,) if note else (),
        inputs=inputs,
    )


def settled(prepared: Prepared, clashes: tuple[Collision, ...]) -> Prepared:
    """Return the plan of an image in which each path is of one package, or of equal bytes."""
    if not clashes or prepared.inputs is None:
        return prepared
    lost = tuple(collisions.lost(clashes).items())
    return replace(
        prepared,
        layers=plan(replace(prepared.inputs, lost=lost)),
        notes=prepared.notes + collisions.notes(clashes, prepared.spec),
        collisions=clashes,
    )


def prepare_base(project: Project, lock: Lock, platform: str) -> Prepared:
    """Return the plan of the base alone, compiled when any image of the project is.

    Raises LockstitchError for a base that a registry has already.
    """
    base = lock.base_for(platform)
    if base.image:
        message = f"the base `{base.name}` is an image already"
        raise LockstitchError(message, hint=f"docker pull {base.image}")
    spec = ImageSpec(name="base", bytecode=any(image.bytecode for image in project.images))
    interpreter = base.interpreter if spec.bytecode else None
    return Prepared(
        spec=spec,
        base=base,
        layers=plan(PlanInputs(**_of_base(base), interpreter=interpreter)),
        created=created([], base),
        lock=base.digest,
    )


def _of_base(base: Base) -> dict[str, Any]:
    ordinary = base.program == f"/usr/bin/python{base.target().minor}"
    return {
        "python": base.python,
        "base": base.plain.digest,
        "added": base.digest if base.requested else None,
        "requested": base.requested,
        "base_name": base.name.replace(":", " "),
        "layer_kinds": base.layer_kinds,
        "program": "" if ordinary else base.program,
        "minor": base.target().minor_abi,
    }


def wheels_of(
    text: str, spec: ImageSpec, base: Base, project: Project, lock: Lock, store: Store
) -> list[LockedWheel]:
    """Return an image's wheels for a base; choosing takes a while, so the choice is recorded.

    Raises LockstitchError with each package that has none.
    """
    target = base.target()
    machine = [target.platform, target.python, target.glibc]
    machine += [target.musl] if target.musl else []
    machine += ["free-threaded"] if target.free_threaded else []
    pins = [[wheel.artifact, wheel.platform, wheel.digest] for wheel in lock.built]
    source, digest = pylock_name(spec.name), of_bytes(text.encode())
    key = of_bytes(canonical_json([LAYOUT, digest, *machine, *pins])).hex
    known = store.record("wheels", key)
    if known is not None:
        return [LockedWheel.of_document(row) for row in known]
    built = sources.built_for(lock, target, project.root, store)
    wheels = pylock.select(text, target, source, built=built)
    if not any(wheel.first_party for wheel in wheels):  # whose files may change at any time
        store.put_record("wheels", key, [wheel.document() for wheel in wheels])
    return wheels


def _others(included: Sequence[FoundFile], spec: ImageSpec) -> str:
    entries = contents.app_folders(included, spec)
    listing = [[e.path, e.mode, e.target, _of_content(e)] for e in entries]
    return of_bytes(canonical_json(listing))


def _of_content(entry: Entry) -> str:
    return of_bytes(entry.content.plain()) if entry.content else ""
