"""A build that is stopped, or finds the disk full, goes on where it was."""

import contextlib
import gc
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support import projects
from support.server import Reply
from support.world import World

from lockstitch.cli.main import main
from lockstitch.store import Store, default_root

pytestmark = pytest.mark.slow


def start(root: Path, *words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "lockstitch", *words, "--project", str(root)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=dict(os.environ),
        start_new_session=True,
    )


def digests(capsys: pytest.CaptureFixture[str], root: Path, *words: str) -> dict[str, str]:
    capsys.readouterr()
    assert main(["build", "--json", "--project", str(root), *words]) == 0
    return {load["name"]: load["digest"] for load in json.loads(capsys.readouterr().out)}


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGKILL, -signal.SIGKILL)]
)
def test_a_download_that_is_stopped(
    number: signal.Signals,
    code: int,
    world: World,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    root = projects.write(tmp_path / "tiny")
    assert main(["lock", "--quiet", "--project", str(root)]) == 0
    good = world.index.files["gamma-2.0-py3-none-any.whl"]
    world.server.on(good.path, Reply(body=good.data, stall_at=100), Reply(body=good.data))

    child = start(root, "build")
    assert world.server.stalled.acquire(timeout=20)
    child.send_signal(number)
    try:
        out, err = child.communicate(timeout=5)
    finally:
        child.kill()
    assert (child.returncode, out) == (code, "")
    if number == signal.SIGINT:
        assert err.endswith(
            "error: stopped; what was finished is kept\nhint: run the same command again to go on\n"
        )
    assert not (root / ".lockstitch" / "images" / "index.json").exists()

    world.server.free.set()
    found = digests(capsys, root)
    monkeypatch.setenv("LOCKSTITCH_CACHE", str(tmp_path / "undisturbed"))
    assert digests(capsys, root, "--layout", str(tmp_path / "images")) == found


def test_layers_that_are_stopped(
    locked: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    found = digests(capsys, locked, "--layout", str(tmp_path / "images"))
    for patience in (0.15, 0.05, 0):  # the workers are starting, or at work
        monkeypatch.setenv("LOCKSTITCH_CACHE", str(tmp_path / f"store-{patience}"))
        with monkeypatch.context() as patch:
            patch.setenv("LOCKSTITCH_JOBS", "2")  # workers, each a process
            child = start(locked, "build")
        assert child.stderr is not None
        assert child.stderr.readline().startswith("* fetch ")
        time.sleep(patience)
        os.killpg(child.pid, signal.SIGINT)  # as a terminal does it: to all of them
        _, err = child.communicate(timeout=10)
        if child.returncode != 0:  # else it was done before, on a machine that let us wait
            break
    assert child.returncode == 130
    assert "Traceback" not in err
    assert gone(child.pid)
    assert digests(capsys, locked) == found


def gone(group: int) -> bool:
    """Return whether every process of a group ends within a moment."""
    for _ in range(100):
        if not living(group):
            return True
        time.sleep(0.02)
    return False


def living(group: int) -> list[str]:
    """Return the processes of a group that have not ended: init takes its time to bury them."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it ended just now
            state, _, of = stat.read_text().rpartition(") ")[2].split()[:3]
            found += [stat.parent.name] if int(of) == group and state not in "ZX" else []
    return found


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[Path]:
    """Mount a file system of its own; needs root."""
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder], check=True)
    try:
        yield folder
    finally:
        gc.collect()  # a mapped file keeps the disk busy
        subprocess.run(["umount", folder], check=True)


@pytest.fixture
def large(locked: Path) -> Path:
    """Return a locked project with two megabytes that do not compress."""
    noise = b"".join(os.urandom(1 << 16) for _ in range(32))
    (locked / "app" / "noise.bin").write_bytes(noise)
    return locked


def full(capsys: pytest.CaptureFixture[str], *words: str) -> None:
    capsys.readouterr()
    assert main(["build", "--quiet", *words]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("error: no space left on the disk") == err.count("hint: free some space") == 1
    assert len(err.splitlines()) == 2


@pytest.mark.peers
@pytest.mark.parametrize(("jobs", "size"), [("1", 1500), ("2", 1300), ("2", 1500), ("2", 1900)])
def test_a_full_disk_under_the_store(
    jobs: str,
    size: int,
    large: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("LOCKSTITCH_JOBS", jobs)
    found = digests(capsys, large, "--layout", str(tmp_path / "images"))
    with small_disk(tmp_path / "disk", f"{size}k") as disk:
        monkeypatch.setenv("LOCKSTITCH_CACHE", str(disk / "store"))
        full(capsys)
        store = Store(default_root())
        assert not [*(store.root / "tmp").iterdir()]
        assert not (large / ".lockstitch" / "images" / "index.json").exists()
        subprocess.run(["mount", "-o", "remount,size=50m", disk], check=True)
        assert digests(capsys, large) == found


@pytest.mark.peers
def test_a_full_disk_under_the_project(
    large: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = digests(capsys, large, "--layout", str(tmp_path / "images"))
    with small_disk(tmp_path / "disk", "1500k") as disk:
        full(capsys, "--layout", str(disk / "images"))
        assert not [*disk.rglob("*.lockstitch-tmp")]
        assert not (disk / "images" / "index.json").exists()
        subprocess.run(["mount", "-o", "remount,size=50m", disk], check=True)
        assert digests(capsys, large, "--layout", str(disk / "images")) == found


@pytest.mark.peers
def test_a_disk_that_is_read_only(
    locked: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with small_disk(tmp_path / "disk", "50m") as disk:
        subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
        for words in (["build", "--layout", str(disk / "images")], ["new", str(disk / "churn")]):
            capsys.readouterr()
            assert main(words) == 1
            assert "error: " in capsys.readouterr().err
        monkeypatch.setenv("LOCKSTITCH_CACHE", str(disk / "store"))
        assert main(["build"]) == 1
        assert "hint: set LOCKSTITCH_CACHE to a folder of yours" in capsys.readouterr().err
