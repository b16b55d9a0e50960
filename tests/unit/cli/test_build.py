"""`lockstitch build` and `lockstitch image inspect`, end to end on a tiny project."""

import json
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest
from support import projects
from support.world import World

from lockstitch.cli.main import main
from lockstitch.digest import Digest, of_bytes
from lockstitch.oci.layout import Layout


def answer(capsys: pytest.CaptureFixture[str], *words: str) -> object:
    capsys.readouterr()
    assert main([*words, "--json"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    return json.loads(out)


def built(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, dict[str, object]]:
    found = answer(capsys, "build", *words)
    assert isinstance(found, list)
    return {each["name"]: each for each in found}


def files_of(layout: Layout, name: str) -> dict[str, tarfile.TarInfo]:
    found = {}
    for layer in layout.document(layout.manifest_digest(name))["layers"]:
        with tarfile.open(layout.path(Digest.parse(layer["digest"])), "r:gz") as archive:
            found |= {member.name: member for member in archive}
    return found


@pytest.mark.slow
def test_a_build_answers_in_json(locked: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = built(capsys)
    assert list(found) == ["serve", "train"]
    serve = found["serve"]
    assert sorted(serve) == [
        *("accelerator", "compressed", "config", "digest", "fresh", "layers", "made", "name"),
        *("notes", "plan", "platform", "unpacked"),
    ]
    assert (serve["platform"], serve["layers"], serve["made"]) == ("linux/amd64", 6, 6)
    assert (serve["fresh"], serve["notes"], serve["accelerator"]) == (True, [], None)
    layout = Layout(locked / ".lockstitch" / "images")
    assert layout.manifest_digest("serve") == serve["digest"]


@pytest.mark.slow
def test_a_second_build_makes_nothing_and_uses_no_network(
    locked: Path, online: World, capsys: pytest.CaptureFixture[str]
) -> None:
    first = built(capsys)
    online.server.asked.clear()
    second = built(capsys)
    assert online.server.asked == []
    assert [each["digest"] for each in second.values()] == [e["digest"] for e in first.values()]
    assert all((each["made"], each["fresh"]) == (0, False) for each in second.values())


@pytest.mark.slow
def test_the_image_holds_what_was_asked_for(
    locked: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    built(capsys)
    layout = Layout(locked / ".lockstitch" / "images")
    serve, train = files_of(layout, "serve"), files_of(layout, "train")
    site = "app/.venv/lib/python3.11/site-packages"
    for found in (serve, train):
        assert {f"{site}/alpha/__init__.py", f"{site}/epsilon/__init__.py"} <= set(found)
        assert {f"{site}/tiny/__main__.py", "app/.venv/bin/alpha", "app/main.py"} & set(found)
    assert f"{site}/gamma/__init__.py" in serve
    assert f"{site}/gamma/__init__.py" not in train
    assert {f"{site}/beta/__init__.py", f"{site}/delta.py", "app/data/rows.csv"} <= set(train)
    assert f"{site}/beta/__init__.py" not in serve
    assert {"app/app/main.py", "app/app/static/page.html"} <= set(serve)
    assert "app/app/static/page.html" not in train
    assert train["app/models"].mode == 0o1777
    assert {"etc/services", "usr/bin/python3.11", "usr/lib/python3.11/json.py"} <= set(serve)
    # Nothing of the build: neither its backend, nor a package manager, nor our own state.
    names = " ".join(serve)
    assert not [
        name for name in ("tinybuild", "uv.lock", "pyproject", "lockstitch.lock") if name in names
    ]
    assert all((m.uid, m.gid, m.mtime) == (0, 0, 315619200) for m in serve.values())


@pytest.mark.slow
def test_the_config_is_what_the_table_says(
    locked: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    projects.replace(
        locked, "port = 8000\n", 'port = 8000\nenv = {A = "1"}\nlabels = {"test.a" = "b"}\n'
    )
    built(capsys)
    found = answer(capsys, "image", "inspect", "serve")
    assert isinstance(found, dict)
    assert sorted(found) == ["config", "digest", "layers", "name", "packages"]
    config = found["config"]["config"]
    assert config["Cmd"] == ["python", "app/main.py"]
    assert config["User"] == "65532:65532"
    assert config["WorkingDir"] == "/app"
    assert config["ExposedPorts"] == {"8000/tcp": {}}
    assert "A=1" in config["Env"]
    assert config["Labels"]["test.a"] == "b"
    lock = of_bytes((locked / "pylock.serve.toml").read_bytes())
    assert config["Labels"]["dev.lockstitch.lock"] == lock
    assert config["Healthcheck"]["Test"][-2:] == ["8000", "/health"]


@pytest.mark.slow
def test_the_time_is_that_of_the_newest_part_or_the_one_asked_for(
    locked: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def created() -> str:
        found = built(capsys, "serve")["serve"]["digest"]
        layout = Layout(locked / ".lockstitch" / "images")
        manifest = layout.document(Digest.parse(str(found)))
        return str(layout.document(Digest.parse(manifest["config"]["digest"]))["created"])

    assert created() == "2026-07-12T10:16:37Z"
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "0")
    assert created() == "1970-01-01T00:00:00Z"


@pytest.mark.slow
def test_one_image_can_be_built_alone(locked: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert list(built(capsys, "train")) == ["train"]
    layout = Layout(locked / ".lockstitch" / "images")
    assert layout.names() == ["train"]
    both = built(capsys)
    assert layout.names() == ["serve", "train"]
    assert both["train"]["fresh"] is False


@pytest.mark.slow
def test_images_may_stand_elsewhere(
    locked: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    digest = built(capsys, "serve", "--layout", str(tmp_path / "images"))["serve"]["digest"]
    assert not (locked / ".lockstitch").exists()
    found = answer(capsys, "image", "inspect", "serve", "--layout", str(tmp_path / "images"))
    assert isinstance(found, dict)
    assert found["digest"] == digest


@pytest.mark.slow
def test_an_archive_is_the_same_bytes_each_time(
    locked: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("one.tar", "two.tar"):
        built(capsys, "serve", "--output", str(tmp_path / name))
    assert (tmp_path / "one.tar").read_bytes() == (tmp_path / "two.tar").read_bytes()
    built(capsys, "serve", "--output", str(tmp_path / "three.tar"), "--tag", "a/b:c")
    tags = []
    for name in ("one.tar", "three.tar"):
        with tarfile.open(tmp_path / name) as archive:
            manifest = archive.extractfile("manifest.json")
            assert manifest
            tags += json.load(manifest)[0]["RepoTags"]
    assert tags == ["tiny-serve:latest", "a/b:c"]


@pytest.mark.slow
def test_a_change_of_first_party_code_changes_one_layer(
    locked: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = built(capsys, "serve")["serve"]
    (locked / "src/tiny/__init__.py").write_text("x = 1\n")
    second = built(capsys, "serve")["serve"]
    assert (second["made"], second["digest"] != first["digest"]) == (1, True)
    (locked / "src/tiny/__init__.py").write_text("")
    third = built(capsys, "serve")["serve"]
    assert (third["made"], third["digest"]) == (0, first["digest"])


@pytest.mark.slow
def test_a_layout_that_was_removed_is_made_again_from_the_store(
    locked: Path, online: World, capsys: pytest.CaptureFixture[str]
) -> None:
    first = built(capsys)
    (locked / ".lockstitch").rename(locked.parent / "away")
    online.server.asked.clear()
    second = built(capsys)
    assert online.server.asked == []
    assert second["serve"]["digest"] == first["serve"]["digest"]
    assert (second["serve"]["made"], second["serve"]["fresh"]) == (0, True)


@pytest.mark.slow
def test_another_form_of_layers_holds_the_same(
    locked: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = built(capsys, "serve")["serve"]
    words = ("--compression", "gzip-single", "--layout", str(tmp_path / "images"))
    second = built(capsys, "serve", *words)["serve"]
    assert second["digest"] != first["digest"]
    assert (second["config"], second["unpacked"]) == (first["config"], first["unpacked"])
    assert built(capsys, "serve", *words)["serve"]["fresh"] is False


@pytest.mark.slow
def test_a_lazy_image_is_inspected_verified_and_compared_as_another(
    locked: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = built(capsys, "serve")["serve"]
    assert main(["image", "inspect", "serve", "--json"]) == 0
    plain = json.loads(capsys.readouterr().out)
    text = (locked / "pyproject.toml").read_text()
    table = "[tool.lockstitch.images.serve]\n"
    assert table in text
    (locked / "pyproject.toml").write_text(text.replace(table, f"{table}lazy = true\n"))
    lazy = built(capsys, "serve")["serve"]
    assert lazy["digest"] != first["digest"]
    assert lazy["unpacked"] == first["unpacked"]
    assert main(["image", "inspect", "serve", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["packages"] == plain["packages"]
    assert {layer["lazy"] for layer in plain["layers"]} == {False}
    assert {layer["lazy"] for layer in shown["layers"]} == {True}
    assert main(["image", "inspect", "serve"]) == 0
    count = len(shown["layers"])
    assert f"\nlazy      {count} of {count} layers\n" in capsys.readouterr().out
    assert main(["image", "verify", "serve"]) == 0
    capsys.readouterr()
    words = ["build", "serve", "--compression", "gzip-single", "--quiet"]
    assert main(words) == 1
    assert capsys.readouterr().err == (
        "error: image `serve` has lazy = true, and its tables fit no layers that are compressed "
        "again (--compression gzip-single)\n"
        "hint: lockstitch build serve\n"
    )


@pytest.mark.slow
def test_a_form_that_needs_a_package_names_it(
    locked: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "zstandard", None)  # as if it were not installed
    assert main(["build", "serve", "--compression", "zstd", "--quiet"]) == 1
    assert capsys.readouterr().err == (
        "error: zstd layers need the package `zstandard`, which is not installed\n"
        "hint: pip install 'lockstitch[zstd]'\n"
    )


@pytest.mark.slow
def test_layers_that_no_image_needs_are_removed(
    locked: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def blobs(layout: Path) -> set[str]:
        return {path.name for path in (layout / "blobs" / "sha256").iterdir()}

    ours, theirs = locked / ".lockstitch" / "images", tmp_path / "images"
    built(capsys)
    built(capsys, "--layout", str(theirs))
    before = blobs(ours)
    assert before == blobs(theirs)
    (locked / "app" / "main.py").write_text("new = 1\n")
    built(capsys)
    built(capsys, "--layout", str(theirs))
    assert len(blobs(ours)) == len(before)
    assert before - blobs(ours)
    assert before < blobs(theirs)  # which may be somebody else's too


@pytest.mark.slow
def test_an_image_that_is_damaged_does_not_stop_another_one(
    locked: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    digest = str(built(capsys)["train"]["digest"])
    (locked / ".lockstitch" / "images" / "blobs" / "sha256" / digest[7:]).unlink()
    assert built(capsys, "serve")["serve"]["fresh"] is False
    assert built(capsys)["train"]["digest"] == digest


@pytest.mark.slow
def test_two_builds_at_once_lose_nothing(locked: Path, capsys: pytest.CaptureFixture[str]) -> None:
    images = ("serve", "train")
    both = [
        subprocess.Popen(
            [sys.executable, "-m", "lockstitch", "build", image],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for image in images
    ]
    outcomes = [(*child.communicate(timeout=30), child.returncode) for child in both]
    assert [code for _, _, code in outcomes] == [0, 0], outcomes
    found = built(capsys)
    assert [f"{name} {found[name]['digest']}\n" for name in images] == [
        out for out, _, _ in outcomes
    ]
    assert not any(each["made"] or each["fresh"] for each in found.values())


def test_a_platform_that_the_base_does_not_have_is_refused(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = projects.write(tmp_path / "tiny")
    old = 'python = "3.11"\n'
    projects.replace(root, old, f'{old}platforms = ["linux/arm64", "linux/amd64"]\n')
    assert main(["lock", "--project", str(root)]) == 1
    assert "`debian:bookworm` has no packages for `arm64`" in capsys.readouterr().err


@pytest.mark.slow
def test_inspect_shows_the_largest_packages_or_all(
    locked: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    built(capsys)
    capsys.readouterr()
    assert main(["image", "inspect", "serve", "--all"]) == 0
    everything = capsys.readouterr().out
    assert main(["image", "inspect", "serve"]) == 0
    shown = capsys.readouterr().out
    assert "alpha 1.0" in shown
    assert "… and" not in everything
    assert len(shown.splitlines()) <= len(everything.splitlines())


@pytest.mark.slow
def test_a_broken_layout_is_named(locked: Path, capsys: pytest.CaptureFixture[str]) -> None:
    digest = str(built(capsys, "serve")["serve"]["digest"])
    images = locked / ".lockstitch" / "images"
    manifest = images / "blobs" / "sha256" / digest[7:]
    index = images / "index.json"
    for path, text, message in (
        (index, "{", "is not an index of named images"),
        (index, '{"manifests": [{}]}', "is not an index of named images"),
        (index, "[]", "is not an index of named images"),
        (manifest, "x", f"a blob of `{images}` is sha256:"),
    ):
        good = path.read_bytes()
        path.write_text(text)
        assert main(["image", "inspect", "serve"]) == 1
        err = capsys.readouterr().err
        assert err.count("error: ") == err.count("hint: ") == 1
        assert message in err
        path.write_bytes(good)
    manifest.unlink()
    assert main(["image", "inspect", "serve"]) == 1
    assert "lacks the blob sha256:" in capsys.readouterr().err
    assert main(["build", "serve", "--quiet"]) == 0  # which writes it again
    assert main(["image", "inspect", "serve"]) == 0


@pytest.mark.slow
def test_the_base_alone_is_the_lower_part_of_every_image(
    locked: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["build", "--quiet", "--base-only", "--output"]
    assert main([*words, "base.tar"]) == 0
    assert main([*words, "again.tar"]) == 0
    assert (locked / "base.tar").read_bytes() == (locked / "again.tar").read_bytes()
    assert main(["build", "serve", "--quiet", "--output", "serve.tar"]) == 0
    base, serve = (_archived(locked / name) for name in ("base.tar", "serve.tar"))
    layers = base["rootfs"]["diff_ids"]
    assert layers == serve["rootfs"]["diff_ids"][: len(layers)]
    assert base["config"].keys() == {"Env", "Labels"}  # its user is root: stages build on it
    assert capsys.readouterr().out.splitlines()[0].startswith("tiny-base:latest sha256:")


def _archived(path: Path) -> Any:
    with tarfile.open(path) as archive:
        manifest = json.loads(archive.extractfile("manifest.json").read())
        return json.loads(archive.extractfile(manifest[0]["Config"]).read())


@pytest.mark.parametrize("words", [[], ["serve", "--output", "x.tar"]])
def test_the_base_alone_goes_to_one_archive(
    locked: Path, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["build", "--base-only", *words]) == 2
    assert capsys.readouterr().err == (
        "error: --base-only writes one archive, of no image\n"
        "hint: lockstitch build --base-only --output base.tar\n"
    )
