"""One project for several platforms: an index of them, and all that has no wheel at once."""

import json
from pathlib import Path

import pytest
from support import bases, projects, wheels
from support.registry import Registry
from support.world import World

from lockstitch.cli.main import main
from lockstitch.digest import Digest
from lockstitch.oci.layout import Layout

NAME = "library/python"


@pytest.fixture
def root(world: World, registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a project for two platforms, on a base that has both; not locked."""
    made = projects.write(tmp_path / "tiny")
    lines = f'python = "3.11"\nbase = "{registry.address}/{NAME}:slim"\n'
    lines += 'platforms = ["linux/arm64", "linux/amd64"]\n'
    projects.replace(made, 'python = "3.11"\n', lines)
    both = [bases.python_slim(architecture=each) for each in ("amd64", "arm64")]
    bases.publish_index(registry, NAME, "slim", both)
    monkeypatch.chdir(made)
    return made


@pytest.mark.slow
def test_the_layout_has_each_platform_and_an_index_of_both(
    root: Path, registry: Registry, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["lock", "--quiet"]) == 0
    assert main(["build", "serve", "--quiet"]) == 0
    layout = Layout(root / ".lockstitch" / "images")
    assert layout.names() == ["serve-amd64", "serve-arm64"]
    index = json.loads((layout.root / "index.json").read_bytes())
    names = [m["annotations"]["org.opencontainers.image.ref.name"] for m in index["manifests"]]
    assert names[:3] == ["serve", "serve-amd64", "serve-arm64"]
    about = [f"sha256-{layout.manifest_digest(name).hex}" for name in layout.names()]
    assert names[3:] == sorted(about), "documents about each"
    both = layout.document(Digest.parse(index["manifests"][0]["digest"]))["manifests"]
    assert [each["platform"]["architecture"] for each in both] == ["amd64", "arm64"]
    assert [each["digest"] for each in both] == [
        layout.manifest_digest(name) for name in layout.names()
    ]
    for each in both:
        manifest = layout.document(Digest.parse(each["digest"]))
        config = layout.document(Digest.parse(manifest["config"]["digest"]))
        assert config["architecture"] == each["platform"]["architecture"]
    capsys.readouterr()
    assert main(["image", "inspect", "serve"]) == 2
    said = capsys.readouterr().err
    assert "`serve` has 2 images: linux/amd64, linux/arm64\nhint: --platform linux/amd64" in said
    assert main(["image", "inspect", "serve-386"]) == 2
    assert "has no image `serve-386` (it has: serve-amd64, serve-arm64)" in capsys.readouterr().err
    # The index that a push makes is the same one.
    assert (
        main(["image", "push", f"{registry.address}/team/serve:1", "--image", "serve", "--quiet"])
        == 0
    )
    assert capsys.readouterr().out.strip().endswith(f"@{index['manifests'][0]['digest']}")
    for name in ("serve", f"{registry.address}/team/serve:1"):
        assert main(["image", "verify", name, "--json"]) == 0
        found = json.loads(capsys.readouterr().out)
        assert [(e["platform"], e["problems"]) for e in found] == [
            ("linux/amd64", []),
            ("linux/arm64", []),
        ]
        assert main(["image", "inspect", name, "--platform", "linux/arm64", "--sbom"]) == 0
        facts = json.loads(capsys.readouterr().out)["metadata"]["component"]["properties"]
        assert {"name": "lockstitch:platform", "value": "linux/arm64"} in facts
    assert layout.sweep() == 0
    assert registry.holes() == []


@pytest.mark.slow
def test_what_has_no_wheel_is_listed_for_all_platforms_and_images(
    root: Path, world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    world.index.publish(wheels.wheel("fast", "1.0", tag="cp311-cp311-manylinux_2_17_x86_64"))
    world.index.publish(wheels.wheel("odd", "2.0", tag="cp311-cp311-musllinux_1_2_x86_64"))
    projects.replace(root, '"alpha>=1"', '"alpha>=1", "fast"')
    projects.replace(root, '"gamma>=2"', '"gamma>=2", "odd"')
    assert main(["lock", "--quiet"]) == 0
    capsys.readouterr()
    assert main(["build", "--quiet"]) == 1
    found = [line for line in capsys.readouterr().err.splitlines() if "has no wheel" in line]
    assert sorted(line.removeprefix("error: ").partition(":")[0] for line in found) == [
        "`fast` has no wheel for linux/arm64, CPython 3.11",
        "`odd` has no wheel for linux/amd64, CPython 3.11",
        "`odd` has no wheel for linux/arm64, CPython 3.11",
    ]
    assert [line.rpartition(" (")[2] for line in sorted(found)] == [
        *("images `serve`, `train`)", "image `serve`)", "image `serve`)")
    ]
    assert not (root / ".lockstitch").exists()


@pytest.mark.slow
def test_the_report_knows_images_of_several_platforms(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    projects.replace(
        root,
        "[tool.lockstitch.images.serve]\n",
        '[tool.lockstitch.images.serve]\nbudget = "1 GB"\n',
    )
    assert main(["lock", "--quiet"]) == 0
    assert main(["build", "serve", "--quiet"]) == 0
    projects.replace(root, 'budget = "1 GB"', 'budget = "1 kB"')
    capsys.readouterr()
    assert main(["report", "--quiet"]) == 0
    text = (root / capsys.readouterr().out.strip()).read_text(encoding="utf-8")
    assert "lockstitch build serve" not in text
    assert text.count("allowed") == 2
