"""Compares two images down to the byte: which layer, which entry, what of it."""

import tarfile
from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256
from itertools import zip_longest
from typing import Any

from lockstitch.digest import Digest
from lockstitch.oci import reader
from lockstitch.oci.layer import Layer
from lockstitch.oci.layout import Layout
from lockstitch.oci.manifest import Manifest, Source
from lockstitch.oci.rootfs import entries
from lockstitch.values import frozen, positional

_MOST = 50  # differences of one layer that are listed
_KEPT = 64 << 20  # bytes of one layer's entries that are held to be compared


@frozen
class Seen:
    """One image of a layout or a registry."""

    digest: Digest
    config: Mapping[str, Any]
    layers: Sequence[Layer]

    @classmethod
    def of_source(cls, source: Source, manifest: Manifest) -> "Seen":
        """Return the image of a manifest; raises LockstitchError for one without a config."""
        image = reader.of_source(source, manifest)
        return cls(digest=manifest.digest, config=image.config, layers=image.layers)

    @classmethod
    def in_layout(cls, layout: Layout, name: str) -> "Seen":
        """Return the image of a name; raises LockstitchError when the layout has none."""
        return cls.of_source(layout, layout.manifest(layout.manifest_digest(name)))


@frozen
class ImageDifference:
    """One thing that differs between two images; `here` and `there` are its two values."""

    layer: str  # its title; empty for the config
    entry: str  # its path, or the key of the config; empty for the layer as a whole
    what: str
    here: str
    there: str

    def __str__(self) -> str:
        where = " ".join(f"`{place}`" for place in (self.layer, self.entry) if place)
        return f"{where}: {self.what}: {self.here} here, {self.there} there"


def compare(here: Seen, there: Seen) -> list[ImageDifference]:
    """Return the differences, lowest layer first, then the config; none for equal digests."""
    if here.digest == there.digest:
        return []
    differences: list[ImageDifference] = []
    for one, other in zip_longest(here.layers, there.layers):
        if one is None or other is None:
            extra = one or other
            values = ("a layer", "none") if one else ("none", "a layer")
            differences.append(_whole(extra, "layer", *values))
        elif one.facts.digest != other.facts.digest:
            differences += _layer(one, other)
    differences += _config("", here.config, there.config)
    if not differences:
        differences.append(_difference("", "manifest", "digest", here.digest, there.digest))
    return differences


def _difference(layer: str, entry: str, what: str, here: str, there: str) -> ImageDifference:
    return ImageDifference(layer=layer, entry=entry, what=what, here=here, there=there)


def _whole(layer: Layer | None, what: str, here: str, there: str) -> ImageDifference:
    return _difference(layer.created_by if layer else "", "", what, here, there)


def _layer(one: Layer, other: Layer) -> list[ImageDifference]:
    if one.created_by != other.created_by:
        return [_whole(one, "another layer stands here", one.created_by, other.created_by)]
    if one.facts.diff_id == other.facts.diff_id:
        values = (one.facts.digest.short, other.facts.digest.short)
        return [_whole(one, "the same tar, compressed to other bytes", *values)]
    first, second = _entries(one), _entries(other)
    differences = list(_names(one.created_by, list(first), list(second)))
    for name in first:
        if name in second and len(differences) < _MOST:
            differences += _entry(one.created_by, name, first[name], second[name])
    if not differences:
        differences.append(_whole(one, "headers of the archive", "one form", "another"))
    return differences[:_MOST]


@positional
class _Entry:
    header: Mapping[str, object]
    digest: str
    data: bytes | None  # None where too much would be held


def _entries(layer: Layer) -> dict[str, _Entry]:
    held = 0
    read = {}
    for member, data in entries(layer, lambda _: True):
        held += len(data)
        kept = data if held < _KEPT else None
        read[member.name] = _Entry(_header(member), sha256(data).hexdigest(), kept)
    return read


def _header(member: tarfile.TarInfo) -> dict[str, object]:
    return {
        "type": member.type.decode("latin-1"),
        "mode": oct(member.mode),
        "owner": f"{member.uid}:{member.gid}",
        "names": f"{member.uname}:{member.gname}",
        "mtime": member.mtime,
        "size": member.size,
        "link": member.linkname,
        "pax": dict(member.pax_headers),
    }


def _names(layer: str, first: list[str], second: list[str]) -> Iterator[ImageDifference]:
    for name in sorted({*first} ^ {*second}, key=str.encode):
        values = ("there", "missing") if name in first else ("missing", "there")
        yield ImageDifference(
            layer=layer, entry=name, what="entry", here=values[0], there=values[1]
        )
    common = {*first} & {*second}
    orders = [[name for name in names if name in common] for names in (first, second)]
    for one, other in zip(*orders, strict=True):
        if one != other:
            yield ImageDifference(
                layer=layer, entry="", what="order of entries", here=one, there=other
            )
            return


def _entry(layer: str, name: str, one: _Entry, other: _Entry) -> Iterator[ImageDifference]:
    for key, value in one.header.items():
        if value != other.header[key]:
            values = (str(value), str(other.header[key]))
            yield ImageDifference(
                layer=layer, entry=name, what=key, here=values[0], there=values[1]
            )
    if one.digest == other.digest:
        return
    if one.data is None or other.data is None:
        what, values = "content (sha256)", (one.digest[:12], other.digest[:12])
    else:
        at = _first_difference(one.data, other.data)
        what = f"content from byte {at:,}"
        values = (_shown(one.data, at), _shown(other.data, at))
    yield _difference(layer, name, what, *values)


def _first_difference(one: bytes, other: bytes) -> int:
    """Return the first offset at which two different contents differ."""
    low, high = 0, min(len(one), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        if one[:middle] == other[:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def _shown(data: bytes, at: int) -> str:
    return data[at : at + 8].hex(" ") or "the end"  # bytes shown from the first that differs


def _config(path: str, one: object, other: object) -> Iterator[ImageDifference]:
    if one == other:
        return
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        for key in sorted({*one, *other}):
            # What layers differ in is told already.
            if (path, key) != ("", "rootfs"):
                below = f"{path}.{key}" if path else str(key)
                yield from _config(below, one.get(key), other.get(key))
        return
    yield _difference("", f"config {path}", "value", f"{one!r:.80}", f"{other!r:.80}")
