"""Runs real programs, and writes small ones that stand in for them."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

__all__ = ["UV", "git", "lockstitch", "run", "stand_in", "venv", "wait", "without"]

UV = Path(sys.executable).with_name("uv")


def run(
    *words: str | Path,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    stdin: str | None = None,
    code: int = 0,
) -> str:
    """Run a program and return what it printed; with another exit code than 0, stderr too."""
    done = subprocess.run(
        words, cwd=cwd, env=env, input=stdin, capture_output=True, text=True, check=False
    )
    said = done.stdout + done.stderr
    assert done.returncode == code, f"{words[0]} exits {done.returncode}:\n{said}"
    return done.stdout + (done.stderr if code else "")


def lockstitch(
    *words: str | Path, cwd: Path | None = None, env: Mapping[str, str] | None = None, code: int = 0
) -> str:
    """Run lockstitch in a process of its own, as `run` does."""
    return run(sys.executable, "-m", "lockstitch", *words, cwd=cwd, env=env, code=code)


def git(folder: Path, *words: str | Path) -> str:
    """Run git in a folder and return what it printed, without the line's end."""
    return run("git", *words, cwd=folder).strip()


def venv(folder: Path, *packages: str) -> Path:
    """Make an environment with packages of the real index, and return its Python."""
    python = folder / "bin" / "python"
    run(UV, "venv", "--quiet", "--python", sys.executable, folder)
    if packages:
        words = ("pip", "install", "--quiet", "--only-binary", ":all:", "--python", python)
        run(UV, *words, *packages)
    return python


def without(*dropped: str, **more: str) -> dict[str, str]:
    """Return this process's variables without some of them, and with others."""
    return {name: value for name, value in os.environ.items() if name not in dropped} | more


def stand_in(path: Path, text: str) -> Path:
    """Write a script that stands in for a program; one of sh when it has no line with `#!`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text if text.startswith("#!") else f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def wait(condition: Callable[[], object], seconds: float = 20) -> None:
    """Wait until a condition holds; fail the test when it does not in time."""
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, f"not so after {seconds} s"
        time.sleep(0.02)
