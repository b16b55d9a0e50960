"""Reading: from a registry that behaves, and from one that does not."""

import json
from pathlib import Path

import pytest
from support.registry import Fault, Registry, digest_of, run

from lockstitch.digest import Digest
from lockstitch.errors import LockstitchError
from lockstitch.oci.model import INDEX_TYPE, MANIFEST_TYPE, Descriptor, Platform
from lockstitch.oci.reference import Reference
from lockstitch.oci.registry.client import Client, RegistryError
from lockstitch.oci.registry.repository import Repository
from lockstitch.store import Store

DATA = bytes(range(256)) * 8000  # 2 MB


def blob(registry: Registry, data: bytes = DATA) -> Descriptor:
    registry.add("app", data)
    return Descriptor(media_type="a/b", digest=Digest(digest_of(data)), size=len(data))


def image(registry: Registry, **more: object) -> str:
    document = {
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "config": registry.add("app", b"{}"),
        "layers": [registry.add("app", b"layer")],
    }
    return registry.name("app", "1", document | more)


def index(registry: Registry, *platforms: str) -> str:
    manifests = []
    for name in platforms:
        system, architecture, *variant = name.split("/")
        found = image(registry, annotations={"for": name})
        platform = {"os": system, "architecture": architecture, "variant": "".join(variant)}
        entry = {"mediaType": MANIFEST_TYPE, "digest": found, "size": 1, "platform": platform}
        manifests.append(entry)
    document = {"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": manifests}
    return registry.name("app", "1", document)


# --- manifests


def test_a_manifest_is_found_by_tag_and_by_digest(
    registry: Registry, repository: Repository
) -> None:
    digest = image(registry)
    by_tag, by_digest = repository.manifest("1"), repository.manifest(Digest(digest))
    assert by_tag.digest == by_digest.digest == digest
    assert not by_tag.is_index
    assert [layer.size for layer in by_tag.layers] == [5]
    assert by_tag.config.digest == digest_of(b"{}")
    assert repository.find("2") is None


def test_a_missing_manifest_is_said_in_the_words_of_the_registry(repository: Repository) -> None:
    with pytest.raises(RegistryError, match="HTTP 404, MANIFEST_UNKNOWN: manifest unknown") as info:
        repository.manifest("2")
    assert (info.value.status, info.value.codes) == (404, ("MANIFEST_UNKNOWN",))
    assert info.value.hint == "name a repository and a tag that are there"


def test_a_manifest_that_is_not_its_digest_is_refused(
    registry: Registry, repository: Repository
) -> None:
    digest = image(registry)
    registry.fail("GET", digest, Fault(lie=b'{"layers": []}'))
    with pytest.raises(LockstitchError, match=f"not {digest}"):
        repository.manifest(Digest(digest))
    registry.fail("GET", "manifests/1", Fault(lie=b'{"layers": []}'))
    with pytest.raises(LockstitchError, match=f"not {digest}"):
        repository.manifest("1")


def test_the_image_of_a_platform_is_found_through_the_index(
    registry: Registry, repository: Repository
) -> None:
    index(registry, "linux/amd64", "linux/arm64/v8", "unknown/unknown")
    for wanted in ("linux/amd64", "linux/arm64", "linux/arm64/v8"):
        found = repository.image("1", Platform.parse(wanted))
        assert str(found.document["annotations"]["for"]).startswith(wanted)
    with pytest.raises(
        LockstitchError, match=r"no image for linux/s390x \(it has: linux/amd64, linux/arm64/v8\)"
    ):
        repository.image("1", Platform.parse("linux/s390x"))


@pytest.mark.parametrize(
    ("document", "kind", "why"),
    [
        (b"[]", MANIFEST_TYPE, "not a JSON object"),
        (b"[" * 100_000, MANIFEST_TYPE, "not a JSON object"),
        (b'{"mediaType": "\\u001b[2J"}', MANIFEST_TYPE, "is ` \\[2J`, neither an image's"),
        (b"{}", "text/html", "neither an image's manifest nor an index"),
        (b'{"manifests": [], "layers": []}', INDEX_TYPE, "as an image and as an index"),
        (b'{"manifests": []}', MANIFEST_TYPE, "as an image and as an index"),
        (
            json.dumps({"mediaType": MANIFEST_TYPE, "layers": []}).encode(),
            INDEX_TYPE,
            "as an image and as an index",
        ),
    ],
)
def test_a_manifest_that_means_two_things_or_none_is_refused(
    registry: Registry, repository: Repository, document: bytes, kind: str, why: str
) -> None:
    registry.manifests["app"] = {"1": (kind, document)}
    with pytest.raises(LockstitchError, match=why):
        repository.manifest("1")


