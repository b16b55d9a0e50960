"""lockstitch.lock: what the Python lock leaves open, pinned (DESIGN, "Files it keeps")."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lockstitch import files
from lockstitch.digest import Digest
from lockstitch.errors import LockstitchError, raise_all
from lockstitch.lock import toml
from lockstitch.lock.bases import Base, registry
from lockstitch.lock.bases.debian import DebianBase, DebianPackage
from lockstitch.python.tables import Table, parse_toml

__all__ = ["NAME", "Lock", "LockedFile", "LockedService", "dumps", "read", "write"]

NAME = "lockstitch.lock"
_VERSION = 1
_ANY = re.compile(r".+")
_PATH = re.compile(r"(?!/)(?!(?:.*/)?\.\.(?:/|$))[^\\\0]+")  # stays in the project
_STAMP = re.compile(r"\d{8}T\d{6}Z")
_PATCH = re.compile(r"3\.\d{1,2}\.\d{1,3}")
_GLIBC = re.compile(r"2\.\d{1,3}")
_COMMENT = "Written by `lockstitch lock`; do not edit. `lockstitch lock --check` compares it."


@dataclass(frozen=True, slots=True, kw_only=True)
class LockedFile:
    """Another lock beside this one, by its bytes."""

    path: str
    digest: Digest


@dataclass(frozen=True, slots=True, kw_only=True)
class LockedService:
    """A service of the stack: its version, its list of packages, its image where one was made."""

    name: str
    version: str
    requirements: Digest
    images: Mapping[str, Digest] = field(default_factory=dict)  # config digests by platform


@dataclass(frozen=True, slots=True, kw_only=True)
class Lock:
    """Everything pinned that is not a Python package of the project."""

    inputs: Digest
    tools: tuple[str, ...]  # names and versions of the programs that made it, as in `uv 0.13.9`
    python: str  # major.minor
    base: str
    files: tuple[LockedFile, ...]
    build: tuple[str, ...]  # build requirements of the project, each with its hashes
    bases: tuple[Base, ...]
    services: tuple[LockedService, ...] = ()  # of a project with a [tool.lockstitch.stack]
    rendered: tuple[LockedFile, ...] = ()  # what `lockstitch render` wrote

    def base_for(self, platform: str) -> Base:
        """Return the base of a platform, or raise LockstitchError."""
        for base in self.bases:
            if base.platform == platform:
                return base
        message = f"`{NAME}` has no base for {platform}"
        raise LockstitchError(message, hint="lockstitch lock")


def dumps(lock: Lock) -> str:
    """Return the lock in its one spelling."""
    document: dict[str, object] = {
        "version": _VERSION,
        "inputs": str(lock.inputs),
        "tools": sorted(lock.tools),
        "python": lock.python,
        "base": lock.base,
        "file": _files(lock.files),
        **({"service": [_service(each) for each in lock.services]} if lock.services else {}),
        **({"rendered": _files(lock.rendered)} if lock.rendered else {}),
        "build": {"requirements": sorted(lock.build)},
        **_bases(lock.bases),
    }
    return toml.dumps(document, comment=_COMMENT)


def _bases(bases: Sequence[Base]) -> dict[str, object]:
    found: dict[str, list[object]] = {}
    for base in sorted(bases, key=lambda base: base.platform):
        key = "debian" if isinstance(base, DebianBase) else "registry"
        found.setdefault(key, []).append(
            _debian(base) if isinstance(base, DebianBase) else registry.document(base)
        )
    return dict(found)


def _service(service: LockedService) -> dict[str, object]:
    found: dict[str, object] = {
        "name": service.name,
        "version": service.version,
        "requirements": service.requirements.hex,
    }
    images = {platform: service.images[platform].hex for platform in sorted(service.images)}
    return found | ({"image": images} if images else {})


def _files(found: Sequence[LockedFile]) -> list[dict[str, object]]:
    ordered = sorted(found, key=lambda each: each.path)
    return [{"path": each.path, "sha256": each.digest.hex} for each in ordered]


def _debian(base: DebianBase) -> dict[str, object]:
    return {
        "platform": base.platform,
        "release": base.release,
        "snapshot": base.snapshot,
        "python": base.python,
        "glibc": base.glibc,
        "package": [
            {
                "name": each.name,
                "version": each.version,
                "architecture": each.architecture,
                "archive": each.archive,
                "path": each.path,
                "size": each.size,
                "sha256": each.digest.hex,
            }
            for each in base.packages
        ],
    }


def write(lock: Lock, root: Path) -> None:
    """Write the lock in its one spelling."""
    files.write_text(root / NAME, dumps(lock))


def read(root: Path) -> Lock:
    """Return the project's lock, or raise LockstitchError that says what is wrong with it."""
    path = root / NAME
    if not path.exists():
        message = f"no `{NAME}` in `{root}`"
        raise LockstitchError(message, hint="lockstitch lock")
    try:
        return _lock(parse_toml(files.read_text(path), "it", hint="lockstitch lock"))
    except LockstitchError as error:
        found = list(error.everything())
        raise_all(
            [
                LockstitchError(f"`{NAME}` cannot be read: {each.message}", hint="lockstitch lock")
                for each in found
            ]
        )
        raise AssertionError from error  # raise_all raised


