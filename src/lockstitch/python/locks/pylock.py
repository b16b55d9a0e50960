"""Reads PEP 751 locks and chooses the wheels for a target."""

from collections.abc import Callable, Collection, Mapping
from itertools import groupby
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from lockstitch import threads
from lockstitch.digest import Digest, of_bytes
from lockstitch.errors import LockstitchError, raise_all
from lockstitch.python.locks.graph import Graph, Package, Source
from lockstitch.python.locks.reading import Reading, file_of
from lockstitch.python.locks.resolution import LockedWheel, seconds
from lockstitch.python.names import normal
from lockstitch.python.tables import Table, parse_toml
from lockstitch.python.target import Target
from lockstitch.values import frozen, replace

if TYPE_CHECKING:
    from packaging import pylock
    from packaging.tags import Tag

_LOCK = "lockstitch lock"
_WAY_OUT = "lockstitch lock builds one, or pin a version that has a wheel"
_KINDS = {
    "PackageSdist": "only a source distribution",
    "PackageVcs": "a repository",
    "PackageDirectory": "a folder of one machine",
    "PackageArchive": "an archive",
}


def read(
    text: str,
    source: str,
    problems: list[LockstitchError] | None = None,
    document: Mapping[str, Any] | None = None,
) -> Graph:
    """Return the graph of a PEP 751 lock; `document` is the text's, where it is parsed already.

    Collects what is wrong in `problems` and leaves it out. Without such a list, raises
    LockstitchError with the path to the bad value.
    """
    reading = Reading(text, source, _LOCK, problems, document)
    if reading.is_strict:
        _parsed(reading.document, source)
    top = reading.top
    packages = [_package(table, line) for table, line in reading.packages("packages")]
    graph = Graph(
        path=source,
        kind="pylock",
        packages=tuple(package for package in packages if package.name),
        form=top.text("lock-version"),
        requires_python=top.text("requires-python"),
        environments=top.texts("environments"),
        group_names=top.texts("dependency-groups"),
        extra_names=top.texts("extras"),
        document=reading.document,
    )
    reading.close()
    return graph


def _package(table: Table, line: int) -> Package:
    files = table.each("wheels")
    files += [table.table("sdist")] if table.has("sdist") else []
    return Package(
        name=normal(table.text("name")),
        version=table.text("version"),
        source=_source(table),
        files=tuple(file_of(file) for file in files),
        marker=table.text("marker"),
        line=line,
    )


def _source(table: Table) -> Source:
    for key, kind in (("vcs", "git"), ("directory", "directory"), ("archive", "url")):
        if table.has(key):
            place = table.table(key)
            editable = kind == "directory" and place.raw("editable") is True
            return Source(
                kind="editable" if editable else kind,
                url=place.text("url") or place.text("path"),
                revision=place.text("commit-id"),
                requested=place.text("requested-revision"),
                subdirectory=place.text("subdirectory"),
            )
    return Source(url=table.text("index"))


def _parsed(document: Mapping[str, Any], source: str) -> "pylock.Pylock":
    from packaging.pylock import Pylock, PylockValidationError

    try:
        return Pylock.from_dict(document)
    except PylockValidationError as error:
        raise LockstitchError(f"`{source}` is not a valid pylock: {error}", hint=_LOCK) from error


# --- what a lock means for a target


@frozen
class Unbuilt:
    """A package that a lock means and has no wheel of: what one is built from."""

    name: str  # normalised (PEP 503)
    version: str
    kind: str  # "sdist", "archive", "wheel", "git", "folder" or "", where the lock has none
    artifact: str  # `sha256:…`, `URL@COMMIT` or a path, with `#SUBDIRECTORY`
    url: str = ""  # of an sdist, an archive or a wheel; a path from the lock where it is a file
    filename: str = ""
    size: int = 0

    def unfinished(self) -> LockedWheel | None:
        """Return the wheel that will be built, of which no more than name and version is known."""
        if not self.kind:
            return None
        nothing = of_bytes(b"")
        return LockedWheel(name=self.name, version=self.version, filename="", digest=nothing)


