"""Tells processes apart when their numbers are used again, and ends those that are left."""

import contextlib
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from lockstitch import clock, process

__all__ = ["MARK", "end", "end_group", "identity", "marked"]

MARK = "LOCKSTITCH_STACK"  # the variable that each process of a stack has; its value is the folder

_PROC = Path("/proc")
_STATE, _START = 0, 19  # fields of /proc/PID/stat after the name, see proc(5)


def identity(pid: int) -> str:
    """Return text that only this process has, also after a reboot; "" when it has ended."""
    if sys.platform != "linux":
        done = process.run(["ps", "-o", "lstart=", "-p", str(pid)], check=False)
        return done.stdout.strip()
    try:
        stat = (_PROC / str(pid) / "stat").read_text()
        boot = (_PROC / "sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""
    fields = stat.rpartition(")")[2].split()
    return "" if fields[_STATE] in "ZX" else f"{boot}:{fields[_START]}"


def marked(folder: Path) -> list[int]:
    """Return the processes that a stack in this folder started, with the supervisor's."""
    wanted = f"{MARK}={folder}".encode()
    found = []
    for place in sorted(_PROC.glob("[0-9]*")) if _PROC.is_dir() else []:
        with contextlib.suppress(OSError):  # ended, or another user's
            pid = int(place.name)
            if wanted in (place / "environ").read_bytes().split(b"\0") and identity(pid):
                found.append(pid)
    return found


def end(pids: Sequence[int], *, patience: float) -> None:
    """Ask processes to end with SIGINT, and kill them after `patience` seconds."""
    known = {pid: identity(pid) for pid in pids}
    # SIGINT: PostgreSQL's quick clean stop. SIGTERM would wait for its clients.
    for number, seconds in ((signal.SIGINT, patience), (signal.SIGKILL, 5.0)):
        left = [pid for pid, who in known.items() if who and identity(pid) == who]
        for pid in left:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, number)
        until = clock.monotonic() + seconds
        while clock.monotonic() < until and any(identity(p) == known[p] for p in left):
            clock.sleep(0.05)


def end_group(leader: int, number: int = signal.SIGKILL) -> None:
    """Send a signal to what is left of a process group that we started."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, number)
