"""Reads layers back: inflates gzip members and walks the tar inside."""

import tarfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, cast

from lockstitch.errors import LockstitchError
from lockstitch.oci.layer import TAR, ZSTD, Layer

if TYPE_CHECKING:
    from typing import IO


__all__ = ["Reader", "entries", "inflated", "unpacked"]

_LARGEST = 512 << 20  # bytes of one file that is read into memory
_AT_ONCE = 16 << 20  # bytes that come out of the inflater in one piece, whatever goes in


def entries(
    layer: Layer,
    wanted: Callable[[str], bool] = lambda _: False,
    *,
    seen: Callable[[bytes], object] = lambda _: None,
) -> Iterator[tuple[tarfile.TarInfo, bytes]]:
    """Yield the members of a layer, with the content of those files that are wanted.

    `seen` is called with all bytes of the unpacked layer, in pieces: a diffID is their digest.
    Raises LockstitchError when the layer is damaged, or a wanted file has more than 512 MiB.
    """
    reader = Reader(_shown(unpacked(layer.chunks(), layer.facts.media_type), seen))
    stream = cast("IO[bytes]", reader)
    try:
        with tarfile.open(fileobj=stream, mode="r|") as archive:
            for member in archive:
                taken = member.isreg() and wanted(member.name)
                yield member, _content(archive, member) if taken else b""
        while reader.read(_AT_ONCE):
            pass  # what stands behind the archive's end belongs to the layer too
    except (tarfile.TarError, zlib.error, EOFError) as error:
        message = f"layer `{layer.created_by}` cannot be read: {error}"
        raise LockstitchError(message, hint="remove the image, then lockstitch build") from error


def unpacked(chunks: Iterable[bytes], media_type: str) -> Iterator[bytes]:
    """Yield the tar inside a layer's bytes, by its media type."""
    if media_type == TAR:
        yield from chunks
        return
    if media_type != ZSTD:
        yield from inflated(chunks)
        return
    try:
        import zstandard
    except ImportError as error:
        message = "zstd layers need the package `zstandard`, which is not installed"
        raise LockstitchError(message, hint="pip install 'lockstitch[zstd]'") from error
    engine = zstandard.ZstdDecompressor().decompressobj()
    try:
        for chunk in chunks:
            yield engine.decompress(chunk)
    except zstandard.ZstdError as error:
        raise EOFError(str(error)) from error
    if not engine.eof:
        message = "the last zstd frame is cut off"
        raise EOFError(message)


def inflated(chunks: Iterable[bytes]) -> Iterator[bytes]:
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
        message = "the last gzip member is cut off"
        raise EOFError(message)


def _content(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    if member.size > _LARGEST:
        message = f"`{member.name:.200}` has {member.size} bytes"
        raise EOFError(message)
    content = archive.extractfile(member)
    return content.read() if content else b""


def _shown(chunks: Iterable[bytes], seen: Callable[[bytes], object]) -> Iterator[bytes]:
    for chunk in chunks:
        seen(chunk)
        yield chunk


class Reader:
    """Gives chunks the `read(n)` that tarfile's stream mode wants."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        """Read from these chunks."""
        self._chunks = chunks
        self._left = b""

    def read(self, size: int) -> bytes:
        """Return up to `size` bytes; fewer only at the end."""
        parts = [self._left]
        have = len(self._left)
        while have < size:
            chunk = next(self._chunks, None)
            if chunk is None:
                break
            parts.append(chunk)
            have += len(chunk)
        data = b"".join(parts)
        self._left = data[size:]
        return data[:size]
