"""What the service takes on: how large, how slow and how many requests may be."""

import asyncio
import contextlib
import json
from dataclasses import dataclass

from starlette.types import ASGIApp, Message, Receive, Scope, Send

PROBES = frozenset({"/health", "/ready", "/metrics"})  # answered even when there is too much to do


@dataclass(frozen=True)
class Limits:
    """Holds the limits of one process."""

    body: int = 1_048_576  # bytes; a full batch has about 600,000
    requests: int = 100  # answered or waited for at the same time
    read: float = 10.0  # seconds from the head of a request to the end of its body
    answer: float = 30.0  # seconds from there to the answer
    linger: float = 1.0  # seconds in which the client of a refused body may read why


class Refused(Exception):
    """Says why a request is not answered."""

    def __init__(self, status: int, detail: str) -> None:
        """Keep the status and the reason."""
        super().__init__(detail)
        self.status = status
        self.detail = detail


class Gone(Exception):
    """Says that the client hung up before its request was whole."""


class Limited:
    """Wraps an application and holds its clients to the limits."""

    def __init__(self, app: ASGIApp, limits: Limits) -> None:
        """Start with nothing to do."""
        self._app = app
        self._limits = limits
        self._requests = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or say at once that there are too many."""
        if scope["type"] != "http" or scope["path"] in PROBES:
            await self._app(scope, receive, send)
            return
        if self._requests >= self._limits.requests:
            detail = f"busy with {self._limits.requests} requests: ask again"
            await refuse(send, 503, detail, (b"retry-after", b"1"))
            return
        self._requests += 1
        try:
            await asyncio.sleep(0)  # those that came together are counted before one is answered
            await self._answer(scope, receive, send)
        finally:
            self._requests -= 1

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Read the body, have the application answer, and refuse what takes too much."""
        try:
            body = await self._body(scope, receive)
        except Gone:
            return
        except Refused as refused:
            await self._hang_up(refused, receive, send)
            return
        begun = False

        async def begin(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            async with asyncio.timeout(self._limits.answer) as deadline:
                await self._app(scope, _again(body, receive), begin)
        except TimeoutError:
            if begun or not deadline.expired():
                raise
            await refuse(send, 503, f"no answer within {self._limits.answer:g} seconds")

    async def _body(self, scope: Scope, receive: Receive) -> bytes:
        """Return the request's body, reading no further than the limits allow."""
        length = dict(scope["headers"]).get(b"content-length", b"0")
        if not length.isdigit() or int(length) > self._limits.body:
            raise self._too_large()
        body = bytearray()
        try:
            async with asyncio.timeout(self._limits.read):
                while (message := await receive())["type"] == "http.request":
                    body += message.get("body", b"")
                    if len(body) > self._limits.body:
                        raise self._too_large()
                    if not message.get("more_body", False):
                        return bytes(body)
        except TimeoutError as error:
            detail = f"the body did not arrive within {self._limits.read:g} seconds"
            raise Refused(408, detail) from error
        raise Gone

    async def _hang_up(self, refused: Refused, receive: Receive, send: Send) -> None:
        """Refuse a body, and close the connection, as the rest of the body is in the way on it.

        What still comes is thrown away for a moment: closing a connection on which bytes are
        unread resets it, and the client might never see the answer.
        """
        close = (b"connection", b"close")
        await refuse(send, refused.status, refused.detail, close, more=True)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._limits.linger):
                while (await receive()).get("more_body", False):
                    pass
        await send({"type": "http.response.body", "body": b""})

    def _too_large(self) -> Refused:
        return Refused(413, f"the body has more than {self._limits.body} bytes")


def _again(body: bytes, receive: Receive) -> Receive:
    """Return a channel that gives the body in one piece, then what the server has to say."""
    waiting: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Message:
        return waiting.pop() if waiting else await receive()

    return replay


async def refuse(
    send: Send, status: int, detail: str, *headers: tuple[bytes, bytes], more: bool = False
) -> None:
    """Answer with a status and a reason; with `more`, the end of the answer is still to be sent."""
    body = json.dumps({"detail": detail}).encode()
    length = (b"content-length", str(len(body)).encode())
    start = [(b"content-type", b"application/json"), length, *headers]
    await send({"type": "http.response.start", "status": status, "headers": start})
    await send({"type": "http.response.body", "body": body, "more_body": more})
