"""An OCI image layout: a folder of blobs and an index (OCI image spec, image-layout.md)."""

import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from lockstitch import files
from lockstitch.digest import Digest, Hasher, of_bytes
from lockstitch.errors import LockstitchError
from lockstitch.oci import artifact, canonical, manifest
from lockstitch.oci.artifact import Artifact
from lockstitch.oci.layer import Layer, checked
from lockstitch.oci.manifest import Manifest
from lockstitch.oci.model import INDEX_TYPE, Descriptor, Image

__all__ = ["Layout"]

_REF = "org.opencontainers.image.ref.name"
_CHUNK = 1 << 20
_MARK = b'{"imageLayoutVersion":"1.0.0"}'


class Layout:
    """A layout folder, as a sink that skips what it has and as a source of blobs."""

    def __init__(self, root: Path) -> None:
        """Use this folder; it is made at the first write."""
        self.root = root

    def path(self, digest: Digest) -> Path:
        """Return where the blob is or would be."""
        return self.root / "blobs" / "sha256" / digest.hex

    def has(self, digest: Digest, size: int) -> bool:
        """Return whether a blob of this digest and size is here."""
        try:
            return self.path(digest).stat().st_size == size
        except FileNotFoundError:
            return False

    def write(self, image: Image, name: str) -> bool:
        """Write the image under a reference name; return whether anything was new.

        Two processes may write to one layout: the second waits.

        The manifest comes after its blobs and the index last, so that a reader, or a build
        that was stopped, never finds a name whose blobs are missing.
        """
        if self._holds(image, name):
            return False
        with self._locked():
            return self._write(image, name)

    def _locked(self) -> AbstractContextManager[None]:
        return files.lock(self.root.with_name(f".{self.root.name}.lock"))

    def _holds(self, image: Image, name: str) -> bool:
        wanted = [*image.layer_descriptors(), image.config_descriptor(), image.descriptor()]
        named = _described(image, name) in self._index()["manifests"]
        whole = named and (self.root / "oci-layout").exists()
        return whole and all(self.has(each.digest, each.size) for each in wanted)

    def _write(self, image: Image, name: str) -> bool:
        fresh = False
        for layer in image.layers:
            if not self.has(layer.facts.digest, layer.facts.size):
                self._add(layer)
                fresh = True
        for data in (image.config_bytes(), image.manifest_bytes()):
            fresh = self._put(data) or fresh
        return self._name(_described(image, name), name) or fresh

    def _add(self, layer: Layer) -> None:
        target = self.path(layer.facts.digest)
        target.parent.mkdir(parents=True, exist_ok=True)
        source = getattr(layer, "path", None)
        # Read-only, since it may be the store's own file under a second name.
        with files.atomic(target, mode=0o444) as temporary:
            if isinstance(source, Path) and source.stat().st_size == layer.facts.size:
                _link(source, temporary)
                return
            with temporary.open("wb") as handle:
                handle.writelines(checked(layer))

    def _name(self, named: Mapping[str, Any], name: str) -> bool:
        descriptor = dict(named)
        index = self._index()
        others = [m for m in index["manifests"] if m.get("annotations", {}).get(_REF) != name]
        # By name: the order of builds must not show.
        manifests = sorted([*others, descriptor], key=lambda m: m["annotations"][_REF])
        if manifests == index["manifests"] and (self.root / "oci-layout").exists():
            return False
        files.write_bytes(self.root / "oci-layout", _MARK)
        document = {"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": manifests}
        files.write_bytes(self.root / "index.json", canonical.dumps(document))
        return True

    def _index(self) -> dict[str, Any]:
        path = self.root / "index.json"
        if not path.exists():
            return {"manifests": []}
        try:
            index = json.loads(path.read_bytes())
            names = [each["annotations"][_REF] for each in index["manifests"]]
        except (ValueError, KeyError, TypeError) as error:
            message = f"`{path}` is not an index of named images"
            raise LockstitchError(message, hint=f"remove {self.root} and build again") from error
        if len(set(names)) != len(names):
            message = f"`{path}` has two images of one name: {', '.join(sorted(names))}"
            raise LockstitchError(message, hint=f"remove {self.root} and build again")
        return dict(index)

    def names(self) -> list[str]:
        """Return the reference names of the images here, sorted.

        Those of several platforms, and of what refers to images, are left out.
        """
        found = self._index()["manifests"]
        names = [m["annotations"][_REF] for m in found if m.get("mediaType") != INDEX_TYPE]
        return [name for name in names if not artifact.subject_of(name)]

    def manifest_digest(self, name: str) -> Digest:
        """Return the digest of the image of this name, or raise LockstitchError."""
        for each in self._index()["manifests"]:
            single = each.get("mediaType") != INDEX_TYPE or artifact.subject_of(name)
            if each["annotations"][_REF] == name and single:
                return Digest.parse(each["digest"])
        known = ", ".join(self.names()) or "none"
        message = f"`{self.root}` has no image `{name}` (it has: {known})"
        raise LockstitchError(message, hint=f"lockstitch build {name}")

    def document(self, digest: Digest) -> Mapping[str, Any]:
        """Return a JSON blob (a manifest or a config), its digest checked."""
        try:
            data = self.path(digest).read_bytes()
        except FileNotFoundError as error:
            message = f"`{self.root}` lacks the blob {digest}"
            raise LockstitchError(message, hint="lockstitch build") from error
        hasher = Hasher()
        hasher.update(data)
        if hasher.digest() != digest:
            message = f"a blob of `{self.root}` is {hasher.digest()}, not {digest}"
            raise LockstitchError(message, hint=f"remove {self.root} and build again")
        return dict(json.loads(data))

    def chunks(self, digest: Digest) -> Iterator[bytes]:
        """Yield the bytes of a blob."""
        with self.path(digest).open("rb") as handle:
            while chunk := handle.read(_CHUNK):
                yield chunk

    # --- what refers to an image, and the image as registries give it

    def manifest(self, which: Digest | str) -> Manifest:
        """Return the manifest or index of a digest or a name, checked, or raise LockstitchError."""
        digest = which if isinstance(which, Digest) else self._any(which)
        self.document(digest)  # which checks its bytes
        return manifest.read(self.path(digest).read_bytes(), "", f"`{which}` of `{self.root}`")

    def _any(self, name: str) -> Digest:
        """Return the digest of an image, or of the index of several, of this name."""
        for each in self._index()["manifests"]:
            if each["annotations"][_REF] == name:
                return Digest.parse(each["digest"])
        return self.manifest_digest(name)  # which says what there is

    def blob(self, descriptor: Descriptor) -> Iterator[bytes]:
        """Yield a blob's bytes; raises at the end when they are not what the descriptor says."""
        hasher = Hasher()
        try:
            for chunk in self.chunks(descriptor.digest):
                hasher.update(chunk)
                yield chunk
        except FileNotFoundError as error:
            message = f"`{self.root}` lacks the blob {descriptor.digest}"
            raise LockstitchError(message, hint="lockstitch build") from error
        if (hasher.digest(), hasher.size) != (descriptor.digest, descriptor.size):
            message = f"a blob of `{self.root}` is {hasher.digest()} ({hasher.size} bytes), not "
            message += f"{descriptor.digest} ({descriptor.size} bytes)"
            raise LockstitchError(message, hint=f"remove {self.root} and build again")

    def referrers(self, digest: Digest, artifact_type: str = "") -> list[Descriptor]:
        """Return the manifests whose subject is a digest, of one type or all, in their order."""
        name = artifact.referrers_tag(digest)
        if name not in self.tags():
            return []
        found = self.manifest(name).manifests
        return [each for each in found if artifact_type in {"", each.artifact_type}]

    def attach(self, subject: Descriptor, artifacts: Sequence[Artifact]) -> bool:
        """Write documents about an image, each in place of those of its type.

        They stand under the name that registries without a referrers API use; the image stays
        as it is. Returns whether anything was new.
        """
        with self._locked():
            kinds = {each.kind for each in artifacts}
            kept = [e for e in self.referrers(subject.digest) if e.artifact_type not in kinds]
            fresh = [self._put(data) for each in artifacts for _, data in each.blobs()]
            fresh += [self._put(each.manifest_bytes(subject)) for each in artifacts]
            index = artifact.index_bytes([*kept, *(e.descriptor(subject) for e in artifacts)])
            named = self._put_named(index, INDEX_TYPE, artifact.referrers_tag(subject.digest))
            return named or any(fresh)

    def put(self, blobs: Sequence[bytes], data: bytes, media_type: str, name: str) -> bool:
        """Write a manifest or an index and the blobs that it names, under a name."""
        with self._locked():
            fresh = [self._put(each) for each in blobs]
            return self._put_named(data, media_type, name) or any(fresh)

    def _put_named(self, data: bytes, media_type: str, name: str) -> bool:
        fresh = self._put(data)
        found = Descriptor(media_type=media_type, digest=of_bytes(data), size=len(data))
        return self._name(found.document() | {"annotations": {_REF: name}}, name) or fresh

    def _put(self, data: bytes) -> bool:
        digest = of_bytes(data)
        if self.has(digest, len(data)):
            return False
        files.write_bytes(self.path(digest), data)
        return True

    def tags(self) -> set[str]:
        """Return every name here, also those of what refers to an image."""
        return {each["annotations"][_REF] for each in self._index()["manifests"]}

    # --- what nobody needs any more

    def sweep(self) -> int:
        """Remove blobs that no image here needs, and return how many bytes that freed.

        What refers to an image that is not here any more goes too.
        """
        if not self.root.exists():
            return 0
        with self._locked():
            return self._sweep()

    def _sweep(self) -> int:
        try:
            self._forget()
            needed = {str(d) for m in self._index()["manifests"] for d in self._needs(m["digest"])}
        except (LockstitchError, KeyError, TypeError):
            return 0  # what a damaged image needs is not known: nothing goes
        freed = 0
        folder = self.root / "blobs" / "sha256"
        for path in sorted(folder.iterdir()) if folder.exists() else ():
            if f"sha256:{path.name}" not in needed:
                freed += path.stat().st_size
                path.unlink()
        return freed

    def _forget(self) -> None:
        """Take the names of what refers to images that are gone out of the index."""
        index = self._index()
        about = [artifact.subject_of(each["annotations"][_REF]) for each in index["manifests"]]
        pairs = list(zip(index["manifests"], about, strict=True))
        named = [each["digest"] for each, subject in pairs if not subject]
        images = {each for digest in named for each in self._needs(digest)}
        kept = [each for each, subject in pairs if not subject or subject in images]
        if kept != index["manifests"]:
            document = {"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": kept}
            files.write_bytes(self.root / "index.json", canonical.dumps(document))

    def _needs(self, text: str) -> Iterator[str]:
        """Yield the digests of a manifest or an index, and of all that it names."""
        digest = Digest.parse(text)
        document = self.document(digest)
        yield digest
        if "manifests" in document:
            for each in document["manifests"]:
                yield from self._needs(each["digest"])
            return
        yield document["config"]["digest"]
        yield from (layer["digest"] for layer in document["layers"])


def _described(image: Image, name: str) -> dict[str, Any]:
    return image.descriptor().document() | {"annotations": {_REF: name}}


def _link(source: Path, target: Path) -> None:
    """Let the store's file stand at `target` too, without a copy where that can be."""
    try:
        os.link(source, target)
    except OSError:  # another file system, or one without hard links
        shutil.copyfile(source, target)
