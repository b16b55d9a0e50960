"""Retries and resumed bodies, of indexes and registries alike.

urllib3's own `Retry` is not used: it cannot continue a body, renew a token between two tries or be
stopped, and hides how often it asked. There is no `If-Range`: what is fetched has a digest that is
checked at the end, and mirrors that have the same bytes give them different ETags.
"""

import random
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import TypeVar

from lockstitch import clock
from lockstitch.digest import Digest, Hasher
from lockstitch.errors import LockstitchError
from lockstitch.net.transport import Answer, TransportError
from lockstitch.store import Store

RETRIED = frozenset({408, 425, 429, 499, 500, 502, 503, 504, 522})  # statuses
FORWARD = 1 << 20  # bytes after which a broken connection counts as a first failure again
_TRIES = 5
_PARTIAL, _NO_MORE = 206, 416
_CHUNK = 1 << 18

Result = TypeVar("Result")
Ask = Callable[[Mapping[str, str]], Answer]  # sends one GET with these headers more


class Retryable(Exception):  # noqa: N818 -- a signal between functions
    """A failure after which another try may succeed."""

    def __init__(self, error: LockstitchError, wait: float | None = None) -> None:
        """Keep the error to raise after the last try, and the seconds that the server asked for."""
        super().__init__(error.message)
        self.error = error
        self.wait = wait


class Retry:
    """Up to five tries; waits double from the first, 20 % more or less, up to a minute.

    The time in a Retry-After header comes first, up to a minute too.
    """

    def __init__(self, first_wait: float, stopped: threading.Event | None = None) -> None:
        """`first_wait` is in seconds; after `stopped` is set there is no other try."""
        self._first_wait = first_wait
        self._stopped = stopped or threading.Event()

    def call(self, once: Callable[[], Result]) -> Result:
        """Return a function's result; raises the LockstitchError of its last Retryable."""
        number = 1
        while True:
            try:
                return once()
            except Retryable as failure:
                self.pause(number, failure)
                number += 1

    def pause(self, number: int, failure: Retryable) -> None:
        """Wait before the next try; raises the failure's LockstitchError after the last one."""
        if number >= _TRIES or self._stopped.is_set():
            raise failure.error from failure
        wait = failure.wait
        if wait is None:
            wait = self._first_wait * 2 ** (number - 1) * random.uniform(0.8, 1.2)  # noqa: S311 -- jitter
        clock.sleep(min(wait, 60))  # seconds

    def body(
        self, ask: Ask, received: Hasher, size: int | None, broken: Callable[[str], LockstitchError]
    ) -> Iterator[bytes]:
        """Yield the bytes after those received, over as many connections as it takes.

        It ends before `size` only where the server says that it has no more, and soon after it
        where there are more: the digest of `received` decides what the bytes are. `broken` gives
        the LockstitchError for a reason, which is raised after the last try.
        """
        number, reached = 1, received.size
        while size is None or received.size < size:
            try:
                yield from _rest(ask, received, size, broken)
            except Retryable as failure:
                if received.size - reached >= FORWARD:
                    number, reached = 1, received.size
                self.pause(number, failure)
                number += 1
            else:
                return


def _rest(
    ask: Ask, received: Hasher, size: int | None, broken: Callable[[str], LockstitchError]
) -> Iterator[bytes]:
    """Yield one answer's bytes after those received; raises Retryable when it ends early."""
    start = received.size
    with ask({"Range": f"bytes={start}-"} if start else {}) as answer:
        if answer.status == _NO_MORE:
            return
        skip = 0 if answer.status == _PARTIAL else start  # a server without ranges sends all
        try:
            for chunk in answer.stream(_CHUNK):
                fresh, skip = chunk[skip:], max(0, skip - len(chunk))
                received.update(fresh)
                if fresh:
                    yield fresh
                if size is not None and received.size > size:
                    return
        except TransportError as error:
            expected = "" if size is None else f" of {size}"
            reason = f"the connection ended after {received.size}{expected} bytes ({error})"
            raise Retryable(broken(reason)) from error
    if size is not None and received.size < size:
        reason = f"the connection ended after {received.size} of {size} bytes"
        raise Retryable(broken(reason))


def bring(
    store: Store,
    digest: Digest,
    size: int | None,
    read: Callable[[Hasher], Iterator[bytes]],
    wrong: Callable[[Hasher], LockstitchError],
) -> None:
    """Put a blob into the store, after what an earlier command left of it.

    `read` yields what comes after the bytes that a hasher has. Raises the error of `wrong` for
    bytes that are not the digest's; when a part was left by an earlier command, all is read anew
    first. The lock keeps a second process from reading the same blob beside this one.
    """
    with store.lock(digest.hex):
        if store.has_whole(digest, size):
            return
        partial = store.partial(digest)
        while True:
            received = Hasher()
            with partial.open("a+b") as handle:
                handle.seek(0)
                while chunk := handle.read(_CHUNK):
                    received.update(chunk)
                left = received.size
                try:
                    if size is None or left < size:
                        for chunk in read(received):
                            handle.write(chunk)
                except LockstitchError as error:
                    # A server that gives no rest of it may still give all.
                    if not left or received.size > left or isinstance(error.__cause__, Retryable):
                        raise
                    handle.truncate(0)
                    continue
            if received.digest() == digest and size in {None, received.size}:
                store.adopt(partial, digest)
                return
            partial.unlink()
            if not left:
                raise wrong(received)
