"""Writes images: as an OCI image layout (image-layout.md), or as a Docker archive.

A Docker archive is what `docker load`, `podman load` and skopeo read (Docker image spec 1.2).
"""

import contextlib
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, BinaryIO

from lockstitch import files
from lockstitch.digest import Digest, canonical_json, of_bytes, parse_json
from lockstitch.errors import LockstitchError
from lockstitch.oci import manifest
from lockstitch.oci.entry import TAR_END, Entry, file, tar_header, tar_padding
from lockstitch.oci.layer import Layer, checked
from lockstitch.oci.manifest import Manifest
from lockstitch.oci.model import (
    INDEX_TYPE,
    Artifact,
    Descriptor,
    Image,
    index_of,
    referrers_index,
    referrers_tag,
    subject_of,
)
from lockstitch.oci.reader import REF, LayoutReader

_MARK = b'{"imageLayoutVersion":"1.0.0"}'

IsWhole = Callable[[Path, Digest, int], bool]


def is_whole(path: Path, digest: Digest, size: int) -> bool:
    """Return whether a file is a blob of this digest and size; all of it is read."""
    try:
        return path.stat().st_size == size and of_bytes(files.chunks(path)) == digest
    except OSError:
        return False


class Layout(LayoutReader):
    """A layout folder, made at the first write: a sink that skips what it has, and a source."""

    def __init__(self, root: Path, *, own: bool = False) -> None:
        """`own` is a folder that only lockstitch writes.

        What is damaged of its index goes, and what is damaged of it the next build writes anew:
        after a power cut too, so that nothing waits for the disk.
        """
        super().__init__(root)
        self._own = own

    def path(self, digest: Digest) -> Path:
        """Return where the blob is or would be."""
        return self.root / "blobs" / "sha256" / digest.hex

    def write(self, image: Image, name: str, is_whole: IsWhole = is_whole) -> bool:
        """Write the image under a reference name; return whether anything was new.

        Two processes may write to one layout: the second waits. A blob that is here already, or a
        file that a layer is, is taken only where `is_whole` says so.

        The manifest comes after its blobs and the index last, so that a reader, or a build that
        was stopped, never finds a name whose blobs are missing. Raises LockstitchError when the
        layout is damaged, or when a layer's bytes differ from its digest.
        """
        if self._holds(image, name, is_whole):
            return False
        with self._locked():
            return self._write(image, name, is_whole)

    def _index(self, manifests: Sequence[Mapping[str, Any]]) -> None:
        self._replace(self.root / "index.json", index_of(manifests))

    def _replace(self, path: Path, data: bytes) -> None:
        """Write a file, also where a folder stands."""
        if path.is_dir() and not path.is_symlink():
            files.remove(path)
        files.write_bytes(path, data, synced=not self._own)

    def _locked(self) -> AbstractContextManager[None]:
        return files.lock(self.root.with_name(f".{self.root.name}.lock"))

    def _holds(self, image: Image, name: str, is_whole: IsWhole) -> bool:
        named = _described(image, name) in self.index().document["manifests"]
        documents = (image.config_bytes(), image.manifest_bytes())
        return (
            named
            and self._is_marked()
            and not self._is_damaged()
            and all(self._has(data) for data in documents)
            and all(
                is_whole(self.path(descriptor.digest), descriptor.digest, descriptor.size)
                for descriptor in image.layer_descriptors()
            )
        )

    def _is_marked(self) -> bool:
        return _read(self.root / "oci-layout") == _MARK

    def _has(self, data: bytes) -> bool:
        return _read(self.path(of_bytes(data))) == data

    def _write(self, image: Image, name: str, is_whole: IsWhole) -> bool:
        fresh = False
        for layer in image.layers:
            facts = layer.facts
            if not is_whole(self.path(facts.digest), facts.digest, facts.size):
                self._add(layer, is_whole)
                fresh = True
        for data in (image.config_bytes(), image.manifest_bytes()):
            fresh = self._put(data) or fresh
        return self._name(_described(image, name), name) or fresh

    def _add(self, layer: Layer, is_whole: IsWhole) -> None:
        facts = layer.facts
        target = self.path(facts.digest)
        if target.is_dir():
            files.remove(target)
        source = getattr(layer, "path", None)
        # Read-only, since it may be the store's own file under a second name.
        with files.atomic(target, mode=0o444, synced=not self._own) as temporary:
            if isinstance(source, Path) and is_whole(source, facts.digest, facts.size):
                try:
                    os.link(source, temporary)
                except OSError:  # another file system, or one without hard links
                    shutil.copyfile(source, temporary)
                return
            with temporary.open("wb") as handle:
                handle.writelines(checked(layer))

    def _name(self, named: Mapping[str, Any], name: str) -> bool:
        descriptor = dict(named)
        before = self.index().document["manifests"]
        others = [m for m in before if m["annotations"][REF] != name]
        # By name: the order of builds must not show.
        manifests = sorted([*others, descriptor], key=lambda m: m["annotations"][REF])
        if manifests == before and self._is_marked() and not self._is_damaged():
            return False
        if not self._is_marked():
            self._replace(self.root / "oci-layout", _MARK)
        self._index(manifests)
        return True

    def index(self) -> Manifest:
        """Return the index, an empty one before the first write.

        Raises LockstitchError unless it names each image, and none twice: a write would lose it.
        Of an own one that is damaged, what is whole is returned.
        """
        try:
            return self._read_index()
        except LockstitchError:
            if not self._own:
                raise
            return manifest.read(index_of(self._whole_entries()), INDEX_TYPE, str(self.root))

    def _is_damaged(self) -> bool:
        try:
            self._read_index()
        except LockstitchError:
            return True
        return False

    def _read_index(self) -> Manifest:
        path = self.root / "index.json"
        if not path.exists():
            return manifest.read(index_of([]), INDEX_TYPE, f"the index of `{self.root}`")
        try:
            index = super().index()
            names = [descriptor.annotations[REF] for descriptor in index.manifests]
            index.document["manifests"]
        except (LockstitchError, KeyError) as error:
            message = f"`{path}` is not an index of named images"
            raise LockstitchError(message, hint=f"remove {self.root} and build again") from error
        if len(set(names)) != len(names):
            message = f"`{path}` has two images of one name: {', '.join(sorted(names))}"
            raise LockstitchError(message, hint=f"remove {self.root} and build again")
        return index

    def _whole_entries(self) -> list[Any]:
        """Return the entries of a damaged index whose manifests are as they say, by name."""
        kept: dict[str, Any] = {}
        malformed = (LockstitchError, OSError, ValueError, LookupError, TypeError, AttributeError)
        with contextlib.suppress(*malformed):
            for entry in parse_json((self.root / "index.json").read_bytes())["manifests"]:
                with contextlib.suppress(*malformed):
                    whole = self.manifest(Digest.parse(entry["digest"]))
                    facts = {"mediaType": whole.media_type, "size": len(whole.data)}
                    _ = manifest.read(index_of([entry]), INDEX_TYPE, "").manifests  # raises
                    if facts == {key: entry[key] for key in facts}:
                        kept.setdefault(str(entry["annotations"][REF]), entry)
        return [kept[name] for name in sorted(kept)]

    def names(self) -> list[str]:
        """Return the reference names of the images here, sorted.

        Those of several platforms, and of what refers to images, are left out. Raises
        LockstitchError when index.json is damaged.
        """
        names = [m.annotations[REF] for m in self.index().manifests if m.media_type != INDEX_TYPE]
        return [name for name in names if not subject_of(name)]

    def manifest_digest(self, name: str) -> Digest:
        """Return the digest of the image of this name, or raise LockstitchError."""
        for descriptor in self.index().manifests:
            single = descriptor.media_type != INDEX_TYPE or subject_of(name)
            if descriptor.annotations[REF] == name and single:
                return descriptor.digest
        known = ", ".join(self.names()) or "none"
        message = f"`{self.root}` has no image `{name}` (it has: {known})"
        raise LockstitchError(message, hint=f"lockstitch build {name}")

    def _named(self, name: str) -> Digest:
        for descriptor in self.index().manifests:
            if descriptor.annotations[REF] == name:
                return descriptor.digest
        return self.manifest_digest(name)  # which says what there is

    def attach(self, subject: Descriptor, artifacts: Sequence[Artifact]) -> bool:
        """Write documents about an image, each in place of those of its type.

        They stand under the name that registries without a referrers API use; the image stays as
        it is. Returns whether anything was new. Raises LockstitchError when the layout is damaged.
        """
        tag = referrers_tag(subject.digest)
        documents = [data for artifact in artifacts for _, data in artifact.blobs()]
        documents += [artifact.manifest_bytes(subject) for artifact in artifacts]
        index = self._referring(subject, artifacts)
        if (
            all(self._has(data) for data in (*documents, index))
            and self._is_marked()
            and not self._is_damaged()
            and tag in self.tags()
            and self._named(tag) == of_bytes(index)
        ):
            return False  # without the lock: most builds change nothing
        with self._locked():
            fresh = [self._put(data) for data in documents]
            index = self._referring(subject, artifacts)
            return self._put_named(index, INDEX_TYPE, tag) or any(fresh)

    def _referring(self, subject: Descriptor, artifacts: Sequence[Artifact]) -> bytes:
        """Return the index of what refers to an image, with artifacts in place of their types'."""
        kinds = {artifact.kind for artifact in artifacts}
        known: Sequence[Descriptor] = ()
        try:
            known = self.referrers(subject.digest)
        except LockstitchError:  # damaged: what a build knows stands there again
            if not self._own:
                raise
        kept = [descriptor for descriptor in known if descriptor.artifact_type not in kinds]
        return referrers_index([*kept, *(artifact.descriptor(subject) for artifact in artifacts)])

    def put(self, blobs: Sequence[bytes], data: bytes, media_type: str, name: str) -> bool:
        """Write a manifest and its blobs under a name; raises LockstitchError for damage."""
        with self._locked():
            fresh = [self._put(blob) for blob in blobs]
            return self._put_named(data, media_type, name) or any(fresh)

    def _put_named(self, data: bytes, media_type: str, name: str) -> bool:
        fresh = self._put(data)
        descriptor = Descriptor.of(media_type, data, annotations={REF: name})
        return self._name(descriptor.document(), name) or fresh

    def _put(self, data: bytes) -> bool:
        if self._has(data):
            return False
        self._replace(self.path(of_bytes(data)), data)
        return True

    # --- blobs that no image needs

    def sweep(self) -> int:
        """Remove blobs and referrers of no image here; return how many bytes that freed."""
        if not self.root.exists():
            return 0
        with self._locked():
            return self._sweep()

    def _sweep(self) -> int:
        try:
            self._forget()
            needed = {d for m in self.index().manifests for d in self._needs(m.digest)}
        except (LockstitchError, KeyError, TypeError):
            return 0  # what a damaged image needs is not known: nothing goes
        freed = 0
        folder = self.root / "blobs" / "sha256"
        for path in sorted(folder.iterdir()) if folder.exists() else ():
            if f"sha256:{path.name}" not in needed:
                freed += path.lstat().st_size
                files.remove(path)
        return freed

    def _forget(self) -> None:
        """Take the names of what refers to images that are gone out of the index."""
        before = self.index().document["manifests"]
        about = [subject_of(entry["annotations"][REF]) for entry in before]
        pairs = list(zip(before, about, strict=True))
        named = [Digest.parse(entry["digest"]) for entry, subject in pairs if not subject]
        images = {needed for digest in named for needed in self._needs(digest)}
        kept = [digest for digest, subject in pairs if not subject or subject in images]
        if kept != before:
            self._index(kept)

    def _needs(self, digest: Digest) -> Iterator[Digest]:
        """Yield the digests of a manifest or an index, and of all that it names."""
        image = self.manifest(digest)
        yield digest
        if image.is_index:
            for descriptor in image.manifests:
                yield from self._needs(descriptor.digest)
            return
        yield image.config.digest
        yield from (layer.digest for layer in image.layers)


