"""Requests to registries: which scheme, whose login, which token, and where redirects may lead.

Source: distribution spec 1.1; distribution's docs, "Token authentication specification" and
"OAuth2 token authentication"; RFC 9110, 11.6.1 for challenges.
"""

import re
import threading
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from urllib.parse import urlencode, urljoin, urlsplit

from lockstitch import clock
from lockstitch.digest import parse_json
from lockstitch.errors import LockstitchError, printable
from lockstitch.net.credentials import LOOPBACK
from lockstitch.net.retry import RETRIED, Retry, Retryable
from lockstitch.net.transport import (
    Answer,
    Transport,
    TransportError,
    no_answer,
    retry_after,
    shown,
)
from lockstitch.oci.reference import DOCKER
from lockstitch.oci.registry.logins import Known, Logins
from lockstitch.patterns import regex
from lockstitch.values import field, frozen

PARALLEL = 6
_REDIRECTS = 5
_RENEWALS = 2
_OK, _BAD_REQUEST, _UNAUTHORIZED, _FORBIDDEN = 200, 400, 401, 403
_REDIRECTED = frozenset({301, 302, 303, 307, 308})
_LARGEST_ERROR = 1 << 16  # bytes of an error's body
_LARGEST_TOKEN = 1 << 20
_SHOWN = 300  # characters of what an error says
_UNKNOWN = frozenset({"MANIFEST_UNKNOWN", "NAME_UNKNOWN"})
_SCHEME = regex(r"\s*,?\s*([A-Za-z][A-Za-z0-9-]*)(?:\s+|$|(?=,))")
_PARAMETER = regex(r'\s*,?\s*([A-Za-z_-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s",]+))')
_LIFE = 60  # seconds that a token lives when its server does not say
_MARGIN = 10  # seconds before its end at which it is not used any more
_TOKEN = regex(r"[\x21-\x7e]{1,65536}")
_CLIENT = "lockstitch"

Scopes = frozenset[str]  # such as `repository:library/python:pull`
Body = Callable[[], bytes | Iterable[bytes]]
Ask = Callable[[str, str, Mapping[str, str], bytes | None], Answer]  # method, url, headers, body


class RegistryError(LockstitchError):
    """A registry's refusal in its own words; `status` is HTTP's, `codes` are the spec's."""

    def __init__(
        self,
        message: str,
        *,
        hint: str = "",
        also: Sequence[LockstitchError] = (),
        status: int = 0,
        codes: tuple[str, ...] = (),
    ) -> None:
        super().__init__(message, hint=hint, also=also)
        self.status = status
        self.codes = codes


def refusal(answer: Answer, what: str, *, hint: str = "") -> RegistryError:
    """Return the error for an answer that refuses `what`, such as "the manifest `1.0`"."""
    codes, line = _words(answer)
    message = f"{what}: HTTP {answer.status}{f', {line}' if line else ''}"
    unknown = not hint and bool(_UNKNOWN & {*codes})
    hint = "name a repository and a tag that are there" if unknown else hint
    return RegistryError(message, hint=hint, status=answer.status, codes=codes)


def _words(answer: Answer) -> tuple[tuple[str, ...], str]:
    """Return the codes of an error's body and one line that shows all of them."""
    try:
        errors = parse_json(answer.read(_LARGEST_ERROR))["errors"]
        pairs = [(str(error["code"]), str(error.get("message") or "")) for error in errors]
    except (TransportError, ValueError, KeyError, TypeError, AttributeError):
        return (), ""
    lines = [f"{code}: {message}" if message else code for code, message in pairs]
    return tuple(code for code, _ in pairs), printable("; ".join(lines), _SHOWN)


# --- who one is


@frozen
class Challenge:
    """A registry's request for a login: a scheme in lower case and its parameters."""

    scheme: str
    parameters: Mapping[str, str]


@frozen
class _Token:
    header: str
    ends: float  # of the monotonic clock


def pull_scopes(repository: str) -> Scopes:
    """Return the scope of reading a repository."""
    return frozenset({f"repository:{repository}:pull"})


def push_scopes(repository: str) -> Scopes:
    """Return the scope of writing to a repository."""
    return frozenset({f"repository:{repository}:pull,push"})


