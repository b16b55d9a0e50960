"""Reads PEP 751 locks and chooses the wheels for a target."""

import dataclasses
import datetime
from collections.abc import Sequence
from itertools import groupby
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from lockstitch.digest import Digest
from lockstitch.errors import LockstitchError, raise_all
from lockstitch.python.locks.resolution import LockedWheel
from lockstitch.python.tables import parse_toml
from lockstitch.python.target import Target

if TYPE_CHECKING:
    from packaging.pylock import Package, PackageWheel, Pylock
    from packaging.tags import Tag

__all__ = ["read", "select"]


def read(text: str, source: str) -> "Pylock":
    """Return the parsed lock, or raise LockstitchError with the path to the bad value."""
    from packaging.pylock import Pylock, PylockValidationError

    document = parse_toml(text, f"`{source}`", hint="lockstitch lock")
    try:
        return Pylock.from_dict(document)
    except PylockValidationError as error:
        message = f"`{source}` is not a valid pylock: {error}"
        raise LockstitchError(message, hint="lockstitch lock") from error


def select(
    text: str,
    target: Target,
    source: str,
    *,
    groups: Sequence[str] = (),
    extras: Sequence[str] = (),
) -> list[LockedWheel]:
    """Return the wheels that a lock means for a target, sorted by name.

    `groups` and `extras` are added to the lock's default groups.
    Raises one LockstitchError that lists every package without a wheel that fits, every wheel
    without a sha256 and every package that is a folder, an archive or a repository.
    """
    lock = read(text, source)
    tags = list(target.tags())
    wheels: list[LockedWheel] = []
    problems: list[LockstitchError] = []
    packages = sorted(lock.packages, key=lambda package: package.name)
    chosen = _chosen(lock, source, groups, extras)
    for _, group in groupby(packages, key=lambda package: package.name):
        try:
            wheels += _one_name(lock, list(group), target, tags, chosen)
        except LockstitchError as error:
            problems.append(error)
    raise_all(problems)
    return sorted(wheels)


def _chosen(
    lock: "Pylock", source: str, groups: Sequence[str], extras: Sequence[str]
) -> dict[str, Any]:
    """Return what `Pylock.select` is told of groups and extras; raise for one the lock lacks."""
    problems = []
    for what, wanted, there in (
        ("group", groups, lock.dependency_groups),
        ("extra", extras, lock.extras),
    ):
        for name in sorted({*wanted} - {*(there or ())}):
            message = f"`{source}` has no {what} `{name}`"
            hint = f"it has: {', '.join(sorted(there or ())) or 'none'}"
            problems.append(LockstitchError(message, hint=hint))
    raise_all(problems)
    return {
        "extras": sorted(extras),
        "dependency_groups": sorted({*groups, *(lock.default_groups or ())}),
    }


def _one_name(
    lock: "Pylock",
    packages: "list[Package]",
    target: Target,
    tags: "list[Tag]",
    chosen: dict[str, Any],
) -> list[LockedWheel]:
    from packaging.markers import UndefinedComparison, UndefinedEnvironmentName
    from packaging.pylock import PackageWheel, Pylock, PylockSelectError

    alone = Pylock(
        lock_version=lock.lock_version,
        requires_python=lock.requires_python,
        environments=lock.environments,
        created_by=lock.created_by,
        extras=lock.extras,
        dependency_groups=lock.dependency_groups,
        default_groups=lock.default_groups,
        packages=[_latest_first(package) for package in packages],
    )
    name = packages[0].name
    found = []
    try:
        environment: Any = target.markers()
        for package, artifact in alone.select(environment=environment, tags=tags, **chosen):
            if not isinstance(artifact, PackageWheel):
                raise _no_wheel(package, target, type(artifact).__name__)
            found.append(_wheel(package, artifact))
    except (UndefinedComparison, UndefinedEnvironmentName) as error:
        message = f"`{name}` has a marker that cannot be decided: {error}"
        raise LockstitchError(message, hint="lockstitch lock") from error
    except PylockSelectError as error:
        message = f"`{name}` has no wheel for {target.platform}, CPython {target.minor}: {error}"
        raise LockstitchError(message, hint=_WAY_OUT) from error
    return found


def _latest_first(package: "Package") -> "Package":
    """Return the package with later builds of a wheel first: of equal tags, the first is taken."""
    from packaging.utils import parse_wheel_filename

    def build(wheel: "PackageWheel") -> tuple[()] | tuple[int, str]:
        return parse_wheel_filename(wheel.filename)[2]

    wheels = sorted(package.wheels or (), key=build, reverse=True)
    return dataclasses.replace(package, wheels=wheels or None)


_WAY_OUT = "pin a version that has one, or build its wheel first: uv build --wheel"
_KINDS = {
    "PackageSdist": "only a source distribution",
    "PackageVcs": "a repository",
    "PackageDirectory": "a folder of one machine",
    "PackageArchive": "an archive",
}


def _no_wheel(package: "Package", target: Target, kind: str) -> LockstitchError:
    version = f" {package.version}" if package.version else ""
    message = f"`{package.name}{version}` has no wheel for {target.platform}, CPython "
    message += f"{target.minor}: the lock has {_KINDS[kind]}"
    return LockstitchError(message, hint=_WAY_OUT)


def _wheel(package: "Package", artifact: object) -> LockedWheel:
    from packaging.pylock import PackageWheel

    assert isinstance(artifact, PackageWheel)  # noqa: S101 -- checked by the only caller
    url = artifact.url or ""
    filename = artifact.name or unquote(PurePosixPath(urlsplit(url).path).name)
    if not url:
        message = f"`{package.name}` is a file of one machine, `{artifact.path}`"
        raise LockstitchError(message, hint="lock it from an index: lockstitch lock")
    if "sha256" not in artifact.hashes:
        message = f"`{filename}` has no sha256 in the lock"
        raise LockstitchError(
            message, hint="lock it from an index that gives sha256: lockstitch lock"
        )
    uploaded = artifact.upload_time
    return LockedWheel(
        name=package.name,
        version=str(package.version or ""),
        filename=filename,
        url=url,
        digest=Digest.of_hex(artifact.hashes["sha256"]),
        size=artifact.size,
        uploaded=_seconds(uploaded) if uploaded else 0,
    )


def _seconds(time: datetime.datetime) -> int:
    # PEP 751: upload times are in UTC; one without a zone must not be read in the host's.
    return int((time if time.tzinfo else time.replace(tzinfo=datetime.UTC)).timestamp())
