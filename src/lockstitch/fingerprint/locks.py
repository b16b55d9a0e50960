"""Fingerprints of locks: what each would install on a target, with the files it allows."""

import functools
from collections.abc import Iterable
from typing import Any

from lockstitch.digest import Digest, canonical_json, of_bytes
from lockstitch.fingerprint.model import Fingerprint, Package, System
from lockstitch.python import locks
from lockstitch.python.locks import Pinned, poetry, pylock, requirements
from lockstitch.python.locks.pylock import Built, Unbuilt
from lockstitch.python.locks.requirements import Follow
from lockstitch.python.target import Target
from lockstitch.store import Store, default_root
from lockstitch.values import fields_of, frozen

_KIND = "lock-fingerprints-1"  # of store records


@frozen
class Wanted:
    """Which part of a lock, for which machine; None means all groups or extras."""

    target: Target
    groups: tuple[str, ...] | None = None
    extras: tuple[str, ...] | None = None


def is_lock(name: str) -> bool:
    """Return whether a file of this name is read as a lock."""
    return bool(locks.kind_of(name))


def read(
    text: str,
    source: str,
    wanted: Wanted,
    follow: Follow | None = None,
    built: Built = Unbuilt.unfinished,
) -> Fingerprint:
    """Return the fingerprint of a lock for a target; the file name tells the lock's format.

    `follow` reads what a requirements file names with `-r`, `built` gives the wheels that
    pylock.toml lacks. Raises LockstitchError for what the lock does not pin.
    """
    target, groups, extras = wanted.target, wanted.groups, wanted.extras
    match locks.kind_of(source):
        case "uv":
            packages = _of_uv(text, source, wanted)
        case "poetry":
            pins = poetry.select(text, target, groups, extras, source)
            graph, there = poetry.read(text, source), {pin.name for pin in pins}
            needs = {p.name: {e.name for e in p.dependencies} & there for p in graph.packages}
            packages = [_pinned(pin, needs[pin.name]) for pin in pins]
        case "pylock":
            wheels = pylock.select(text, target, source, groups=groups, extras=extras, built=built)
            packages = [
                Package(
                    name=wheel.name,
                    version=wheel.version,
                    artifacts=(wheel.digest,) if wheel.filename else (),
                    tags=_tags(wheel.filename),
                )
                for wheel in wheels
            ]
        case _:
            packages = [_pinned(pin) for pin in requirements.select(text, target, source, follow)]
    platform = System(system="linux", machine=target.machine)
    return Fingerprint(kind="lock", platform=platform).with_packages(_merged(packages))


@functools.lru_cache(maxsize=4)  # a lock that is compared is the project's graph too
def _of_uv(text: str, name: str, wanted: Wanted) -> list[Package]:
    """Return the packages of a uv.lock, which is read once for each target."""
    store = Store(default_root())
    about = fields_of(wanted) | {"target": fields_of(wanted.target), "name": name}
    key = of_bytes(canonical_json(about) + text.encode("utf-8", "surrogatepass")).hex
    record = store.record(_KIND, key)
    if record is None:
        packages = _read_uv(text, name, wanted)
        store.remember(_KIND, key, [fields_of(package) for package in packages])
        return packages
    return [_restored(row) for row in record]


def _restored(row: dict[str, Any]) -> Package:
    row = {key: tuple(value) if isinstance(value, list) else value for key, value in row.items()}
    return Package(**{**row, "artifacts": tuple(Digest(digest) for digest in row["artifacts"])})


def _read_uv(text: str, name: str, wanted: Wanted) -> list[Package]:
    graph = locks.read(name, text)
    decide = locks.decided(wanted.target.markers())
    walk = locks.walk(graph, decide, wanted.groups, wanted.extras)
    tags = list(wanted.target.tags())
    packages = []
    for package in walk.packages:
        files = {file.name: file for file in package.files}
        best = package.version and locks.best_wheel(
            files, tags, name=package.name, version=package.version
        )
        source = next((file for file in package.files if not file.is_wheel), None)
        file = files[best] if best else source
        packages.append(
            Package(
                name=package.name,
                version=package.version,
                artifacts=(Digest.of_hex(file.sha256),) if file and file.sha256 else (),
                tags=_tags(best or ""),
                origin=_origin(package.source),
                needs=tuple(sorted(walk.needs[package.name])),
                direct=package.name in walk.direct,
                url=file.url if file else "",
            )
        )
    return packages


def _origin(source: locks.Source) -> str:
    match source.kind:
        case "editable" | "virtual":
            return "editable"
        case "git":
            return f"git {source.revision}".strip()
        case "directory":
            return "folder"
        case "registry":
            return ""
        case _:
            return "archive"


def _pinned(pin: Pinned | Unbuilt, needs: Iterable[str] = ()) -> Package:
    if isinstance(pin, Unbuilt):
        place, _, _ = pin.artifact.partition("#")
        commit = f"git {place.rpartition('@')[2]}"
        return Package(
            name=pin.name,
            version=pin.version,
            artifacts=(Digest.parse(place),) if place.startswith("sha256:") else (),
            tags=_tags(pin.filename),
            origin={"git": commit, "folder": "folder"}.get(pin.kind, "archive"),
            needs=tuple(sorted(needs)),
        )
    return Package(
        name=pin.name,
        version=pin.version,
        artifacts=tuple(sorted(pin.hashes)),
        tags=_tags(pin.filename),
        origin="archive" if pin.url else "",
        needs=tuple(sorted(needs)),
    )


def _tags(filename: str) -> tuple[str, ...]:
    """Return the tags of a wheel in full, as its WHEEL file lists them."""
    from packaging.utils import InvalidWheelFilename, parse_wheel_filename

    try:
        return tuple(sorted(str(tag) for tag in parse_wheel_filename(filename)[3]))
    except InvalidWheelFilename:
        return ()


def _merged(packages: Iterable[Package]) -> list[Package]:
    """Return one package a name: a lock may have two versions for one target."""
    by_name: dict[str, list[Package]] = {}
    for package in packages:
        by_name.setdefault(package.name, []).append(package)
    return [_one(same) for same in by_name.values()]


def _one(same: list[Package]) -> Package:
    if len(same) == 1:
        return same[0]
    artifacts: set[Digest] = {digest for package in same for digest in package.artifacts}
    return Package(
        name=same[0].name,
        version=", ".join(sorted({package.version for package in same})),
        artifacts=tuple(sorted(artifacts)),
        origin=same[0].origin,
        needs=tuple(sorted({need for package in same for need in package.needs})),
        direct=any(package.direct for package in same),
    )