def challenges(header: str) -> list[Challenge]:
    """Return the challenges of a WWW-Authenticate header, in its order."""
    parsed = []
    at = 0
    while scheme := _SCHEME.match(header, at):
        at = scheme.end()
        parameters = {}
        while parameter := _PARAMETER.match(header, at):
            at = parameter.end()
            quoted = re.sub(r"\\(.)", r"\1", parameter[2] or "")
            parameters[parameter[1].lower()] = quoted or parameter[3] or ""
        parsed.append(Challenge(scheme=scheme[1].lower(), parameters=parameters))
    return parsed


class Tokens:
    """The Authorization headers of one registry, renewed when they expire or are refused."""

    def __init__(self, host: str, logins: Logins, ask: Ask) -> None:
        """`ask` sends one request to the server of tokens, which may be another host."""
        self._host = host
        self._logins = logins
        self._ask = ask
        self._challenge: Challenge | None = None
        self._known: dict[str, Known | None] = {}
        self._cache: dict[tuple[str, Scopes], _Token] = {}
        self._guard = threading.Lock()

    def challenge(self, header: str) -> None:
        """Keep the challenge of the registry's first answer."""
        with self._guard:
            self._take(header)

    @property
    def wanted(self) -> bool:
        """Whether the registry has asked who one is."""
        return self._challenge is not None

    def header(self, repository: str, scopes: Scopes) -> str:
        """Return the Authorization header, empty without one; raises LockstitchError."""
        with self._guard:
            return self._header(repository, scopes)

    def renew(self, repository: str, scopes: Scopes, used: str, wanted: str) -> bool:
        """Drop a refused header; return whether another is left. Raises LockstitchError."""
        with self._guard:
            before = self._challenge
            self._take(wanted)
            held = self._cache.get((repository, scopes))
            if held and held.header == used:
                del self._cache[repository, scopes]
            changed = self._challenge != before
            now = self._header(repository, scopes)
            return bool(now) and (now != used or changed)

    def source(self, repository: str) -> str:
        """Return where the login for a repository is from, or an empty text."""
        with self._guard:
            known = self._login(repository)
        return known.source if known else ""

    def _take(self, header: str) -> None:
        offered = challenges(header)
        for scheme in ("bearer", "basic"):
            for challenge in offered:
                if challenge.scheme == scheme:
                    self._challenge = challenge
                    return

    def _login(self, repository: str) -> Known | None:
        if repository not in self._known:
            self._known[repository] = self._logins.find(self._host, repository)
        return self._known[repository]

    def _header(self, repository: str, scopes: Scopes) -> str:
        if self._challenge is None:
            return ""
        known = self._login(repository)
        if known and known.bearer:
            return f"Bearer {known.bearer}"
        if self._challenge.scheme == "basic":
            return known.login.header() if known and known.login else ""
        held = self._cache.get((repository, scopes))
        if held is None or held.ends <= clock.monotonic():
            held = self._token(self._challenge.parameters, known, scopes)
            self._cache[repository, scopes] = held
        return held.header

    def _token(self, parameters: Mapping[str, str], known: Known | None, scopes: Scopes) -> _Token:
        realm = parameters.get("realm", "")
        # Sorted: the same scopes make the same address, which a proxy may keep.
        query = [("scope", scope) for scope in sorted(scopes)]
        if parameters.get("service"):
            query.insert(0, ("service", parameters["service"]))
        started = clock.monotonic()
        if known and known.identity:
            headers = {"Content-Type": "application/x-www-form-urlencoded"}
            fields = {key: value for key, value in query if key == "service"}
            fields |= {"grant_type": "refresh_token", "refresh_token": known.identity}
            fields |= {"client_id": _CLIENT, "scope": " ".join(sorted(scopes))}
            answer = self._ask("POST", realm, headers, urlencode(fields).encode())
        else:
            login = known.login if known else None
            query += [("account", login.user), ("client_id", _CLIENT)] if login else []
            sent = {"Authorization": login.header()} if login else {}
            joint = "&" if urlsplit(realm).query else "?"
            answer = self._ask("GET", f"{realm}{joint}{urlencode(query)}", sent, None)
        with answer:
            if answer.status != _OK:
                who = f"the login from {known.source}" if known else "nobody"
                what = f"`{printable(shown(realm))}` gives {who} no token"
                raise refusal(answer, what, hint=f"lockstitch image login {self._host}")
            return _token(answer, realm, started)


