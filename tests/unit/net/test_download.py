"""Fetching from a server that misbehaves."""

import dataclasses
import email.utils
import io
import threading
import time
import zipfile
from typing import IO, cast

import pytest
from support.fakes import Counted
from support.server import Reply, Server, serve

from lockstitch.digest import Digest, of_bytes
from lockstitch.errors import LockstitchError
from lockstitch.net.download import Download, Fetcher, shown
from lockstitch.progress import Quiet
from lockstitch.store import Store

BODY = bytes(range(256)) * 1500  # 384,000 bytes: two reads of a quarter of a megabyte
DIGEST = of_bytes(BODY)
CHUNK = 1 << 18
UPGRADE = "lock a version that is there: lockstitch lock --upgrade f"


def wanted(url: str, body: bytes = BODY, *, name: str = "f.whl", size: int | None = -1) -> Download:
    return Download(
        name=name, url=url, digest=of_bytes(body), size=len(body) if size == -1 else size
    )


def fetch(store: Store, *downloads: Download, first_wait: float = 0.001) -> Counted:
    counted = Counted()
    Fetcher(store, first_wait=first_wait).fetch(downloads, counted)
    return counted


def refused(store: Store, *downloads: Download) -> LockstitchError:
    with pytest.raises(LockstitchError) as caught:
        fetch(store, *downloads)
    assert not [path for path in store.root.rglob("blobs/*/*") if path.is_file()]
    return caught.value


def partials(store: Store) -> list[int]:
    return [path.stat().st_size for path in (store.root / "partial").iterdir()]


def test_a_file_comes_into_the_store(server: Server, store: Store) -> None:
    counted = fetch(store, wanted(server.on("/f", Reply(body=BODY))))
    assert store.path(DIGEST).read_bytes() == BODY
    assert (counted.total, counted.done) == (len(BODY), len(BODY))
    assert counted.labels == ["fetch 1 file"]
    assert partials(store) == []


def test_what_is_in_the_store_is_not_asked_for(server: Server, store: Store) -> None:
    store.put(BODY)
    assert fetch(store, wanted(server.on("/f", Reply(body=BODY)))).labels == []
    assert server.asked == []


def test_one_digest_is_fetched_once(server: Server, store: Store) -> None:
    url = server.on("/f", Reply(body=BODY))
    fetch(store, wanted(url, name="a"), wanted(url, name="b"))
    assert server.paths() == ["/f"]


def test_no_size_in_the_lock_is_no_obstacle(server: Server, store: Store) -> None:
    fetch(store, wanted(server.on("/f", Reply(body=BODY, length=-1)), size=None))
    assert store.has(DIGEST, len(BODY))


def test_files_come_in_parallel(server: Server, store: Store) -> None:
    bodies = [bytes([number]) * 1000 for number in range(8)]
    urls = [server.on(f"/{n}", Reply(body=body, stall_at=9)) for n, body in enumerate(bodies)]
    downloads = [wanted(url, body) for url, body in zip(urls, bodies, strict=True)]
    running = threading.Thread(target=fetch, args=(store, *downloads))
    running.start()
    together = [server.stalled.acquire(timeout=10) for _ in bodies]
    server.free.set()
    running.join(10)
    assert together == [True] * 8
    assert all(store.has(of_bytes(body), 1000) for body in bodies)


def test_a_dropped_connection_goes_on_where_it_ended(server: Server, store: Store) -> None:
    url = server.on(
        "/f", Reply(body=BODY, drop_at=1000), Reply(body=BODY, drop_at=5), Reply(body=BODY)
    )
    fetch(store, wanted(url))
    assert [asked.range for asked in server.asked] == ["", "bytes=1000-", "bytes=1005-"]
    assert store.path(DIGEST).read_bytes() == BODY


def test_a_dropped_connection_is_seen_without_a_size_in_the_lock(
    server: Server, store: Store
) -> None:
    url = server.on("/f", Reply(body=BODY, drop_at=1000), Reply(body=BODY))
    fetch(store, wanted(url, size=None))
    assert [asked.range for asked in server.asked] == ["", "bytes=1000-"]


def test_a_server_without_ranges_starts_over(server: Server, store: Store) -> None:
    bad = Reply(body=BODY, drop_at=300_000, ranges=False)
    fetch(store, wanted(server.on("/f", bad, Reply(body=BODY, ranges=False))))
    assert [asked.range for asked in server.asked] == ["", "bytes=300000-"]
    assert store.path(DIGEST).read_bytes() == BODY


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_a_passing_failure_is_tried_again(status: int, server: Server, store: Store) -> None:
    fetch(store, wanted(server.on("/f", Reply(status=status), Reply(body=BODY))))
    assert len(server.asked) == 2


