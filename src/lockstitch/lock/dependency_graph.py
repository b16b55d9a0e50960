"""What needs what among locked packages, as far as uv.lock or poetry.lock says it."""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from lockstitch import files
from lockstitch.lock import poetry, uv
from lockstitch.python.model import ImageSpec, Project
from lockstitch.python.tables import parse_toml
from lockstitch.python.target import Target

__all__ = ["of"]

ROOT = ""


def of(project: Project, spec: ImageSpec, target: Target) -> dict[str, set[str]] | None:
    """Return the names that each package needs on a target, and under "" those of the image.

    Returns None when no lock says it. Names are normalised. A lock is another tool's file: an
    edge that cannot be read is left out, as it only explains what is chosen already.
    """
    if spec.lock or project.lock:
        return None
    for name, read in ((uv.LOCK, _uv), (poetry.LOCK, _poetry)):
        path = project.root / name
        if path.is_file():
            document = parse_toml(files.read_text(path), f"`{name}`", hint="lockstitch lock")
            return read(document, project, spec, target)
    return None


# --- uv.lock


def _uv(
    document: Mapping[str, Any], project: Project, spec: ImageSpec, target: Target
) -> dict[str, set[str]]:
    packages: dict[str, list[Mapping[str, Any]]] = {}
    for package in _tables(document.get("package")):
        packages.setdefault(_normal(package.get("name")), []).append(package)
    found: dict[str, set[str]] = {ROOT: set()}
    # An extra adds edges, so a package is visited once for itself and once for each extra.
    seen: set[tuple[str, str]] = set()
    waiting = [
        (ROOT, edge)
        for package in packages.get(_normal(project.name), [])
        for edge in _edges(package, groups=spec.groups, extras=("", *spec.extras))
    ]
    while waiting:
        owner, edge = waiting.pop()
        name = _normal(edge.get("name"))
        if not name or not _holds(edge.get("marker"), target):
            continue
        found.setdefault(owner, set()).add(name)
        found.setdefault(name, set())
        for extra in ("", *_texts(edge.get("extra"))):
            if (name, extra) not in seen:
                seen.add((name, extra))
                for package in packages.get(name, []):
                    waiting += [(name, each) for each in _edges(package, extras=(extra,))]
    return found


def _edges(
    package: Mapping[str, Any], *, groups: Iterable[str] = (), extras: Iterable[str] = ()
) -> Iterator[Mapping[str, Any]]:
    """Yield a package's own edges for the extra "", and those of the groups and extras named."""
    for extra in extras:
        of_extra = _table(package.get("optional-dependencies")).get(extra)
        yield from _tables(of_extra if extra else package.get("dependencies"))
    of_groups = _table(package.get("dev-dependencies"))
    wanted = {_normal(group) for group in groups}
    for group, edges in of_groups.items():
        if _normal(group) in wanted:
            yield from _tables(edges)


# --- poetry.lock


def _poetry(
    document: Mapping[str, Any], project: Project, spec: ImageSpec, target: Target
) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {ROOT: set(_direct(project, spec))}
    for package in _tables(document.get("package")):
        needs = found.setdefault(_normal(package.get("name")), set())
        for name, value in _table(package.get("dependencies")).items():
            choices = value if isinstance(value, list) else [value]
            if any(_needed(choice, target) for choice in choices):
                needs.add(_normal(name))
    return found


def _needed(choice: object, target: Target) -> bool:
    table = _table(choice)
    return not table.get("optional") and _holds(table.get("markers"), target)


def _direct(project: Project, spec: ImageSpec) -> Iterator[str]:
    """Yield the names that pyproject.toml asks for: `[project]`, groups and Poetry's tables."""
    metadata = _table(project.document.get("project"))
    extras = _table(metadata.get("optional-dependencies"))
    groups = _table(project.document.get("dependency-groups"))
    classic = _table(_table(project.document.get("tool")).get("poetry"))
    yield from _named(metadata.get("dependencies"))
    yield from (_normal(name) for name in _table(classic.get("dependencies")))
    for name, items in extras.items():
        if _normal(name) in {_normal(extra) for extra in spec.extras}:
            yield from _named(items)
    wanted = {_normal(group) for group in spec.groups}
    for name, table in _table(classic.get("group")).items():
        if _normal(name) in wanted:
            yield from (_normal(each) for each in _table(_table(table).get("dependencies")))
    by_name = {_normal(name): items for name, items in groups.items()}
    seen: set[str] = set()
    while wanted - seen:
        group = min(wanted - seen)
        seen.add(group)
        items = by_name.get(group)
        yield from _named(items)
        wanted |= {_normal(each.get("include-group")) for each in _tables(items)}


def _named(items: object) -> Iterator[str]:
    for text in _texts(items):
        if match := re.match(r"[A-Za-z0-9][A-Za-z0-9._-]*", text.strip()):
            yield _normal(match[0])


# --- values of another tool's file


def _table(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _tables(value: object) -> list[Mapping[str, Any]]:
    return [each for each in value if isinstance(each, Mapping)] if isinstance(value, list) else []


def _texts(value: object) -> list[str]:
    return [each for each in value if isinstance(each, str)] if isinstance(value, list) else []


def _normal(name: object) -> str:
    return re.sub(r"[-_.]+", "-", name).lower() if isinstance(name, str) else ""


def _holds(marker: object, target: Target) -> bool:
    """Return whether a marker is true of a target; one that cannot be decided counts as true."""
    from packaging.markers import Marker

    if not isinstance(marker, str) or not marker:
        return True
    try:
        return Marker(marker).evaluate({**target.markers(), "extra": ""})
    except (ValueError, KeyError, RecursionError):
        return True
