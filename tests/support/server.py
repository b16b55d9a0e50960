"""An HTTP server on loopback that serves from memory and misbehaves as it is told."""

import base64
import dataclasses
import http.server
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus
from socketserver import BaseServer

__all__ = ["Asked", "Reply", "Server", "answering", "basic", "serve"]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """One answer, good or bad."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = dataclasses.field(default_factory=dict)
    ranges: bool = True  # whether a Range is obeyed
    length: int | None = None  # the Content-Length to claim; -1 leaves it out
    drop_at: int | None = None  # close the connection after this many bytes
    stall_at: int | None = None  # send this many bytes, and the rest after `Server.free`


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One request, as it came."""

    path: str
    range: str
    authorization: str
    proxy: str = ""  # Proxy-Authorization


def basic(user: str, password: str) -> str:
    """Return the header of basic authentication (RFC 7617)."""
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


class Server:
    """Answers each path with its replies in turn; the last one is given again and again."""

    def __init__(self) -> None:
        self.address = ""
        self.asked: list[Asked] = []
        self.stalled = threading.Semaphore(0)  # released once for each answer that stalls
        self.free = threading.Event()
        self._replies: dict[str, list[Reply]] = {}
        self._guards: dict[str, str] = {}
        self._lock = threading.Lock()

    def on(self, path: str, *replies: Reply) -> str:
        """Set the answers for a path, or for one with a query, and return its URL."""
        with self._lock:
            self._replies[path] = list(replies)
        return f"{self.address}{path}"

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Put the answers back at the end of the block."""
        with self._lock:
            before = {path: [*replies] for path, replies in self._replies.items()}
        try:
            yield
        finally:
            with self._lock:
                self._replies = before

    def remove(self, path: str) -> None:
        """Forget a path."""
        with self._lock:
            del self._replies[path]

    def protect(self, prefix: str, user: str, password: str) -> None:
        """Answer 401 below a path to whoever does not give this user and password."""
        self._guards[prefix] = basic(user, password)

    def knows(self, path: str) -> bool:
        """Return whether there are answers for a path with this query, and not just for any."""
        return path in self._replies

    def paths(self) -> list[str]:
        """Return the paths that were asked for, in order."""
        return [asked.path for asked in self.asked]

    def next(self, asked: Asked) -> Reply:
        """Record a request and return what it gets."""
        with self._lock:
            self.asked.append(asked)
            for prefix, wanted in self._guards.items():
                if asked.path.startswith(prefix) and asked.authorization != wanted:
                    return Reply(status=401, headers={"WWW-Authenticate": 'Basic realm="x"'})
            replies = self._replies.get(asked.path, [Reply(status=404)])
            return replies.pop(0) if len(replies) > 1 else replies[0]


class _Running(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, told: Server) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.told = told

    def handle_error(self, *_: object) -> None:
        """Say nothing: clients are killed here on purpose."""


class _Handler(http.server.BaseHTTPRequestHandler):
    server: _Running
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # or every small answer waits 40 ms

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", "0")))
        self._answer(with_body=True)

    def _answer(self, *, with_body: bool) -> None:
        given = {name: self.headers.get(name, "") for name in ("range", "authorization")}
        proxy = self.headers.get("Proxy-Authorization", "")
        told = self.server.told
        path = self.path if told.knows(self.path) else self.path.partition("?")[0]
        reply = told.next(Asked(path=path, proxy=proxy, **given))
        status, body = reply.status, reply.body
        if reply.ranges and status == 200 and given["range"]:
            start, end = _range(given["range"], len(body))
            status, body = (206, body[start:end]) if start < len(body) else (416, b"")
        self.send_response(status)
        if status == HTTPStatus.PARTIAL_CONTENT:
            whole = len(reply.body)
            self.send_header("Content-Range", f"bytes {start}-{start + len(body) - 1}/{whole}")
        for name, value in reply.headers.items():
            self.send_header(name, value)
        if reply.length != -1:
            self.send_header("Content-Length", str(reply.length or len(body)))
        self.end_headers()
        if with_body:
            self._write(reply, body)

    def _write(self, reply: Reply, body: bytes) -> None:
        if reply.drop_at is not None or reply.length is not None:
            self.wfile.write(body[: reply.drop_at])
            self.close_connection = True
        elif reply.stall_at is not None:
            self.wfile.write(body[: reply.stall_at])
            self.wfile.flush()
            self.server.told.stalled.release()
            self.server.told.free.wait(30)
            self.wfile.write(body[reply.stall_at :])
        else:
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def _range(text: str, size: int) -> tuple[int, int]:
    """Return the bytes of a Range (RFC 9110): from A to B, from A, or the last N."""
    first, _, last = text.removeprefix("bytes=").partition("-")
    if not first:
        return max(0, size - int(last)), size
    return int(first), int(last) + 1 if last else size


@contextmanager
def serve() -> Iterator[Server]:
    """Run a server until the block ends."""
    made = Server()
    with _Running(made) as running, answering(running, made.free):
        made.address = f"http://127.0.0.1:{running.server_port}"
        yield made


@contextmanager
def answering(running: BaseServer, free: threading.Event) -> Iterator[None]:
    """Let a server answer in a thread until the block ends, and free what waits then."""
    thread = threading.Thread(target=running.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield
    finally:
        free.set()
        running.shutdown()
        thread.join()