@pytest.mark.parametrize("after", ["0", email.utils.formatdate(1, usegmt=True)])
def test_retry_after_says_how_long_to_wait(after: str, server: Server, store: Store) -> None:
    busy = Reply(status=429, headers={"Retry-After": after})
    started = time.monotonic()
    fetch(store, wanted(server.on("/f", busy, busy, Reply(body=BODY))), first_wait=20)
    assert time.monotonic() - started < 10
    assert len(server.asked) == 3


def test_a_retry_after_that_is_none_is_passed_over(server: Server, store: Store) -> None:
    busy = Reply(status=503, headers={"Retry-After": "soon"})
    fetch(store, wanted(server.on("/f", busy, Reply(body=BODY))))
    assert len(server.asked) == 2


def test_a_lasting_failure_is_said_after_five_tries(server: Server, store: Store) -> None:
    url = server.on("/f", Reply(status=503))
    error = refused(store, wanted(url))
    assert error.message == "`f.whl` could not be fetched: HTTP 503"
    assert error.hint == f"check that {url} answers, then run the same command again"
    assert len(server.asked) == 5


@pytest.mark.parametrize(
    ("status", "name", "withdrawn", "hint"),
    [
        (404, "f.tar.gz", "", "the lock names a file that is gone: lockstitch lock"),
        (410, "f.tar.gz", "", "the lock names a file that is gone: lockstitch lock"),
        (404, "f-1.0-py3-none-any.whl", "`f-1.0-py3-none-any.whl` is withdrawn", UPGRADE),
        (410, "f-1.0-py3-none-any.whl", "`f-1.0-py3-none-any.whl` is withdrawn", UPGRADE),
        (403, "f-1.0-py3-none-any.whl", "", ""),
        (401, "f-1.0-py3-none-any.whl", "", ""),
    ],
)
def test_a_final_answer_is_not_asked_for_again(
    status: int, name: str, withdrawn: str, hint: str, server: Server, store: Store
) -> None:
    url = server.on("/f", Reply(status=status))
    error = refused(store, dataclasses.replace(wanted(url), name=name))
    also = ", or its project is: " if withdrawn else ""
    assert error.message == f"{withdrawn}{also}`{url}` answered HTTP {status}"
    assert error.hint == hint
    assert len(server.asked) == 1


def test_another_file_under_the_name_is_refused(server: Server, store: Store) -> None:
    other = BODY[::-1]
    error = refused(store, wanted(server.on("/f", Reply(body=other))))
    assert error.message == (
        f"`f.whl` is not what the lock names: wanted {DIGEST}, got {of_bytes(other)} "
        f"({len(other)} bytes)"
    )
    assert error.hint.startswith("somebody replaced the file, or the lock is wrong")
    assert partials(store) == []
    fetch(store, wanted(server.on("/f", Reply(body=BODY))))  # and the good one is taken
    assert server.asked[-1].range == ""


def test_a_partial_file_of_something_else_is_not_the_end(server: Server, store: Store) -> None:
    store.partial(DIGEST).write_bytes(b"x" * 1000)
    download = wanted(server.on("/f", Reply(body=BODY)))
    fetch(store, download)
    assert [asked.range for asked in server.asked] == ["bytes=1000-", ""]
    assert store.path(DIGEST).read_bytes() == BODY


def test_a_partial_file_that_is_too_long_is_thrown_away(server: Server, store: Store) -> None:
    store.partial(DIGEST).write_bytes(BODY + b"x")
    download = wanted(server.on("/f", Reply(body=BODY)))
    fetch(store, download)
    assert [asked.range for asked in server.asked] == [""]


@pytest.mark.parametrize("size", [-1, None])
def test_a_partial_file_that_is_whole_is_taken(
    size: int | None, server: Server, store: Store
) -> None:
    # Left by a process that was killed between the last byte and the rename.
    store.partial(DIGEST).write_bytes(BODY)
    fetch(store, wanted(server.on("/f", Reply(body=BODY)), size=size))
    assert store.path(DIGEST).read_bytes() == BODY


def test_a_body_that_is_too_short_names_both_sizes(server: Server, store: Store) -> None:
    error = refused(store, wanted(server.on("/f", Reply(body=BODY[:9], ranges=False))))
    assert error.message == (
        f"`f.whl` could not be fetched: the connection ended after 9 of {len(BODY)} bytes"
    )


