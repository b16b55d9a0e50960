"""Downloads the files that locks name: parallel, resumed, retried, hashed while reading."""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from urllib.parse import urljoin, urlsplit

from lockstitch import threads
from lockstitch.digest import Digest, Hasher
from lockstitch.errors import LockstitchError, raise_all
from lockstitch.net.credentials import LOOPBACK, Credentials, Login
from lockstitch.net.retry import RETRIED, Retry, Retryable, bring
from lockstitch.net.transport import (
    Answer,
    Transport,
    TransportError,
    no_answer,
    retry_after,
    shown,
)
from lockstitch.patterns import regex
from lockstitch.progress import Reporter, Task
from lockstitch.store import Store
from lockstitch.table import counted, first_of
from lockstitch.values import frozen

_PARALLEL = 8
_SHOWN = 3  # names of files that one error has
_UNFETCHED = " could not be fetched: "
_REFUSED = frozenset({401, 403})
_RANGE = regex(r"bytes (\d{1,15})-(\d{1,15})/(\d{1,15})")
_END = 64 << 10  # bytes: the zip directory of nine wheels in ten
_REDIRECTS = 5
_TAKEN = frozenset({200, 206, 416})  # whole, the rest of it, or no more than there is already
_GONE = frozenset({404, 410})


@frozen
class Download:
    """A file that a lock names: where from, and what its bytes must be."""

    name: str
    url: str
    digest: Digest
    size: int | None


