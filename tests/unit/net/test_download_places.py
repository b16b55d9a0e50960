"""What is asked, and through which proxy."""

import pytest
from support.server import Reply, Server, serve

from lockstitch.errors import LockstitchError
from lockstitch.net import transport
from lockstitch.net.download import Fetcher, ask
from lockstitch.store import Store


def test_http_goes_through_the_proxy_for_http(
    server: Server, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serve() as gone:
        monkeypatch.setenv("HTTPS_PROXY", gone.address)
    monkeypatch.setenv("HTTP_PROXY", server.address)
    url = "http://index.example.test/f"  # nobody looks this name up
    server.on(url, Reply(body=b"1"))
    assert Fetcher(store).read(url, limit=1) == b"1"
    assert server.paths() == [url]


def test_this_machine_is_reached_without_a_proxy(
    server: Server, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serve() as gone:
        monkeypatch.setenv("HTTP_PROXY", gone.address)
    url = server.on("/f", Reply(body=b"1"))
    assert Fetcher(store).read(url, limit=1) == b"1"


@pytest.mark.parametrize(
    ("url", "spared", "proxy"),
    [
        ("http://a.example.test/f", "", "http://proxy.test"),
        ("https://a.example.test/f", "", "http://secure.test"),
        ("http://a.example.test/f", "example.test", ""),
        ("http://a.example.test/f", ".example.test", ""),
        ("http://a.example.test:81/f", "other.test, a.example.test", ""),
        ("http://a.example.test/f", "ample.test", "http://proxy.test"),
        ("http://a.example.test/f", "*", ""),
        ("http://localhost:9/f", "", ""),
    ],
)
def test_names_are_spared_the_proxy(
    url: str, spared: str, proxy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://proxy.test")
    monkeypatch.setenv("https_proxy", "http://secure.test")
    monkeypatch.setenv("NO_PROXY", spared)
    assert transport._proxy(url) == proxy


def test_a_program_on_this_machine_is_asked(server: Server) -> None:
    url = server.on("/health", Reply(status=503, body=b"not yet"), Reply(body=b"{}"))
    assert ask(url) == (503, b"not yet")
    assert ask(url, b'{"a":1}') == (200, b"{}")


def test_no_other_host_gets_a_request() -> None:
    with pytest.raises(LockstitchError, match="is not on this machine"):
        ask("http://a.example.test/f")
    with serve() as gone:
        url = f"{gone.address}/health"
    with pytest.raises(LockstitchError, match="health"):
        ask(url)
