"""Layers that engines may read before they have pulled them: eStargz.

A table of contents at the end says where each file's content begins in the blob and which digest
it has; a footer says where the table begins. To every other reader the layer is a tar in gzip with
two entries more. Source: containerd/stargz-snapshotter, docs/estargz.md.
"""

import datetime
import zlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

from lockstitch.digest import Hasher, canonical_json, of_bytes
from lockstitch.errors import LockstitchError
from lockstitch.oci import deflate
from lockstitch.oci.entry import (
    MTIME,
    TAR_END,
    Content,
    Cuttable,
    Entry,
    Generated,
    Kind,
    file,
    tar_header,
    tar_padding,
)
from lockstitch.oci.layer import LayerFacts, Stitcher

FORM: Final = 1  # of all that is decided here; part of the keys of such layers
TABLE: Final = "stargz.index.json"
PREFETCH: Final = ".prefetch.landmark"  # behind the files that an engine fetches at once
NO_PREFETCH: Final = ".no.prefetch.landmark"
# What is in a layer and no file of the image.
NAMES: Final = frozenset({TABLE, PREFETCH, NO_PREFETCH})
TABLE_DIGEST: Final = "containerd.io/snapshot/stargz/toc.digest"
_UNPACKED: Final = "io.containers.estargz.uncompressed-size"  # of the tar; Podman's engines ask
CHUNK: Final = 4 << 20  # bytes of content that are fetched and checked together
SPLIT_FROM: Final = 64 << 20  # bytes of content whose stream is made anew, where that is wanted
_MOST_FIRST = 16 << 20  # bytes that a container's start may wait for
_LANDMARK = b"\x0f"
_TYPES = {Kind.FILE: "reg", Kind.FOLDER: "dir", Kind.SYMLINK: "symlink"}
_TIME = datetime.datetime.fromtimestamp(MTIME, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def stitch(
    entries: Iterable[Entry],
    write: Callable[[bytes], object],
    hasher: Hasher | None = None,
    *,
    first: Callable[[Entry], bool] = lambda _: False,
    split: bool = False,
) -> LayerFacts:
    """Write the layer of entries that `arrange` put in order, and return its facts.

    Files that are `first` come first, with the folders that they are in: engines fetch them before
    a container starts, unless they have more than 16 MiB together. With `split`, content from
    64 MiB on is compressed anew in chunks, whoever compressed it. Raises LockstitchError for
    content of another size than it says.
    """
    return _Stitcher(write, hasher, split=split).run(_in_order([*entries], first))


def _in_order(entries: list[Entry], first: Callable[[Entry], bool]) -> Iterator[Entry]:
    chosen = [entry for entry in entries if entry.content is not None and first(entry)]
    fits = sum(entry.size for entry in chosen) <= _MOST_FIRST
    ahead = {entry.path for entry in chosen if fits}
    above = set()
    for path in ahead:
        while path := path.rpartition("/")[0]:
            above.add(path)
    yield from (entry for entry in entries if entry.path in ahead | above)
    yield file(PREFETCH if ahead else NO_PREFETCH, _LANDMARK)
    yield from (entry for entry in entries if entry.path not in ahead | above)


def is_lazy(facts: LayerFacts) -> bool:
    """Return whether a layer can be read before it is pulled, by its annotations."""
    return TABLE_DIGEST in dict(facts.annotations)


class _Stitcher(Stitcher):
    """Writes a layer, its table of contents and the footer."""

    def __init__(
        self, write: Callable[[bytes], object], hasher: Hasher | None, *, split: bool
    ) -> None:
        super().__init__(write, hasher)
        self._split = split
        self._table: list[dict[str, Any]] = []

    def _entry(self, entry: Entry) -> None:
        row = {
            "name": entry.path + ("/" if entry.kind is Kind.FOLDER else ""),
            "type": _TYPES[entry.kind],
            "mode": entry.mode,
            "modtime": _TIME,
        }
        row |= {"linkName": entry.target} if entry.target else {}
        row |= {"size": entry.size} if entry.size else {}
        self._table.append(row)
        super()._entry(entry)
        if entry.path in NAMES:
            self._unpacked -= entry.size  # of no file of the image

    def _content(self, path: str, content: Content) -> None:
        self._flush_between()
        row, whole, start = self._table[-1], Hasher(), self._diff.size
        for part in _parts(content, split=self._split):
            offset, hasher = self._position, Hasher()
            self._member(part.deflated(), part.crc, part.size)
            for chunk in part.plain():
                self._diff.update(chunk)
                hasher.update(chunk)
                if part is not content:
                    whole.update(chunk)
            place: dict[str, Any] = {"offset": offset, "chunkDigest": hasher.digest()}
            if part is content:
                row |= place | {"digest": hasher.digest()}
                continue
            place["chunkSize"] = part.size
            if "offset" not in row:
                row |= place
                continue
            done = self._diff.size - start - part.size
            name = {"name": row["name"], "type": "chunk", "chunkOffset": done}
            self._table.append(name | place)
        row.setdefault("digest", whole.digest())
        if self._diff.size - start != content.size:
            message = f"`{path}` has {self._diff.size - start} bytes, not {content.size}"
            raise LockstitchError(message)
        self._unpacked += content.size

    def _end(self) -> tuple[tuple[str, str], ...]:
        self._flush_between()
        at, table = self._position, canonical_json({"version": 1, "entries": self._table})
        data = tar_header(file(TABLE, table)) + table + tar_padding(len(table)) + TAR_END
        self._diff.update(data)
        self._member((deflate.compress(data),), zlib.crc32(data), len(data))
        self._buffer += _footer(at)
        annotations = {TABLE_DIGEST: str(of_bytes(table)), _UNPACKED: str(self._diff.size)}
        return tuple(sorted(annotations.items()))


def _parts(content: Content, *, split: bool) -> Iterator[Content]:
    """Yield content in parts that can be read each alone; itself where it cannot be cut."""
    encode = content.encode if isinstance(content, Cuttable) else None
    if encode is None and split and content.size >= SPLIT_FROM:
        encode = deflate.compress
    if encode is None or content.size <= CHUNK:
        yield content
        return
    waiting = bytearray()
    for chunk in content.plain():
        waiting += chunk
        while len(waiting) >= CHUNK:
            yield Generated(bytes(waiting[:CHUNK]), encode)
            del waiting[:CHUNK]
    if waiting:
        yield Generated(bytes(waiting), encode)


def _footer(table: int) -> bytes:
    """Return an empty gzip member whose extra field says where the table begins."""
    field = b"%016xSTARGZ" % table
    extra = b"SG" + len(field).to_bytes(2, "little") + field
    header = b"\x1f\x8b\x08\x04\0\0\0\0\0\xff" + len(extra).to_bytes(2, "little")
    return header + extra + deflate.stored(b"") + bytes(8)
