"""`lockstitch build --cache`: what a clean machine neither downloads nor makes."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from support.registry import Fault, Registry, digest_of, run
from support.world import World

from lockstitch.cli.main import main
from lockstitch.digest import Digest
from lockstitch.oci.layout import Layout

pytestmark = pytest.mark.slow


def built(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[dict[str, Any], str]:
    capsys.readouterr()
    assert main(["build", "serve", "--json", *words]) == 0
    out, err = capsys.readouterr()
    (found,) = json.loads(out)
    return found, err


def clean(monkeypatch: pytest.MonkeyPatch, project: Path, name: str) -> None:
    """Go on as on a machine that has the project and nothing else."""
    monkeypatch.setenv("LOCKSTITCH_CACHE", str(project.parent / name))
    shutil.rmtree(project / ".lockstitch", ignore_errors=True)


def downloads(world: World) -> set[str]:
    names = {path.rpartition("/")[2] for path in world.server.paths()}
    return {name for name in names if name.endswith((".whl", ".deb"))}


def test_a_clean_machine_pushes_without_downloading_a_wheel(
    locked: Path,
    online: World,
    registry: Registry,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cache = f"{registry.address}/cache"
    first, err = built(capsys, "--cache", cache)
    assert err == ""
    assert registry.holes() == []
    assert len(registry.manifests["cache"]) == 2 * 5  # all but the app files, by tag and digest

    clean(monkeypatch, locked, "other")
    online.server.asked.clear()
    words = ["--cache", cache, "--push", f"{registry.address}/app:1"]
    second, err = built(capsys, *words)
    assert err == ""
    assert second["digest"] == first["digest"] == second["pushed"]["digest"]
    assert downloads(online) <= {"tinybuild-1.0-py3-none-any.whl"}  # which packs first-party code
    assert second["made"] == 1
    assert second["pushed"]["mounted"]["blobs"] == 5
    assert second["pushed"]["sent"]["blobs"] == 2  # the app files, and the config
    assert not (locked / ".lockstitch" / "images" / "index.json").exists()
    assert registry.holes() == []


def test_layers_of_a_cache_are_brought_where_bytes_are_wanted(
    locked: Path,
    online: World,
    registry: Registry,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first, _ = built(capsys, "--cache", f"{registry.address}/cache")
    clean(monkeypatch, locked, "other")
    online.server.asked.clear()
    second, _ = built(capsys, "--cache", f"{registry.address}/cache")
    assert second["digest"] == first["digest"]
    assert downloads(online) <= {"tinybuild-1.0-py3-none-any.whl"}
    layout = Layout(locked / ".lockstitch" / "images")
    for layer in layout.document(Digest(second["digest"]))["layers"]:
        path = layout.path(Digest(layer["digest"]))
        assert digest_of(path.read_bytes()) == layer["digest"]
    # What a cache says is forgotten: without it, the machine makes all but its own app files.
    clean(monkeypatch, locked, "other")
    third, _ = built(capsys)
    assert (third["digest"], third["made"]) == (first["digest"], 5)


def test_a_cache_in_another_registry_is_read_on_the_way(
    locked: Path,
    registry: Registry,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    built(capsys, "--cache", f"{registry.address}/cache")
    clean(monkeypatch, locked, "other")
    with run() as target:
        words = ["--cache", f"{registry.address}/cache", "--push", f"{target.address}/app:1"]
        found, _ = built(capsys, *words)
        assert (found["pushed"]["mounted"]["blobs"], found["pushed"]["sent"]["blobs"]) == (0, 7)
        assert target.holes() == []


@pytest.mark.parametrize(
    ("method", "note"), [("POST", "was not written: "), ("GET", "cannot be read: ")]
)
def test_a_cache_that_refuses_stops_no_build(
    locked: Path, registry: Registry, capsys: pytest.CaptureFixture[str], method: str, note: str
) -> None:
    registry.fail(method, "/v2/cache/", *[Fault(status=403)] * 99)
    found, err = built(capsys, "--cache", f"{registry.address}/cache")
    assert found["made"] == 6
    assert err.count("warning: ") == 1
    assert f"the cache `{registry.address}/cache` {note}" in err


def test_wrong_bytes_in_a_cache_stop_a_build(
    locked: Path,
    registry: Registry,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    built(capsys, "--cache", f"{registry.address}/cache")
    blobs = registry.blobs["cache"]
    for digest, data in blobs.items():
        if data.startswith(b"\x1f\x8b"):
            blobs[digest] = data[:-1] + b"!"
    clean(monkeypatch, locked, "other")
    for words in ([], ["--push", f"{registry.address}/app:1"]):
        registry.has_mount = False  # so that bytes travel
        assert main(["build", "serve", "--cache", f"{registry.address}/cache", *words]) == 1
        err = capsys.readouterr().err
        assert f"of the cache `{registry.address}/cache` does not inflate" in err
        assert "hint: lockstitch build, without --cache" in err
    assert "app" not in registry.manifests


def test_a_cache_that_disagrees_with_this_machine_is_said_and_left(
    locked: Path, registry: Registry, capsys: pytest.CaptureFixture[str]
) -> None:
    first, _ = built(capsys, "--cache", f"{registry.address}/cache")
    held = registry.manifests["cache"]
    swap(registry, held)
    second, err = built(capsys, "--cache", f"{registry.address}/cache")
    assert second["digest"] == first["digest"]
    assert "than this machine made: it is left alone" in err


def swap(registry: Registry, held: dict[str, tuple[str, bytes]]) -> None:
    """Let one key name what another one does, in a record that is right in itself."""
    one, other = sorted(tag for tag in held if tag.startswith("layer-"))[:2]
    document = json.loads(held[other][1])
    document["annotations"]["dev.lockstitch.layer.key"] = one.removeprefix("layer-")
    held[one] = (held[other][0], json.dumps(document).encode())


@pytest.mark.parametrize("reference", ["{0}/c:1", "{0}/C", "https://{0}/c"])
def test_a_cache_is_a_repository(
    locked: Path, registry: Registry, capsys: pytest.CaptureFixture[str], reference: str
) -> None:
    code = main(["build", "--cache", reference.format(registry.address)])
    assert code in {1, 2}
    assert registry.seen == []
    assert "error: `" in capsys.readouterr().err
