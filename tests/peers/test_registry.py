"""Debian's registry, skopeo, umoci and a Docker engine, and what is pushed between them."""

import base64
import json
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from support import programs
from support.docker_registry import PASSWORD, USER, DockerRegistry, authority, started
from support.dropping import dropping
from support.images import image, layer, random_entries

from lockstitch.digest import Digest
from lockstitch.errors import LockstitchError
from lockstitch.oci.entry import file
from lockstitch.oci.model import MANIFEST_TYPE, Image, Platform, referrers_tag
from lockstitch.oci.reference import Reference
from lockstitch.oci.registry.client import Client
from lockstitch.oci.registry.push import BlobLocations, Pushed, RepositoryWriter, of_image, push
from lockstitch.progress import Quiet
from lockstitch.store import Store

from .conftest import Docker, RealProject, program

NOISE = random.Random(1).randbytes(6_000_000)
MADE = image(layer([file("big", NOISE)], "big"), layer(random_entries(1), "small"))
ARM = replace(MADE, platform=Platform.parse("linux/arm64"))


def run(*words: object, **variables: str) -> str:
    return programs.run(*map(str, words), env=os.environ | variables)


def skopeo(*words: object) -> str:
    return run(program("skopeo"), "--insecure-policy", *words)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DockerRegistry]:
    with started(tmp_path_factory.mktemp("plain")) as running:
        yield running


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DockerRegistry]:
    folder = tmp_path_factory.mktemp("guarded")
    authority(folder)
    with started(folder, guarded=True) as running:
        yield running


def pushed(address: str, name: str, folder: Path, *made: Image) -> tuple[RepositoryWriter, Pushed]:
    target = RepositoryWriter(Client(first_wait=0.01), Reference.parse(f"{address}/{name}"))
    parcels = [of_image(each) for each in made]
    places = BlobLocations(Store(folder / "store"), address)
    return target, push(target, parcels, "1", places, Quiet())


def test_what_was_pushed_is_pulled_and_run_by_docker(
    plain: DockerRegistry, project: RealProject, docker: Docker, tmp_path: Path
) -> None:
    name = f"{plain.address}/churn-serve"
    reference = project.lockstitch(
        "image", "push", f"{name}:1.0", "--image", "serve", "--quiet"
    ).strip()
    assert reference == f"{name}@{project.digest('serve')}"
    words = ["image", "push", f"{name}:1.0", "--image", "serve", "--json"]
    (again,) = json.loads(project.lockstitch(*words))
    assert again["sent"]["blobs"] == again["manifests"] == 0
    (other,) = json.loads(project.lockstitch("image", "push", f"{plain.address}/b", *words[3:]))
    assert (other["sent"]["blobs"], other["mounted"]) == (0, again["present"])

    docker.run("pull", "--quiet", reference)
    found = docker.run("inspect", reference, "--format", "{{.Id}}").stdout.strip()
    assert found == project.layout.document(Digest(again["digest"]))["config"]["digest"]
    code = "import onnxruntime; print(onnxruntime.__name__)"
    done = docker.run("run", "--rm", "--network", "none", reference, "python", "-c", code)
    assert done.stdout == "onnxruntime\n"
    docker.run("rmi", reference)

    # skopeo and umoci read it back, and what skopeo writes is read by us.
    assert json.loads(skopeo("inspect", "--tls-verify=false", f"docker://{name}:1.0"))[
        "Digest"
    ] == project.digest("serve")
    copy = f"oci:{tmp_path}/copy:x"
    skopeo("copy", "--src-tls-verify=false", f"docker://{name}:1.0", copy)
    run(program("umoci"), "unpack", "--rootless", "--image", f"{tmp_path}/copy:x", tmp_path / "out")
    assert (tmp_path / "out" / "rootfs" / "app" / "src" / "api.py").exists()
    skopeo("copy", "--dest-tls-verify=false", copy, f"docker://{plain.address}/back:1")
    back = RepositoryWriter(Client(), Reference.parse(f"{plain.address}/back"))
    assert back.manifest("1").digest == project.digest("serve")


def test_an_upload_that_breaks_off_twice_arrives(plain: DockerRegistry, tmp_path: Path) -> None:
    with dropping(plain.address, 4_000_000, 2_500_000) as address:
        target, result = pushed(address, "dropped", tmp_path, MADE)
    assert result.sent.blobs == 3
    for each, made in zip(target.manifest("1").layers, MADE.layers, strict=True):
        assert b"".join(target.blob(each)) == b"".join(made.chunks())
    # Asked twice what it has, this registry says that it forgot.
    asked = [line for line in plain.log.splitlines() if '"GET /v2/dropped/blobs/uploads/' in line]
    assert [" 404 " in line for line in asked] == [True, True]


