"""The content-addressed folder under the user's cache: blobs by digest, records by key.

Every file is written to `tmp/` and renamed, so a reader sees all of a file or none, two
processes may write the same blob at once, and a killed one leaves only a file in `tmp/`.

Disks and people damage files later. A record begins with a sum of itself, and a blob counts as
whole while its size, mtime and inode are those that it had when it was hashed; what does not fit
is not there, whatever stands in its place.
"""

import contextlib
import errno
import json
import os
import shutil
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lockstitch import clock, environ, files
from lockstitch.digest import Digest, Hasher, of_bytes
from lockstitch.errors import LockstitchError

STALE = 24 * 3600  # seconds after which a file in tmp/ was left by a killed process
HASHED = "hashed"  # records of the stat that blobs had when they were hashed
TREES = "trees"  # records of what folders of scratch hold
_MOST_MARKS = 4  # of one blob: in the store, and copies in layouts


def default_root() -> Path:
    """Return the store's folder: LOCKSTITCH_CACHE, else the user's cache folder."""
    named = environ.get("LOCKSTITCH_CACHE")
    if named:
        return Path(named).expanduser().absolute()
    if sys.platform != "linux":
        import platformdirs

        return Path(platformdirs.user_cache_dir("lockstitch", appauthor=False))
    # As platformdirs has it, without the 29 ms of its import.
    folder = environ.get("XDG_CACHE_HOME").strip() or "~/.cache"
    return Path(folder).expanduser() / "lockstitch"


