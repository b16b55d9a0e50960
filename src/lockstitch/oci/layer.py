"""Layers: entries stitched into a tar of gzip members, hashed while they are written.

A gzip file may be any number of members, one behind the other (RFC 1952, 2.2). Each file's
content is a member around its own DEFLATE stream, which for a wheel is the wheel's; headers
and padding between two contents are a small member of ours.
"""

import struct
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from lockstitch.digest import Digest, Hasher
from lockstitch.errors import LockstitchError
from lockstitch.oci import deflate, tar
from lockstitch.oci.entry import Content, Entry, Kind, folder

__all__ = [
    "GZIP",
    "TAR",
    "ZSTD",
    "Layer",
    "LayerFacts",
    "Shallow",
    "arrange",
    "check_path",
    "checked",
    "oci_type",
    "stitch",
]

TAR = "application/vnd.oci.image.layer.v1.tar"
GZIP = "application/vnd.oci.image.layer.v1.tar+gzip"
ZSTD = "application/vnd.oci.image.layer.v1.tar+zstd"
# No name, mtime 0, no flags, unknown system: the ten bytes that say nothing of the host.
_GZIP_HEADER = b"\x1f\x8b\x08\0\0\0\0\0\0\xff"
_WRITE_AT = 1 << 20
_CHUNK = 1 << 20
_DOCKER = {
    "application/vnd.docker.image.rootfs.diff.tar": TAR,
    "application/vnd.docker.image.rootfs.diff.tar.gzip": GZIP,
    "application/vnd.docker.image.rootfs.diff.tar.zstd": ZSTD,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerFacts:
    """All that a manifest and a config need to know of a layer."""

    digest: Digest
    diff_id: Digest
    size: int
    unpacked: int  # bytes of the files in it, without tar's headers and padding
    media_type: str = GZIP


class Layer(Protocol):
    """A layer that can be named before its bytes are asked for."""

    @property
    def facts(self) -> LayerFacts:
        """Digest, diffID and sizes."""

    @property
    def created_by(self) -> str:
        """What the image's history says of it."""

    def chunks(self) -> Iterator[bytes]:
        """Yield the compressed bytes; called once for each sink that lacks the blob."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shallow:
    """A layer that stands somewhere else: a sink that has it already reads nothing."""

    facts: LayerFacts
    created_by: str
    places: tuple[Path, ...]  # where its bytes may be already
    bring: Callable[[], Path]  # fetches them, checked, and returns where they are

    @property
    def path(self) -> Path | None:
        """Where the blob is, if it is on this machine."""
        return next((place for place in self.places if place.exists()), None)

    def chunks(self) -> Iterator[bytes]:
        """Yield the compressed bytes, which are fetched when they are nowhere here."""
        with (self.path or self.bring()).open("rb") as handle:
            while chunk := handle.read(_CHUNK):
                yield chunk


def oci_type(media_type: str) -> str:
    """Return what the OCI image spec calls a layer's type; the bytes of a blob are the same.

    Raises LockstitchError for layers that no registry gives away, and for what is no layer.
    """
    found = _DOCKER.get(media_type, media_type)
    if found not in {TAR, GZIP, ZSTD}:
        message = f"a layer of the type `{media_type:.100}`"
        raise LockstitchError(message, hint="use another base")
    return found


def arrange(entries: Iterable[Entry], *, root: str = "") -> list[Entry]:
    """Return the entries sorted by path bytes, with each folder between `root` and a file.

    Folders at or above `root` belong to the base and are left alone. Raises LockstitchError
    for a path that is unsafe, given twice, or both a file and a folder.
    """
    found: dict[str, Entry] = {}
    for entry in entries:
        check_path(entry.path)
        if entry.path in found:
            if entry.kind is Kind.FOLDER and found[entry.path].kind is Kind.FOLDER:
                continue
            message = f"`{entry.path}` would be written twice in one layer"
            raise LockstitchError(message, hint="two packages install the same file: keep one")
        found[entry.path] = entry
    for path in list(found):
        parent = path.rpartition("/")[0]
        while parent:
            inside = parent != root and (not root or parent.startswith(root + "/"))
            other = found.setdefault(parent, folder(parent)) if inside else found.get(parent)
            if other and other.kind is not Kind.FOLDER:
                message = f"`{parent}` is a {other.kind.value} and `{path}` lies in it"
                raise LockstitchError(message)
            parent = parent.rpartition("/")[0]
    # Path bytes, not text and not locale: the one order that every system agrees on.
    return sorted(found.values(), key=lambda entry: entry.path.encode())


def check_path(path: str) -> None:
    """Raise LockstitchError for a path that is absolute, escapes the root or is a whiteout."""
    parts = path.split("/")
    unsafe = "\\" in path or any(c < " " or c == "\x7f" for c in path)
    if unsafe or any(part in {"", ".", ".."} for part in parts):
        message = f"`{path!r:.200}` is not a safe path for an image"
        raise LockstitchError(message)
    if any(part.startswith(".wh.") for part in parts):
        # OCI image spec, layer.md, "Whiteouts": such a name would delete a file.
        message = f"`{path:.200}` has a name that starts with `.wh.`, which deletes files"
        raise LockstitchError(message)


def checked(layer: Layer) -> Iterator[bytes]:
    """Yield a layer's compressed bytes, and raise LockstitchError if they are not as recorded."""
    hasher = Hasher()
    for chunk in layer.chunks():
        hasher.update(chunk)
        yield chunk
    if (hasher.digest(), hasher.size) != (layer.facts.digest, layer.facts.size):
        message = f"layer `{layer.created_by}` is {hasher.digest()} ({hasher.size} bytes), not as "
        message += f"recorded {layer.facts.digest} ({layer.facts.size} bytes)"
        raise LockstitchError(message, hint="remove it, then lockstitch build")


def stitch(entries: Iterable[Entry], write: Callable[[bytes], object]) -> LayerFacts:
    """Write the layer of entries that `arrange` put in order, and return its facts."""
    return _Stitcher(write).run(entries)


class _Stitcher:
    def __init__(self, write: Callable[[bytes], object]) -> None:
        """Write through a buffer, since most members are small."""
        self._write = write
        self._digest, self._diff = Hasher(), Hasher()
        self._buffer = bytearray()
        self._between = bytearray()
        self._unpacked = 0

    def run(self, entries: Iterable[Entry]) -> LayerFacts:
        """Write every entry and the end of the archive."""
        for entry in entries:
            self._between += tar.header(entry)
            if entry.content is not None and entry.size:
                self._content(entry.path, entry.content)
                self._between += tar.padding(entry.size)
        self._between += tar.END
        self._flush_between()
        self._flush()
        return LayerFacts(
            digest=self._digest.digest(),
            diff_id=self._diff.digest(),
            size=self._digest.size,
            unpacked=self._unpacked,
        )

    def _content(self, path: str, content: Content) -> None:
        self._flush_between()
        self._member(content.deflated(), content.crc, content.size)
        before = self._diff.size
        for chunk in content.plain():
            self._diff.update(chunk)
        if self._diff.size - before != content.size:
            message = f"`{path}` has {self._diff.size - before} bytes, not {content.size}"
            raise LockstitchError(message)
        self._unpacked += content.size

    def _flush_between(self) -> None:
        data = bytes(self._between)
        self._between.clear()
        self._diff.update(data)
        self._member((deflate.runs(data),), zlib.crc32(data), len(data))

    def _member(self, stream: Iterable[bytes], crc: int, size: int) -> None:
        self._buffer += _GZIP_HEADER
        for chunk in stream:
            self._buffer += chunk
            if len(self._buffer) >= _WRITE_AT:
                self._flush()
        self._buffer += struct.pack("<II", crc, size & 0xFFFFFFFF)

    def _flush(self) -> None:
        data = bytes(self._buffer)
        self._buffer.clear()
        self._digest.update(data)
        self._write(data)
