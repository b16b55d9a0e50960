"""A base from a registry, from `lock` to `push`, on the tiny project."""

import gzip
import io
import json
import os
import shutil
import tarfile
from pathlib import Path
from typing import Any

import pytest
from support import bases, projects
from support.bases import Layer
from support.registry import Registry
from support.world import World

from lockstitch.cli.main import main
from lockstitch.digest import Digest
from lockstitch.image import bytecode
from lockstitch.lock import file
from lockstitch.oci.layout import Layout
from lockstitch.store import Store

pytestmark = pytest.mark.slow

NAME = "library/python"


@pytest.fixture
def root(
    online: World, registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """Return a project on a base of the registry, locked."""
    made = projects.write(tmp_path / "tiny")
    base = f'python = "3.11"\nbase = "{registry.address}/{NAME}:slim"\n'
    projects.replace(made, 'python = "3.11"\n', base)
    bases.publish(registry, NAME, "slim", bases.python_slim())
    monkeypatch.chdir(made)
    assert main(["lock", "--quiet"]) == 0
    return made


def image(root: Path, name: str = "serve") -> tuple[dict[str, Any], dict[str, Any]]:
    """Return manifest and config of an image in the layout."""
    layout = Layout(root / ".lockstitch" / "images")
    manifest = dict(layout.document(layout.manifest_digest(name)))
    config = json.loads(layout.path(Digest.parse(manifest["config"]["digest"])).read_bytes())
    return manifest, config


def store() -> Path:
    return Path(os.environ["LOCKSTITCH_CACHE"])


def test_the_lock_has_all_that_a_build_needs(
    root: Path, registry: Registry, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (root / "lockstitch.lock").read_text()
    assert "[[registry]]\n" in text
    assert 'program = "/usr/local/bin/python3.11"\n' in text
    assert file.dumps(file.read(root)) == text
    registry.manifests.clear()  # and nobody has to ask again
    assert main(["lock", "--check"]) == 0
    assert capsys.readouterr().err.endswith("the locks fit\n")
    assert main(["lock", "--quiet"]) == 0
    assert (root / "lockstitch.lock").read_text() == text


def test_the_base_is_below_untouched_and_the_environment_stands_on_its_python(
    root: Path, registry: Registry
) -> None:
    assert main(["build", "--quiet"]) == 0
    manifest, config = image(root)
    held = json.loads(registry.manifests[NAME]["slim"][1])
    assert [e["digest"] for e in manifest["layers"][:2]] == [e["digest"] for e in held["layers"]]
    # The blobs are Docker's; their descriptors in a manifest of ours are the OCI spec's.
    kinds = {each["mediaType"] for each in manifest["layers"]}
    assert kinds == {"application/vnd.oci.image.layer.v1.tar+gzip"}
    assert [e["created_by"] for e in config["history"]][:4] == [
        *("ADD rootfs.tar", "ENV LANG", "RUN make install", "virtual environment")
    ]
    inner = config["config"]
    env = dict(each.split("=", 1) for each in inner["Env"])
    assert env["PATH"].startswith("/app/.venv/bin:/usr/local/bin:/usr/local/sbin:")
    assert env["PYTHON_VERSION"] == "3.11.9"
    assert env["SSL_CERT_FILE"] == "/etc/ssl/certs/ca-certificates.crt"
    assert (inner["User"], inner["WorkingDir"]) == ("65532:65532", "/app")
    assert inner["Labels"]["org.opencontainers.image.base.name"].endswith(f"{NAME}:slim")
    assert inner["Labels"]["org.opencontainers.image.base.digest"] in registry.manifests[NAME]
    layout = Layout(root / ".lockstitch" / "images")
    venv = layout.path(Digest.parse(manifest["layers"][2]["digest"]))
    with tarfile.open(fileobj=io.BytesIO(gzip.decompress(venv.read_bytes()))) as archive:
        text = archive.extractfile("app/.venv/pyvenv.cfg")
        assert text is not None
        assert text.read().decode().startswith("home = /usr/local/bin\n")
        assert archive.getmember("app/.venv/bin/python").linkname == "/usr/local/bin/python3.11"


def test_a_push_to_the_base_s_registry_sends_no_byte_of_it(
    root: Path, registry: Registry, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.rmtree(store() / "blobs")  # as on a machine that did not lock
    before = len(registry.seen)
    target = f"{registry.address}/team/{{image}}:1"
    assert main(["build", "--quiet", "--push", target, "--json"]) == 0
    serve, train = json.loads(capsys.readouterr().out)
    base = {each["digest"] for each in json.loads(registry.manifests[NAME]["slim"][1])["layers"]}
    read = [s.path for s in registry.seen[before:] if s.method == "GET" and "/blobs/" in s.path]
    assert read == []
    # The second image mounts the environment and the project's own code as well.
    assert [each["pushed"]["mounted"]["blobs"] for each in (serve, train)] == [2, 4]
    assert base <= registry.blobs["team/serve"].keys()
    assert registry.holes() == []
    assert not (root / ".lockstitch" / "images" / "index.json").exists()
    # A layout has to be whole: now the base is fetched, once for both images.
    assert main(["build", "--quiet"]) == 0
    assert registry.count("GET", "/blobs/sha256") == 2 * len(base) + 1
    assert image(root)[0]["layers"][0]["digest"] in base


def test_an_upgrade_says_what_changes(
    root: Path, registry: Registry, capsys: pytest.CaptureFixture[str]
) -> None:
    base = f"{registry.address}/{NAME}:slim"
    before = (root / "lockstitch.lock").read_text()
    bases.publish(registry, NAME, "slim", bases.python_slim(version="3.11.10"))
    capsys.readouterr()
    assert main(["lock", "--quiet"]) == 0  # without --upgrade all is kept
    assert (root / "lockstitch.lock").read_text() == before
    capsys.readouterr()
    assert main(["lock", "--quiet", "--upgrade", base, "--dry-run", "--json"]) == 0
    moved = json.loads(capsys.readouterr().out)["moved"]
    assert [(each["what"], each["name"], each["after"]) for each in moved][1:] == [
        ("base, linux/amd64", "base python", "3.11.10")
    ]
    assert moved[0]["name"] == "base image"
    assert moved[0]["before"].startswith("sha256:")
    assert moved[0]["before"] != moved[0]["after"]
    assert (root / "lockstitch.lock").read_text() == before
    assert main(["lock", "--quiet", "--upgrade", base]) == 0
    assert 'python = "3.11.10"\n' in (root / "lockstitch.lock").read_text()


def test_the_dockerfile_starts_from_the_digest(root: Path, registry: Registry) -> None:
    assert main(["export", "dockerfile", "--quiet"]) == 0
    text = (root / "Dockerfile.serve").read_text()
    digest = file.read(root).bases[0].digest
    assert f"ARG BASE={registry.address}/{NAME}@{digest}\n" in text
    assert "ARG PYTHON_VERSION=3.11.9\n" in text
    assert "USER 0" not in text
    assert "ENTRYPOINT" not in text
    config = {"User": "app", "Entrypoint": ["/entry"], "Healthcheck": {"Test": ["CMD", "x"]}}
    bases.publish(registry, NAME, "slim", bases.python_slim(config=config))
    assert main(["lock", "--quiet", "--upgrade", f"{registry.address}/{NAME}:slim"]) == 0
    assert main(["export", "dockerfile", "--quiet"]) == 0
    serve, train = ((root / f"Dockerfile.{name}").read_text() for name in ("serve", "train"))
    assert "AS tools\nUSER 0\n" in serve
    assert "ENTRYPOINT []\n" in serve
    assert "HEALTHCHECK NONE" in train
    assert "HEALTHCHECK NONE" not in serve


def test_the_bill_of_materials_names_the_base_and_its_packages(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    assert main(["export", "sbom", "--image", "serve"]) == 0
    purls = [each.get("purl", "") for each in json.loads(capsys.readouterr().out)["components"]]
    assert "pkg:deb/debian/libc6@2.36-9%2Bdeb12u9?arch=amd64&distro=debian-12" in purls
    assert [purl for purl in purls if purl.startswith("pkg:oci/python@sha256:")]


def test_bytecode_comes_from_a_python_of_this_machine(
    root: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    projects.replace(root, "port = 8000\n", "port = 8000\nbytecode = true\n")
    bytecode.find_local.cache_clear()
    monkeypatch.setattr("platform.python_version", lambda: "3.11.7")
    capsys.readouterr()
    assert main(["build", "serve", "--quiet"]) == 0
    err = capsys.readouterr().err
    assert "warning: bytecode is made by CPython 3.11.7 of this machine, the base has 3.11.9" in err
    layers = image(root)[0]["layers"]
    names: list[str] = []
    layout = Layout(root / ".lockstitch" / "images")
    for layer in layers:
        data = gzip.decompress(layout.path(Digest.parse(layer["digest"])).read_bytes())
        with tarfile.open(fileobj=io.BytesIO(data)) as archive:
            names += archive.getnames()
    assert [name for name in names if "/site-packages/" in name and name.endswith(".pyc")]
    assert not [name for name in names if "usr/local" in name and name.endswith(".pyc")]
    bytecode.find_local.cache_clear()


def test_a_setting_names_another_user(root: Path) -> None:
    projects.replace(root, "port = 8000\n", 'port = 8000\nuser = "1000:1000"\n')
    assert main(["build", "serve", "--quiet"]) == 0
    assert image(root)[1]["config"]["User"] == "1000:1000"
    projects.replace(root, '"1000:1000"', '"-1"')
    assert main(["build", "serve", "--quiet"]) == 1


def test_base_only_has_nothing_to_make(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert main(["build", "--base-only", "--output", "base.tar"]) == 1
    err = capsys.readouterr().err
    assert "is an image already" in err
    assert f"{NAME}@sha256:" in err


def test_inspect_shows_the_base_too(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["build", "serve", "--quiet"]) == 0
    capsys.readouterr()
    assert main(["image", "inspect", "serve"]) == 0
    out = capsys.readouterr().out
    assert "ADD rootfs.tar\n" in out
    assert "org.opencontainers.image.base.digest=sha256:" in out


def test_a_damaged_registry_stops_a_build_that_needs_the_base(
    root: Path, registry: Registry, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.rmtree(store() / "blobs")
    registry.blobs[NAME].clear()
    capsys.readouterr()
    assert main(["build", "--quiet"]) == 1
    assert "blob unknown" in capsys.readouterr().err
    assert not (root / ".lockstitch" / "images" / "index.json").exists()


def test_compression_leaves_the_base_alone(root: Path) -> None:
    assert main(["build", "serve", "--quiet", "--compression", "gzip-single"]) == 0
    layers = image(root)[0]["layers"]
    assert [layer["digest"] for layer in layers[:2]] == [
        layer.digest for layer in file.read(root).bases[0].layers
    ]


def test_what_the_base_exposes_and_mounts_stays(root: Path, registry: Registry) -> None:
    config = {"ExposedPorts": {"53/udp": {}}, "Volumes": {"/data": {}}, "Labels": {"team": "os"}}
    extra = Layer(files={"etc/ssl/certs/.wh.ca-certificates.crt": b""})
    made = bases.python_slim(config=config, extra=[extra], docker=False)
    bases.publish(registry, NAME, "slim", made)
    assert main(["lock", "--quiet", "--upgrade", f"{registry.address}/{NAME}:slim"]) == 0
    assert main(["build", "serve", "--quiet"]) == 0
    inner = image(root)[1]["config"]
    assert inner["ExposedPorts"] == {"53/udp": {}, "8000/tcp": {}}
    assert inner["Volumes"] == {"/data": {}}
    assert inner["Labels"]["team"] == "os"
    assert not [each for each in inner["Env"] if each.startswith("SSL_CERT_FILE=")]


def test_the_store_is_asked_before_the_registry(root: Path, registry: Registry) -> None:
    digest = file.read(root).bases[0].layers[0].digest
    assert Store(store()).has(digest)
    before = registry.count("GET", "/blobs/")
    assert main(["build", "--quiet"]) == 0
    assert registry.count("GET", "/blobs/") == before


def test_it_is_the_same_elsewhere_and_what_is_in_the_registry_fits(
    root: Path, registry: Registry, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    assert main(["verify", "serve", "--build"]) == 0  # from an empty store, so the base again
    assert "serve        same" in capsys.readouterr().out
    name = f"{registry.address}/team/serve:1"
    assert main(["build", "serve", "--quiet", "--push", name]) == 0
    capsys.readouterr()
    assert main(["image", "verify", name]) == 0
    said = capsys.readouterr().err
    assert "config, layers, packages, sbom, provenance, lock fit" in said
