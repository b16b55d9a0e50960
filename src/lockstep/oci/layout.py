"""An OCI image layout: a folder of blobs and an index (OCI image spec, image-layout.md)."""

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from lockstep import files
from lockstep.digest import Digest, Hasher
from lockstep.errors import LockstepError
from lockstep.oci import canonical
from lockstep.oci.layer import Layer, checked
from lockstep.oci.model import INDEX_TYPE, Image

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
        for data, digest in (
            (image.config_bytes(), image.config_descriptor().digest),
            (image.manifest_bytes(), image.digest),
        ):
            if not self.has(digest, len(data)):
                files.write_bytes(self.path(digest), data)
                fresh = True
        return self._name(image, name) or fresh

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

    def _name(self, image: Image, name: str) -> bool:
        descriptor = _described(image, name)
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
            names = [manifest["annotations"][_REF] for manifest in index["manifests"]]
        except (ValueError, KeyError, TypeError) as error:
            message = f"`{path}` is not an index of named images"
            raise LockstepError(message, hint=f"remove {self.root} and build again") from error
        if len(set(names)) != len(names):
            message = f"`{path}` has two images of one name: {', '.join(sorted(names))}"
            raise LockstepError(message, hint=f"remove {self.root} and build again")
        return dict(index)

    def names(self) -> list[str]:
        """Return the reference names of the images here, sorted."""
        return [manifest["annotations"][_REF] for manifest in self._index()["manifests"]]

    def manifest_digest(self, name: str) -> Digest:
        """Return the digest of the image of this name, or raise LockstepError."""
        for manifest in self._index()["manifests"]:
            if manifest["annotations"][_REF] == name:
                return Digest.parse(manifest["digest"])
        known = ", ".join(self.names()) or "none"
        message = f"`{self.root}` has no image `{name}` (it has: {known})"
        raise LockstepError(message, hint=f"lockstep build {name}")

    def document(self, digest: Digest) -> Mapping[str, Any]:
        """Return a JSON blob (a manifest or a config), its digest checked."""
        try:
            data = self.path(digest).read_bytes()
        except FileNotFoundError as error:
            message = f"`{self.root}` lacks the blob {digest}"
            raise LockstepError(message, hint="lockstep build") from error
        hasher = Hasher()
        hasher.update(data)
        if hasher.digest() != digest:
            message = f"a blob of `{self.root}` is {hasher.digest()}, not {digest}"
            raise LockstepError(message, hint=f"remove {self.root} and build again")
        return dict(json.loads(data))

    def chunks(self, digest: Digest) -> Iterator[bytes]:
        """Yield the bytes of a blob."""
        with self.path(digest).open("rb") as handle:
            while chunk := handle.read(_CHUNK):
                yield chunk

    def sweep(self) -> int:
        """Remove blobs that no image here needs, and return how many bytes that freed."""
        if not self.root.exists():
            return 0
        with self._locked():
            return self._sweep()

    def _sweep(self) -> int:
        needed = set()
        try:
            for manifest in self._index()["manifests"]:
                digest = Digest.parse(manifest["digest"])
                document = self.document(digest)
                needed |= {digest, document["config"]["digest"]}
                needed |= {layer["digest"] for layer in document["layers"]}
        except (LockstepError, KeyError, TypeError):
            return 0  # what a damaged image needs is not known: nothing goes
        freed = 0
        folder = self.root / "blobs" / "sha256"
        for path in sorted(folder.iterdir()) if folder.exists() else ():
            if f"sha256:{path.name}" not in needed:
                freed += path.stat().st_size
                path.unlink()
        return freed


def _described(image: Image, name: str) -> dict[str, Any]:
    return image.descriptor().document() | {"annotations": {_REF: name}}


def _link(source: Path, target: Path) -> None:
    """Let the store's file stand at `target` too, without a copy where that can be."""
    try:
        os.link(source, target)
    except OSError:  # another file system, or one without hard links
        shutil.copyfile(source, target)
