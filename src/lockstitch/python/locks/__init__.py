"""Locks of Python projects: uv.lock, poetry.lock, PEP 751 and requirements, in one form."""

from collections.abc import Mapping
from posixpath import basename
from typing import Any

from lockstitch.errors import LockstitchError
from lockstitch.patterns import regex
from lockstitch.python.locks import poetry, pylock, requirements, uv
from lockstitch.python.locks.graph import (
    Conflict,
    Dependency,
    File,
    Graph,
    Package,
    Source,
    Walk,
    decided,
    holds,
    walk,
)
from lockstitch.python.locks.resolution import LockedWheel, Pinned, best_wheel

__all__ = [
    "Conflict",
    "Dependency",
    "File",
    "Graph",
    "LockedWheel",
    "Package",
    "Pinned",
    "Source",
    "Walk",
    "best_wheel",
    "decided",
    "holds",
    "kind_of",
    "read",
    "walk",
]

_PYLOCK = regex(r"pylock(\.[^.]+)?\.toml")
_READERS = {
    "uv": uv.read,
    "poetry": poetry.read,
    "pylock": pylock.read,
    "requirements": requirements.read,
}


def kind_of(path: str) -> str:
    """Return the kind of a lock by its name, "" for none; other `.txt` and `.in` may be lists."""
    name = basename(path)
    if name in {"uv.lock", "poetry.lock"}:
        return name.removesuffix(".lock")
    if _PYLOCK.fullmatch(name):
        return "pylock"
    return "requirements" if name.endswith((".txt", ".in")) else ""


def read(
    path: str,
    text: str,
    problems: list[LockstitchError] | None = None,
    document: Mapping[str, Any] | None = None,
) -> Graph:
    """Return the graph of a lock; its name says of which kind it is.

    Collects what is wrong in `problems` and leaves it out. Without such a list, raises
    LockstitchError with the path to each bad value. `document` is the parsed text of a TOML lock,
    where the caller has it.
    """
    kind = kind_of(path)
    if not kind:
        message = f"`{path}` is no lock that lockstitch reads"
        raise LockstitchError(message, hint="uv.lock, poetry.lock, pylock.toml or requirements.txt")
    return _READERS[kind](text, path, problems, document)
