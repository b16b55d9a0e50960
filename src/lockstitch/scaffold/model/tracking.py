"""A tracking server of MLflow, asked by its REST API for the files of one model.

MLflow itself is not used: it is a large package, and would load what a server sends. What the
server answers is bounded in size, number and depth, and names only files below one folder.
"""

import base64
import json
import posixpath
import re
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any
from urllib.parse import quote, urlencode, urljoin, urlsplit

from lockstitch import environ
from lockstitch.errors import LockstitchError, printable
from lockstitch.net.credentials import LOOPBACK, Credentials, Login, bare, userinfo
from lockstitch.net.retry import RETRIED, Retry, Retryable
from lockstitch.net.transport import (
    Answer,
    Transport,
    TransportError,
    no_answer,
    retry_after,
    shown,
)
from lockstitch.values import frozen

VARIABLE = "MLFLOW_TRACKING_URI"
SCHEMES = ("models", "runs", "mlflow-artifacts")
_LOGIN = ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD")
_TOKEN = "MLFLOW_TRACKING_TOKEN"  # noqa: S105 -- a variable's name
_API = "/api/2.0/mlflow"
_FORMS = "as in models:/churn/3, models:/churn@champion, runs:/RUN/model"
_LARGEST = 8 << 20  # bytes of an answer that is read whole
_MOST, _DEEPEST = 10_000, 32  # files of a model, and folders in each other
_NAME = re.compile(r"[^/\\\x00-\x1f\x7f]{1,255}")
_REDIRECTS = 5
_OK, _NOT_FOUND = 200, 404
_REFUSED = frozenset({401, 403})


@frozen
class Remote:
    """A file of a model on a server: its path from the model's folder, and its bytes' address."""

    name: str
    size: int | None  # as the server says
    query: str


@frozen
class _Place:
    """A folder of artifacts: the address that lists it, and the address that gives a file of it."""

    listing: str  # with a query that a folder's path is added to, as `parameter`
    parameter: str
    reading: str  # which ends where a file's path goes
    root: str = ""  # of the model, where paths are from

    def list(self, folder: str) -> str:
        """Return the address that lists a folder; of the top one, MLflow wants no path at all."""
        query = urlencode({self.parameter: folder}) if folder else ""
        return f"{self.listing}{'&' if '=' in self.listing else '?'}{query}".rstrip("?&")


