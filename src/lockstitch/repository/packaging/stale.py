"""Whether a lock fits what its project declares, decided without running anything."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

from lockstitch.patterns import regex
from lockstitch.python import declared
from lockstitch.python.locks import Graph, lists
from lockstitch.python.names import normal
from lockstitch.python.tables import table, tables

_VERSION = regex(r"Poetry (\d{1,4})\.(\d{1,4})")
_LEGACY = ("dependencies", "source", "extras", "dev-dependencies")
_PROJECT = ("requires-python", "dependencies", "optional-dependencies")

Document = Mapping[str, Any]


def fits_poetry(pyproject: Document, lock: Document, header: str = "") -> bool | None:
    """Return whether the content-hash of a poetry.lock is its pyproject's; None: it has none.

    The hash is a sha256 of JSON (poetry/packages/locker.py). Poetry 2.0 added the [project]
    table to it and 2.3 the dependency groups; `header`, the lock's first line, names the version.
    """
    digest = table(lock, "metadata").get("content-hash")
    if not isinstance(digest, str):
        return None
    match = _VERSION.search(header)
    version = (int(match[1]), int(match[2])) if match else (0, 0)
    poetry = table(pyproject, "tool", "poetry")
    project = {k: v for k in _PROJECT if (v := table(pyproject, "project").get(k)) is not None}
    contents = [_content(project, table(pyproject, "dependency-groups"), poetry)]
    if version < (2, 3):
        contents.append(_content(project, {}, poetry))
    if version < (2, 0):
        contents.append(_content({}, {}, poetry))
    try:
        texts = [json.dumps(section, sort_keys=True) for section in contents]
    except (TypeError, RecursionError):  # a date, which Poetry cannot write either
        return None
    return digest in {hashlib.sha256(text.encode()).hexdigest() for text in texts}


def _content(project: Document, groups: Document, poetry: Document) -> dict[str, Any]:
    legacy = not project and not groups
    keys = (*_LEGACY, "group")
    own = {k: poetry.get(k) for k in keys if k in poetry or (legacy and k in _LEGACY)}
    if legacy:
        return own
    content: dict[str, Any] = {"project": project} if project else {}
    if groups:
        content["dependency-groups"] = groups
    return {**content, "tool": {"poetry": own}}


def dynamic(pyproject: Document) -> bool:
    """Return whether only a build can tell what a project depends on."""
    project = table(pyproject, "project")
    fields = project.get("dynamic")
    listed = fields if isinstance(fields, list) else []
    if not project:
        return bool(table(pyproject, "build-system"))
    return any(key in listed for key in ("dependencies", "optional-dependencies"))


def uv_differences(pyproject: Document, lock: Graph, where: str = ".") -> Iterator[str]:
    """Yield the requirements, by name alone, that only the project or only uv.lock has."""
    package = next((p for p in tables(lock.document.get("package")) if _place(p) == where), None)
    if package is None or dynamic(pyproject) or not table(pyproject, "project"):
        return
    metadata = table(package, "metadata")
    # Tables of another manager are nothing to uv.
    own = {**pyproject, "tool": {"uv": table(pyproject, "tool", "uv")}}
    by_group: dict[str, set[str]] = {}
    for requirement in declared.requirements(own):
        kind, _, name = requirement.group.partition(" ")
        by_group.setdefault(name if kind == "group" else "", set()).add(requirement.name)
    yield from _compared(by_group.pop("", set()), _locked(metadata.get("requires-dist")), "")
    locked = {normal(k): _locked(v) for k, v in table(metadata, "requires-dev").items()}
    groups = {*by_group, *locked, *(normal(g) for g in table(pyproject, "dependency-groups"))}
    for name in sorted(groups):
        parts = (by_group.get(part, set()) for part in declared.included(pyproject, [name]))
        wanted = set[str]().union(*parts)
        yield from _compared(wanted, locked.get(name, set()), f" of the group `{name}`")


def _compared(wanted: set[str], locked: set[str], group: str) -> Iterator[str]:
    for name in sorted(wanted - locked):
        yield f"`{name}`{group} is declared and not locked"
    for name in sorted(locked - wanted):
        yield f"`{name}`{group} is locked and no longer declared"


def _place(package: Document) -> str:
    source = table(package, "source")
    return str(source.get("editable") or source.get("virtual") or "")


def _locked(value: object) -> set[str]:
    return {normal(str(package.get("name", ""))) for package in tables(value)}


def compiled(source: str, lock: Graph) -> Iterator[str]:
    """Yield each requirement of an `.in` file that a lock does not fit, and why.

    Requirements with markers are left out: another platform may need them.
    """
    from packaging.specifiers import InvalidSpecifier, SpecifierSet

    pins = {package.name: package for package in lock.packages}
    for entry in lists.read(source).entries:
        if not entry.name or entry.marker or entry.local:
            continue
        pin = pins.get(entry.name)
        if pin is None:
            yield f"`{entry.name}` is declared and not locked"
            continue
        try:
            fits = SpecifierSet(entry.specifier).contains(pin.version, prereleases=True)
        except (InvalidSpecifier, ValueError):
            continue
        if pin.version and not fits:
            yield f"`{entry.text}` is declared, {pin.version} is locked"
