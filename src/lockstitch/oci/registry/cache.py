"""Layers that somebody made before, in a repository: found by the key that decides their bytes.

A layer is a manifest under the tag `layer-KEY`: its config is the record of the layer, and its
only layer the blob, which the registry keeps and mounts as any other.
"""

import zlib
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from lockstitch import threads
from lockstitch.digest import Digest, Hasher, canonical_json, parse_json
from lockstitch.errors import LockstitchError
from lockstitch.oci.layer import Layer, LayerFacts, decompress
from lockstitch.oci.manifest import Manifest
from lockstitch.oci.model import MANIFEST_TYPE, Descriptor
from lockstitch.oci.registry.client import PARALLEL, RegistryError
from lockstitch.oci.registry.push import BlobLocations, RepositoryWriter
from lockstitch.oci.registry.repository import Repository
from lockstitch.oci.registry.upload import Blob
from lockstitch.values import frozen

ARTIFACT_TYPE = "application/vnd.lockstitch.layer.v1"
_RECORD_TYPE = "application/vnd.lockstitch.layer.v1+json"
_KEY = "dev.lockstitch.layer.key"


@frozen
class CachedLayer:
    """A layer of the cache: its facts as recorded there, its bytes checked when they are read."""

    facts: LayerFacts
    created_by: str
    record: Mapping[str, Any]
    repository: Repository

    def chunks(self) -> Iterator[bytes]:
        """Yield the compressed bytes; LockstitchError at the end if digest or diffID differ."""
        facts = self.facts
        descriptor = Descriptor.of_layer(facts)
        passed: deque[bytes] = deque()

        def compressed() -> Iterator[bytes]:
            for chunk in self.repository.blob(descriptor):
                passed.append(chunk)
                yield chunk

        diff = Hasher()
        try:
            for plain in decompress(compressed(), facts.media_type):
                diff.update(plain)
                while passed:
                    yield passed.popleft()
        except (zlib.error, EOFError) as error:
            raise self._wrong(f"does not inflate: {error}") from error
        if diff.digest() != facts.diff_id:
            raise self._wrong(f"has the diffID {diff.digest()}, not {facts.diff_id}")
        yield from passed

    def _wrong(self, what: str) -> LockstitchError:
        message = f"layer `{self.created_by:.60}` of the cache `{self.repository.name}` {what}"
        return LockstitchError(message, hint="lockstitch build, without --cache")


class LayerCache:
    """A repository of layers, whose failures never stop a build, though its wrong bytes do."""

    def __init__(self, target: RepositoryWriter, places: BlobLocations) -> None:
        """`places` is told of blobs here, so that a push to this registry mounts them."""
        self._target = target
        self._places = places
        self.notes: list[str] = []

    def find(self, wanted: Mapping[str, str]) -> dict[str, CachedLayer]:
        """Return the layers that are there, by key; `wanted` has the title of each key."""
        keys = sorted(wanted)
        try:
            layers = threads.run(keys, lambda k: self._found(k, wanted[k]), parallel=PARALLEL)
        except RegistryError as error:
            self.notes.append(f"the cache `{self._target.name}` cannot be read: {error.message}")
            return {}
        cached = {key: layer for key, layer in zip(keys, layers, strict=True) if layer}
        for layer in cached.values():
            self._places.note(layer.facts.digest, self._target.repository)
        return cached

    def keep(self, layers: Sequence[tuple[str, Layer, Mapping[str, Any]]]) -> int:
        """Write layers with their keys and records, and return how many."""
        try:
            threads.run(layers, lambda layer: self._keep(*layer), parallel=PARALLEL)
        except RegistryError as error:
            self.notes.append(f"the cache `{self._target.name}` was not written: {error.message}")
            return 0
        return len(layers)

    def _found(self, key: str, title: str) -> CachedLayer | None:
        """Return the layer of a key, None where there is none or one that makes no sense."""
        try:
            manifest = self._target.find(_tag(key))
            return self._read(manifest, key, title) if manifest else None
        except RegistryError as error:
            if error.status != 404:
                raise
            return None  # its record is gone
        except (LockstitchError, ValueError, KeyError, TypeError, AttributeError) as error:
            tag = f"`{_tag(key)}` of `{self._target.name}`"
            self.notes.append(f"{tag} is not a layer of lockstitch: {error}")
            return None

    def _read(self, manifest: Manifest, key: str, title: str) -> CachedLayer:
        (descriptor,) = manifest.layers
        record = parse_json(self._target.small(manifest.config))
        facts = LayerFacts(
            digest=descriptor.digest,
            diff_id=Digest.parse(record["diff_id"]),
            size=descriptor.size,
            unpacked=_size(record["unpacked"]),
            media_type=descriptor.media_type,
            annotations=tuple(sorted(descriptor.annotations.items())),
        )
        same = (record["digest"], record["size"]) == (facts.digest, facts.size)
        if not same or manifest.document["annotations"][_KEY] != key:
            raise LockstitchError("it has the record of another layer")
        return CachedLayer(facts=facts, created_by=title, record=record, repository=self._target)

    def _keep(self, key: str, layer: Layer, record: Mapping[str, Any]) -> None:
        data = canonical_json(record)
        config = Descriptor.of(_RECORD_TYPE, data)
        layer_blob = Blob.of_layer(layer)
        for blob in (layer_blob, Blob.of_bytes(config, data, "record")):
            if not self._target.has(blob.descriptor):
                sources = self._places.of(blob.descriptor.digest, self._target.repository)
                self._target.send(blob, mount_from=sources)
        manifest = {
            "schemaVersion": 2,
            "mediaType": MANIFEST_TYPE,
            "artifactType": ARTIFACT_TYPE,
            "config": config.document(),
            "layers": [layer_blob.descriptor.document()],
            "annotations": {_KEY: key},
        }
        self._target.put(canonical_json(manifest), MANIFEST_TYPE, tag=_tag(key))
        self._places.note(layer.facts.digest, self._target.repository)


def _tag(key: str) -> str:
    return f"layer-{key}"


def _size(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise TypeError(value)
    return value
