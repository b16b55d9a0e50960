"""Signatures as cosign keeps them, made and checked by the openssl program."""

import base64
import json
import subprocess
from pathlib import Path

import pytest
from support.images import image, layer
from support.registry import Registry

from lockstitch.digest import Digest, of_bytes
from lockstitch.errors import LockstitchError
from lockstitch.oci.entry import file
from lockstitch.oci.layout import Layout
from lockstitch.oci.reference import Reference
from lockstitch.oci.registry.client import Client
from lockstitch.oci.registry.push import RepositoryWriter
from lockstitch.oci.signing import keys, sign
from lockstitch.oci.signing.sign import Signature, manifest_of, payload_for, signature_tag

IMAGE = image(layer([file("a", b"1")]))
DIGEST = IMAGE.digest
COSIGN = """\
-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----
AAAA
-----END ENCRYPTED SIGSTORE PRIVATE KEY-----
"""
NAME = "registry.example.test/team/serve"


def made(path: Path, *words: str) -> Path:
    words = words or ("ecparam", "-name", "prime256v1", "-genkey", "-noout")
    subprocess.run(["openssl", *words, "-out", path], check=True, capture_output=True)
    return path


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made(tmp_path_factory.mktemp("key") / "lockstitch.key")


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    found = Layout(tmp_path / "images")
    found.write(IMAGE, "serve")
    return found


def public(key: Path, folder: Path) -> Path:
    path = folder / "lockstitch.pub"
    subprocess.run(["openssl", "pkey", "-in", key, "-pubout", "-out", path], check=True)
    return path


def test_the_payload_is_that_of_simple_signing() -> None:
    assert json.loads(payload_for(NAME, DIGEST)) == {
        "critical": {
            "identity": {"docker-reference": NAME},
            "image": {"docker-manifest-digest": DIGEST},
            "type": "cosign container image signature",
        },
        "optional": None,
    }


def test_openssl_alone_checks_what_stands_in_the_layout(
    layout: Layout, key: Path, tmp_path: Path
) -> None:
    assert sign.sign(layout, NAME, DIGEST, keys.read(key))
    tag = f"sha256-{DIGEST.hex}.sig"
    document = layout.document(layout.manifest_digest(tag))
    (found,) = document["layers"]
    assert found["mediaType"] == "application/vnd.dev.cosign.simplesigning.v1+json"
    payload = layout.root / "blobs" / "sha256" / found["digest"].removeprefix("sha256:")
    signature = tmp_path / "signature"
    text = found["annotations"]["dev.cosignproject.cosign/signature"]
    signature.write_bytes(base64.b64decode(text))
    words = ["openssl", "dgst", "-sha256", "-verify", public(key, tmp_path)]
    subprocess.run([*words, "-signature", signature, payload], check=True, capture_output=True)
    config = layout.document(Digest.parse(document["config"]["digest"]))
    assert config["rootfs"]["diff_ids"] == [found["digest"]]
    assert layout.manifest_digest("serve") == DIGEST


def test_a_second_signature_of_one_key_is_none(layout: Layout, key: Path, tmp_path: Path) -> None:
    mine, other = keys.read(key), keys.read(made(tmp_path / "other.key"))
    assert sign.problems(layout, DIGEST, mine) == [f"nobody has signed {DIGEST}"]
    assert sign.sign(layout, NAME, DIGEST, mine)
    assert not sign.sign(layout, NAME, DIGEST, mine)
    assert layout.names() == ["serve"]
    said = f"none of the 1 signatures of {DIGEST} is of this key"
    assert sign.problems(layout, DIGEST, other) == [said]
    assert sign.sign(layout, NAME, DIGEST, other)
    for each in (mine, keys.read(public(key, tmp_path)), other):
        assert sign.problems(layout, DIGEST, each) == []


def test_a_signature_of_another_image_signs_nothing(layout: Layout, key: Path) -> None:
    mine = keys.read(key)
    payload = payload_for(NAME, of_bytes(b"another"))
    signature = Signature(payload=payload, signature=mine.sign(payload))
    config, manifest = manifest_of([signature])
    layout.put([config, payload], manifest, "application/json", signature_tag(DIGEST))
    (said,) = sign.problems(layout, DIGEST, mine)
    assert said.startswith("the key has signed another image")


def test_a_registry_keeps_them_under_cosigns_tag(registry: Registry, key: Path) -> None:
    reference = Reference.parse(f"{registry.address}/serve:1")
    target = RepositoryWriter(Client(), reference)
    mine = keys.read(key)
    assert sign.sign(target, reference.name, DIGEST, mine)
    assert not sign.sign(target, reference.name, DIGEST, mine)
    assert f"sha256-{DIGEST.hex}.sig" in registry.manifests["serve"]
    assert registry.holes() == []
    assert sign.problems(target, DIGEST, mine) == []


def test_keys_that_are_refused(tmp_path: Path) -> None:
    for words, said in (
        (("ecparam", "-name", "secp384r1", "-genkey", "-noout"), "is not on the curve P-256"),
        (("genpkey", "-algorithm", "ed25519"), "is not on the curve P-256"),
    ):
        path = made(tmp_path / "key", *words)
        with pytest.raises(LockstitchError, match=said):
            keys.read(path)
        with pytest.raises(LockstitchError, match=said):
            keys.read(public(path, tmp_path))
    for text, said in (
        ("nothing", "has no key in PEM form"),
        ("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "is no private key"),
        (COSIGN, "encrypted in cosign's own way"),
    ):
        path.write_text(text)
        with pytest.raises(LockstitchError, match=said):
            keys.read(path)


def test_a_key_with_a_password(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = ("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256")
    path = made(tmp_path / "key", *words, "-aes-256-cbc", "-pass", "pass:open sesame")
    with pytest.raises(LockstitchError) as caught:
        keys.read(path)
    assert caught.value.hint == "set LOCKSTITCH_KEY_PASSWORD when it has a password"
    monkeypatch.setenv("LOCKSTITCH_KEY_PASSWORD", "open sesame")
    found = keys.read(path)
    assert found.checks(b"data", found.sign(b"data"))
    assert not found.checks(b"other", found.sign(b"data"))


def test_a_public_key_signs_nothing(key: Path, tmp_path: Path) -> None:
    found = keys.read(public(key, tmp_path))
    with pytest.raises(LockstitchError, match="a public key signs nothing"):
        found.sign(b"data")
