"""`lockstitch image verify` and `sign`: what fits, and every way in which it may not."""

import gzip
import io
import json
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support import projects, wheels
from support.registry import Registry
from support.world import World

from lockstitch.cli.main import main
from lockstitch.digest import Digest, canonical_json, of_bytes
from lockstitch.image.paths import site_packages
from lockstitch.image.wheel import record_hash
from lockstitch.lock import provenance, sbom
from lockstitch.oci.layout import Layout
from lockstitch.oci.model import Artifact, Descriptor

pytestmark = pytest.mark.slow

SITE = site_packages("3.11")
Problems = Callable[..., list[str]]


@pytest.fixture
def layout(locked: Path) -> Layout:
    assert main(["build", "--quiet"]) == 0
    return Layout(locked / ".lockstitch" / "images")


@pytest.fixture
def problems(layout: Layout, capsys: pytest.CaptureFixture[str]) -> Problems:
    """Return what verify-image says of an image: nothing, or its problems."""

    def call(*words: str) -> list[str]:
        capsys.readouterr()
        code = main(["image", "verify", *(words or ("serve",)), "--json"])
        (found,) = json.loads(capsys.readouterr().out)
        assert code == (1 if found["problems"] else 0)
        return [f"{each['check']}: {each['problem']}" for each in found["problems"]]

    return call


def keys(folder: Path) -> tuple[str, str]:
    private, public = folder / "lockstitch.key", folder / "lockstitch.pub"
    words = ["openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", private]
    subprocess.run(words, check=True)
    subprocess.run(["openssl", "pkey", "-in", private, "-pubout", "-out", public], check=True)
    return str(private), str(public)


