"""An image's command runs in exactly the locked environment, once or at every change."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support import projects
from support.programs import UV, stand_in, wait

from lockstitch.cli.main import main
from lockstitch.dockerfile import engines
from lockstitch.errors import LockstitchError

SAY = """\
import importlib.util, os, sys
print([n for n in ("alpha", "beta", "gamma", "tiny") if importlib.util.find_spec(n)], flush=True)
print(os.getcwd() == os.environ["HERE"], os.environ.get("MODE"), sys.argv[1:], flush=True)
sys.exit(int(os.environ.get("CODE", "0")))
"""
# A PATH of the image's own comes after the environment's programs.
ENV = '[tool.lockstitch.images.serve]\nenv = { MODE = "on", PATH = "/usr/bin:/bin" }\n'


@pytest.fixture
def root(locked: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (locked / "app" / "main.py").write_text(SAY)
    projects.replace(locked, "[tool.lockstitch.images.serve]\n", ENV)
    monkeypatch.setenv("HERE", str(locked))
    return locked


@pytest.mark.slow
def test_the_environment_is_the_images_alone(root: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "serve", "--quiet", "--", "-x", "two words"]) == 0
    out = capfd.readouterr().out.splitlines()
    assert out == ["['alpha', 'gamma', 'tiny']", "True on ['-x', 'two words']"]
    assert not (root / ".venv").exists()
    # What somebody installed by hand is gone the next time.
    packages = next((root / ".lockstitch" / "envs" / "serve").glob("lib/python3*/site-packages"))
    done = subprocess.run(["cp", "-r", f"{packages}/gamma", f"{packages}/beta"], check=True)
    assert done.returncode == 0
    (packages / "gamma" / "__init__.py").unlink()
    assert main(["run", "serve"]) == 0


@pytest.mark.slow
def test_sources_are_live_and_the_exit_code_is_the_programs(
    root: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CODE", "7")
    assert main(["run", "serve", "--quiet"]) == 7
    (root / "app" / "main.py").write_text("import os; os.kill(os.getpid(), 15)\n")
    assert main(["run", "serve", "--quiet"]) == 128 + signal.SIGTERM
    (root / "src" / "tiny" / "__main__.py").write_text("print('new words')\n")
    assert main(["run", "train", "--quiet"]) == 0
    assert "new words" in capfd.readouterr().out


def test_what_cannot_be_run(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "nothing"]) == 2
    assert "`nothing` is not an image of this project" in capsys.readouterr().err
    projects.replace(root, 'command = ["python", "app/main.py"]', 'command = ["gunicorn"]')
    assert main(["run", "serve", "--quiet"]) == 1
    assert "`gunicorn`, the command of `serve`, is in no locked package" in capsys.readouterr().err
    projects.replace(root, 'command = ["gunicorn"]', "command = []")
    assert main(["run", "serve", "--quiet"]) == 1
    assert "`tool.lockstitch.images.serve` has no command" in capsys.readouterr().err
    projects.replace(root, '"alpha>=1"', '"alpha>=1", "delta"')
    assert main(["run", "serve", "--quiet"]) == 1
    assert "the lock is stale" in capsys.readouterr().err


def test_serve_takes_the_image_with_a_port(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    projects.replace(root, 'port = 8000\nhealth = "/health"\n', "")
    assert main(["serve", "--quiet"]) == 2
    assert "one image must have a `port`" in capsys.readouterr().err


def test_no_engine_here(
    root: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("LOCKSTITCH_UV", str(UV))
    monkeypatch.setenv("PATH", str(tmp_path))
    assert main(["run", "serve", "--in-image", "--quiet"]) == 1
    said = capsys.readouterr().err
    assert "`docker` is not installed; `podman` is not installed" in said
    assert "hint: leave out --in-image" in said
    stand_in(tmp_path / "docker", "echo 'the daemon is away' >&2\nexit 1")
    with pytest.raises(LockstitchError, match="`docker` does not answer: the daemon is away"):
        engines.find()


LOOP = """\
import os, signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: (print("ends", flush=True), sys.exit(0)))
print("starts VERSION", flush=True)
time.sleep(60)
"""


@contextmanager
def watching(root: Path, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "lockstitch", "serve"]
    with log.open("wb") as output:
        running = subprocess.Popen(command, cwd=root, stdout=output, stderr=output)
    try:
        yield running
    finally:
        running.kill()
        running.wait()


@pytest.mark.slow
def test_a_change_starts_it_again(root: Path, tmp_path: Path) -> None:
    program, log = root / "app" / "main.py", tmp_path / "log"
    program.write_text(LOOP.replace("VERSION", "one"))
    with watching(root, log) as running:
        wait(lambda: "starts one" in log.read_text(), about=log.read_text)
        program.write_text("raise SystemExit(3)")
        wait(
            lambda: "changed: app/main.py; `serve` starts again" in log.read_text(),
            about=log.read_text,
        )
        wait(
            lambda: "`serve` ended with exit code 3; waiting for a change" in log.read_text(),
            about=log.read_text,
        )
        program.write_text(LOOP.replace("VERSION", "two"))
        wait(lambda: "starts two" in log.read_text(), about=log.read_text)
        (root / "notes.txt").write_text("not of the image")
        os.kill(running.pid, signal.SIGTERM)
        assert running.wait(20) == 0
    lines = [line for line in log.read_text().splitlines() if line in {"ends", "starts two"}]
    assert lines == ["ends", "starts two", "ends"]


def test_words_after_the_name_are_the_program_s(
    locked: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    seen: list[tuple[str, ...]] = []

    def execute(session: object, spec: object, arguments: tuple[str, ...], options: object) -> int:
        seen.append(arguments)
        return 0

    monkeypatch.setattr("lockstitch.cli.commands.run.execute", execute)
    assert main(["run", "--project", str(locked), "train", "--quiet", "--out", "x", "--quiet"]) == 0
    assert main(["run", "train", "--no-record", "--", "--quiet"]) == 0
    assert main(["run", "train", "a", "--", "b"]) == 0
    assert seen == [("--out", "x", "--quiet"), ("--quiet",), ("a", "--", "b")]
    with pytest.raises(SystemExit, match="2"):
        main(["run", "--quite", "train"])
    assert "--quite" in capsys.readouterr().err
