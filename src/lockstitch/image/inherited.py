"""What an image takes over from a base of a registry: its layers as they are, and its config."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lockstitch.lock.bases import registry
from lockstitch.lock.bases.registry import BaseLayer, RegistryBase
from lockstitch.oci.layer import LayerFacts, Shallow, oci_type
from lockstitch.oci.layout import Layout
from lockstitch.oci.reference import Reference
from lockstitch.oci.registry.client import Client
from lockstitch.oci.registry.mounts import Places
from lockstitch.oci.registry.repository import Repository
from lockstitch.progress import Reporter
from lockstitch.store import Store

__all__ = ["Below"]


class Below:
    """The layers of bases, fetched when somebody reads them and not before."""

    def __init__(self, store: Store, progress: Reporter, client: Client) -> None:
        """Ask no registry yet."""
        self._store = store
        self._client = client
        self._progress = progress
        self._repositories: dict[str, Repository] = {}

    def layers(self, base: RegistryBase, layout: Layout) -> list[Shallow]:
        """Return the layers of a base, lowest first."""
        reference = Reference.parse(base.reference)
        places = Places(self._store, reference.host)
        for each in base.layers:
            # What is pushed to the same registry is mounted from there.
            places.note(each.digest, reference.repository)
        titles = [e.get("created_by", "") for e in base.entries_of_history() if _is_layer(e)]
        return [
            Shallow(
                facts=LayerFacts(
                    digest=each.digest,
                    diff_id=each.diff_id,
                    size=each.size,
                    unpacked=each.unpacked,
                    # The blob is the same; in a manifest of ours it has the OCI spec's name.
                    media_type=oci_type(each.media_type),
                ),
                created_by=title,
                places=(self._store.path(each.digest), layout.path(each.digest)),
                bring=_Bring(self, base, each),
            )
            for each, title in zip(base.layers, titles, strict=True)
        ]

    def fetch(self, base: RegistryBase, layers: Sequence[BaseLayer]) -> None:
        """Bring layers of a base into the store."""
        registry.fetch(layers, self._repository(base), self._store, self._progress)

    def path(self, layer: BaseLayer) -> Path:
        """Return where the store has a layer, or would have it."""
        return self._store.path(layer.digest)

    def _repository(self, base: RegistryBase) -> Repository:
        reference = Reference.parse(base.reference)
        if reference.name not in self._repositories:
            self._repositories[reference.name] = Repository(self._client, reference)
        return self._repositories[reference.name]


@dataclass(frozen=True, slots=True)
class _Bring:
    below: Below
    base: RegistryBase
    layer: BaseLayer

    def __call__(self) -> Path:
        self.below.fetch(self.base, [self.layer])
        return self.below.path(self.layer)


def _is_layer(entry: dict[str, object]) -> bool:
    return not entry.get("empty_layer")
