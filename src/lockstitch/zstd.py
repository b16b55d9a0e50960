"""zstd, which Python has since 3.14: through the package `zstandard`, where somebody needs it."""

import copy
import io
import zipfile
import zlib
from collections.abc import Iterator
from types import ModuleType

from lockstitch.errors import LockstitchError

METHOD = 93  # of zip members (APPNOTE 6.3.10, 4.4.5)
_PIECE = 1 << 20  # bytes that come out at once, whatever goes in


def library(what: str) -> ModuleType:
    """Return `zstandard`; LockstitchError with what needs it where it is not installed."""
    try:
        import zstandard
    except ImportError as error:
        message = f"{what} need the package `zstandard`, which is not installed"
        raise LockstitchError(message, hint="pip install 'lockstitch[zstd]'") from error
    return zstandard


def inflate(source: io.RawIOBase | io.BytesIO) -> Iterator[bytes]:
    """Yield the content of zstd frames in pieces of at most 1 MiB; EOFError for damaged ones.

    A frame that is cut off ends the content: whoever knows the size compares it. LockstitchError
    without `zstandard`.
    """
    zstandard = library("wheels whose files are compressed with zstd")
    engine = zstandard.ZstdDecompressor()  # of windows up to 128 MiB, libzstd's own limit
    try:
        with engine.stream_reader(source, read_across_frames=True, closefd=False) as reader:
            while piece := reader.read(_PIECE):
                yield piece
    except zstandard.ZstdError as error:
        raise EOFError(str(error)) from error


def read_member(archive: zipfile.ZipFile, name: str) -> bytes:
    """Return a zip's member, of method 93 too; raises as `zipfile`, or LockstitchError."""
    info = archive.getinfo(name)
    if info.compress_type != METHOD:
        return archive.read(info)
    packed = copy.copy(info)  # the frames themselves, as if they were what is stored
    packed.compress_type, packed.file_size = zipfile.ZIP_STORED, info.compress_size
    del packed.CRC
    try:
        data = io.BytesIO()
        for piece in inflate(io.BytesIO(archive.read(packed))):
            data.write(piece)
            if data.tell() > info.file_size:
                break
    except EOFError as error:
        message = f"`{name}` does not inflate: {error}"
        raise zipfile.BadZipFile(message) from error
    if (data.tell(), zlib.crc32(data.getbuffer())) != (info.file_size, info.CRC):
        message = f"`{name}` is not of the size and CRC that the directory has"
        raise zipfile.BadZipFile(message)
    return data.getvalue()
