"""The only place that opens URLs: connections, proxies, TLS, and whom one is connected to.

One request, one answer: retries, redirects and logins are decided by those who ask.
"""

import contextlib
import ipaddress
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit

from lockstitch import clock, environ
from lockstitch.errors import LockstitchError
from lockstitch.net.credentials import LOOPBACK, Login, bare, userinfo

if TYPE_CHECKING:
    import socket

    import urllib3

_BLOCK = 1 << 18
_DRAINED = 1 << 16  # bytes that are read to keep a connection rather than open another
_CONNECT, _READ = 20, 60  # seconds of silence
_CONNECTING = 120  # seconds until a connection stands, TLS and a proxy's answer with it
_HEADERS = 120  # seconds until an answer begins, however steadily its headers drip
_SLOWEST = 4 << 10  # bytes a second of a body, below which a download is given up
_LONGEST = 600  # seconds for a document that is read whole
_DRAINING = 5  # seconds for the little that is left of a body


class TransportError(Exception):
    """The reason why no whole answer came, without an address, which may hold a password."""

    def __init__(
        self,
        reason: str,
        *,
        address: bool = False,
        private: bool = False,
        untrusted: bool = False,
        refused: bool = False,
    ) -> None:
        """Keep the reason; the first three flags say that another try is no use.

        `refused` says that nothing listens there: only what is starting may answer later.
        """
        super().__init__(reason)
        self.refused = refused
        self.address = address
        self.untrusted = untrusted
        self.final = address or private or untrusted


class _Watch:
    """Ends connections at their time, even of a server that drips: one thread for all."""

    def __init__(self) -> None:
        self._until: dict[int, tuple[float, socket.socket]] = {}
        self._wake = threading.Condition()
        self._thread: threading.Thread | None = None
        self._ended: set[int] = set()

    @contextlib.contextmanager
    def over(self, number: int, seconds: float) -> Iterator[None]:
        """Break the connection of a file descriptor off after some seconds; TransportError then."""
        if number < 0:
            yield
            return
        import socket

        # A second descriptor: TLS takes the first one over, and an answer may close it.
        sock = socket.socket(fileno=os.dup(number))
        key = id(sock)
        with self._wake:
            self._until[key] = (clock.monotonic() + seconds, sock)
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, daemon=True)
                self._thread.start()
        broken = None
        try:
            yield
        except Exception as error:  # noqa: BLE001 -- what a broken connection raises is told apart
            broken = error
        finally:
            with self._wake:
                self._until.pop(key, None)
                ended = key in self._ended
                self._ended.discard(key)
            sock.close()
        if ended:
            raise TransportError(_TOO_SLOW) from broken
        if broken is not None:
            raise broken

    def _run(self) -> None:
        while True:
            with self._wake:
                if not self._until:
                    self._thread = None
                    return
                now = clock.monotonic()
                for key, (until, sock) in [*self._until.items()]:
                    if until <= now:
                        self._ended.add(key)
                        del self._until[key]
                        with contextlib.suppress(OSError):
                            sock.shutdown(2)  # SHUT_RDWR
                self._wake.wait(_TICK)


_TICK = 0.5  # seconds
_TOO_SLOW = "it is too slow"
_WATCH = _Watch()


class Answer:
    """A status, headers and a body that is read once; closed at the end of a `with`."""

    def __init__(self, response: "urllib3.BaseHTTPResponse") -> None:
        self._response = response
        self.status = response.status
        self.headers: Mapping[str, str] = response.headers  # whose names have no case

    @property
    def location(self) -> str:
        """The address that a redirect leads to, or an empty text."""
        return self._response.get_redirect_location() or ""

    def read(self, limit: int) -> bytes:
        """Return up to `limit` bytes of the body; raises TransportError when it breaks off."""
        seconds = _READ + limit / _SLOWEST
        with _told(), _WATCH.over(self._descriptor(), min(seconds, _LONGEST)):
            return self._response.read(limit)

    def stream(self, size: int = _BLOCK) -> Iterator[bytes]:
        """Yield the body as it comes; raises TransportError when it breaks off."""
        with _told():
            chunks = self._response.stream(size, decode_content=False)
            while True:
                with _WATCH.over(self._descriptor(), _READ + size / _SLOWEST):
                    chunk = next(chunks, None)
                if chunk is None:
                    return
                yield chunk

    def _descriptor(self) -> int:
        """Return the number of the connection's descriptor, -1 when all was read."""
        try:
            return self._response.fileno()  # which a connection that ends with the answer has too
        except (OSError, ValueError, AttributeError):  # which `http.client` raises at the end
            return -1

    def close(self) -> None:
        """Give the connection up, read or not."""
        self._response.close()
        self._response.release_conn()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: object, trace: TracebackType | None
    ) -> None:
        """Keep the connection for the next request when little is left to read, else close it."""
        left = getattr(self._response, "length_remaining", None)
        if kind is None and left is not None and left <= _DRAINED:
            try:
                with _WATCH.over(self._descriptor(), _DRAINING):
                    self._response.drain_conn()
            except TransportError:
                self.close()
            self._response.release_conn()
        else:
            self.close()


