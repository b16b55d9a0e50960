"""Whom a connection may lead to, and what is kept of it."""

import socket
import ssl

import pytest
from support.server import Reply, Server

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
        return asked("127.0.0.1" if host == "public.example.test" else host, *rest, **more)  # type: ignore[arg-type]

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
