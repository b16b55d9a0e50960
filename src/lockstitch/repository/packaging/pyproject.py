"""Faults of a pyproject.toml, by the specifications that tools read it with.

PyPA: "pyproject.toml specification" (PEP 517, 518, 621, 639), "Dependency groups" (PEP 735).
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from lockstitch.errors import nearest
from lockstitch.patterns import regex
from lockstitch.python import load
from lockstitch.python.names import normal
from lockstitch.python.tables import table, toml
from lockstitch.values import positional

_KEYS = (
    *("authors", "classifiers", "dependencies", "description", "dynamic", "entry-points"),
    *("gui-scripts", "import-names", "import-namespaces", "keywords", "license"),
    *("license-files", "maintainers", "name", "optional-dependencies", "readme"),
    *("requires-python", "scripts", "urls", "version"),
)
_BUILD = ("backend-path", "build-backend", "requires")
_NAME = regex(r"[A-Z0-9](?:[A-Z0-9._-]*[A-Z0-9])?", re.IGNORECASE)
_POINT = regex(r"\s*[A-Za-z_][\w.]*\s*(?::\s*[A-Za-z_][\w.]*\s*)?(?:\[.*\])?\s*")
_PLACE = regex(r"\(at line (\d+), column \d+\)|\(at end of document\)")


@positional
class Wrong:
    """One defect: a message, its place, and what to write instead."""

    message: str
    path: tuple[str, ...]
    hint: str = ""
    text: str = ""  # that stands there


def broken(text: str) -> tuple[int, str] | None:
    """Return the line and the reason for which a text is no TOML."""
    try:
        toml(text.removeprefix("\ufeff"))
    except RecursionError:
        return 1, "it is nested too deep"
    except ValueError as error:
        message = str(error)
        place = _PLACE.search(message)
        line = int(place[1]) if place and place[1] else max(1, len(text.splitlines()))
        return line, _PLACE.sub("", message).strip()
    return None


def check(document: Mapping[str, Any]) -> Iterator[Wrong]:
    """Yield each defect of a parsed pyproject.toml."""
    if "project" in document:
        if isinstance(document["project"], Mapping):
            yield from _project(document["project"], poetry="poetry" in table(document, "tool"))
        else:
            yield Wrong("`project` is not a table", ("project",))
    if "build-system" in document:
        yield from _build(table(document, "build-system"))
    yield from _groups(table(document, "dependency-groups"))


def settings(document: Mapping[str, Any], path: Path) -> Iterator[Wrong]:
    """Yield each defect of the [tool.lockstitch] of a pyproject.toml at this path."""
    for error in load.wrong(document, path.parent):
        yield Wrong(error.message, tuple(error.message.split("`")[1].split(".")), error.hint)


def _project(project: Mapping[str, Any], *, poetry: bool) -> Iterator[Wrong]:
    listed = project.get("dynamic")
    dynamic = [str(item) for item in listed] if isinstance(listed, list) else []
    for key in project:
        if key not in _KEYS:
            hint = nearest(key, _KEYS, f"known keys: {', '.join(_KEYS)}")
            yield Wrong(f"`project.{key}` is not a key of [project]", ("project", key), hint)
        if key in dynamic and not (poetry and key == "dependencies"):
            message = f"`project.{key}` is written down and listed in `dynamic` too"
            yield Wrong(message, ("project", key), "take it out of one of the two")
    yield from _names(project, dynamic, poetry=poetry)
    yield from _requires(project.get("dependencies"), ("project", "dependencies"))
    extras = project.get("optional-dependencies", {})
    for extra, items in extras.items() if isinstance(extras, Mapping) else ():
        yield from _requires(items, ("project", "optional-dependencies", extra))
    yield from _python(project.get("requires-python"))
    yield from _license(project)
    for key in ("scripts", "gui-scripts"):
        for name, point in table(project, key).items():
            if not (isinstance(point, str) and _POINT.fullmatch(point)):
                message = f"`project.{key}.{name}` is `{point!s:.80}`, not `module:function`"
                yield Wrong(message, ("project", key, name))


def _names(project: Mapping[str, Any], dynamic: list[str], *, poetry: bool) -> Iterator[Wrong]:
    from packaging.version import InvalidVersion, Version

    name, version = project.get("name"), project.get("version")
    if name is None and not poetry:
        yield Wrong("`project.name` is missing", ("project",), 'name = "my-project"')
    elif name is not None and not (isinstance(name, str) and _NAME.fullmatch(name)):
        hint = "letters, digits, and - _ . between them"
        yield Wrong(f"`project.name` is `{name!s:.80}`, not a name", ("project", "name"), hint)
    if version is None and "version" not in dynamic and not poetry:
        hint = 'version = "0.1.0", or dynamic = ["version"]'
        yield Wrong("`project.version` is missing and not dynamic", ("project",), hint)
    if version is not None:
        try:
            Version(version if isinstance(version, str) else "")
        except InvalidVersion:
            message = f"`project.version` is `{version!s:.80}`, not a version"
            yield Wrong(message, ("project", "version"), "as in 1.2.0 or 1.2.0.dev1 (PEP 440)")


def _requires(listed: object, path: tuple[str, ...]) -> Iterator[Wrong]:
    from packaging.requirements import InvalidRequirement, Requirement

    where = ".".join(path)
    if listed is None:
        return
    if not isinstance(listed, list):
        yield Wrong(f"`{where}` is not a list of texts", path, '["numpy>=2", …]')
        return
    for item in listed:
        if isinstance(item, Mapping) and path[0] == "dependency-groups":
            continue
        try:
            Requirement(item if isinstance(item, str) else "")
        except InvalidRequirement as error:
            why = str(error).splitlines()[0]
            message = f"`{where}` has `{item!s:.80}`, which is no requirement: {why}"
            yield Wrong(message, path, "as in numpy>=2.1 (PEP 508)", str(item))


def _python(asked: object) -> Iterator[Wrong]:
    from packaging.specifiers import InvalidSpecifier, SpecifierSet

    try:
        if asked is not None:
            SpecifierSet(asked if isinstance(asked, str) else "^")
    except InvalidSpecifier:
        message = f"`project.requires-python` is `{asked!s:.80}`, not a version range"
        yield Wrong(message, ("project", "requires-python"), '">=3.11"')


def _license(project: Mapping[str, Any]) -> Iterator[Wrong]:
    expression = project.get("license")
    if not isinstance(expression, str):
        return
    from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression

    classifiers = project.get("classifiers")
    listed = classifiers if isinstance(classifiers, list) else []
    both = next((item for item in listed if str(item).startswith("License ::")), None)
    if both:
        message = f"`project.license` is `{expression:.80}` and a classifier says `{both}`"
        hint = "take the classifier out: build backends refuse both (PEP 639)"
        yield Wrong(message, ("project", "classifiers"), hint, str(both))
    try:
        canonicalize_license_expression(expression)
    except InvalidLicenseExpression:
        message = f"`project.license` is `{expression:.80}`, no SPDX expression"
        yield Wrong(message, ("project", "license"), 'as in "MIT" or "Apache-2.0" (PEP 639)')


def _build(build: Mapping[str, Any]) -> Iterator[Wrong]:
    for key in build:
        if key not in _BUILD:
            hint = nearest(key, _BUILD, f"known keys: {', '.join(_BUILD)}")
            message = f"`build-system.{key}` is not a key of [build-system]"
            yield Wrong(message, ("build-system", key), hint)
    if "requires" not in build:
        hint = 'requires = ["hatchling"]'
        yield Wrong("`build-system.requires` is missing", ("build-system",), hint)
    yield from _requires(build.get("requires"), ("build-system", "requires"))


def _groups(groups: Mapping[str, Any]) -> Iterator[Wrong]:
    names = {normal(name) for name in groups}
    for name, listed in groups.items():
        path = ("dependency-groups", name)
        yield from _requires(listed, path)
        for item in listed if isinstance(listed, list) else ():
            other = item.get("include-group") if isinstance(item, Mapping) else ""
            if isinstance(other, str) and (not other or normal(other) in names):
                continue
            message = f"the group `{name}` includes `{other}`, which is no group"
            hint = nearest(str(other), groups, f"groups: {', '.join(groups)}")
            yield Wrong(message, path, hint, str(other))
