"""The service refuses what is too large, too slow or too much, and says so."""

import asyncio
import json
from collections.abc import Iterable
from dataclasses import dataclass, field

import pytest
from starlette.types import Message, Receive, Scope, Send

from churn.limits import PROBES, Limited, Limits

LIMITS = Limits(body=10, requests=2, read=0.05, answer=0.05, linger=0.05)


async def echo(_: Scope, receive: Receive, send: Send) -> None:
    """Answer with the body."""
    body = (await receive())["body"]
    if body == b"slow":
        await asyncio.sleep(60)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body})


@dataclass
class Client:
    """Sends a body in parts, and keeps the answer."""

    parts: list[bytes]
    length: int | None = None
    path: str = "/predict"
    read: int = 0
    sent: list[Message] = field(default_factory=list)
    read_before: int = 0  # parts that were read when the answer began

    async def receive(self) -> Message:
        """Give the next part; after the last of an unfinished body, wait for ever."""
        if self.read == len(self.parts):
            await asyncio.sleep(60)
        self.read += 1
        more = self.read < len(self.parts) or self.length is not None
        return {"type": "http.request", "body": self.parts[self.read - 1], "more_body": more}

    async def send(self, message: Message) -> None:
        """Keep a part of the answer."""
        self.read_before = self.read_before if self.sent else self.read
        self.sent.append(message)

    async def ask(self, app: Limited) -> tuple[int, str]:
        """Return status and text of the answer."""
        length = [] if self.length is None else [(b"content-length", str(self.length).encode())]
        scope = {"type": "http", "path": self.path, "headers": length}
        await app(scope, self.receive, self.send)
        return self.sent[0]["status"], self.sent[1]["body"].decode()

    @property
    def headers(self) -> dict[bytes, bytes]:
        """Return the headers of the answer."""
        return dict(self.sent[0]["headers"])


def ask(*clients: Client) -> list[tuple[int, str]]:
    """Return what clients that ask at the same time are answered."""
    app = Limited(echo, LIMITS)

    async def together() -> Iterable[tuple[int, str]]:
        return await asyncio.gather(*(client.ask(app) for client in clients))

    return list(asyncio.run(together()))


def test_body_up_to_the_limit() -> None:
    """A body in parts arrives in one piece."""
    assert ask(Client([b"01234", b"56789"])) == [(200, "0123456789")]


def test_announced_size_is_refused_unread() -> None:
    """Content-Length alone is reason enough."""
    client = Client([b"x"] * 11, length=11)
    assert ask(client) == [(413, '{"detail": "the body has more than 10 bytes"}')]
    assert client.read_before == 0
    assert client.headers[b"connection"] == b"close"


def test_chunks_are_counted() -> None:
    """Without a length, reading stops with the part that is too much."""
    client = Client([b"0123456", b"789a", b"thrown away"])
    assert ask(client)[0][0] == 413
    assert client.read_before == 2
    assert client.read == 3


def test_slow_body() -> None:
    """A body that stops arriving is not waited for."""
    (answer,) = ask(Client([b"half"], length=8))
    assert answer == (408, '{"detail": "the body did not arrive within 0.05 seconds"}')


def test_slow_answer() -> None:
    """An answer that takes too long is given up."""
    (answer,) = ask(Client([b"slow"]))
    assert answer == (503, '{"detail": "no answer within 0.05 seconds"}')


@pytest.mark.parametrize("path", sorted(PROBES))
def test_too_many_requests(path: str) -> None:
    """What is over the limit is told to come again; probes are answered all the same."""
    clients = [Client([b"one"]), Client([b"two"]), Client([b"three"]), Client([b"ok"], path=path)]
    answers = ask(*clients)
    assert answers[:2] == [(200, "one"), (200, "two")]
    assert answers[2][0] == 503
    assert clients[2].headers[b"retry-after"] == b"1"
    assert json.loads(answers[2][1]) == {"detail": "busy with 2 requests: ask again"}
    assert answers[3] == (200, "ok")


def test_places_are_given_back() -> None:
    """Refused and finished requests leave room for others."""
    app = Limited(echo, LIMITS)

    async def one_after_the_other() -> list[int]:
        return [(await Client([text]).ask(app))[0] for text in (b"a", b"slow", b"0" * 11, b"b")]

    assert asyncio.run(one_after_the_other()) == [200, 503, 413, 200]
