"""Runs a program in the foreground: its output is ours, and signals reach it."""

import contextlib
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from types import FrameType

from lockstitch import clock, files, process
from lockstitch.process import Command
from lockstitch.progress import say
from lockstitch.python.model import ImageSpec, Project

__all__ = ["once", "watched"]

_POLL = 0.3  # seconds between two looks at the files
_PATIENCE = 10.0  # seconds until a program that was asked to end is killed
_SIGNALLED = 128

Signature = Sequence[tuple[str, int, int]]


def once(command: Command) -> int:
    """Run the program to its end and return its exit code, 128 + N when a signal N ended it."""
    running = process.attach(command.words, cwd=command.cwd, env=command.env)
    # Ctrl-C on a terminal reaches the program by itself: once is enough.
    with _forwarded(running.send_signal, interrupt=not sys.stdin.isatty()):
        return _code(running.wait())


def watched(command: Command, project: Project, image: ImageSpec) -> int:
    """Run the program again whenever a file of its image, or a Python file, changes.

    Ends with the exit code of the program when a signal asks it to end.
    """
    asked: list[int] = []
    with _forwarded(asked.append):
        seen = _signature(project, image)
        while True:
            running = process.attach(command.words, cwd=command.cwd, env=command.env)
            changed = _until(running, asked, project, image, seen)
            code = _ended(running)
            if asked:
                return code
            now = _signature(project, image)
            if not changed:
                say(f"`{image.name}` ended with exit code {code}; waiting for a change")
                now = _wait_for_change(project, image, seen, asked)
                if asked:
                    return code
            say(f"changed: {_names(seen, now)}; `{image.name}` starts again")
            seen = now


def _until(
    running: process.Running,
    asked: Sequence[int],
    project: Project,
    image: ImageSpec,
    seen: Signature,
) -> bool:
    """Wait until the program ends or a signal comes (False), or a file changes (True)."""
    while running.poll() is None and not asked:
        if _signature(project, image) != seen:
            return True
        clock.sleep(_POLL)
    return False


def _wait_for_change(
    project: Project, image: ImageSpec, seen: Signature, asked: Sequence[int]
) -> Signature:
    while not asked:
        now = _signature(project, image)
        if now != seen:
            return now
        clock.sleep(_POLL)
    return seen


def _ended(running: process.Running) -> int:
    """Ask the program to finish what it took, wait, and return its exit code."""
    if running.poll() is None:
        process.stop(running, patience=_PATIENCE)
    return _code(running.returncode)


def _code(returncode: int) -> int:
    return returncode if returncode >= 0 else _SIGNALLED - returncode


def _signature(project: Project, image: ImageSpec) -> Signature:
    return [
        (found.name, found.mtime_ns, found.size)
        for found in files.walk(project.root)
        if found.name.endswith(".py")
        or any(files.matches(found.name, pattern) for pattern in image.include)
    ]


def _names(before: Signature, after: Signature) -> str:
    moved = sorted({each[0] for each in {*before} ^ {*after}})
    more = f" and {len(moved) - 3} more" if len(moved) > 3 else ""  # noqa: PLR2004 -- a line's worth
    return ", ".join(moved[:3]) + more


@contextlib.contextmanager
def _forwarded(send: Callable[[int], object], *, interrupt: bool = True) -> Iterator[None]:
    """Pass SIGTERM on, and SIGINT when `interrupt` is set; else it ends nothing here."""

    def handle(number: int, _: FrameType | None) -> None:
        if interrupt or number != signal.SIGINT:
            send(number)

    numbers = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, handle) for number in numbers}
    try:
        yield
    finally:
        for number, each in before.items():
            signal.signal(number, each)
