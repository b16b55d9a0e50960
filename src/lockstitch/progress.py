"""Progress for people: a bar on a terminal, plain lines elsewhere."""

import sys
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Protocol

from lockstitch import clock, colour, environ

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress
    from rich.progress import TaskID


class Task(Protocol):
    """One piece of work with a known or unknown end."""

    def advance(self, amount: int) -> None:
        """Add to the amount done; may be called from any thread."""

    def note(self, text: str) -> None:
        """Show what is being worked on."""


class Reporter(Protocol):
    """A display of tasks."""

    def task(self, label: str, total: int) -> AbstractContextManager[Task]:
        """Return a context in which one task runs; `total` is in the units of `advance`."""


class Quiet:
    """Shows nothing; for `--quiet`, `--json` and tests."""

    @contextmanager
    def task(self, label: str, total: int) -> Iterator[Task]:
        """Run a task unseen."""
        yield _Count(label, total)


class _Count:
    """Counts the done part of a task, and says how far it is."""

    def __init__(self, label: str, total: int) -> None:
        self._label, self._total = label, total
        self._done, self._note = 0, ""
        self._began = clock.monotonic()
        self._lock = threading.Lock()

    def advance(self, amount: int) -> None:
        """Add to what is done."""
        with self._lock:
            self._done += amount

    def note(self, text: str) -> None:
        """Keep what is being worked on."""
        self._note = text

    def seconds(self) -> float:
        """Return how long the task has run."""
        return clock.monotonic() - self._began

    def line(self) -> str:
        """Return a line that says how far the task is, and how long the rest will take."""
        seconds = self.seconds()
        what = f"{self._label} {self._note:.60}".rstrip()
        far = f"{seconds:.0f} s"
        if self._total and self._total <= 100 * self._done <= 100 * self._total:  # from 1% on
            left = seconds * (self._total - self._done) / self._done
            far = f"{100 * self._done // self._total}% after {far}, about {left:.0f} s left"
        return f"* {what}: {far}"


class Lines:
    """Prints a line every ten seconds while a task runs, and one when it ends; for logs and CI."""

    def __init__(self, every: float = 10.0, *, ends: bool = True) -> None:
        """Keep the seconds between two lines of a task, and whether its end is said."""
        self._every, self._ends = every, ends

    @contextmanager
    def task(self, label: str, total: int) -> Iterator[Task]:
        """Run a task and say afterwards how long it took."""
        count, ended = _Count(label, total), threading.Event()

        def talk() -> None:
            while not ended.wait(self._every):
                say(count.line())

        threading.Thread(target=talk, name="progress", daemon=True).start()
        try:
            yield count
        finally:
            ended.set()
        if self._ends:
            say(f"* {label} ({count.seconds():.1f} s)")


class Bars:
    """Shows bars on a terminal; rich is imported only when the first one is drawn."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._shown: RichProgress | None = None
        self._running = 0

    @contextmanager
    def task(self, label: str, total: int) -> Iterator[Task]:
        """Run a task with a bar that goes away when all tasks have ended."""
        screen = self._open()
        bar = screen.add_task(label, total=total or None)
        try:
            yield _Bar(screen, bar)
        finally:
            screen.remove_task(bar)
            self._close()

    def _open(self) -> "RichProgress":
        with self._lock:
            self._running += 1
            if self._shown is None:
                from rich.console import Console
                from rich.progress import (
                    BarColumn,
                    Progress,
                    SpinnerColumn,
                    TextColumn,
                    TimeElapsedColumn,
                    TimeRemainingColumn,
                )

                self._shown = Progress(
                    SpinnerColumn(),
                    TextColumn("{task.description}"),
                    BarColumn(bar_width=28),
                    TextColumn("{task.percentage:>3.0f}%"),
                    TimeElapsedColumn(),
                    TextColumn("left"),
                    TimeRemainingColumn(compact=True),
                    console=Console(stderr=True, no_color=not colour.is_wanted(sys.stderr)),
                    transient=True,
                )
                self._shown.start()
            return self._shown

    def _close(self) -> None:
        with self._lock:
            self._running -= 1
            if self._running == 0 and self._shown is not None:
                self._shown.stop()
                self._shown = None


class _Bar:
    def __init__(self, screen: "RichProgress", bar: "TaskID") -> None:
        self._screen = screen
        self._bar = bar
        self._label = str(screen.tasks[-1].description)

    def advance(self, amount: int) -> None:
        """Move the bar."""
        self._screen.advance(self._bar, amount)

    def note(self, text: str) -> None:
        """Show what is being worked on, cut to fit beside the bar."""
        self._screen.update(self._bar, description=f"{self._label} {text:.36}")


def reporter(*, quiet: bool = False, ends: bool = True) -> Reporter:
    """Return the reporter for stderr; without `ends` it prints only what takes long."""
    if quiet:
        return Quiet()
    return Bars() if sys.stderr.isatty() and not environ.flag("CI") else Lines(ends=ends)


_heard: list[list[str]] = []


@contextmanager
def heard() -> Iterator[list[str]]:
    """Yield a list of the lines that are said meanwhile, which people see as ever."""
    lines: list[str] = []
    _heard.append(lines)
    try:
        yield lines
    finally:
        _heard.remove(lines)


def say(text: str) -> None:
    """Print a line of talk to stderr."""
    for lines in _heard:
        lines.append(text)
    print(colour.line(text, sys.stderr), file=sys.stderr, flush=True)  # noqa: T201 -- the one place that talks
