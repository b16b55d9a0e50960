"""Pushing to a registry that misbehaves: success or a clear error, and never a hole."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.fakes import Counted
from support.images import MadeLayer, image, layer, random_entries
from support.registry import Fault, Registry, digest_of, run

from lockstitch.digest import of_bytes
from lockstitch.errors import LockstitchError
from lockstitch.oci.entry import file
from lockstitch.oci.layer import LayerFacts
from lockstitch.oci.layout import Layout
from lockstitch.oci.model import Image, Platform
from lockstitch.oci.reference import Reference
from lockstitch.oci.registry.client import Client, RegistryError
from lockstitch.oci.registry.push import (
    BlobLocations,
    Count,
    Pushed,
    RepositoryWriter,
    of_image,
    of_layout,
    push,
)
from lockstitch.progress import Quiet
from lockstitch.store import Store

MADE = image(
    layer([file("big", bytes(range(256)) * 5000)], "big"), layer(random_entries(1), "small")
)
BLOBS = len(MADE.layers) + 1
BYTES = sum(blob.descriptor.size for blob in of_image(MADE).blobs)
BIG = max(of_image(MADE).blobs, key=lambda each: each.descriptor.size)


@pytest.fixture(autouse=True)
def _whole(registry: Registry) -> Iterator[None]:
    """Hold after every test here that the registry never had a manifest without its blobs."""
    yield
    assert registry.holes() == []


class Place:
    """Where to push: a client and a store of one machine."""

    def __init__(self, registry: Registry, folder: Path) -> None:
        self.registry = registry
        self.client = Client(first_wait=0.001)
        self.places = BlobLocations(Store(folder), registry.address)

    def push(self, *made: Image, repository: str = "app", tag: str = "1") -> Pushed:
        target = RepositoryWriter(
            self.client, Reference.parse(f"{self.registry.address}/{repository}")
        )
        return push(target, [of_image(each) for each in made], tag, self.places, Quiet())


@pytest.fixture
def place(registry: Registry, tmp_path: Path) -> Place:
    return Place(registry, tmp_path)


def held(registry: Registry, made: Image = MADE, repository: str = "app") -> bool:
    """Return whether the registry has all of an image under its tag."""
    manifest = registry.manifests.get(repository, {}).get("1", ("", b""))[1]
    blobs = registry.blobs.get(repository, {})
    right = all(digest_of(data) == digest for digest, data in blobs.items())
    return manifest == made.manifest_bytes() and right


def test_a_first_push_sends_all_and_a_second_one_nothing(registry: Registry, place: Place) -> None:
    nothing = Count(blobs=0, bytes=0)
    every = Count(blobs=BLOBS, bytes=BYTES)
    first = place.push(MADE)
    assert (first.sent, first.mounted, first.present) == (every, nothing, nothing)
    assert first.digest == MADE.digest
    assert registry.received() == BYTES
    assert held(registry)
    second = place.push(MADE)
    assert (second.sent, second.mounted, second.present) == (nothing, nothing, every)
    assert (first.manifests, second.manifests) == (1, 0)
    assert registry.received() == BYTES
    assert registry.count("POST") == BLOBS


def test_what_another_repository_has_is_mounted(registry: Registry, place: Place) -> None:
    place.push(MADE)
    other = place.push(MADE, repository="team/other")
    assert (other.mounted.blobs, other.sent.blobs) == (BLOBS, 0)
    assert registry.received() == BYTES
    assert held(registry, repository="team/other")


@pytest.mark.parametrize("status", [0, 400, 403, 404, 405])
def test_what_cannot_be_mounted_is_sent(registry: Registry, place: Place, status: int) -> None:
    place.push(MADE)
    registry.has_mount = False
    if status:
        registry.fail("POST", "/other/.*mount=", *[Fault(status=status)] * BLOBS)
    other = place.push(MADE, repository="other")
    assert (other.mounted.blobs, other.sent.blobs) == (0, BLOBS)
    # What the registry began in place of a mount is gone on with.
    assert registry.count("POST", "/other/") == (2 * BLOBS if status else BLOBS)


def test_platforms_get_an_index_and_images_before_it(registry: Registry, place: Place) -> None:
    arm = Image(
        platform=Platform.parse("linux/arm64"), config=MADE.config, layers=MADE.layers, created=1
    )
    one, two = place.push(MADE, arm), place.push(arm, MADE, tag="2")
    assert one.digest == two.digest
    assert (one.manifests, two.manifests) == (3, 1)
    assert one.sent.blobs == BLOBS + 1  # the layers once, and two configs
    index = json.loads(registry.manifests["app"]["1"][1])
    assert [each["platform"]["architecture"] for each in index["manifests"]] == ["amd64", "arm64"]
    assert [each["digest"] for each in index["manifests"]] == [MADE.digest, arm.digest]
    written = [seen.path.rpartition("/")[2] for seen in registry.seen if seen.method == "PUT"]
    assert [name for name in written if "digest=" not in name] == [
        MADE.digest,
        arm.digest,
        "1",
        "2",
    ]


def test_a_layout_is_pushed_as_it_stands(registry: Registry, place: Place, tmp_path: Path) -> None:
    layout = Layout(tmp_path / "images")
    layout.write(MADE, "demo")
    target = RepositoryWriter(place.client, Reference.parse(f"{registry.address}/app"))
    pushed = push(target, [of_layout(layout, "demo")], "1", place.places, Quiet())
    assert pushed.digest == MADE.digest
    assert held(registry)
    assert [b.title for b in of_layout(layout, "demo").blobs] == ["big", "small", "config"]


def test_a_damaged_layout_is_not_pushed(registry: Registry, place: Place, tmp_path: Path) -> None:
    layout = Layout(tmp_path / "images")
    layout.write(MADE, "demo")
    path = layout.path(BIG.descriptor.digest)
    path.chmod(0o644)
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    target = RepositoryWriter(place.client, Reference.parse(f"{registry.address}/app"))
    with pytest.raises(LockstitchError, match=r"a blob of .* is sha256:"):
        push(target, [of_layout(layout, "demo")], "1", place.places, Quiet())
    assert registry.manifests == {}
    assert BIG.descriptor.digest not in registry.blobs.get("app", {})


# --- a registry that misbehaves

PUT = ("PUT", "/blobs/uploads/")
GOES_WELL = {
    "401 in mid-upload": (*PUT, Fault(take=1000, status=401)),
    "401 before the bytes": (*PUT, Fault(status=401)),
    "429": (*PUT, Fault(status=429, headers={"Retry-After": "0"})),
    "500": (*PUT, Fault(status=500)),
    "408 in mid-upload": (*PUT, Fault(take=1500, status=408)),
    "the connection drops at byte 0": (*PUT, Fault(take=0, drop=True)),
    "the connection drops at byte 1": (*PUT, Fault(take=1, drop=True)),
    "the connection drops at byte 2000": (*PUT, Fault(take=2000, drop=True)),
    "201 is lost": (*PUT, Fault(instead=500)),
    "202 instead of 201": (*PUT, Fault(instead=202)),
    "204 instead of 201": (*PUT, Fault(instead=204)),
    "the upload is forgotten": (*PUT, Fault(status=404)),
    "POST drops": ("POST", "uploads", Fault(drop=True)),
    "POST says 503": ("POST", "uploads", Fault(status=503)),
    "HEAD drops": ("HEAD", "blobs", Fault(drop=True)),
    "HEAD says 429": ("HEAD", "blobs", Fault(status=429)),
    "the manifest is taken with 202": ("PUT", "manifests", Fault(instead=202)),
    "the manifest meets 502": ("PUT", "manifests", Fault(status=502)),
    "the manifest's 201 is lost": ("PUT", "manifests", Fault(instead=503)),
    "the manifest drops": ("PUT", "manifests", Fault(drop=True)),
}


@pytest.mark.parametrize("name", GOES_WELL)
def test_what_goes_wrong_once_goes_well(registry: Registry, place: Place, name: str) -> None:
    registry.token_life = 300
    method, path, fault = GOES_WELL[name]
    if fault.status == 401:
        realm = {"WWW-Authenticate": f'Bearer realm="http://{registry.address}/token"'}
        fault = Fault(status=401, take=fault.take, headers=realm)
        registry.fail("HEAD", "manifests/1", Fault())  # a token is there before
    registry.fail(method, path, fault)
    assert place.push(MADE).digest == MADE.digest
    assert held(registry)


def test_a_token_that_expires_while_blobs_are_sent_is_renewed(
    registry: Registry, place: Place
) -> None:
    registry.token_life = 300
    registry.fail(*PUT, Fault(expire=True))
    assert place.push(MADE).sent.blobs == BLOBS
    assert held(registry)
    assert len(registry.asked_for_tokens) == 2
    assert any(s.method == "PUT" and s.status == 401 for s in registry.seen)


def test_a_dropped_upload_goes_on_from_the_byte_that_the_registry_has(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = bytes(range(256)) * 40_000  # 10 MB, of which the first half arrives
    made = image(of_data(data))
    place = Place(registry, tmp_path)
    monkeypatch.setattr("lockstitch.oci.registry.push.PARALLEL", 1)  # the larger blob goes first
    registry.fail(*PUT, Fault(take=5_000_000, drop=True))
    assert place.push(made).sent.blobs == 2
    assert held(registry, made)
    parts = [s for s in registry.seen if s.method == "PATCH"]
    assert [s.headers["Content-Range"] for s in parts] == [f"5000000-{len(data) - 1}"]
    assert registry.received() == len(data) + len(made.config_bytes())


def of_data(data: bytes) -> MadeLayer:
    facts = LayerFacts(digest=of_bytes(data), diff_id=of_bytes(data), size=len(data), unpacked=1)
    return MadeLayer(facts=facts, created_by="data", data=data)


def test_an_upload_that_went_on_from_foreign_bytes_starts_again(
    registry: Registry, place: Place
) -> None:
    registry.fail(*PUT, Fault(take=100, drop=True))
    registry.fail("GET", "/blobs/uploads/", Fault(headers={"Range": "0-5000"}))
    assert place.push(MADE).digest == MADE.digest
    assert held(registry)


@pytest.mark.parametrize("least", [0, 1, 20 << 20])
def test_a_registry_that_takes_no_large_request_gets_chunks(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, least: int
) -> None:
    monkeypatch.setattr("lockstitch.oci.registry.upload._CHUNK", 1 << 20)
    registry.has_monolithic, registry.least_chunk = False, least
    data = bytes(range(256)) * 10_000
    made = image(of_data(data))
    assert Place(registry, tmp_path).push(made).sent.bytes == len(data) + len(made.config_bytes())
    assert held(registry, made)
    sizes = [s.received for s in registry.seen if s.method == "PATCH" and s.received > 1000]
    assert sizes == ([len(data)] if least > 1 else [1 << 20, 1 << 20, len(data) - (2 << 20)])


def test_a_proxy_that_takes_no_chunk_either_is_an_error(registry: Registry, place: Place) -> None:
    registry.has_monolithic = False
    registry.fail("PATCH", "/", *[Fault(status=413)] * 9)
    with pytest.raises(RegistryError, match="HTTP 413, for a chunk of"):
        place.push(MADE)


DENIED = json.dumps({"errors": [{"code": "DENIED", "message": "the quota is used up"}]}).encode()
FAILS = {
    "403": ("POST", "uploads", Fault(status=403, body=DENIED), "403, DENIED: the quota is used up"),
    "500 again and again": (*PUT, Fault(status=500), "HTTP 500"),
    "drops again and again": (*PUT, Fault(take=10, drop=True), "no answer: "),
    "no place": ("POST", "uploads", Fault(status=202), "does not say where the bytes shall go"),
    "another host": (
        "POST",
        "uploads",
        Fault(status=202, headers={"Location": "http://example.test/x"}),
        "not an https address",
    ),
    "redirect": (*PUT, Fault(status=307, headers={"Location": "/x"}), "HTTP 307"),
    "202 and nothing kept": (*PUT, Fault(status=202), "took all bytes and does not have the blob"),
    "a HEAD of another size": ("HEAD", "blobs", Fault(status=200, body=b"x"), "has 1 bytes there"),
    "the manifest is refused": ("PUT", "manifests", Fault(status=400, body=DENIED), "HTTP 400"),
    "the manifest is changed": (
        "PUT",
        "manifests",
        Fault(headers={"Docker-Content-Digest": "sha256:" + "0" * 64}),
        "something on the way|the registry has sha256:000",
    ),
    "the manifest is not kept": (
        "PUT",
        "manifests",
        Fault(status=202),
        "took it and does not have it",
    ),
    "HEAD is not allowed": ("HEAD", "blobs", Fault(status=405), "HTTP 405"),
}


@pytest.mark.parametrize("name", FAILS)
def test_what_stays_wrong_is_an_error_in_the_words_of_the_registry(
    registry: Registry, place: Place, name: str
) -> None:
    method, path, fault, why = FAILS[name]
    registry.fail(method, path, *[fault] * 60)
    with pytest.raises(LockstitchError, match=why):
        place.push(MADE)
    assert name == "the manifest is changed" or registry.manifests == {}


UNSEEN = json.dumps({"errors": [{"code": "MANIFEST_BLOB_UNKNOWN", "message": ""}]}).encode()
RACES = {
    "an upload that another push has finished": (*PUT, Fault(status=400)),
    "no upload for what another push sends": ("POST", "uploads", Fault(status=400)),
    "blobs that are not seen yet": ("PUT", "manifests", Fault(status=400, body=UNSEEN)),
    "blobs that are not found yet": ("PUT", "manifests", Fault(status=404, body=UNSEEN)),
}


@pytest.mark.parametrize("name", RACES)
def test_what_a_push_beside_this_one_disturbs_is_tried_again(
    registry: Registry, place: Place, name: str
) -> None:
    method, path, fault = RACES[name]
    registry.fail(method, path, fault, fault)
    assert place.push(MADE).digest == MADE.digest
    assert held(registry)


def test_a_blob_that_another_push_brought_meanwhile_is_there(
    registry: Registry, place: Place, tmp_path: Path
) -> None:
    made = image(of_data(b"x" * 5000))
    layer = made.layers[0].facts.digest
    registry.fail("HEAD", f"/blobs/{layer}", Fault(status=404))
    registry.fail(*PUT, Fault(status=400))
    registry.blobs.setdefault("app", {})[layer] = b"".join(made.layers[0].chunks())
    assert place.push(made).digest == made.digest
    assert held(registry, made)
    assert registry.count("PUT", f"{layer.hex}") <= 1


@pytest.mark.parametrize(("at", "tries"), [(PUT, 3), (("PUT", "manifests"), 5)])
def test_what_is_refused_each_time_is_an_error(
    registry: Registry, place: Place, at: tuple[str, str], tries: int
) -> None:
    registry.fail(*at, *[Fault(status=400, body=UNSEEN)] * 60)
    with pytest.raises(RegistryError, match="HTTP 400, MANIFEST_BLOB_UNKNOWN"):
        place.push(image(of_data(b"x" * 5000)))
    counted = registry.count(*at)
    assert counted == (tries if "manifests" in at else 2 * tries)  # a layer and the config


def test_every_blob_that_failed_is_named(registry: Registry, place: Place) -> None:
    registry.fail("POST", "uploads", *[Fault(status=403, body=DENIED)] * 9)
    with pytest.raises(LockstitchError) as info:
        place.push(MADE)
    assert len(list(info.value.everything())) == BLOBS


def test_wrong_bytes_are_never_sent_to_their_end(registry: Registry, place: Place) -> None:
    right = of_data(b"right" * 1000)
    lying = MadeLayer(facts=right.facts, created_by="lying", data=b"wrong" * 1000)
    with pytest.raises(LockstitchError, match="lying"):
        place.push(image(lying))
    assert registry.received() < 5000 + 400
    assert right.facts.digest not in registry.blobs.get("app", {})


def test_the_login_does_not_go_to_where_bytes_shall_go_elsewhere(
    registry: Registry, place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry.users = {"ada": "secret"}
    entry = {"username": "ada", "password": "secret"}
    (tmp_path / "config.json").write_text(json.dumps({"auths": {registry.address: entry}}))
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    with run() as other:
        other.uploads["x"] = bytearray()
        other.blobs = registry.blobs
        headers = {"Location": f"http://{other.address}/v2/app/blobs/uploads/x"}
        registry.fail("POST", "uploads", Fault(status=202, headers=headers))
        assert place.push(MADE).digest == MADE.digest
        assert [s.status for s in other.seen] == [201]
        assert "Authorization" not in other.seen[0].headers


def test_a_public_registry_sends_no_bytes_to_a_private_address(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Behind a proxy, which is how a public registry can be had here.
    monkeypatch.setenv("http_proxy", f"http://{registry.address}")
    target = RepositoryWriter(
        Client(insecure=["registry.example.test"]), Reference.parse("registry.example.test/app")
    )
    with run() as inside:
        headers = {"Location": f"http://{inside.address}/v2/app/blobs/uploads/x"}
        registry.fail("POST", "uploads", *[Fault(status=202, headers=headers)] * 9)
        places = BlobLocations(Store(tmp_path), "registry.example.test")
        with pytest.raises(RegistryError, match="address of a private network"):
            push(target, [of_image(MADE)], "1", places, Quiet())
        assert inside.seen == []
    assert registry.manifests == {}


def test_progress_counts_each_byte_once(registry: Registry, place: Place) -> None:
    registry.fail(*PUT, Fault(take=2000, drop=True))
    counted = Counted()
    target = RepositoryWriter(place.client, Reference.parse(f"{registry.address}/app"))
    push(target, [of_image(MADE)], "1", place.places, counted)
    assert counted.labels == [f"push {BLOBS} blobs to {registry.address}/app"]
    assert counted.done == counted.total == BYTES
