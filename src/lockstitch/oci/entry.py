"""Entries of a layer: files, folders and symlinks, and their tar headers.

Each has content that can be read twice. Headers are POSIX ustar, pax only where that is too
short, and nothing in them depends on a host.
"""

import enum
import hashlib
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Protocol, runtime_checkable

from lockstitch.oci import deflate
from lockstitch.values import frozen, positional

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
        """The size in bytes."""

    @property
    def crc(self) -> int:
        """The content's CRC-32."""

    def deflated(self) -> Iterator[bytes]:
        """Yield a raw DEFLATE stream of the content, in chunks."""

    def plain(self) -> Iterator[bytes]:
        """Yield the content itself, in chunks."""


@runtime_checkable
class Cuttable(Protocol):
    """Content whose parts can be streams of their own, where nobody else made its stream."""

    @property
    def encode(self) -> Callable[[bytes], bytes] | None:
        """Return the maker of a stream of a part; None where the content has one already."""


@frozen
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


@positional
class Generated:
    """Content that we make or read ourselves, and so compress ourselves."""

    data: bytes
    as_whole: Callable[[bytes], bytes] | None = None  # what encodes the file that it is a part of

    @property
    def size(self) -> int:
        """The size in bytes."""
        return len(self.data)

    @property
    def crc(self) -> int:
        """The content's CRC-32."""
        return zlib.crc32(self.data)

    @property
    def encode(self) -> Callable[[bytes], bytes]:
        """Return the maker of a stream of the content, or of a part of it."""
        return self.as_whole or encoder(len(self.data))

    def deflated(self) -> Iterator[bytes]:
        """Yield the content through our own encoder."""
        yield self.encode(self.data)

    def plain(self) -> Iterator[bytes]:
        """Yield the content itself."""
        yield self.data


@positional
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

    @property
    def encode(self) -> Callable[[bytes], bytes]:
        """Return the maker of a stream of a part of the content."""
        return deflate.stored

    def deflated(self) -> Iterator[bytes]:
        """Yield stored blocks."""
        yield from stored_blocks(self.plain(), self.size)

    def plain(self) -> Iterator[bytes]:
        """Yield the content itself."""
        with self.path.open("rb") as handle:
            while chunk := handle.read(_CHUNK):
                yield chunk


def encoder(size: int) -> Callable[[bytes], bytes]:
    """Return the compressor for content of a size: our encoder, or stored from 16 MiB on."""
    return deflate.compress if size < STORED_FROM else deflate.stored


def encoded(chunks: Iterable[bytes], size: int) -> Iterator[bytes]:
    """Yield content through our own encoder, or in stored blocks from 16 MiB on."""
    if size < STORED_FROM:
        yield deflate.compress(b"".join(chunks))
    else:
        yield from stored_blocks(chunks, size)


def stored_blocks(chunks: Iterable[bytes], size: int) -> Iterator[bytes]:
    """Yield stored blocks, which do not show in what pieces the content came."""
    waiting, left = bytearray(), size
    for chunk in chunks:
        waiting += chunk
        while len(waiting) >= min(_CHUNK, left) > 0:
            block = bytes(waiting[:_CHUNK])
            del waiting[:_CHUNK]
            left -= len(block)
            yield deflate.stored(block, final=left <= 0)


def parents(path: str) -> Iterator[str]:
    """Yield the folders that a path lies in, the nearest first, without the root."""
    while path := path.rpartition("/")[0]:
        yield path


def file(path: str, data: bytes, *, mode: int = 0o644) -> Entry:
    """Return a regular file."""
    return Entry(path=path, kind=Kind.FILE, mode=mode, content=Generated(data))


def folder(path: str, *, mode: int = 0o755) -> Entry:
    """Return a folder."""
    return Entry(path=path, kind=Kind.FOLDER, mode=mode)


def symlink(path: str, target: str) -> Entry:
    """Return a symlink to `target`, unchanged."""
    return Entry(path=path, kind=Kind.SYMLINK, mode=0o777, target=target)


# 1980-01-02T00:00Z: the first day that `zipfile` accepts in every time zone.
MTIME = 315619200
BLOCK = 512
TAR_END = bytes(2 * BLOCK)
_TYPES = {Kind.FILE: b"0", Kind.SYMLINK: b"2", Kind.FOLDER: b"5"}
_NAME, _PREFIX, _LINK = 100, 155, 100
_OCTAL_LIMIT = 8 << 30  # a ustar size field holds eleven octal digits


def tar_padding(size: int) -> bytes:
    """Return the zeros that fill the last block of a content of this size."""
    return bytes(-size % BLOCK)


def tar_header(entry: Entry, *, size: int | None = None) -> bytes:
    """Return an entry's header blocks, more with pax; `size` is of content streamed apart."""
    size = entry.size if size is None else size
    path = entry.path + ("/" if entry.kind is Kind.FOLDER else "")
    name, prefix = _split(path.encode())
    target = entry.target.encode()
    records = b""
    if name is None:
        records += _record("path", path)
    if len(target) > _LINK:
        records += _record("linkpath", entry.target)
    if size >= _OCTAL_LIMIT:
        records += _record("size", str(size))
    head = b""
    if records:
        # Named by the content, since a process number or a counter would not repeat.
        pax = b"PaxHeaders/" + hashlib.sha256(records).hexdigest()[:32].encode()
        head = (
            _block(pax, b"", b"x", 0o644, len(records), b"") + records + tar_padding(len(records))
        )
        name = name or hashlib.sha256(path.encode()).hexdigest().encode()
    return head + _block(
        name or b"",
        prefix,
        _TYPES[entry.kind],
        entry.mode,
        0 if size >= _OCTAL_LIMIT else size,
        target[:_LINK] if len(target) <= _LINK else b"",
    )


def _split(path: bytes) -> tuple[bytes | None, bytes]:
    """Return (name, prefix) for ustar, or (None, b"") when the path needs pax."""
    if len(path) <= _NAME and path.isascii():
        return path, b""
    if not path.isascii() or len(path) > _NAME + _PREFIX + 1:
        return None, b""
    # The leftmost slash that leaves a short enough name; a folder's own last slash is no cut.
    at = path.find(b"/", len(path) - _NAME - 1, len(path) - 1)
    if at < 1 or at > _PREFIX:
        return None, b""
    return path[at + 1 :], path[:at]


def _record(key: str, value: str) -> bytes:
    body = f" {key}={value}\n".encode()
    size = len(body)
    while len(str(size)) + len(body) != size:
        size = len(str(size)) + len(body)
    return str(size).encode() + body


def _block(name: bytes, prefix: bytes, kind: bytes, mode: int, size: int, target: bytes) -> bytes:
    block = b"".join(
        (
            name.ljust(100, b"\0"),
            b"%07o\0" % mode,
            b"0000000\0" * 2,  # uid, gid
            b"%011o\0" % size,
            b"%011o\0" % MTIME,
            b"        ",  # checksum, filled in below
            kind,
            target.ljust(100, b"\0"),
            b"ustar\x0000",
            bytes(64),  # no user or group name
            b"0000000\0" * 2,  # device numbers
            prefix.ljust(155, b"\0"),
            bytes(12),
        )
    )
    return block[:148] + b"%06o\0 " % sum(block) + block[156:]
