"""Whom a connection may lead to, and what is kept of it."""

import contextlib
import socket
import ssl
import threading
from collections.abc import Iterator

import pytest
from support.server import Reply, Server

from lockstitch.net import transport
from lockstitch.net.transport import Transport, TransportError, is_private, retry_after

PRIVATE = "127.0.0.1 10.0.0.1 172.16.0.1 192.168.1.1 169.254.169.254 100.64.0.1 0.0.0.0 ::1"
PRIVATE += " fe80::1%eth0 fd00::1 ::ffff:10.0.0.1 224.0.0.1 255.255.255.255"


@pytest.mark.parametrize("address", PRIVATE.split())
def test_an_address_that_is_no_public_host_is_private(address: str) -> None:
    assert is_private(address)


@pytest.mark.parametrize("address", ["8.8.8.8", "2001:4860:4860::8888", "example.test", ""])
def test_other_addresses_and_names_are_not(address: str) -> None:
    assert not is_private(address)


def test_the_connection_s_own_address_decides_and_not_its_name(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = socket.getaddrinfo

    def answer(host: str, *rest: object, **more: object) -> object:
        # A name server that leads a public name here.
        return asked("127.0.0.1" if host == "public.example.test" else host, *rest, **more)

    monkeypatch.setattr(socket, "getaddrinfo", answer)
    port = server.on("/f", Reply(body=b"x")).split(":")[2].removesuffix("/f")
    transport = Transport(1)
    named = f"http://public.example.test:{port}/f"
    assert not transport.private(named)
    with transport.request("GET", named, headers={}) as found:
        assert found.status == 200
    assert transport.private(named)
    for place in (named, f"http://127.0.0.1:{port}", "https://[::1]/", "https://10.0.0.1/"):
        with pytest.raises(TransportError, match="an address of a private network") as info:
            transport.request("GET", place, headers={}, public=True)
        assert info.value.final
    assert len(server.asked) == 1  # and not a byte more was sent


def test_a_connection_is_kept_for_the_next_request(server: Server) -> None:
    url = server.on("/f", Reply(body=b"x" * 100))
    transport = Transport(1)
    for _ in range(3):
        with transport.request("GET", url, headers={}):
            pass  # what is left to read is little
    (pool,) = transport._pools.values()
    assert pool.connection_from_url(url).num_connections == 1


def test_what_is_no_address_is_said(server: Server) -> None:
    with pytest.raises(TransportError) as info:
        Transport(1).request("GET", "http://a b/", headers={})
    assert info.value.address
    assert info.value.final


def test_a_server_without_tls_is_no_untrusted_one(server: Server) -> None:
    url = server.address.replace("http:", "https:")
    with pytest.raises(TransportError) as info:
        Transport(1).request("GET", url, headers={})
    assert not info.value.untrusted
    assert isinstance(info.value.__cause__, Exception)
    assert isinstance(info.value.__cause__.args[0], ssl.SSLError)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("7", 7), ("", None), ("soon", None), ("Thu, 01 Jan 1970 00:00:00 GMT", 0)],
)
def test_retry_after_is_seconds_or_a_date(value: str, seconds: float | None) -> None:
    assert retry_after({"Retry-After": value}) == seconds


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look at slow connections often: each look else comes half a second after the last."""
    monkeypatch.setattr(transport, "_TICK", 0.02)


@contextlib.contextmanager
def dripping(head: bytes, *, every: float = 0.02) -> Iterator[str]:
    """Serve one answer: a head at once, and then a byte now and then, for ever."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        done = threading.Event()

        def serve() -> None:
            made, _ = listening.accept()
            with made, contextlib.suppress(OSError):
                made.recv(65536)
                made.sendall(head)
                while not done.wait(every):
                    made.sendall(b"x")

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}/f"
        finally:
            done.set()
            thread.join()


@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize("more", [b"", b"Connection: close\r\n"])  # whose socket is gone at once
def test_a_body_that_drips_is_given_up(
    monkeypatch: pytest.MonkeyPatch, more: bytes, *, whole: bool
) -> None:
    monkeypatch.setattr(transport, "_READ", 0.1)
    monkeypatch.setattr(transport, "_SLOWEST", 1 << 30)
    head = b"HTTP/1.1 200 OK\r\n" + more + b"Content-Length: 1000000\r\n\r\n"
    with (
        dripping(head) as url,
        pytest.raises(TransportError, match="it is too slow"),
        Transport(1).request("GET", url, headers={}) as found,
    ):
        found.read(1000) if whole else list(found.stream())


def test_headers_that_drip_are_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "_HEADERS", 0.1)
    with (
        dripping(b"HTTP/1.1 200 OK\r\nX-Long: ") as url,
        pytest.raises(TransportError, match="it is too slow"),
    ):
        Transport(1).request("GET", url, headers={}, patience=0.08)


@pytest.mark.slow
@pytest.mark.parametrize("proxied", [True, False])
def test_a_handshake_that_drips_is_given_up(
    monkeypatch: pytest.MonkeyPatch, *, proxied: bool
) -> None:
    monkeypatch.setattr(transport, "_CONNECTING", 1)  # certificates are read in that time too
    # The head of a TLS record of 16 KiB that comes byte by byte, or a proxy's answer.
    head = b"HTTP/1.1 200 OK\r\nX-Long: " if proxied else b"\x16\x03\x03\x40\x00"
    with dripping(head) as url:
        if proxied:
            monkeypatch.setenv("HTTPS_PROXY", url)
        asked = "https://example.test/" if proxied else url.replace("http:", "https:")
        with pytest.raises(TransportError, match="it is too slow"):
            Transport(1).request("GET", asked, headers={})


def test_a_server_that_takes_a_body_too_slowly_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "_READ", 0.1)
    monkeypatch.setattr(transport, "_SLOWEST", 1 << 30)
    done = threading.Event()

    def serve(listening: socket.socket) -> None:
        made, _ = listening.accept()
        with made, contextlib.suppress(OSError):
            while not done.wait(0.02):
                made.recv(10)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=serve, args=(listening,), daemon=True)
        thread.start()
        url = f"http://127.0.0.1:{listening.getsockname()[1]}/f"
        size = 64 << 20
        body = (bytes(1 << 20) for _ in range(64))
        with pytest.raises(TransportError, match="it is too slow"):
            Transport(1).request("PUT", url, headers={"Content-Length": str(size)}, body=body)
        done.set()
        thread.join()
