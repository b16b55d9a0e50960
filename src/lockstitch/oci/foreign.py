"""Images as others wrote them: layouts and archives, of any tool, read by their own digests.

Sources: OCI image spec 1.1, image-layout.md and image-index.md; Docker image spec 1.2,
"Combined Image JSON + Filesystem Changeset Format".
"""

import json
import tarfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any, Protocol

from lockstitch.digest import Digest, Hasher
from lockstitch.errors import LockstitchError
from lockstitch.oci import artifact
from lockstitch.oci.model import Platform
from lockstitch.oci.registry.repository import Repository

__all__ = ["Blobs", "StoredImage", "of_archive", "of_blobs", "of_layout", "of_registry"]

_REF = "org.opencontainers.image.ref.name"
_DOCUMENT = 64 << 20  # bytes that a manifest or a config may have
_CHUNK = 1 << 20
_DEEPEST = 4  # indexes in indexes

Chunks = Callable[[], Iterator[bytes]]


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredImage:
    """A config and layers, lowest first; each layer can be read any number of times."""

    config: Mapping[str, Any]
    layers: tuple[Chunks, ...]


class Blobs(Protocol):
    """Where blobs are found by digest: a folder, an archive, a registry."""

    def open(self, digest: Digest) -> Iterator[bytes]:
        """Yield the bytes of a blob, or raise LockstitchError when it is not there."""


class _Folder:
    """The blobs of a layout."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def open(self, digest: Digest) -> Iterator[bytes]:
        """Yield the bytes of a blob."""
        path = self._root / "blobs" / "sha256" / digest.hex
        try:
            with path.open("rb") as handle:
                while chunk := handle.read(_CHUNK):
                    yield chunk
        except FileNotFoundError as error:
            raise _damaged(self._root, f"it lacks the blob {digest}") from error


class _Members:
    """The files of an archive that is not compressed, by name."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            with tarfile.open(path, "r:") as archive:
                found = {m.name: m for m in archive if m.isreg() and not m.issparse()}
        except (tarfile.TarError, OSError, EOFError) as error:
            raise _damaged(path, f"it is no archive of an image: {error}") from error
        self._places = {
            PurePosixPath(name).as_posix(): (each.offset_data, each.size)
            for name, each in found.items()
        }

    def __contains__(self, name: str) -> bool:
        return name in self._places

    def read(self, name: str) -> Iterator[bytes]:
        """Yield the bytes of a member."""
        if name not in self._places:
            raise _damaged(self._path, f"it lacks `{name}`")
        start, left = self._places[name]
        with self._path.open("rb") as handle:
            handle.seek(start)
            while left and (chunk := handle.read(min(_CHUNK, left))):
                left -= len(chunk)
                yield chunk

    def open(self, digest: Digest) -> Iterator[bytes]:
        """Yield the bytes of a blob of a layout in the archive."""
        return self.read(f"blobs/sha256/{digest.hex}")


def of_layout(root: Path, name: str = "", *, platform: str = "") -> StoredImage:
    """Return an image of a layout: by its reference name, or the only one that there is.

    `platform`, as in `linux/amd64`, chooses in an index of several.
    """
    path = root / "index.json"
    try:
        data = path.read_bytes()
    except OSError as error:
        raise _damaged(root, "it has no index.json") from error
    return of_blobs(_Folder(root), _parsed(data, root), str(root), name=name, platform=platform)


def of_archive(path: Path, name: str = "", *, platform: str = "") -> StoredImage:
    """Return the image of a docker archive or of an OCI layout in a tar file."""
    members = _Members(path)
    if "index.json" in members:
        index = _parsed(_joined(members.read("index.json"), path), path)
        return of_blobs(members, index, str(path), name=name, platform=platform)
    manifest = _parsed(_joined(members.read("manifest.json"), path), path)
    images = _list(manifest if isinstance(manifest, list) else None, path)
    chosen = [each for each in images if not name or name in _list(each.get("RepoTags"), path)]
    if len(chosen) != 1:
        known = sorted(tag for each in images for tag in _list(each.get("RepoTags"), path))
        raise _ambiguous(str(path), name, known)
    config = _parsed(_joined(members.read(str(chosen[0].get("Config"))), path), path)
    names = [str(each) for each in _list(chosen[0].get("Layers"), path)]
    return StoredImage(config=config, layers=tuple(_reader(members, each) for each in names))


def of_registry(repository: Repository, which: Digest | str, platform: str) -> StoredImage:
    """Return an image of a registry, by tag or digest; layers are fetched as they are read."""
    manifest = repository.image(which, Platform.parse(platform))
    config = _parsed(repository.small(manifest.config), manifest.source)
    if not isinstance(config, Mapping):
        raise _damaged(manifest.source, "its config is no JSON object")
    layers = tuple(partial(repository.blob, descriptor) for descriptor in manifest.layers)
    return StoredImage(config=config, layers=layers)


