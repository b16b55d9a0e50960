"""The files of Pipenv, Poetry and PDM: requirements as PEP 508 has them, and locked versions."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from lockstitch.errors import LockstitchError
from lockstitch.python.names import normal
from lockstitch.python.tables import parse_toml, table, tables
from lockstitch.scaffold.init.conda_names import distribution, kind_of
from lockstitch.scaffold.init.folder import Folder
from lockstitch.scaffold.init.requirements import Source, requirement, usable

LOCKS = ("poetry.lock", "Pipfile.lock", "pdm.lock", "pylock.toml")
_PLACES = ("git", "hg", "svn", "path", "url", "file", "editable")
_SYSTEMS = {"linux": "linux", "darwin": "darwin", "macos": "darwin", "win32": "win32"}
_MARKERS = ("sys_platform", "python_version", "platform_machine", "os_name", "platform_system")
_BOUND = re.compile(r"([\^~])\s*(\d+(?:\.\d+)*)\S*")
_OPERATOR = re.compile(r"([<>=!~^]=?|===)\s+")


@dataclass(slots=True, kw_only=True)
class Managed:
    """The requirements of a project of another manager, and what else its file says."""

    dependencies: list[str] = field(default_factory=list)
    groups: dict[str, list[str]] = field(default_factory=dict)
    extras: dict[str, list[str]] = field(default_factory=dict)
    sources: dict[str, Source] = field(default_factory=dict)
    python: str = ""  # versions of Python, as PEP 440 has them
    notes: list[str] = field(default_factory=list)


# --- versions


def pep440(text: str) -> str | None:
    """Return versions as PEP 440 has them, of Poetry's `^1.2`, `~1.2`, `1.*`, `1.2`, `*`.

    None where PEP 440 has no word for them: of `1 || 2`, which is one or the other.
    """
    if "|" in text:
        return None
    clauses = []
    for clause in re.split(r"[\s,]+", _OPERATOR.sub(r"\1", text.strip())):
        bound = _BOUND.fullmatch(clause)
        if clause in {"", "*"}:
            continue
        if bound and not clause.startswith("~="):
            clauses += [f">={clause.lstrip('^~').strip()}", f"<{_next(bound[1], bound[2])}"]
        else:
            clauses.append(clause if clause[0] in "<>=!~" else f"=={clause}")
    joined = ",".join(clauses)
    return joined if joined == "" or requirement(f"a {joined}") else None


def _next(sign: str, version: str) -> str:
    """Return the first version that `^1.2.3` or `~1.2.3` does not allow."""
    parts = [int(part) for part in version.split(".")]
    if sign == "~":
        kept = min(1, len(parts) - 1)
    else:
        kept = next((place for place, part in enumerate(parts) if part), len(parts) - 1)
    parts[kept] += 1
    return ".".join(str(part) for part in parts[: kept + 1])


def _python_marker(text: str) -> str:
    versions = pep440(text)
    clauses = versions.split(",") if versions else []
    words = []
    for clause in clauses:
        match = re.fullmatch(r"([<>=!~]+)(\d+(?:\.\d+)*)(\.\*)?", clause)
        if match:
            name = "python_full_version" if match[2].count(".") > 1 else "python_version"
            words.append(f"{name} {match[1]} '{match[2]}'")
    return " and ".join(words)


def _line(name: str, value: object, where: str, managed: Managed) -> str:
    """Return the requirement that a key and a value of Poetry or Pipenv mean, or ""."""
    given: Mapping[str, Any] = value if isinstance(value, Mapping) else {"version": value}
    notes = managed.notes
    place = next((key for key in _PLACES if given.get(key)), "")
    source = _source(given) if place else {}
    if place and not source:
        notes.append(f"{where}: `{name:.60}` comes from a `{place}`, not from an index: left out")
        return ""
    if source:
        managed.sources[normal(name)] = source
    version = given.get("version", "*")
    versions = pep440(version) if isinstance(version, str) else None
    if versions is None:
        notes.append(f"{where}: `{name:.60}` has `{version!s:.40}`: any version is taken")
        versions = ""
    extras = given.get("extras")
    extra = f"[{','.join(map(str, extras))}]" if isinstance(extras, list) and extras else ""
    markers = [str(given["markers"])] if given.get("markers") else []
    markers += [f"{key} {given[key]}" for key in _MARKERS if isinstance(given.get(key), str)]
    if isinstance(given.get("python"), str):
        markers += [word for word in [_python_marker(given["python"])] if word]
    if given.get("platform") in _SYSTEMS:
        markers.append(f"sys_platform == '{_SYSTEMS[given['platform']]}'")
    joined = " and ".join(f"({marker})" if " or " in marker else marker for marker in markers)
    text = f"{name}{extra}{versions}" + (f"; {joined}" if joined else "")
    before = len(notes)
    line = usable(text, where, notes)
    if not line and len(notes) == before:
        notes.append(f"{where}: `{name:.60}` is no requirement: left out")
    return line


def _source(given: Mapping[str, Any]) -> dict[str, str]:
    """Return the source that a table of Poetry or Pipenv names, or {} where none can be kept."""
    key = next((key for key in ("git", "url", "path") if isinstance(given.get(key), str)), "")
    value = str(given.get(key, ""))
    leads_out = key == "path" and (value.startswith(("/", "..", "~")) or value in {".", "./"})
    if not key or leads_out or re.search(r"//[^/\s]*:[^/\s]*@", value):
        return {}
    source = {key: value}
    for word, meant in (("rev", "rev"), ("ref", "rev"), ("tag", "tag"), ("branch", "branch")):
        if key == "git" and isinstance(given.get(word), str):
            return source | {meant: given[word]} | _below(given)
    return source | _below(given)


def _below(given: Mapping[str, Any]) -> dict[str, str]:
    below = given.get("subdirectory")
    return {"subdirectory": below} if isinstance(below, str) and below else {}


def _lines(values: Mapping[str, Any], where: str, managed: Managed) -> list[str]:
    lines = []
    for name, value in values.items():
        for item in value if isinstance(value, list) else [value]:
            line = _line(name, item, where, managed) if normal(name) != "python" else ""
            lines += [line] if line else []
    return list(dict.fromkeys(lines))


# --- Pipenv and Poetry


def pipfile(folder: Folder, name: str = "Pipfile") -> Managed | None:
    """Return a Pipfile's requirements, or None without one that can be read."""
    text = folder.text(name, any_encoding=True)
    if text is None:
        return None
    managed = Managed()
    try:
        document = parse_toml(text, "`Pipfile`", hint="correct that line")
    except LockstitchError as error:
        managed.notes.append(f"{error.message}: not read")
        return managed
    managed.dependencies = _lines(table(document, "packages"), "`Pipfile`", managed)
    development = _lines(table(document, "dev-packages"), "`Pipfile`", managed)
    managed.groups = {"dev": development} if development else {}
    requires = table(document, "requires")
    version = requires.get("python_version") or requires.get("python_full_version")
    if isinstance(version, str):
        managed.python = f"=={version}.*" if version.count(".") == 1 else f"=={version}"
    return managed