class Store:
    """Blobs that never change, found by digest, and small JSON records found by key."""

    def __init__(self, root: Path) -> None:
        """Use this folder; it is made at the first write."""
        self.root = root
        self._uses: files.UseLock | None = None

    def hold(self) -> None:
        """Keep items here from `cache.prune` while this value lives, where one may write."""
        with contextlib.suppress(OSError, LockstitchError):
            self._use_lock().share()

    @contextlib.contextmanager
    def alone(self, *, wait: bool) -> Iterator[bool]:
        """Yield whether no other command uses the store while the block runs.

        Raises LockstitchError where the store cannot be written.
        """
        held = self._uses is not None
        lock = self._use_lock()
        try:
            yield lock.have_alone(wait=wait)
        finally:
            if held:
                lock.share()
            else:
                lock.release()

    def _use_lock(self) -> files.UseLock:
        self._uses = self._uses or files.UseLock(self._folder("locks") / "use")
        return self._uses

    def path(self, digest: Digest) -> Path:
        """Return where the blob is or would be."""
        return self.root / "blobs" / digest.hex[:2] / digest.hex

    def has(self, digest: Digest, size: int | None = None) -> bool:
        """Return whether a blob of this size is here, unread; another file in its place goes."""
        path = self.path(digest)
        facts = _stat(path)
        if facts and stat.S_ISREG(facts.st_mode) and size in {None, facts.st_size}:
            return True
        if facts:
            _discard(path)
        return False

    def has_whole(self, digest: Digest, size: int | None = None) -> bool:
        """Return whether a blob is here with all its bytes as they should be; else remove it."""
        return self.is_whole(self.path(digest), digest, size)

    def is_whole(self, path: Path, digest: Digest, size: int | None = None) -> bool:
        """Return whether a file, here or in a layout, is this blob; one that is not is removed.

        It is read unless its size, mtime and inode are those that it had when it was hashed.
        """
        facts = _stat(path)
        if facts is None:
            return False
        fits = stat.S_ISREG(facts.st_mode) and size in {None, facts.st_size}
        if fits and (_mark(facts) in self._marks(digest) or self._hash(path, digest)):
            return True
        if _discard(path, facts):
            return False
        return self.is_whole(path, digest, size)  # another process put it there meanwhile

    def read_again(self, digest: Digest) -> bool:
        """Return whether a blob is here and whole, hashed now; one that is not is removed.

        For what a layer is made from: a disk that loses a bit changes no mtime.
        """
        path = self.path(digest)
        facts = _stat(path)
        if facts and stat.S_ISREG(facts.st_mode) and self._hash(path, digest):
            return True
        if facts and not _discard(path, facts):
            return self.read_again(digest)
        _discard(self.record_path(HASHED, digest.hex))
        return False

    def read(self, digest: Digest) -> bytes | None:
        """Return the bytes of a small blob, None where it is missing or not whole."""
        try:
            data = self.path(digest).read_bytes()
        except OSError:
            return None
        return data if of_bytes(data) == digest else None

    def _hash(self, path: Path, digest: Digest) -> bool:
        """Return whether a file has this digest, and remember its stat when it has."""
        try:
            before = path.stat()
            same = of_bytes(files.chunks(path)) == digest
            after = path.stat()
        except OSError:
            return False
        if same and _mark(before) == _mark(after):
            self._remember(digest, after)
        return same

    def _marks(self, digest: Digest) -> list[list[int]]:
        marks: list[list[int]] = self.record(HASHED, digest.hex) or []
        return marks

    def _remember(self, digest: Digest, facts: os.stat_result) -> None:
        marks, mark = self._marks(digest), _mark(facts)
        if marks[:1] != [mark]:
            before = [other for other in marks if other != mark]
            self.remember(HASHED, digest.hex, [mark, *before][:_MOST_MARKS])

    @contextlib.contextmanager
    def writer(self) -> Iterator["BlobWriter"]:
        """Yield a writer, whose file needs a commit; raises LockstitchError if not writable."""
        folder = self._folder("tmp")
        path = folder / f"{os.getpid()}-{os.urandom(8).hex()}"
        writer = BlobWriter(self, path)
        try:
            yield writer
        finally:
            try:
                writer.close()  # which writes what was held back, and fails on a full disk
            finally:
                path.unlink(missing_ok=True)

    def put(self, data: bytes) -> Digest:
        """Store bytes and return their digest; raises LockstitchError where that fails."""
        digest = of_bytes(data)
        if self.read(digest) is None:
            with self.writer() as writer:
                writer.write(data)
                writer.commit(digest)
        return digest

    @property
    def wheels(self) -> Path:
        """The folder of the wheels that bundles brought, for uv; missing where none did."""
        return self.root / "wheels"

    def name_wheel(self, filename: str, digest: Digest) -> None:
        """Give a wheel of the store its file name in the folder of wheels."""
        self.wheels.mkdir(parents=True, exist_ok=True)
        target = self.wheels / filename
        target.unlink(missing_ok=True)
        try:
            os.link(self.path(digest), target)
        except OSError:  # a file system without hard links
            shutil.copyfile(self.path(digest), target)

    def adopt(self, path: Path, digest: Digest, *, proved: bool = False) -> None:
        """Move a finished file, already hashed by the caller, into its place.

        One that is `proved` by all its readers, with `read_again`, may be lost in a power cut.
        """
        if not proved:
            files.sync(path)
        path.chmod(0o444)
        facts = path.stat()
        target = self.path(digest)
        self._make_way(target)
        path.replace(target)
        if not proved:
            self._remember(digest, facts)

    def record(self, kind: str, key: str) -> Any:
        """Return the JSON value recorded under a key, or None; a damaged record is None."""
        path = self.record_path(kind, key)
        try:
            data = path.read_bytes()
        except OSError:
            return None
        files.use(path)
        total, _, text = data.partition(b"\n")
        return json.loads(text) if total == _sum(kind, key, text) else None

    def put_record(self, kind: str, key: str, value: object) -> None:
        """Write a record's JSON value; raises LockstitchError where the store cannot be written."""
        text = json.dumps(value, sort_keys=True, separators=(",", ":")).encode()
        path = self.record_path(kind, key)
        temporary = self._folder("tmp") / f"{os.getpid()}-{os.urandom(8).hex()}"
        try:
            # Not synced: a record that a power cut leaves half written does not fit its sum.
            temporary.write_bytes(_sum(kind, key, text) + b"\n" + text)
            self._make_way(path)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)

    def _make_way(self, path: Path) -> None:
        """Make the parents of a path below the root, in place of any file that is not one."""
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError):
            for folder in reversed(path.relative_to(self.root).parents[:-1]):
                if not (self.root / folder).is_dir():
                    files.remove(self.root / folder)
            path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir():
            files.remove(path)

    def remember(self, kind: str, key: str, value: object) -> None:
        """Record a value that can be made again; where the store is read-only, it will be."""
        with contextlib.suppress(OSError, LockstitchError):
            self.put_record(kind, key, value)

    def records(self, kind: str) -> list[Any]:
        """Return the values of a kind under all its keys."""
        paths = sorted((self.root / "records" / kind).glob("*/*.json"))
        return [value for path in paths if (value := self.record(kind, path.stem)) is not None]

    def record_path(self, kind: str, key: str) -> Path:
        """Return where a record is or would be."""
        return self.root / "records" / kind / key[:2] / f"{key}.json"

    def partial(self, digest: Digest) -> Path:
        """Return where a download goes on from; raises LockstitchError where that fails."""
        path = self._folder("partial") / digest.hex
        if path.is_dir():
            files.remove(path)
        return path

    def scratch(self, name: str) -> Path:
        """Return a folder of the store for things that can be made again.

        Raises LockstitchError where the store cannot be written.
        """
        folder = self._folder("scratch") / name
        files.use(folder)
        return folder

    def has_whole_tree(self, folder: Path) -> bool:
        """Return whether a folder of `scratch` is as it was when it was remembered; all is read."""
        known = self.record(TREES, folder.name)
        with contextlib.suppress(OSError):  # a file that goes while it is read
            return known is not None and known == _of_tree(folder)
        return False

    def remember_tree(self, folder: Path) -> None:
        """Remember a finished folder of `scratch`; raises LockstitchError if not writable."""
        self.put_record(TREES, folder.name, _of_tree(folder))

    @contextlib.contextmanager
    def lock(self, name: str) -> Iterator[None]:
        """Hold a lock between processes, which ends with the process that holds it.

        Raises LockstitchError where the store cannot be written, and when the holder stays too
        long.
        """
        with files.lock(self._folder("locks") / f"{name}.lock"):
            yield

    def drop_temporaries(self, process: int | None) -> None:
        """Remove the leftovers of an ended process in `tmp/`."""
        for path in (self.root / "tmp").glob(f"{process}-*"):
            path.unlink(missing_ok=True)

    def sweep(self) -> None:
        """Remove the leftovers of killed processes in `tmp/` that are older than a day."""
        gone = contextlib.suppress(FileNotFoundError, NotADirectoryError)
        with gone, os.scandir(self.root / "tmp") as entries:
            for entry in entries:
                if clock.now() - entry.stat(follow_symlinks=False).st_mtime > STALE:
                    files.remove(Path(entry.path))

    def _folder(self, name: str) -> Path:
        folder = self.root / name
        try:
            if self.root.is_dir() and folder.exists() and not folder.is_dir():
                files.remove(folder)
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            if error.errno in {errno.ENOSPC, errno.EDQUOT}:
                raise  # another problem, with words of its own
            message = f"the store `{self.root}` cannot be written: {error.strerror}"
            raise LockstitchError(
                message, hint="set LOCKSTITCH_CACHE to a folder of yours"
            ) from error
        return folder


