"""`lockstitch image push` and `lockstitch build --push`, on the tiny project."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support import projects, wheels
from support.images import image, layer
from support.registry import Fault, Registry
from support.world import World

from lockstitch.cli.main import main
from lockstitch.oci.entry import file
from lockstitch.oci.layout import Layout
from lockstitch.oci.model import Platform


def answer(capsys: pytest.CaptureFixture[str], *words: str) -> list[dict[str, Any]]:
    capsys.readouterr()
    assert main([*words, "--json"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    return list(json.loads(out))


def said(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> tuple[str, str]:
    capsys.readouterr()
    assert main(list(words)) == code
    return capsys.readouterr()


@pytest.mark.slow
def test_what_is_printed_is_the_reference_by_digest(
    locked: Path, registry: Registry, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["build", "--quiet"])
    name = f"{registry.address}/team/serve"
    out, err = said(capsys, "image", "push", f"{name}:1.0", "--image", "serve", "--quiet")
    digest = Layout(locked / ".lockstitch" / "images").manifest_digest("serve")
    assert out == f"{name}@{digest}\n"
    assert err.startswith(f"{name}:1.0: 7 blobs (")
    assert err.endswith(" sent, 0 blobs mounted, 0 blobs there before, 2 documents about it sent\n")
    assert registry.manifests["team/serve"]["1.0"][1] == registry.manifests["team/serve"][digest][1]
    out, err = said(capsys, "image", "push", f"{name}:1.0", "--image", "serve", "--quiet")
    assert out == f"{name}@{digest}\n"
    assert "0 blobs sent, 0 blobs mounted, 7 blobs (" in err
    assert registry.holes() == []


@pytest.mark.slow
def test_every_image_gets_a_name_and_shared_layers_travel_once(
    locked: Path, registry: Registry, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["build", "--quiet"])
    serve, train = answer(capsys, "image", "push", f"{registry.address}/tiny-{{image}}")
    assert sorted(serve) == [
        *("about", "digest", "image", "manifests", "mounted", "platforms", "present"),
        *("reference", "sent", "tag"),
    ]
    assert (serve["image"], serve["tag"], serve["platforms"]) == (
        "serve",
        "latest",
        ["linux/amd64"],
    )
    assert serve["reference"] == f"{registry.address}/tiny-serve@{serve['digest']}"
    assert train["mounted"]["blobs"] >= 3  # system, python, the project's own code
    sent = sum(each[key]["bytes"] for each in (serve, train) for key in ("sent", "about"))
    assert registry.received() == sent
    assert registry.holes() == []


@pytest.mark.slow
def test_a_second_push_sends_nothing_and_a_moved_dependency_one_layer_of_wheels(
    locked: Path,
    world: World,
    registry: Registry,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    name = f"{registry.address}/serve:1.0"
    (first,) = answer(capsys, "build", "serve", "--push", name)
    layers = {each["digest"] for each in manifest(registry, "serve")["layers"]}
    received = registry.received()
    assert first["pushed"]["sent"]["bytes"] + first["pushed"]["about"]["bytes"] == received > 0
    assert first["pushed"]["about"]["documents"] == 2
    (second,) = answer(capsys, "build", "serve", "--push", name)
    assert second["pushed"]["sent"] == {"blobs": 0, "bytes": 0}
    assert second["pushed"]["about"] == {"documents": 0, "bytes": 0}
    assert second["pushed"]["manifests"] == 0
    assert registry.received() == received

    world.index.publish(wheels.wheel("gamma", "2.1"))
    projects.replace(locked, "import tiny", "import tiny  # changed", name="app/main.py")
    assert main(["lock", "--upgrade", "gamma", "--quiet"]) == 0
    (third,) = answer(capsys, "build", "serve", "--push", name)
    moved = manifest(registry, "serve")
    fresh = {each["digest"]: each["size"] for each in moved["layers"]}
    fresh = {digest: size for digest, size in fresh.items() if digest not in layers}
    assert len(fresh) == 2  # gamma's layer of wheels, and the app's
    sizes = [*fresh.values(), moved["config"]["size"]]
    assert third["pushed"]["sent"] == {"blobs": 3, "bytes": sum(sizes)}
    assert registry.received() == received + sum(sizes) + third["pushed"]["about"]["bytes"]
    assert registry.holes() == []


def manifest(registry: Registry, name: str) -> dict[str, Any]:
    return dict(json.loads(registry.manifests[name]["1.0"][1]))


def test_several_platforms_are_one_index(
    locked: Path, registry: Registry, capsys: pytest.CaptureFixture[str]
) -> None:
    old, new = 'python = "3.11"\n', 'python = "3.11"\nplatforms = ["linux/arm64", "linux/amd64"]\n'
    projects.replace(locked, old, new)
    layout = Layout(locked / ".lockstitch" / "images")
    for name in ("amd64", "arm64"):
        made = image(layer([file("a", b"1")]))
        layout.write(replace(made, platform=Platform.parse(f"linux/{name}")), f"serve-{name}")
    words = ["image", "push", f"{registry.address}/serve:1.0", "--image", "serve"]
    (found,) = answer(capsys, *words)
    assert found["platforms"] == ["linux/amd64", "linux/arm64"]
    assert (found["manifests"], found["sent"]["blobs"]) == (3, 3)
    index = manifest(registry, "serve")["manifests"]
    wanted = [layout.manifest_digest(f"serve-{name}") for name in ("amd64", "arm64")]
    assert [each["digest"] for each in index] == wanted
    (again,) = answer(capsys, *words)
    assert (again["digest"], again["manifests"]) == (found["digest"], 0)


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["{0}/a"], 2, "is one name, and there are 2 images: serve, train"),
        (["{0}/A", "--image", "serve"], 1, "not a repository's name"),
        (["{0}/a@sha256:" + "0" * 64, "--image", "serve"], 2, "has a digest"),
        (["{0}/a", "--image", "sreve"], 2, "sreve"),
        (["{0}/a", "--image", "serve"], 1, "has no image `serve`"),
    ],
)
def test_a_wrong_call_says_what_is_wrong(
    locked: Path,
    registry: Registry,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    code: int,
    message: str,
) -> None:
    _, err = said(
        capsys, "image", "push", *[word.format(registry.address) for word in words], code=code
    )
    assert message in err
    assert registry.seen == []


@pytest.mark.slow
def test_a_refusal_exits_1_and_prints_no_reference(
    locked: Path, registry: Registry, capsys: pytest.CaptureFixture[str]
) -> None:
    body = b'{"errors": [{"code": "DENIED", "message": "the quota is used up"}]}'
    registry.fail("POST", "uploads", *[Fault(status=403, body=body)] * 20)
    name = f"{registry.address}/serve"
    out, err = said(capsys, "build", "serve", "--push", name, "--quiet", code=1)
    assert out == ""
    assert "HTTP 403, DENIED: the quota is used up" in err
    assert registry.manifests == {}


@pytest.mark.slow
def test_a_push_that_is_killed_leaves_no_hole_and_the_next_one_goes_on(
    locked: Path, registry: Registry, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["build", "--quiet"])
    words = ["image", "push", f"{registry.address}/serve:1.0", "--image", "serve", "--json"]
    registry.fail("HEAD", "manifests/1.0", Fault(stall=True))
    child = subprocess.Popen([sys.executable, "-m", "lockstitch", *words], stdout=subprocess.PIPE)
    assert registry.stalled.acquire(timeout=20)
    child.kill()
    child.communicate()
    registry.free.set()
    assert registry.manifests == {}
    (found,) = answer(capsys, *words)
    assert found["sent"]["blobs"] == 0
    assert registry.holes() == []
