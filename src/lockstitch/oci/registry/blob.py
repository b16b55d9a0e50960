"""Blobs to be sent: any part of their bytes, in order, and the last only when all are right."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from lockstitch.digest import Digest, Hasher
from lockstitch.errors import LockstitchError
from lockstitch.oci.layer import Layer, checked
from lockstitch.oci.model import Descriptor

__all__ = ["Blob", "Bytes", "of_bytes", "of_chunks", "of_layer"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Blob:
    """A descriptor and the bytes behind it, which can be read more than once."""

    descriptor: Descriptor
    chunks: Callable[[], Iterator[bytes]]  # raises LockstitchError at the end of wrong bytes
    title: str


def of_layer(layer: Layer) -> Blob:
    """Return the blob of a layer; nothing of it is read yet."""
    facts = layer.facts
    descriptor = Descriptor(media_type=facts.media_type, digest=facts.digest, size=facts.size)
    return Blob(descriptor=descriptor, chunks=lambda: checked(layer), title=layer.created_by)


def of_bytes(descriptor: Descriptor, data: bytes, title: str) -> Blob:
    """Return the blob of bytes in memory, such as a config."""
    return Blob(descriptor=descriptor, chunks=lambda: iter((data,)), title=title)


def of_chunks(
    descriptor: Descriptor, read: Callable[[Digest], Iterator[bytes]], title: str
) -> Blob:
    """Return the blob that a folder of blobs has under its digest, checked while it is read."""

    def chunks() -> Iterator[bytes]:
        hasher = Hasher()
        for chunk in read(descriptor.digest):
            hasher.update(chunk)
            yield chunk
        if (hasher.digest(), hasher.size) != (descriptor.digest, descriptor.size):
            message = f"`{title}` is {hasher.digest()} ({hasher.size} bytes), not as the manifest "
            message += f"says {descriptor.digest} ({descriptor.size} bytes)"
            raise LockstitchError(message, hint="remove .lockstitch/images, then lockstitch build")

    return Blob(descriptor=descriptor, chunks=chunks, title=title)


class Bytes:
    """Reads a blob from where it is asked to; one that is read in order is read once."""

    def __init__(self, blob: Blob) -> None:
        """Read nothing yet."""
        self._blob = blob
        self._at = 0
        self._left = b""
        self._chunks = _held(blob.chunks())

    def part(self, start: int, length: int) -> Iterator[bytes]:
        """Yield `length` bytes from `start`, never the whole in memory."""
        if start < self._at:
            self._at, self._left, self._chunks = 0, b"", _held(self._blob.chunks())
        while self._at < start:
            self._take(start - self._at)
        end = start + length
        while self._at < end:
            yield self._take(end - self._at)

    def _take(self, most: int) -> bytes:
        data = self._left or next(self._chunks)
        self._left = data[most:]
        self._at += min(most, len(data))
        return data[:most]


def _held(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Yield each chunk after the next one was read: the last comes when all were found right.

    A registry that is sent wrong bytes never has all of them, even if it checks nothing.
    """
    before = b""
    for chunk in chunks:
        if before:
            yield before
        before = chunk or before
    if before:
        yield before