class Server:
    """A tracking server, asked for one model alone."""

    def __init__(self, address: str, login: Login | None = None) -> None:
        """Use a server by its address, which may hold a user and a password.

        Without a login, that of MLflow's variables is used.

        Raises LockstitchError for an address that is not http or https, and for a login that
        would travel over plain http to another machine.
        """
        if not address.startswith(("http://", "https://")) or not urlsplit(address).hostname:
            message = f"`{VARIABLE}` is `{_without_login(address)}`, not the address of a server"
            hint = "give the model's folder, or start a server: "
            raise LockstitchError(message, hint=f"{hint}mlflow server --backend-store-uri URI")
        self._login, self._source = (login.header(), login.source) if login else _login(address)
        self.address = bare(address).split("?")[0].split("#")[0].rstrip("/")
        self._host = urlsplit(self.address)
        if self._login and self._host.scheme == "http" and self._host.hostname not in LOOPBACK:
            message = f"`{self.address}` is not https: anybody on the way could read the login "
            message += f"from {self._source}"
            raise LockstitchError(message, hint=f"export {VARIABLE}=https://HOST")
        self._transport = Transport(4)  # the workers of a tracking server
        self._retry = Retry(0.5)  # seconds
        # As for indexes: what ~/.netrc knows of a host that wants a login.
        self._credentials = Credentials()

    # --- what a URI means

    def files(self, uri: str) -> tuple[list[Remote], str]:
        """Return a model's sorted files and lasting URI; raises LockstitchError for none."""
        place, fixed = self._place(uri)
        listed = sorted(self._walk(place), key=lambda file: file.name)
        if not any(file.name == "MLmodel" for file in listed):
            there = ", ".join(sorted({file.name.partition("/")[0] for file in listed})[:8])
            message = f"`{uri}` is no model: `{shown(self.address)}` has no file MLmodel there"
            raise LockstitchError(message, hint=f"there is: {there}" if there else _FORMS)
        return listed, fixed

    def _place(self, uri: str) -> tuple[_Place, str]:
        scheme, _, rest = uri.partition(":")
        path = posixpath.normpath(rest.lstrip("/"))
        if scheme not in SCHEMES or path.startswith(("..", ".")):
            raise LockstitchError(f"`{uri}` names no model", hint=_FORMS)
        if scheme == "mlflow-artifacts":
            if rest.startswith("//") and rest[2:3] != "/":
                path = path.partition("/")[2]  # the server that it names is this one
            return _proxied(path), uri
        head, _, below = path.partition("/")
        if scheme == "runs":
            return self._of_run(head, below), f"runs:/{path}"
        return self._of_registry(head, below, uri)

    def _of_registry(self, name: str, version: str, uri: str) -> tuple[_Place, str]:
        if not version and re.fullmatch(r"m-[0-9a-f]{8,64}", name):
            return _logged(name), uri
        name, _, alias = name.partition("@")
        if alias:
            query = urlencode({"name": name, "alias": alias})
            entry = self._ask(f"{_API}/registered-models/alias?{query}")
        elif version.isdecimal():
            query = urlencode({"name": name, "version": version})
            entry = self._ask(f"{_API}/model-versions/get?{query}")
        else:
            stages = [] if version.lower() in {"", "latest"} else [version]
            body = json.dumps({"name": name, "stages": stages}).encode()
            entry = self._ask(f"{_API}/registered-models/get-latest-versions", body)
            versions = [mapping for mapping in _list(entry, "model_versions") if _version(mapping)]
            if not versions:
                message = f"`{name}` has no version that `{version or 'latest'}` means"
                raise LockstitchError(message, hint=f"models:/{name}/1")
            entry = {"model_version": max(versions, key=_version)}
        known = entry.get("model_version")
        known = known if isinstance(known, Mapping) else {}
        number, source = str(known.get("version", version)), str(known.get("source", ""))
        fixed = f"models:/{name}/{number}"
        logged = re.fullmatch(r"models:/(m-[0-9a-f]{8,64})/?", source)
        if logged:
            return _logged(logged[1]), fixed
        query = urlencode({"name": name, "version": number})
        answer = self._ask(f"{_API}/model-versions/get-download-uri?{query}")
        return self._stored(
            str(answer.get("artifact_uri", "")), str(known.get("run_id", ""))
        ), fixed

    def _of_run(self, run: str, below: str) -> _Place:
        place = _run(run, below)
        if self._ask(place.list(below)).get("files"):
            return place
        # MLflow 3 keeps a model beside the run that logged it.
        name, _, rest = below.partition("/")
        info = self._run_info(run)
        wanted = "name = '" + name.replace("'", "") + "'"
        body = {"experiment_ids": [str(info.get("experiment_id", ""))], "filter": wanted}
        try:
            answer = self._ask(f"{_API}/logged-models/search", json.dumps(body).encode())
        except LockstitchError:  # a server without logged models
            return place
        for model in _list(answer, "models"):
            known = model.get("info")
            if isinstance(known, Mapping) and known.get("source_run_id") == run:
                return _logged(str(known.get("model_id", "")), rest)
        return place

    def _run_info(self, run: str) -> Mapping[str, Any]:
        answer = self._ask(f"{_API}/runs/get?{urlencode({'run_id': run})}").get("run")
        info = answer.get("info") if isinstance(answer, Mapping) else None
        return info if isinstance(info, Mapping) else {}

    def _stored(self, uri: str, run: str) -> _Place:
        """Return the place of artifacts by their own address, which the server reads for us."""
        if uri.startswith("mlflow-artifacts:"):
            return _proxied(urlsplit(uri).path.strip("/"))
        root = str(self._run_info(run).get("artifact_uri", "")).rstrip("/") if run else ""
        if root and uri.startswith(f"{root}/"):
            return _run(run, uri.removeprefix(f"{root}/").strip("/"))
        where = shown(uri) if "://" in uri else uri
        message = f"the model is at `{printable(where, 200)}`, which only MLflow itself can read"
        with_s3 = " --with boto3" if uri.startswith("s3:") else ""
        hint = f"uv run --no-project --with mlflow{with_s3} mlflow artifacts download "
        hint += f"--artifact-uri {printable(where, 200)} --dst-path model, then give that folder"
        raise LockstitchError(message, hint=hint)

    # --- files

    def _walk(self, place: _Place) -> Iterator[Remote]:
        waiting, count = [""], 0
        while waiting:
            folder = waiting.pop()
            listed = posixpath.join(place.root, folder).strip("/")
            entries = _list(self._ask(place.list(listed)), "files")
            for entry in entries:
                name = posixpath.basename(str(entry.get("path", "")).rstrip("/"))
                if name in {"", ".", ".."} or not _NAME.fullmatch(name):
                    message = f"`{shown(self.address)}` names a file `{printable(name)}`"
                    raise LockstitchError(message)
                path = f"{folder}/{name}".lstrip("/")
                count += 1
                if count > _MOST or path.count("/") > _DEEPEST:
                    what = f"more than {_MOST:,} files, or folders deeper than {_DEEPEST}"
                    message = f"the model has {what}"
                    raise LockstitchError(message)
                if entry.get("is_dir") is True:
                    waiting.append(path)
                    continue
                size = str(entry.get("file_size", ""))
                yield Remote(
                    name=path,
                    size=int(size) if re.fullmatch(r"\d{1,15}", size) else None,
                    query=place.reading + quote(posixpath.join(place.root, path)),
                )

    def read(self, file: Remote, limit: int) -> bytes:
        """Return a file that is read whole; raises LockstitchError when it is over the limit."""
        return b"".join(self.chunks(file, limit))

    def chunks(self, file: Remote, limit: int) -> Iterator[bytes]:
        """Yield a file's bytes; LockstitchError for more than `limit`, or not what was listed."""
        received = 0
        with self._retry.call(partial(self._once, "GET", file.query, None)) as answer:
            chunks = answer.stream()
            while True:
                try:
                    chunk = next(chunks, None)
                except TransportError as error:
                    raise self._broken(file, str(error)) from error
                if chunk is None:
                    break
                received += len(chunk)
                if received > limit:
                    message = f"`{file.name}` of the model has more than {limit:,} bytes"
                    raise LockstitchError(message)
                yield chunk
        if file.size not in {None, received}:
            raise self._broken(file, f"{received:,} of {file.size:,} bytes came")

    def _broken(self, file: Remote, reason: str) -> LockstitchError:
        message = f"`{file.name}` could not be fetched from `{shown(self.address)}`: {reason}"
        return LockstitchError(message, hint="run the same command again")

    # --- requests

    def _ask(self, query: str, body: bytes | None = None) -> Mapping[str, Any]:
        def once() -> bytes:
            with self._once("POST" if body else "GET", query, body) as answer:
                try:
                    return answer.read(_LARGEST + 1)
                except TransportError as error:
                    raise Retryable(self._silent(str(error))) from error

        data = self._retry.call(once)
        try:
            document = json.loads(data) if len(data) <= _LARGEST else None
        except (ValueError, RecursionError):
            document = None
        if not isinstance(document, dict):
            message = f"`{shown(self.address)}` does not answer as a tracking server of MLflow"
            raise LockstitchError(message, hint=f"correct {VARIABLE}")
        return document

    def _once(self, method: str, query: str, body: bytes | None) -> Answer:
        """Return the answer to one request; redirects are followed, the login is for one host."""
        url, asked = f"{self.address}{query}", False
        for _ in range(_REDIRECTS + 1):
            own = urlsplit(url)[:2] == self._host[:2]
            headers = {"Authorization": self._login} if own and self._login else {}
            headers |= {"Content-Type": "application/json"} if body else {}
            try:
                answer = self._transport.request(method, url, headers=headers, body=body)
            except TransportError as error:
                raise Retryable(self._silent(str(error))) from error
            if answer.status == _OK:
                return answer
            if answer.location and method == "GET":
                answer.close()
                url = urljoin(url, answer.location)
                continue
            if answer.status in _REFUSED and own and not self._login and not asked:
                asked = True
                known = self._credentials.asked(url)
                if known:
                    answer.close()
                    self._login, self._source = known.header(), known.source
                    continue
            raise self._refusal(answer, query)
        raise Retryable(self._silent(f"it redirects more than {_REDIRECTS} times"))

    def _silent(self, reason: str) -> LockstitchError:
        message, hint = no_answer(self.address, reason)
        return LockstitchError(message, hint=f"{hint}; {VARIABLE} says which server is asked")

    def _refusal(self, answer: Answer, query: str) -> Exception:
        with answer:
            try:
                told = json.loads(answer.read(1 << 16))
            except (TransportError, ValueError, RecursionError):
                told = None
        reason = printable(told.get("message", ""), 200) if isinstance(told, dict) else ""
        where = shown(self.address)
        if answer.status in RETRIED:
            failure = LockstitchError(f"`{where}` answered HTTP {answer.status}")
            return Retryable(failure, retry_after(answer.headers))
        if answer.status in _REFUSED:
            login = f"refuses the login from {self._source}" if self._login else "wants a login"
            hint = f"set {_LOGIN[0]} and {_LOGIN[1]}, or {_TOKEN}, or write the host into ~/.netrc"
            return LockstitchError(f"`{where}` {login}", hint=hint)
        message = f"`{where}`: {reason}" if reason else f"`{where}` answered HTTP {answer.status}"
        if answer.status == _NOT_FOUND and not reason:
            message += f" to `{query.partition('?')[0]}`"
        return LockstitchError(message, hint="look at the model's name and version on that server")