class Transport:
    """Pools of connections: one for each proxy, and one without."""

    def __init__(self, parallel: int) -> None:
        """Keep up to this many connections to a host open."""
        self._parallel = parallel
        self._pools: dict[tuple[str, bool], urllib3.PoolManager] = {}
        self._private: dict[str, bool] = {}
        self._guard = threading.Lock()

    def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        body: bytes | Iterable[bytes] | None = None,
        public: bool = False,
        patience: float = _READ,
    ) -> Answer:
        """Return the answer to one request, whatever its status; redirects are not followed.

        A body of unknown length needs a Content-Length among the headers. With `public`, no
        byte goes to an address of a private network or of this machine. `patience` is the
        seconds that the server may be silent. Raises TransportError, or LockstitchError for a
        proxy whose address is none.
        """
        import urllib3

        if public and _named_private(urlsplit(url).hostname or ""):
            raise TransportError(_REFUSED, private=True)
        timeout = urllib3.Timeout(connect=_CONNECT, read=patience)
        with _told():
            response = self._pool(url, public=public).request(
                method,
                bare(url),
                headers={"User-Agent": "lockstitch", "Accept-Encoding": "identity", **headers},
                body=body,
                timeout=timeout,
                preload_content=False,
                retries=False,
                redirect=False,
            )
        return Answer(response)

    def private(self, url: str) -> bool:
        """Return whether the host of a URL that was asked before is on a private network."""
        host = urlsplit(url).hostname or ""
        return _named_private(host) or self._private.get(host, False)

    def _pool(self, url: str, *, public: bool) -> "urllib3.PoolManager":
        key = (_proxy(url), public)
        with self._guard:
            if key not in self._pools:
                self._pools[key] = self._new_pool(*key)
            return self._pools[key]

    def _new_pool(self, proxy: str, public: bool) -> "urllib3.PoolManager":  # noqa: FBT001 -- a key
        import urllib3

        if not proxy:
            pool = urllib3.PoolManager(maxsize=self._parallel, blocksize=_BLOCK)
            pool.pool_classes_by_scheme = _watched(_refuse if public else _noted(self._private))
            return pool
        user, password = userinfo(proxy)
        login = Login(user=user, password=password, source="the proxy's address")
        headers = {"Proxy-Authorization": login.header()} if user or password else {}
        try:
            pools = urllib3.ProxyManager(bare(proxy), maxsize=self._parallel, proxy_headers=headers)
        except (ValueError, urllib3.exceptions.HTTPError):  # its words have the whole address
            message = "the proxy in `HTTP_PROXY` or `HTTPS_PROXY` is not an http or https address"
            raise LockstitchError(message, hint="HTTPS_PROXY=http://HOST:PORT") from None
        pools.pool_classes_by_scheme = _watched(lambda _host, _peer: None)
        return pools


def _noted(known: dict[str, bool]) -> Callable[[str, str], None]:
    # Not a method: a connection that knew its transport would keep it, and so itself, for ever,
    # since urllib3 closes a pool when nothing knows the pool any more.
    def note(host: str, peer: str) -> None:
        known[host] = is_private(peer)

    return note


def _refuse(host: str, peer: str) -> None:
    del host
    if is_private(peer):
        raise TransportError(_REFUSED, private=True)


@contextlib.contextmanager
def _told() -> Iterator[None]:
    """Turn what urllib3 raises into a TransportError."""
    import urllib3

    try:
        yield
    except urllib3.exceptions.LocationValueError as error:
        raise TransportError(_reason(error), address=True) from error
    except urllib3.exceptions.HTTPError as error:
        raise TransportError(
            _reason(error), untrusted=_untrusted(error), refused=_is_refused(error)
        ) from error


_REFUSED = "it is an address of a private network"


def _watched(seen: Callable[[str, str], None]) -> "dict[str, type[urllib3.HTTPConnectionPool]]":
    """Return pools that tell host and address of each connection before a byte is sent.

    The connection's own address is looked at, not another answer of the name's server.
    """
    from urllib3.connection import HTTPConnection, HTTPSConnection
    from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

    def checked(sock: "socket.socket", host: str) -> "socket.socket":
        try:
            seen(host, sock.getpeername()[0])
        except BaseException:
            sock.close()
            raise
        return sock

    class Timed(HTTPConnection):
        def _new_conn(self) -> "socket.socket":
            sock = checked(super()._new_conn(), self.host)
            self._connecting.enter_context(_WATCH.over(sock.fileno(), _CONNECTING))
            return sock

        def _tunnel(self) -> None:
            super()._tunnel()
            self._connecting.close()  # a proxy that was given up answered with what had come
            self._connecting.enter_context(_WATCH.over(self.sock.fileno(), _CONNECTING))

        def connect(self) -> None:  # TLS and a proxy's answer are a part of it
            with contextlib.ExitStack() as self._connecting:
                super().connect()

        def send(self, data: Any) -> None:
            number = self.sock.fileno() if self.sock else -1
            size = len(data) if isinstance(data, bytes) else _BLOCK
            with _WATCH.over(number, _READ + size / _SLOWEST):
                super().send(data)

        def getresponse(self) -> "urllib3.HTTPResponse":  # type: ignore[override]  # as 2.x has it
            number = self.sock.fileno() if self.sock else -1
            with _WATCH.over(number, max(_HEADERS, 2 * (self.timeout or 0))):
                return super().getresponse()

    class Secure(Timed, HTTPSConnection):
        pass

    class PlainPool(HTTPConnectionPool):
        ConnectionCls = Timed

    class SecurePool(HTTPSConnectionPool):
        ConnectionCls = Secure

    return {"http": PlainPool, "https": SecurePool}


