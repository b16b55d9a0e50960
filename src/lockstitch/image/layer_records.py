"""Layers that exist already, by the key of their plan: in the store, the layout or a cache."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from lockstitch import cache, files
from lockstitch.digest import Digest, canonical_json
from lockstitch.errors import LockstitchError
from lockstitch.image import collisions
from lockstitch.image.layers import LayerResult
from lockstitch.image.plan import LayerPlan
from lockstitch.lock.sbom import PackageFacts
from lockstitch.oci.layer import Layer, LayerFacts, whole_chunks
from lockstitch.oci.layout import Layout
from lockstitch.oci.registry.cache import CachedLayer, LayerCache
from lockstitch.oci.registry.repository import MOST
from lockstitch.store import Store
from lockstitch.values import frozen

_KIND, _OWN = "layers", "own-layers"  # of store records
_OF_PROJECT = frozenset({"app", "files", "own"})  # kinds of layers that each edit makes anew


@frozen
class StoredLayer:
    """A layer whose facts are recorded and whose bytes are in a file of store or layout."""

    facts: LayerFacts
    created_by: str
    path: Path

    def chunks(self) -> Iterator[bytes]:
        """Yield the compressed bytes; LockstitchError when they are gone or damaged."""
        yield from whole_chunks(self.path, self)


class LayerRecords:
    """The layers that this machine has made, and those that a cache holds.

    A layer of a cache counts in this run only: it is never written to the store's records.
    """

    def __init__(self, store: Store, layer_cache: LayerCache | None = None) -> None:
        """Ask no cache yet."""
        self._store = store
        self._cache = layer_cache
        self._cached: dict[str, CachedLayer] = {}
        self._looked: dict[str, LayerPlan] = {}

    @property
    def has_cache(self) -> bool:
        """Whether layers may be taken from a cache."""
        return self._cache is not None

    def look(self, plans: Iterable[LayerPlan]) -> None:
        """Ask the cache for layers, once each; app files are soon packed, and rarely shared."""
        if self._cache is None:
            return
        shared = (p for p in plans if p.kind not in {"files", "app"})
        fresh = {p.key: p for p in shared if p.key not in self._looked}
        cached = self._cache.find({key: planned.title for key, planned in fresh.items()})
        self._looked |= fresh
        for key, layer in cached.items():
            mine = self._facts(key)
            if mine in {None, layer.facts}:
                self._cached[key] = layer
                continue
            note = f"the cache has another `{layer.created_by:.60}` ({layer.facts.digest}) than "
            self._cache.notes.append(f"{note}this machine made: it is left alone")

    def layer(self, planned: LayerPlan, layout: Layout) -> Layer | None:
        """Return the layer of a plan, None where it is not recorded or its bytes are not whole."""
        facts = self._facts(planned.key)
        if facts:
            for path in (self._store.path(facts.digest), layout.path(facts.digest)):
                if self._store.is_whole(path, facts.digest, facts.size):
                    return StoredLayer(facts=facts, created_by=planned.title, path=path)
        return self._cached.get(planned.key)

    def packages(self, planned: LayerPlan) -> dict[str, PackageFacts]:
        """Return the facts of the packages of a layer, by their hex digests."""
        record = self._read(planned.key)
        if record is None and planned.key in self._cached:
            record = self._cached[planned.key].record
        documents = (record or {}).get("parts", {})
        return {key: PackageFacts.of_document(documents[key]) for key in documents}

    def files(self, planned: LayerPlan) -> dict[str, Any]:
        """Return the records of the files of a cached layer's wheels, by their hex digests."""
        cached = self._cached.get(planned.key)
        documents = cached.record.get("files") if cached else None
        return documents if isinstance(documents, dict) else {}

    def put(self, key: str, result: LayerResult) -> None:
        """Record a layer that this machine has made."""
        facts = result.facts
        self._store.put_record(
            _KIND,
            key,
            {
                "digest": facts.digest,
                "diff_id": facts.diff_id,
                "size": facts.size,
                "unpacked": facts.unpacked,
                "parts": {name: facts.document() for name, facts in result.packages.items()},
                **({"annotations": dict(facts.annotations)} if facts.annotations else {}),
            },
        )

    def sweep(self, owner: str, plans: Mapping[str, Sequence[LayerPlan]]) -> None:
        """Remove the layers of a project's own code but for those before the last edit.

        So an edit that is undone costs nothing. `plans` are those of the images that were built
        now. A layer that another project has, or another copy of this one, stays; while other
        commands use the store, all stay until later. Raises LockstitchError where the store cannot
        be written.
        """
        known = {"now": {}, "before": [], "old": []} | (self._store.record(_OWN, owner) or {})
        now = known["now"] | {name: self._own(plans[name]) for name in plans}
        if now == known["now"]:
            return
        needed = _digests(now)
        left = [pair for pair in _pairs(known["now"]) if pair[1] not in needed]
        if not left:
            self._store.remember(_OWN, owner, {**known, "now": now})
            return
        needed |= {digest for _, digest in left}
        old = [pair for pair in known["before"] + known["old"] if pair[1] not in needed]
        with self._store.alone(wait=False) as alone:
            if alone:
                needed |= {
                    d for record in self._store.records(_OWN) for d in _digests(record["now"])
                }
                for key, digest in old:
                    if digest not in needed:
                        cache.forget(self._store, Digest.parse(digest))
                        files.remove(self._store.record_path(_KIND, key))
                old = []
        self._store.remember(_OWN, owner, {"now": now, "before": left, "old": old})

    def _own(self, plans: Sequence[LayerPlan]) -> list[list[str]]:
        """Return key and digest of each layer of a project's own code."""
        own = [plan.key for plan in plans if plan.kind in _OF_PROJECT]
        return [[key, facts.digest] for key in own if (facts := self._facts(key))]

    def share(self, layout: Layout) -> int:
        """Write this machine's layers to a cache that lacks them; return how many."""
        if self._cache is None:
            return 0
        layers = []
        for key, planned in sorted(self._looked.items()):
            layer = self.layer(planned, layout)
            if isinstance(layer, StoredLayer) and key not in self._cached:
                layers.append((key, layer, self._shared(planned)))
        return self._cache.keep(layers) if layers else 0

    def _shared(self, planned: LayerPlan) -> dict[str, Any]:
        """Return a layer's record with the files of its wheels, which no other build has then."""
        record: dict[str, Any] = self._read(planned.key)
        documents = {
            wheel.digest.hex: collisions.document(wheel.digest, self._store)
            for wheel in planned.wheels
        }
        known = {key: facts for key, facts in documents.items() if facts is not None}
        whole = record | ({"files": known} if known else {})
        return whole if len(canonical_json(whole)) <= MOST else record

    def _read(self, key: str) -> Any:
        return self._store.record(_KIND, key)

    def _facts(self, key: str) -> LayerFacts | None:
        """Return the facts of a layer, None where its record is missing or not of this form."""
        try:
            record = self._read(key)
            record["parts"]
            return LayerFacts(
                digest=Digest.parse(record["digest"]),
                diff_id=Digest.parse(record["diff_id"]),
                size=int(record["size"]),
                unpacked=int(record["unpacked"]),
                annotations=tuple(sorted(record.get("annotations", {}).items())),
            )
        except (LockstitchError, KeyError, TypeError, ValueError):
            return None


def _pairs(images: Mapping[str, Sequence[list[str]]]) -> Iterator[list[str]]:
    """Yield key and digest of each layer of images, by their names."""
    for pairs in images.values():
        yield from pairs


def _digests(images: Mapping[str, Sequence[list[str]]]) -> set[str]:
    return {digest for _, digest in _pairs(images)}
