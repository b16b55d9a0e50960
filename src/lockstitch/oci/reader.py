"""Reads images that any tool wrote: from layouts, archives and registries.

Written for input that means harm: documents, indexes and names are bounded, every blob is checked
against its digest, and nothing is unpacked. Sources: OCI image spec 1.1, image-layout.md and
image-index.md; Docker image spec 1.2, "Combined Image JSON + Filesystem Changeset Format".
"""

import tarfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

from lockstitch import files
from lockstitch.digest import Digest, Hasher, of_bytes, parse_json
from lockstitch.errors import LockstitchError
from lockstitch.oci import manifest
from lockstitch.oci.layer import LayerFacts
from lockstitch.oci.manifest import Manifest, Source
from lockstitch.oci.model import (
    INDEX_TYPE,
    MANIFEST_TYPE,
    Descriptor,
    Platform,
    referrers_tag,
    subject_of,
)
from lockstitch.oci.rootfs import DAMAGE, BoundedHeader
from lockstitch.values import frozen

REF = "org.opencontainers.image.ref.name"
_DOCUMENT = 16 << 20  # bytes that a manifest or a config may have
_DEEPEST = 4  # indexes in indexes
_MOST_IMAGES = 200


@frozen
class StoredLayer:
    """A layer of an image that was read, as far as the image's documents describe it."""

    read: Callable[[], Iterator[bytes]]
    created_by: str = ""
    descriptor: Descriptor | None = None  # none in a Docker archive, which names files
    diff_id: str = ""  # empty where the config has none for each layer

    def chunks(self) -> Iterator[bytes]:
        """Yield the compressed bytes; LockstitchError at the end when they are others."""
        return self.read()

    @property
    def name(self) -> str:
        """The name in messages: the beginning of its digest, or its title."""
        return self.descriptor.digest[:19] if self.descriptor else f"`{self.created_by:.60}`"

    @property
    def facts(self) -> LayerFacts:
        """The facts in its documents; LockstitchError where they are incomplete."""
        if self.descriptor is None or not self.diff_id:
            message = "the config and the manifest of the image do not name the same layers"
            raise LockstitchError(message, hint="get the image again")
        return LayerFacts(
            digest=self.descriptor.digest,
            diff_id=Digest.parse(self.diff_id),
            size=self.descriptor.size,
            unpacked=0,
            media_type=self.descriptor.media_type,
            annotations=tuple(sorted(self.descriptor.annotations.items())),
        )


@frozen
class StoredImage:
    """A config and layers, lowest first; each layer can be read any number of times."""

    config: Mapping[str, Any]
    layers: tuple[StoredLayer, ...]
    name: str = ""
    digest: Digest | None = None  # of the manifest; a Docker archive has none


def of_layout(root: Path, name: str = "", *, platform: str = "") -> StoredImage:
    """Return an image of a layout: by its reference name, or the only one that there is.

    `platform`, as in `linux/amd64`, chooses in an index of several. Raises LockstitchError when
    not exactly one image fits, or when it is damaged.
    """
    return LayoutReader(root).image(name, platform=platform)


def of_archive(path: Path, name: str = "", *, platform: str = "") -> StoredImage:
    """Return an archive's image, Docker's or OCI's; raises LockstitchError unless one fits."""
    archive = _ArchiveReader(path)
    return archive.image(name, platform=platform) if archive.is_layout else archive.docker(name)


def of_source(source: Source, image: Manifest, name: str = "") -> StoredImage:
    """Return a manifest's image, of lazy layers; raises LockstitchError for a bad config."""
    if image.config.size > _DOCUMENT:
        raise _damaged(image.source, f"its config has more than {_DOCUMENT:,} bytes")
    config = _object(b"".join(source.blob(image.config)), image.source)
    diff_ids, titles = _described(config, len(image.layers))
    layers = tuple(
        StoredLayer(
            created_by=title,
            descriptor=descriptor,
            diff_id=diff_id,
            read=partial(source.blob, descriptor),
        )
        for descriptor, diff_id, title in zip(image.layers, diff_ids, titles, strict=True)
    )
    return StoredImage(name=name, digest=image.digest, config=config, layers=layers)


