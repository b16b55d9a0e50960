"""The only place that starts programs. No shell, ever."""

import contextlib
import functools
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from lockstitch import environ
from lockstitch.errors import LockstitchError
from lockstitch.patterns import regex
from lockstitch.values import frozen

Running = subprocess.Popen[bytes]
Expired = subprocess.TimeoutExpired

_TAIL = 20  # lines of a failed program's output that are shown
_PATIENCE = 10.0  # seconds that a program gets to end after Ctrl-C


@frozen
class Command:
    """A program to start: its words, its folder and its variables."""

    words: tuple[str, ...]
    cwd: Path
    env: dict[str, str]


@frozen
class Finished:
    """The result of a program."""

    code: int
    stdout: str
    stderr: str


def find(program: str, *, hint: str, outside: Path | None = None) -> Path:
    """Return a program on PATH, not below `outside`; raises LockstitchError with a hint."""
    path = shutil.which(program, path=_path_without(outside) if outside else None)
    if path is None:
        raise LockstitchError(f"`{program}` is not installed", hint=hint)
    return Path(path)


def is_there(program: str) -> bool:
    """Return whether a program is on PATH."""
    return shutil.which(program) is not None


def _path_without(folder: Path) -> str:
    root = folder.resolve()
    places = environ.child().get("PATH", os.defpath).split(os.pathsep)
    # A relative one lies below the folder that is the current one now.
    return os.pathsep.join(
        place for place in places if not _resolved(Path(place).absolute()).is_relative_to(root)
    )


@functools.cache
def _resolved(place: Path) -> Path:
    return place.resolve()


def find_uv(*, outside: Path | None = None) -> Path:
    """Return uv of LOCKSTITCH_UV, of this Python, or of PATH as `find`; raises LockstitchError."""
    named = environ.get("LOCKSTITCH_UV")
    if named:
        return find(named, hint="set LOCKSTITCH_UV to the uv program, or unset it")
    beside = shutil.which("uv", path=str(Path(sys.executable).parent))
    return Path(beside) if beside else find("uv", hint="pip install uv", outside=outside)


_LOGIN = regex(r"(?<=://)[^/@\s]+@")
_shown: list[bool] = []  # not empty when commands are shown


def show_commands() -> None:
    """Print each program that is started from now on, with its words, to stderr."""
    _shown.append(True)


@contextlib.contextmanager
def _starting(words: Sequence[str], hint: str = "") -> Iterator[None]:
    """Turn what the system says when a program cannot be started into an error in words."""
    if _shown:
        sys.stderr.write(_LOGIN.sub("", f"> {' '.join(words)}\n"))
    try:
        yield
    except OSError as error:
        message = f"`{words[0]}` could not be started: {error.strerror}"
        raise LockstitchError(message, hint=hint) from error


def _failed(words: Sequence[str], code: int, tail: str, hint: str = "") -> LockstitchError:
    # Not the whole command line, which no user typed: the program and what it was to do.
    verb = next((word for word in words[1:] if re.fullmatch(r"[a-z][a-z-]*", word)), "")
    shown = f"{Path(words[0]).name} {verb}".strip()
    return LockstitchError(f"`{shown}` failed with exit code {code}\n{tail}", hint=hint)


def run(
    argv: Sequence[str | Path],
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    stdin: str = "",
    check: bool = True,
    hint: str = "",
    errors: str = "replace",
) -> Finished:
    """Run a program to its end and return what it printed; `errors` is of its UTF-8.

    Raises LockstitchError naming the command and the end of its output when it fails and
    `check` is set.
    """
    words = [str(word) for word in argv]
    with _starting(words, hint):
        done = subprocess.run(  # noqa: S603 -- an argument list, no shell
            words,
            cwd=cwd,
            env=None if env is None else dict(env),
            input=stdin,
            capture_output=True,
            text=True,
            encoding="utf-8",
            errors=errors,
            check=False,
        )
    if check and done.returncode != 0:
        tail = "\n".join((done.stderr.strip() or done.stdout.strip()).splitlines()[-_TAIL:])
        raise _failed(words, done.returncode, tail, hint)
    return Finished(code=done.returncode, stdout=done.stdout, stderr=done.stderr)


def pipe(argv: Sequence[str | Path], data: bytes, *, env: Mapping[str, str]) -> bytes:
    """Run a program on bytes and return the bytes it wrote, or raise LockstitchError."""
    words = [str(word) for word in argv]
    with _starting(words):
        done = subprocess.run(  # noqa: S603 -- an argument list, no shell
            words, input=data, capture_output=True, env=dict(env), check=False
        )
    if done.returncode != 0:
        tail = done.stderr.decode("utf-8", "replace").strip()[-2000:]
        raise _failed(words, done.returncode, tail)
    return done.stdout