def _read(path: Path) -> bytes | None:
    """Return the bytes of a small file, None where there is no such file."""
    try:
        return path.read_bytes()
    except OSError:
        return None


def _described(image: Image, name: str) -> dict[str, Any]:
    return image.descriptor().document() | {"annotations": {REF: name}}


def write_docker_archive(image: Image, path: Path, tag: str) -> None:
    """Write the image as a docker archive with one tag; layers stay compressed.

    The same image and tag give the same bytes. The image's ID after `docker load` is the digest of
    the config. Raises LockstitchError when a layer's bytes differ from its digest.
    """
    config = image.config_bytes()
    name = f"{of_bytes(config).hex}.json"
    names = [f"{layer.facts.digest.hex}.tar.gz" for layer in image.layers]
    layers: dict[str, Layer] = dict(zip(names, image.layers, strict=True))
    # One name for each diffID of the config, even where two layers are the same file.
    manifest = [{"Config": name, "RepoTags": [tag], "Layers": names}]
    with files.atomic(path) as temporary, temporary.open("wb") as handle:
        _add(handle, file(name, config))
        for layer_name, layer in layers.items():
            size = layer.facts.size
            handle.write(tar_header(file(layer_name, b""), size=size))
            handle.writelines(checked(layer))
            handle.write(tar_padding(size))
        _add(handle, file("manifest.json", canonical_json(manifest)))
        handle.write(TAR_END)


def _add(handle: BinaryIO, entry: Entry) -> None:
    handle.write(tar_header(entry))
    handle.writelines(entry.content.plain() if entry.content else ())
    handle.write(tar_padding(entry.size))
