"""What to do about the facts of a folder: the tables and files that it should have."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lockstitch.python.tables import table
from lockstitch.scaffold import new
from lockstitch.scaffold.init import pythons, tables
from lockstitch.scaffold.init.edit import Table
from lockstitch.scaffold.init.facts import Facts, Server

__all__ = ["Decisions", "decide"]

# The Python of each release of Debian, which an image of it has.
_BASES = {"3.11": ("3.11.2", "debian:bookworm"), "3.13": ("3.13.5", "debian:trixie")}
_PORT = 8000
_TRAINING, _SERVING = ("train", "training"), ("serve", "serving", "api", "server")
_NEEDED = {"fastapi": "fastapi>=0.110", "uvicorn": "uvicorn>=0.30"}
_IGNORED = (
    *(".venv/", ".lockstitch/", "__pycache__/"),
    *(".mypy_cache/", ".pytest_cache/", ".ruff_cache/"),
)
_REMOTE = re.compile(r"(?m)^\s*-?\s*repo:\s*(?!local|meta|builtin)\S")


@dataclass(frozen=True, slots=True, kw_only=True)
class Decisions:
    """The tables that pyproject.toml should have, other files by name, and notes for a person."""

    tables: tuple[Table, ...]
    files: Mapping[str, str]
    notes: tuple[str, ...]


def decide(facts: Facts, *, force: bool = False) -> Decisions:
    """Return what a folder should have; reads no file that is not in its facts' folder.

    `force` replaces the settings of black, ruff and mypy, and `.python-version`.
    """
    notes = _left_out(facts)
    minor, base = _base(facts, notes)
    build = [*tables.build(facts)]
    project = [*tables.project(facts, minor)]
    images = [*_images(facts, minor, base)]
    settings = [*tables.settings(facts, force=force)]
    notes += [item for item in [*build, *project, *images, *settings] if isinstance(item, str)]
    development = tables.development(facts)
    images = [*tables.programs(facts), *tables.locked(facts), *images]
    # In the order in which people look for them.
    ordered = [item for item in build if _is_of(item, "build-system")]
    ordered += project
    ordered += [item for item in images if not _is_of(item, "lockstitch")]
    ordered += [development] if development else []
    ordered += [item for item in build if not _is_of(item, "build-system")]
    ordered += [item for item in images if _is_of(item, "lockstitch")]
    ordered += settings
    files = {
        ".python-version": _python_version(facts, minor, force=force),
        **_ignored(facts, notes),
        **_hooks(facts, notes),
    }
    found = tuple(item for item in ordered if isinstance(item, Table))
    return Decisions(tables=found, files=files, notes=tuple(notes))


def _is_of(item: Table | str, part: str) -> bool:
    return isinstance(item, Table) and part in item.path


def _left_out(facts: Facts) -> list[str]:
    """Return a note for what was not taken from files whose place pyproject.toml takes."""
    notes: list[str] = []
    if not facts.project and not facts.classic:
        notes += facts.setup.notes
        names = " and ".join(f"`{name}`" for name in facts.setup.sources)
        if names and not facts.setup.compiled:
            notes.append(f"{names}: kept; what pyproject.toml says counts from now on")
    notes += facts.inputs.notes
    return notes


# --- files


def _python_version(facts: Facts, minor: str, *, force: bool) -> str:
    there = facts.folder.text(".python-version")
    return there if there is not None and not (force and facts.minor != minor) else f"{minor}\n"


def _hooks(facts: Facts, notes: list[str]) -> dict[str, str]:
    """Return the files of the hooks, or none where a project has hooks."""
    there = tables.hooks(facts.folder)
    if there:
        if _REMOTE.search(facts.folder.text(there) or ""):
            message = "kept; `lockstitch hooks migrate` makes its hooks those of the lock"
            notes.append(f"`{there}`: {message}")
        return {}
    wanted = new.hook_files(facts.manager)
    return {name: text for name, text in wanted.items() if not facts.folder.has(name)}


def _ignored(facts: Facts, notes: list[str]) -> dict[str, str]:
    if (facts.folder.root / ".gitignore").is_dir():
        notes.append("`.gitignore` is a folder, which git does not read: kept")
        return {}
    return {".gitignore": _gitignore(facts.folder.text(".gitignore") or "")}


def _gitignore(text: str) -> str:
    there = {line.strip().strip("/") for line in text.splitlines()}
    missing = [line for line in _IGNORED if line.strip("/") not in there]
    end = "" if not text or text.endswith("\n") else "\n"
    return text + end + "".join(f"{line}\n" for line in missing) if missing else text


# --- images


def _base(facts: Facts, notes: list[str]) -> tuple[str, str]:
    """Return the minor version of Python and the base that fit the project."""
    from packaging.specifiers import InvalidSpecifier, SpecifierSet

    settings = table(facts.document, "tool", "lockstitch")
    python, base = settings.get("python"), settings.get("base")
    if isinstance(python, str) or isinstance(base, str):
        return str(python or "3.11"), str(base or "debian:bookworm")
    asked = _requires_python(facts)
    try:
        fits = SpecifierSet(asked)
    except InvalidSpecifier:
        fits = SpecifierSet()
    possible = [minor for minor, (full, _) in _BASES.items() if full in fits]
    if not possible:
        has = ", ".join(f"{full} ({base})" for full, base in _BASES.values())
        notes.append(f"`requires-python` is `{asked}`, and the bases have {has}: choose another")
    wanted, source = facts.inputs.python, facts.inputs.python_source
    minor = pythons.nearest(wanted, possible or ["3.11"])
    if wanted and wanted != minor:
        message = f"`{source}` names Python {wanted}, the images get {minor}"
        notes.append(f"{message}, which `{_BASES[minor][1]}` has")
    return minor, _BASES[minor][1]


def _requires_python(facts: Facts) -> str:
    stated = (
        facts.project.get("requires-python"),
        facts.setup.texts.get("requires-python"),
        facts.inputs.requires_python,
        table(facts.poetry, "dependencies").get("python"),
    )
    asked = next((each for each in stated if isinstance(each, str) and each), "")
    # Poetry's own: from this version up to the next major one.
    match = re.fullmatch(r"\^\s*(3\.[0-9.]+)", asked.strip())
    return f">={match[1]},<4" if match else asked


def _images(facts: Facts, python: str, base: str) -> Iterator[Table | str]:
    """Yield the tables of lockstitch, and of a group that a guessed image needs."""
    settings = table(facts.document, "tool", "lockstitch")
    values: dict[str, Any] = {"python": python, "base": base, "platforms": ["linux/amd64"]}
    if settings:  # what its author left out has a default that he knows
        values = {}
    yield from [Table(path=("tool", "lockstitch"), values=values)] if values else []
    if table(settings, "images"):
        return
    guessed: dict[str, dict[str, Any]] = {}
    if facts.trainer:
        guessed["train"] = _train(facts)
    if facts.server:
        served, lines = _serve(facts, facts.server)
        guessed["serve"] = served
        added = tables.group(facts, "serve", lines)
        if added:
            yield added
            yield from _synced(facts)
    if not guessed:
        guessed["app"] = _plain(facts)
    for name, image in guessed.items():
        yield Table(path=("tool", "lockstitch", "images", name), values=image)
    if len(guessed) > 1 and not facts.folder.filled("models"):
        yield "once training has written a model, add it to the `include` of the image `serve`"


def _synced(facts: Facts) -> Iterator[Table]:
    if facts.manager == "uv":
        known = {*table(facts.document, "dependency-groups"), *facts.inputs.groups}
        names = ["train"] if "train" in known and not facts.inputs.conflicts() else []
        values = {"default-groups": ["dev", "serve", *names]}
        yield Table(path=("tool", "uv"), values=values)


def _train(facts: Facts) -> dict[str, Any]:
    include = [*facts.loose]
    command = ["python", facts.trainer]
    if module := _installed_module(facts, facts.trainer):
        command = ["python", "-m", module]
    elif not _covered(facts.trainer, facts.loose):
        include.append(facts.trainer)
    include += ["data/**"] if facts.folder.filled("data") else []
    values: dict[str, Any] = _groups_named(facts, _TRAINING)
    values |= {"include": sorted(include)} if include else {}
    if "models" in facts.folder.folders() or "models/" in (facts.folder.text(facts.trainer) or ""):
        values["outputs"] = ["models"]
    return values | {"command": command}


def _covered(path: str, globs: Sequence[str]) -> bool:
    from lockstitch.files import matches

    return any(matches(path, glob) for glob in globs)


def _serve(facts: Facts, server: Server) -> tuple[dict[str, Any], list[str]]:
    """Return the image, and the requirements that its group lacks."""
    named = _groups_named(facts, _SERVING).get("groups", [])
    known = tables.groups(facts)
    there = tables.declared(facts) | {name for group in named for name in known[group]}
    lines = []
    for name, line in _NEEDED.items():
        if name in there or (name == "uvicorn" and _has_standard(facts)):
            continue
        others = sorted(g for g, names in known.items() if name in names and g != "dev")
        named += others[:1]
        lines += [] if others else [line]
    named += ["serve"] if lines else []
    include = [*facts.loose, *(["models/**"] if facts.folder.filled("models") else [])]
    values: dict[str, Any] = {"groups": sorted(set(named))} if named else {}
    values |= {"include": sorted(include)} if include else {}
    values |= {"command": _uvicorn(facts, server), "port": _PORT}
    values |= {"health": server.health} if server.health else {}
    return values, lines


def _has_standard(facts: Facts) -> bool:
    # fastapi[standard] and fastapi[all] bring uvicorn.
    lines = [line.replace(" ", "").lower() for line in tables.dependencies(facts)]
    return any(line.startswith(("fastapi[standard", "fastapi[all")) for line in lines)


def _uvicorn(facts: Facts, server: Server) -> list[str]:
    module, folder = _installed_module(facts, server.path), []
    if not module:
        path = server.path.removesuffix(".py")
        if path.startswith("src/"):
            folder, path = ["--app-dir", "src"], path.removeprefix("src/")
        module = path.replace("/", ".")
    words = ["uvicorn", f"{module}:{server.attribute}", *folder]
    words += ["--factory"] if server.factory else []
    return [*words, "--host", "0.0.0.0", "--port", str(_PORT)]  # noqa: S104 -- in a container


def _plain(facts: Facts) -> dict[str, Any]:
    values: dict[str, Any] = {"include": list(facts.loose)} if facts.loose else {}
    for name, path in facts.packages.items() if facts.installed else ():
        if facts.folder.has(f"{path}/__main__.py"):
            return values | {"command": ["python", "-m", name]}
    for path in ("main.py", "src/main.py", "app.py"):
        if facts.folder.has(path) and _covered(path, facts.loose):
            return values | {"command": ["python", path]}
    return values


def _groups_named(facts: Facts, names: Sequence[str]) -> dict[str, Any]:
    known = tables.groups(facts)
    there = [name for name in names if name in known]
    return {"groups": there[:1]} if there else {}


def _installed_module(facts: Facts, path: str) -> str:
    """Return the name by which a file of an installed package is imported, or an empty text."""
    for name, folder in facts.packages.items() if facts.installed else ():
        if path.startswith(f"{folder}/"):
            rest = path.removeprefix(f"{folder}/").removesuffix(".py")
            return f"{name}.{rest.replace('/', '.')}"
    return ""