class Answering:
    """A program that answers each line of its input with bytes, whose count these say."""

    def __init__(self, argv: Sequence[str | Path], *, env: Mapping[str, str]) -> None:
        """Start it, or raise LockstitchError."""
        self._words = [str(word) for word in argv]
        with contextlib.ExitStack() as opened:
            self._errors = opened.enter_context(tempfile.TemporaryFile())
            with _starting(self._words):
                self._running = subprocess.Popen(  # noqa: S603 -- an argument list, no shell
                    self._words,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=self._errors,
                    env=dict(env),
                )
            opened.pop_all()

    def ask(self, line: bytes) -> None:
        """Send a request; one that is not taken shows when its answer is read."""
        assert self._running.stdin is not None  # noqa: S101 -- asked for above
        with contextlib.suppress(BrokenPipeError):
            self._running.stdin.write(line + b"\n")
            self._running.stdin.flush()

    def read(self, size: int) -> bytes:
        """Return the next bytes of an answer; raises LockstitchError where the program ended."""
        assert self._running.stdout is not None  # noqa: S101 -- asked for above
        data = self._running.stdout.read(size)
        if len(data) == size:
            return data
        self._end()
        self._errors.seek(0)
        tail = self._errors.read().decode("utf-8", "replace").strip()[-2000:]
        raise _failed(self._words, self._running.returncode, tail)

    def close(self) -> None:
        """Let it end."""
        self._end()
        self._errors.close()

    def _end(self) -> None:
        if self._running.returncode is None:
            with contextlib.suppress(BrokenPipeError):
                self._running.communicate()


def stream(
    argv: Sequence[str | Path], *, cwd: Path, env: Mapping[str, str], longest: int
) -> Iterator[bytes]:
    """Yield the lines that a program prints while it runs; it is ended when the reader stops.

    A line of more than `longest` bytes comes in pieces. Raises LockstitchError when the program
    cannot be started or fails.
    """
    words = [str(word) for word in argv]
    with tempfile.TemporaryFile() as errors:
        with _starting(words):
            running = subprocess.Popen(  # noqa: S603 -- an argument list, no shell
                words, cwd=cwd, env=dict(env), stdout=subprocess.PIPE, stderr=errors
            )
        assert running.stdout is not None  # noqa: S101 -- asked for above
        try:
            while line := running.stdout.readline(longest):
                yield line
        except GeneratorExit:
            running.kill()
            raise
        finally:
            running.stdout.close()
            running.wait()
        if running.returncode != 0:
            errors.seek(0)
            tail = errors.read(4096).decode("utf-8", "replace").strip()
            raise _failed(words, running.returncode, tail)


def follow(
    argv: Sequence[str | Path], *, cwd: Path, env: Mapping[str, str], line: Callable[[str], object]
) -> int:
    """Run a program to its end, give `line` each line that it prints, return its exit code.

    Both its outputs come together, so nothing of it reaches our stdout. Raises LockstitchError
    when it cannot be started.
    """
    words = [str(word) for word in argv]
    with _starting(words):
        running = subprocess.Popen(  # noqa: S603 -- an argument list, no shell
            words,
            cwd=cwd,
            env=dict(env),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
    with running:
        try:
            for data in running.stdout or ():
                line(data.decode("utf-8", "replace").rstrip())
        except BaseException:
            stop(running, patience=_PATIENCE)
            raise
    return running.returncode


def start(
    argv: Sequence[str | Path],
    *,
    cwd: Path,
    env: Mapping[str, str],
    log: Path,
    append: bool = False,
) -> Running:
    """Start a program that goes on in a process group of its own, its output in `log`."""
    with log.open("ab" if append else "wb") as output:
        return subprocess.Popen(  # noqa: S603 -- an argument list, no shell
            [str(word) for word in argv],
            cwd=cwd,
            env=dict(env),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def attach(argv: Sequence[str | Path], *, cwd: Path, env: Mapping[str, str]) -> Running:
    """Start a program on our input and output and in our group, or raise LockstitchError."""
    words = [str(word) for word in argv]
    with _starting(words):
        return subprocess.Popen(words, cwd=cwd, env=dict(env))  # noqa: S603 -- no shell


def browse(address: str) -> bool:
    """Show an address in the user's browser, and return whether there is one to show it."""
    import webbrowser  # takes its time, and few commands need it

    places = ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER")
    # Without a display it would be a browser in this terminal.
    if sys.platform == "linux" and not any(environ.flag(name) for name in places):
        return False
    with contextlib.suppress(webbrowser.Error):
        return webbrowser.open(address)
    return False


def stop(running: Running, *, patience: float) -> None:
    """Ask a program to end with SIGTERM, and kill it after `patience` seconds."""
    running.terminate()
    try:
        running.wait(patience)
    except subprocess.TimeoutExpired:
        running.kill()
        running.wait()
