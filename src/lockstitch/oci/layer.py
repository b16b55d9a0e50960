"""Layers: entries stitched into a tar of gzip members, hashed while they are written.

A gzip file may be any number of members, one behind the other (RFC 1952, 2.2). Each file's
content is a member around its own DEFLATE stream, which for a wheel is the wheel's; headers
and padding between two contents are a small member of ours. `recompress` gives other forms of
the same tar, whose bytes depend on the compressing library.
"""

import contextlib
import struct
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Protocol

from lockstitch import files, zstd
from lockstitch.digest import Digest, Hasher
from lockstitch.errors import LockstitchError
from lockstitch.oci import deflate
from lockstitch.oci.entry import (
    TAR_END,
    Content,
    Entry,
    Kind,
    folder,
    parents,
    tar_header,
    tar_padding,
)
from lockstitch.patterns import regex
from lockstitch.values import frozen

TAR = "application/vnd.oci.image.layer.v1.tar"
GZIP = "application/vnd.oci.image.layer.v1.tar+gzip"
ZSTD = "application/vnd.oci.image.layer.v1.tar+zstd"
PASSTHROUGH = "passthrough"  # the form in which a wheel's own streams are a layer's
# No name, mtime 0, no flags, unknown system: the ten bytes that say nothing of the host.
_GZIP_HEADER = b"\x1f\x8b\x08\0\0\0\0\0\0\xff"
_WRITE_AT = 1 << 20
_LAYERS = "zstd layers"  # what needs `zstandard`
_AT_ONCE = 16 << 20  # bytes that come out of the inflater in one piece, whatever goes in
_DOCKER = {
    "application/vnd.docker.image.rootfs.diff.tar": TAR,
    "application/vnd.docker.image.rootfs.diff.tar.gzip": GZIP,
    "application/vnd.docker.image.rootfs.diff.tar.zstd": ZSTD,
}


@frozen
class LayerFacts:
    """All that a manifest and a config need to know of a layer."""

    digest: Digest
    diff_id: Digest
    size: int
    unpacked: int  # bytes of the files in it, without tar's headers and padding
    media_type: str = GZIP
    annotations: tuple[tuple[str, str], ...] = ()  # of its descriptor, sorted


class Layer(Protocol):
    """A layer that can be named before its bytes are asked for."""

    @property
    def facts(self) -> LayerFacts:
        """Digest, diffID and sizes."""

    @property
    def created_by(self) -> str:
        """The text of the layer in the image's history."""

    def chunks(self) -> Iterator[bytes]:
        """Yield the compressed bytes; called once for each sink that lacks the blob."""


@frozen
class FileLayer:
    """A layer whose compressed bytes are a file."""

    facts: LayerFacts
    created_by: str
    path: Path

    def chunks(self) -> Iterator[bytes]:
        """Yield the compressed bytes."""
        yield from files.chunks(self.path)


@frozen
class LazyLayer:
    """A layer whose bytes are fetched when a sink that lacks the blob reads them."""

    facts: LayerFacts
    created_by: str
    find: Callable[[], Path | None]  # returns where they are on this machine already, whole
    bring: Callable[[], Path]  # fetches them, checked, and returns where they are

    @property
    def path(self) -> Path | None:
        """The path of the blob, if it is on this machine."""
        return self.find()

    def chunks(self) -> Iterator[bytes]:
        """Yield compressed bytes, fetched if needed; raises LockstitchError after damaged ones."""
        yield from whole_chunks(self.path or self.bring(), self)


class GoneError(LockstitchError):
    """Says that a layer, which was there when a build began, is not any more, or was damaged."""


