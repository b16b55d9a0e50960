"""The [tool.lockstitch] tables: which Python, which images, what is in them."""

import re
from collections.abc import Iterator, Sequence
from typing import Any

from lockstitch.scaffold.init import metadata
from lockstitch.scaffold.init.edit import Added
from lockstitch.scaffold.init.found import Found, table
from lockstitch.scaffold.init.programs import Server

__all__ = ["BASES", "chosen_base", "images"]

# The Python of each release of Debian, which an image of it has.
BASES = {"3.11": ("3.11.2", "debian:bookworm"), "3.13": ("3.13.5", "debian:trixie")}
_PORT = 8000
_TRAINING, _SERVING = ("train", "training"), ("serve", "serving", "api", "server")
_NEEDED = {"fastapi": "fastapi>=0.110", "uvicorn": "uvicorn>=0.30"}


def chosen_base(found: Found, notes: list[str]) -> tuple[str, str]:
    """Return the minor version of Python and the base that fit what the project asks for."""
    from packaging.specifiers import InvalidSpecifier, SpecifierSet

    settings = table(found.document, "tool", "lockstitch")
    python, base = settings.get("python"), settings.get("base")
    if isinstance(python, str) or isinstance(base, str):
        return str(python or "3.11"), str(base or "debian:bookworm")
    asked = _python_asked(found)
    try:
        fits = SpecifierSet(asked)
    except InvalidSpecifier:
        fits = SpecifierSet()
    possible = [minor for minor, (full, _) in BASES.items() if full in fits]
    if not possible:
        has = ", ".join(f"{full} ({base})" for full, base in BASES.values())
        notes.append(f"`requires-python` is `{asked}`, and the bases have {has}: choose another")
    minor = found.minor if found.minor in possible else (possible or ["3.11"])[0]
    if found.minor and found.minor != minor:
        notes.append(f"`.python-version` has {found.minor}, the images get {minor}")
    return minor, BASES[minor][1]


def _python_asked(found: Found) -> str:
    said = (
        found.project.get("requires-python"),
        found.legacy.texts.get("requires-python"),
        table(found.poetry, "dependencies").get("python"),
    )
    asked = next((each for each in said if isinstance(each, str) and each), "")
    # Poetry's own: from this version up to the next major one.
    match = re.fullmatch(r"\^\s*(3\.[0-9.]+)", asked.strip())
    return f">={match[1]},<4" if match else asked


def images(found: Found, python: str, base: str, notes: list[str]) -> Iterator[Added]:
    """Yield the tables of lockstitch, and of a group that a guessed image needs."""
    settings = table(found.document, "tool", "lockstitch")
    values: dict[str, Any] = {"python": python, "base": base, "platforms": ["linux/amd64"]}
    if settings:  # what its author left out has a default that he knows
        values = {}
    yield from [Added(path=("tool", "lockstitch"), values=values)] if values else []
    if table(settings, "images"):
        return
    guessed: dict[str, dict[str, Any]] = {}
    if found.trainer:
        guessed["train"] = _train(found)
    if found.server:
        served, lines = _serve(found, found.server)
        guessed["serve"] = served
        added = metadata.group(found, "serve", lines)
        if added:
            yield added
            yield from _synced(found)
    if not guessed:
        guessed["app"] = _plain(found)
    for name, image in guessed.items():
        yield Added(path=("tool", "lockstitch", "images", name), values=image)
    if len(guessed) > 1 and not found.folder.filled("models"):
        text = "once training has written a model, add it to the `include` of the image `serve`"
        notes.append(text)


def _synced(found: Found) -> Iterator[Added]:
    if found.manager == "uv":
        names = [name for name in table(found.document, "dependency-groups") if name == "train"]
        values = {"default-groups": ["dev", "serve", *names]}
        yield Added(path=("tool", "uv"), values=values)


def _train(found: Found) -> dict[str, Any]:
    include = [*found.loose]
    command = ["python", found.trainer]
    if module := _installed_module(found, found.trainer):
        command = ["python", "-m", module]
    elif not _covered(found.trainer, found.loose):
        include.append(found.trainer)
    include += ["data/**"] if found.folder.filled("data") else []
    values: dict[str, Any] = _groups_named(found, _TRAINING)
    values |= {"include": sorted(include)} if include else {}
    if "models" in found.folder.folders() or "models/" in (found.folder.text(found.trainer) or ""):
        values["outputs"] = ["models"]
    return values | {"command": command}


def _covered(path: str, globs: Sequence[str]) -> bool:
    from lockstitch.files import matches

    return any(matches(path, glob) for glob in globs)


def _serve(found: Found, server: Server) -> tuple[dict[str, Any], list[str]]:
    """Return the image, and the requirements that its group lacks."""
    named = _groups_named(found, _SERVING).get("groups", [])
    known = metadata.groups(found)
    there = metadata.declared(found) | {name for group in named for name in known[group]}
    lines = []
    for name, line in _NEEDED.items():
        if name in there or (name == "uvicorn" and _has_standard(found)):
            continue
        others = sorted(g for g, names in known.items() if name in names and g != "dev")
        named += others[:1]
        lines += [] if others else [line]
    named += ["serve"] if lines else []
    include = [*found.loose, *(["models/**"] if found.folder.filled("models") else [])]
    values: dict[str, Any] = {"groups": sorted(set(named))} if named else {}
    values |= {"include": sorted(include)} if include else {}
    values |= {"command": _uvicorn(found, server), "port": _PORT}
    values |= {"health": server.health} if server.health else {}
    return values, lines


def _has_standard(found: Found) -> bool:
    # fastapi[standard] and fastapi[all] bring uvicorn.
    lines = [line.replace(" ", "").lower() for line in metadata.dependencies(found)]
    return any(line.startswith(("fastapi[standard", "fastapi[all")) for line in lines)


def _uvicorn(found: Found, server: Server) -> list[str]:
    module, folder = _installed_module(found, server.path), []
    if not module:
        path = server.path.removesuffix(".py")
        if path.startswith("src/"):
            folder, path = ["--app-dir", "src"], path.removeprefix("src/")
        module = path.replace("/", ".")
    words = ["uvicorn", f"{module}:{server.attribute}", *folder]
    words += ["--factory"] if server.factory else []
    return [*words, "--host", "0.0.0.0", "--port", str(_PORT)]  # noqa: S104 -- in a container


def _plain(found: Found) -> dict[str, Any]:
    values: dict[str, Any] = {"include": list(found.loose)} if found.loose else {}
    for name, path in found.packages.items() if found.installed else ():
        if found.folder.has(f"{path}/__main__.py"):
            return values | {"command": ["python", "-m", name]}
    for path in ("main.py", "src/main.py", "app.py"):
        if found.folder.has(path) and _covered(path, found.loose):
            return values | {"command": ["python", path]}
    return values


def _groups_named(found: Found, names: Sequence[str]) -> dict[str, Any]:
    known = metadata.groups(found)
    there = [name for name in names if name in known]
    return {"groups": there[:1]} if there else {}


def _installed_module(found: Found, path: str) -> str:
    """Return the name by which a file of an installed package is imported, or an empty text."""
    for name, folder in found.packages.items() if found.installed else ():
        if path.startswith(f"{folder}/"):
            rest = path.removeprefix(f"{folder}/").removesuffix(".py")
            return f"{name}.{rest.replace('/', '.')}"
    return ""
