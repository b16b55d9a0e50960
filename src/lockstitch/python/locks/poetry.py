"""Reads poetry.lock, and says which wheels it means for a target."""

import re
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from lockstitch.digest import Digest
from lockstitch.errors import LockstitchError, collected, raise_all
from lockstitch.patterns import regex
from lockstitch.python.locks.graph import (
    Dependency,
    File,
    Graph,
    Package,
    Source,
    for_all_extras,
    holds,
)
from lockstitch.python.locks.pylock import Unbuilt
from lockstitch.python.locks.reading import Reading, file_of
from lockstitch.python.locks.resolution import Pinned, best_wheel
from lockstitch.python.names import normal
from lockstitch.python.tables import Table, table, tables, texts
from lockstitch.python.target import Target

if TYPE_CHECKING:
    from packaging.specifiers import SpecifierSet
    from packaging.tags import Tag

_MAIN = "main"
_LOCK = "poetry lock"  # Poetry 2 keeps the versions that are locked
_WAY_OUT = "lockstitch lock builds one, or pin a version that has a wheel"
_VERSION = regex(r"2\.(\d{1,4})")
_PLACES = {"git": "commit", "directory": "folder", "path": "sha256", "url": "sha256"}  # pinned by
_SOURCES = {"": "registry", "legacy": "registry", "file": "path"}  # the others have our names


def read(
    text: str,
    source: str = "poetry.lock",
    problems: list[LockstitchError] | None = None,
    document: Mapping[str, Any] | None = None,
) -> Graph:
    """Return the graph of a poetry.lock; `document` is the text's, where it is parsed already.

    Collects what is wrong in `problems` and leaves it out. Without such a list, raises
    LockstitchError with the path to each bad value, and for a lock older than 2.1.
    """
    reading = Reading(text, source, _LOCK, problems, document)
    metadata = reading.top.table("metadata")
    version = metadata.text("lock-version")
    form = _VERSION.fullmatch(version)
    if reading.is_strict:
        reading.close()
    if form is None or int(form[1]) < 1:
        # 2.0 and before have neither groups nor markers: what they mean is only in Poetry.
        message = f"`{source}` has lock-version `{version}`, lockstitch reads 2.1 and later 2.x"
        hint = "poetry lock, with Poetry 2, which keeps the versions"
        reading.refuse(LockstitchError(message, hint=hint))
    legacy = table(metadata.raw("files"))  # before 1.5
    packages = [
        _package(entry, line, legacy, is_strict=reading.is_strict)
        for entry, line in reading.packages("package")
    ]
    groups = {group for package in packages for group in package.members}
    graph = Graph(
        path=source,
        kind="poetry",
        packages=tuple(package for package in packages if package.name),
        form=version,
        requires_python=metadata.text("python-versions"),
        group_names=tuple(sorted(groups - {_MAIN})),
        extra_names=tuple(sorted(normal(extra) for extra in reading.top.table("extras"))),
        document=reading.document,
    )
    reading.close()
    return graph


def _package(entry: Table, line: int, legacy: Mapping[str, Any], *, is_strict: bool) -> Package:
    groups = entry.texts("groups")
    if is_strict and not groups:
        entry.complain("groups", "is missing or empty")
    if not groups and entry.has("category"):  # before 1.5
        groups = (entry.text("category"),)
    name = _needed(entry, "name")
    files = [_file(file) for file in entry.each("files")]
    if not files:
        files = [_file(Table(file, "", entry.problems)) for file in tables(legacy.get(name))]
    return Package(
        name=normal(name),
        version=_version(entry) if is_strict else entry.text("version"),
        source=_source(entry.table("source")),
        files=tuple(files),
        dependencies=tuple(_edges(entry.table("dependencies"))),
        members={normal(group): marker for group, marker in _markers(entry, groups).items()},
        optional=entry.flag("optional"),
        line=line,
    )


def _file(file: Table) -> File:
    _needed(file, "file")
    _needed(file, "hash")
    return file_of(file)


def _needed(owner: Table, key: str) -> str:
    if not owner.has(key):
        owner.complain(key, "is missing")
    return owner.text(key)


def _version(entry: Table) -> str:
    from packaging.version import Version

    text = _needed(entry, "version")
    try:
        return str(Version(text))
    except ValueError:  # InvalidVersion, and numbers that Python refuses
        entry.complain("version", f"is `{text:.80}`, which is no version")
        return "0"


def _markers(entry: Table, groups: Sequence[str]) -> dict[str, str]:
    if not isinstance(entry.raw("markers"), Mapping):
        return dict.fromkeys(groups, entry.text("markers"))
    markers = entry.table("markers")
    return {group: markers.text(group) for group in groups}


