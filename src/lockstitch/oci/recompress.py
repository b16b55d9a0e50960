"""Other forms of a layer's bytes, for readers that want one gzip member, or zstd.

The diffID stays; the digest depends on the compressing library, so only the default form's
digest is promised.
"""

import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

from lockstitch.digest import Hasher
from lockstitch.errors import LockstitchError
from lockstitch.oci.layer import GZIP, ZSTD, Layer, LayerFacts
from lockstitch.oci.layer_reader import inflated

__all__ = ["FORMS", "Recompressed", "recompressed"]

_ZSTD_LEVEL = 3
_GZIP_LEVEL = 6


class _Compressor(Protocol):
    def compress(self, data: bytes, /) -> bytes:
        """Return what is ready."""

    def flush(self) -> bytes:
        """Return the rest."""


class Recompressed:
    """A layer in another form, in a file of its own."""

    def __init__(self, facts: LayerFacts, created_by: str, path: Path) -> None:
        """Keep what is known; the file is read when a sink asks."""
        self.facts = facts
        self.created_by = created_by
        self.path = path

    def chunks(self) -> Iterator[bytes]:
        """Yield the compressed bytes."""
        with self.path.open("rb") as handle:
            while chunk := handle.read(1 << 20):
                yield chunk


def _gzip() -> tuple[_Compressor, str]:
    # 16 + the window's size: zlib writes one gzip member, without name and with mtime 0.
    return zlib.compressobj(_GZIP_LEVEL, zlib.DEFLATED, 31), GZIP


def _zstd() -> tuple[_Compressor, str]:
    try:
        import zstandard
    except ImportError as error:
        message = "zstd layers need the package `zstandard`, which is not installed"
        raise LockstitchError(message, hint="pip install 'lockstitch[zstd]'") from error
    # One thread: zstd's output differs between none and more.
    return zstandard.ZstdCompressor(level=_ZSTD_LEVEL).compressobj(), ZSTD


FORMS: dict[str, Callable[[], tuple[_Compressor, str]]] = {"gzip-single": _gzip, "zstd": _zstd}


def recompressed(layer: Layer, form: str, path: Path) -> Recompressed:
    """Write a layer in another form to `path` and return it."""
    compressor, media_type = FORMS[form]()
    hasher = Hasher()
    with path.open("wb") as handle:

        def out(data: bytes) -> None:
            hasher.update(data)
            handle.write(data)

        for plain in inflated(layer.chunks()):
            out(compressor.compress(plain))
        out(compressor.flush())
    facts = LayerFacts(
        digest=hasher.digest(),
        diff_id=layer.facts.diff_id,
        size=hasher.size,
        unpacked=layer.facts.unpacked,
        media_type=media_type,
    )
    return Recompressed(facts, layer.created_by, path)