def test_chunks_are_taken_too(
    plain: DockerRegistry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lockstitch.oci.registry.upload._CHUNK", 1 << 20)
    monkeypatch.setattr("lockstitch.oci.registry.upload.Upload.chunked", True)
    target, _ = pushed(plain.address, "chunks", tmp_path, MADE)
    assert b"".join(target.blob(target.manifest("1").layers[0])) == b"".join(
        MADE.layers[0].chunks()
    )
    chunks = [line for line in plain.log.splitlines() if '"PATCH /v2/chunks/' in line]
    assert len(chunks) == 6 + 2  # the small ones have one each


def test_platforms_are_one_index_that_skopeo_reads(plain: DockerRegistry, tmp_path: Path) -> None:
    _, result = pushed(plain.address, "several", tmp_path, ARM, MADE)
    source = f"docker://{plain.address}/several:1"
    words = ["inspect", "--tls-verify=false"]
    index = json.loads(skopeo(*words, "--raw", source))
    assert [each["digest"] for each in index["manifests"]] == [MADE.digest, ARM.digest]
    for name in ("amd64", "arm64"):
        found = json.loads(skopeo("--override-arch", name, *words, "--config", source))
        assert found["architecture"] == name
    assert result.manifests == 3


def test_referrers_are_kept_under_a_tag_where_there_is_no_api(
    plain: DockerRegistry, tmp_path: Path
) -> None:
    target, result = pushed(plain.address, "referred", tmp_path, MADE)
    assert target.referrers(result.digest) == []
    subject = replace(MADE.descriptor(), platform=None).document()
    config = MADE.config_descriptor().document()
    for kind in ("text/one", "text/two", "text/one"):
        document = {"schemaVersion": 2, "mediaType": MANIFEST_TYPE, "artifactType": kind}
        document |= {"config": config, "layers": [], "subject": subject}
        target.put(json.dumps(document).encode(), MANIFEST_TYPE)
    assert [referrer.artifact_type for referrer in target.referrers(result.digest)] == [
        "text/two",
        "text/one",
    ]
    assert target.find(referrers_tag(result.digest)) is not None


def test_documents_and_signatures_stand_beside_an_image(
    plain: DockerRegistry, project: RealProject, tmp_path: Path
) -> None:
    key, public = tmp_path / "lockstitch.key", tmp_path / "lockstitch.pub"
    run("openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", key)
    run("openssl", "pkey", "-in", key, "-pubout", "-out", public)
    name, digest = f"{plain.address}/beside/churn-serve", project.digest("serve")
    words = ["image", "push", f"{name}:1.0", "--image", "serve", "--json"]
    assert json.loads(project.lockstitch(*words))[0]["about"]["documents"] == 2
    assert (
        project.lockstitch("image", "sign", f"{name}:1.0", "--key", str(key))
        == f"{name}@{digest}\n"
    )
    words = ["image", "verify", f"{name}:1.0", "--key", str(public), "--json"]
    (found,) = json.loads(project.lockstitch(*words))
    assert (found["problems"], found["skipped"]) == ([], {})
    tags = json.loads(skopeo("list-tags", "--tls-verify=false", f"docker://{name}"))["Tags"]
    beside = f"sha256-{digest.removeprefix('sha256:')}"
    assert sorted(tags) == ["1.0", beside, f"{beside}.sig"]
    bill = project.lockstitch("image", "inspect", f"{name}:1.0", "--sbom")
    assert bill == project.lockstitch("image", "inspect", "serve", "--sbom")
    parts = {each["name"]: each for each in json.loads(bill)["components"]}
    assert {"onnxruntime", "libssl3", "churn"} <= {*parts}
    assert all("licenses" in parts[each] for each in ("onnxruntime", "libssl3", "numpy"))

    # Nothing of ours: skopeo brings the signature, openssl checks it.
    skopeo("copy", "--src-tls-verify=false", f"docker://{name}:{beside}.sig", f"dir:{tmp_path}/s")
    (layer_,) = json.loads((tmp_path / "s" / "manifest.json").read_text())["layers"]
    payload = tmp_path / "s" / layer_["digest"].removeprefix("sha256:")
    said = json.loads(payload.read_text())["critical"]
    assert said["identity"] == {"docker-reference": name}
    assert said["image"] == {"docker-manifest-digest": digest}
    text = layer_["annotations"]["dev.cosignproject.cosign/signature"]
    (tmp_path / "signature").write_bytes(base64.b64decode(text))
    words = ["dgst", "-sha256", "-verify", str(public), "-signature", str(tmp_path / "signature")]
    assert run("openssl", *words, payload) == "Verified OK\n"


def test_tls_and_a_login_are_shared_with_skopeo(
    guarded: DockerRegistry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))
    with pytest.raises(LockstitchError, match="its certificate is not trusted"):
        pushed(guarded.address, "app", tmp_path, MADE)
    trust = guarded.folder / "ca.pem"
    monkeypatch.setenv("SSL_CERT_FILE", str(trust))
    with pytest.raises(LockstitchError, match="HTTP 401"):
        pushed(guarded.address, "app", tmp_path, MADE)

    words = ["image", "login", guarded.address, "--username", USER, "--password-stdin"]
    command = [sys.executable, "-m", "lockstitch", *words]
    for typed, code in (("wrong", 1), (PASSWORD, 0)):
        done = subprocess.run(command, input=typed, text=True, check=False, capture_output=True)
        assert done.returncode == code, done.stderr
    _, result = pushed(guarded.address, "app", tmp_path, MADE)
    (tmp_path / "trust").mkdir()
    (tmp_path / "trust" / "ca.crt").write_bytes(trust.read_bytes())
    kept = tmp_path / "docker" / "config.json"
    words = ["inspect", "--authfile", kept, "--cert-dir", tmp_path / "trust"]
    found = json.loads(skopeo(*words, f"docker://{guarded.address}/app:1"))
    assert found["Digest"] == result.digest
    monkeypatch.delenv("SSL_CERT_FILE")
    with pytest.raises(LockstitchError, match="its certificate is not trusted"):
        pushed(guarded.address, "app", tmp_path, MADE)


def test_a_login_of_skopeo_is_found(
    guarded: DockerRegistry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(guarded.folder / "ca.pem"))
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))
    monkeypatch.setenv("REGISTRY_AUTH_FILE", str(tmp_path / "auth.json"))
    (tmp_path / "trust").mkdir()
    (tmp_path / "trust" / "ca.crt").write_bytes((guarded.folder / "ca.pem").read_bytes())
    words = ["login", "--cert-dir", tmp_path / "trust", "--username", USER, "--password", PASSWORD]
    skopeo(*words, guarded.address)
    assert pushed(guarded.address, "skopeo", tmp_path, MADE)[1].sent.blobs == 3
