"""Brings what locks name into the store: parallel, resumed, retried, hashed while reading."""

import contextlib
import random
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO
from urllib.parse import urljoin, urlsplit

from lockstitch import clock, threads
from lockstitch.digest import Digest, Hasher
from lockstitch.errors import LockstitchError
from lockstitch.net.credentials import LOOPBACK, Credentials, Login
from lockstitch.net.transport import Answer, Transport, TransportError, retry_after, shown
from lockstitch.progress import Reporter, Task
from lockstitch.store import Store

__all__ = ["Download", "Fetcher", "ask", "shown"]

_TRIES = 5
_PARALLEL = 8
_CHUNK = 1 << 18
_RETRIED = frozenset({408, 425, 429, 499, 500, 502, 503, 504, 522})
_REFUSED = frozenset({401, 403})
_REDIRECTS = 5
_STOPPED = "another download failed"
_PARTIAL = 206
_NO_MORE = 416
_GONE = frozenset({404, 410})


@dataclass(frozen=True, slots=True, kw_only=True)
class Download:
    """A file that a lock names: where from, and what its bytes must be."""

    name: str
    url: str
    digest: Digest
    size: int | None


class _Again(Exception):  # noqa: N818 -- a signal between two functions of this module
    """Says that a try failed in a way that another one may not."""

    def __init__(self, reason: str, wait: float | None = None) -> None:
        """Keep the reason and the seconds that the server asked for."""
        super().__init__(reason)
        self.wait = wait


