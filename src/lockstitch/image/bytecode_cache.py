"""Bytecode of a wheel, compressed and kept in the store for each wheel and interpreter.

Compiling and encoding cost more than all the rest of a layer, so that a bucket of twenty
packages does it again only for the one that moved.
"""

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from lockstitch.digest import Digest, of_bytes
from lockstitch.errors import LockstitchError
from lockstitch.image.bytecode import Interpreter, compile_files
from lockstitch.image.paths import LAYOUT
from lockstitch.oci import canonical, deflate
from lockstitch.oci.entry import Content
from lockstitch.store import Store

__all__ = ["Kept", "of_wheel"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """Content whose compressed form is a part of a blob."""

    blob: Path
    start: int
    packed: int
    size: int
    crc: int

    def deflated(self) -> Iterator[bytes]:
        """Yield the compressed form."""
        with self.blob.open("rb") as handle:
            handle.seek(self.start)
            yield handle.read(self.packed)

    def plain(self) -> Iterator[bytes]:
        """Yield the content, and raise LockstitchError when the blob was damaged."""
        try:
            data = zlib.decompress(next(self.deflated()), -15)
        except zlib.error:
            data = b""
        if (len(data), zlib.crc32(data)) != (self.size, self.crc):
            message = f"`{self.blob}` is damaged"
            raise LockstitchError(message, hint=f"remove {self.blob}, then lockstitch build")
        yield data


def of_wheel(
    interpreter: Interpreter,
    store: Store,
    wheel: Digest,
    sources: Sequence[tuple[str, str]],
) -> dict[str, Content]:
    """Return path in the image → bytecode for the modules of a wheel that is in the store."""
    if not sources:
        return {}
    # The list counts too: what is compiled before a module can change its bytes.
    listing = of_bytes(canonical.dumps([list(source) for source in sources]))
    key = of_bytes(canonical.dumps([LAYOUT, wheel, interpreter.key, listing])).hex
    known = store.record("bytecode", key)
    if known is None or not store.has(Digest.parse(known["blob"]), known["size"]):
        known = _make(interpreter, store, wheel, sources)
        store.put_record("bytecode", key, known)
    blob = store.path(Digest.parse(known["blob"]))
    found: dict[str, Content] = {}
    for path, start, packed, size, crc in known["files"]:
        found[path] = Kept(blob=blob, start=start, packed=packed, size=size, crc=crc)
    return found


def _make(
    interpreter: Interpreter, store: Store, wheel: Digest, sources: Sequence[tuple[str, str]]
) -> dict[str, object]:
    files = []
    with store.writer() as writer:
        for path, data in compile_files(interpreter, store.path(wheel), sources).items():
            packed = deflate.compress(data)
            files.append([path, writer.size, len(packed), len(data), zlib.crc32(data)])
            writer.write(packed)
        size = writer.size
        return {"blob": writer.commit(), "size": size, "files": files}
