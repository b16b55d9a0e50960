"""Sends one blob: mounted, in one piece, or in chunks; resumed after a drop (spec 1.1, "Push")."""

from collections.abc import Callable, Iterator
from functools import partial
from urllib.parse import quote, urlencode

from lockstitch.net.retry import FORWARD, Retryable
from lockstitch.net.transport import Answer
from lockstitch.oci.layer import Layer, checked
from lockstitch.oci.model import Descriptor
from lockstitch.oci.registry.client import (
    Call,
    Host,
    RegistryError,
    Scopes,
    pull_scopes,
    push_scopes,
)
from lockstitch.patterns import regex
from lockstitch.values import frozen

MOUNTED, SENT = "mounted", "sent"
_CHUNK = 16 << 20  # ECR wants 5 MiB at least
_OFTEN = 3  # of five tries: that many less where the registry refuses the whole
_PATIENCE = 300  # seconds for a registry that moves gigabytes to their place before it answers
_OK, _CREATED, _ACCEPTED, _NO_CONTENT = 200, 201, 202, 204
_WRONG, _NOT_FOUND, _TOO_LARGE, _RANGE = 400, 404, 413, 416
# What registries say to a mount that they cannot do, beside 202; and to an upload they forgot.
_NO_MOUNT = frozenset({400, 401, 403, 404, 405})
_FORGOTTEN = frozenset({400, 403, 404, 405})
_SIZE = regex(r"[0-9]{1,12}")
_HELD = regex(r"(?:bytes=)?0-([0-9]{1,15})")


@frozen
class Blob:
    """A descriptor and the bytes behind it, which can be read more than once."""

    descriptor: Descriptor
    chunks: Callable[[], Iterator[bytes]]  # raises LockstitchError at the end of wrong bytes
    title: str

    @classmethod
    def of_layer(cls, layer: Layer) -> "Blob":
        """Return the blob of a layer; nothing of it is read yet."""
        descriptor = Descriptor.of_layer(layer.facts)
        return cls(descriptor=descriptor, chunks=partial(checked, layer), title=layer.created_by)

    @classmethod
    def of_bytes(cls, descriptor: Descriptor, data: bytes, title: str) -> "Blob":
        """Return the blob of bytes in memory, such as a config."""
        return cls(descriptor=descriptor, chunks=lambda: iter((data,)), title=title)


class BlobReader:
    """Reads a blob from where it is asked to; one that is read in order is read once."""

    def __init__(self, blob: Blob) -> None:
        self._blob = blob
        self._at = 0
        self._left = b""
        self._chunks = _held(blob.chunks())

    def part(self, start: int, length: int) -> Iterator[bytes]:
        """Yield `length` bytes from `start`, never the whole in memory."""
        if start < self._at:
            self._at, self._left, self._chunks = 0, b"", _held(self._blob.chunks())
        while self._at < start:
            self._take(start - self._at)
        end = start + length
        while self._at < end:
            yield self._take(end - self._at)

    def _take(self, most: int) -> bytes:
        data = self._left or next(self._chunks)
        self._left = data[most:]
        self._at += min(most, len(data))
        return data[:most]