Built = Callable[[Unbuilt], LockedWheel | None]


def select(
    text: str,
    target: Target,
    source: str,
    *,
    groups: Collection[str] | None = (),
    extras: Collection[str] | None = (),
    built: Built = lambda _: None,
) -> list[LockedWheel]:
    """Return the wheels that a lock means for a target, sorted by name.

    `groups` and `extras` are added to the lock's default groups; None means all. `built` gives
    the wheel of a package of which the lock has none. Raises one
    LockstitchError that lists every package without a wheel that fits, every wheel without a
    sha256 and every package that is a folder, an archive or a repository.
    """
    lock = _parsed(parse_toml(text, f"`{source}`", hint=_LOCK), source)
    tags = list(target.tags())
    packages = sorted(lock.packages, key=lambda package: package.name)
    chosen = _chosen(lock, source, groups, extras)
    groups_of = [list(group) for _, group in groupby(packages, key=lambda package: package.name)]
    by_name = threads.in_turn(
        groups_of, lambda group: _one_name(lock, group, target, tags, chosen, built)
    )
    return sorted(wheel for wheels in by_name for wheel in wheels)


def _chosen(
    lock: "pylock.Pylock",
    source: str,
    groups: Collection[str] | None,
    extras: Collection[str] | None,
) -> dict[str, Any]:
    """Return the groups and extras for `Pylock.select`; raise for one that the lock lacks."""
    wanted, problems = [], []
    for what, names, there in (
        ("group", groups, {*(lock.dependency_groups or ())}),
        ("extra", extras, {*(lock.extras or ())}),
    ):
        wanted.append(there if names is None else {*names})
        for name in sorted(wanted[-1] - there):
            message = f"`{source}` has no {what} `{name}`"
            hint = f"it has: {', '.join(sorted(there)) or 'none'}"
            problems.append(LockstitchError(message, hint=hint))
    raise_all(problems)
    return {
        "dependency_groups": sorted({*wanted[0], *(lock.default_groups or ())}),
        "extras": sorted(wanted[1]),
    }


def _one_name(
    lock: "pylock.Pylock",
    packages: "list[pylock.Package]",
    target: Target,
    tags: "list[Tag]",
    chosen: dict[str, Any],
    built: Built,
) -> list[LockedWheel]:
    from packaging.markers import UndefinedComparison, UndefinedEnvironmentName
    from packaging.pylock import PackageWheel, PylockSelectError

    # A name at a time: packaging stops at the first that has no wheel.
    alone = replace(lock, packages=[_latest_first(package) for package in packages])
    name = packages[0].name
    wheels = []
    try:
        environment: Any = target.markers()
        for package, artifact in alone.select(environment=environment, tags=tags, **chosen):
            if isinstance(artifact, PackageWheel) and artifact.url:
                wheels.append(_wheel(package, artifact))
                continue
            unbuilt = _unbuilt(package, artifact if isinstance(artifact, PackageWheel) else None)
            wheel = built(unbuilt) if unbuilt else None
            if wheel is None and isinstance(artifact, PackageWheel):
                wheel = _wheel(package, artifact)
            if wheel is None:
                raise _no_wheel(package, target, type(artifact).__name__)
            wheels.append(wheel)
    except (UndefinedComparison, UndefinedEnvironmentName) as error:
        message = f"`{name}` has a marker that cannot be decided: {error}"
        raise LockstitchError(message, hint=_LOCK) from error
    except PylockSelectError as error:
        message = f"`{name}` has no wheel for {target.platform}, CPython {target.minor}: {error}"
        raise LockstitchError(message, hint=_instead(packages, tags, built)) from error
    return wheels


