"""Facts of an image in a layout or in a registry, read from its blobs."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from lockstitch.digest import Digest
from lockstitch.errors import LockstitchError
from lockstitch.image import sizes
from lockstitch.image.verify import document
from lockstitch.oci.layer import LayerFacts
from lockstitch.oci.manifest import Manifest, Source
from lockstitch.oci.model import Descriptor
from lockstitch.store import Store

__all__ = ["Inspected", "SourceLayer", "inspect"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceLayer:
    """A layer of an image in a layout or in a registry."""

    facts: LayerFacts
    created_by: str
    descriptor: Descriptor
    source: Source

    def chunks(self) -> Iterator[bytes]:
        """Yield the compressed bytes, which are checked at their end."""
        yield from self.source.blob(self.descriptor)


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspected:
    """The facts of an image, its layers and its packages."""

    name: str
    digest: Digest
    manifest: Mapping[str, Any]
    config: Mapping[str, Any]
    layers: tuple[SourceLayer, ...]
    packages: tuple[sizes.Package, ...]


def inspect(source: Source, name: str, store: Store, *, image: Manifest | None = None) -> Inspected:
    """Return the facts of an image; the sizes of a layer's packages are recorded by its digest.

    `image` is what the name means where that is not the manifest of this name. Raises
    LockstitchError for a config that does not fit the manifest.
    """
    manifest = image or source.manifest(name)
    config = _config(source, manifest)
    layers = []
    total: dict[str, int] = {}
    titles = [each.get("created_by", "") for each in _of_layers(config)]
    titles += [""] * len(manifest.layers)  # others need not say how a layer was made
    for descriptor, diff_id, title in zip(
        manifest.layers, config["rootfs"]["diff_ids"], titles, strict=False
    ):
        layer, packages = _layer(source, store, descriptor, diff_id, title)
        layers.append(layer)
        for package in packages:
            total[package.name] = total.get(package.name, 0) + package.size
    sized = [sizes.Package(name=key, size=value) for key, value in total.items()]
    return Inspected(
        name=name,
        digest=manifest.digest,
        manifest=manifest.document,
        config=config,
        layers=tuple(layers),
        packages=tuple(sorted(sized, key=lambda package: (-package.size, package.name))),
    )


def _config(source: Source, image: Manifest) -> Mapping[str, Any]:
    """Return the config of an image, which has what is shown of it."""
    try:
        config = json.loads(document(source, image.config))
        given = [config["os"], config["architecture"], *config["rootfs"]["diff_ids"]]
        fits = len(config["rootfs"]["diff_ids"]) == len(image.layers)
        fits = fits and all(isinstance(each, str) for each in given)
        fits = fits and all(isinstance(each, dict) for each in config.get("history", []))
        settings = config.get("config") or {}
        fits = fits and isinstance(settings, dict)
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        fits, config, settings = False, {}, {}
    if not fits:
        message = f"{image.source} has a config that is not of an image with its layers"
        raise LockstitchError(message)
    return dict(config) | {"config": settings}


def _of_layers(config: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the history of layers; what a base's Dockerfile set otherwise made none."""
    return [each for each in config.get("history", []) if not each.get("empty_layer")]


def _layer(
    source: Source, store: Store, descriptor: Descriptor, diff_id: str, created_by: str
) -> tuple[SourceLayer, list[sizes.Package]]:
    known = store.record("sizes", descriptor.digest.hex)
    facts = LayerFacts(
        digest=descriptor.digest,
        diff_id=Digest.parse(diff_id),
        size=descriptor.size,
        unpacked=sum(size for _, size in known) if known else 0,
        media_type=descriptor.media_type,
    )
    layer = SourceLayer(facts=facts, created_by=created_by, descriptor=descriptor, source=source)
    if known is not None:
        return layer, [sizes.Package(name=name, size=size) for name, size in known]
    packages = sizes.of_layers([layer])
    store.put_record("sizes", descriptor.digest.hex, [[each.name, each.size] for each in packages])
    return _layer(source, store, descriptor, diff_id, created_by)
