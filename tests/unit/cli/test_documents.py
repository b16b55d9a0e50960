"""What stands beside an image: made by build, brought by push, shown by inspect."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support import projects, wheels
from support.programs import git
from support.registry import Registry
from support.world import World

from lockstitch import __version__
from lockstitch.cli.main import main
from lockstitch.digest import of_bytes
from lockstitch.lock import provenance, sbom
from lockstitch.oci.layout import Layout

pytestmark = pytest.mark.slow

Run = Callable[..., str]


@pytest.fixture
def run(locked: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    def call(*words: str) -> str:
        capsys.readouterr()
        assert main(list(words)) == 0
        return capsys.readouterr().out

    return call


def layout_of(folder: Path) -> Layout:
    return Layout(folder / ".lockstitch" / "images")


def said(run: Run, *words: str) -> Any:
    return json.loads(run("image", "inspect", *words))


def test_the_schema_takes_the_bill_of_an_image_and_it_names_the_images_digest(
    locked: Path, world: World, run: Run
) -> None:
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    files = {"beta/__init__.py": b"", "beta/tests/test_it.py": b"x", "beta/it.pyi": b"y"}
    world.index.publish(wheels.wheel("beta", "3.2", files, licence="MIT License"))
    groups = 'groups = ["train", "plot"]\n'
    projects.replace(locked, groups, f"{groups}trim = true\n")
    assert main(["lock", "--upgrade", "beta", "--quiet"]) == 0
    digest = run("build", "train", "--quiet").split()[1]
    text = run("image", "inspect", "train", "--sbom")
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    found = json.loads(text)
    assert f"sha256:{found['metadata']['component']['hashes'][0]['content']}" == digest
    parts = {each["name"]: each for each in found["components"]}
    assert {"alpha", "beta", "delta", "epsilon", "tiny", "libc6", "python3.11"} <= {*parts}
    assert parts["delta"]["hashes"][0]["alg"] == "SHA-256"
    assert parts["beta"]["version"] == "3.2"
    assert parts["beta"]["licenses"] == [{"expression": "MIT"}]
    assert parts["beta"]["properties"] == [
        {"name": sbom.LEFT_OUT, "value": "beta/it.pyi"},
        {"name": sbom.LEFT_OUT, "value": "beta/tests/"},
    ]


def test_the_documents_change_no_digest_and_are_the_same_each_time(locked: Path, run: Run) -> None:
    run("build", "--quiet")
    layout = layout_of(locked)
    before = {
        name: layout.path(layout.manifest_digest(name)).read_bytes() for name in ("serve", "train")
    }
    index = (layout.root / "index.json").read_bytes()
    for path in (Path(layout.root), Path(locked.parent / "elsewhere")):
        run("build", "--quiet", "--layout", str(path))
        found = Layout(path)
        assert (found.root / "index.json").read_bytes() == index
        for name, data in before.items():
            assert found.path(found.manifest_digest(name)).read_bytes() == data


def test_the_provenance_names_the_locks_and_the_commit(locked: Path, run: Run) -> None:
    digest = run("build", "serve", "--quiet").split()[1]
    found = said(run, "serve", "--provenance")
    assert found["subject"] == [{"name": "tiny-serve", "digest": {"sha256": digest[7:]}}]
    assert found["predicateType"] == provenance.PREDICATE
    build, details = found["predicate"]["buildDefinition"], found["predicate"]["runDetails"]
    assert details["builder"] == {"id": provenance.BUILDER, "version": {"lockstitch": __version__}}
    assert build["externalParameters"] == {
        "allowedDrift": [],
        "base": "debian:bookworm",
        "image": "serve",
        "platform": "linux/amd64",
        "source": "none",
    }
    materials = {each["name"]: each["digest"] for each in build["resolvedDependencies"]}
    for name in ("pyproject.toml", "lockstitch.lock", "pylock.serve.toml", "uv.lock"):
        assert f"sha256:{materials[name]['sha256']}" == of_bytes((locked / name).read_bytes())
    assert {"base", "first-party code"} <= {*materials}
    assert "pylock.train.toml" not in materials

    (locked / ".gitignore").write_text(".lockstitch/\n")
    for words in (["init", "--quiet"], ["add", "-A"], ["commit", "--quiet", "-m", "all"]):
        git(locked, *words)
    head = git(locked, "rev-parse", "HEAD")
    assert run("build", "serve", "--quiet").split()[1] == digest
    build = said(run, "serve", "--provenance")["predicate"]["buildDefinition"]
    assert build["externalParameters"]["source"] == "clean"
    assert build["resolvedDependencies"][-1] == {"name": "source", "digest": {"gitCommit": head}}
    (locked / "notes.txt").write_text("not of the commit")
    assert run("build", "serve", "--quiet").split()[1] == digest
    build = said(run, "serve", "--provenance")["predicate"]["buildDefinition"]
    assert build["externalParameters"]["source"] == "dirty"
    assert "gitCommit" not in json.dumps(build)


@pytest.mark.parametrize("kind", ["API", "tag schema"])
def test_a_push_brings_them_along(locked: Path, run: Run, registry: Registry, kind: str) -> None:
    registry.has_referrers = api = kind == "API"
    name = f"{registry.address}/serve"
    pushed = json.loads(run("build", "serve", "--push", f"{name}:1.0", "--json"))[0]["pushed"]
    assert pushed["about"]["documents"] == 2
    assert registry.holes() == []
    tags = {tag for tag in registry.manifests["serve"] if not tag.startswith("sha256:")}
    assert tags == {"1.0"} | (set() if api else {f"sha256-{pushed['digest'][7:]}"})
    for option in ("--sbom", "--provenance"):
        there = run("image", "inspect", f"{name}:1.0", option)
        assert there == run("image", "inspect", "serve", option)
        assert there == run("image", "inspect", pushed["reference"], option)
    again = json.loads(run("image", "push", f"{name}:1.0", "--image", "serve", "--json"))[0]
    assert again["about"] == {"documents": 0, "bytes": 0}
    assert again["digest"] == pushed["digest"]


def test_an_image_of_a_registry_is_shown_like_one_of_the_layout(
    locked: Path, run: Run, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"{registry.address}/serve:1.0"
    run("build", "serve", "--push", name, "--quiet")
    here = said(run, "serve", "--json")
    monkeypatch.chdir(locked.parent)  # where no project is
    registry.seen.clear()
    there = said(run, name, "--json")
    assert there == here | {"name": name.removesuffix(":1.0")}
    assert registry.count("GET", "/blobs/") == 1, "what is in a layer is known by its digest"
    assert "gamma 2.0" in run("image", "inspect", name, "--all")


def test_a_config_that_is_none_is_named(
    locked: Path, registry: Registry, capsys: pytest.CaptureFixture[str]
) -> None:
    for number, text in enumerate((b"[]", b"{}", b'{"os": 1, "rootfs": {"diff_ids": []}}')):
        config = registry.add("odd", text)
        kind = "application/vnd.oci.image.manifest.v1+json"
        document = {"schemaVersion": 2, "mediaType": kind, "config": config, "layers": []}
        registry.name("odd", str(number), document)
        assert main(["image", "inspect", f"{registry.address}/odd:{number}"]) == 1
        assert "has a config that is not of an image with its layers" in capsys.readouterr().err


def test_what_inspect_cannot_show(
    locked: Path, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    run("build", "serve", "--quiet")
    index = layout_of(locked).root / "index.json"
    document = json.loads(index.read_bytes())
    document["manifests"] = document["manifests"][:1]
    index.write_text(json.dumps(document))
    assert main(["image", "inspect", "serve", "--sbom"]) == 1
    assert f"nothing of the type `{sbom.FORMAT}` refers to serve@sha256:" in capsys.readouterr().err
