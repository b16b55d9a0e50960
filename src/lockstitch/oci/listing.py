"""Lists of layers' contents, made once: by who makes a layer, else by who reads it first.

A list is recorded by the digest of the layer's blob. A blob that is read is hashed on the way, and
a list of one that is not what its descriptor says is never recorded.
"""

import os
import tarfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from lockstitch import threads
from lockstitch.digest import Digest, Hasher
from lockstitch.errors import LockstitchError
from lockstitch.oci.entry import Entry, Kind
from lockstitch.oci.rootfs import DAMAGE, RootFs, StoredFile, image_files
from lockstitch.patterns import regex
from lockstitch.store import Store

Listing = list[tuple[tarfile.TarInfo, StoredFile | None]]
Source = tuple[Digest | None, Callable[[], Iterable[bytes]]]  # of a layer: blob's digest, its bytes

_KIND = "listings-1"
_SITE = r"(?:[^/]+/)*lib/python3(?:\.\d+)?t?/(?:site|dist)-packages"
NOTE = regex(rf"({_SITE})/([^/]+\.dist-info)/(?:METADATA|RECORD|WHEEL|direct_url\.json)")
_IN_SITE = regex(rf"{_SITE}/")
_SYSTEM = regex(
    r"var/lib/dpkg/status(?:\.d/[^/]+)?|lib/apk/db/installed|(?:etc|usr/lib)/os-release|"
    r"(?:usr|usr/local)/include/python3\.\d+t?/patchlevel\.h"
)
_TYPES = {Kind.FILE: tarfile.REGTYPE, Kind.FOLDER: tarfile.DIRTYPE, Kind.SYMLINK: tarfile.SYMTYPE}


def is_note(path: str) -> bool:
    """Return whether a file says what is installed: its content is part of a list."""
    return bool(NOTE.fullmatch(path) or _SYSTEM.fullmatch(path)) or path.endswith(RECORD)


def in_site(path: str) -> bool:
    """Return whether a file is of an installed package: its digest is part of a list."""
    return bool(_IN_SITE.match(path)) and not path.endswith(".pyc")


RECORD = ".dist-info/RECORD"


def of_layers(layers: Sequence[Source], store: Store) -> list[Listing]:
    """Return each layer's contents, recorded or read now; raises LockstitchError for damage."""

    def read(numbered: tuple[int, Source]) -> Listing:
        number, (digest, chunks) = numbered
        try:
            listing = list(image_files(chunks(), is_note, in_site))
        except (*DAMAGE, OSError) as error:
            message = f"layer {number} cannot be read: {error}"
            raise LockstitchError(message, hint="get the image again") from error
        if digest:
            keep(listing, digest, store)
        return listing

    known = [_recorded(digest, store) for digest, _ in layers]
    missing = [(number, layers[number]) for number, entry in enumerate(known) if entry is None]
    fresh = iter(threads.run(missing, read, parallel=os.cpu_count() or 1))
    return [next(fresh) if entry is None else entry for entry in known]


def files_of(listings: Iterable[Listing]) -> dict[str, StoredFile]:
    """Return the files that layers add up to, by path from the root."""
    tree = RootFs[StoredFile]()
    for listing in listings:
        tree.add(listing)
    return {path: node.content for path, node in tree.nodes() if node.content is not None}


def of_entries(entries: Iterable[Entry]) -> Listing:
    """Return the contents of a layer just made of these entries, whose hashes are their own."""
    return list(map(_of_entry, entries))


def keep(listing: Listing, digest: Digest, store: Store) -> None:
    """Record what the layer of this blob holds, where the store can be written."""
    store.remember(_KIND, digest.hex, list(_rows(listing)))


def _of_entry(entry: Entry) -> tuple[tarfile.TarInfo, StoredFile | None]:
    member = _member(entry.path, _TYPES[entry.kind], entry.mode, entry.size, entry.target)
    if entry.kind is Kind.FOLDER:
        return member, None
    if entry.kind is Kind.SYMLINK:
        return member, StoredFile(size=0, target=entry.target)
    digest: Digest | None = getattr(entry.content, "sha256", None)
    data, wanted = b"", is_note(entry.path)
    if entry.content and (wanted or (in_site(entry.path) and digest is None)):
        hasher = Hasher()
        for chunk in entry.content.plain():
            hasher.update(chunk)
            data += chunk if wanted else b""
        digest = hasher.digest()
    return member, StoredFile(
        size=entry.size,
        content=data if wanted else None,
        digest=(digest or Hasher().digest()) if in_site(entry.path) else None,
    )


def _member(name: str, kind: bytes, mode: int, size: int, target: str) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.mode, member.size, member.linkname = kind, mode, size, target
    return member


# --- records


def _rows(listing: Listing) -> Iterator[list[Any]]:
    for member, file in listing:
        facts: list[Any] = [member.name, member.type.decode("latin-1"), member.mode]
        facts += [member.size, member.linkname]
        if file:
            text = None if file.content is None else file.content.decode("latin-1")
            facts += [file.digest or ""] * bool(file.digest or text is not None)
            facts += [text] if text is not None else []
        yield facts


def _recorded(digest: Digest | None, store: Store) -> Listing | None:
    rows = store.record(_KIND, digest.hex) if digest else None
    if rows is None:
        return None
    try:
        return [_of_row(row) for row in rows]
    except (TypeError, ValueError, AttributeError, LockstitchError):
        return None


def _of_row(row: Sequence[Any]) -> tuple[tarfile.TarInfo, StoredFile | None]:
    name, kind, mode, size, target, *more = row
    member = _member(name, kind.encode("latin-1"), mode, size, target)
    if member.isreg():
        digest = Digest.parse(more[0]) if more and more[0] else None
        content = more[1].encode("latin-1") if len(more) > 1 else None
        return member, StoredFile(size=size, content=content, digest=digest)
    return member, StoredFile(size=0, target=target) if member.issym() else None