def _token(answer: Answer, realm: str, started: float) -> _Token:
    try:
        document = parse_json(answer.read(_LARGEST_TOKEN))
        token = document.get("token") or document["access_token"]
        life = document.get("expires_in")
    except (ValueError, KeyError, TypeError, AttributeError):
        token, life = None, None
    if not isinstance(token, str) or not _TOKEN.fullmatch(token):
        raise LockstitchError(f"`{printable(shown(realm))}` answered with what is no token")
    seconds = life if isinstance(life, int) and life > 0 else _LIFE
    # A token of a few seconds is still used once.
    return _Token(header=f"Bearer {token}", ends=started + max(seconds - _MARGIN, seconds / 2))


# --- requests


@frozen
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
        self.name = name
        self._address = f"registry-1.{DOCKER}" if name == DOCKER else name
        self._transport = transport
        self._logins = logins
        self._plain = plain
        self.retry = Retry(first_wait)
        self.base = ""  # scheme, host and port, once `open` has found them out
        self._tokens = Tokens(name, logins, self._ask_for_token)
        self._guard = threading.Lock()

    def call(self, call: Call) -> Answer:
        """Return the answer, which the caller closes; its status is one of those wanted.

        Retries what may go better a second time, follows redirects of GET and HEAD, and gets
        a new token when one has expired. Raises RegistryError with the registry's words.
        """
        return self.retry.call(lambda: self.once(call))

    def once(self, call: Call) -> Answer:
        """Return the same without retries; raises Retryable for another try, else RegistryError."""
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
        raise RegistryError(f"{call.what}: `{self.name}` redirects more than {_REDIRECTS} times")

    def check(self) -> bool:
        """Check the login; return whether one is required. Raises RegistryError when refused."""
        self.open()
        what = f"the login to `{self.name}`"
        call = Call(method="GET", path="/v2/", what=what, repository="", scopes=frozenset())
        with self.call(call):
            return self._tokens.wanted

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
                self.base = self.retry.call(self._ping)

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
                    if answer.status in RETRIED:
                        raise Retryable(refusal(answer, what), retry_after(answer.headers))
                    if answer.status == _UNAUTHORIZED:
                        self._tokens.challenge(answer.headers.get("WWW-Authenticate", ""))
                    return base
            except TransportError as error:
                failure = error
        if failure.refused:  # nothing listens there: another try changes nothing
            message, hint = no_answer(f"https://{self.name}", str(failure))
            if is_loopback(self.name):
                hint = f"start the registry on {self.name}, or name another one"
            raise RegistryError(f"the registry {message}", hint=hint)
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
                    raise Retryable(refusal(answer, call.what), 0)
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
            if answer.status in RETRIED:
                with answer:
                    raise Retryable(refusal(answer, what), retry_after(answer.headers))
            return answer

        return self.retry.call(once)

    def _same(self, url: str) -> bool:
        """Return whether a URL is the registry's own: no other host is sent a login."""
        return _origin(url) == _origin(self.base)

    def _public(self, url: str) -> bool:
        """Return whether a URL may not lead into a private network: a public one gave it."""
        return not self._same(url) and not self._transport.private(self.base)

    # --- words

    def _problem(self, answer: Answer, call: Call) -> Exception:
        if answer.status in RETRIED:
            return Retryable(refusal(answer, call.what), retry_after(answer.headers))
        if answer.status not in {_UNAUTHORIZED, _FORBIDDEN}:
            return refusal(answer, call.what)
        source = self._tokens.source(call.repository)
        # Why helpers could not be asked for a login, after what to type.
        troubles = sorted(set(self._logins.troubles))
        hint = "; ".join([f"lockstitch image login {self.name}", *troubles])
        error = refusal(answer, call.what, hint=hint)
        who = f"the login from {source}" if source else "a request without login"
        message = f"{error.message} (`{self.name}` refuses {who})"
        return RegistryError(message, hint=error.hint, status=error.status, codes=error.codes)

    def _broken(self, error: TransportError, what: str) -> Exception:
        hint = f"check that {self.name} answers, then run the same command again"
        if error.final:
            hint = "SSL_CERT_FILE=CA.pem adds a certificate authority" if error.untrusted else ""
        elif not self._plain:
            hint += "; if it speaks http and you trust the way to it: "
            hint += f"--insecure-registry {self.name}"
        failure = RegistryError(f"{what}: no answer: {error}", hint=hint)
        return failure if error.final else Retryable(failure)


def is_loopback(host: str) -> bool:
    """Return whether a host, with or without port, is this machine."""
    name = urlsplit(f"//{host}").hostname or ""
    return name in LOOPBACK or name.endswith(".localhost")


def _origin(url: str) -> tuple[str, str, int]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname or "", parts.port or {"http": 80}.get(parts.scheme, 443)
