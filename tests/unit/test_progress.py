"""What a person sees while work goes on."""

import io
import os
import pty
import re
import subprocess
import sys
import threading
import time

import pytest

from lockstitch.progress import Bars, Lines, Quiet, Reporter, reporter, say

TALK = """
import time
from lockstitch.progress import reporter
found = reporter()
with found.task("one", 10) as one, found.task("two", 0) as two:
    one.advance(5)
    two.note("n" * 100)
    time.sleep(0.25)  # bars are drawn ten times a second
with found.task("three", 1) as three:
    three.advance(1)
print(type(found).__name__)
"""


def use(shown: Reporter) -> None:
    with shown.task("work", 2) as task:
        task.advance(1)
        task.note("a file")
        task.advance(1)


def on_a_terminal(**variables: str) -> tuple[str, str]:
    """Return stdout, and what a terminal on stderr got."""
    ours, theirs = pty.openpty()
    program = subprocess.Popen(
        [sys.executable, "-c", TALK],
        stdout=subprocess.PIPE,
        stderr=theirs,
        env={**os.environ, "TERM": "xterm", **variables},
    )
    os.close(theirs)
    got = bytearray()

    def read() -> None:
        try:
            while chunk := os.read(ours, 4096):
                got.extend(chunk)
        except OSError:  # how a terminal on Linux says that the other side is gone
            pass

    thread = threading.Thread(target=read)
    thread.start()
    out, _ = program.communicate(timeout=20)
    thread.join()
    os.close(ours)
    return out.decode(), got.decode()


def test_talk_goes_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    say("hello")
    assert capsys.readouterr() == ("", "hello\n")


def test_quiet_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    use(Quiet())
    assert capsys.readouterr() == ("", "")


def test_lines_say_what_ended_and_how_long_it_took(capsys: pytest.CaptureFixture[str]) -> None:
    use(Lines())
    out, err = capsys.readouterr()
    assert out == ""
    assert re.fullmatch(r"\* work \(0\.\d s\)\n", err)


def test_a_long_task_says_how_far_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    with Lines(0.05).task("push 2 blobs to r/a", 400) as task:
        task.advance(100)
        task.note("numpy")
        time.sleep(0.3)
    lines = capsys.readouterr().err.splitlines()
    pattern = r"\* push 2 blobs to r/a numpy: 25% after 0 s, about \d s left"
    assert len(lines) >= 3
    assert all(re.fullmatch(pattern, line) for line in lines[:-1])
    assert re.fullmatch(r"\* push 2 blobs to r/a \(0\.\d s\)", lines[-1])
    with Lines(0.05, ends=False).task("check .", 0):
        time.sleep(0.12)
    assert set(capsys.readouterr().err.splitlines()) == {"* check .: 0 s"}
    with Lines(0.05, ends=False).task("build", 1000) as task:
        task.advance(9)  # less than 1% says nothing of the rest
        time.sleep(0.12)
    assert set(capsys.readouterr().err.splitlines()) == {"* build: 0 s"}
    use(Lines(ends=False))  # quick, so there is nothing to say
    assert capsys.readouterr().err == ""


def test_a_task_that_failed_does_not_say_that_it_ended(capsys: pytest.CaptureFixture[str]) -> None:
    def fail() -> None:
        with Lines().task("work", 1):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert capsys.readouterr().err == ""


def test_the_reporter_fits_where_stderr_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    assert isinstance(reporter(), Lines)
    monkeypatch.setattr(sys, "stderr", Terminal())
    assert isinstance(reporter(), Bars)
    assert isinstance(reporter(quiet=True), Quiet)
    monkeypatch.setenv("CI", "true")
    assert isinstance(reporter(), Lines)


def test_a_terminal_gets_bars_that_go_away() -> None:
    out, screen = on_a_terminal()
    assert out == "Bars\n"
    assert "one" in screen
    assert f"two {'n' * 36} " in screen  # cut to fit beside the bar
    assert "\x1b[2K" in screen  # the line is wiped
    assert "\x1b[?25h" in screen  # and the cursor is back


def test_no_color_is_obeyed() -> None:
    _, screen = on_a_terminal(NO_COLOR="1")
    colours = {code for code in re.findall(r"\x1b\[([\d;]*)m", screen) if re.search(r"3\d", code)}
    assert "one" in screen
    assert colours == set()


def test_bars_are_safe_in_threads(capsys: pytest.CaptureFixture[str]) -> None:
    shown = Bars()
    threads = [threading.Thread(target=use, args=(shown,)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    use(shown)  # and once more after all had ended
    assert capsys.readouterr().out == ""
    assert shown._running == 0
    assert shown._shown is None
