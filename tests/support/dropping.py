"""A way to a server that breaks off after so many bytes, as often as it is told."""

import contextlib
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["dropping"]


class _Way:
    """Forwards connections; the first that has sent the next number of bytes ends there."""

    def __init__(self, address: str, after: tuple[int, ...]) -> None:
        host, _, port = address.partition(":")
        self.server = (host, int(port))
        self.after = [*after]
        self.lock = threading.Lock()
        self.door = socket.create_server(("127.0.0.1", 0))

    def accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self.door.accept()
                threading.Thread(target=self.connect, args=(client,), daemon=True).start()

    def connect(self, client: socket.socket) -> None:
        with client, socket.create_connection(self.server) as server:
            back = threading.Thread(target=self.forward, args=(server, client), daemon=True)
            back.start()
            self.forward(client, server, counted=True)
            back.join()

    def forward(self, source: socket.socket, sink: socket.socket, *, counted: bool = False) -> None:
        passed = 0
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                passed += len(data)
                left = self.left(passed) if counted else 0
                sink.sendall(data[: len(data) - left])
                if left:
                    break
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def left(self, passed: int) -> int:
        """Return how many of the bytes that have passed should not have, if any."""
        with self.lock:
            if self.after and passed > self.after[0]:
                return passed - self.after.pop(0)
            return 0


@contextmanager
def dropping(address: str, *after: int) -> Iterator[str]:
    """Yield an address that leads to another one, and breaks off once for each number of bytes."""
    way = _Way(address, after)
    threading.Thread(target=way.accept, daemon=True).start()
    try:
        yield f"127.0.0.1:{way.door.getsockname()[1]}"
        assert way.after == [], "too little was sent to break off"
    finally:
        with contextlib.suppress(OSError):
            way.door.shutdown(socket.SHUT_RDWR)
        way.door.close()
