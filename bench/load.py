"""Load on an HTTP service: `python bench/load.py http://127.0.0.1:8000/predict --body one.json`.

Every connection is a thread that asks, waits for the whole answer, and asks again; a connection
is kept until the server closes it, unless `--fresh`. Each request ends in one of three ways:
answered (with its status), refused (nobody accepted the connection), or lost (accepted, sent in
full, and cut).
"""

import argparse
import json
import socket
import statistics
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

WAIT = 30  # seconds for an answer
PAUSE = 0.01  # seconds after a refusal
LARGEST = 65536  # bytes read at once


@dataclass
class Report:
    """What came of the requests."""

    statuses: Counter[int] = field(default_factory=Counter)
    refused: int = 0
    lost: list[str] = field(default_factory=list)
    latencies: list[float] = field(default_factory=list)  # seconds, of every answer
    seconds: float = 0.0

    def add(self, other: "Report") -> None:
        """Add what another connection saw."""
        self.statuses += other.statuses
        self.refused += other.refused
        self.lost += other.lost
        self.latencies += other.latencies

    def summary(self) -> dict[str, object]:
        """Return the numbers that people compare."""
        hundredths = statistics.quantiles(self.latencies, n=100) if len(self.latencies) > 1 else []
        return {
            "requests_per_second": round(len(self.latencies) / (self.seconds or 1), 1),
            "p50_ms": round(hundredths[49] * 1000, 3) if hundredths else None,
            "p99_ms": round(hundredths[98] * 1000, 3) if hundredths else None,
            "statuses": {str(status): self.statuses[status] for status in sorted(self.statuses)},
            "refused": self.refused,
            "lost": self.lost,
        }


class LostError(Exception):
    """Says how a request that was accepted got no whole answer."""


class Connection:
    """One kept connection, which is opened again when the server closes it."""

    def __init__(self, host: str, port: int) -> None:
        """Open nothing yet."""
        self._address = (host, port)
        self._socket: socket.socket | None = None
        self._asked = 0

    def ask(self, request: bytes) -> int:
        """Send a request and return the status of its answer.

        Raises LostError, or ConnectionRefusedError when nobody listens.
        """
        if self._socket is None:
            self._socket = socket.create_connection(self._address, WAIT)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._asked = 0
        self._asked += 1
        received = b""
        try:
            self._socket.sendall(request)
            while b"\r\n\r\n" not in received:
                received += self._more()
            head, _, rest = received.partition(b"\r\n\r\n")
            lines = head.lower().split(b"\r\n")
            headers = dict(line.split(b": ", 1) for line in lines[1:])
            missing = int(headers[b"content-length"]) - len(rest)
            while missing > 0:
                missing -= len(self._more())
        except (OSError, EOFError) as error:
            self.close()
            how = f"{type(error).__name__} at request {self._asked} of the connection"
            how += f", after {len(received)} bytes"
            raise LostError(how) from error
        if headers.get(b"connection") == b"close":
            self.close()
        return int(lines[0].split()[1])

    def _more(self) -> bytes:
        data = self._socket.recv(LARGEST) if self._socket else b""
        if not data:
            raise EOFError
        return data

    def close(self) -> None:
        """Close the connection."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None


def request(url: str, body: bytes | None = None) -> bytes:
    """Return the bytes of a request: POST of JSON, or GET without a body."""
    parts = urlsplit(url)
    method = "GET" if body is None else "POST"
    head = f"{method} {parts.path or '/'} HTTP/1.1\r\nHost: {parts.netloc}\r\n"
    if body is not None:
        head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    return f"{head}\r\n".encode() + (body or b"")


def load(
    url: str, body: bytes | None, *, connections: int, seconds: float, fresh: bool = False
) -> Report:
    """Keep some connections busy for some seconds, and return what came of it.

    With `fresh`, each request gets a connection of its own.
    """
    parts = urlsplit(url)
    message = request(url, body)
    report, lock = Report(), threading.Lock()
    started = time.perf_counter()

    def work() -> None:
        mine = Report()
        connection = Connection(parts.hostname or "", parts.port or 80)
        while (begun := time.perf_counter()) - started < seconds:
            try:
                status = connection.ask(message)
            except ConnectionRefusedError:
                mine.refused += 1
                time.sleep(PAUSE)
            except LostError as error:
                mine.lost.append(f"{error}, at {time.perf_counter() - started:.3f} s")
            else:
                mine.statuses[status] += 1
                mine.latencies.append(time.perf_counter() - begun)
            if fresh:
                connection.close()
        connection.close()
        with lock:
            report.add(mine)

    threads = [threading.Thread(target=work) for _ in range(connections)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    report.seconds = time.perf_counter() - started
    return report


def main() -> None:
    """Print the numbers."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("--body", type=Path, help="file of JSON to POST (default: GET)")
    parser.add_argument("--connections", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--fresh", action="store_true", help="a new connection each time")
    options = parser.parse_args()
    report = load(
        options.url,
        options.body.read_bytes() if options.body else None,
        connections=options.connections,
        seconds=options.seconds,
        fresh=options.fresh,
    )
    print(json.dumps(report.summary(), indent=2))


if __name__ == "__main__":
    main()
