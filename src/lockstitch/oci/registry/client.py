"""Requests to registries: which scheme, whose login, how often, and where redirects may lead."""

import random
import threading
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar
from urllib.parse import urljoin, urlsplit

from lockstitch import clock
from lockstitch.errors import printable
from lockstitch.net.credentials import LOOPBACK
from lockstitch.net.transport import Answer, Transport, TransportError, retry_after, shown
from lockstitch.oci.reference import DOCKER
from lockstitch.oci.registry.errors import Again, RegistryError, refusal
from lockstitch.oci.registry.logins import Logins
from lockstitch.oci.registry.tokens import Scopes, Tokens

__all__ = ["PARALLEL", "TRIES", "Call", "Client", "Host", "is_loopback"]

PARALLEL = 6
TRIES = 5
_REDIRECTS = 5
_RENEWALS = 2
_LONGEST_WAIT = 60  # seconds
_BAD_REQUEST, _UNAUTHORIZED, _FORBIDDEN = 400, 401, 403
_REDIRECTED = frozenset({301, 302, 303, 307, 308})
_RETRIED = frozenset({408, 425, 429, 499, 500, 502, 503, 504, 522})

Body = Callable[[], bytes | Iterable[bytes]]
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request: what it is about in words, and the statuses that are answers to it."""

    method: str
    path: str  # below the registry's address, or a whole URL that it gave
    what: str  # such as "the manifest `1.0` of `localhost:5000/app`"
    repository: str
    scopes: Scopes
    wanted: frozenset[int] = frozenset({200})
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Body | None = None  # called for each try: it gives the same bytes each time
    patience: float = 60  # seconds that the registry may be silent
    resent: bool = True  # whether the same bytes may be sent twice when a token has expired


class Client:
    """All registries of one command: connections, tokens and the hosts that may speak http."""

    def __init__(
        self,
        *,
        insecure: Collection[str] = (),
        logins: Logins | None = None,
        first_wait: float = 0.5,
    ) -> None:
        """`insecure` are hosts (with port) that may be asked over http; loopback always may.

        `first_wait` is the seconds before the first retry.
        """
        self._insecure = frozenset(insecure)
        self._logins = logins or Logins()
        self._first_wait = first_wait
        self._transport = Transport(PARALLEL + 2)
        self._hosts: dict[str, Host] = {}
        self._guard = threading.Lock()

    def host(self, name: str) -> "Host":
        """Return the registry of a host as references name it; the same one each time."""
        with self._guard:
            if name not in self._hosts:
                plain = is_loopback(name) or name in self._insecure
                self._hosts[name] = Host(
                    name, self._transport, self._logins, plain=plain, first_wait=self._first_wait
                )
            return self._hosts[name]


class Host:
    """One registry."""

    def __init__(
        self, name: str, transport: Transport, logins: Logins, *, plain: bool, first_wait: float
    ) -> None:
        """`plain` allows http."""
        self.name = name
        self._address = f"registry-1.{DOCKER}" if name == DOCKER else name
        self._transport = transport
        self._logins = logins
        self._plain = plain
        self._first_wait = first_wait
        self.base = ""  # scheme, host and port, once `open` has found them out
        self._tokens = Tokens(name, logins, self._ask_for_token)
        self._guard = threading.Lock()

    def call(self, call: Call) -> Answer:
        """Return the answer, which the caller closes; its status is one of those wanted.

        Retries what may go better a second time, follows redirects of GET and HEAD, and gets
        a new token when one has expired. Raises RegistryError with the registry's words.
        """
        return self.retry(lambda: self.once(call))

    def once(self, call: Call) -> Answer:
        """Do the same without retries; raises Again when another try may go better."""
        self.open()
        url = self.joined(self.base + "/", call.path)
        for _ in range(_REDIRECTS + 1):
            answer = self._authorized(url, call)
            if answer.status in call.wanted:
                return answer
            if answer.status not in _REDIRECTED or call.method not in {"GET", "HEAD"}:
                with answer:
                    raise self._problem(answer, call)
            location = answer.location
            answer.close()
            url = self.joined(url, location)
        message = f"{call.what}: `{self.name}` redirects more than {_REDIRECTS} times"
        raise RegistryError(message)

    def check(self) -> bool:
        """Hold the login against the registry; return whether it asked for one at all.

        Raises RegistryError when it refuses the login.
        """
        self.open()
        what = f"the login to `{self.name}`"
        call = Call(method="GET", path="/v2/", what=what, repository="", scopes=frozenset())
        with self.call(call):
            return self._tokens.wanted

    def retry(self, once: Callable[[], Result]) -> Result:
        """Return what a function returns that may raise Again, called up to five times."""
        number = 1
        while True:
            try:
                return once()
            except Again as failure:
                self.pause(number, failure)
                number += 1

    def pause(self, number: int, failure: Again) -> None:
        """Wait before the next try, or raise the failure's error after the last one."""
        if number >= TRIES:
            raise failure.error from failure
        wait = failure.wait
        if wait is None:
            wait = self._first_wait * 2 ** (number - 1) * random.uniform(0.8, 1.2)  # noqa: S311 -- jitter
        clock.sleep(min(wait, _LONGEST_WAIT))

    def joined(self, url: str, location: str) -> str:
        """Return the URL that a Location means; raises RegistryError when it may not be asked."""
        try:
            parts = urlsplit(urljoin(url, location))
            host, _ = parts.hostname or "", parts.port
        except ValueError:
            parts, host = urlsplit(""), ""
        known = host == urlsplit(self.base).hostname
        if parts.scheme == "http" and known and self.base.startswith("https:"):
            # A registry behind a proxy that speaks TLS for it, and does not know of it.
            parts = urlsplit(f"{self.base}{parts.path}")._replace(query=parts.query)
        near = known or is_loopback(host)
        plain = parts.scheme == "http" and self.base.startswith("http:") and near
        if not host or not (parts.scheme == "https" or plain):
            message = (
                f"`{self.name}` leads to `{printable(shown(parts.geturl()))}`, which is not an "
            )
            message += "https address"
            raise RegistryError(message)
        return parts.geturl()

    # --- one request

    def open(self) -> None:
        """Find out the scheme and what login is wanted, once."""
        with self._guard:
            if not self.base:
                self.base = self.retry(self._ping)

    def _ping(self) -> str:
        """Return the registry's address with its scheme (distribution spec, "end-1")."""
        what = f"`{self.name}`"
        for scheme in ("http", "https") if self._plain else ("https",):
            base = f"{scheme}://{self._address}"
            try:
                with self._transport.request("GET", f"{base}/v2/", headers={}) as answer:
                    # What speaks TLS says so with 400, or with a way to https.
                    if scheme == "http" and answer.status in {_BAD_REQUEST, *_REDIRECTED}:
                        continue
                    if answer.status in _RETRIED:
                        raise Again(refusal(answer, what), retry_after(answer.headers))
                    if answer.status == _UNAUTHORIZED:
                        self._tokens.challenge(answer.headers.get("WWW-Authenticate", ""))
                    return base
            except TransportError as error:
                failure = error
        raise self._broken(failure, what)

    def _authorized(self, url: str, call: Call) -> Answer:
        """Send a request; again with another token when the registry does not take this one."""
        if not self._same(url):
            return self._send(url, call, "")
        used = self._tokens.header(call.repository, call.scopes)
        answer = self._send(url, call, used)
        for _ in range(_RENEWALS):
            wanted = answer.headers.get("WWW-Authenticate", "")
            if answer.status != _UNAUTHORIZED or not self._tokens.renew(
                call.repository, call.scopes, used, wanted
            ):
                break
            with answer:
                if not call.resent:
                    raise Again(refusal(answer, call.what), 0)
                used = self._tokens.header(call.repository, call.scopes)
            answer = self._send(url, call, used)
        return answer

    def _send(self, url: str, call: Call, authorization: str) -> Answer:
        headers = dict(call.headers) | ({"Authorization": authorization} if authorization else {})
        try:
            return self._transport.request(
                call.method,
                url,
                headers=headers,
                body=call.body() if call.body else None,
                public=self._public(url),
                patience=call.patience,
            )
        except TransportError as error:
            raise self._broken(error, call.what) from error

    def _ask_for_token(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | None
    ) -> Answer:
        target = self.joined(self.base or f"https://{self._address}", url)

        def once() -> Answer:
            what = f"`{shown(target)}`"
            try:
                answer = self._transport.request(
                    method, target, headers=headers, body=body, public=self._public(target)
                )
            except TransportError as error:
                raise self._broken(error, what) from error
            if answer.status in _RETRIED:
                with answer:
                    raise Again(refusal(answer, what), retry_after(answer.headers))
            return answer

        return self.retry(once)

    def _same(self, url: str) -> bool:
        """Return whether a URL is the registry's own: nobody else is told a login."""
        return _origin(url) == _origin(self.base)

    def _public(self, url: str) -> bool:
        """Return whether a URL may not lead into a private network: a public one gave it."""
        return not self._same(url) and not self._transport.private(self.base)

    # --- words

    def _problem(self, answer: Answer, call: Call) -> Exception:
        if answer.status in _RETRIED:
            return Again(refusal(answer, call.what), retry_after(answer.headers))
        if answer.status not in {_UNAUTHORIZED, _FORBIDDEN}:
            return refusal(answer, call.what)
        source = self._tokens.source(call.repository)
        error = refusal(answer, call.what, hint="; ".join([_login(self.name), *self.troubles()]))
        who = f"the login from {source}" if source else "a request without login"
        message = f"{error.message} (`{self.name}` refuses {who})"
        return RegistryError(message, hint=error.hint, status=error.status, codes=error.codes)

    def troubles(self) -> list[str]:
        """Return why helpers could not be asked for a login."""
        return sorted(set(self._logins.troubles))

    def _broken(self, error: TransportError, what: str) -> Exception:
        hint = f"check that {self.name} answers, then run the same command again"
        if error.final:
            hint = "SSL_CERT_FILE=CA.pem adds a certificate authority" if error.untrusted else ""
        elif not self._plain:
            hint += "; if it speaks http and you trust the way to it: "
            hint += f"--insecure-registry {self.name}"
        found = RegistryError(f"{what}: no answer: {error}", hint=hint)
        return found if error.final else Again(found)


def is_loopback(host: str) -> bool:
    """Return whether a host, with or without port, is this machine."""
    name = urlsplit(f"//{host}").hostname or ""
    return name in LOOPBACK or name.endswith(".localhost")


def _login(host: str) -> str:
    return f"lockstitch login {host}"


def _origin(url: str) -> tuple[str, str, int]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname or "", parts.port or {"http": 80}.get(parts.scheme, 443)