def test_a_shorter_file_under_the_name_is_refused(server: Server, store: Store) -> None:
    error = refused(store, wanted(server.on("/f", Reply(body=BODY[:9]))))
    assert error.message == (
        f"`f.whl` is not what the lock names: wanted {DIGEST}, got {of_bytes(BODY[:9])} "
        f"(9 of {len(BODY)} bytes)"
    )
    assert partials(store) == []


def test_a_body_that_is_too_long_is_refused_before_its_end(server: Server, store: Store) -> None:
    endless = BODY * 40
    error = refused(store, wanted(server.on("/f", Reply(body=endless))))
    assert f"wanted {DIGEST}, got sha256:" in error.message
    read = int(error.message.rpartition("(")[2].split()[0])
    assert len(BODY) < read <= len(BODY) + CHUNK
    assert partials(store) == []


def test_redirects_are_followed(server: Server, store: Store) -> None:
    target = server.on("/there", Reply(body=BODY))
    url = server.on("/f", Reply(status=302, headers={"Location": target}))
    fetch(store, wanted(url))
    assert server.paths() == ["/f", "/there"]


def test_a_redirect_keeps_the_range(server: Server, store: Store) -> None:
    target = server.on("/there", Reply(body=BODY, drop_at=7), Reply(body=BODY))
    fetch(store, wanted(server.on("/f", Reply(status=307, headers={"Location": target}))))
    assert [asked.range for asked in server.asked] == ["", "", "bytes=7-", "bytes=7-"]


def test_redirects_in_a_circle_end(server: Server, store: Store) -> None:
    url = server.on("/f", Reply(status=302, headers={"Location": "/f"}))
    assert "could not be fetched" in refused(store, wanted(url)).message


def test_a_server_that_is_down_is_an_error_in_words(store: Store) -> None:
    with serve() as gone:
        url = f"{gone.address}/f"
    error = refused(store, wanted(url))
    assert (
        error.message
        == f"`f.whl` could not be fetched: `{gone.address[7:]}` did not answer: connection refused"
    )


def test_files_of_a_server_that_is_down_are_one_error(store: Store) -> None:
    with serve() as gone:
        url = f"{gone.address}/f"
    downloads = [wanted(url, name.encode(), name=name) for name in "edcba"]
    with pytest.raises(LockstitchError) as caught:
        fetch(store, *downloads)
    (error,) = caught.value.everything()
    assert error.message.startswith("`a`, `b`, `c` and 2 more could not be fetched: `127.0.0.1:")


def test_all_failures_are_one_error(server: Server, store: Store) -> None:
    downloads = [
        wanted(server.on("/big", Reply(status=404)), b"a" * 300, name="big"),
        wanted(server.on("/bad", Reply(body=b"c" * 200)), b"b" * 200, name="bad"),
        wanted(server.on("/good", Reply(body=b"d" * 100)), b"d" * 100, name="good"),
        wanted("ftp://host.example.test/x", b"e", name="other"),
    ]
    with pytest.raises(LockstitchError) as caught:
        fetch(store, *downloads)
    said = [error.message.split(": wanted")[0] for error in caught.value.everything()]
    assert sorted(said) == [
        "`bad` is not what the lock names",
        "`ftp://host.example.test/x` is not an http or https address",
        f"`{server.address}/big` answered HTTP 404",
    ]
    assert store.has(of_bytes(b"d" * 100))  # what could be fetched is kept


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://host.example.test/f", "f.whl", ""])
def test_other_addresses_are_refused(url: str, store: Store) -> None:
    error = refused(store, wanted(url))
    assert error.message.endswith("is not an http or https address")
    assert error.hint == "lock the package from an index: lockstitch lock"


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:99999/f", "http://127.0.0.1:port/f", "http://[::1/f"]
)
def test_an_address_that_is_none_is_an_error_in_words(url: str, store: Store) -> None:
    refused(store, wanted(url))


@pytest.mark.parametrize(
    "replies",
    [
        [Reply(status=404)],
        [Reply(status=500)],
        [Reply(body=b"other")],
        [Reply(body=BODY, drop_at=9, ranges=False)],
        [Reply(status=302, headers={"Location": "/f?token=secret"})],
    ],
)
def test_messages_never_show_credentials(
    replies: list[Reply], server: Server, store: Store
) -> None:
    server.on("/f", *replies)
    host = server.address.removeprefix("http://")
    error = refused(store, wanted(f"http://user:secret@{host}/f?token=secret#secret"))
    assert "secret" not in f"{error.message} {error.hint}"
    assert "user" not in f"{error.message} {error.hint}"