def of_blobs(
    blobs: Blobs, index: Mapping[str, Any], source: str, *, name: str = "", platform: str = ""
) -> StoredImage:
    """Return the image that an index or a manifest names, its documents checked by digest."""
    document: Mapping[str, Any] = index
    for _ in range(_DEEPEST):
        if "layers" in document:
            break
        descriptors = _list(document.get("manifests"), source)
        chosen = _chosen(descriptors, source, name, platform)
        document, name = _document(blobs, chosen, source), ""
    else:
        raise _damaged(source, "its indexes never come to a manifest")
    config = _document(blobs, document.get("config"), source)
    digests = [_digest(each, source) for each in _list(document["layers"], source)]
    return StoredImage(config=config, layers=tuple(_blob(blobs, each) for each in digests))


def _chosen(
    descriptors: Sequence[Mapping[str, Any]], source: str, name: str, platform: str
) -> Mapping[str, Any]:
    # What refers to an image is none: bills of materials, signatures.
    images = [d for d in descriptors if not artifact.subject_of(_annotation(d))]
    named = [d for d in images if not name or _annotation(d) == name]
    # Attestations of BuildKit are manifests too, of a platform that nobody has.
    fits = [d for d in named if _platform(d) in {"", platform} or not platform]
    fits = [d for d in fits if _platform(d) != "unknown/unknown"]
    if len(fits) != 1:
        known = sorted({_annotation(d) or _platform(d) for d in images} - {""})
        raise _ambiguous(source, name or platform, known)
    return fits[0]


def _annotation(descriptor: Mapping[str, Any]) -> str:
    found = descriptor.get("annotations")
    return str(found.get(_REF, "")) if isinstance(found, Mapping) else ""


def _platform(descriptor: Mapping[str, Any]) -> str:
    found = descriptor.get("platform")
    if not isinstance(found, Mapping):
        return ""
    return f"{found.get('os')}/{found.get('architecture')}"


def _document(blobs: Blobs, descriptor: object, source: str) -> Mapping[str, Any]:
    digest = _digest(descriptor, source)
    data = _joined(blobs.open(digest), source)
    hasher = Hasher()
    hasher.update(data)
    if hasher.digest() != digest:
        raise _damaged(source, f"a blob is {hasher.digest()}, not {digest}")
    found = _parsed(data, source)
    if not isinstance(found, Mapping):
        raise _damaged(source, f"the blob {digest} is no JSON object")
    return found


def _digest(descriptor: object, source: str) -> Digest:
    found = descriptor.get("digest") if isinstance(descriptor, Mapping) else None
    if not isinstance(found, str):
        raise _damaged(source, "a descriptor has no digest")
    return Digest.parse(found)


def _blob(blobs: Blobs, digest: Digest) -> Chunks:
    return lambda: _checked(blobs.open(digest), digest)


def _checked(chunks: Iterator[bytes], digest: Digest) -> Iterator[bytes]:
    """Yield a blob's bytes, and raise LockstitchError at the end when they are others."""
    hasher = Hasher()
    for chunk in chunks:
        hasher.update(chunk)
        yield chunk
    if hasher.digest() != digest:
        message = f"a layer is {hasher.digest()} ({hasher.size} bytes), not {digest}"
        raise LockstitchError(message, hint="get the image again")


def _reader(members: _Members, name: str) -> Chunks:
    return lambda: members.read(name)


def _joined(chunks: Iterator[bytes], source: object) -> bytes:
    data = bytearray()
    for chunk in chunks:
        data += chunk
        if len(data) > _DOCUMENT:
            raise _damaged(source, f"a manifest or a config has more than {_DOCUMENT} bytes")
    return bytes(data)


def _parsed(data: bytes, source: object) -> Any:
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise _damaged(source, f"it holds JSON that cannot be read: {error}") from error


def _list(value: object, source: object) -> list[Any]:
    if not isinstance(value, list):
        raise _damaged(source, "a list is missing in its documents")
    return value


def _damaged(source: object, what: str) -> LockstitchError:
    return LockstitchError(f"`{source}` is no image: {what}", hint="get the image again")


def _ambiguous(source: str, name: str, known: Sequence[str]) -> LockstitchError:
    wanted = f"no image `{name}`" if name else "not exactly one image"
    message = f"`{source}` has {wanted} (it has: {', '.join(known) or 'none'})"
    return LockstitchError(message, hint=f"name one: {source}:NAME")