def pixi(document: Mapping[str, Any]) -> Managed:
    """Return the requirements of pixi.toml, or [tool.pixi], of conda and of the index."""
    managed = Managed()
    where = "pixi"
    for name, value in table(document, "dependencies").items():
        if name == "python":
            versions = pep440(value) if isinstance(value, str) else None
            managed.python = versions or ""
        elif not kind_of(name):
            line = _line(distribution(name), value, where, managed)
            managed.dependencies += [line] if line else []
    managed.dependencies += _lines(table(document, "pypi-dependencies"), where, managed)
    return managed


def poetry(document: Mapping[str, Any]) -> Managed:
    """Return the requirements of [tool.poetry], as [project] and [dependency-groups] have them."""
    own = table(document, "tool", "poetry")
    managed = Managed()
    where = "`pyproject.toml`"
    wanted = dict(table(own, "dependencies"))
    python = wanted.pop("python", "")
    managed.python = (pep440(python) or "") if isinstance(python, str) else ""
    optional = {
        normal(name): {name: value}
        for name, value in wanted.items()
        if isinstance(value, Mapping) and value.get("optional")
    }
    required = {name: value for name, value in wanted.items() if normal(name) not in optional}
    managed.dependencies = _lines(required, where, managed)
    for extra, names in table(own, "extras").items():
        lines = [
            line
            for name in (names if isinstance(names, list) else ())
            for line in _lines(optional.get(normal(str(name)), {}), where, managed)
        ]
        managed.extras |= {extra: lines} if lines else {}
    groups: dict[str, Mapping[str, Any]] = {"dev": table(own, "dev-dependencies")}
    for name in table(own, "group"):
        listed = table(own, "group", name, "dependencies")
        groups[name] = {**groups.get(name, {}), **listed}
    for name, values in groups.items():
        lines = _lines(values, where, managed)
        managed.groups |= {name: lines} if lines else {}
    return managed


# --- locks


def locked(folder: Folder, name: str) -> tuple[str, ...]:
    """Return `NAME==VERSION` of all that a lock pins to one version of an index, sorted.

    A lock that uv wrote for a folder below counts as the others do.
    """
    text = folder.text(name, any_encoding=True) if folder.has(name) else None
    if text is None:
        return ()
    versions: dict[str, set[str]] = {}
    for package, version in _pins(name, text):
        versions.setdefault(normal(package), set()).add(version)
    pins = [
        requirement(f"{package}=={next(iter(several)).partition('+')[0]}")
        for package, several in versions.items()
        if len(several) == 1
    ]
    return tuple(sorted(pin for pin in pins if pin))


def pylock(folder: Folder) -> list[str]:
    """Return the requirements that a pylock.toml is, with their markers."""
    document = parse_toml(folder.text("pylock.toml") or "", "`pylock.toml`", hint="uv lock")
    lines = []
    for entry in tables(document.get("packages")):
        marker = f" ; {entry['marker']}" if "marker" in entry else ""
        lines.append(requirement(f"{entry.get('name')}=={entry.get('version')}{marker}"))
    return [line for line in lines if line]


def _pins(name: str, text: str) -> Iterator[tuple[str, str]]:
    try:
        document: Any = (
            json.loads(text) if name.endswith("Pipfile.lock") else parse_toml(text, "", hint="")
        )
    except (ValueError, RecursionError, LockstitchError):
        return
    if name.endswith("Pipfile.lock"):
        for part in ("default", "develop"):
            for package, entry in table(document, part).items():
                version = table(entry).get("version")
                if isinstance(version, str) and version.startswith("=="):
                    yield package, version.lstrip("=")
        return
    for entry in tables(document.get("packages" if name.endswith("pylock.toml") else "package")):
        named, pinned = entry.get("name"), entry.get("version")
        source = table(entry, "source").get("type", "legacy")
        placed = any(key in entry for key in (*_PLACES, "vcs", "directory", "archive"))
        placed = placed or not {*table(entry, "source")}.isdisjoint({*_PLACES, "virtual"})  # of uv
        if isinstance(named, str) and isinstance(pinned, str) and not placed:
            yield from [(named, pinned)] if source == "legacy" else []
