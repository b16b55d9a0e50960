"""Which layers an image has: a pure function of what is locked and what the files hold."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from lockstitch.digest import Digest, of_bytes
from lockstitch.image.paths import LAYOUT
from lockstitch.oci import canonical
from lockstitch.python.locks.resolution import LockedWheel

__all__ = ["BASE", "LayerPlan", "Parts", "plan"]

BASE = frozenset({"system", "python", "stdlib"})  # the kinds of layers that a base has

_ALONE_FROM = 8 << 20  # bytes of a wheel; 15 % of wheels, 92 % of their bytes
_ALONE_MOST = 40
_BUCKETS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerPlan:
    """One layer before it has bytes: its kind, its title, and the key of its record."""

    kind: str
    title: str
    key: str  # hex; the same key means the same bytes
    wheels: tuple[LockedWheel, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What a plan is made from."""

    python: str  # full version of the base's Python
    base: Digest | None  # of the base's packages; None for an image of a registry
    base_name: str
    interpreter: Digest | None  # of the one that compiles; None without bytecode
    trimmed: bool
    wheels: Sequence[LockedWheel]
    own: Digest | None  # of the first-party wheel's contents
    own_name: str
    app: Digest  # of the app files
    program: str = ""  # the path of the base's Python where it is not Debian's


def plan(parts: Parts) -> tuple[LayerPlan, ...]:
    """Return the layers, lowest first; the order of `parts.wheels` does not matter."""
    installed: dict[str, Any] = {
        "python": ".".join(parts.python.split(".")[:2]),
        "bytecode": str(parts.interpreter or ""),
        "trim": parts.trimmed,
    }
    layers = list(_base(parts)) if parts.base else []
    own_program = {"program": parts.program} if parts.program else {}
    venv = {"python": parts.python, **own_program}
    layers.append(_layer("venv", "virtual environment", venv))
    layers += [_wheels(wheels, installed) for wheels in _groups(parts.wheels)]
    if parts.own:
        own = {"contents": str(parts.own), **installed}
        layers.append(_layer("own", parts.own_name, own))
    layers.append(_layer("app", "app files", {"contents": parts.app}))
    return tuple(layers)


def _base(parts: Parts) -> Iterator[LayerPlan]:
    """Yield the layers that Debian's packages are, and the bytecode that they lack."""
    yield _layer("system", f"{parts.base_name}: system", {"base": parts.base})
    yield _layer("python", f"{parts.base_name}: python {parts.python}", {"base": parts.base})
    if parts.interpreter:
        title = f"bytecode of python {parts.python}"
        yield _layer("stdlib", title, {"bytecode": parts.interpreter})


def _groups(wheels: Sequence[LockedWheel]) -> list[tuple[LockedWheel, ...]]:
    """Return large wheels alone, by name, then the others in buckets by their name's hash.

    A bucket depends on names only, so that a new version or a new small package moves one
    bucket; a wheel alone depends on nothing but itself.
    """
    by_size = sorted(wheels, key=lambda wheel: (-(wheel.size or 0), wheel.name))
    large = {wheel for wheel in by_size[:_ALONE_MOST] if (wheel.size or 0) >= _ALONE_FROM}
    buckets: dict[int, list[LockedWheel]] = {}
    for wheel in sorted(wheels):
        if wheel not in large:
            bucket = sha256(wheel.name.encode()).digest()[0] % _BUCKETS
            buckets.setdefault(bucket, []).append(wheel)
    return [(wheel,) for wheel in sorted(large)] + [tuple(buckets[n]) for n in sorted(buckets)]


def _wheels(wheels: tuple[LockedWheel, ...], installed: Mapping[str, Any]) -> LayerPlan:
    title = ", ".join(f"{wheel.name} {wheel.version}" for wheel in wheels)
    inputs = {"wheels": [str(wheel.digest) for wheel in wheels], **installed}
    planned = _layer("wheels", title, inputs)
    return LayerPlan(kind=planned.kind, title=title, key=planned.key, wheels=wheels)


def _layer(kind: str, title: str, inputs: Mapping[str, Any]) -> LayerPlan:
    document = {"layout": LAYOUT, "kind": kind, **inputs}
    return LayerPlan(kind=kind, title=title, key=of_bytes(canonical.dumps(document)).hex)