def _edges(needs: Table) -> list[Dependency]:
    """Return an edge for entry of the forms that a package's need has: one a marker."""
    edges = []
    for name in needs:
        value = needs.raw(name)
        for form in value if isinstance(value, list) else [value]:
            edge = table(form)
            marker = edge.get("markers")
            edges.append(
                Dependency(
                    name=normal(name),
                    marker=marker if isinstance(marker, str) else "",
                    extras=tuple(normal(extra) for extra in texts(edge.get("extras"))),
                    optional=bool(edge.get("optional")),
                )
            )
    return edges


def _source(source: Table) -> Source:
    kind, url = source.text("type"), source.text("url")
    if kind == "legacy" and not _is_index(url):
        source.complain("url", "is no address of an index")
    return Source(
        kind=_SOURCES.get(kind, kind),
        url=url,
        revision=source.text("resolved_reference"),
        requested=source.text("reference"),
        subdirectory=source.text("subdirectory"),
    )


def _is_index(url: str) -> bool:
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme in {"http", "https"} and bool(parts.netloc)


# --- what a lock means for a target


def select(
    text: str,
    target: Target,
    groups: Collection[str] | None = (),
    extras: Collection[str] | None = (),
    source: str = "poetry.lock",
) -> list[Pinned | Unbuilt]:
    """Return the packages of a lock for a target: the main group, more groups and extras, by name.

    None means all groups, or all extras. A source archive of an index has no address: Poetry
    locks none. Raises one LockstitchError that lists every package that nothing pins, has no wheel
    that fits and no source, or stands there in two versions.
    """
    graph = read(text, source)
    wanted = {_MAIN, *map(normal, graph.group_names if groups is None else groups)}
    active = {*map(normal, graph.extra_names if extras is None else extras)}
    _check_python(graph, target)
    have = ", ".join(graph.extra_names) or "none"
    raise_all(
        [
            LockstitchError(f"`{graph.path}` has no extra `{e}` (it has: {have})", hint=_LOCK)
            for e in sorted(active - {*graph.extra_names})
        ]
    )
    environment = target.markers()
    problems: list[LockstitchError] = []
    chosen = []
    for number, package in enumerate(graph.packages):
        markers = {m for group, m in package.members.items() if group in wanted}
        try:
            if any(holds(marker, environment, active) for marker in sorted(markers)):
                chosen.append(package)
        except LockstitchError as error:
            message = f"`{graph.path}`: `package[{number}].markers`: {error.message}"
            problems.append(LockstitchError(message, hint=_LOCK))
    problems += _twice(chosen, target)
    tags = list(target.tags())
    pins: list[Pinned | Unbuilt] = []
    for package in chosen:
        with collected(problems):
            pins.append(_pinned(package, target, tags))
    raise_all(problems)
    return sorted(pins, key=lambda pin: pin.name)


def requirements(text: str, source: str = "poetry.lock") -> str:
    """Return all of a lock, every group and extra, as requirements with hashes and markers.

    Folders and repositories have no hash. Raises LockstitchError for each package of an index or
    file that has no sha256.
    """
    graph = read(text, source)
    problems: list[LockstitchError] = []
    lines = []
    for package in sorted(graph.packages, key=lambda p: (p.name, p.version)):
        markers = sorted({for_all_extras(marker) for marker in package.members.values()})
        either = " or ".join(f"({m})" if len(markers) > 1 else m for m in markers)
        condition = "" if "" in markers else f" ; {either}"
        hashes = sorted({file.sha256 for file in package.files if file.sha256})
        pin = f"{package.name}=={package.version}"
        try:
            pin = _placed_line(_placed(package)) if package.source.kind != "registry" else pin
        except LockstitchError as error:
            problems.append(error)
            continue
        if package.source.kind == "registry" and not hashes:
            message = f"{_shown(package)} has no sha256 in `{graph.path}`"
            problems.append(LockstitchError(message, hint=_LOCK))
        hashed = [f"--hash=sha256:{digest}" for digest in hashes]
        lines.append(" \\\n    ".join([pin + condition, *hashed]) + "\n")
    raise_all(problems)
    return "".join(lines)


def _placed_line(source: Unbuilt) -> str:
    """Return a package of no index as a list of requirements names it."""
    place, _, folder = source.artifact.partition("#")
    where = source.url or place
    subdirectory = f"#subdirectory={folder}" if folder else ""
    if source.kind == "git":
        return f"{source.name} @ git+{where}{subdirectory}"
    return f"{source.name} @ {where}{subdirectory}" if "://" in where else f"./{where}"


