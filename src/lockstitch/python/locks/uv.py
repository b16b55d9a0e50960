"""Reads uv.lock itself, and says which packages it means for a target.

`uv export` needs the project; a lock of another revision or another project is a file alone.
Source: the lock's own form, version 1, which uv keeps readable for older versions.
"""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

from lockstitch.digest import Digest
from lockstitch.errors import LockstitchError
from lockstitch.python.locks.poetry import best_wheel, holds
from lockstitch.python.tables import parse_toml
from lockstitch.python.target import Target

__all__ = ["UvPackage", "select"]

_VERSION = 1
_HINT = "uv lock"
_OWN = ("editable", "virtual", "directory")

Raw = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class UvPackage:
    """One package that a uv.lock means for a target."""

    name: str
    version: str
    filename: str = ""  # of the wheel that fits, "" where only a source does
    artifacts: tuple[Digest, ...] = ()
    origin: str = ""  # `editable`, `folder`, `archive`, `git COMMIT`; "" is an index
    needs: tuple[str, ...] = ()
    direct: bool = False  # whether the project itself asks for it
    url: str = ""  # of the wheel that fits, or of the source


@dataclass(slots=True)
class _Walk:
    """What was reached so far: packages by name and version, and who asks for whom."""

    chosen: dict[tuple[str, str], Raw] = field(default_factory=dict)
    needs: dict[tuple[str, str], set[str]] = field(default_factory=dict)
    direct: set[str] = field(default_factory=set)


def select(
    text: str,
    target: Target,
    groups: Collection[str] | None = None,
    extras: Collection[str] | None = None,
    source: str = "uv.lock",
) -> list[UvPackage]:
    """Return what a uv.lock means for a target, by name and version.

    `groups` and `extras` are those of the project; None means all. Raises LockstitchError when
    the lock is of another version, or has a marker that cannot be decided.
    """
    document = parse_toml(text, f"`{source}`", hint=_HINT)
    if document.get("version") != _VERSION:
        found = document.get("version")
        message = f"`{source}` has version `{found!s:.80}`, lockstitch reads {_VERSION}"
        raise LockstitchError(message, hint=_HINT)
    packages = [each for each in _tables(document.get("package")) if _normal(each.get("name"))]
    walk = _walked(packages, target, groups, extras)
    tags = list(target.tags())
    found = [
        _chosen(raw, walk.needs[key], key[0] in walk.direct, tags)
        for key, raw in walk.chosen.items()
    ]
    return sorted(found, key=lambda each: (each.name, each.version))


def _walked(
    packages: list[Raw],
    target: Target,
    groups: Collection[str] | None,
    extras: Collection[str] | None,
) -> _Walk:
    walk, environment = _Walk(), target.markers()
    by_name: dict[str, list[Raw]] = {}
    for each in packages:
        by_name.setdefault(_normal(each.get("name")), []).append(each)
    roots = _roots(packages)
    active = {word for root in roots for word in _conflicts(root, groups, extras)}
    waiting: list[tuple[Raw, str]] = []
    seen: set[tuple[str, str, str]] = set()
    edges = [(root, edge) for root in roots for edge in _root_edges(root, groups, extras)]
    for root in roots:
        _reach(walk, root)
    while edges:
        owner, edge = edges.pop()
        if not holds(str(edge.get("marker") or ""), environment, active):
            continue
        name = _normal(edge.get("name"))
        walk.needs[_key(owner)].add(name)
        if owner in roots:
            walk.direct.add(name)
        for package in by_name.get(name, ()):
            if edge.get("version", package.get("version")) == package.get("version"):
                _reach(walk, package)
                waiting += [(package, extra) for extra in ("", *_texts(edge.get("extra")))]
        while waiting:
            package, extra = waiting.pop()
            if (*_key(package), extra) not in seen:
                seen.add((*_key(package), extra))
                edges += [(package, each) for each in _edges(package, extra)]
    return walk


def _reach(walk: _Walk, package: Raw) -> None:
    walk.chosen.setdefault(_key(package), package)
    walk.needs.setdefault(_key(package), set())


def _roots(packages: list[Raw]) -> list[Raw]:
    """Return the project of the lock; all members of a workspace that has none at its root."""
    own = [each for each in packages if any(k in _table(each.get("source")) for k in _OWN)]
    return [each for each in own if "." in _table(each.get("source")).values()] or own


def _root_edges(
    root: Raw, groups: Collection[str] | None, extras: Collection[str] | None
) -> Iterator[Raw]:
    yield from _tables(root.get("dependencies"))
    for key, wanted in (("dev-dependencies", groups), ("optional-dependencies", extras)):
        names = None if wanted is None else {_normal(name) for name in wanted}
        for name, edges in _table(root.get(key)).items():
            if names is None or _normal(name) in names:
                yield from _tables(edges)


def _edges(package: Raw, extra: str) -> list[Raw]:
    if not extra:
        return _tables(package.get("dependencies"))
    return _tables(_table(package.get("optional-dependencies")).get(extra))


def _conflicts(
    root: Raw, groups: Collection[str] | None, extras: Collection[str] | None
) -> Iterator[str]:
    """Yield how uv writes active extras and groups in markers of a lock with conflicts."""
    name = _normal(root.get("name"))
    for kind, key, wanted in (
        ("extra", "optional-dependencies", extras),
        ("group", "dev-dependencies", groups),
    ):
        for each in _table(root.get(key)) if wanted is None else wanted:
            yield f"{kind}-{len(name)}-{name}-{_normal(each)}"


def _chosen(raw: Raw, needs: Iterable[str], direct: bool, tags: list[Any]) -> UvPackage:  # noqa: FBT001 -- private
    name, version = _key(raw)
    wheels = {_filename(each): each for each in _tables(raw.get("wheels"))}
    best = best_wheel(wheels, tags, name=name, version=version) if version else None
    artifact = wheels[best] if best else _table(raw.get("sdist"))
    digest = str(artifact.get("hash", ""))
    return UvPackage(
        name=name,
        version=version,
        filename=best or "",
        artifacts=(Digest.parse(digest),) if digest.startswith("sha256:") else (),
        origin=_origin(_table(raw.get("source"))),
        needs=tuple(sorted(needs)),
        direct=direct,
        url=str(artifact.get("url", "")),
    )


def _origin(source: Raw) -> str:
    if "editable" in source or "virtual" in source:
        return "editable"
    if "directory" in source or "path" in source:
        return "folder" if "directory" in source else "archive"
    if "git" in source:
        return f"git {urlsplit(str(source['git'])).fragment}".strip()
    return "archive" if "url" in source else ""


def _filename(wheel: Raw) -> str:
    named = str(wheel.get("filename") or wheel.get("path") or wheel.get("url") or "")
    return unquote(PurePosixPath(urlsplit(named).path).name)


def _key(package: Raw) -> tuple[str, str]:
    return _normal(package.get("name")), str(package.get("version") or "")


def _table(value: object) -> Raw:
    return value if isinstance(value, Mapping) else {}


def _tables(value: object) -> list[Raw]:
    return [each for each in value if isinstance(each, Mapping)] if isinstance(value, list) else []


def _texts(value: object) -> list[str]:
    return [each for each in value if isinstance(each, str)] if isinstance(value, list) else []


def _normal(name: object) -> str:
    return re.sub(r"[-_.]+", "-", name).lower() if isinstance(name, str) else ""
