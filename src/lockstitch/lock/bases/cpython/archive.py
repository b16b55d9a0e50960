"""Reads archives of python-build-standalone: hostile input, with bounds on all that is read."""

import gzip
import tarfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, Final, cast

from lockstitch.errors import LockstitchError

LARGEST: Final = 1 << 30  # bytes of all files together; the largest archive of 2026 has 0.4 GB
_MOST: Final = 100_000  # members; archives have about 6,000


class _Bounded:
    """A stream that ends with an error after a number of bytes, so that no bomb is unpacked."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._left = LARGEST

    def read(self, size: int) -> bytes:
        data = self._stream.read(size)
        self._left -= len(data)
        if self._left < 0:
            message = f"it has more than {LARGEST >> 20} MB"
            raise tarfile.ReadError(message)
        return data


def read_members(
    path: Path, name: str, wanted: Callable[[str], bool]
) -> Iterator[tuple[tarfile.TarInfo, bytes]]:
    """Yield each member of an archive, with its content where it is a wanted regular file.

    Raises LockstitchError when the archive cannot be read, and when it is larger than any.
    """
    try:
        with gzip.open(path, "rb") as plain:
            bounded = cast("BinaryIO", _Bounded(cast("BinaryIO", plain)))
            with tarfile.open(fileobj=bounded, mode="r|", encoding="utf-8") as tar:
                for number, info in enumerate(tar):
                    if number >= _MOST:
                        message = f"it has more than {_MOST} members"
                        raise tarfile.ReadError(message)
                    data = b""
                    if info.isreg() and wanted(info.name):
                        handle = tar.extractfile(info)
                        data = handle.read() if handle else b""
                    yield info, data
    except (tarfile.TarError, zlib.error, EOFError, OSError, OverflowError) as error:
        message = f"`{name}` is not an archive that can be read: {error}"
        raise LockstitchError(message, hint="lockstitch lock") from error
