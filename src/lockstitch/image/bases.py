"""The files that an image takes from its base: a root file system that is made, or layers."""

from collections.abc import Iterator, MutableMapping, Sequence
from pathlib import Path

from lockstitch.lock.bases import Base
from lockstitch.lock.bases.cpython import CPythonBase
from lockstitch.lock.bases.debian import DebianBase
from lockstitch.lock.sbom import PackageFacts
from lockstitch.oci.entry import Entry
from lockstitch.oci.layer import LayerFacts, LazyLayer, oci_type
from lockstitch.oci.layout import Layout
from lockstitch.oci.reference import Reference
from lockstitch.oci.registry.client import Client
from lockstitch.oci.registry.push import BlobLocations
from lockstitch.oci.registry.repository import Repository
from lockstitch.progress import Reporter
from lockstitch.store import Store
from lockstitch.values import positional, replace


def root_files(
    base: Base, store: Store, facts: MutableMapping[str, PackageFacts] | None = None
) -> Iterator[Entry]:
    """Yield the root file system of a base whose layers are made here, sorted by path bytes.

    `facts` takes in what is known of each package, by its hex digest. Raises LockstitchError
    with every file of a package that no image should hold.
    """
    # Loaded when a base is made, once a machine, and not with each build.
    if isinstance(base, CPythonBase):
        from lockstitch.image import cpython

        return cpython.entries(base, store, facts)
    assert isinstance(base, DebianBase)  # noqa: S101 -- all others bring layers
    from lockstitch.image import debian

    return debian.entries(base, store, facts)


def added_files(
    base: Base, store: Store, facts: MutableMapping[str, PackageFacts] | None = None
) -> Iterator[Entry]:
    """Yield the sorted entries that system packages add to a base; raises as `root_files`."""
    from lockstitch.image import debian

    if isinstance(base, (CPythonBase, DebianBase)):
        below = {entry.path: entry for entry in root_files(base.plain, store)}
        yield from debian.added_entries(below, base, store, facts)


class InheritedLayers:
    """The layers that bases bring as blobs, fetched when they are read and not before."""

    def __init__(self, store: Store, progress: Reporter, client: Client) -> None:
        """Ask no registry yet."""
        self._store = store
        self._client = client
        self._progress = progress
        self._repositories: dict[str, Repository] = {}

    def layers(self, base: Base, layout: Layout) -> list[LazyLayer]:
        """Return the layers that a base brings, lowest first."""
        if not base.layers:
            return []
        reference = Reference.parse(base.name)
        places = BlobLocations(self._store, reference.host)
        for layer in base.layers:
            # What is pushed to the same registry is mounted from there.
            places.note(layer.digest, reference.repository)
        history = base.defaults().history
        titles = [e.get("created_by", "") for e in history if not e.get("empty_layer")]
        return [
            LazyLayer(
                # The blob is the same; in a manifest of ours it has the OCI spec's name.
                facts=replace(layer, media_type=oci_type(layer.media_type)),
                created_by=title,
                find=_Find(self._store, layout, layer),
                bring=_Bring(self, base, layer),
            )
            for layer, title in zip(base.layers, titles, strict=True)
        ]

    def fetch(self, base: Base, layers: Sequence[LayerFacts]) -> None:
        """Bring layers of a base into the store; raises LockstitchError when a download fails."""
        if layers:
            from lockstitch.lock.bases.registry.pin import fetch

            reference = Reference.parse(base.name)
            if reference.name not in self._repositories:
                self._repositories[reference.name] = Repository(self._client, reference)
            fetch(layers, self._repositories[reference.name], self._store, self._progress)

    def path(self, layer: LayerFacts) -> Path:
        """Return where the store has a layer, or would have it."""
        return self._store.path(layer.digest)


@positional
class _Find:
    store: Store
    layout: Layout
    layer: LayerFacts

    def __call__(self) -> Path | None:
        digest, size = self.layer.digest, self.layer.size
        paths = (self.store.path(digest), self.layout.path(digest))
        return next((path for path in paths if self.store.is_whole(path, digest, size)), None)


@positional
class _Bring:
    inherited: InheritedLayers
    base: Base
    layer: LayerFacts

    def __call__(self) -> Path:
        self.inherited.fetch(self.base, [self.layer])
        return self.inherited.path(self.layer)
