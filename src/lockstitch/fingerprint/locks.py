"""Fingerprints of locks: what each would install on a target, with the files it allows."""

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath

from lockstitch.digest import Digest
from lockstitch.errors import LockstitchError
from lockstitch.fingerprint.model import Fingerprint, Package, System
from lockstitch.python.locks import poetry, pylock, requirements, uv
from lockstitch.python.locks.requirements import Follow
from lockstitch.python.tables import Table, parse_toml
from lockstitch.python.target import Target

__all__ = ["Wanted", "is_lock", "read"]

_REQUIREMENTS = re.compile(r".*\.(?:txt|in)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which part of a lock, for which machine; None means all groups or extras."""

    target: Target
    groups: Collection[str] | None = None
    extras: Collection[str] | None = None


def is_lock(name: str) -> bool:
    """Return whether a file of this name is read as a lock."""
    name = PurePosixPath(name).name
    known = name in {"uv.lock", "poetry.lock"} or re.fullmatch(r"pylock(?:\.[^.]+)?\.toml", name)
    return bool(known) or bool(_REQUIREMENTS.fullmatch(name))


def read(text: str, source: str, wanted: Wanted, follow: Follow | None = None) -> Fingerprint:
    """Return what a lock means for a target; its kind is told by its name.

    `follow` reads what a requirements file names with `-r`. Raises LockstitchError for what the
    lock does not pin.
    """
    name = PurePosixPath(source).name
    if name == "poetry.lock":
        packages = _poetry(text, source, wanted)
    elif name == "uv.lock":
        packages = _uv(text, source, wanted)
    elif name.endswith(".toml"):
        packages = _pylock(text, source, wanted)
    else:
        pins = requirements.select(text, wanted.target, source, follow)
        packages = [_pinned(pin) for pin in pins]
    platform = System(system="linux", machine=wanted.target.machine)
    found = Fingerprint(kind="lock", platform=platform)
    return found.with_packages(_merged(packages))


def _uv(text: str, source: str, wanted: Wanted) -> list[Package]:
    found = uv.select(text, wanted.target, wanted.groups, wanted.extras, source)
    return [
        Package(
            name=each.name,
            version=each.version,
            artifacts=each.artifacts,
            tags=_tags(each.filename),
            origin=each.origin,
            needs=each.needs,
            direct=each.direct,
            url=each.url,
        )
        for each in found
    ]


def _poetry(text: str, source: str, wanted: Wanted) -> list[Package]:
    document = parse_toml(text, f"`{source}`", hint="poetry lock")
    poetry.sources(text, source)  # complains of whatever is not as Poetry writes it
    raw, groups, extras = document["package"], wanted.groups, wanted.extras
    if groups is None:
        groups = sorted({group for each in raw for group in each["groups"]} - {"main"})
    if extras is None:
        extras = sorted(Table(document, "", []).table("extras"))
    pins = poetry.select(text, wanted.target, groups, extras, source)
    needs = {_normal(each.get("name")): each.get("dependencies") for each in raw}
    names = {pin.name for pin in pins}
    return [
        _pinned(pin, needs=sorted({_normal(need) for need in needs.get(pin.name) or ()} & names))
        for pin in pins
    ]


def _pylock(text: str, source: str, wanted: Wanted) -> list[Package]:
    parsed = pylock.read(text, source)
    groups = parsed.dependency_groups if wanted.groups is None else wanted.groups
    extras = parsed.extras if wanted.extras is None else wanted.extras
    wheels = pylock.select(
        text, wanted.target, source, groups=sorted(groups or ()), extras=sorted(extras or ())
    )
    return [
        Package(
            name=wheel.name,
            version=wheel.version,
            artifacts=(wheel.digest,),
            tags=_tags(wheel.filename),
        )
        for wheel in wheels
    ]


def _pinned(pin: poetry.Pinned, needs: Iterable[str] = ()) -> Package:
    return Package(
        name=pin.name,
        version=pin.version,
        artifacts=tuple(sorted(pin.hashes)),
        tags=_tags(pin.filename),
        origin="archive" if pin.url else "",
        needs=tuple(needs),
    )


def _tags(filename: str) -> tuple[str, ...]:
    """Return the tags of a wheel in full, as its WHEEL file lists them."""
    from packaging.utils import InvalidWheelFilename, parse_wheel_filename

    try:
        return tuple(sorted(str(tag) for tag in parse_wheel_filename(filename)[3]))
    except InvalidWheelFilename:
        return ()


def _merged(packages: Iterable[Package]) -> list[Package]:
    """Return one package a name: groups that exclude each other may lock two versions."""
    found: dict[str, list[Package]] = {}
    for each in packages:
        found.setdefault(each.name, []).append(each)
    return [_one(each) for each in found.values()]


def _one(same: list[Package]) -> Package:
    if len(same) == 1:
        return same[0]
    artifacts: set[Digest] = {digest for each in same for digest in each.artifacts}
    return Package(
        name=same[0].name,
        version=", ".join(sorted({each.version for each in same})),
        artifacts=tuple(sorted(artifacts)),
        origin=same[0].origin,
        needs=tuple(sorted({need for each in same for need in each.needs})),
        direct=any(each.direct for each in same),
    )


def _normal(name: object) -> str:
    if not isinstance(name, str):
        message = f"a package of the lock has the name `{name!r:.80}`"
        raise LockstitchError(message, hint="poetry lock")
    return re.sub(r"[-_.]+", "-", name).lower()
