"""The server: uvicorn, with an end that loses no request."""

import asyncio
import contextlib
import ctypes
import signal
import socket
import struct
import sys
from collections.abc import Callable
from types import FrameType

import uvicorn
from starlette.types import ASGIApp

from churn import observe

KEEP_ALIVE = 75  # seconds; longer than load balancers keep a connection that nobody uses
LINGER = 1.0  # seconds in which a connection may bring one more request after the end began
HANDSHAKE = 0.2  # seconds in which a connection that was being made arrives
GRACE = 25  # seconds to finish what was begun; Kubernetes kills after 30


class Readiness:
    """Tells whether the service should be sent requests, and if not, why."""

    def __init__(self) -> None:
        """Begin unready."""
        self.reason = "the model has not answered its example yet"
        self.closing = False  # each answer asks its client to close the connection

    def begin(self) -> None:
        """Become ready."""
        self.reason = ""

    def stop(self) -> None:
        """Become unready for good."""
        self.reason = "the service is stopping"


class Server(uvicorn.Server):
    """Runs an application until SIGTERM, and then finishes what it took.

    1. /ready answers 503, for the seconds of a drain, in which load balancers look elsewhere.
    2. New connections are refused. Those that were made before are served.
    3. Connections that are open may bring one more request, for a moment.
    4. What is being answered is finished, and the process ends with 0.
    """

    def __init__(self, config: uvicorn.Config, readiness: Readiness, drain: float) -> None:
        """Keep what is told to whoever asks whether the service is ready."""
        super().__init__(config)
        self._readiness = readiness
        self._drain = drain

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin the end, at a signal."""
        self._readiness.stop()
        super().handle_exit(sig, frame)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End, one step after the other."""
        self._readiness.stop()
        await asyncio.sleep(self._drain)
        await self._refuse_connections()
        self._readiness.closing = True
        for _ in range(10):
            await asyncio.sleep(LINGER / 10)
            if not self.server_state.connections:
                break
        await super().shutdown(sockets)

    async def _refuse_connections(self) -> None:
        """Close what listens, after serving what the kernel had queued there.

        A queued connection would be reset, with the request that its client may have sent.
        """
        loop = asyncio.get_running_loop()
        for server in self.servers:
            for listener in server.sockets:
                loop.remove_reader(listener.fileno())
                _drop_new(listener)
        # Connections that asyncio has accepted get their protocol, those underway arrive.
        await asyncio.sleep(HANDSHAKE)
        queued: list[socket.socket] = []
        for server in self.servers:
            listeners = [listener.dup() for listener in server.sockets]
            server.close()
            for listener in listeners:
                queued += _queued(listener)
        for connection in queued:
            await loop.connect_accepted_socket(self._protocol, connection)

    def _protocol(self) -> asyncio.Protocol:
        """Return what speaks HTTP on a connection, as uvicorn makes it."""
        protocol: Callable[..., asyncio.Protocol] = self.config.http_protocol_class
        return protocol(config=self.config, server_state=self.server_state, app_state={})


def _drop_new(listener: socket.socket) -> None:
    """Let no new connection begin, where the kernel is Linux: nobody is reset at the close.

    A client whose first packet is dropped sends it again after a second, to whoever listens then.
    """
    # Of each packet's TCP header: drop it when SYN is set and ACK is not (socket(7), classic BPF).
    steps = [(0x30, 0, 0, 13), (0x54, 0, 0, 0x12), (0x15, 0, 1, 0x02), (6, 0, 0, 0), (6, 0, 0, -1)]
    program = ctypes.create_string_buffer(b"".join(struct.pack("=HBBi", *step) for step in steps))
    attached = struct.pack("@HP", len(steps), ctypes.addressof(program))
    if sys.platform == "linux":
        with contextlib.suppress(OSError):  # a kernel that has no such filters
            listener.setsockopt(socket.SOL_SOCKET, 26, attached)  # SO_ATTACH_FILTER


def _queued(listener: socket.socket) -> list[socket.socket]:
    """Return the connections that nobody accepted yet, and close the listener."""
    found = []
    listener.setblocking(False)
    with listener, contextlib.suppress(OSError):  # BlockingIOError when there is none
        while True:
            found.append(listener.accept()[0])
    return found


def run(app: ASGIApp, readiness: Readiness, host: str, port: int, drain: float = 0) -> None:
    """Serve an application until a signal ends it, and for the seconds of a drain after that."""
    for number in (signal.SIGINT, signal.SIGTERM):
        # uvicorn raises the signal that ended it once more: the process is to end with 0.
        signal.signal(number, lambda *_: sys.exit(0))
    observe.log_to_stdout()
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        loop="asyncio",
        lifespan="off",
        log_config=None,
        access_log=False,  # observe.Observed writes a better one
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE,
        timeout_graceful_shutdown=GRACE,
    )
    Server(config, readiness, drain).run()