def is_private(address: str) -> bool:
    """Return whether an IP address is of this machine, a private network or no single host."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    mapped = getattr(parsed, "ipv4_mapped", None)
    return is_private(str(mapped)) if mapped else not parsed.is_global or parsed.is_multicast


def _named_private(host: str) -> bool:
    return host in LOOPBACK or host.endswith(".localhost") or is_private(host)


def _proxy(url: str) -> str:
    parts = urlsplit(url)
    host = parts.hostname or ""
    spared = environ.get("NO_PROXY") or environ.get("no_proxy")
    names = [name.strip().lstrip(".") for name in spared.split(",") if name.strip()]
    if host in LOOPBACK or any(name in {"*", host} or host.endswith(f".{name}") for name in names):
        return ""
    scheme = parts.scheme
    return environ.get(f"{scheme.upper()}_PROXY") or environ.get(f"{scheme}_proxy")


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds of a Retry-After header, or None (RFC 9110, 10.2.3)."""
    value = headers.get("Retry-After")
    if not value:
        return None
    if value.isascii() and value.isdigit():
        return float(value)
    from email.utils import mktime_tz, parsedate_tz

    parsed = parsedate_tz(value)
    return max(0.0, mktime_tz(parsed) - clock.now()) if parsed else None


def shown(url: str) -> str:
    """Return the URL without user, password, query and fragment, for messages."""
    try:
        parts = urlsplit(url)
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return "an address that is none"
    host = parts.hostname or ""
    return f"{parts.scheme}://{f'[{host}]' if ':' in host else host}{port}{parts.path}"


def _untrusted(error: Exception) -> bool:
    import ssl

    return bool(error.args) and isinstance(error.args[0], ssl.SSLCertVerificationError)


def _reason(error: Exception) -> str:
    # The innermost reason; urllib3 wraps it in the pool's address, which may hold a password.
    import urllib3

    inner = getattr(error, "reason", None)
    if _untrusted(error):
        return f"its certificate is not trusted ({error.args[0].verify_message})"
    if isinstance(error, urllib3.exceptions.ProxyError):
        original = error.original_error
        refusal = str(original).lower() if type(original) is OSError else ""  # 407 and the like
        return refusal or _reason(original)
    if isinstance(error, urllib3.exceptions.NameResolutionError):
        return "its name is not known"
    new = isinstance(error, urllib3.exceptions.NewConnectionError)  # says why in its cause
    if isinstance(error, urllib3.exceptions.ConnectTimeoutError) and not new:
        return f"no connection within {_CONNECT} s"
    if isinstance(inner, Exception):
        return _reason(inner)
    system = error if isinstance(error, OSError) else error.__cause__
    if isinstance(system, OSError) and system.strerror:
        return system.strerror.lower()
    return type(error).__name__


def _is_refused(error: Exception) -> bool:
    import urllib3

    if isinstance(error, urllib3.exceptions.ProxyError):
        return _is_refused(error.original_error)
    return isinstance(error.__cause__, ConnectionRefusedError)


def proxy_setting(url: str) -> str:
    """Return the variable that sends a URL through a proxy, with its value; empty without one."""
    proxy = _proxy(url)
    scheme = urlsplit(url).scheme
    names = (f"{scheme.upper()}_PROXY", f"{scheme}_proxy")
    name = next((name for name in names if proxy and environ.get(name) == proxy), "")
    return f"{name}={shown(proxy)}" if name else ""


def no_answer(url: str, reason: str) -> tuple[str, str]:
    """Return why a host did not answer, with the proxy that was asked, and what to type then."""
    setting = proxy_setting(url)
    host = urlsplit(url).netloc.rpartition("@")[2]
    if not setting:
        return f"`{host}` did not answer: {reason}", (
            f"look at the network and at `{host}`, then run the same command again"
        )
    name = setting.partition("=")[0]
    return (
        f"`{host}` did not answer through the proxy of {setting}: {reason}",
        f"correct {name}, or unset it, then run the same command again",
    )


def free_port() -> int:
    """Return a port of this machine that nothing listens on."""
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
