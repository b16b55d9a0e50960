"""Ports on loopback: the wanted one, or the next that is free."""

import contextlib
import socket
from collections.abc import Mapping

from lockstitch.errors import LockstitchError

__all__ = ["choose", "is_free"]

_REACH = 200  # how far a port may move


def is_free(port: int) -> bool:
    """Return whether a program could listen on this port of 127.0.0.1 now."""
    with contextlib.closing(socket.socket()) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the services do
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def choose(wanted: Mapping[str, int]) -> dict[str, int]:
    """Return a free port for each name: the wanted one, or the next above that is free.

    Raises LockstitchError when all of the next 200 are taken.
    """
    chosen: dict[str, int] = {}
    for name, port in wanted.items():
        reach = range(port, min(port + _REACH, 65536))
        free = (n for n in reach if n not in chosen.values() and is_free(n))
        found = next(free, None)
        if found is None:
            message = f"no port from {port} to {reach[-1]} is free for `{name}`"
            hint = f"set {name} in [tool.lockstitch.stack.ports]"
            raise LockstitchError(message, hint=hint)
        chosen[name] = found
    return chosen