class LayoutReader:
    """The images and blobs of an OCI layout, as a `Source`."""

    def __init__(self, root: Path) -> None:
        self.root = root

    # --- manifests and blobs

    def index(self) -> Manifest:
        """Return index.json; LockstitchError when it is missing or damaged."""
        try:
            data = self._whole("index.json")
        except FileNotFoundError as error:
            raise _damaged(self.root, "it has no index.json") from error
        return manifest.read(data, INDEX_TYPE, f"the index of `{self.root}`")

    def tags(self) -> set[str]:
        """Return every name here, also of referrers; raises LockstitchError when damaged."""
        return {descriptor.annotations.get(REF, "") for descriptor in self.index().manifests} - {""}

    def document(self, digest: Digest) -> Mapping[str, Any]:
        """Return a JSON blob, such as a config; LockstitchError when it is gone or damaged."""
        return _object(self._checked(digest), self.root)

    def manifest(self, which: Digest | str) -> Manifest:
        """Return the manifest or index of a digest or a name, checked, or raise LockstitchError."""
        data = self._checked(which if isinstance(which, Digest) else self._named(which))
        # Its media type is optional there (image-spec, manifest.md).
        document = _object(data, self.root)
        given = INDEX_TYPE if "manifests" in document else MANIFEST_TYPE
        given = "" if document.get("mediaType") else given
        return manifest.read(data, given, f"`{which}` of `{self.root}`")

    def blob(self, descriptor: Descriptor) -> Iterator[bytes]:
        """Yield a blob's bytes; LockstitchError at the end when they are not as described."""
        hasher = Hasher()
        try:
            for chunk in self._open(f"blobs/sha256/{descriptor.digest.hex}"):
                hasher.update(chunk)
                yield chunk
        except FileNotFoundError as error:
            raise self._lacks(descriptor.digest) from error
        if (hasher.digest(), hasher.size) != (descriptor.digest, descriptor.size):
            message = f"a blob of `{self.root}` is {hasher.digest()} ({hasher.size} bytes), not "
            message += f"{descriptor.digest} ({descriptor.size} bytes)"
            raise LockstitchError(message, hint=f"remove {self.root} and build again")

    def referrers(self, digest: Digest, artifact_type: str = "") -> list[Descriptor]:
        """Return the manifests whose subject is a digest, of one type or all, in their order.

        Raises LockstitchError when the layout is damaged.
        """
        name = referrers_tag(digest)
        if name not in self.tags():
            return []
        referrers = self.manifest(name).manifests
        return [referrer for referrer in referrers if artifact_type in {"", referrer.artifact_type}]

    # --- images

    def image(self, name: str = "", *, platform: str = "") -> StoredImage:
        """Return the image of a name and a platform, or the only one that there is.

        Raises LockstitchError when not exactly one image fits, or when it is damaged.
        """
        document, wanted = self.index(), name
        for _ in range(_DEEPEST):
            document, wanted = self._described(self._chosen(document, wanted, platform)), ""
            if not document.is_index:
                return of_source(self, document, name)
        raise _damaged(self.root, "its indexes never come to a manifest")

    def images(self) -> Iterator[StoredImage]:
        """Yield all images, of nested indexes too; raises LockstitchError for what is no layout."""
        todo = [(self.index(), "", 0)]
        seen = 0
        while todo:
            document, outer, depth = todo.pop(0)
            for descriptor in document.manifests:
                seen += 1
                if seen > _MOST_IMAGES or depth >= _DEEPEST:
                    what = f"it has more than {_MOST_IMAGES} images, or indexes too deep"
                    raise _damaged(self.root, what)
                name = descriptor.annotations.get(REF) or outer or descriptor.digest[:19]
                if subject_of(name):
                    continue
                inner = self._described(descriptor)
                if inner.is_index:
                    todo.append((inner, name, depth + 1))
                else:
                    yield of_source(self, inner, name)

    def _chosen(self, index: Manifest, name: str, platform: str) -> Descriptor:
        images = [d for d in index.manifests if not subject_of(d.annotations.get(REF, ""))]
        wanted = Platform.parse(platform) if platform else None
        fitting = [
            d
            for d in images
            if name in {"", d.annotations.get(REF)}
            and not (d.platform and d.platform.os == "unknown")  # attestations of BuildKit
            and not (d.platform and wanted and not manifest.fits(d.platform, wanted))
        ]
        if len(fitting) != 1:
            known = {d.annotations.get(REF, "") or str(d.platform or "") for d in images} - {""}
            raise _ambiguous(self.root, name or platform, sorted(known))
        return fitting[0]

    def _described(self, descriptor: Descriptor) -> Manifest:
        data = self._checked(descriptor.digest)
        source = f"{descriptor.digest} of `{self.root}`"
        return manifest.read(data, descriptor.media_type, source)

    def _named(self, name: str) -> Digest:
        for descriptor in self.index().manifests:
            if descriptor.annotations.get(REF) == name:
                return descriptor.digest
        raise _ambiguous(self.root, name, sorted(self.tags()))

    # --- files

    def _open(self, name: str) -> Iterator[bytes]:
        """Yield the bytes of a file; FileNotFoundError when there is none."""
        path = self.root / name
        if path.exists() and not path.is_file():  # a pipe would be waited for
            raise _damaged(self.root, f"its `{name}` is no file")
        yield from files.chunks(path)

    def _whole(self, name: str) -> bytes:
        data = bytearray()
        try:
            for chunk in self._open(name):
                data += chunk
                if len(data) > _DOCUMENT:
                    raise _damaged(self.root, f"its `{name}` has more than {_DOCUMENT:,} bytes")
        except (NotADirectoryError, PermissionError) as error:
            raise _damaged(self.root, f"its `{name}` cannot be read: {error.strerror}") from error
        return bytes(data)

    def _checked(self, digest: Digest) -> bytes:
        try:
            data = self._whole(f"blobs/sha256/{digest.hex}")
        except FileNotFoundError as error:
            raise self._lacks(digest) from error
        if of_bytes(data) != digest:
            message = f"a blob of `{self.root}` is {of_bytes(data)}, not {digest}"
            raise LockstitchError(message, hint=f"remove {self.root} and build again")
        return data

    def _lacks(self, digest: Digest) -> LockstitchError:
        message = f"`{self.root}` lacks the blob {digest}"
        return LockstitchError(message, hint="lockstitch build, or get the image again")


