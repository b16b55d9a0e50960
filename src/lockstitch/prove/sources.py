"""Where an image that is compared comes from: a layout, or a registry."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, repeat
from typing import Any

from lockstitch.digest import Digest
from lockstitch.errors import LockstitchError
from lockstitch.oci.layer import Layer, LayerFacts
from lockstitch.oci.layout import Layout
from lockstitch.oci.model import Descriptor, Platform
from lockstitch.oci.registry.repository import Repository
from lockstitch.prove.compare import Seen

__all__ = ["in_layout", "in_registry"]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Local:
    facts: LayerFacts
    created_by: str
    layout: Layout

    def chunks(self) -> Iterator[bytes]:
        """Yield the compressed bytes."""
        yield from self.layout.chunks(self.facts.digest)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Remote:
    facts: LayerFacts
    created_by: str
    repository: Repository

    def chunks(self) -> Iterator[bytes]:
        """Yield the compressed bytes."""
        facts = self.facts
        yield from self.repository.blob(
            Descriptor(media_type=facts.media_type, digest=facts.digest, size=facts.size)
        )


def in_layout(layout: Layout, name: str) -> Seen:
    """Return the image of a name in a layout."""
    digest = layout.manifest_digest(name)
    manifest = dict(layout.document(digest))
    config = dict(layout.document(Digest.parse(manifest["config"]["digest"])))
    layers: list[Layer] = [
        _Local(facts=facts, created_by=title, layout=layout)
        for facts, title in _facts(manifest["layers"], config)
    ]
    return Seen(digest=digest, config=config, layers=layers)


def in_registry(repository: Repository, which: Digest | str, platform: Platform) -> Seen:
    """Return the image of a tag or digest in a registry, of one platform of its index."""
    import json

    found = repository.image(which, platform)
    config = json.loads(repository.small(found.config))
    listed = [each.document() for each in found.layers]
    layers: list[Layer] = [
        _Remote(facts=facts, created_by=title, repository=repository)
        for facts, title in _facts(listed, config)
    ]
    return Seen(digest=found.digest, config=config, layers=layers)


def _facts(
    listed: list[dict[str, Any]], config: dict[str, Any]
) -> Iterator[tuple[LayerFacts, str]]:
    """Yield the facts and the title of each layer; what a config lacks is left empty."""
    diff_ids = config.get("rootfs", {}).get("diff_ids", [])
    if len(diff_ids) != len(listed):
        message = f"the image has {len(listed)} layers and {len(diff_ids)} diffIDs"
        raise LockstitchError(message, hint="its config and manifest do not belong together")
    said = (each for each in config.get("history", []) if not each.get("empty_layer"))
    titles = chain((str(each.get("created_by", "")) for each in said), repeat(""))
    for each, diff_id, title in zip(listed, diff_ids, titles, strict=False):
        facts = LayerFacts(
            digest=Digest.parse(each["digest"]),
            diff_id=Digest.parse(diff_id),
            size=each["size"],
            unpacked=0,
            media_type=each["mediaType"],
        )
        yield facts, title
