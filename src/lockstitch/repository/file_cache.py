"""Answers about files, remembered until the file changes, so that the next run reads little."""

import os
import stat
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from lockstitch import clock
from lockstitch.digest import of_bytes
from lockstitch.repository.files import Repository
from lockstitch.store import Store, default_root

_LARGEST = 5 << 20  # bytes of a file above which it is not read
_NOTEBOOK = 16 << 20  # the same, of a notebook with its pictures
_FRESH = 2.0  # seconds: a file as young as that may change again within one tick of its clock
_INSTALLED = frozenset({"node_modules", "site-packages", ".venv", "venv", "dist-packages"})


def cached_per_file(
    repo: Repository,
    names: Iterable[str],
    kind: str,
    version: str,
    answer_of: Callable[[str, bytes], tuple[Any, bool]],
) -> Iterator[tuple[str, Any]]:
    """Yield each regular file with what a function answers of it, or the store remembers.

    The function is given the file's name and bytes; it also says whether its answer, a JSON value,
    may be remembered. Files above 5 MiB, behind a link or of installed packages are passed by.
    `version` changes with what the function looks for.
    """
    store = Store(default_root())
    key = of_bytes(f"{version}\n{repo.root.absolute()}".encode()).hex
    record = store.record(kind, key)
    before = record if isinstance(record, dict) else {}
    after: dict[str, list[Any]] = {}
    now = clock.now()
    for name, stamp in _regular(repo, names):
        known = before.get(name)
        if isinstance(known, list) and known[:-1] == stamp and name not in repo.changed:
            after[name] = known
            yield name, known[-1]
            continue
        answer, keeps = answer_of(name, _data(repo, name))
        if keeps and name not in repo.changed and now - stamp[-1] / 1e9 > _FRESH:
            after[name] = [*stamp, answer]
        yield name, answer
    if after != before:
        store.remember(kind, key, after)


def _regular(repo: Repository, names: Iterable[str]) -> Iterator[tuple[str, list[int]]]:
    """Yield regular files that are not too large and not behind a link, with what changes.

    That is the size, and when content and inode changed last, in nanoseconds.
    """
    passed: dict[str, bool] = {"": False}
    root = os.fspath(repo.root)
    for name in names:
        if _is_passed(root, name.rpartition("/")[0], passed):
            continue
        try:
            facts = os.lstat(f"{root}/{name}")
        except (OSError, ValueError):
            continue
        if stat.S_ISREG(facts.st_mode) and 0 < facts.st_size <= largest(name):
            yield name, [facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns]


def largest(name: str) -> int:
    """Return the bytes above which a file of this name is not read."""
    return _NOTEBOOK if name.endswith(".ipynb") else _LARGEST


def is_installed(path: str) -> bool:
    """Return whether a file is of an installed package."""
    return bool(_INSTALLED & {*path.split("/")[:-1]})


def _is_passed(root: str, folder: str, known: dict[str, bool]) -> bool:
    """Return whether a folder is a link, below one, or of installed packages; `known`: asked."""
    if folder not in known:
        above = _is_passed(root, folder.rpartition("/")[0], known)
        passed = above or folder.rpartition("/")[2] in _INSTALLED
        known[folder] = passed or os.path.islink(f"{root}/{folder}")  # noqa: PTH114 -- 2,000 times
    return known[folder]


def _data(repo: Repository, name: str) -> bytes:
    if name in repo.changed:
        return repo.changed[name].encode()
    try:
        return Path(repo.root, name).read_bytes()
    except OSError:
        return b""