def whole_chunks(path: Path, layer: Layer) -> Iterator[bytes]:
    """Yield the bytes of a layer's file.

    Raises GoneError when it is gone, and at its end when it is damaged: it is removed, so that
    whoever asks next makes or fetches it again.
    """
    hasher = Hasher()
    try:
        for chunk in files.chunks(path):
            hasher.update(chunk)
            yield chunk
    except OSError as error:
        message = f"the blob {layer.facts.digest} of `{layer.created_by}` is gone"
        raise GoneError(message, hint="run the same command again") from error
    if hasher.digest() != layer.facts.digest:
        with contextlib.suppress(OSError):
            files.remove(path)
        message = f"`{path}`, the blob of `{layer.created_by}`, was damaged: it is removed"
        raise GoneError(message, hint="run the same command again")


def oci_type(media_type: str) -> str:
    """Return a layer's media type in the OCI image spec; the bytes of a blob are the same.

    Raises LockstitchError for layers that no registry gives away, and for what is no layer.
    """
    known = _DOCKER.get(media_type, media_type)
    if known not in {TAR, GZIP, ZSTD}:
        raise LockstitchError(f"a layer of the type `{media_type:.100}`", hint="use another base")
    return known


def arrange(entries: Iterable[Entry], *, root: str = "") -> list[Entry]:
    """Return the entries sorted by path bytes, with each folder between `root` and a file.

    Folders at or above `root` belong to the base and are left alone. Raises LockstitchError
    for a path that is unsafe, given twice, or both a file and a folder.
    """
    kept: dict[str, Entry] = {}
    for entry in entries:
        check_path(entry.path)
        if entry.path in kept:
            if entry.kind is Kind.FOLDER and kept[entry.path].kind is Kind.FOLDER:
                continue
            message = f"`{entry.path}` would be written twice in one layer"
            raise LockstitchError(message, hint="two packages install the same file: keep one")
        kept[entry.path] = entry
    known: set[str] = set()
    for path in list(kept):
        for parent in parents(path):
            if parent in known:
                break  # and so are those above it
            inside = parent != root and (not root or parent.startswith(root + "/"))
            other = kept.setdefault(parent, folder(parent)) if inside else kept.get(parent)
            if other and other.kind is not Kind.FOLDER:
                raise LockstitchError(f"`{parent}` is a {other.kind.value} and `{path}` lies in it")
            known.add(parent)
    # By code points, the order of the bytes in UTF-8 too: the one that every system agrees on.
    return [kept[path] for path in sorted(kept)]


_UNSAFE = regex(r"[\x00-\x1f\x7f\\]")


def check_path(path: str) -> None:
    """Raise LockstitchError for a path that is absolute, escapes the root or is a whiteout."""
    if _UNSAFE.search(path) or not {"", ".", ".."}.isdisjoint(path.split("/")):
        raise LockstitchError(f"`{path!r:.200}` is not a safe path for an image")
    if "/.wh." in f"/{path}":
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


def stitch(
    entries: Iterable[Entry], write: Callable[[bytes], object], hasher: Hasher | None = None
) -> LayerFacts:
    """Write the layer of entries that `arrange` put in order, and return its facts.

    `hasher` is the one of `write`, where that hashes what it gets. Raises LockstitchError for
    content of another size than it says.
    """
    return Stitcher(write, hasher).run(entries)


def write_layer(entries: Iterable[Entry], path: Path, *, created_by: str = "") -> FileLayer:
    """Write the layer of entries, in any order; raises LockstitchError for a path that clashes."""
    with files.atomic(path) as temporary, temporary.open("wb") as handle:
        facts = stitch(arrange(entries), handle.write)
    return FileLayer(facts=facts, created_by=created_by, path=path)


