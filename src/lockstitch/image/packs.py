"""The compressed form of app files, kept by what is in them: an edit compresses one file again.

A pack holds the streams of one layer behind each other, and a record says where each of them is.
The next layer of its name takes over what it has, and leaves another pack in its place.
"""

import contextlib
import mmap
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from lockstitch import files
from lockstitch.digest import Digest, of_bytes
from lockstitch.errors import LockstitchError
from lockstitch.image.paths import LAYOUT
from lockstitch.oci.entry import Content, Generated, encoder
from lockstitch.store import BlobWriter, Store
from lockstitch.values import positional

_KIND = f"packs {LAYOUT}"  # of store records: another layout may have another encoder


@positional
class Packed:
    """Content whose stream is known, so that neither the file nor the encoder is needed."""

    stream: bytes
    size: int
    crc: int

    @property
    def encode(self) -> Callable[[bytes], bytes]:
        """Return the maker of a stream of a part of the content."""
        return encoder(self.size)

    def deflated(self) -> Iterator[bytes]:
        """Yield the stream."""
        yield self.stream

    def plain(self) -> Iterator[bytes]:
        """Yield the content itself."""
        yield zlib.decompress(self.stream, -zlib.MAX_WBITS, self.size)


class Pack:
    """The streams of one layer: what the last one had, and what this one has."""

    def __init__(self, store: Store, key: str, before: Any, data: Any, writer: BlobWriter) -> None:
        """Take the record and the bytes of the last pack, None for none."""
        self._store, self._key, self._before, self._data = store, key, before, data
        self._writer = writer
        self._rows: dict[str, Sequence[int]] = {}

    def content(self, path: Path, size: int, digest: Digest) -> Content | None:
        """Return the content of a file of this digest; None where it is another one by now."""
        row = self._before["rows"].get(digest.hex) if self._before else None
        if row and row[3] == size:
            at, length, crc, _ = row
            content = Packed(self._data[at : at + length], size, crc)
        else:
            data = path.read_bytes()
            if of_bytes(data) != digest:
                return None
            if not data:
                return Generated(data)
            stream = b"".join(Generated(data).deflated())
            if len(stream) > len(data):  # stored: quick to make, and nothing that is worth keeping
                return Generated(data)
            content = Packed(stream, size, zlib.crc32(data))
        if digest.hex not in self._rows:
            at = self._writer.size
            self._writer.write(content.stream)
            self._rows[digest.hex] = [at, len(content.stream), content.crc, size]
        return content

    def keep(self) -> None:
        """Record this pack in place of the last one."""
        if self._before and self._rows.keys() == self._before["rows"].keys():
            return
        digest = self._writer.commit(proved=True)  # by `opened`, each time
        self._store.put_record(_KIND, self._key, {"blob": digest, "rows": self._rows})
        if self._before and self._before["blob"] != digest:
            with contextlib.suppress(OSError):
                files.remove(self._store.path(Digest.parse(self._before["blob"])))


@contextlib.contextmanager
def opened(store: Store, key: str) -> Iterator[Pack]:
    """Yield a layer's pack, whose maker calls `keep`; raises LockstitchError if not writable."""
    with contextlib.ExitStack() as stack:
        writer = stack.enter_context(store.writer())
        before, data = store.record(_KIND, key), None
        try:
            blob = Digest.parse(before["blob"]) if before else None
            if blob and store.read_again(blob):
                handle = stack.enter_context(store.path(blob).open("rb"))
                data = stack.enter_context(mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ))
        except (LockstitchError, OSError, ValueError):
            data = None
        yield Pack(store, key, before if data else None, data, writer)
