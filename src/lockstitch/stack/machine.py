"""Processes and ports of this machine, as a stack uses them."""

import contextlib
import os
import signal
import socket
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from lockstitch import clock, process
from lockstitch.errors import LockstitchError

MARK = "LOCKSTITCH_STACK"  # the variable that each process of a stack has; its value is the folder

_PROC = Path("/proc")
_FIRST, _NOBODY = 1000, 65534  # numbers of people's accounts: below them are programs
_NO_SHELLS = {"", "/usr/sbin/nologin", "/sbin/nologin", "/bin/false", "/usr/bin/false"}
_STATE, _START = 0, 19  # fields of /proc/PID/stat after the name, see proc(5)


def identity(pid: int) -> str:
    """Return text that only this process has, also after a reboot; "" when it has ended."""
    if sys.platform != "linux":
        return process.run(["ps", "-o", "lstart=", "-p", str(pid)], check=False).stdout.strip()
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
    pids = []
    for place in sorted(_PROC.glob("[0-9]*")) if _PROC.is_dir() else []:
        with contextlib.suppress(OSError):  # ended, or another user's
            pid = int(place.name)
            if wanted in (place / "environ").read_bytes().split(b"\0") and identity(pid):
                pids.append(pid)
    return pids


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
    """Send a signal to the processes left of a group that we started."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, number)


def asks(login: str) -> bool:
    """Return whether MLflow asks for a login: as pyproject.toml says, else where others may come.

    Every account of this machine reaches 127.0.0.1.
    """
    return login == "always" or (login == "auto" and _is_shared())


def _is_shared() -> bool:
    """Return whether an account besides this one and root can log in here."""
    try:
        import pwd  # which Windows does not have
    except ImportError:
        return False
    people = [user.pw_uid for user in pwd.getpwall() if user.pw_shell not in _NO_SHELLS]
    return any(_FIRST <= uid < _NOBODY and uid != os.getuid() for uid in people)


def is_free(port: int) -> bool:
    """Return whether a program could listen on this port of 127.0.0.1 now."""
    with contextlib.closing(socket.socket()) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the services do
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def listens(port: int) -> bool:
    """Return whether a program answers on this port of 127.0.0.1 within two seconds."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=2).close()
    except OSError:
        return False
    return True


def choose_ports(wanted: Mapping[str, int]) -> dict[str, int]:
    """Return free ports, the wanted or the next above; raises LockstitchError after 200."""
    chosen: dict[str, int] = {}
    for name, port in wanted.items():
        reach = range(port, min(port + 200, 65536))
        chosen_port = next((n for n in reach if n not in chosen.values() and is_free(n)), None)
        if chosen_port is None:
            message = f"no port from {port} to {reach[-1]} is free for `{name}`"
            raise LockstitchError(message, hint=f"set {name} in [tool.lockstitch.stack.ports]")
        chosen[name] = chosen_port
    return chosen
