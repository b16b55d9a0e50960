"""Authorization headers for one registry: none, basic, or tokens, one cache for all threads.

Source: distribution's docs, "Token authentication specification" and "OAuth2 token
authentication"; RFC 9110, 11.6.1 for challenges.
"""

import json
import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import urlencode, urlsplit

from lockstitch import clock
from lockstitch.errors import LockstitchError, printable
from lockstitch.net.transport import Answer, shown
from lockstitch.oci.registry.errors import refusal
from lockstitch.oci.registry.logins import Known, Logins

__all__ = ["Challenge", "Scopes", "Tokens", "challenges", "pull", "push"]

Scopes = frozenset[str]  # such as `repository:library/python:pull`
_SCHEME = re.compile(r"\s*,?\s*([A-Za-z][A-Za-z0-9-]*)(?:\s+|$|(?=,))")
_PARAMETER = re.compile(r'\s*,?\s*([A-Za-z_-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s",]+))')
_LIFE = 60  # seconds that a token lives when its server does not say
_MARGIN = 10  # seconds before its end at which it is not used any more
_TOKEN = re.compile(r"[\x21-\x7e]{1,65536}")
_LONGEST = 1 << 20
_OK = 200
_CLIENT = "lockstitch"


@dataclass(frozen=True, slots=True, kw_only=True)
class Challenge:
    """What a registry wants to see: a scheme in lower case and its parameters."""

    scheme: str
    parameters: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Token:
    header: str
    ends: float  # of the monotonic clock


def pull(repository: str) -> Scopes:
    """Return what reading a repository needs."""
    return frozenset({f"repository:{repository}:pull"})


def push(repository: str) -> Scopes:
    """Return what writing to a repository needs."""
    return frozenset({f"repository:{repository}:pull,push"})


def challenges(header: str) -> list[Challenge]:
    """Return the challenges of a WWW-Authenticate header, in its order."""
    found = []
    at = 0
    while scheme := _SCHEME.match(header, at):
        at = scheme.end()
        parameters = {}
        while parameter := _PARAMETER.match(header, at):
            at = parameter.end()
            quoted = re.sub(r"\\(.)", r"\1", parameter[2] or "")
            parameters[parameter[1].lower()] = quoted or parameter[3] or ""
        found.append(Challenge(scheme=scheme[1].lower(), parameters=parameters))
    return found


Ask = Callable[[str, str, Mapping[str, str], bytes | None], Answer]  # method, url, headers, body


class Tokens:
    """Gives each request of one registry its header, and asks again when one is refused."""

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
        """Take in what the registry's first answer wants."""
        with self._guard:
            self._take(header)

    @property
    def wanted(self) -> bool:
        """Whether the registry has asked who one is."""
        return self._challenge is not None

    def header(self, repository: str, scopes: Scopes) -> str:
        """Return the Authorization header for a request, or an empty text."""
        with self._guard:
            return self._header(repository, scopes)

    def renew(self, repository: str, scopes: Scopes, used: str, wanted: str) -> bool:
        """Drop the header that was refused; return whether there is another one to try."""
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
            for each in offered:
                if each.scheme == scheme:
                    self._challenge = each
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
            answer = self._ask("POST", realm, _FORM, _refresh(known.identity, query, scopes))
        else:
            login = known.login if known else None
            query += [("account", login.user), ("client_id", _CLIENT)] if login else []
            sent = {"Authorization": login.header()} if login else {}
            joint = "&" if urlsplit(realm).query else "?"
            answer = self._ask("GET", f"{realm}{joint}{urlencode(query)}", sent, None)
        with answer:
            if answer.status != _OK:
                raise refusal(answer, _asked(realm, known), hint=f"lockstitch login {self._host}")
            return _read(answer, realm, started)


def _asked(realm: str, known: Known | None) -> str:
    who = f"the login from {known.source}" if known else "nobody"
    return f"`{printable(shown(realm))}` gives {who} no token"


_FORM = {"Content-Type": "application/x-www-form-urlencoded"}


def _refresh(identity: str, query: list[tuple[str, str]], scopes: Scopes) -> bytes:
    fields = {key: value for key, value in query if key == "service"}
    fields |= {"grant_type": "refresh_token", "refresh_token": identity, "client_id": _CLIENT}
    return urlencode(fields | {"scope": " ".join(sorted(scopes))}).encode()


def _read(answer: Answer, realm: str, started: float) -> _Token:
    try:
        document = json.loads(answer.read(_LONGEST))
        token = document.get("token") or document["access_token"]
        life = document.get("expires_in")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        token, life = None, None
    if not isinstance(token, str) or not _TOKEN.fullmatch(token):
        message = f"`{printable(shown(realm))}` answered with what is no token"
        raise LockstitchError(message)
    seconds = life if isinstance(life, int) and life > 0 else _LIFE
    # A token of a few seconds is still used once.
    return _Token(header=f"Bearer {token}", ends=started + max(seconds - _MARGIN, seconds / 2))
