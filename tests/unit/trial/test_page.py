"""A page of Streamlit is opened as a browser does, and its script's end is waited for."""

import socket
import threading
from collections.abc import Callable, Iterator

import pytest

from lockstitch.trial import page

SESSION = b"\x0a\x03abc\x22\x00"  # a hash and a new session
FINISHED = b"\x0a\x03abc\x30\x00"  # a hash and script_finished = 0
LONG = b"\x0a\x80\x02" + b"x" * 256  # a message whose length has 16 bits


class Server:
    """A server that speaks WebSocket on one path, and keeps what it was asked and sent."""

    def __init__(self, path: str, frames: list[bytes]) -> None:
        self._path = path
        self._frames = frames
        self.asked: list[str] = []
        self.received = b""
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        while self._path not in self.asked:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            with connection:
                request = connection.recv(4096).decode()
                path = request.split()[1]
                self.asked.append(path)
                if path != self._path:
                    connection.sendall(b"HTTP/1.1 404 Not Found\r\n\r\n")
                    continue
                connection.sendall(b"HTTP/1.1 101 Switching Protocols\r\n\r\n")
                self.received = connection.recv(64)
                for frame in self._frames:
                    connection.sendall(frame)
                self.received += connection.recv(64)  # until the other side has gone

    def close(self) -> None:
        self._socket.close()
        self._thread.join(timeout=10)


Serve = Callable[[str, list[bytes]], Server]


def frame(data: bytes) -> bytes:
    size = len(data)
    return bytes([0x82, size]) + data if size < 126 else b"\x82\x7e" + size.to_bytes(2) + data


@pytest.fixture
def serve() -> Iterator[Serve]:
    servers: list[Server] = []

    def make(path: str, frames: list[bytes]) -> Server:
        servers.append(Server(path, frames))
        return servers[-1]

    yield make
    for server in servers:
        server.close()


@pytest.mark.parametrize("path", ["/_stcore/stream", "/stream"])
def test_a_page_is_asked_for_until_its_script_ends(path: str, serve: Serve) -> None:
    server = serve(path, [frame(SESSION), frame(LONG), frame(FINISHED)])
    page.visit(server.port, 20)
    assert server.asked[-1] == path
    # One binary frame, masked with zeros: BackMsg.rerun_script.
    assert server.received == b"\x82\x82\0\0\0\0\x5a\x00"


def test_a_server_that_hangs_up_ends_the_visit(serve: Serve) -> None:
    server = serve("/_stcore/stream", [frame(SESSION), b"\x88\x00"])
    page.visit(server.port, 20)
    assert server.asked == ["/_stcore/stream"]


def test_a_server_that_asks_whether_anybody_is_there_is_answered(serve: Serve) -> None:
    """Newer servers of Streamlit ask each second, and hang up on who is silent."""
    server = serve("/_stcore/stream", [b"\x89\x02hi", frame(FINISHED)])
    page.visit(server.port, 20)
    server.close()
    assert server.received.endswith(b"\x8a\x82\0\0\0\0hi")


@pytest.mark.slow
def test_a_page_that_goes_on_is_left_when_its_time_is_over(serve: Serve) -> None:
    server = serve("/_stcore/stream", [frame(SESSION)])
    page.visit(server.port, 0.5)
    assert server.received


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        (("streamlit", "run", "a.py"), True),
        (("python", "-m", "streamlit", "run", "a.py"), True),
        (("/app/.venv/bin/streamlit", "run", "a.py"), True),
        (("python", "streamlit.py"), False),
        (("flask", "run"), False),
    ],
)
def test_what_serves_a_page_is_known_by_its_command(
    command: tuple[str, ...], expected: object
) -> None:
    assert page.is_page(command) is expected


def test_an_error_of_a_page_is_in_what_its_server_prints() -> None:
    assert page.raised("2026 Uncaught app execution\nTraceback")
    assert page.raised("Uncaught app exception\n")
    assert page.raised(
        "\x1b[31m── \x1b[0m\x1b[1;31mTraceback \x1b[0m\x1b[2m(most recent call last)\n"
    )
    assert not page.raised("  You can now view your Streamlit app in your browser.\n")
