"""The tables that say what a project is: [project], groups, the build backend."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from lockstitch.scaffold.init import legacy
from lockstitch.scaffold.init.asked import name_of
from lockstitch.scaffold.init.edit import Added
from lockstitch.scaffold.init.found import Found, table

__all__ = ["build", "declared", "dependencies", "group", "groups", "project", "requires_python"]

_CLASSIC_GROUP = ("tool", "poetry", "group")
_POETRY: Mapping[str, Any] = {"requires-poetry": ">=2.2"}  # which reads [dependency-groups]


def project(found: Found, minor: str, notes: list[str]) -> Iterator[Added]:
    """Yield the [project] table, unless Poetry's own has the metadata."""
    if found.classic:
        notes.append("`[tool.poetry]` has the metadata, which Poetry and lockstitch read: kept")
        return
    dynamic = found.project.get("dynamic")
    texts = dict(found.legacy.texts)
    name = texts.pop("name", "") or _folder_name(found)
    version = texts.pop("version", "") or legacy.version_of(found.folder, found.packages)
    values: dict[str, Any] = {"name": name, "version": version or "0.1.0"}
    values |= {"description": texts["description"]} if "description" in texts else {}
    values["requires-python"] = requires_python(found, minor)
    values["dependencies"] = dependencies(found)
    values |= {"optional-dependencies": found.legacy.extras} if found.legacy.extras else {}
    values |= {"scripts": found.legacy.scripts} if found.legacy.scripts else {}
    left = dynamic if isinstance(dynamic, list) else []
    kept = {key: value for key, value in values.items() if key not in left}
    # Tables of their own come last, as TOML wants it.
    below = {key: kept.pop(key) for key in ("optional-dependencies", "scripts") if key in kept}
    yield Added(path=("project",), values=kept)
    for key, value in below.items():
        if key not in found.project:
            yield Added(path=("project", key), values=value)


def _folder_name(found: Found) -> str:
    name = re.sub(r"[^A-Za-z0-9]+", "-", found.folder.root.resolve().name).strip("-")
    return name or "app"


def requires_python(found: Found, minor: str) -> str:
    """Return what the project asks of Python, as far as it says, else from `minor` upward."""
    said = found.project.get("requires-python") or found.legacy.texts.get("requires-python")
    if isinstance(said, str) and said:
        return said
    lowest = min(minor, found.minor or minor, key=lambda each: int(each.partition(".")[2]))
    # Poetry wants every dependency to run on all of it, and many have an upper bound of their own.
    return f">={lowest},<4.0" if found.manager == "poetry" else f">={lowest}"


def dependencies(found: Found) -> list[str]:
    """Return the project's requirements: its own, else setup.py's and those of its file."""
    there = found.project.get("dependencies")
    if isinstance(there, list):
        return [each for each in there if isinstance(each, str)]
    own = list(found.legacy.dependencies or ())
    names = {name_of(each) for each in own}
    listed = found.listed.lines if found.listed else ()
    me = name_of(str(found.project.get("name") or found.legacy.texts.get("name") or ""))
    more = [each for each in listed if name_of(each) not in names | {me}]
    return list(dict.fromkeys([*own, *more]))


def groups(found: Found) -> dict[str, list[str]]:
    """Return the names of packages by group or extra, in any of the places for them."""
    document = found.document
    places: list[Mapping[str, Any]] = [
        table(document, "project", "optional-dependencies"),
        found.legacy.extras,
        table(document, "dependency-groups"),
        {"dev": table(document, "tool", "uv").get("dev-dependencies", [])},
        {"dev": list(table(document, "tool", "poetry", "dev-dependencies"))},
        table(document, "tool", "poetry", "extras"),
    ]
    classic = table(document, *_CLASSIC_GROUP)
    places.append({name: list(table(classic, name, "dependencies")) for name in classic})
    known: dict[str, list[str]] = {}
    for place in places:
        for name, items in place.items():
            lines = items if isinstance(items, list) else []
            texts = [each for each in lines if isinstance(each, str)]
            known.setdefault(name, []).extend(name_of(each) for each in texts)
    return known


def declared(found: Found) -> set[str]:
    """Return the names of the packages that every image gets."""
    names = {name_of(each) for each in dependencies(found)}
    return names | {name_of(each) for each in table(found.poetry, "dependencies")}


def group(found: Found, name: str, lines: Sequence[str]) -> Added | None:
    """Return the table that puts requirements into a group, where the project keeps its groups."""
    if not lines:
        return None
    classic = table(found.document, *_CLASSIC_GROUP)
    if found.classic or name in classic:
        path = (*_CLASSIC_GROUP, name, "dependencies")
        bare = {name_of(line): line for line in lines}
        return Added(path=path, values={key: _constraint(line) for key, line in bare.items()})
    return Added(path=("dependency-groups",), values={name: list(lines)}, extended=True)


def _constraint(line: str) -> str | dict[str, Any]:
    from packaging.requirements import Requirement

    parsed = Requirement(line)
    value: dict[str, Any] = {"version": str(parsed.specifier) or "*"}
    value |= {"extras": sorted(parsed.extras)} if parsed.extras else {}
    value |= {"markers": str(parsed.marker)} if parsed.marker else {}
    return value if len(value) > 1 else str(value["version"])


def build(found: Found, notes: list[str]) -> Iterator[Added]:
    """Yield what makes an editable install work: a backend, and where the packages are."""
    has_backend = "build-system" in found.document
    if not found.installed:
        if found.manager == "poetry" and not found.packages and not _has_modules(found):
            values = {**({} if found.poetry else _POETRY), "package-mode": False}
            yield Added(path=("tool", "poetry"), values=values)
        return
    if found.legacy.compiled:
        backend = ["setuptools>=77"], "setuptools.build_meta"
        more = ["`setup.py` compiles: setuptools stays the backend and goes on reading it"]
        notes += [] if has_backend else more
    elif found.manager == "poetry":
        backend = ["poetry-core>=2.0,<3"], "poetry.core.masonry.api"
    else:
        backend = ["hatchling>=1.27"], "hatchling.build"
    if not has_backend:
        system = {"requires": backend[0], "build-backend": backend[1]}
        yield Added(path=("build-system",), values=system)
    used = table(found.document, "build-system").get("build-backend", backend[1])
    # A backend that is there finds a package of the project's name by itself.
    named = name_of(str(found.project.get("name", ""))).replace("-", "_")
    if has_backend and named in found.packages:
        return
    paths = list(found.packages.values())
    if used == "hatchling.build" and not table(found.document, "tool", "hatch", "build"):
        path = ("tool", "hatch", "build", "targets", "wheel")
        yield Added(path=path, values={"packages": paths})
    if used == "poetry.core.masonry.api" and not found.classic:
        values = {**_POETRY, "packages": _poetry_packages(paths)}
        yield Added(path=("tool", "poetry"), values=values)


def _has_modules(found: Found) -> bool:
    """Return whether a project that is there may install more than the packages that we find."""
    said = (found.project.get("name"), found.poetry.get("name"))
    names = [name_of(str(name)).replace("-", "_") for name in said if name]
    modules = [*found.folder.modules(), *found.folder.modules("src")]
    return "packages" in found.poetry or any(f"{name}.py" in modules for name in names)


def _poetry_packages(paths: Sequence[str]) -> list[dict[str, str]]:
    found = []
    for path in paths:
        folder, _, name = path.rpartition("/")
        found.append({"include": name} | ({"from": folder} if folder else {}))
    return found