@pytest.mark.parametrize(
    ("layer", "why"),
    [
        ([], "`layers\\[0\\]` .* is not a descriptor: it is no object"),
        ({"size": -1}, "its size is no number of bytes"),
        ({"size": True}, "its size is no number"),
        ({"size": 10**300}, "its size is no number"),
        ({"size": 1, "mediaType": "x"}, "its media type is `x`"),
        ({"size": 1, "mediaType": "a/b", "digest": "sha256:../../x"}, "is not a sha256 digest"),
        ({"size": 1, "mediaType": 3}, "its `mediaType` is no text"),
    ],
)
def test_a_descriptor_that_is_none_is_refused(
    registry: Registry, repository: Repository, layer: object, why: str
) -> None:
    image(registry, layers=[layer])
    with pytest.raises(LockstitchError, match=why):
        _ = repository.manifest("1").layers


def test_a_manifest_that_is_too_long_is_not_read_to_its_end(
    registry: Registry, repository: Repository
) -> None:
    image(registry, annotations={"a": "b" * (5 << 20)})
    with pytest.raises(LockstitchError, match="more than 4194304 bytes"):
        repository.manifest("1")


# --- blobs


def test_a_blob_is_read_and_checked(registry: Registry, repository: Repository) -> None:
    assert b"".join(repository.blob(blob(registry))) == DATA
    assert repository.small(blob(registry, b"x")) == b"x"
    assert repository.small(blob(registry, b"")) == b""
    with pytest.raises(LockstitchError, match="has 2048000 bytes, more than 10"):
        repository.small(blob(registry), 10)


@pytest.mark.parametrize("ranges", [True, False])
def test_a_blob_goes_on_where_the_connection_broke_off(
    registry: Registry, repository: Repository, *, ranges: bool
) -> None:
    found = blob(registry)
    cuts = [Fault(cut=n) for n in (700_000, 1, 300_000)]
    registry.fail("GET", "blobs/", cuts[0], *(cuts[1:] if ranges else ()))
    if not ranges:
        registry.fail("GET", "blobs/", Fault(lie=DATA, instead=200))
    assert b"".join(repository.blob(found)) == DATA
    asked = [s.headers.get("Range") for s in registry.seen if "/blobs/" in s.path]
    assert asked[:2] == [None, "bytes=700000-"]


@pytest.mark.parametrize(
    "fault", [Fault(lie=DATA[:-1] + b"!"), Fault(lie=DATA + b"!"), Fault(lie=b"!" * 3_000_000)]
)
def test_a_wrong_blob_is_refused_and_not_kept(
    registry: Registry, repository: Repository, tmp_path: Path, fault: Fault
) -> None:
    found, store = blob(registry), Store(tmp_path)
    registry.fail("GET", "blobs/", fault)
    with pytest.raises(LockstitchError, match=f"the blob {found.digest} .* is sha256:"):
        repository.fetch(found, store)
    assert not store.has(found.digest)
    repository.fetch(found, store)
    assert store.path(found.digest).read_bytes() == DATA


def test_a_blob_that_stays_short_is_an_error(registry: Registry, repository: Repository) -> None:
    found = blob(registry)
    registry.fail("GET", "blobs/", *[Fault(lie=DATA[:9])] * 9)
    with pytest.raises(RegistryError, match=r"ended after .* of 2048000 bytes"):
        b"".join(repository.blob(found))


def test_a_download_that_was_stopped_is_gone_on_with(
    registry: Registry, repository: Repository, tmp_path: Path
) -> None:
    found, store = blob(registry), Store(tmp_path)
    store.partial(found.digest).write_bytes(DATA[:1_000_000])
    repository.fetch(found, store)
    repository.fetch(found, store)
    assert [s.headers.get("Range") for s in registry.seen if "/blobs/" in s.path] == [
        "bytes=1000000-"
    ]
    assert store.path(found.digest).read_bytes() == DATA


