"""The completion scripts in the shells that read them, as somebody who presses Tab."""

import os
import pty
import re
import select
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
from support import programs

CASES = [
    ("lockstitch sta", {"stack"}),
    ("lockstitch image in", {"inspect"}),
    ("lockstitch image push --im", {"--image"}),
    ("lockstitch lock --up", {"--upgrade"}),
    ("lockstitch export py", {"pylock"}),
    ("lockstitch stack re", {"reset"}),
]
ESCAPE = re.compile(r"\x1b(?:\[[0-9;?]*[A-Za-z]|[=>]|\][^\x07]*\x07)")


def script(shell: str, folder: Path) -> Path:
    path = folder / f"lockstitch.{shell}"
    path.write_text(programs.lockstitch("self", "completion", shell, cwd=folder))
    return path


def typed(words: list[str], lines: list[str], folder: Path) -> str:
    """Return what a shell shows that runs on a terminal where these lines are typed."""
    child, terminal = pty.fork()
    if child == 0:  # pragma: no cover -- the shell's own process
        os.chdir(folder)
        os.execvpe(  # noqa: S606 -- a shell of the test
            words[0], words, {**os.environ, "TERM": "dumb", "PS1": "$ "}
        )
    shown = b""
    try:
        for line in lines:
            os.write(terminal, line.encode())
            shown += _read(terminal)
    finally:
        os.kill(child, signal.SIGKILL)
        os.close(terminal)
        os.waitpid(child, 0)
    return ESCAPE.sub("", shown.decode(errors="replace"))


def _read(terminal: int) -> bytes:
    """Return what comes until nothing does for a while; a busy machine takes its time."""
    shown, until = b"", time.monotonic() + 20
    while time.monotonic() < until:
        ready, _, _ = select.select([terminal], [], [], 10.0 if not shown else 1.5)
        if not ready:
            break
        try:
            shown += os.read(terminal, 65536)
        except OSError:  # the shell has ended
            break
    return shown


@pytest.mark.parametrize("shell", ["bash", "zsh"])
@pytest.mark.parametrize(("line", "wanted"), CASES, ids=[line for line, _ in CASES])
def test_a_tab_completes(shell: str, line: str, wanted: set[str], tmp_path: Path) -> None:
    source = script(shell, tmp_path)
    start = {
        "bash": [programs_path("bash"), "--norc", "-i"],
        "zsh": [programs_path("zsh"), "-f", "-i"],
    }[shell]
    ready = "autoload -U compinit; compinit -u; " if shell == "zsh" else ""
    shown = typed(start, [f"{ready}source {source}; PS1='> '\n", f"{line}\t"], tmp_path)
    before = line.rpartition(" ")[0]
    assert any(f"> {before} {word} " in shown for word in wanted), shown


@pytest.mark.parametrize(("line", "wanted"), CASES, ids=[line for line, _ in CASES])
def test_fish_completes(line: str, wanted: set[str], tmp_path: Path) -> None:
    source = script("fish", tmp_path)
    words = [programs_path("fish"), "--no-config", "-c", f"source {source}; complete -C '{line}'"]
    done = subprocess.run(words, capture_output=True, text=True, check=True, cwd=tmp_path)
    assert {each.split("\t")[0] for each in done.stdout.split("\n") if each} == wanted


@pytest.mark.parametrize(("line", "wanted"), CASES, ids=[line for line, _ in CASES])
def test_powershell_completes(line: str, wanted: set[str], tmp_path: Path) -> None:
    shell = shutil.which("pwsh")
    if shell is None:
        pytest.skip("no Debian has PowerShell, and it is not installed here")
    source = script("powershell", tmp_path).rename(tmp_path / "lockstitch.ps1")
    asked = f"(TabExpansion2 '{line}' {len(line)}).CompletionMatches.CompletionText"
    words = [shell, "-NoProfile", "-Command", f". {source}; {asked}"]
    done = subprocess.run(words, capture_output=True, text=True, check=True, cwd=tmp_path)
    assert set(done.stdout.split()) == wanted


def programs_path(name: str) -> str:
    found = shutil.which(name)
    assert found, f"{name} is not installed: .ci/programs says which package has it"
    return found


def test_a_script_starts_no_python(tmp_path: Path) -> None:
    for shell in ("bash", "zsh", "fish", "powershell"):
        text = script(shell, tmp_path).read_text()
        assert not re.search(r"\$\(lockstitch|`lockstitch|\(lockstitch|bin/python", text)
