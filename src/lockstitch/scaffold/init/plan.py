"""Decides every file that `lockstitch init` changes, and writes all of them or none."""

import difflib
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from lockstitch import files
from lockstitch.errors import LockstitchError
from lockstitch.python import load
from lockstitch.python.tables import parse_toml
from lockstitch.scaffold import new
from lockstitch.scaffold.init import images, metadata, tools
from lockstitch.scaffold.init.edit import Added, edit
from lockstitch.scaffold.init.folder import Folder
from lockstitch.scaffold.init.found import Found, look

__all__ = ["Change", "Plan", "decide", "diff", "write"]

_IGNORED = (
    *(".venv/", ".lockstitch/", "__pycache__/"),
    *(".mypy_cache/", ".pytest_cache/", ".ruff_cache/"),
)
_UNREAD = ("environment.yaml", "environment.yml", "Pipfile")  # other tools' requirements
_REMOTE = re.compile(r"(?m)^\s*-?\s*repo:\s*(?!local|meta|builtin)\S")
_SECRET = re.compile(r"(://)[^/\s@]*@")


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A file before (None: it is new) and after, as bytes."""

    name: str
    before: bytes | None
    after: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What will be written, by name, and what a person should know about it."""

    root: Path
    manager: str
    changes: tuple[Change, ...]
    notes: tuple[str, ...]


def decide(root: Path, manager: str = "", *, force: bool = False) -> Plan:
    """Return what a folder lacks; reads only the folder, and writes nothing.

    `force` replaces the settings of black, ruff and mypy, and `.python-version`.
    Raises LockstitchError for what is there and cannot be worked with.
    """
    if not root.is_dir():
        message = f"`{root}` is no folder"
        raise LockstitchError(message, hint="lockstitch new NAME, for a project from the beginning")
    folder = Folder(root)
    found = look(folder, manager)
    notes = _left_out(found)
    minor, base = images.chosen_base(found, notes)
    edited = edit(
        found.text,
        [*_tables(found, minor, base, notes, force=force)],
        "pyproject.toml",
        force=force,
    )
    load.read(parse_toml(edited.text, "`pyproject.toml`", hint="correct that line"), root)
    texts = {
        "pyproject.toml": edited.text,
        ".python-version": _python_version(found, minor, force=force),
        ".gitignore": _gitignore(folder.text(".gitignore") or ""),
        **_hooks(found, notes),
    }
    changes = [c for name, text in sorted(texts.items()) if (c := _change(folder, name, text))]
    return Plan(
        root=root,
        manager=found.manager,
        changes=tuple(changes),
        notes=tuple(dict.fromkeys([*notes, *edited.notes])),
    )


def _tables(
    found: Found, minor: str, base: str, notes: list[str], *, force: bool
) -> Iterator[Added]:
    built = list(metadata.build(found, notes))
    yield from (each for each in built if each.path == ("build-system",))
    yield from metadata.project(found, minor, notes)
    guessed = list(images.images(found, minor, base, notes))
    yield from (each for each in guessed if "lockstitch" not in each.path)
    development = tools.development(found)
    yield from [development] if development else []
    yield from (each for each in built if each.path != ("build-system",))
    yield from (each for each in guessed if "lockstitch" in each.path)
    yield from tools.settings(found, notes, force=force)


def _left_out(found: Found) -> list[str]:
    """Return a note for what was not taken from files whose place pyproject.toml takes."""
    notes: list[str] = []
    if not found.project and not found.classic:
        notes += found.legacy.notes
        names = " and ".join(f"`{name}`" for name in found.legacy.sources)
        if names and not found.legacy.compiled:
            notes.append(f"{names}: kept; what pyproject.toml says counts from now on")
    if "dependencies" not in found.project and not found.classic:
        notes += found.listed.notes if found.listed else ()
        notes += [f"`{name}` is not read" for name in _UNREAD if found.folder.has(name)]
        if found.folder.has("requirements.in") and found.folder.has("requirements.txt"):
            notes.append("`requirements.txt`: its pins are left to the lock, which has newer ones")
    if found.listed_dev and "dev" not in metadata.groups(found):
        notes += found.listed_dev.notes
    return notes


def _python_version(found: Found, minor: str, *, force: bool) -> str:
    there = found.folder.text(".python-version")
    return there if there is not None and not (force and found.minor != minor) else f"{minor}\n"


def _hooks(found: Found, notes: list[str]) -> dict[str, str]:
    """Return the files of the hooks, or none where a project has hooks."""
    there = tools.hooks(found.folder)
    if there:
        if _REMOTE.search(found.folder.text(there) or ""):
            message = "kept; `lockstitch hooks migrate` makes its hooks those of the lock"
            notes.append(f"`{there}`: {message}")
        return {}
    wanted = new.hook_files(found.manager)
    return {name: text for name, text in wanted.items() if not found.folder.has(name)}


def _gitignore(text: str) -> str:
    there = {line.strip().strip("/") for line in text.splitlines()}
    missing = [line for line in _IGNORED if line.strip("/") not in there]
    end = "" if not text or text.endswith("\n") else "\n"
    return text + end + "".join(f"{line}\n" for line in missing) if missing else text


def _change(folder: Folder, name: str, text: str) -> Change | None:
    path = folder.root / name
    before = path.read_bytes() if path.exists() else None
    crlf = before is not None and b"\r\n" in before
    after = (text.replace("\n", "\r\n") if crlf else text).encode()
    same = before is not None and before.replace(b"\r\n", b"\n") == text.encode()
    return None if same else Change(name=name, before=before, after=after)


def diff(plan: Plan) -> str:
    """Return a unified diff of all files, without the passwords in anybody's addresses."""
    parts = []
    for change in plan.changes:
        before, after = (
            (data or b"").decode().replace("\r\n", "\n") for data in (change.before, change.after)
        )
        name = "/dev/null" if change.before is None else f"a/{change.name}"
        lines = difflib.unified_diff(
            before.splitlines(keepends=True),
            after.splitlines(keepends=True),
            name,
            f"b/{change.name}",
        )
        whole = (line if line.endswith("\n") else f"{line}\n" for line in lines)
        parts.append(_SECRET.sub(r"\1***@", "".join(whole)))
    return "".join(parts)


def write(plan: Plan) -> None:
    """Write every file; when one cannot be written, put the others back and raise."""
    done: list[Change] = []
    try:
        for change in plan.changes:
            _put(plan.root / change.name, change.after)
            done.append(change)
    except BaseException:
        for change in reversed(done):
            path = plan.root / change.name
            if change.before is None:
                path.unlink(missing_ok=True)
            else:
                _put(path, change.before)
        raise


def _put(path: Path, data: bytes) -> None:
    target = path.resolve()  # a link stays one
    mode = stat.S_IMODE(target.stat().st_mode) if target.exists() else 0o644
    files.write_bytes(target, data, mode=mode)
