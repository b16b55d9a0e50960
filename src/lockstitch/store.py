"""The content-addressed folder under the user's cache: blobs by digest, records by key.

Every file is written to `tmp/` and renamed, so a reader sees all of a file or none, two
processes may write the same blob at once, and a killed one leaves only a file in `tmp/`.
"""

import contextlib
import errno
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lockstitch import clock, environ, files
from lockstitch.digest import Digest, Hasher, of_bytes
from lockstitch.errors import LockstitchError

__all__ = ["BlobWriter", "Store", "default_root"]

_STALE = 24 * 3600  # seconds after which a file in tmp/ was left by a killed process


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

    def path(self, digest: Digest) -> Path:
        """Return where the blob is or would be."""
        return self.root / "blobs" / digest.hex[:2] / digest.hex

    def has(self, digest: Digest, size: int | None = None) -> bool:
        """Return whether the blob is here; a file of another size is thrown away."""
        try:
            found = self.path(digest).stat().st_size
        except (FileNotFoundError, NotADirectoryError):
            return False
        if size is not None and found != size:
            self.path(digest).unlink(missing_ok=True)
            return False
        return True

    @contextlib.contextmanager
    def writer(self) -> Iterator["BlobWriter"]:
        """Yield a writer; what is not committed when the block ends is thrown away."""
        folder = self._folder("tmp")
        path = folder / f"{os.getpid()}-{os.urandom(8).hex()}"
        writer = BlobWriter(self, path)
        try:
            yield writer
        finally:
            writer.close()
            path.unlink(missing_ok=True)

    def put(self, data: bytes) -> Digest:
        """Store bytes and return their digest."""
        digest = of_bytes(data)
        if not self.has(digest, len(data)):
            with self.writer() as writer:
                writer.write(data)
                writer.commit(digest)
        return digest

    def adopt(self, path: Path, digest: Digest) -> None:
        """Move a finished file, already hashed by the caller, into its place."""
        files.sync(path)
        path.chmod(0o444)
        target = self.path(digest)
        target.parent.mkdir(parents=True, exist_ok=True)
        path.replace(target)

    def record(self, kind: str, key: str) -> Any:
        """Return the JSON value recorded under a key, or None; a broken record is None."""
        try:
            return json.loads(self._record_path(kind, key).read_bytes())
        except (FileNotFoundError, NotADirectoryError, ValueError):
            return None

    def put_record(self, kind: str, key: str, value: object) -> None:
        """Record a JSON value under a key, replacing what was there."""
        data = json.dumps(value, sort_keys=True, separators=(",", ":")).encode()
        path = self._record_path(kind, key)
        path.parent.mkdir(parents=True, exist_ok=True)
        with files.atomic(path) as temporary:
            temporary.write_bytes(data)

    def remember(self, kind: str, key: str, value: object) -> None:
        """Record a value that can be made again; where nobody may write, it will be."""
        with contextlib.suppress(OSError):
            self.put_record(kind, key, value)

    def _record_path(self, kind: str, key: str) -> Path:
        return self.root / "records" / kind / key[:2] / f"{key}.json"

    def partial(self, digest: Digest) -> Path:
        """Return where a download of this digest goes on from."""
        return self._folder("partial") / digest.hex

    def scratch(self, name: str) -> Path:
        """Return a folder of the store for things that can be made again."""
        return self._folder("scratch") / name

    @contextlib.contextmanager
    def lock(self, name: str) -> Iterator[None]:
        """Hold a lock between processes, which ends with the process that holds it."""
        with files.lock(self._folder("locks") / f"{name}.lock"):
            yield

    def sweep(self) -> None:
        """Remove what killed processes left in `tmp/` more than a day ago."""
        gone = contextlib.suppress(FileNotFoundError, NotADirectoryError)
        with gone, os.scandir(self.root / "tmp") as entries:
            for entry in entries:
                if clock.now() - entry.stat().st_mtime > _STALE:
                    Path(entry.path).unlink(missing_ok=True)

    def _folder(self, name: str) -> Path:
        folder = self.root / name
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            if error.errno in {errno.ENOSPC, errno.EDQUOT}:
                raise  # another problem, with words of its own
            message = f"the store `{self.root}` cannot be written: {error.strerror}"
            raise LockstitchError(
                message, hint="set LOCKSTITCH_CACHE to a folder of yours"
            ) from error
        return folder


class BlobWriter:
    """Hashes bytes while they are written to a temporary file of the store."""

    def __init__(self, store: Store, path: Path) -> None:
        """Open the temporary file."""
        self._store = store
        self._path = path
        self._hasher = Hasher()
        self._handle = path.open("xb", buffering=1 << 20)

    @property
    def size(self) -> int:
        """How many bytes were written."""
        return self._hasher.size

    def write(self, data: bytes | memoryview) -> int:
        """Write and hash the next bytes."""
        self._hasher.update(data)
        return self._handle.write(data)

    def commit(self, expected: Digest | None = None) -> Digest:
        """Make the blob visible under its digest; LockstitchError when that is not `expected`."""
        digest = self._hasher.digest()
        if expected is not None and digest != expected:
            message = f"expected `{expected}`, wrote `{digest}` ({self.size} bytes)"
            raise LockstitchError(message)
        self.close()
        self._store.adopt(self._path, digest)
        return digest

    def close(self) -> None:
        """Close the temporary file."""
        self._handle.close()