def _held(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Yield each chunk after the next one was read: the last comes when all were found right.

    A registry that is sent wrong bytes never has all of them, even if it checks nothing.
    """
    before = b""
    for chunk in chunks:
        if before:
            yield before
        before = chunk or before
    if before:
        yield before


class _Session:
    """An upload that the registry has begun, and the least bytes of a chunk that it takes."""

    def __init__(self, location: str, least: int) -> None:
        self.location, self.least = location, least


class Upload:
    """One blob on its way to one repository."""

    chunked = False  # whether a whole blob is too large for one request

    def __init__(
        self, host: Host, repository: str, blob: Blob, advance: Callable[[int], None]
    ) -> None:
        """`advance` is told of bytes that are sent for the first time."""
        self._host = host
        self._repository = repository
        self._blob = blob
        self._bytes = BlobReader(blob)
        self._advance = advance
        self._reached = 0
        self._scopes: Scopes = push_scopes(repository)

    def run(self, sources: tuple[str, ...]) -> str:
        """Mount the blob, or send it; return MOUNTED or SENT. Raises RegistryError."""
        session: _Session | None = None
        for source in sources:
            try:
                session = self._host.retry.call(partial(self._mount, source))
            except RegistryError as error:
                if error.status in _NO_MOUNT:
                    continue  # a registry that cannot, or a login that may not read there
                raise
            if session is None:
                return MOUNTED
            break  # what it has begun in place of the mount is used
        self._send(session)
        return SENT

    # --- the beginning

    def _mount(self, source: str) -> _Session | None:
        """Return None when it is mounted, else what the registry has begun in its place."""
        query = urlencode({"mount": self._blob.descriptor.digest, "from": source})
        scopes = self._scopes | pull_scopes(source)
        call = self._call("POST", f"?{query}", frozenset({_CREATED, _ACCEPTED}), scopes=scopes)
        with self._host.once(call) as answer:
            return None if answer.status == _CREATED else self._session(answer)

    def _begin(self) -> _Session:
        with self._host.once(self._call("POST", "", frozenset({_ACCEPTED}))) as answer:
            return self._session(answer)

    def _session(self, answer: Answer) -> _Session:
        least = _SIZE.fullmatch(answer.headers.get("OCI-Chunk-Min-Length", ""))
        return _Session(self._location(answer), int(least[0]) if least else 0)

    def _location(self, answer: Answer, before: str = "") -> str:
        location = answer.headers.get("Location", "") or before
        if not location:
            raise RegistryError(f"{self._what}: the registry does not say where the bytes shall go")
        return self._host.joined(self._host.base, location)

    # --- the bytes

    def _send(self, session: _Session | None) -> None:
        """Send what the registry does not have, again and again while that goes forward."""
        number, start = 1, 0
        while True:
            before = self._reached
            try:
                if session is None:
                    session, start = self._begin(), 0
                self._complete(session, start)
            except Retryable as failure:
                number = 1 if self._reached - before >= FORWARD else number
                self._host.retry.pause(number, failure)
                if self._reached and self._exists():
                    return  # the answer was lost, not the bytes
                session, start = self._resumed(session)
            except RegistryError as error:
                # An upload that went on from bytes which are not ours, or that was forgotten; or
                # somebody else sends the same blob, which some storages answer with 400 too.
                if error.status not in {_NOT_FOUND, _WRONG}:
                    raise
                if error.status == _WRONG and self._exists():
                    return
                number = max(number, _OFTEN) if error.status == _WRONG and not start else number
                self._host.retry.pause(number, Retryable(error))
                session = None
            else:
                return
            number += 1

    def _complete(self, session: _Session, start: int) -> None:
        if not (self._whole(session, start) or self._exists()):
            message = f"{self._what}: the registry took all bytes and does not have the blob"
            raise RegistryError(message)

    def _whole(self, session: _Session, start: int) -> bool:
        """Send all bytes from `start`; return whether the registry says that it has the blob."""
        size = self._blob.descriptor.size
        if start == 0 and not self.chunked:
            call = self._part("PUT", self._finish(session), 0, size)
            with self._host.once(call) as answer:
                if answer.status != _TOO_LARGE:
                    return answer.status == _CREATED
            self.chunked = True
            raise Retryable(RegistryError(f"{self._what}: HTTP {_TOO_LARGE}"), 0)
        step = max(_CHUNK, session.least)
        while start < size:
            length = min(step, size - start)
            with self._host.once(self._part("PATCH", session.location, start, length)) as answer:
                if answer.status == _TOO_LARGE:
                    raise self._too_large(length)
                if answer.status == _RANGE:
                    raise Retryable(RegistryError(f"{self._what}: HTTP {_RANGE}"), 0)
                session.location = self._location(answer, session.location)
            start += length
        with self._host.once(self._part("PUT", self._finish(session), size, 0)) as answer:
            return answer.status == _CREATED

    def _part(self, method: str, location: str, start: int, length: int) -> Call:
        def body() -> Iterator[bytes]:
            at = start
            for chunk in self._bytes.part(start, length):
                yield chunk
                at += len(chunk)
                if at > self._reached:
                    self._advance(at - self._reached)
                    self._reached = at

        headers = {"Content-Length": str(length), "Content-Type": "application/octet-stream"}
        if method == "PATCH":
            headers["Content-Range"] = f"{start}-{start + length - 1}"
        taken = {_CREATED, _ACCEPTED, _NO_CONTENT, _OK, _TOO_LARGE}
        return Call(
            method=method,
            path=location,
            what=self._what,
            repository=self._repository,
            scopes=self._scopes,
            wanted=frozenset(taken | {_RANGE} if method == "PATCH" else taken),
            headers=headers,
            body=body if length else bytes,
            patience=_PATIENCE,
            resent=not length,
        )

    def _finish(self, session: _Session) -> str:
        joint = "&" if "?" in session.location else "?"
        return f"{session.location}{joint}digest={quote(self._blob.descriptor.digest, safe='')}"

    # --- after something went wrong

    def _resumed(self, session: _Session | None) -> tuple[_Session | None, int]:
        """Return the session and how many bytes the registry has; none where it forgot them.

        Distribution 2.8 gives an upload up that broke off, the first time it is asked for it.
        """
        if session is None:
            return None, 0
        wanted = frozenset({_NO_CONTENT, _OK, _ACCEPTED}) | _FORGOTTEN
        call = self._call("GET", session.location, wanted)
        try:
            answer = self._host.call(call)
        except RegistryError:
            return None, 0
        with answer:
            held = _HELD.fullmatch(answer.headers.get("Range", ""))
            if answer.status in _FORGOTTEN or not held:
                return None, 0
            session.location = self._location(answer, session.location)
            # `0-0` may be one byte or none: one more sent is refused, one less is a new start.
            have = int(held[1]) + 1
        return (session, have) if 1 < have <= self._blob.descriptor.size else (None, 0)

    def _exists(self) -> bool:
        path = f"/v2/{self._repository}/blobs/{self._blob.descriptor.digest}"
        with self._host.call(self._call("HEAD", path, frozenset({_OK, _NOT_FOUND}))) as answer:
            return answer.status == _OK

    def _too_large(self, length: int) -> RegistryError:
        message = f"{self._what}: HTTP {_TOO_LARGE}, for a chunk of {length} bytes"
        hint = "a proxy before the registry limits the size of requests: raise that limit"
        return RegistryError(message, hint=hint, status=_TOO_LARGE)

    # --- requests

    @property
    def _what(self) -> str:
        name = f"{self._host.name}/{self._repository}"
        return f"the blob {self._blob.descriptor.digest} ({self._blob.title:.60}) to `{name}`"

    def _call(
        self, method: str, path: str, wanted: frozenset[int], *, scopes: Scopes | None = None
    ) -> Call:
        below = f"/v2/{self._repository}/blobs/uploads/"
        return Call(
            method=method,
            path=path if path.startswith(("/", "http:", "https:")) else below + path,
            what=self._what,
            repository=self._repository,
            scopes=scopes or self._scopes,
            wanted=wanted,
            body=bytes if method == "POST" else None,
            headers={"Content-Length": "0"} if method == "POST" else {},
        )
