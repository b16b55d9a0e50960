"""Layers that somebody made before, and what a registry may say that is not so."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from support.images import MadeLayer, layer
from support.registry import Fault, Registry

from lockstitch.digest import of_bytes
from lockstitch.errors import LockstitchError
from lockstitch.oci.entry import file
from lockstitch.oci.layer import checked
from lockstitch.oci.model import INDEX_TYPE, MANIFEST_TYPE
from lockstitch.oci.reference import Reference
from lockstitch.oci.registry.cache import LayerCache
from lockstitch.oci.registry.client import Client
from lockstitch.oci.registry.push import BlobLocations, RepositoryWriter
from lockstitch.store import Store

MADE = layer([file("a", bytes(range(256)) * 2000)], "numpy 2.1")
KEY = of_bytes(b"key").hex


def record(made: MadeLayer, **changes: object) -> dict[str, Any]:
    facts = made.facts
    names = ("digest", "diff_id", "size", "unpacked")
    return {name: getattr(facts, name) for name in names} | {"parts": {"x": {}}} | changes


@pytest.fixture
def cache(registry: Registry, tmp_path: Path) -> LayerCache:
    target = RepositoryWriter(
        Client(first_wait=0.001), Reference.parse(f"{registry.address}/cache")
    )
    return LayerCache(target, BlobLocations(Store(tmp_path), registry.address))


def test_a_layer_is_found_by_its_key(registry: Registry, cache: LayerCache, tmp_path: Path) -> None:
    assert cache.find({KEY: "numpy"}) == {}
    assert cache.keep([(KEY, MADE, record(MADE))]) == 1
    found = cache.find({KEY: "numpy", of_bytes(b"other").hex: "pandas"})
    assert list(found) == [KEY]
    assert found[KEY].facts == MADE.facts
    assert found[KEY].created_by == "numpy"  # what the plan calls it, not what the cache does
    assert found[KEY].record["parts"] == {"x": {}}
    assert b"".join(checked(found[KEY])) == MADE.data
    assert registry.holes() == []
    assert cache.notes == []
    # A push to this registry knows where to mount it from.
    places = BlobLocations(Store(tmp_path), registry.address)
    assert places.of(MADE.facts.digest, "app") == ("cache",)


def test_a_lazy_layer_keeps_where_its_table_is_named(cache: LayerCache) -> None:
    annotated = dataclasses.replace(MADE.facts, annotations=(("a.test/digest", "sha256:0"),))
    made = dataclasses.replace(MADE, facts=annotated)
    cache.keep([(KEY, made, record(made))])
    assert cache.find({KEY: "numpy"})[KEY].facts == annotated


def test_a_layer_that_is_there_is_not_sent_again(registry: Registry, cache: LayerCache) -> None:
    cache.keep([(KEY, MADE, record(MADE))])
    received = registry.received()
    cache.keep([(KEY, MADE, record(MADE))])
    assert registry.received() == received


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"diff_id": "sha256:x"}, "is not a sha256 digest"),
        ({"unpacked": -1}, "-1"),
        ({"unpacked": True}, "True"),
        ({"size": 3}, "has the record of another layer"),
        ({"digest": "sha256:" + "0" * 64}, "has the record of another layer"),
    ],
)
def test_a_record_that_makes_no_sense_is_noted_and_left(
    cache: LayerCache, changes: dict[str, object], why: str
) -> None:
    cache.keep([(KEY, MADE, record(MADE, **changes))])
    assert cache.find({KEY: "numpy"}) == {}
    (note,) = cache.notes
    assert "is not a layer of lockstitch" in note
    assert why in note


def test_a_layer_of_another_key_is_left(registry: Registry, cache: LayerCache) -> None:
    cache.keep([(KEY, MADE, record(MADE))])
    other = of_bytes(b"other").hex
    held = registry.manifests["cache"]
    held[f"layer-{other}"] = held[f"layer-{KEY}"]
    assert cache.find({other: "pandas"}) == {}
    assert "has the record of another layer" in cache.notes[0]


def test_an_image_under_the_tag_is_left(registry: Registry, cache: LayerCache) -> None:
    cache.keep([(KEY, MADE, record(MADE))])
    kind, data = registry.manifests["cache"][f"layer-{KEY}"]
    document = json.loads(data)
    document["layers"] *= 2
    registry.manifests["cache"][f"layer-{KEY}"] = (kind, json.dumps(document).encode())
    assert cache.find({KEY: "numpy"}) == {}
    assert len(cache.notes) == 1


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        (MANIFEST_TYPE, b"{"),
        (MANIFEST_TYPE, b"[" * 100_000),
        (MANIFEST_TYPE, b'{"mediaType": "text/plain"}'),
        (MANIFEST_TYPE, b"\xff\xfe"),
        (MANIFEST_TYPE, b" " * (5 << 20)),
        ("text/html", b"<html></html>"),
        (INDEX_TYPE, b'{"manifests": []}'),
    ],
)
def test_what_is_no_manifest_under_a_tag_is_not_there_and_is_written_anew(
    registry: Registry, cache: LayerCache, kind: str, data: bytes
) -> None:
    other = of_bytes(b"other").hex
    cache.keep([(KEY, MADE, record(MADE)), (other, MADE, record(MADE))])
    registry.manifests["cache"][f"layer-{KEY}"] = (kind, data)
    assert list(cache.find({KEY: "numpy", other: "pandas"})) == [other]  # and no other is lost
    (note,) = cache.notes
    assert f"`layer-{KEY}` of `{registry.address}/cache` is not a layer of lockstitch" in note
    cache.keep([(KEY, MADE, record(MADE))])
    assert list(cache.find({KEY: "numpy"})) == [KEY]


def test_a_layer_whose_record_is_gone_is_not_there(registry: Registry, cache: LayerCache) -> None:
    other = of_bytes(b"other").hex
    cache.keep([(KEY, MADE, record(MADE)), (other, MADE, record(MADE, unpacked=1))])
    manifest = json.loads(registry.manifests["cache"][f"layer-{KEY}"][1])
    del registry.blobs["cache"][manifest["config"]["digest"]]
    assert list(cache.find({KEY: "numpy", other: "pandas"})) == [other]


def test_a_lie_about_the_diff_id_is_found_when_bytes_are_read(cache: LayerCache) -> None:
    wrong = of_bytes(b"wrong")
    facts = dataclasses.replace(MADE.facts, diff_id=wrong)
    lying = dataclasses.replace(MADE, facts=facts)
    cache.keep([(KEY, lying, record(lying))])
    found = cache.find({KEY: "numpy"})[KEY]
    with pytest.raises(LockstitchError, match=f"has the diffID {MADE.facts.diff_id}, not {wrong}"):
        b"".join(found.chunks())


def test_bytes_that_are_no_layer_are_found_when_they_are_read(
    registry: Registry, cache: LayerCache
) -> None:
    data = b"\x1f\x8b\x08\0\0\0\0\0\0\xff not a layer"
    digest = of_bytes(data)
    facts = dataclasses.replace(MADE.facts, digest=digest, size=len(data))
    made = dataclasses.replace(MADE, facts=facts, data=data)
    cache.keep([(KEY, made, record(made))])
    with pytest.raises(LockstitchError, match="does not inflate"):
        b"".join(cache.find({KEY: "numpy"})[KEY].chunks())
    registry.blobs["cache"][digest] = MADE.data
    with pytest.raises(LockstitchError, match=rf"the blob {digest} .* is sha256:"):
        b"".join(cache.find({KEY: "numpy"})[KEY].chunks())


@pytest.mark.parametrize(
    ("method", "words"), [("GET", "cannot be read"), ("POST", "was not written")]
)
def test_a_cache_that_refuses_is_noted(
    registry: Registry, cache: LayerCache, method: str, words: str
) -> None:
    registry.fail(method, "/v2/cache/", *[Fault(status=403)] * 20)
    assert cache.find({KEY: "numpy"}) == {}
    assert cache.keep([(KEY, MADE, record(MADE))]) == (0 if method == "POST" else 1)
    assert words in cache.notes[0]
