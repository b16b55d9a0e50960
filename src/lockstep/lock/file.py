"""lockstep.lock: what the Python lock leaves open, pinned (DESIGN, "Files it keeps")."""

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lockstep import files
from lockstep.digest import Digest
from lockstep.errors import LockstepError, raise_all
from lockstep.lock import toml
from lockstep.lock.debian import DebianBase, DebianPackage
from lockstep.project.reading import Table

__all__ = ["NAME", "Lock", "LockedFile", "read", "write"]

NAME = "lockstep.lock"
_VERSION = 1
_COMMENT = "Written by `lockstep lock`; do not edit. `lockstep lock --check` compares it."


@dataclass(frozen=True, slots=True, kw_only=True)
class LockedFile:
    """Another lock beside this one, by its bytes."""

    path: str
    digest: Digest


@dataclass(frozen=True, slots=True, kw_only=True)
class Lock:
    """Everything pinned that is not a Python package of the project."""

    inputs: Digest
    manager: str
    python: str  # major.minor
    base: str
    files: tuple[LockedFile, ...]
    build: tuple[str, ...]  # build requirements of the project, each with its hashes
    bases: tuple[DebianBase, ...]

    def base_for(self, platform: str) -> DebianBase:
        """Return the base of a platform, or raise LockstepError."""
        for base in self.bases:
            if base.platform == platform:
                return base
        message = f"`{NAME}` has no base for {platform}"
        raise LockstepError(message, hint="lockstep lock")


def write(lock: Lock, root: Path) -> None:
    """Write the lock in its one spelling."""
    document: dict[str, object] = {
        "version": _VERSION,
        "inputs": str(lock.inputs),
        "manager": lock.manager,
        "python": lock.python,
        "base": lock.base,
        "file": [
            {"path": each.path, "sha256": each.digest.hex}
            for each in sorted(lock.files, key=lambda each: each.path)
        ],
        "build": {"requirements": sorted(lock.build)},
        "debian": [_debian(base) for base in sorted(lock.bases, key=lambda base: base.platform)],
    }
    files.write_text(root / NAME, toml.dumps(document, comment=_COMMENT))


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


def read(root: Path) -> Lock:
    """Return the project's lock, or raise LockstepError that says what is wrong with it."""
    path = root / NAME
    if not path.exists():
        message = f"no `{NAME}` in `{root}`"
        raise LockstepError(message, hint="lockstep lock")
    try:
        document = tomllib.loads(files.read_text(path))
        return _lock(document)
    except (tomllib.TOMLDecodeError, LockstepError) as error:
        what = error.message if isinstance(error, LockstepError) else str(error)
        message = f"`{NAME}` cannot be read: {what}"
        raise LockstepError(message, hint="lockstep lock") from error


def _lock(document: dict[str, Any]) -> Lock:
    problems: list[LockstepError] = []
    top = Table(document, NAME, problems)
    version = top.number("version", least=1, most=10**6)
    if version != _VERSION:
        message = f"it has version {version}, this lockstep reads {_VERSION}"
        raise LockstepError(message)
    locked = [
        LockedFile(path=each.text("path"), digest=Digest.of_hex(each.text("sha256")))
        for each in _tables(document.get("file"), "file", problems)
    ]
    bases = [_base(each) for each in _tables(document.get("debian"), "debian", problems)]
    found = Lock(
        inputs=Digest.parse(top.text("inputs")),
        manager=top.text("manager"),
        python=top.text("python"),
        base=top.text("base"),
        files=tuple(locked),
        build=top.table("build").texts("requirements"),
        bases=tuple(bases),
    )
    raise_all(problems)
    return found


def _base(table: Table) -> DebianBase:
    packages = _tables(table.raw("package"), f"{table.path}.package", table.problems)
    return DebianBase(
        platform=table.text("platform"),
        release=table.text("release"),
        snapshot=table.text("snapshot"),
        python=table.text("python"),
        glibc=table.text("glibc"),
        packages=tuple(
            DebianPackage(
                name=each.text("name"),
                version=each.text("version"),
                architecture=each.text("architecture"),
                archive=each.text("archive"),
                path=each.text("path"),
                size=each.number("size", least=1, most=1 << 40),
                digest=Digest.of_hex(each.text("sha256")),
            )
            for each in packages
        ),
    )


def _tables(value: object, path: str, problems: list[LockstepError]) -> list[Table]:
    items = value if isinstance(value, list) else []
    return [Table(item, f"{path}[{number}]", problems) for number, item in enumerate(items)]
