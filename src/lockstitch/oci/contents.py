"""What an image holds: the files that are left when its layers lie on each other."""

import tarfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, cast

from lockstitch.digest import Digest, Hasher
from lockstitch.errors import LockstitchError
from lockstitch.oci import layer_reader
from lockstitch.oci.layer import GZIP, ZSTD
from lockstitch.oci.rootfs import RootFs

if TYPE_CHECKING:
    from typing import IO

__all__ = ["Held", "of_layers"]

_GZIP_MAGIC, _ZSTD_MAGIC = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
_TEXT = 64 << 20  # bytes of a file whose content is wanted
_CHUNK = 1 << 20

Wanted = Callable[[str], bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A file of an image."""

    size: int
    content: bytes | None = None  # where it was wanted
    digest: Digest | None = None  # where it was wanted
    target: str = ""  # of a symlink


def of_layers(
    layers: Iterable[Callable[[], Iterable[bytes]]], *, content: Wanted, digest: Wanted
) -> dict[str, Held]:
    """Return the files of an image by path from the root, with what is wanted of each.

    Layers may be gzip, zstd or plain tar. Raises LockstitchError for one that cannot be read, or
    has a path that leads out of the root.
    """
    tree = RootFs[Held]()
    for number, layer in enumerate(layers):
        try:
            tree.add(_members(layer(), content, digest))
        except (tarfile.TarError, zlib.error, EOFError, OSError) as error:
            message = f"layer {number} cannot be read: {error}"
            raise LockstitchError(message, hint="get the image again") from error
    return {path: node.content for path, node in tree.nodes() if node.content is not None}


def _members(
    layer: Iterable[bytes], content: Wanted, digest: Wanted
) -> Iterator[tuple[tarfile.TarInfo, Held | None]]:
    """Yield the members of a layer, with what is wanted of files and symlinks."""
    stream = cast("IO[bytes]", layer_reader.Reader(_unpacked(iter(layer))))
    with tarfile.open(fileobj=stream, mode="r|") as archive:
        for member in archive:
            path = member.name.removeprefix("./").lstrip("/")
            held = None
            if member.isreg():
                held = _file(archive, member, content=content(path), digest=digest(path))
            elif member.issym():
                held = Held(size=0, target=member.linkname)
            yield member, held


def _file(
    archive: tarfile.TarFile, member: tarfile.TarInfo, *, content: bool, digest: bool
) -> Held:
    handle = archive.extractfile(member) if content or digest else None
    if handle is None:
        return Held(size=member.size)
    hasher = Hasher()
    parts = []
    while chunk := handle.read(_CHUNK):
        hasher.update(chunk)
        if content:
            parts.append(chunk)
        if content and hasher.size > _TEXT:
            message = f"`{member.name:.200}` has more than {_TEXT} bytes"
            raise LockstitchError(message, hint="look at the image with another tool")
    return Held(
        size=member.size,
        content=b"".join(parts) if content else None,
        digest=hasher.digest() if digest else None,
    )


def _unpacked(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Yield the tar, whatever it is packed in: archives do not say it."""
    first = next(chunks, b"")
    rest = chain([first], chunks)
    if first.startswith(_GZIP_MAGIC):
        return layer_reader.unpacked(rest, GZIP)
    if first.startswith(_ZSTD_MAGIC):
        return layer_reader.unpacked(rest, ZSTD)
    return rest