class Fetcher:
    """Downloads into the store, with one pool of connections."""

    def __init__(
        self, store: Store, *, credentials: Credentials | None = None, first_wait: float = 0.5
    ) -> None:
        """Use a store; wait `first_wait` seconds before the first retry."""
        self._store = store
        self._credentials = credentials
        self._transport = Transport(_PARALLEL)
        self._first_wait = first_wait
        self._retry = Retry(first_wait)

    def fetch(
        self,
        downloads: Sequence[Download],
        progress: Reporter,
        stopped: threading.Event | None = None,
    ) -> None:
        """Download every file that the store lacks, until it is `stopped`.

        Raises one LockstitchError with all that failed.
        """
        missing = {d.digest: d for d in downloads if not self._store.has_whole(d.digest, d.size)}
        if not missing:
            return
        total = sum(d.size or 0 for d in missing.values())
        # Biggest first, so that one large wheel does not start when the others have ended.
        queue = sorted(missing.values(), key=lambda d: (-(d.size or 0), d.name))
        label = f"fetch {counted(len(queue), 'file')}"
        stopped = stopped or threading.Event()  # of this batch alone: another may follow
        try:
            with progress.task(label, total) as task:
                threads.run(
                    queue,
                    lambda download: self._one(download, task, stopped),
                    parallel=_PARALLEL,
                    stopped=stopped,
                )
        except LockstitchError as error:
            raise_all(_of_one_cause(error))

    def read(self, url: str, *, limit: int) -> bytes:
        """Return a resource of at most `limit` bytes; raises LockstitchError otherwise."""

        def once() -> bytes:
            with self._ask(url, shown(url), {}) as answer:
                try:
                    return answer.read(limit + 1)
                except TransportError as error:
                    raise Retryable(_failed(url, shown(url), str(error))) from error

        data = self._retry.call(once)
        if len(data) > limit:
            raise LockstitchError(f"`{shown(url)}` has more than {limit} bytes")
        return data

    def sizes(self, urls: Sequence[str]) -> dict[str, int]:
        """Return the bytes of files whose servers say them, by address; the others are left out."""

        def once(url: str) -> int:
            try:
                with self._ask(url, shown(url), {"Range": "bytes=0-0"}) as answer:
                    total = answer.headers.get("Content-Range", "").rpartition("/")[2]
                    text = total or answer.headers.get("Content-Length", "")
            except (LockstitchError, Retryable):
                return 0
            return int(text) if text.isdecimal() else 0

        answers = threads.run(urls, once, parallel=_PARALLEL)
        return {url: size for url, size in zip(urls, answers, strict=True) if size}

    def open(self, url: str) -> "RemoteFile":
        """Return a server's file, fetched in parts; raises LockstitchError without ranges."""
        return RemoteFile(partial(self._part, url))

    def _part(self, url: str, wanted: str) -> tuple[int, bytes, int]:
        """Return where a part of a file begins, its bytes, and the size of the whole file."""
        try:
            with self._ask(url, shown(url), {"Range": f"bytes={wanted}"}) as answer:
                match = _RANGE.fullmatch(answer.headers.get("Content-Range", ""))
                if answer.status != 206 or match is None:
                    raise LockstitchError(f"`{shown(url)}` is given as a whole only")
                first, last, size = (int(number) for number in match.groups())
                data = answer.read(last - first + 1)
        except Retryable as error:
            raise error.error from error
        except TransportError as error:
            raise _failed(url, shown(url), str(error)) from error
        if len(data) != last - first + 1:
            raise _failed(url, shown(url), "a part of it is shorter than its server says")
        return first, data, size

    def _one(self, download: Download, task: Task, stopped: threading.Event) -> None:
        fetched = 0
        retry = Retry(self._first_wait, stopped)

        def rest(received: Hasher) -> Iterator[bytes]:
            nonlocal fetched
            ask = partial(self._ask, download.url, download.name)
            broken = partial(_failed, download.url, download.name)
            for chunk in retry.body(ask, received, download.size, broken):
                if stopped.is_set():
                    raise broken("another download failed")
                yield chunk
                fetched += len(chunk)
                task.advance(len(chunk))

        def wrong(received: Hasher) -> LockstitchError:
            size = f"{received.size} bytes"
            if download.size not in {None, received.size}:
                size = f"{received.size} of {download.size} bytes"
            message = f"`{download.name}` is not what the lock names: wanted {download.digest}, "
            message += f"got {received.digest()} ({size})"
            hint = "somebody replaced the file, or the lock is wrong: compare, then lockstitch lock"
            return LockstitchError(message, hint=hint)

        bring(self._store, download.digest, download.size, rest, wrong)
        if not fetched:  # by another process meanwhile, or all of it before
            task.advance(download.size or 0)

    def _ask(self, url: str, name: str, headers: Mapping[str, str]) -> Answer:
        """Return the answer behind all redirects; each address gets the login of its own host."""
        start = url
        for _ in range(_REDIRECTS + 1):
            if not shown(url).startswith(("http://", "https://")):
                message = f"`{shown(url)}` is not an http or https address"
                raise LockstitchError(
                    message, hint="lock the package from an index: lockstitch lock"
                )
            login = self._credentials.known(url) if self._credentials else None
            answer = self._get(url, headers, login, name)
            if answer.status in _REFUSED and self._credentials and not login:
                login = self._credentials.asked(url)
                if login:
                    answer.close()
                    answer = self._get(url, headers, login, name)
            if not answer.location:
                if answer.status in _TAKEN:
                    return answer
                answer.close()
                if answer.status in RETRIED:
                    failure = _failed(start, name, f"HTTP {answer.status}")
                    raise Retryable(failure, retry_after(answer.headers))
                raise self._refused(answer.status, url, login.source if login else "", name)
            answer.close()
            try:
                url = urljoin(url, answer.location)
            except ValueError as error:
                message = f"`{shown(url)}` redirects to what is not an address"
                raise LockstitchError(message, hint="lockstitch lock") from error
        raise Retryable(_failed(start, name, f"it redirects more than {_REDIRECTS} times"))

    def _get(self, url: str, headers: Mapping[str, str], login: Login | None, name: str) -> Answer:
        sent = {**headers, "Authorization": login.header()} if login else headers
        try:
            return self._transport.request("GET", url, headers=sent)
        except TransportError as error:
            if error.address:
                message = f"`{shown(url)}` is not an address"
                raise LockstitchError(message, hint="lockstitch lock") from error
            reason, hint = no_answer(url, str(error))
            unsent = LockstitchError(f"`{name}`{_UNFETCHED}{reason}", hint=hint)
            raise Retryable(unsent) from error

    def _refused(self, status: int, url: str, source: str, name: str) -> LockstitchError:
        message = f"`{shown(url)}` answered HTTP {status}"
        hint = ""
        if status in _REFUSED and self._credentials:
            host = urlsplit(url).hostname
            message += f": `{host}` refuses the login from {source}" if source else ""
            if not source:
                message += f": `{host}` wants a user and a password, and none is known"
            hint = self._credentials.hint(url)
        elif status in _GONE and name.endswith(".whl"):
            message = f"`{name}` is withdrawn, or its project is: {message}"
            package = name.partition("-")[0]
            hint = f"lock a version that is there: lockstitch lock --upgrade {package}"
        elif status in _GONE:
            hint = "the lock names a file that is gone: lockstitch lock"
        return LockstitchError(message, hint=hint)


