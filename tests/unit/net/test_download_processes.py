"""Several processes fetch into one store, and some are killed."""

import time

import pytest
from support.fakes import python, until_killed
from support.server import Reply, Server

from lockstitch.digest import of_bytes
from lockstitch.net.download import Download, Fetcher
from lockstitch.progress import Quiet
from lockstitch.store import Store

BODY = bytes(range(256)) * 1500
DIGEST = of_bytes(BODY)
CHUNK = 1 << 18

FETCH = """
import sys
from pathlib import Path
from lockstitch.digest import Digest
from lockstitch.net.download import Download, Fetcher
from lockstitch.progress import Quiet
from lockstitch.store import Store
root, url, digest, size = sys.argv[1:]
print("start", flush=True)
download = Download(name="f.whl", url=url, digest=Digest.parse(digest), size=int(size) or None)
Fetcher(Store(Path(root)), first_wait=0.001).fetch([download], Quiet())
print("done", flush=True)
"""


def partials(store: Store) -> list[int]:
    folder = store.root / "partial"
    return [path.stat().st_size for path in folder.iterdir()] if folder.exists() else []


@pytest.mark.slow
def test_two_processes_fetch_one_file_once(server: Server, store: Store) -> None:
    url = server.on("/f", Reply(body=BODY, stall_at=CHUNK))
    children = [python(FETCH, store.root, url, DIGEST, len(BODY)) for _ in range(2)]
    assert server.stalled.acquire(timeout=10)
    for child in children:
        assert child.stdout is not None
        assert child.stdout.readline() == "start\n"
    time.sleep(0.3)  # the second one waits for the lock now
    server.free.set()
    assert [child.communicate(timeout=10)[0] for child in children] == ["done\n"] * 2
    assert server.paths() == ["/f"]


def test_a_killed_download_goes_on_in_the_next_process(server: Server, store: Store) -> None:
    url = server.on("/f", Reply(body=BODY, stall_at=CHUNK + 1000), Reply(body=BODY))
    with until_killed(FETCH, store.root, url, DIGEST, len(BODY)):
        assert server.stalled.acquire(timeout=10)
        deadline = time.monotonic() + 10
        while partials(store) != [CHUNK] and time.monotonic() < deadline:
            time.sleep(0.01)
    assert partials(store) == [CHUNK]
    download = Download(name="f.whl", url=url, digest=DIGEST, size=len(BODY))
    Fetcher(store).fetch([download], Quiet())
    assert server.asked[-1].range == f"bytes={CHUNK}-"
    assert store.path(DIGEST).read_bytes() == BODY
