"""Records of layers: which count, and what happens when the bytes or the form are not right."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import pytest
from support.images import MadeLayer, layer

from lockstitch.digest import of_bytes
from lockstitch.errors import LockstitchError
from lockstitch.image.layer_records import LayerRecords, StoredLayer
from lockstitch.image.layers import LayerResult
from lockstitch.image.plan import LayerPlan
from lockstitch.lock.sbom import PackageFacts
from lockstitch.oci.entry import file
from lockstitch.oci.layer import LayerFacts
from lockstitch.oci.layout import Layout
from lockstitch.oci.registry.cache import CachedLayer, LayerCache
from lockstitch.store import Store

PLAN = LayerPlan(kind="wheels", title="demo 1.0", key=of_bytes(b"key").hex)
FACTS = {"a" * 64: PackageFacts(licences=("MIT",), left_out=("tests/",))}
OURS = layer([file("a", b"ours")], "demo 1.0")
THEIRS = layer([file("a", b"theirs")], "demo 1.0")


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout(tmp_path / "layout")


def result(of: MadeLayer = OURS) -> LayerResult:
    return LayerResult(facts=of.facts, notes=(), packages=FACTS)


@pytest.fixture
def records(store: Store) -> LayerRecords:
    """Return records that have one layer, whose blob is in the store."""
    found = LayerRecords(store)
    store.put(OURS.data)
    found.put(PLAN.key, result())
    return found


def record_path(store: Store) -> Path:
    (path,) = (store.root / "records" / "layers").rglob("*.json")
    return path


def test_a_recorded_layer_is_read_from_the_store(records: LayerRecords, layout: Layout) -> None:
    found = records.layer(PLAN, layout)
    assert isinstance(found, StoredLayer)
    assert (found.facts, found.created_by) == (OURS.facts, "demo 1.0")
    assert b"".join(found.chunks()) == OURS.data
    assert records.packages(PLAN) == FACTS


def test_a_layer_whose_blob_only_the_layout_has_is_read_from_there(
    records: LayerRecords, store: Store, layout: Layout
) -> None:
    blob = layout.path(OURS.facts.digest)
    blob.parent.mkdir(parents=True)
    store.path(OURS.facts.digest).rename(blob)
    found = records.layer(PLAN, layout)
    assert found is not None
    assert b"".join(found.chunks()) == OURS.data


def test_a_missing_blob_means_that_the_layer_is_made_again(
    records: LayerRecords, store: Store, layout: Layout
) -> None:
    found = records.layer(PLAN, layout)
    store.path(OURS.facts.digest).unlink()
    assert records.layer(PLAN, layout) is None
    assert found is not None
    with pytest.raises(LockstitchError, match=r"the blob sha256:.* of `demo 1.0` is gone"):
        list(found.chunks())


def test_a_blob_that_was_cut_off_means_that_the_layer_is_made_again(
    records: LayerRecords, store: Store, layout: Layout
) -> None:
    path = store.path(OURS.facts.digest)
    path.chmod(0o644)
    path.write_bytes(OURS.data[:-1])
    assert records.layer(PLAN, layout) is None
    assert not path.exists()


def test_a_plan_of_another_layout_version_has_another_record(
    records: LayerRecords, layout: Layout
) -> None:
    other = dataclasses.replace(PLAN, key=of_bytes(b"the key of another version").hex)
    assert records.layer(other, layout) is None
    assert records.packages(other) == {}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"parts"', b'"pieces"'),  # an earlier form
        (b'"diff_id"', b'"diff-id"'),
        (b'"digest":"sha256:', b'"digest":"md5:'),
        (b'"size":', b'"size":"x'),
        (b"{", b"["),
    ],
)
def test_a_record_of_another_form_means_that_the_layer_is_made_again(
    records: LayerRecords, store: Store, layout: Layout, old: bytes, new: bytes
) -> None:
    path = record_path(store)
    assert old in path.read_bytes()
    path.write_bytes(path.read_bytes().replace(old, new, 1))
    assert records.layer(PLAN, layout) is None
    records.put(PLAN.key, result())
    assert records.layer(PLAN, layout) is not None


class FakeCache:
    """A cache of one layer, which counts its questions."""

    def __init__(self, held: MadeLayer | None = None) -> None:
        self.notes: list[str] = []
        self.asked: list[str] = []
        self.kept: list[tuple[str, LayerFacts, Mapping[str, Any]]] = []
        self._held = held

    def find(self, titles: Mapping[str, str]) -> dict[str, CachedLayer]:
        self.asked += titles
        if self._held is None:
            return {}
        record = {"parts": {key: each.document() for key, each in FACTS.items()}}
        return {
            key: CachedLayer(
                facts=self._held.facts,
                created_by=title,
                record=record,
                repository=cast("Any", None),
            )
            for key, title in titles.items()
        }

    def keep(self, layers: list[tuple[str, StoredLayer, Mapping[str, Any]]]) -> int:
        self.kept += [(key, found.facts, record) for key, found, record in layers]
        return len(layers)


def with_cache(store: Store, held: MadeLayer | None = None) -> tuple[LayerRecords, FakeCache]:
    cache = FakeCache(held)
    return LayerRecords(store, cast("LayerCache", cache)), cache


def test_a_layer_of_the_cache_counts_in_this_run_only(store: Store, layout: Layout) -> None:
    records, _ = with_cache(store, THEIRS)
    assert records.layer(PLAN, layout) is None
    records.look([PLAN])
    found = records.layer(PLAN, layout)
    assert isinstance(found, CachedLayer)
    assert records.packages(PLAN) == FACTS
    assert not (store.root / "records").exists()
    assert records.share(layout) == 0


def test_the_cache_is_asked_once_and_never_for_app_files(store: Store) -> None:
    records, cache = with_cache(store)
    app = dataclasses.replace(PLAN, kind="app", key=of_bytes(b"app").hex)
    records.look([PLAN, app])
    records.look([PLAN])
    assert cache.asked == [PLAN.key]


@pytest.mark.usefixtures("records")
def test_a_layer_of_the_cache_that_this_machine_made_otherwise_is_left_alone(
    store: Store, layout: Layout
) -> None:
    records, cache = with_cache(store, THEIRS)
    records.look([PLAN])
    found = records.layer(PLAN, layout)
    assert found is not None
    assert found.facts == OURS.facts
    (note,) = cache.notes
    assert str(THEIRS.facts.digest) in note


@pytest.mark.usefixtures("records")
def test_the_cache_gets_what_it_lacks(store: Store, layout: Layout) -> None:
    records, cache = with_cache(store)
    records.look([PLAN])
    assert records.share(layout) == 1
    ((key, facts, record),) = cache.kept
    assert (key, facts, record["digest"]) == (PLAN.key, OURS.facts, OURS.facts.digest)
    same, full = with_cache(store, OURS)
    same.look([PLAN])
    assert (same.share(layout), full.kept) == (0, [])


def test_without_a_cache_nothing_is_shared(records: LayerRecords, layout: Layout) -> None:
    records.look([PLAN])
    assert records.share(layout) == 0