# --- redirects


def test_a_blob_elsewhere_is_read_without_the_login(registry: Registry, tmp_path: Path) -> None:
    registry.users = {"ada": "secret"}
    (tmp_path / "config.json").write_text(
        json.dumps({"auths": {registry.address: {"username": "ada", "password": "secret"}}})
    )
    with run() as other, pytest.MonkeyPatch.context() as patch:
        patch.setenv("DOCKER_CONFIG", str(tmp_path))
        registry.elsewhere = f"http://{other.address}"
        other.blobs = registry.blobs
        reading = Repository(Client(), Reference.parse(f"{registry.address}/app"))
        assert b"".join(reading.blob(blob(registry))) == DATA
        assert [s.headers.get("Authorization") for s in other.seen] == [None]
    assert any("Authorization" in s.headers for s in registry.seen)


def test_a_registry_that_redirects_for_ever_is_left(
    registry: Registry, repository: Repository
) -> None:
    registry.fail("GET", "blobs/", *[Fault(status=307, headers={"Location": "?x"})] * 9)
    with pytest.raises(RegistryError, match="redirects more than 5 times"):
        b"".join(repository.blob(blob(registry)))


@pytest.mark.parametrize(
    "location", ["http://example.test/x", "file:///etc/passwd", "http://[", "ftp://127.0.0.1/"]
)
def test_a_redirect_to_what_is_not_https_is_refused(
    registry: Registry, repository: Repository, location: str
) -> None:
    registry.fail("GET", "blobs/", Fault(status=302, headers={"Location": location}))
    with pytest.raises(RegistryError, match="not an https address"):
        b"".join(repository.blob(blob(registry)))


@pytest.mark.parametrize("location", ["http://127.0.0.1:{}/", "https://10.1.2.3/", "https://[::1]"])
def test_a_public_registry_leads_to_no_private_address(
    registry: Registry, monkeypatch: pytest.MonkeyPatch, location: str
) -> None:
    # The registry is behind a proxy, which is how a public one can be had here.
    monkeypatch.setenv("http_proxy", f"http://{registry.address}")
    reading = Repository(
        Client(insecure=["registry.example.test"]), Reference.parse("registry.example.test/app")
    )
    found = blob(registry)
    assert b"".join(reading.blob(found)) == DATA
    place = location.format(registry.address.partition(":")[2])
    registry.fail("GET", "blobs/", Fault(status=307, headers={"Location": place}))
    with pytest.raises(RegistryError, match="address of a private network"):
        b"".join(reading.blob(found))


# --- referrers


@pytest.mark.parametrize("api", [True, False])
def test_referrers_are_found_with_the_api_and_by_tag(
    registry: Registry, repository: Repository, *, api: bool
) -> None:
    registry.has_referrers = api
    digest = Digest(image(registry))
    subject = {"mediaType": MANIFEST_TYPE, "digest": digest, "size": 1}
    kinds = ["text/sbom", "text/signature"]
    made = [image(registry, subject=subject, artifactType=kind) for kind in kinds]
    manifests = [
        {"mediaType": MANIFEST_TYPE, "digest": d, "size": 1, "artifactType": kind}
        for d, kind in zip(made, kinds, strict=True)
    ]
    document = {"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": manifests}
    if not api:
        assert repository.referrers(digest) == []
        registry.name("app", f"sha256-{digest.hex}", document)
    assert [referrer.digest for referrer in repository.referrers(digest)] == made
    assert [referrer.digest for referrer in repository.referrers(digest, "text/sbom")] == made[:1]


def test_the_pages_of_referrers_are_turned(registry: Registry, repository: Repository) -> None:
    digest = Digest(image(registry))
    entry = {"mediaType": MANIFEST_TYPE, "digest": digest, "size": 1}
    page = json.dumps({"mediaType": INDEX_TYPE, "manifests": [entry]}).encode()
    link = f'</v2/app/referrers/{digest}?n=2>; rel="next"'
    registry.fail("GET", "referrers/", Fault(lie=page, headers={"Link": link}), Fault(lie=page))
    assert [referrer.digest for referrer in repository.referrers(digest)] == [digest, digest]
