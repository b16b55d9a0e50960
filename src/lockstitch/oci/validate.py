"""Every broken promise of an image, listed (the idea of go-containerregistry's `validate`)."""

import tarfile
import zlib
from collections.abc import Iterable, Iterator

from lockstitch.digest import Hasher
from lockstitch.errors import LockstitchError
from lockstitch.oci.entry import MTIME
from lockstitch.oci.layer import Layer, check_path, decompress
from lockstitch.oci.model import Image
from lockstitch.oci.rootfs import entries


def problems(image: Image, *, deep: bool = True) -> list[str]:
    """Return the problems of an image, most general first; an empty list means valid.

    With `deep`, every layer is read: digest, size, diffID, order, names, owners, times. Raises
    LockstitchError for a layer in zstd without the package `zstandard`.
    """
    texts = []
    if image.config.command and not image.layers:
        texts.append("the config names a command but the image has no layer")
    for number, layer in enumerate(image.layers):
        name = f"layer {number} ({layer.created_by})"
        texts += [f"{name}: {text}" for text in (_layer(layer) if deep else ())]
    return texts


def _layer(layer: Layer) -> Iterator[str]:
    digest, diff = Hasher(), Hasher()
    try:
        for plain in decompress(_hashed(layer.chunks(), digest), layer.facts.media_type):
            diff.update(plain)
    except (zlib.error, EOFError) as error:
        yield f"does not inflate: {error}"
        return
    facts = layer.facts
    if digest.digest() != facts.digest:
        yield f"digest is {digest.digest()}, the manifest says {facts.digest}"
    if digest.size != facts.size:
        yield f"size is {digest.size}, the manifest says {facts.size}"
    if diff.digest() != facts.diff_id:
        yield f"diffID is {diff.digest()}, the config says {facts.diff_id}"
    try:
        members = (member for member, _ in entries(layer))
        yield from _order(members, facts.unpacked, parts=2 if facts.annotations else 1)
    except LockstitchError as error:
        yield f"is no tar archive: {error.message}"


def _order(members: Iterable[tarfile.TarInfo], promised: int, *, parts: int) -> Iterator[str]:
    """Yield the problems of entries that are in order in each of so many parts."""
    before = b""
    seen: set[str] = set()
    decompress = 0
    for member in members:
        path = member.name
        try:
            check_path(path)
        except LockstitchError as error:
            yield error.message
        if path in seen:
            yield f"`{path}` is there twice"
        seen.add(path)
        name = path.encode("utf-8", "surrogateescape")  # how tarfile gives what is not UTF-8
        shown = name.decode("utf-8", "replace")
        if shown != path:
            yield f"`{shown}` is not UTF-8"
        parts -= name < before  # behind the landmark it begins again
        if name < before and parts < 1:
            yield f"`{shown}` is not in order"
        before = name
        if (member.uid, member.gid, member.uname, member.gname) != (0, 0, "", ""):
            yield f"`{path}` has an owner: {member.uid}:{member.gid}"
        if member.mtime != MTIME:
            yield f"`{path}` has the time {member.mtime}, not {MTIME}"
        if not (member.isreg() or member.isdir() or member.issym()):
            yield f"`{path}` is neither file, folder nor symlink"
        decompress += member.size
    if decompress != promised:
        yield f"has {decompress} bytes unpacked, not {promised}"


def _hashed(chunks: Iterable[bytes], hasher: Hasher) -> Iterator[bytes]:
    for chunk in chunks:
        hasher.update(chunk)
        yield chunk
