"""What a person sees while work goes on: a bar on a terminal, plain lines elsewhere."""

import sys
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Protocol

from lockstitch import clock, environ

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress
    from rich.progress import TaskID


class Task(Protocol):
    """One piece of work with a known or unknown end."""

    def advance(self, amount: int) -> None:
        """Add to what is done; may be called from any thread."""

    def note(self, text: str) -> None:
        """Show what is being worked on."""


class Reporter(Protocol):
    """Where tasks are shown."""

    def task(self, label: str, total: int) -> AbstractContextManager[Task]:
        """Return a context in which one task runs; `total` is in the units of `advance`."""


class Quiet:
    """Shows nothing; for `--quiet`, `--json` and tests."""

    @contextmanager
    def task(self, label: str, total: int) -> Iterator[Task]:  # noqa: ARG002 -- the protocol's
        """Run a task unseen."""
        yield _Silent()


class _Silent:
    def advance(self, amount: int) -> None:
        """Drop it."""

    def note(self, text: str) -> None:
        """Drop it."""


class Lines:
    """Prints one line when a task ends; for logs and CI."""

    @contextmanager
    def task(self, label: str, total: int) -> Iterator[Task]:  # noqa: ARG002 -- the protocol's
        """Run a task and say afterwards how long it took."""
        started = clock.monotonic()
        yield _Silent()
        say(f"* {label} ({clock.monotonic() - started:.1f} s)")


class Bars:
    """Shows bars on a terminal; rich is imported only when the first one is drawn."""

    def __init__(self) -> None:
        """Start with no bar on the screen."""
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
                from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn

                self._shown = Progress(
                    SpinnerColumn(),
                    TextColumn("{task.description}"),
                    BarColumn(bar_width=28),
                    TextColumn("{task.percentage:>3.0f}%"),
                    console=Console(stderr=True, no_color=environ.flag("NO_COLOR")),
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
        """Keep the screen and the bar's number."""
        self._screen = screen
        self._bar = bar
        self._label = str(screen.tasks[-1].description)

    def advance(self, amount: int) -> None:
        """Move the bar."""
        self._screen.advance(self._bar, amount)

    def note(self, text: str) -> None:
        """Show what is being worked on, cut to fit beside the bar."""
        self._screen.update(self._bar, description=f"{self._label} {text:.36}")


def reporter(*, quiet: bool = False) -> Reporter:
    """Return the reporter that fits where stderr goes."""
    if quiet:
        return Quiet()
    return Bars() if sys.stderr.isatty() and not environ.flag("CI") else Lines()


def say(text: str) -> None:
    """Print a line of talk to stderr."""
    print(text, file=sys.stderr, flush=True)  # noqa: T201 -- the one place that talks