def _logged(model: str, below: str = "") -> _Place:
    api = f"/mlflow/logged-models/{quote(model, safe='')}/artifacts"
    return _Place(
        listing=f"/api/2.0{api}/directories",
        parameter="artifact_directory_path",
        reading=f"/ajax-api/2.0{api}/files?artifact_file_path=",
        root=below,
    )


def _run(run: str, below: str) -> _Place:
    name = quote(run, safe="")
    return _Place(
        listing=f"{_API}/artifacts/list?run_id={name}",
        parameter="path",
        reading=f"/get-artifact?run_uuid={name}&path=",
        root=below,
    )


def _proxied(path: str) -> _Place:
    api = "/api/2.0/mlflow-artifacts/artifacts"
    return _Place(listing=api, parameter="path", reading=f"{api}/", root=path)


def _login(address: str) -> tuple[str, str]:
    """Return the Authorization header that variables or the address give, and which of them."""
    token = environ.get(_TOKEN)
    user, password = (environ.get(name) for name in _LOGIN)
    source = " and ".join(_LOGIN)
    if not user and not token:
        user, password = userinfo(address)
        source = VARIABLE
    if user or password:
        pair = f"{user}:{password}".encode("utf-8", "surrogateescape")
        return "Basic " + base64.b64encode(pair).decode(), source
    return (f"Bearer {token}", _TOKEN) if token else ("", "")


def _without_login(address: str) -> str:
    return printable(re.sub(r"//[^/@\s]*@", "//", address))


def _list(answer: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    value = answer.get(key)
    return [item for item in value if isinstance(item, Mapping)] if isinstance(value, list) else []


def _version(entry: Mapping[str, Any]) -> int:
    text = str(entry.get("version", ""))
    return int(text) if re.fullmatch(r"\d{1,9}", text) else 0
