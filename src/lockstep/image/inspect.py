"""Facts of an image that stands in a layout, read from its blobs."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from lockstep.digest import Digest
from lockstep.image import sizes
from lockstep.oci.layer import LayerFacts
from lockstep.oci.layout import Layout
from lockstep.store import Store

__all__ = ["Inspected", "LayoutLayer", "inspect"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LayoutLayer:
    """A layer of an image in a layout."""

    facts: LayerFacts
    created_by: str
    layout: Layout

    def chunks(self) -> Iterator[bytes]:
        """Yield the compressed bytes."""
        yield from self.layout.chunks(self.facts.digest)


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspected:
    """What `lockstep inspect` shows."""

    name: str
    digest: Digest
    manifest: Mapping[str, Any]
    config: Mapping[str, Any]
    layers: tuple[LayoutLayer, ...]
    packages: tuple[sizes.Package, ...]


def inspect(layout: Layout, name: str, store: Store) -> Inspected:
    """Return the facts of an image; the sizes of a layer's packages are recorded by its digest."""
    digest = layout.manifest_digest(name)
    manifest = layout.document(digest)
    config = layout.document(Digest.parse(manifest["config"]["digest"]))
    layers = []
    total: dict[str, int] = {}
    for descriptor, diff_id, history in zip(
        manifest["layers"], config["rootfs"]["diff_ids"], _of_layers(config), strict=True
    ):
        title = history.get("created_by", "")
        layer, packages = _layer(layout, store, descriptor, diff_id, title)
        layers.append(layer)
        for package in packages:
            total[package.name] = total.get(package.name, 0) + package.size
    found = [sizes.Package(name=key, size=value) for key, value in total.items()]
    return Inspected(
        name=name,
        digest=digest,
        manifest=manifest,
        config=config,
        layers=tuple(layers),
        packages=tuple(sorted(found, key=lambda package: (-package.size, package.name))),
    )


def _of_layers(config: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the history of layers; what a base's Dockerfile set otherwise made none."""
    return [each for each in config["history"] if not each.get("empty_layer")]


def _layer(
    layout: Layout, store: Store, descriptor: Mapping[str, Any], diff_id: str, created_by: str
) -> tuple[LayoutLayer, list[sizes.Package]]:
    digest = Digest.parse(descriptor["digest"])
    known = store.record("sizes", digest.hex)
    facts = LayerFacts(
        digest=digest,
        diff_id=Digest.parse(diff_id),
        size=descriptor["size"],
        unpacked=sum(size for _, size in known) if known else 0,
        media_type=descriptor["mediaType"],
    )
    layer = LayoutLayer(facts=facts, created_by=created_by, layout=layout)
    if known is not None:
        return layer, [sizes.Package(name=name, size=size) for name, size in known]
    packages = sizes.of_layers([layer])
    store.put_record("sizes", digest.hex, [[each.name, each.size] for each in packages])
    return _layer(layout, store, descriptor, diff_id, created_by)