class Fetcher:
    """Brings files into the store; one pool of connections for all of them."""

    def __init__(
        self, store: Store, *, credentials: Credentials | None = None, first_wait: float = 0.5
    ) -> None:
        """Use this store; `first_wait` is the seconds before the first retry.

        Without `credentials` nobody is told who asks.
        """
        self._store = store
        self._credentials = credentials
        self._first_wait = first_wait
        self._transport = Transport(_PARALLEL)
        self._stopped = threading.Event()

    def fetch(self, downloads: Sequence[Download], progress: Reporter) -> None:
        """Bring every file into the store, and raise one LockstitchError with all that failed."""
        missing = {d.digest: d for d in downloads if not self._store.has(d.digest, d.size)}
        if not missing:
            return
        total = sum(d.size or 0 for d in missing.values())
        # Biggest first, so that one large wheel does not start when the others have ended.
        queue = sorted(missing.values(), key=lambda d: (-(d.size or 0), d.name))
        label = f"fetch {len(queue)} file{'s' if len(queue) > 1 else ''}"
        with progress.task(label, total) as task:
            threads.run(
                queue,
                lambda download: self._one(download, task),
                parallel=_PARALLEL,
                stopped=self._stopped,
            )

    def read(self, url: str, *, limit: int) -> bytes:
        """Return a small resource such as an index, refusing one of more than `limit` bytes."""
        return self._retry(url, lambda: self._read_once(url, limit))

    def _read_once(self, url: str, limit: int) -> bytes:
        with self._open(url, 0) as response:
            data = response.read(limit + 1)
        if len(data) > limit:
            message = f"`{shown(url)}` has more than {limit} bytes"
            raise LockstitchError(message)
        return data

    def _one(self, download: Download, task: Task) -> None:
        # The lock keeps a second process from downloading the same file beside this one.
        with self._store.lock(download.digest.hex):
            if self._store.has(download.digest, download.size):
                task.advance(download.size or 0)
                return
            self._retry(download.url, lambda: self._download(download, task), download.name)

    def _download(self, download: Download, task: Task) -> bytes:
        partial = self._store.partial(download.digest)
        hasher = Hasher()
        with partial.open("a+b") as handle:
            handle.seek(0)
            while chunk := handle.read(_CHUNK):
                hasher.update(chunk)
            if download.size is None or hasher.size < download.size:
                hasher = self._append(download, handle, hasher, task)
        if hasher.digest() != download.digest or download.size not in {None, hasher.size}:
            partial.unlink()
            size = f"{hasher.size} bytes"
            if download.size not in {None, hasher.size}:
                size = f"{hasher.size} of {download.size} bytes"
            message = f"`{download.name}` is not what the lock names: wanted {download.digest}, "
            message += f"got {hasher.digest()} ({size})"
            hint = "somebody replaced the file, or the lock is wrong: compare, then lockstitch lock"
            raise LockstitchError(message, hint=hint)
        self._store.adopt(partial, download.digest)
        return b""

    def _append(self, download: Download, handle: BinaryIO, hasher: Hasher, task: Task) -> Hasher:
        with self._open(download.url, hasher.size) as response:
            if response.status == _NO_MORE:
                return hasher  # no more bytes than these: the hash decides what they are
            if hasher.size and response.status != _PARTIAL:  # the server has no ranges: start over
                handle.truncate(0)
                hasher = Hasher()
            for chunk in response.stream(_CHUNK):
                if self._stopped.is_set():
                    raise _Again(_STOPPED)
                handle.write(chunk)
                hasher.update(chunk)
                task.advance(len(chunk))
                if download.size is not None and hasher.size > download.size:
                    break  # more than was promised: the hash will say so
        if download.size is not None and hasher.size < download.size:
            reason = f"the connection ended after {hasher.size} of {download.size} bytes"
            raise _Again(reason)
        return hasher

    @contextlib.contextmanager
    def _open(self, url: str, offset: int) -> Iterator[Answer]:
        try:
            with self._follow(url, offset) as response:
                yield response
        except TransportError as error:
            if error.address:
                message = f"`{shown(url)}` is not an address"
                raise LockstitchError(message, hint="lockstitch lock") from error
            raise _Again(str(error)) from error

    def _follow(self, url: str, offset: int) -> Answer:
        """Return the answer behind all redirects; each address gets the login of its own host."""
        headers = {"Range": f"bytes={offset}-"} if offset else {}
        for _ in range(_REDIRECTS + 1):
            if not shown(url).startswith(("http://", "https://")):
                message = f"`{shown(url)}` is not an http or https address"
                raise LockstitchError(
                    message, hint="lock the package from an index: lockstitch lock"
                )
            login = self._credentials.known(url) if self._credentials else None
            response = self._request(url, headers, login)
            if response.status in _REFUSED and self._credentials and not login:
                login = self._credentials.asked(url)
                if login:
                    response.close()
                    response = self._request(url, headers, login)
            if not response.location:
                self._check_status(response, url, login)
                return response
            response.close()
            url = _joined(url, response.location)
        reason = f"it redirects more than {_REDIRECTS} times"
        raise _Again(reason)

    def _request(self, url: str, headers: dict[str, str], login: Login | None) -> Answer:
        # Retries and redirects are ours: they resume, and a login goes to its own host only.
        sent = headers | ({"Authorization": login.header()} if login else {})
        return self._transport.request("GET", url, headers=sent)

    def _check_status(self, response: Answer, url: str, login: Login | None) -> None:
        if response.status in {200, _PARTIAL, _NO_MORE}:
            return
        response.close()
        if response.status in _RETRIED:
            reason = f"HTTP {response.status}"
            raise _Again(reason, retry_after(response.headers))
        message = f"`{shown(url)}` answered HTTP {response.status}"
        hint = "the lock names a file that is gone: lockstitch lock"
        if response.status in _REFUSED and self._credentials:
            host = urlsplit(url).hostname
            message += f": `{host}` refuses the login from {login.source}" if login else ""
            message += "" if login else f": `{host}` wants a user and a password, and none is known"
            hint = self._credentials.hint(url)
        elif response.status not in _GONE:
            hint = ""
        raise LockstitchError(message, hint=hint)

    def _retry(self, url: str, once: Callable[[], bytes], name: str = "") -> bytes:
        for number in range(1, _TRIES + 1):
            try:
                return once()
            except _Again as failure:
                if number == _TRIES or self._stopped.is_set():
                    message = f"`{name or shown(url)}` could not be fetched: {failure}"
                    hint = f"check that {shown(url)} answers, then run the same command again"
                    raise LockstitchError(message, hint=hint) from failure
                wait = failure.wait
                if wait is None:
                    wait = self._first_wait * 2 ** (number - 1) * random.uniform(0.8, 1.2)  # noqa: S311 -- jitter
                clock.sleep(min(wait, 30))
        raise AssertionError  # the loop returns or raises


def ask(url: str, body: bytes | None = None) -> tuple[int, bytes]:
    """Return status and body of one request to a program on this machine: GET, or POST of JSON.

    Raises LockstitchError when nothing answers there.
    """
    if urlsplit(url).hostname not in LOOPBACK:
        message = f"`{shown(url)}` is not on this machine"
        raise LockstitchError(message)
    headers = {"Content-Type": "application/json"} if body is not None else {}
    method = "POST" if body else "GET"
    try:
        with Transport(1).request(method, url, headers=headers, body=body, patience=10) as answer:
            return answer.status, b"".join(answer.stream())
    except TransportError as error:
        message = f"`{shown(url)}` does not answer: {error}"
        raise LockstitchError(message) from error


def _joined(url: str, location: str) -> str:
    try:
        return urljoin(url, location)
    except ValueError as error:
        message = f"`{shown(url)}` redirects to what is not an address"
        raise LockstitchError(message, hint="lockstitch lock") from error
