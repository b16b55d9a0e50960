"""Programs are started in one place, and their failures are words."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lockstitch import environ, process
from lockstitch.errors import LockstitchError

PYTHON = sys.executable


def program(folder: Path, name: str, text: str = "#!/bin/sh\nexit 0\n") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(text)
    path.chmod(0o755)
    return path


def test_a_program_is_found_on_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = program(tmp_path / "bin", "tool")
    monkeypatch.setenv("PATH", str(path.parent))
    assert process.find("tool", hint="install it") == path


def test_a_missing_program_says_how_to_install_it() -> None:
    with pytest.raises(LockstitchError) as caught:
        process.find("no-such-program", hint="apt-get install it")
    assert caught.value.message == "`no-such-program` is not installed"
    assert caught.value.hint == "apt-get install it"


def test_uv_is_the_named_one_then_the_one_beside_python_then_that_on_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_path = program(tmp_path / "path", "uv")
    beside = program(tmp_path / "beside", "uv")
    named = program(tmp_path / "named", "my-uv")
    monkeypatch.setenv("PATH", str(on_path.parent))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "elsewhere" / "python"))
    assert process.find_uv() == on_path
    monkeypatch.setattr(sys, "executable", str(beside.with_name("python")))
    assert process.find_uv() == beside
    monkeypatch.setenv("LOCKSTITCH_UV", str(named))
    assert process.find_uv() == named


@pytest.mark.parametrize(
    ("name", "hint"),
    [("", "pip install uv"), ("gone", "set LOCKSTITCH_UV to the uv program, or unset it")],
)
def test_a_missing_uv_says_which_one_was_wanted(
    name: str, hint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("LOCKSTITCH_UV", name)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    with pytest.raises(LockstitchError, match=f"`{name or 'uv'}` is not installed") as caught:
        process.find_uv()
    assert caught.value.hint == hint


def test_a_program_gets_input_folder_and_environment(tmp_path: Path) -> None:
    code = "import os, sys; print(os.getcwd(), os.environ['A'], sys.stdin.read()); sys.exit(0)"
    done = process.run(
        [PYTHON, "-c", code], cwd=tmp_path, env={"A": "ä", "PYTHONUTF8": "1"}, stdin="ö"
    )
    assert (done.code, done.stderr) == (0, "")
    assert done.stdout.split() == [os.path.realpath(tmp_path), "ä", "ö"]


def test_no_shell_reads_the_arguments() -> None:
    code = "import sys; print(sys.argv[1:])"
    done = process.run([PYTHON, "-c", code, "$HOME; echo *", Path("a b")])
    assert done.stdout.strip() == "['$HOME; echo *', 'a b']"


def test_a_failing_program_shows_the_end_of_what_it_said() -> None:
    code = "import sys; [print(n, file=sys.stderr) for n in range(100)]; print('out'); sys.exit(3)"
    with pytest.raises(LockstitchError) as caught:
        process.run([PYTHON, "-c", code], hint="do this")
    first, *tail = caught.value.message.splitlines()
    assert first == f"`{Path(PYTHON).name}` failed with exit code 3"
    assert tail == [str(number) for number in range(80, 100)]
    assert caught.value.hint == "do this"


def test_a_program_that_fails_on_stdout_is_shown_too() -> None:
    with pytest.raises(LockstitchError, match="failed with exit code 1\nonly this"):
        process.run([PYTHON, "-c", "print('only this'); raise SystemExit(1)"])


def test_a_failure_that_is_an_answer_is_returned() -> None:
    done = process.run([PYTHON, "-c", "print('x'); raise SystemExit(5)"], check=False)
    assert (done.code, done.stdout) == (5, "x\n")


def test_output_that_is_no_utf8_is_shown_as_far_as_it_is() -> None:
    done = process.run([PYTHON, "-c", "import sys; sys.stdout.buffer.write(b'a\\xffb')"])
    assert done.stdout == "a\ufffdb"


def test_a_program_that_cannot_start_is_an_error_in_words(tmp_path: Path) -> None:
    text = program(tmp_path, "broken", "#!/no/such/interpreter\n")
    with pytest.raises(LockstitchError, match="could not be started: No such file") as caught:
        process.run([text], hint="look at it")
    assert caught.value.hint == "look at it"
    with pytest.raises(LockstitchError, match="could not be started: No such file"):
        process.pipe([text], b"", env={})


def test_bytes_go_through_a_pipe() -> None:
    code = "import sys; sys.stdout.buffer.write(sys.stdin.buffer.read()[::-1])"
    data = bytes(range(256)) * 1000
    assert process.pipe([PYTHON, "-c", code], data, env={}) == data[::-1]


def test_a_pipe_that_fails_shows_why() -> None:
    with pytest.raises(
        LockstitchError, match=r"failed with exit code 1\n(.|\n)*ValueError: because"
    ):
        process.pipe([PYTHON, "-c", "raise ValueError('because')"], b"", env={})


def test_a_program_that_goes_on_has_a_group_and_a_log_of_its_own(tmp_path: Path) -> None:
    log = tmp_path / "log"
    code = "import os, sys; print(os.getpgid(0)); print('e', file=sys.stderr)"
    started = process.start([PYTHON, "-u", "-c", code], cwd=tmp_path, env={}, log=log)
    assert started.wait(10) == 0
    assert log.read_text().split() == [str(started.pid), "e"]
    assert isinstance(started, subprocess.Popen)


STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
WAIT = "import time; print('up', flush=True); time.sleep(60)"


@pytest.mark.parametrize(("code", "number"), [(WAIT, 15), (STUBBORN + WAIT, 9)])
def test_a_program_that_goes_on_is_stopped(code: str, number: int, tmp_path: Path) -> None:
    log = tmp_path / "log"
    running = process.start([PYTHON, "-c", code], cwd=tmp_path, env={}, log=log)
    while not log.read_text():
        assert running.poll() is None
        time.sleep(0.01)
    process.stop(running, patience=0.2)
    assert running.returncode == -number


def test_lines_come_while_a_program_runs_and_long_ones_in_pieces(tmp_path: Path) -> None:
    code = "print('a' * 5); print('b')"
    words = [sys.executable, "-c", code]
    found = list(process.stream(words, cwd=tmp_path, env=environ.child(), longest=4))
    assert found == [b"aaaa", b"a\n", b"b\n"]


def test_a_program_whose_output_is_not_read_on_is_ended(tmp_path: Path) -> None:
    words = [sys.executable, "-c", "while True: print('again')"]
    lines = process.stream(words, cwd=tmp_path, env=environ.child(), longest=99)
    assert next(lines) == b"again\n"
    lines.close()


def test_a_stream_that_fails_says_why(tmp_path: Path) -> None:
    words = [sys.executable, "-c", "import sys; print(1); sys.exit('no way')"]
    lines = process.stream(words, cwd=tmp_path, env=environ.child(), longest=99)
    assert next(lines) == b"1\n"
    with pytest.raises(LockstitchError, match="failed with exit code 1\nno way"):
        next(lines)
    with pytest.raises(LockstitchError, match="could not be started"):
        next(process.stream(["/no/such"], cwd=tmp_path, env={}, longest=9))


def test_what_is_followed_gives_each_line_of_both_outputs(tmp_path: Path) -> None:
    code = (
        "import sys; print('one'); sys.stdout.flush(); print('two', file=sys.stderr); sys.exit(4)"
    )
    seen: list[str] = []
    words = [PYTHON, "-c", code]
    assert process.follow(words, cwd=tmp_path, env=os.environ, line=seen.append) == 4
    assert seen == ["one", "two"]
    with pytest.raises(LockstitchError, match="could not be started"):
        process.follow([tmp_path / "none"], cwd=tmp_path, env={}, line=seen.append)


def test_what_is_not_followed_any_more_is_ended(tmp_path: Path) -> None:
    code = "import os, time; print(os.getpid(), flush=True); time.sleep(60)"
    seen: list[str] = []

    def stop(line: str) -> None:
        seen.append(line)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        process.follow([PYTHON, "-c", code], cwd=tmp_path, env=os.environ, line=stop)
    with pytest.raises(ProcessLookupError):
        os.kill(int(seen[0]), 0)