def _of_one_cause(error: LockstitchError) -> list[LockstitchError]:
    """Return the errors of downloads, those that differ by the file alone as one."""
    files: dict[tuple[str, str], list[str]] = {}
    for failure in error.everything():
        file, unfetched, reason = failure.message.partition(_UNFETCHED)
        name, why = (file, unfetched + reason) if unfetched else ("", failure.message)
        files.setdefault((why, failure.hint), []).append(name)
    return [
        LockstitchError(first_of(sorted(names), _SHOWN) + why, hint=hint)
        for (why, hint), names in files.items()
    ]


def _failed(url: str, name: str, reason: str) -> LockstitchError:
    message = f"`{name}`{_UNFETCHED}{reason}"
    hint = f"check that {shown(url)} answers, then run the same command again"
    return LockstitchError(message, hint=hint)


class RemoteFile:
    """The bytes of a file on a server, its end fetched first: what `zipfile` reads a wheel by."""

    def __init__(self, part: Callable[[str], tuple[int, bytes, int]]) -> None:
        """Fetch the end; `part` gives a range as HTTP writes it."""
        self._part = part
        self._start, self._end, self._size = part(f"-{_END}")
        self._at = 0

    def seekable(self) -> bool:
        """Return whether `seek` works."""
        return True

    def tell(self) -> int:
        """Return where the next byte is read."""
        return self._at

    def seek(self, offset: int, whence: int = 0) -> int:
        """Go to a place, as in any file."""
        self._at = max(0, offset + (0, self._at, self._size)[whence])
        return self._at

    def read(self, count: int = -1) -> bytes:
        """Return the next bytes; LockstitchError when they cannot be fetched."""
        last = self._size if count < 0 else min(self._at + count, self._size)
        if last <= self._at:
            return b""
        if self._at >= self._start:
            data = self._end[self._at - self._start : last - self._start]
        else:
            _, data, _ = self._part(f"{self._at}-{last - 1}")
        self._at = last
        return data


def ask(
    url: str, body: bytes | None = None, login: Login | None = None, *, patience: float = 10
) -> tuple[int, bytes]:
    """Return status and body of one request to a program on this machine: GET, or POST of JSON.

    `patience` is the seconds that it may be silent. Raises LockstitchError when nothing answers.
    """
    if urlsplit(url).hostname not in LOOPBACK:
        raise LockstitchError(f"`{shown(url)}` is not on this machine")
    headers = {"Content-Type": "application/json"} if body is not None else {}
    headers |= {"Authorization": login.header()} if login else {}
    method = "POST" if body else "GET"
    try:
        with Transport(1).request(
            method, url, headers=headers, body=body, patience=patience
        ) as answer:
            return answer.status, b"".join(answer.stream())
    except TransportError as error:
        raise LockstitchError(f"`{shown(url)}` does not answer: {error}") from error
