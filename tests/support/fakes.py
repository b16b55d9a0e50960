"""Fakes that implement our own protocols, and children that are killed on purpose."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["Counted", "python", "until_killed"]


class Counted:
    """A reporter, and its only task, that counts."""

    def __init__(self) -> None:
        self.labels: list[str] = []
        self.total = 0
        self.done = 0
        self._lock = threading.Lock()

    @contextmanager
    def task(self, label: str, total: int) -> Iterator["Counted"]:
        self.labels.append(label)
        self.total += total
        yield self

    def advance(self, amount: int) -> None:
        with self._lock:
            self.done += amount

    def note(self, text: str) -> None:
        """Drop it."""


def python(code: str, *arguments: object) -> subprocess.Popen[str]:
    """Start Python code in a process of its own."""
    words = [sys.executable, "-c", code, *map(str, arguments)]
    pipe = subprocess.PIPE
    return subprocess.Popen(words, stdin=pipe, stdout=pipe, text=True, env=dict(os.environ))


@contextmanager
def until_killed(code: str, *arguments: object) -> Iterator[subprocess.Popen[str]]:
    """Run code until it prints a line, and kill it with -9 when the block ends."""
    child = python(code, *arguments)
    assert child.stdout is not None
    assert child.stdin is not None
    try:
        assert child.stdout.readline()
        yield child
    finally:
        child.send_signal(signal.SIGKILL)
        child.stdin.close()
        child.stdout.close()
        child.wait(10)
