"""The requests of `support.registry`: which path does what."""

import contextlib
import dataclasses
import hashlib
import http.server
import json
import re
import secrets
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

if TYPE_CHECKING:
    from support.registry import Registry

__all__ = ["Fault", "Running", "Seen", "digest_of"]

_PATH = re.compile(
    r"/v2/(?P<name>[a-z0-9._/-]+)/(?P<kind>blobs/uploads|blobs|manifests|referrers)/(?P<what>[^/]*)"
)
_INDEX = "application/vnd.oci.image.index.v1+json"


def digest_of(data: bytes) -> str:
    """Return the digest of bytes as registries write it."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What happens to one request instead of what should."""

    status: int = 0  # answer this and do nothing; 0: do what was asked
    instead: int = 0  # do what was asked and answer this
    headers: Mapping[str, str] = dataclasses.field(default_factory=dict)
    body: bytes = b""
    take: int | None = None  # bytes of the request's body that are read, and kept, before
    stall: bool = False  # wait for `Registry.free`
    drop: bool = False  # close the connection instead of an answer
    cut: int | None = None  # bytes of the answer's body after which the connection ends
    expire: bool = False  # no token that was given before holds any more
    lie: bytes | None = None  # the answer's body instead of the right one


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One request, as it came, and what it was answered."""

    method: str
    path: str
    headers: Mapping[str, str]
    received: int  # bytes of the body
    status: int  # 0: the connection was closed


class Running(http.server.ThreadingHTTPServer):
    """The server of one registry."""

    daemon_threads = True

    def __init__(self, registry: "Registry") -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.registry = registry

    def handle_error(self, *_: object) -> None:
        """Say nothing: connections end here on purpose."""


class _Handler(http.server.BaseHTTPRequestHandler):
    server: Running
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def _serve(self) -> None:
        self.registry, self.received = self.server.registry, 0
        self.left = int(self.headers.get("Content-Length", "0"))
        url = urlsplit(self.path)
        self.query = {key: values[0] for key, values in parse_qs(url.query).items()}
        self.fault: Fault = self.registry.fault(self.command, self.path)
        with contextlib.suppress(ConnectionError):
            self._do(url.path)

    def _record(self, status: int) -> None:
        # Before the answer: whoever has it may look at once.
        seen = Seen(
            method=self.command,
            path=self.path,
            headers=dict(self.headers.items()),
            received=self.received,
            status=status,
        )
        self.registry.seen.append(seen)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = _serve  # noqa: N815 -- http.server's names

    def _do(self, path: str) -> None:
        if path == "/token":
            return self._token()
        found = _PATH.fullmatch(path)
        self.name = found["name"] if found else ""
        write = self.command in {"POST", "PUT", "PATCH"}
        if self.fault.expire:
            self.registry.expire()
        wanted = self.registry.refuses(
            self.headers.get("Authorization", ""), self.name, write=write
        )
        if wanted is not None:
            self.close_connection = self.left > 0
            return self._error(401, "UNAUTHORIZED", {"WWW-Authenticate": wanted})
        if self.fault.stall:
            self.registry.stalled.release()
            self.registry.free.wait(30)
        if self.fault.take is not None:
            self._keep_part(found["what"] if found else "")
        if self.fault.drop:
            self._record(0)
            self.close_connection = True
            return None
        if self.fault.status:
            self.close_connection = self.left > 0
            return self._send(self.fault.status, self.fault.body, dict(self.fault.headers))
        if path == "/v2/":
            return self._send(200, b"{}")
        if not found:
            return self._error(404, "NOT_FOUND")
        kind = found["kind"].replace("blobs/uploads", "uploads")
        return getattr(self, f"_{self.command.lower()}_{kind}")(found["what"])

    # --- reading

    def _get_manifests(self, which: str) -> None:
        held = self.registry.manifests.get(self.name, {}).get(which)
        if held is None:
            return self._error(404, "MANIFEST_UNKNOWN")

        return self._send(
            200, held[1], {"Content-Type": held[0], "Docker-Content-Digest": digest_of(held[1])}
        )

    _head_manifests = _get_manifests

    def _get_blobs(self, digest: str) -> None:
        data = self.registry.blobs.get(self.name, {}).get(digest)
        if data is None:
            return self._error(404, "BLOB_UNKNOWN")
        if self.registry.elsewhere and self.command == "GET":
            return self._send(307, b"", {"Location": f"{self.registry.elsewhere}{self.path}"})
        status, wanted = 200, re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        headers = {}
        if wanted:
            start = int(wanted[1])
            headers = {"Content-Range": f"bytes {start}-{len(data) - 1}/{len(data)}"}
            status, data = 206, data[start:]
        return self._send(status, data, headers)

    _head_blobs = _get_blobs

    def _get_referrers(self, digest: str) -> None:
        if not self.registry.has_referrers:
            return self._error(404, "NOT_FOUND")
        found = []
        for held, (kind, data) in self.registry.manifests.get(self.name, {}).items():
            document = json.loads(data)
            if held.startswith("sha256:") and document.get("subject", {}).get("digest") == digest:
                entry = {"mediaType": kind, "digest": held, "size": len(data)}
                entry["artifactType"] = document.get("artifactType", "")
                found.append(entry)
        index = {"schemaVersion": 2, "mediaType": _INDEX, "manifests": found}
        return self._send(200, json.dumps(index).encode(), {"Content-Type": _INDEX})

    # --- writing

    def _post_uploads(self, _: str) -> None:
        source, digest = self.query.get("from", ""), self.query.get("mount", "")
        held = self.registry.blobs.get(source, {}).get(digest)
        if held is not None and self.registry.has_mount:
            self.registry.blobs.setdefault(self.name, {})[digest] = held
            return self._send(201, b"", {"Location": f"/v2/{self.name}/blobs/{digest}"})
        made = secrets.token_hex(6)
        self.registry.uploads[made] = bytearray()
        headers = self._place(made)
        if self.registry.least_chunk:
            headers["OCI-Chunk-Min-Length"] = str(self.registry.least_chunk)
        return self._send(202, b"", headers)

    def _get_uploads(self, upload: str) -> None:
        if upload not in self.registry.uploads:
            return self._error(404, "BLOB_UPLOAD_UNKNOWN")
        return self._send(204, b"", self._place(upload))

    def _patch_uploads(self, upload: str) -> None:
        held = self.registry.uploads.get(upload)
        if held is None:
            return self._error(404, "BLOB_UPLOAD_UNKNOWN")
        start = self.headers.get("Content-Range", "0-").partition("-")[0]
        if int(start) != len(held):
            return self._error(416, "RANGE_INVALID", self._place(upload))
        held += self._body()
        return self._send(202, b"", self._place(upload))

    def _put_uploads(self, upload: str) -> None:
        held = self.registry.uploads.get(upload)
        if held is None:
            return self._error(404, "BLOB_UPLOAD_UNKNOWN")
        if self.left and not self.registry.has_monolithic:
            self.close_connection = True
            return self._send(413, b"<html>too large</html>")
        held += self._body()

        if digest_of(bytes(held)) != self.query["digest"]:
            return self._error(400, "DIGEST_INVALID")
        self.registry.blobs.setdefault(self.name, {})[self.query["digest"]] = bytes(held)
        del self.registry.uploads[upload]
        return self._send(201, b"", {"Docker-Content-Digest": self.query["digest"]})

    def _put_manifests(self, which: str) -> None:

        data = self._body()
        digest = digest_of(data)
        if self.registry.missing(self.name, data):
            self.registry.early.append(f"{self.name}@{digest}")
        held = self.registry.manifests.setdefault(self.name, {})
        held[which] = held[digest] = (self.headers["Content-Type"], data)
        headers = {"Docker-Content-Digest": digest}
        subject = json.loads(data).get("subject")
        if subject and self.registry.has_referrers:
            headers["OCI-Subject"] = subject["digest"]
        return self._send(201, b"", headers)

    def _token(self) -> None:
        fields = parse_qs(urlsplit(self.path).query)
        if self.command == "POST":
            fields = parse_qs(self._body().decode())
        if self.fault.status:
            return self._send(self.fault.status, self.fault.body, dict(self.fault.headers))
        given = self.registry.token(self.headers.get("Authorization", ""), fields)
        if given is None:
            return self._error(401, "UNAUTHORIZED")
        return self._send(200, json.dumps(given).encode())

    # --- bytes

    def _place(self, upload: str) -> dict[str, str]:
        end = max(0, len(self.registry.uploads[upload]) - 1)
        place = f"/v2/{self.name}/blobs/uploads/{upload}?_state={secrets.token_hex(4)}"
        return {"Location": place, "Range": f"0-{end}"}

    def _body(self, most: int | None = None) -> bytes:
        data = self.rfile.read(self.left if most is None else min(most, self.left))
        self.received += len(data)
        self.left -= len(data)
        return data

    def _keep_part(self, upload: str) -> None:
        part = self._body(self.fault.take)
        if upload in self.registry.uploads:
            self.registry.uploads[upload] += part
        time.sleep(0.01)  # so that what is sent further meets a closed door

    def _error(self, status: int, code: str, headers: dict[str, str] | None = None) -> None:
        body = {"errors": [{"code": code, "message": code.lower().replace("_", " ")}]}
        self._send(status, json.dumps(body).encode(), headers)

    def _send(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        if self.left and not self.close_connection:
            self._body()
        status = self.fault.instead or status
        self._record(status)
        self.send_response(status)
        body = body if self.fault.lie is None else self.fault.lie
        for name, value in {**(headers or {}), **self.fault.headers}.items():
            self.send_header(name, value)
        if status != 204:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD" and status != 204:
            self.wfile.write(body[: self.fault.cut])
            self.close_connection |= self.fault.cut is not None

    def log_message(self, *_: object) -> None:
        """Say nothing."""