def _instead(packages: "list[pylock.Package]", tags: "list[Tag]", built: Built) -> str:
    """Return what may help where a package cannot be had: another version may have a wheel.

    kaleido 0.2.1.post1 has one for ARM alone.
    """
    from packaging.utils import parse_wheel_filename

    package, *others = packages
    there = {tag for w in package.wheels or () for tag in parse_wheel_filename(w.filename)[3]}
    if others or not there.isdisjoint(tags):
        return _WAY_OUT
    pin = f"{package.name}=={package.version}"
    built(Unbuilt(name=package.name, version=str(package.version), kind="", artifact=pin))
    return f"uv add '{package.name}!={package.version}' && lockstitch lock"


def _unbuilt(
    package: "pylock.Package", wheel: "pylock.PackageWheel | None" = None
) -> Unbuilt | None:
    """Return a wheelless package's source, or its wheel's file; None where nothing pins it."""
    kind, artifact, url, filename, size = "", "", "", "", 0
    places = (("sdist", package.sdist), ("archive", package.archive), ("wheel", wheel))
    for kind_, place in places:
        where = (place.url or place.path or "") if place is not None else ""
        if place is not None and where and "sha256" in place.hashes:
            kind, artifact = kind_, f"sha256:{place.hashes['sha256']}"
            url, size = where, place.size or 0
            filename = unquote(PurePosixPath(urlsplit(url).path).name)
            kind = "wheel" if filename.endswith(".whl") else kind_
            folder = getattr(place, "subdirectory", None)
            artifact += f"#{folder}" if folder else ""
    if package.vcs is not None and package.vcs.type == "git" and package.vcs.url:
        kind, artifact = "git", f"{package.vcs.url}@{package.vcs.commit_id}"
        artifact += f"#{package.vcs.subdirectory}" if package.vcs.subdirectory else ""
    if package.directory is not None:
        kind, artifact = "folder", package.directory.path
        inner = package.directory.subdirectory
        artifact += f"#{inner}" if inner else ""
    if not kind:
        return None
    return Unbuilt(
        name=package.name,
        version=str(package.version or ""),
        kind=kind,
        artifact=artifact,
        url=url,
        filename=filename,
        size=size,
    )


def _latest_first(package: "pylock.Package") -> "pylock.Package":
    """Return the package with later builds of a wheel first: of equal tags, the first is taken."""
    from packaging.utils import parse_wheel_filename

    def build(wheel: "pylock.PackageWheel") -> tuple[()] | tuple[int, str]:
        return parse_wheel_filename(wheel.filename)[2]

    wheels = sorted(package.wheels or (), key=build, reverse=True)
    return replace(package, wheels=wheels or None)


def _no_wheel(package: "pylock.Package", target: Target, kind: str) -> LockstitchError:
    version = f" {package.version}" if package.version else ""
    message = f"`{package.name}{version}` has no wheel for {target.platform}, CPython "
    message += f"{target.minor}: the lock has {_KINDS[kind]}"
    return LockstitchError(message, hint=_WAY_OUT)


def _wheel(package: "pylock.Package", artifact: "pylock.PackageWheel") -> LockedWheel:
    url = artifact.url or ""
    filename = artifact.name or unquote(PurePosixPath(urlsplit(url).path).name)
    if not url:
        message = f"`{package.name}` is a file of one machine, `{artifact.path}`"
        raise LockstitchError(message, hint="lock it from an index: lockstitch lock")
    if "sha256" not in artifact.hashes:
        message = f"`{filename}` has no sha256 in the lock"
        hint = "lock it from an index that gives sha256: lockstitch lock"
        raise LockstitchError(message, hint=hint)
    return LockedWheel(
        name=package.name,
        version=str(package.version or ""),
        filename=filename,
        url=url,
        digest=Digest.of_hex(artifact.hashes["sha256"]),
        size=artifact.size,
        uploaded=seconds(artifact.upload_time.isoformat() if artifact.upload_time else ""),
    )
