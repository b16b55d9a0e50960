"""`lockstitch pack`, and `lockstitch build --from` on a machine that has nothing and no network."""

import json
import shutil
import tarfile
from pathlib import Path

import pytest
from support.world import World

from lockstitch.cli.main import main
from lockstitch.oci.layout import Layout


@pytest.fixture
def packed(locked: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, str]:
    """A bundle, the digest of `serve`, and from here on another store, uv cache and no network."""
    bundle = tmp_path / "bundle.tar"
    assert main(["build", "-q"]) == 0
    assert main(["pack", "-q", "--without-tool", "--output", str(bundle)]) == 0
    digest = str(Layout(locked / ".lockstitch" / "images").manifest_digest("serve"))
    shutil.rmtree(locked / ".lockstitch")
    monkeypatch.setenv("LOCKSTITCH_CACHE", str(tmp_path / "elsewhere"))
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv"))
    return bundle, digest


@pytest.mark.slow
def test_a_bundle_gives_the_same_digest_without_a_network(
    locked: Path, online: World, packed: tuple[Path, str], capsys: pytest.CaptureFixture[str]
) -> None:
    bundle, digest = packed
    online.server.asked.clear()
    assert main(["build", "--from", str(bundle)]) == 0
    assert f"serve {digest}" in capsys.readouterr().out
    assert online.server.asked == []


@pytest.mark.slow
def test_the_same_lock_gives_the_same_bundle(locked: Path, tmp_path: Path) -> None:
    for name in ("one.tar", "two.tar"):
        assert main(["pack", "-q", "-o", str(tmp_path / name)]) == 0
    assert (tmp_path / "one.tar").read_bytes() == (tmp_path / "two.tar").read_bytes()
    with tarfile.open(tmp_path / "one.tar") as archive:
        names = archive.getnames()
        index = json.load(archive.extractfile("bundle.json"))  # type: ignore[arg-type] # it is a file
    tool = {each["digest"].replace("sha256:", "blobs/") for each in index["tool"]["files"]}
    assert names[:2] == ["bundle.json", "install.py"]
    for own in (True, False):  # builds' files first
        part = [name for name in names[2:] if (name in tool) is own]
        assert part == sorted(part)
    assert {"lockstitch", "uv", "urllib3"} <= {
        each["name"].partition("-")[0] for each in index["tool"]["files"]
    }
    assert index["images"] == ["serve", "train"]
    assert {each["name"] for each in index["files"] if each["name"].startswith("tinybuild")}


@pytest.mark.slow
def test_a_later_bundle_brings_only_what_is_new(
    locked: Path, packed: tuple[Path, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle, digest = packed
    assert main(["build", "-q", "--from", str(bundle)]) == 0
    later = tmp_path / "later.tar"
    words = [
        "pack",
        "serve",
        "-o",
        str(later),
        "--without-tool",
        "--without",
        str(bundle),
        "--json",
    ]
    capsys.readouterr()
    assert main(words) == 0
    written = json.loads(capsys.readouterr().out)
    assert (written["inside"], written["images"]) == (0, ["serve"])
    assert later.stat().st_size < bundle.stat().st_size / 2
    assert main(["build", "serve", "--from", str(later)]) == 0
    assert f"serve {digest}" in capsys.readouterr().out


@pytest.mark.slow
def test_what_an_earlier_bundle_should_have_brought_is_named(
    locked: Path,
    packed: tuple[Path, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    bundle, _ = packed
    assert main(["build", "-q", "--from", str(bundle)]) == 0
    later = tmp_path / "later.tar"
    assert main(["pack", "-q", "-o", str(later), "--without-tool", "--without", str(bundle)]) == 0
    monkeypatch.setenv("LOCKSTITCH_CACHE", str(tmp_path / "third"))
    assert main(["build", "--from", str(later)]) == 1
    assert "came with an earlier bundle, and the store lacks it" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("what", ["flipped", "short", "none", "other"])
def test_a_damaged_bundle_is_refused(
    locked: Path,
    packed: tuple[Path, str],
    tmp_path: Path,
    what: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    bundle, _ = packed
    data = bytearray(bundle.read_bytes())
    if what == "flipped":
        data[len(data) // 2] ^= 1
    elif what == "short":
        del data[len(data) // 2 :]
    elif what == "none":
        data = bytearray(b"no tar at all\n" * 100)
    wrong = tmp_path / "wrong.tar"
    wrong.write_bytes(data)
    if what == "other":
        with tarfile.open(wrong, "w") as archive:
            archive.add(locked / "pyproject.toml", "pyproject.toml")
    assert main(["build", "--from", str(wrong)]) == 1
    err = capsys.readouterr().err
    assert "is no whole bundle: " in err
    assert "Traceback" not in err


@pytest.mark.slow
def test_a_bundle_of_another_lock_is_refused(
    locked: Path, packed: tuple[Path, str], capsys: pytest.CaptureFixture[str]
) -> None:
    bundle, _ = packed
    lock = locked / "lockstitch.lock"
    lock.write_text(lock.read_text() + "\n# another\n")
    assert main(["build", "--from", str(bundle)]) == 1
    assert "is of the lockstitch.lock sha256:" in capsys.readouterr().err


def test_a_bundle_that_is_not_there_is_said(
    locked: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["build", "--from", "none.tar"]) == 1
    assert "there is no bundle `none.tar`" in capsys.readouterr().err
