"""The items of the store, when each was used last, and which go first when it must be smaller.

A record's mtime is its last use, and a blob is as old as the record of its hash, which every use
reads; a folder's own mtime is set when it is asked for. Nothing is removed while another command
uses the store.
"""

import contextlib
import json
import os
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from lockstitch import clock, files
from lockstitch.digest import Digest
from lockstitch.store import HASHED, STALE, TREES, Store
from lockstitch.values import frozen, replace

_LEFTOVERS = ("partial", "tmp")  # of downloads and processes that were stopped
# Folders that are walked in another way; locks are empty files, which somebody may have open.
_OTHERWISE = frozenset({"blobs", "locks", "records", "trial", "wheels"})


@frozen
class Item:
    """An item to remove at once: a blob, a record, an unpacked image, a folder of tools."""

    kind: str  # the folder of the store
    paths: tuple[Path, ...]
    size: int  # bytes on the disk that go with it
    used: float  # seconds since 1970
    is_shared: bool = False  # by an image's layout, which keeps the file: its size here is 0


def items(store: Store) -> list[Item]:
    """Return everything that the store holds, the least recently used first."""
    return sorted(_Walk(store).items(), key=lambda item: (item.used, item.kind, item.paths))


def chosen(every: Sequence[Item], *, most: int | None, before: float) -> list[Item]:
    """Return the items to remove: those last used `before`, and so many that `most` bytes stay."""
    total = sum(item.size for item in every)
    going = []
    for item in every:
        stale = item.kind in _LEFTOVERS and item.used < clock.now() - STALE
        over = most is not None and total > most and not item.is_shared
        if stale or over or item.used < before:
            going.append(item)
            total -= item.size
    return going


def remove(going: Sequence[Item]) -> list[Item]:
    """Remove items but those in use, and return them; only who holds the store alone may do so."""
    gone = [item for item in going if not _is_held(item)]
    for item in gone:
        for path in item.paths:
            files.remove(path)
    return gone


def trim(store: Store, most: int) -> None:
    """Shrink the store to so many bytes unless it is in use; raises LockstitchError."""
    with store.alone(wait=False) as alone:
        if alone:
            remove(chosen(items(store), most=most, before=0))


def forget(store: Store, digest: Digest) -> None:
    """Remove a blob, and the record of its hash."""
    for path in (store.path(digest), store.record_path(HASHED, digest.hex)):
        with contextlib.suppress(OSError):
            files.remove(path)


def _is_held(item: Item) -> bool:
    lock = item.paths[0] / files.USE_LOCK
    return lock.is_file() and not files.UseLock(lock).have_alone(wait=False)


class _Walk:
    """One look at a store that others may change meanwhile; each file counts once."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._seen: set[tuple[int, int]] = set()

    def items(self) -> Iterator[Item]:
        """Yield the files of the store."""
        root = self._store.root
        wheels = {facts.st_ino: path for path, facts in _found(_children(root / "wheels"))}
        yield from self._blobs(wheels)
        yield from self._each("wheels", wheels.values())
        for path, facts in _found(_children(root / "trial" / "layers")):
            size = _unpacked(path)
            yield Item(kind="trial", paths=(path,), size=size, used=facts.st_mtime)
        for path, facts in _found(_children(root / "trial" / "images")):
            # Folders with links to the layers' files.
            yield Item(kind="trial", paths=(path,), size=0, used=facts.st_mtime)
        for folder in _children(root):
            if folder.name not in _OTHERWISE:
                yield from self._each(folder.name, _children(folder))
        yield from self._each("records", _files(root / "records"))

    def _blobs(self, wheels: Mapping[int, Path]) -> Iterator[Item]:
        for path, facts in _found(_files(self._store.root / "blobs")):
            names = [wheels[facts.st_ino]] if facts.st_ino in wheels else []
            paths = [path, self._store.record_path(HASHED, path.name), *names]
            for item in self._item("blobs", paths):
                is_shared = facts.st_nlink > 1 + len(names)
                yield replace(item, size=0, is_shared=True) if is_shared else item

    def _each(self, kind: str, paths: Iterable[Path]) -> Iterator[Item]:
        for path in paths:
            tree = [self._store.record_path(TREES, path.name)] if kind == "scratch" else []
            yield from self._item(kind, [path, *tree])

    def _item(self, kind: str, paths: Sequence[Path]) -> Iterator[Item]:
        """Yield an item of these paths, nothing where all of it belongs to another one."""
        there = dict(_found(paths))
        fresh = sum(self._fresh(facts) for facts in there.values())
        folders = [path for path, facts in there.items() if stat.S_ISDIR(facts.st_mode)]
        fresh += sum(self._below(os.fspath(folder)) for folder in folders)
        if fresh or folders:  # a file without bytes goes with what it belongs to
            used = max(facts.st_mtime for facts in there.values())
            yield Item(kind=kind, paths=tuple(there), size=fresh, used=used)

    def _fresh(self, facts: os.stat_result) -> int:
        """Return the bytes of a file, 0 of a folder and of what was seen under another name."""
        key = (facts.st_dev, facts.st_ino)
        if stat.S_ISDIR(facts.st_mode) or key in self._seen:
            return 0
        self._seen.add(key)
        return facts.st_size

    def _below(self, folder: str) -> int:
        """Return the bytes of the files below a folder, which may be a million."""
        total = 0
        with contextlib.suppress(OSError), os.scandir(folder) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    total += self._below(entry.path)
                else:
                    with contextlib.suppress(OSError):
                        total += self._fresh(entry.stat(follow_symlinks=False))
        return total


def _unpacked(layer: Path) -> int:
    """Return the bytes of the files of an unpacked layer, by its list: they are very many."""
    try:
        rows = json.loads((layer / "index.json").read_bytes())
        return sum(row[3] for row in rows if row[-1] >= 0)
    except (OSError, ValueError, LookupError, TypeError):
        return 0


def _found(paths: Iterable[Path]) -> Iterator[tuple[Path, os.stat_result]]:
    """Yield paths with their stat, without those that are not there any more."""
    for path in paths:
        with contextlib.suppress(OSError):
            yield path, path.lstat()


def _children(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.is_dir() else []


def _files(folder: Path) -> Iterator[Path]:
    """Yield all that is no folder below a folder."""
    for root, _, names in os.walk(folder):
        yield from (Path(root, name) for name in names)