def test_messages_never_show_credentials_of_a_host_that_is_gone(store: Store) -> None:
    with serve() as gone:
        host = gone.address.removeprefix("http://")
    error = refused(store, wanted(f"http://user:secret@{host}/f?token=secret"))
    assert "secret" not in f"{error.message} {error.hint}"


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("https://u:p@host.test:8443/a/b?c=d#e", "https://host.test:8443/a/b"),
        ("http://host.test/", "http://host.test/"),
        ("http://[::1]:80/x", "http://[::1]:80/x"),
        ("file:///a/b", "file:///a/b"),
    ],
)
def test_an_address_is_shown_without_secrets(url: str, text: str) -> None:
    assert shown(url) == text


def test_a_small_resource_is_read(server: Server, store: Store) -> None:
    url = server.on("/r", Reply(status=500), Reply(body=b"12345"))
    assert Fetcher(store, first_wait=0.001).read(url, limit=5) == b"12345"


def test_a_small_resource_that_is_not_small_is_refused(server: Server, store: Store) -> None:
    url = server.on("/r", Reply(body=b"123456"))
    with pytest.raises(LockstitchError, match=f"`{url}` has more than 5 bytes"):
        Fetcher(store).read(url, limit=5)


def test_a_small_resource_that_breaks_off_is_read_again(server: Server, store: Store) -> None:
    url = server.on("/r", Reply(body=b"12345", drop_at=2), Reply(body=b"12345"))
    assert Fetcher(store, first_wait=0.001).read(url, limit=9) == b"12345"


def test_one_digest_type_is_used_everywhere(store: Store) -> None:
    assert isinstance(store.put(BODY), Digest)
    Fetcher(store).fetch([wanted("http://127.0.0.1:1/f")], Quiet())  # in the store: not asked for


def test_a_batch_after_one_that_failed_is_fetched(server: Server, store: Store) -> None:
    fetcher = Fetcher(store, first_wait=0.001)
    with pytest.raises(LockstitchError):
        fetcher.fetch([wanted(server.on("/gone", Reply(status=404)))], Quiet())
    fetcher.fetch([wanted(server.on("/f", Reply(body=BODY)))], Quiet())
    assert store.path(DIGEST).read_bytes() == BODY
    assert fetcher.read(server.on("/index", Reply(body=b"x")), limit=10) == b"x"


@pytest.mark.parametrize("status", [400, 403, 404])
def test_a_server_that_refuses_the_rest_is_asked_for_all(
    status: int, server: Server, store: Store
) -> None:
    store.partial(DIGEST).write_bytes(b"x" * 1000)
    fetch(store, wanted(server.on("/f", Reply(status=status), Reply(body=BODY))))
    assert store.path(DIGEST).read_bytes() == BODY
    assert [each.range for each in server.asked] == ["bytes=1000-", ""]


# --- parts of a file


def test_a_zip_is_read_by_its_end(server: Server, store: Store) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("large", BODY)
        archive.writestr("small", b"text")
    url = server.on("/w", Reply(body=packed.getvalue()))
    with zipfile.ZipFile(cast("IO[bytes]", Fetcher(store).open(url))) as archive:
        assert archive.namelist() == ["large", "small"]
        assert archive.read("small") == b"text"
        assert [each.range for each in server.asked] == ["bytes=-65536"]
        assert archive.read("large") == BODY
    assert len(server.asked) > 1


@pytest.mark.parametrize(
    "reply",
    [
        Reply(body=BODY, ranges=False),
        Reply(status=404),
        Reply(body=BODY, drop_at=10),
        Reply(status=206, body=BODY, headers={"Content-Range": "bytes 0-9/many"}),
    ],
)
def test_a_file_of_which_no_part_comes(reply: Reply, server: Server, store: Store) -> None:
    with pytest.raises(LockstitchError):
        Fetcher(store).open(server.on("/w", reply))


def test_sizes_are_asked_without_the_files(server: Server, store: Store) -> None:
    whole = server.on("/whole", Reply(body=BODY, ranges=False))
    parts = server.on("/parts", Reply(body=BODY))
    gone = server.on("/gone", Reply(status=404))
    nowhere = "http://127.0.0.1:9/f"
    sizes = Fetcher(store).sizes([whole, parts, gone, nowhere])
    assert sizes == {whole: len(BODY), parts: len(BODY)}