def _check_python(graph: Graph, target: Target) -> None:
    """Refuse a target that the lock was not made for: Poetry leaves out what only others need."""
    wanted = graph.requires_python or "*"
    try:
        fits = any(_range(part).contains(target.python) for part in re.split(r"\|\|?", wanted))
    except ValueError as error:
        message = f"`{graph.path}` cannot be read: `metadata.python-versions` is `{wanted:.80}`"
        raise LockstitchError(message, hint=_LOCK) from error
    if not fits:
        message = f"`{graph.path}` is for Python {wanted}, the image has {target.python}"
        raise LockstitchError(message, hint=f"allow {target.python} in pyproject.toml: {_LOCK}")


def _range(text: str) -> "SpecifierSet":
    from packaging.specifiers import SpecifierSet

    joined = re.sub(r"([<>=!~^])\s+", r"\1", text)
    clauses = [_clause(clause) for clause in re.split(r"[\s,]+", joined) if clause]
    return SpecifierSet(",".join(clause for clause in clauses if clause))


def _clause(text: str) -> str:
    """Return a clause of Poetry's as PEP 440 has it: `^3.11`, `~3.11`, `3.11.*`, `*`."""
    if text == "*":
        return ""
    short = re.fullmatch(r"([\^~])((\d{1,4})(?:\.(\d{1,4}))?[\d.]*)", text)
    if short:
        sign, lowest, major, minor = short.groups()
        ends = f"{major}.{int(minor) + 1}" if sign == "~" and minor else f"{int(major) + 1}"
        return f">={lowest},<{ends}"
    return text if text[0] in "<>=!~" else f"=={text}"


def _twice(chosen: Sequence[Package], target: Target) -> list[LockstitchError]:
    versions: dict[str, list[str]] = {}
    for package in chosen:
        versions.setdefault(package.name, []).append(package.version)
    return [
        LockstitchError(
            f"`{name}` is locked {len(several)} times for {target.platform}, CPython "
            f"{target.minor}: {', '.join(sorted(several))}",
            hint=f"let the groups of an image agree on one: {_LOCK}",
        )
        for name, several in sorted(versions.items())
        if len(several) > 1
    ]


def _pinned(package: Package, target: Target, tags: "Sequence[Tag]") -> Pinned | Unbuilt:
    if package.source.kind != "registry":
        return _placed(package)
    name, version = package.name, package.version
    files = {file.name: file for file in package.files}
    best = best_wheel(files, tags, name=name, version=version)
    source = next((file.name for file in package.files if not file.is_wheel), None)
    chosen = best or source
    if chosen is None:
        has = "only other wheels" if package.wheels else "none"
        message = f"{_shown(package)} has no wheel for {target.platform}, CPython {target.minor}: "
        message += f"the lock has {has}"
        raise LockstitchError(message, hint=_WAY_OUT)
    digest = files[chosen].sha256
    if not digest:
        message = f"`{chosen}` has no sha256 in the lock"
        raise LockstitchError(message, hint="lock it from an index that gives sha256: poetry lock")
    return Pinned(
        name=name,
        version=version,
        hashes=frozenset({Digest.of_hex(digest)}),
        filename=chosen,
        index=_index(package.source),
    )


def _index(source: Source) -> str:
    """Return `NAME=URL` of the index that a lock names, without a user or a password."""
    if not source.url:
        return ""
    parts = urlsplit(source.url)
    bare = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
    name = re.sub(r"[^A-Za-z0-9]+", "-", source.requested).strip("-") or "index"
    return f"{name}={bare}"


def _placed(package: Package) -> Unbuilt:
    """Return a package that is a file, a folder, a repository or an address of its own."""
    source = package.source
    file = next(iter(package.files), None)
    inside = f"#{source.subdirectory}" if source.subdirectory else ""
    kind, artifact, url = source.kind, "", ""
    if kind == "git" and source.revision:
        artifact = f"{source.url}@{source.revision}{inside}"
    elif kind == "directory" and source.url:
        kind, artifact = "folder", f"{source.url}{inside}"
    elif kind in {"path", "url"} and file and file.sha256:
        kind = "wheel" if file.is_wheel else "archive"
        artifact, url = f"sha256:{file.sha256}{inside}", source.url
    if not artifact:
        lacks = _PLACES.get(package.source.kind, "")
        message = f"{_shown(package)} has no {lacks} in the lock"
        if not lacks:
            message = f"{_shown(package)} comes from a source of the kind `{kind:.40}`"
        raise LockstitchError(message, hint=_LOCK)
    return Unbuilt(
        name=package.name,
        version=package.version,
        kind=kind,
        artifact=artifact,
        url=url,
        filename=file.name if file else "",
    )


def _shown(package: Package) -> str:
    return f"`{package.name} {package.version}`"
