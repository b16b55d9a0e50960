"""Facts of an image in a layout or in a registry, read from its blobs."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from lockstitch.digest import Digest, parse_json
from lockstitch.errors import LockstitchError
from lockstitch.image import sizes
from lockstitch.image.verify import document
from lockstitch.oci import listing
from lockstitch.oci.layer import LayerFacts
from lockstitch.oci.manifest import Manifest, Source
from lockstitch.oci.model import Descriptor
from lockstitch.store import Store
from lockstitch.values import frozen, replace


@frozen
class SourceLayer:
    """A layer of an image in a layout or in a registry."""

    facts: LayerFacts
    created_by: str
    descriptor: Descriptor
    source: Source

    def chunks(self) -> Iterator[bytes]:
        """Yield the compressed bytes, which are checked at their end."""
        yield from self.source.blob(self.descriptor)


@frozen
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
    # What a base's Dockerfile set otherwise has an entry in the history, and no layer.
    history = [step for step in config.get("history", []) if not step.get("empty_layer")]
    titles = [step.get("created_by", "") for step in history]
    titles += [""] * len(manifest.layers)  # others need not say how a layer was made
    layers = []
    total: dict[str, int] = {}
    diff_ids = map(Digest.parse, config["rootfs"]["diff_ids"])
    for descriptor, diff_id, title in zip(manifest.layers, diff_ids, titles, strict=False):
        facts = LayerFacts(
            digest=descriptor.digest,
            diff_id=diff_id,
            size=descriptor.size,
            unpacked=0,
            media_type=descriptor.media_type,
            annotations=tuple(sorted(descriptor.annotations.items())),
        )
        layers.append(
            SourceLayer(facts=facts, created_by=title, descriptor=descriptor, source=source)
        )
    for number, packages in enumerate(_sizes(layers, store)):
        facts = replace(layers[number].facts, unpacked=sum(packages.values()))
        layers[number] = replace(layers[number], facts=facts)
        for package, size in packages.items():
            total[package] = total.get(package, 0) + size
    sized = [sizes.Package(name=key, size=value) for key, value in total.items()]
    return Inspected(
        name=name,
        digest=manifest.digest,
        manifest=manifest.document,
        config=config,
        layers=tuple(layers),
        packages=tuple(sorted(sized, key=lambda package: (-package.size, package.name))),
    )


def _sizes(layers: Sequence[SourceLayer], store: Store) -> list[dict[str, int]]:
    """Return the bytes of each package of each layer, which are recorded by its digest."""
    known = {layer.facts.digest: sizes.recorded(layer.facts.digest, store) for layer in layers}
    missing = [layer for layer in layers if known[layer.facts.digest] is None]
    read = listing.of_layers([(layer.facts.digest, layer.chunks) for layer in missing], store)
    for layer, contents in zip(missing, read, strict=True):
        known[layer.facts.digest] = sizes.remember(layer.facts.digest, contents, store)
    return [known[layer.facts.digest] or {} for layer in layers]


def _config(source: Source, image: Manifest) -> Mapping[str, Any]:
    """Return the config of an image, checked to hold what is shown of it."""
    try:
        config = parse_json(document(source, image.config))
        given = [config["os"], config["architecture"], *config["rootfs"]["diff_ids"]]
        fits = len(config["rootfs"]["diff_ids"]) == len(image.layers)
        fits = fits and all(isinstance(word, str) for word in given)
        fits = fits and all(isinstance(step, dict) for step in config.get("history", []))
        settings = config.get("config") or {}
        fits = fits and isinstance(settings, dict)
    except (ValueError, LookupError, TypeError, AttributeError):
        fits, config, settings = False, {}, {}
    if not fits:
        message = f"{image.source} has a config that is not of an image with its layers"
        raise LockstitchError(message)
    return dict(config) | {"config": settings}