def _stat(path: Path) -> os.stat_result | None:
    """Return the stat of a path, a symlink's own; None where there is nothing."""
    try:
        return path.lstat()
    except OSError:
        return None


def _of_tree(folder: Path) -> Digest:
    """Return the digest of the names, contents and x bits below a folder, symlinks unfollowed."""
    hasher = Hasher()
    for path in sorted(folder.rglob("*"), key=os.fsencode):
        facts = path.lstat()
        name = os.fsencode(path.relative_to(folder))
        if stat.S_ISLNK(facts.st_mode):
            what = b"link to " + os.fsencode(path.readlink())
        elif stat.S_ISREG(facts.st_mode):
            mode = b"program " if facts.st_mode & stat.S_IXUSR else b"file "
            what = mode + of_bytes(files.chunks(path)).encode()
        else:
            what = b"folder"
        hasher.update(name + b"\0" + what + b"\0")
    return hasher.digest()


def _discard(path: Path, seen: os.stat_result | None = None) -> bool:
    """Remove what is damaged, where one may: in a store that others write it stays, unused.

    Returns False, and removes nothing, where what was `seen` is not what is there now.
    """
    now = _stat(path)
    if seen and now and _mark(now) != _mark(seen):
        return False
    with contextlib.suppress(OSError):
        files.remove(path)
    return True


def _mark(facts: os.stat_result) -> list[int]:
    return [facts.st_size, facts.st_mtime_ns, facts.st_ino]


def _sum(kind: str, key: str, text: bytes) -> bytes:
    # With its name, so that a record copied over another one does not count either.
    return of_bytes(f"{kind}/{key}\n".encode() + text).hex.encode()


class BlobWriter:
    """Hashes bytes while they are written to a temporary file of the store."""

    def __init__(self, store: Store, path: Path) -> None:
        self._store = store
        self._path = path
        self.hasher = Hasher()
        self._handle = path.open("xb", buffering=1 << 20)

    @property
    def size(self) -> int:
        """The bytes written."""
        return self.hasher.size

    def write(self, data: bytes | memoryview) -> int:
        """Write and hash the next bytes."""
        self.hasher.update(data)
        return self._handle.write(data)

    def commit(self, expected: Digest | None = None, *, proved: bool = False) -> Digest:
        """Make the blob visible under its digest; LockstitchError when that is not `expected`.

        `proved` as in `Store.adopt`.
        """
        digest = self.hasher.digest()
        if expected is not None and digest != expected:
            raise LockstitchError(f"expected `{expected}`, wrote `{digest}` ({self.size} bytes)")
        self.close()
        self._store.adopt(self._path, digest, proved=proved)
        return digest

    def close(self) -> None:
        """Close the temporary file."""
        self._handle.close()
