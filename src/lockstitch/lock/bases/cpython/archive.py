"""Reads archives of python-build-standalone: hostile input, with bounds on all that is read."""

import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from lockstitch import files
from lockstitch.errors import LockstitchError
from lockstitch.oci import rootfs

LARGEST: Final = 1 << 30  # bytes of all files together; the largest archive of 2026 has 0.4 GB
_MOST: Final = 100_000  # members; archives have about 6,000


def read_members(
    path: Path, name: str, wanted: Callable[[str], bool]
) -> Iterator[tuple[tarfile.TarInfo, bytes]]:
    """Yield each member of an archive, with its content where it is a wanted regular file.

    Raises LockstitchError when the archive cannot be read, and when it is larger than any.
    """
    try:
        every = rootfs.archive_members(files.chunks(path), most=LARGEST)
        for number, (info, content) in enumerate(every):
            if number >= _MOST:
                raise tarfile.ReadError(f"it has more than {_MOST} members")
            yield info, b"".join(content()) if info.isreg() and wanted(info.name) else b""
    except (*rootfs.DAMAGE, OSError) as error:
        message = f"`{name}` is not an archive that can be read: {error}"
        raise LockstitchError(message, hint="lockstitch lock") from error