def test_what_build_made_fits(layout: Layout, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert main(["image", "verify", "serve", "--quiet"]) == 0
    out, err = capsys.readouterr()
    assert out == f"serve@{layout.manifest_digest('serve')}\n"
    assert err == (
        "linux/amd64: config, layers, packages, sbom, provenance, lock fit; "
        "signature not checked: no --key\n"
    )


def test_what_was_pushed_fits_and_is_signed(
    layout: Layout,
    problems: Problems,
    registry: Registry,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    registry.has_referrers = False
    private, public = keys(tmp_path)
    name = f"{registry.address}/serve"
    assert main(["image", "push", f"{name}:1", "--image", "serve", "--quiet"]) == 0
    digest = layout.manifest_digest("serve")
    unsigned = [f"signature: nobody has signed {digest}"]
    assert problems(f"{name}:1", "--key", public) == unsigned
    assert main(["image", "sign", f"{name}:1", "--key", private, "--dry-run"]) == 0
    assert f"would sign {name}@{digest} with {private}" in capsys.readouterr().err
    assert problems(f"{name}:1", "--key", public) == unsigned
    assert main(["image", "sign", f"{name}:1", "--key", private, "--quiet"]) == 0
    assert capsys.readouterr().out.endswith(f"{name}@{digest}\n")
    assert main(["image", "sign", f"{name}:1", "--key", private, "--quiet"]) == 0
    assert "this key has signed it before" in capsys.readouterr().err
    monkeypatch.chdir(tmp_path)  # where no project is
    assert problems(f"{name}@{digest}", "--key", public) == []
    assert main(["image", "verify", f"{name}:1", "--key", public, "--json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)
    assert found["skipped"] == {"lock": "not in a project"}
    wanted = ["config", "layers", "packages", "provenance", "sbom", "signature"]
    assert found["checked"] == wanted
    assert main(["image", "verify", "serve"]) == 2
    assert "there is no project here" in capsys.readouterr().err


def test_a_signature_in_the_layout_is_pushed_too(
    layout: Layout, problems: Problems, registry: Registry, tmp_path: Path
) -> None:
    private, public = keys(tmp_path)
    assert main(["image", "sign", "serve", "--key", private, "--quiet"]) == 0
    assert problems("serve", "--key", public) == []
    name = f"{registry.address}/serve:1"
    assert main(["image", "push", name, "--image", "serve", "--quiet"]) == 0
    assert problems(name, "--key", public) == []
    assert main(["build", "--quiet"]) == 0
    assert problems("serve", "--key", public) == [], "it stays as long as the image does"


def test_another_lock_than_the_images_is_named(
    locked: Path, layout: Layout, problems: Problems
) -> None:
    projects.replace(locked, "gamma", "gamma # moved\n#", name="pylock.serve.toml")
    found = problems()
    assert len(found) == 2
    here = of_bytes((locked / "pylock.serve.toml").read_bytes())
    assert found[0].startswith(f"lock: `pylock.serve.toml` is {here.hex}, the image is from ")
    assert found[1].startswith(
        f"lock: `pylock.serve.toml` is {here}, the label dev.lockstitch.lock"
    )
    projects.replace(locked, 'name = "tiny"', 'name = "other"')
    assert problems() == ["lock: the image is `tiny-serve`, of another project than `other`"]


def change(layout: Layout, kind: str, edit: Callable[[Any], object]) -> None:
    """Write another document of a type beside the image `serve`."""
    digest = layout.manifest_digest("serve")
    (described,) = layout.referrers(digest, kind)
    document = json.loads(b"".join(layout.blob(layout.manifest(described.digest).layers[0])))
    edit(document)
    subject = layout.manifest(digest).descriptor
    layout.attach(subject, [Artifact(kind=kind, data=canonical_json(document))])


def test_every_difference_to_the_bill_is_named(layout: Layout, problems: Problems) -> None:
    def edit(document: Any) -> None:
        parts = document["components"]
        for part in parts:
            if part["name"] == "alpha":
                part["version"] = "1.1"
        document["components"] = [part for part in parts if part["name"] not in {"tiny", "libc6"}]
        document["metadata"]["component"]["hashes"][0]["content"] = "0" * 64

    change(layout, sbom.FORMAT, edit)
    digest = layout.manifest_digest("serve")
    assert problems() == [
        f"sbom: it is about {'0' * 64}, not {digest.hex}",
        "sbom: package `alpha 1.1` is in it and not in the image",
        "sbom: package `alpha 1.0` is in the image and not in it",
        "sbom: package `tiny 0.1.0` is in the image and not in it",
        "sbom: Debian package `libc6 2.36-9` is in the image and not in it",
    ]


def test_every_difference_to_the_provenance_is_named(layout: Layout, problems: Problems) -> None:
    def edit(document: Any) -> None:
        document["subject"][0]["digest"]["sha256"] = "0" * 64
        build = document["predicate"]["buildDefinition"]
        build["externalParameters"]["base"] = "debian:trixie"
        for each in build["resolvedDependencies"]:
            each["digest"] = {"sha256": "1" * 64}

    change(layout, provenance.FORMAT, edit)
    found = problems()
    assert [each.partition(":")[0] for each in found] == ["provenance"] * 3 + ["lock"] * 2
    assert f"provenance: it is about {'0' * 64}, not" in found[0]
    assert f"`pylock.serve.toml` is {'1' * 64}, the label dev.lockstitch.lock says" in found[1]
    assert "the base is `debian:trixie`, the label" in found[2]
    change(layout, provenance.FORMAT, lambda document: document.pop("predicate"))
    (found_,) = problems()
    assert found_.endswith("cannot be read: 'predicate'")


def test_what_a_document_quotes_moves_no_cursor(layout: Layout, problems: Problems) -> None:
    def edit(document: Any) -> None:
        part = {"type": "library", "bom-ref": "x", "purl": "pkg:pypi/x", "version": "1"}
        names = ["\x1b[2J" + "x" * 1000, *(f"more{n}" for n in range(200))]
        document["components"] += [part | {"name": name} for name in names]

    change(layout, sbom.FORMAT, edit)
    found = problems()
    assert len(found) == 101
    assert found[-1] == "sbom: and 101 more"
    assert found[0].startswith("sbom: package `\ufffd[2jxxx")
    assert all(len(each) < 600 for each in found)


def test_documents_that_are_missing(layout: Layout, problems: Problems) -> None:
    index = json.loads((layout.root / "index.json").read_bytes())
    index["manifests"] = [each for each in index["manifests"] if "platform" in each]
    (layout.root / "index.json").write_bytes(canonical_json(index))
    assert problems() == [
        f"sbom: nothing of the type `{sbom.FORMAT}` refers to the image",
        f"provenance: nothing of the type `{provenance.FORMAT}` refers to the image",
    ]


def forged(layout: Layout, edit: Callable[[dict[str, bytes]], object], *, honest: bool) -> None:
    """Change files of a layer and name the result `serve`; an honest config has its diffID."""
    manifest = dict(layout.document(layout.manifest_digest("serve")))
    config = dict(layout.document(Digest.parse(manifest["config"]["digest"])))
    for number, layer in enumerate(manifest["layers"]):  # noqa: B007 -- used after it
        data = gzip.decompress(layout.path(Digest.parse(layer["digest"])).read_bytes())
        with tarfile.open(fileobj=io.BytesIO(data)) as archive:
            files = {m.name: archive.extractfile(m).read() for m in archive if m.isreg()}
        if f"{SITE}/gamma/__init__.py" in files:
            break
    edit(files)
    output = io.BytesIO()
    with tarfile.open(fileobj=output, mode="w") as made:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            made.addfile(info, io.BytesIO(content))
    packed = gzip.compress(output.getvalue(), mtime=0)
    described = {"mediaType": layer["mediaType"], "size": len(packed)}
    manifest["layers"][number] = described | {"digest": of_bytes(packed)}
    if honest:
        config["rootfs"]["diff_ids"][number] = of_bytes(output.getvalue())
    text = canonical_json(config)
    manifest["config"] |= {"digest": of_bytes(text), "size": len(text)}
    data = canonical_json(manifest)
    before = layout.manifest("serve").descriptor
    documents = [
        Artifact(
            kind=referrer.artifact_type,
            data=b"".join(layout.blob(layout.manifest(referrer.digest).layers[0])),
        )
        for referrer in layout.referrers(before.digest)
    ]
    layout.put([packed, text], data, manifest["mediaType"], "serve")
    subject = Descriptor(media_type=manifest["mediaType"], digest=of_bytes(data), size=len(data))
    layout.attach(subject, documents)


def only(found: list[str], check: str) -> list[str]:
    return [each.removeprefix(f"{check}: ") for each in found if each.startswith(f"{check}: ")]


def test_a_file_that_its_record_does_not_know_as_it_is(layout: Layout, problems: Problems) -> None:
    def edit(files: dict[str, bytes]) -> None:
        files[f"{SITE}/gamma/__init__.py"] = b"import os\n"
        files[f"{SITE}/evil.pth"] = b"import os\n"

    forged(layout, edit, honest=True)
    found = problems()
    assert only(found, "layers") == []
    changed, added = only(found, "packages")
    assert changed.startswith(f"`{SITE}/gamma/__init__.py` of `gamma` is sha256=")
    assert ", its RECORD says sha256=" in changed
    assert added == f"`{SITE}/evil.pth` is of no package"
    assert len(only(found, "sbom")) == 1, "which is about the image before"


def test_a_record_may_have_hexadecimal_digests(layout: Layout, problems: Problems) -> None:
    def edit(files: dict[str, bytes]) -> None:
        code = of_bytes(files[f"{SITE}/gamma/__init__.py"])
        record = f"{SITE}/gamma-2.0.dist-info/RECORD"
        written = record_hash(code).encode()
        assert written in files[record]
        files[record] = files[record].replace(written, f"sha256={code.hex}".encode())

    forged(layout, edit, honest=True)
    assert only(problems(), "packages") == []


def test_what_is_missing_of_a_package(layout: Layout, problems: Problems) -> None:
    def edit(files: dict[str, bytes]) -> None:
        del files[f"{SITE}/gamma/__init__.py"]
        for name in [name for name in files if "/epsilon" in name]:
            del files[name]

    forged(layout, edit, honest=True)
    found = problems()
    assert f"`{SITE}/gamma/__init__.py` of `gamma` is missing" in only(found, "packages")
    gone = "package `epsilon 5.0` is in it and not in the image"
    assert gone in only(found, "sbom") or not any("epsilon" in each for each in found)


def test_a_layer_that_the_config_does_not_know(layout: Layout, problems: Problems) -> None:
    forged(layout, lambda files: files, honest=False)
    (said,) = only(problems(), "layers")
    assert "has the diffID sha256:" in said
    assert ", the config says sha256:" in said


def test_every_damaged_layer_is_named(layout: Layout, problems: Problems) -> None:
    layers = layout.document(layout.manifest_digest("serve"))["layers"]
    for layer in (layers[0], layers[-1]):
        path = layout.path(Digest.parse(layer["digest"]))
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.unlink()
        path.write_bytes(data)
    found = problems()
    assert only(found, "packages") == []
    damaged = only(found, "layers")
    assert len(damaged) == 2
    assert damaged[0].startswith("layer 0 ")
    assert damaged[1].startswith(f"layer {len(layers) - 1} ")


def test_a_key_that_cannot_be_read_is_said_first(
    layout: Layout, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "key").write_text("none")
    assert main(["image", "verify", "serve", "--key", str(tmp_path / "key")]) == 1
    assert "has no key in PEM form" in capsys.readouterr().err


def test_an_image_with_files_that_two_packages_have_fits(
    online: World, locked: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with online.kept():
        clash = {"gamma/__init__.py": b"", "epsilon/__init__.py": b"version = 'gamma'\n"}
        online.index.publish(wheels.wheel("gamma", "2.1", clash))
        assert main(["lock", "--quiet", "--upgrade", "gamma"]) == 0
        capsys.readouterr()
        assert main(["build", "serve"]) == 0
    said = capsys.readouterr().err
    path = f"{SITE}/epsilon/__init__.py"
    assert "`gamma` and `epsilon` both have a file with other bytes" in said
    assert f'`{path}`; to decide: prefer = ["epsilon"]' in said
    assert main(["image", "inspect", "serve", "--provenance"]) == 0
    definition = json.loads(capsys.readouterr().out)["predicate"]["buildDefinition"]
    (decided,) = definition["internalParameters"]["collisions"]
    assert (decided["winner"], decided["loser"], decided["paths"]) == ("gamma", "epsilon", [path])
    assert main(["image", "verify", "serve", "--quiet"]) == 0
    setting = '[tool.lockstitch.images.serve]\nprefer = ["epsilon"]\n'
    projects.replace(locked, "[tool.lockstitch.images.serve]\n", setting)
    capsys.readouterr()
    assert main(["build", "serve"]) == 0
    assert "both have" not in capsys.readouterr().err
    assert main(["image", "verify", "serve", "--quiet"]) == 0
    strict = setting.replace('prefer = ["epsilon"]', 'collisions = "error"')
    projects.replace(locked, setting, strict)
    assert main(["build", "serve"]) == 1
    err = capsys.readouterr().err
    assert "error: image `serve`: `gamma` and `epsilon` both have a file with other bytes" in err
    assert 'hint: prefer = ["epsilon"] in [tool.lockstitch.images.serve]' in err
