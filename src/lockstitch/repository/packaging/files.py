"""The project files, requirements and locks of a repository, read."""

import json
import re
from typing import Any

from lockstitch.digest import of_bytes
from lockstitch.patterns import regex
from lockstitch.python import locks
from lockstitch.python.locks import Graph, lists
from lockstitch.python.locks.lists import Listed
from lockstitch.python.tables import toml
from lockstitch.repository.files import File, Repository, once
from lockstitch.store import Store, default_root

# `name=1.2=build`, of `conda list --export`: pip reads no such list.
_OF_CONDA = regex(r"^[\w.-]+=[\w.!+]+=[\w.]+\s*$", re.MULTILINE)
_LONG = 1 << 14  # characters
_RECORD = "checked-locks"


@once
def project_folders(repo: Repository) -> tuple[str, ...]:
    """Return the folders with project files such as pyproject.toml; "" is the root."""
    return tuple(sorted({n.rpartition("/")[0] for n in repo.names if _is_project_file(n)}))


def _is_project_file(name: str) -> bool:
    base = name.rpartition("/")[2]
    return base in {"pyproject.toml", "setup.py", "setup.cfg", "Pipfile"} or (
        base.startswith("requirements") and base.endswith((".txt", ".in"))
    )


@once
def lock_files(repo: Repository) -> tuple[Graph, ...]:
    """Return every lock: uv.lock, poetry.lock, pylock.toml, requirements that pin all they name."""
    graphs = []
    for name in repo.names:
        kind = locks.kind_of(name)
        if kind == "requirements" and not lists.is_name(name):
            continue
        text = repo.text(name) if kind else None
        graph = None if text is None else read_lock(name, text)
        graphs += [graph] if graph else []
    return tuple(graphs)


def locks_in(repo: Repository, folder: str) -> list[Graph]:
    """Return the locks in a folder itself."""
    return [lock for lock in lock_files(repo) if lock.path.rpartition("/")[0] == folder]


def read_lock(path: str, text: str) -> Graph | None:
    """Return the lock of a text without its wrong parts, None when it is no lock."""
    if locks.kind_of(path) == "requirements":
        return locks.read(path, text, problems=[]) if lists.read(text).is_lock else None
    document = _document(text)
    return None if document is None else locks.read(path, text, [], document)


def _document(text: str) -> dict[str, Any] | None:
    """Return the document of a TOML text, its dates as texts; a long one is remembered as JSON.

    To read a lock of 300 kB as TOML takes as long as all else that a check does.
    """
    store, key = Store(default_root()), of_bytes(text.encode()).hex
    known = store.record(_RECORD, key) if len(text) > _LONG else None
    if isinstance(known, dict):
        return known
    try:
        document = toml(text)
    except (ValueError, RecursionError):
        return None
    plain: dict[str, Any] = json.loads(json.dumps(document, default=str, sort_keys=True))
    if len(text) > _LONG:
        store.remember(_RECORD, key, plain)
    return plain


@once
def requirement_lists(repo: Repository) -> tuple[File[Listed], ...]:
    """Return every list of requirements, pinned or not, read."""
    return tuple(
        File(path=name, text=text, value=lists.read(text))
        for name in repo.names
        if lists.is_name(name)
        and (text := repo.text(name)) is not None
        and not _OF_CONDA.search(text)
    )
