"""Runs real programs, and writes small ones that stand in for them."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

__all__ = [
    "LOCKSTITCH",
    "UV",
    "git",
    "index_url",
    "lockstitch",
    "run",
    "stand_in",
    "venv",
    "wait",
    "without",
]

UV = Path(sys.executable).with_name("uv")
LOCKSTITCH = UV.with_name("lockstitch")


def run(
    *words: str | Path,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    stdin: str | None = None,
    code: int = 0,
    stderr: bool = False,
) -> str:
    """Run a program and return what it wrote to stdout, or to both; another exit code fails."""
    done = subprocess.run(
        words, cwd=cwd, env=env, input=stdin, capture_output=True, text=True, check=False
    )
    said = done.stdout + done.stderr
    assert done.returncode == code, f"{words[0]} exits {done.returncode}:\n{said}"
    return said if stderr else done.stdout


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


def index_url(folder: Path) -> str:
    """Return the address of uv's index. A mirror may not answer all that Poetry asks an index.

    As a source of its own, Poetry asks it by its pages, which each index has.
    """
    words = ("pip", "compile", "-", "--no-deps", "--no-header", "--quiet", "--emit-index-url")
    text = run(UV, *words, cwd=folder, stdin="idna")
    match = re.search(r"^--(?:default-)?index-url (\S+)$", text, re.MULTILINE)
    assert match, text
    return match[1]


def without(*dropped: str, **more: str) -> dict[str, str]:
    """Return this process's variables without some of them, and with others."""
    return {name: value for name, value in os.environ.items() if name not in dropped} | more


def stand_in(path: Path, text: str) -> Path:
    """Write a script that stands in for a program; one of sh when it has no line with `#!`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text if text.startswith("#!") else f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def wait(
    condition: Callable[[], object], seconds: float = 20, about: Callable[[], object] = str
) -> None:
    """Wait until a condition holds; fail the test with what is known when it does not in time."""
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, about()
        time.sleep(0.02)