class Stitcher:
    """A writer of one layer; `stargz` has one that adds a table of contents."""

    def __init__(self, write: Callable[[bytes], object], hasher: Hasher | None = None) -> None:
        self._write, self._is_hashed = write, hasher is not None
        self._digest, self._diff = hasher or Hasher(), Hasher()
        self._buffer = bytearray()
        self._between = bytearray()
        self._unpacked = 0

    def run(self, entries: Iterable[Entry]) -> LayerFacts:
        """Write every entry and the archive's end; raises LockstitchError for a wrong size."""
        for entry in entries:
            self._entry(entry)
        annotations = self._end()
        self._flush()
        return LayerFacts(
            digest=self._digest.digest(),
            diff_id=self._diff.digest(),
            size=self._digest.size,
            unpacked=self._unpacked,
            annotations=annotations,
        )

    def _entry(self, entry: Entry) -> None:
        self._between += tar_header(entry)
        if entry.content is not None and entry.size:
            self._content(entry.path, entry.content)
            self._between += tar_padding(entry.size)

    def _end(self) -> tuple[tuple[str, str], ...]:
        """Write the end of the archive, and return what the layer's descriptor says of it."""
        self._between += TAR_END
        self._flush_between()
        return ()

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
            if len(chunk) >= _WRITE_AT:
                self._flush()
                self._out(chunk)
                continue
            self._buffer += chunk
            if len(self._buffer) >= _WRITE_AT:
                self._flush()
        self._buffer += struct.pack("<II", crc, size & 0xFFFFFFFF)

    @property
    def _position(self) -> int:
        """The bytes of the layer so far."""
        return self._digest.size + len(self._buffer)

    def _flush(self) -> None:
        data = bytes(self._buffer)
        self._buffer.clear()
        self._out(data)

    def _out(self, data: bytes) -> None:
        if not self._is_hashed:
            self._digest.update(data)
        self._write(data)


# --- the bytes of a layer in other forms


def decompress(chunks: Iterable[bytes], media_type: str) -> Iterator[bytes]:
    """Yield a layer's tar; raises EOFError, zlib.error, or LockstitchError without `zstandard`."""
    if media_type == TAR:
        yield from chunks
        return
    if media_type != ZSTD:
        yield from inflate(chunks)
        return
    zstandard = zstd.library(_LAYERS)
    engine = zstandard.ZstdDecompressor().decompressobj()
    try:
        for chunk in chunks:
            yield engine.decompress(chunk)
    except zstandard.ZstdError as error:
        raise EOFError(str(error)) from error
    if not engine.eof:
        raise EOFError("the last zstd frame is cut off")


def inflate(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the content of a gzip file of any number of members; EOFError if it is cut off."""
    engine = None
    for chunk in chunks:
        rest = chunk
        while rest:
            engine = engine or zlib.decompressobj(31)
            # In pieces: a chunk of zeros would come out a thousand times as large.
            yield engine.decompress(rest, _AT_ONCE)
            rest = engine.unconsumed_tail or engine.unused_data
            if engine.eof:
                engine = None
    if engine is not None:
        raise EOFError("the last gzip member is cut off")


def recompress(layer: Layer, form: str, path: Path) -> FileLayer:
    """Return a layer rewritten as gzip or zstd, of one diffID; raises LockstitchError for zstd."""
    compressor, media_type = FORMS[form]()
    hasher = Hasher()
    with path.open("wb") as handle:

        def out(data: bytes) -> None:
            hasher.update(data)
            handle.write(data)

        for plain in inflate(layer.chunks()):
            out(compressor.compress(plain))
        out(compressor.flush())
    facts = LayerFacts(
        digest=hasher.digest(),
        diff_id=layer.facts.diff_id,
        size=hasher.size,
        unpacked=layer.facts.unpacked,
        media_type=media_type,
    )
    return FileLayer(facts=facts, created_by=layer.created_by, path=path)


class _Compressor(Protocol):
    def compress(self, data: bytes, /) -> bytes:
        """Return the bytes that are ready."""

    def flush(self) -> bytes:
        """Return the rest."""


def _gzip() -> tuple[_Compressor, str]:
    # 16 + the window's size: zlib writes one gzip member, without name and with mtime 0.
    return zlib.compressobj(6, zlib.DEFLATED, 31), GZIP


def _zstd() -> tuple[_Compressor, str]:
    # One thread: zstd's output differs between none and more.
    return zstd.library(_LAYERS).ZstdCompressor(level=3).compressobj(), ZSTD


FORMS: dict[str, Callable[[], tuple[_Compressor, str]]] = {"gzip-single": _gzip, "zstd": _zstd}
