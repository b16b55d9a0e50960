"""Looks into images of anybody's layout: configurations, and small files of layers, with limits.

Written for input that means harm: names, sizes and nesting are checked, and nothing is unpacked.
"""

import json
import re
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from lockstitch.digest import Digest
from lockstitch.errors import LockstitchError
from lockstitch.oci.artifact import subject_of
from lockstitch.oci.layer_reader import unpacked

__all__ = ["Found", "SmallFile", "images", "small_files"]

_LARGEST_JSON = 4 << 20
_MOST_IMAGES = 200
_MOST_FILES = 1_000_000
_MOST_BYTES = 64 << 30  # unpacked, of one layer
_LONGEST_NAME = 64 << 10
_CHUNK = 64 << 10  # DEFLATE gives at most a thousand times as much at once
_BLOCK = 512
_PAX = re.compile(rb"(\d{1,7}) ")
_REF = "org.opencontainers.image.ref.name"


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """One image of a layout: what it is called, its configuration, its layers' blobs."""

    name: str
    config: Mapping[str, Any]
    layers: tuple[tuple[str, str], ...]  # digest and media type


@dataclass(frozen=True, slots=True, kw_only=True)
class SmallFile:
    """A regular file of a layer."""

    name: str
    data: bytes


def images(layout: Path) -> Iterator[Found]:
    """Yield the images of a layout, those of nested indexes included.

    Raises LockstitchError for what is no layout, or has more than it should.
    """
    todo = [(_json(layout / "index.json"), "", 0)]
    seen = 0
    while todo:
        document, name, depth = todo.pop(0)
        for each in _dicts(document.get("manifests")):
            seen += 1
            if seen > _MOST_IMAGES or depth > 3:  # noqa: PLR2004 -- an index of an index of one
                message = f"`{layout}` has more than {_MOST_IMAGES} images, or indexes too deep"
                raise LockstitchError(message)
            inner = _json(_blob(layout, each.get("digest")))
            notes = each.get("annotations")
            called = notes.get(_REF) if isinstance(notes, dict) else None
            called = called if isinstance(called, str) else name or str(each.get("digest"))[:19]
            if subject_of(called):
                continue  # what refers to an image is none: bills of materials, signatures
            if "manifests" in inner:
                todo.append((inner, called, depth + 1))
            elif isinstance(inner.get("config"), dict):
                yield _image(layout, inner, called)


def _image(layout: Path, manifest: Mapping[str, Any], name: str) -> Found:
    config = _json(_blob(layout, manifest["config"].get("digest")))
    layers = tuple(
        (str(each.get("digest")), str(each.get("mediaType", "")))
        for each in _dicts(manifest.get("layers"))
    )
    return Found(name=name, config=config, layers=layers)


def _dicts(value: object) -> list[dict[str, Any]]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def _blob(layout: Path, digest: object) -> Path:
    return layout / "blobs" / "sha256" / Digest.parse(str(digest)).hex


def _opened(path: Path) -> BinaryIO:
    if not path.is_file():  # a pipe would be waited for
        message = f"`{path.name}` is no file"
        raise ValueError(message)
    return path.open("rb")


def _json(path: Path) -> dict[str, Any]:
    try:
        with _opened(path) as handle:
            data = handle.read(_LARGEST_JSON + 1)
        found = json.loads(data) if len(data) <= _LARGEST_JSON else None
    except (OSError, ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        message = f"`{path}` is no JSON object of at most {_LARGEST_JSON:,} bytes"
        raise LockstitchError(message, hint="name the folder of an OCI layout, with its index.json")
    return found


def small_files(layout: Path, digest: str, media_type: str, largest: int) -> Iterator[SmallFile]:
    """Yield the regular files of a layer up to a size in bytes.

    Raises LockstitchError when the layer cannot be read, or is more than a layer should be.
    """
    path = _blob(layout, digest)
    try:
        with _opened(path) as handle:
            chunks = iter(lambda: handle.read(_CHUNK), b"")
            plain = "+" not in media_type and not media_type.endswith("gzip")
            yield from _walk(chunks if plain else unpacked(chunks, media_type), largest)
    except (OSError, ValueError, EOFError, zlib.error) as error:
        message = f"the layer {digest:.19} of `{layout}` cannot be read: {error}"
        raise LockstitchError(message) from error


class _Stream:
    """Reads and skips bytes of chunks, and counts them."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._left = memoryview(b"")
        self._count = 0

    def take(self, size: int, *, keep: bool = True) -> bytes:
        """Return the next bytes, fewer at the end; nothing when they are not to be kept."""
        parts = []
        while size:
            if not self._left:
                chunk = next(self._chunks, None)
                if chunk is None:
                    break
                self._count += len(chunk)
                if self._count > _MOST_BYTES:
                    message = f"it is larger than {_MOST_BYTES:,} bytes"
                    raise ValueError(message)
                self._left = memoryview(chunk)
            part, self._left = self._left[:size], self._left[size:]
            size -= len(part)
            parts += [bytes(part)] if keep else []
        return b"".join(parts)


def _walk(chunks: Iterator[bytes], largest: int) -> Iterator[SmallFile]:
    """Yield the small files of a tar: ustar, with GNU's and POSIX's long names and sizes."""
    stream = _Stream(chunks)
    long: dict[bytes, bytes] = {}
    for _ in range(_MOST_FILES):
        header = stream.take(_BLOCK)
        if len(header) < _BLOCK or not any(header):
            return
        size = _number(header[124:136])
        kind = header[156:157]
        if kind in {b"L", b"x"}:
            if size > _LONGEST_NAME:
                message = f"it has a name of {size:,} bytes"
                raise ValueError(message)
            data = stream.take(_padded(size))[:size]
            long |= {b"path": data.rstrip(b"\0")} if kind == b"L" else _pax(data)
            continue
        size = int(long.get(b"size", b"") or size)
        name = long.get(b"path") or _name(header)
        long = {}
        if kind in {b"0", b"\0", b"7"}:
            keep = size <= largest
            data = stream.take(_padded(size), keep=keep)[:size]
            if keep:
                yield SmallFile(name=name.decode("utf-8", "replace"), data=data)
        elif kind in {b"g", b"K", b"S"}:  # global settings, long link names, sparse files
            stream.take(_padded(size), keep=False)
    message = f"it has more than {_MOST_FILES:,} entries"
    raise ValueError(message)


def _padded(size: int) -> int:
    return (size + _BLOCK - 1) // _BLOCK * _BLOCK


def _number(field: bytes) -> int:
    if field[0] & 0x80:  # GNU's base 256
        value = int.from_bytes(field[1:], "big")
    else:
        digits = field.strip(b" \0")
        value = int(digits, 8) if digits else 0
    if not 0 <= value <= _MOST_BYTES:
        message = f"an entry says that it has {value:,} bytes"
        raise ValueError(message)
    return value


def _name(header: bytes) -> bytes:
    name, prefix = header[:100].rstrip(b"\0"), header[345:500].rstrip(b"\0")
    return prefix + b"/" + name if prefix and header[257:262] == b"ustar" else name


def _pax(data: bytes) -> dict[bytes, bytes]:
    found, at = {}, 0
    while (match := _PAX.match(data, at)) is not None:
        end = at + int(match[1])
        if end <= match.end() or end > len(data):
            break
        key, _, value = data[match.end() : end].rstrip(b"\n").partition(b"=")
        if key in {b"path", b"size"}:
            found[key] = value
        at = end
    return found