class _ArchiveReader(LayoutReader):
    """The same in a tar file that is not compressed, and Docker's own form of it."""

    def __init__(self, path: Path) -> None:
        """Read the names of what the archive holds; LockstitchError when it is none."""
        super().__init__(path)
        try:
            with tarfile.open(path, "r:", tarinfo=BoundedHeader) as archive:
                members = [member for member in archive if member.isreg() and not member.issparse()]
        except (*DAMAGE, OSError) as error:
            raise _damaged(path, f"it is no archive of an image: {error}") from error
        self._places = {
            PurePosixPath(member.name).as_posix(): (member.offset_data, member.size)
            for member in members
        }

    @property
    def is_layout(self) -> bool:
        """Whether it holds an OCI layout; newer `docker save` writes both forms into one."""
        return "index.json" in self._places

    def docker(self, name: str) -> StoredImage:
        """Return an image of a Docker archive; raises LockstitchError unless exactly one fits."""
        listed = self._json("manifest.json")
        images = [item for item in _list(listed, self.root) if isinstance(item, dict)]
        tags = [[t for t in image.get("RepoTags") or () if isinstance(t, str)] for image in images]
        chosen = [n for n, known in enumerate(tags) if not name or name in known]
        if len(chosen) != 1:
            raise _ambiguous(self.root, name, sorted(t for known in tags for t in known))
        image = images[chosen[0]]
        config = self._json(str(image.get("Config")))
        if not isinstance(config, dict):
            raise _damaged(self.root, "its config is no JSON object")
        names = [str(layer) for layer in _list(image.get("Layers"), self.root)]
        diff_ids, titles = _described(config, len(names))
        layers = tuple(
            StoredLayer(read=partial(self._member, name), created_by=title, diff_id=diff_id)
            for name, diff_id, title in zip(names, diff_ids, titles, strict=True)
        )
        return StoredImage(config=config, layers=layers, name=name)

    def _json(self, name: str) -> object:
        try:
            return _parsed(self._whole(name), self.root)
        except FileNotFoundError as error:
            raise _damaged(self.root, f"it lacks `{name:.100}`") from error

    def _member(self, name: str) -> Iterator[bytes]:
        try:
            yield from self._open(name)
        except FileNotFoundError as error:
            raise _damaged(self.root, f"it lacks `{name:.100}`") from error

    def _open(self, name: str) -> Iterator[bytes]:
        try:
            offset, left = self._places[PurePosixPath(name).as_posix()]
        except KeyError:
            raise FileNotFoundError(name) from None
        with self.root.open("rb") as handle:
            handle.seek(offset)
            while left and (chunk := handle.read(min(left, 1 << 20))):
                left -= len(chunk)
                yield chunk
        if left:
            raise _damaged(self.root, f"its `{name:.100}` is cut off")


def _described(config: Mapping[str, Any], count: int) -> tuple[list[str], list[str]]:
    """Return diffID and title of each layer, empty where a config does not say them."""
    rootfs = config.get("rootfs")
    diff_ids = rootfs.get("diff_ids") if isinstance(rootfs, Mapping) else None
    if not isinstance(diff_ids, list) or len(diff_ids) != count:
        diff_ids = [""] * count
    history = config.get("history")
    steps = (
        [entry for entry in history if isinstance(entry, dict)] if isinstance(history, list) else []
    )
    titles = [str(step.get("created_by", "")) for step in steps if not step.get("empty_layer")]
    return [str(item) for item in diff_ids], (titles + [""] * count)[:count]


def _object(data: bytes, source: object) -> dict[str, Any]:
    document = _parsed(data, source)
    if not isinstance(document, dict):
        raise _damaged(source, "a document of it is no JSON object")
    return document


def _parsed(data: bytes, source: object) -> object:
    try:
        return parse_json(data)
    except ValueError as error:
        raise _damaged(source, f"it holds JSON that cannot be read: {error}") from error


def _list(value: object, source: object) -> list[Any]:
    if not isinstance(value, list):
        raise _damaged(source, "a list is missing in its documents")
    return value


def _damaged(source: object, what: str) -> LockstitchError:
    return LockstitchError(f"`{source}` is no image: {what}", hint="get the image again")


def _ambiguous(source: object, name: str, known: Sequence[str]) -> LockstitchError:
    wanted = f"no image `{name}`" if name else "not exactly one image"
    message = f"`{source}` has {wanted} (it has: {', '.join(known) or 'none'})"
    return LockstitchError(message, hint=f"name one: {source}:NAME")
