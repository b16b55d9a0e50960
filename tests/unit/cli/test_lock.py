"""`lockstitch lock`, and `--check` without a network."""

import json
import shutil
from pathlib import Path

import pytest
from support import projects
from support.world import World, running

from lockstitch.cli.main import main


@pytest.mark.slow
def test_a_check_needs_no_network(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    uv_cache: Path,
) -> None:
    root = projects.write(tmp_path / "tiny")
    with running(tmp_path / "world") as world:
        world.enter(monkeypatch)
        assert main(["lock", "--quiet", "--project", str(root)]) == 0
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "empty"))  # nor anything that uv kept
    monkeypatch.setenv("LOCKSTITCH_CACHE", str(tmp_path / "none"))
    capsys.readouterr()
    assert main(["lock", "--check", "--project", str(root)]) == 0
    assert capsys.readouterr() == ("", "the locks fit\n")
    projects.replace(root, "gamma>=2", "gamma>=1")
    assert main(["lock", "--check", "--project", str(root)]) == 1
    assert capsys.readouterr().err == (
        "error: the lock is stale: pyproject.toml has changed since it was made\n"
        "hint: lockstitch lock\n"
    )


def test_a_check_writes_nothing(locked: Path) -> None:
    projects.replace(locked, "gamma>=2", "gamma>=1")
    before = {path: path.stat().st_mtime_ns for path in locked.rglob("*")}
    assert main(["lock", "--check"]) == 1
    assert {path: path.stat().st_mtime_ns for path in locked.rglob("*")} == before


def test_a_check_in_json(locked: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["lock", "--check", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"stale": []}
    (locked / "uv.lock").unlink()
    assert main(["lock", "--check", "--json"]) == 1
    out, err = capsys.readouterr()
    assert json.loads(out) == {"stale": ["`uv.lock` is missing"]}
    assert err == ""


@pytest.mark.slow
def test_the_locks_that_changed_in_json(
    online: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = projects.write(tmp_path / "tiny")
    assert main(["lock", "--json", "--project", str(root)]) == 0
    out, err = capsys.readouterr()
    assert sorted(json.loads(out)["changed"]) == sorted(
        [
            *("uv.lock", "requirements-lock.txt", "lockstitch.lock"),
            *("pylock.serve.toml", "pylock.train.toml"),
        ]
    )
    assert err == ""
    assert main(["lock", "--json", "--project", str(root)]) == 0
    assert json.loads(capsys.readouterr().out) == {"changed": [], "moved": []}


def test_locks_of_uv_alone_fit_too(locked: Path) -> None:
    """A project that uv locked first gets lockstitch's files beside it."""
    kept = (locked / "uv.lock").read_bytes()
    for name in ("lockstitch.lock", "requirements-lock.txt", "pylock.serve.toml"):
        (locked / name).unlink()
    assert main(["lock", "--quiet"]) == 0
    assert (locked / "uv.lock").read_bytes() == kept
    assert main(["lock", "--check"]) == 0


def test_pins_that_cannot_be_kept_are_said(
    locked: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    projects.replace(locked, "version = 1\n", "<<<<<<< ours\nversion = 1\n", "lockstitch.lock")
    assert main(["lock", "--quiet"]) == 0
    assert "`lockstitch.lock` cannot be read" in capsys.readouterr().err


def test_a_locked_project_is_the_same_anywhere(
    locked: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(locked, tmp_path / "deeper" / "down" / "tiny")
    assert main(["lock", "--check", "--project", str(tmp_path / "deeper" / "down" / "tiny")]) == 0
