"""Which package has a library."""

import gzip
import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.server import Reply, Server, serve

from lockstitch.lock.bases.debian import mirror, sonames
from lockstitch.net.download import Fetcher
from lockstitch.store import Store

CONTENTS = b"""\
bin/bash                                        shells/bash
lib/x86_64-linux-gnu/libz.so.1                  libs/zlib1g
usr/lib/x86_64-linux-gnu/libGL.so.1             contrib/libs/other,libs/libgl1
usr/lib/x86_64-linux-gnu/libglib-2.0.so.0       libs/libglib2.0-0
usr/lib/x86_64-linux-gnu/deep/libdeep.so.1      libs/deep
usr/share/doc/libx.so.1                         doc/x
"""


@pytest.fixture
def server() -> Iterator[Server]:
    with serve() as served:
        packed = gzip.compress(CONTENTS)
        digest = hashlib.sha256(packed).hexdigest()
        place = "/debian/dists/bookworm"
        release = (
            "Origin: Debian\nCodename: bookworm\nDate: Sat, 11 Jul 2026 10:16:37 UTC\n"
            f"SHA256:\n {digest} {len(packed)} main/Contents-amd64.gz\n"
        )
        served.on(f"{place}/InRelease", Reply(body=release.encode()))
        served.on(f"{place}/main/Contents-amd64.gz", Reply(body=packed))
        yield served


def found(server: Server, store: Store, *names: str) -> dict[str, str]:
    return sonames.packages(
        *("bookworm", "linux/amd64", names),
        fetcher=Fetcher(store, first_wait=0.001),
        store=store,
        source=mirror.from_address(f"{server.address}/debian"),
        keyring=Path("/nothing"),
    )


def test_the_archives_own_list_says_where_a_library_is(server: Server, store: Store) -> None:
    names = ("libz.so.1", "libGL.so.1", "libglib-2.0.so.0", "libdeep.so.1", "libx.so.1")
    wanted = {"libz.so.1": "zlib1g", "libGL.so.1": "libgl1", "libglib-2.0.so.0": "libglib2.0-0"}
    assert found(server, store, *names) == wanted
    server.on("/debian/dists/bookworm/main/Contents-amd64.gz", Reply(status=404))
    assert found(server, store, *names) == wanted  # the list is remembered by its digest


def test_without_it_the_name_follows_debians_policy(server: Server, store: Store) -> None:
    server.on("/debian/dists/bookworm/InRelease", Reply(status=404))
    names = ("libxcb.so.1", "libz.so", "libgthread-2.0.so.0")
    assert found(server, store, *names) == {
        "libxcb.so.1": "libxcb1",
        "libgthread-2.0.so.0": "libglib2.0-0",
    }


@pytest.mark.parametrize(
    ("library", "package"),
    [
        ("libgomp.so.1", "libgomp1"),
        ("libGL.so.1", "libgl1"),
        ("libX11.so.6", "libx11-6"),
        ("libSM.so.6", "libsm6"),
        ("libcairo.so.2", "libcairo2"),
        ("libpq.so.5", "libpq5"),
        ("libavcodec.so.59", "libavcodec59"),
        ("libnss3.so", "libnss3"),
        ("libcuda_thing.so.2", "libcuda-thing2"),
        ("libpython3.11.so", ""),
    ],
)
def test_names_by_policy(library: str, package: str) -> None:
    assert sonames.guessed(library) == package