def _lock(document: dict[str, Any]) -> Lock:
    problems: list[LockstitchError] = []
    top = Table(document, "", problems)
    version = top.number("version", least=1, most=10**6)
    if version != _VERSION:
        message = f"it has version {version}, this lockstitch reads {_VERSION}"
        raise LockstitchError(message)
    locked, rendered = (
        tuple(
            LockedFile(path=_text(each, "path", _PATH), digest=_digest(each, "sha256", "sha256:"))
            for each in top.each(key)
        )
        for key in ("file", "rendered")
    )
    services = tuple(_locked_service(each) for each in top.each("service"))
    inputs = _digest(top, "inputs")
    python, base = (_text(top, key) for key in ("python", "base"))
    bases: list[Base | None] = [_base(each) for each in top.each("debian")]
    bases += [registry.read(each, base) for each in top.each("registry")]
    tools = top.texts("tools")
    build = top.table("build").texts("requirements")
    raise_all(problems)
    return Lock(
        inputs=inputs,
        tools=tools,
        python=python,
        base=base,
        files=locked,
        services=services,
        rendered=rendered,
        build=build,
        bases=tuple(each for each in bases if each),
    )


def _locked_service(table: Table) -> LockedService:
    images = table.table("image")
    return LockedService(
        name=_text(table, "name"),
        version=_text(table, "version"),
        requirements=_digest(table, "requirements", "sha256:"),
        images={platform: _digest(images, platform, "sha256:") for platform in images},
    )


def _text(table: Table, key: str, form: re.Pattern[str] = _ANY) -> str:
    """Return a text that must be there, or an empty one with a problem added."""
    text = table.text(key)
    if not form.fullmatch(text):
        table.complain(key, f"is `{text}`, which is no {key}" if text else "is missing")
        return ""
    return text


def _digest(table: Table, key: str, prefix: str = "") -> Digest:
    try:
        return Digest.parse(prefix + table.text(key))
    except LockstitchError as error:
        table.complain(key, f"is wrong: {error.message}")
        return Digest("")


def _base(table: Table) -> DebianBase | None:
    before = len(table.problems)
    packages = [_package(each) for each in table.each("package")]
    platform = _text(table, "platform", re.compile(r"linux/(?:amd64|arm64)"))
    release, snapshot = _text(table, "release"), _text(table, "snapshot", _STAMP)
    python, glibc = _text(table, "python", _PATCH), _text(table, "glibc", _GLIBC)
    if len(table.problems) > before:
        return None
    return DebianBase(
        platform=platform,
        release=release,
        snapshot=snapshot,
        python=python,
        glibc=glibc,
        packages=tuple(each for each in packages if each),
    )


def _package(table: Table) -> DebianPackage | None:
    before = len(table.problems)
    keys = ("name", "version", "architecture", "archive", "path")
    texts = {key: _text(table, key) for key in keys}
    if not table.has("size"):
        table.complain("size", "is missing")
    size, digest = (
        table.number("size", 1, least=1, most=1 << 40),
        _digest(table, "sha256", "sha256:"),
    )
    if len(table.problems) > before:
        return None
    try:
        return DebianPackage(**texts, size=size, digest=digest)
    except LockstitchError as error:
        table.problems.append(error)
        return None
