"""What a layer holds: files, folders and symlinks, each with content that can be played."""

import enum
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from lockstitch.oci import deflate

__all__ = [
    "STORED_FROM",
    "Content",
    "Entry",
    "Generated",
    "Kind",
    "OnDisk",
    "file",
    "folder",
    "symlink",
]

# Larger content of ours is stored: weights and archives hardly shrink, and the encoder is
# slow. Part of the layout version, like all that decides a layer's bytes.
STORED_FROM = 16 << 20
_CHUNK = 64 * 65535  # whole blocks, so that how a file is read never shows


class Kind(enum.Enum):
    """The kinds of entry that our layers hold: no hard link, device or whiteout."""

    FILE = "file"
    FOLDER = "folder"
    SYMLINK = "symlink"


class Content(Protocol):
    """The bytes of a file, known by size and CRC-32 before they are read."""

    @property
    def size(self) -> int:
        """How many bytes the file has."""

    @property
    def crc(self) -> int:
        """The content's CRC-32."""

    def deflated(self) -> Iterator[bytes]:
        """Yield a raw DEFLATE stream of the content, in chunks."""

    def plain(self) -> Iterator[bytes]:
        """Yield the content itself, in chunks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One path of a layer, relative to the root and without a leading slash."""

    path: str
    kind: Kind
    mode: int
    content: Content | None = None
    target: str = ""

    @property
    def size(self) -> int:
        """Bytes of content; 0 for folders and symlinks."""
        return self.content.size if self.content else 0


@dataclass(frozen=True, slots=True)
class Generated:
    """Content that we make or read ourselves, and so compress ourselves."""

    data: bytes

    @property
    def size(self) -> int:
        """How many bytes the file has."""
        return len(self.data)

    @property
    def crc(self) -> int:
        """The content's CRC-32."""
        return zlib.crc32(self.data)

    def deflated(self) -> Iterator[bytes]:
        """Yield the content through our own encoder."""
        encode = deflate.stored if len(self.data) >= STORED_FROM else deflate.compress
        yield encode(self.data)

    def plain(self) -> Iterator[bytes]:
        """Yield the content itself."""
        yield self.data


@dataclass(frozen=True, slots=True)
class OnDisk:
    """Content of a large file, stored without compression and never whole in memory."""

    path: Path
    size: int

    @property
    def crc(self) -> int:
        """The content's CRC-32."""
        crc = 0
        for chunk in self.plain():
            crc = zlib.crc32(chunk, crc)
        return crc

    def deflated(self) -> Iterator[bytes]:
        """Yield stored blocks."""
        left = self.size
        for chunk in self.plain():
            left -= len(chunk)
            yield deflate.stored(chunk, final=left <= 0)

    def plain(self) -> Iterator[bytes]:
        """Yield the content itself."""
        with self.path.open("rb") as handle:
            while chunk := handle.read(_CHUNK):
                yield chunk


def file(path: str, data: bytes, *, mode: int = 0o644) -> Entry:
    """Return a regular file."""
    return Entry(path=path, kind=Kind.FILE, mode=mode, content=Generated(data))


def folder(path: str, *, mode: int = 0o755) -> Entry:
    """Return a folder."""
    return Entry(path=path, kind=Kind.FOLDER, mode=mode)


def symlink(path: str, target: str) -> Entry:
    """Return a symlink to `target`, which is written as it is."""
    return Entry(path=path, kind=Kind.SYMLINK, mode=0o777, target=target)
