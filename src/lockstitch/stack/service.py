"""What the supervisor asks of a service; `src/lockstitch/stack/services/` has the real ones."""

import os
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

__all__ = ["Launch", "Service", "guarded"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """How a service's program is started and asked to end."""

    words: Sequence[str | Path]
    cwd: Path
    env: Mapping[str, str]
    end: signal.Signals = signal.SIGTERM
    who: str = "same"  # as `guard.py` has it


class Service(Protocol):
    """One program that the supervisor keeps running."""

    @property
    def name(self) -> str:
        """Return the name that people use, also of its log."""

    @property
    def needs(self) -> tuple[str, ...]:
        """Return the services that must be ready before this one starts."""

    @property
    def rests(self) -> bool:
        """Return whether it must not run on a full disk: what it keeps goes wrong there."""

    def launch(self) -> Launch:
        """Make what is missing on disk and say how to start; called before each start.

        Raises LockstitchError when no start can work, as on data of another version.
        """

    def ready(self) -> str:
        """Return "" once it answers a real request, else why not; takes a few seconds at most."""

    def well(self) -> str:
        """Return what `ready` does, of a service that was ready: asked often, and so cheap."""


def guarded(launch: Launch) -> list[str | Path]:
    """Return the words that start it so that it ends when this process does."""
    guard = Path(__file__).with_name("guard.py")
    head: list[str | Path] = [
        sys.executable,
        "-I",
        "-S",
        guard,
        str(int(launch.end)),
        str(os.getpid()),
        launch.who,
    ]
    return [*head, *launch.words]
