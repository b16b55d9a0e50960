"""What goes from the store and what stays: by use, by size, and never under another's hands."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support.fakes import python

from lockstitch import cache, files
from lockstitch.digest import Digest, of_bytes
from lockstitch.store import HASHED, Store

DAY = 24 * 3600
HOLD = """
import sys
from pathlib import Path
from lockstitch.store import Store
store = Store(Path(sys.argv[1]))
store.hold()
print("held", flush=True)
sys.stdin.readline()
"""


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def put(store: Store, data: bytes, *, age: float) -> Digest:
    digest = store.put(data)
    for path in (store.path(digest), store.record_path(HASHED, digest.hex)):
        old(path, age)
    # The stat of the blob is part of what is remembered of it.
    store.remember(HASHED, digest.hex, [])
    old(store.record_path(HASHED, digest.hex), age)
    return digest


def old(path: Path, age: float) -> None:
    os.utime(path, (time.time() - age, time.time() - age), follow_symlinks=False)


def kinds(found: list[cache.Item]) -> list[str]:
    return [item.kind for item in found]


@contextmanager
def held(root: Path) -> Iterator[None]:
    """Hold the store in another process, as every command does."""
    with python(HOLD, root) as other:
        assert other.stdout
        assert other.stdout.readline() == "held\n"
        yield
        other.communicate("\n")


def test_the_least_recently_used_goes_first_and_no_more_than_must(store: Store) -> None:
    digests = [put(store, bytes([n]) * 10_000, age=(10 - n) * DAY) for n in range(5)]
    most = sum(item.size for item in cache.items(store)) - 15_000
    going = cache.chosen(cache.items(store), most=most, before=0)
    assert [item.paths[0] for item in going] == [store.path(digest) for digest in digests[:2]]
    cache.remove(going)
    assert [store.has(digest) for digest in digests] == [False, False, True, True, True]
    assert sum(item.size for item in cache.items(store)) <= most
    assert not store.record_path(HASHED, digests[0].hex).exists()


def test_what_was_used_is_young_again(store: Store) -> None:
    used, unused = (put(store, data * 1000, age=40 * DAY) for data in (b"a", b"b"))
    store.put_record("layers", "aa", {"n": 1})
    old(store.record_path("layers", "aa"), 40 * DAY)
    (store.scratch("tools")).mkdir(parents=True)
    old(store.scratch("tools"), 40 * DAY)
    assert store.has_whole(used)
    assert store.record("layers", "aa") == {"n": 1}
    assert store.scratch("tools").is_dir()
    going = cache.chosen(cache.items(store), most=None, before=time.time() - 30 * DAY)
    assert [item.paths[0] for item in going] == [store.path(unused)]


def test_a_file_that_a_layout_has_too_frees_nothing_and_stays(store: Store, tmp_path: Path) -> None:
    digest = put(store, b"layer" * 1000, age=50 * DAY)
    os.link(store.path(digest), tmp_path / "in a layout")
    (item,) = [item for item in cache.items(store) if item.kind == "blobs"]
    assert (item.size, item.is_shared) == (0, True)
    assert item not in cache.chosen(cache.items(store), most=0, before=0)
    assert item in cache.chosen(cache.items(store), most=None, before=time.time())


def test_a_wheel_goes_with_the_name_that_a_bundle_gave_it(store: Store) -> None:
    digest = put(store, b"wheel" * 1000, age=0)
    store.name_wheel("tiny-1-py3-none-any.whl", digest)
    (item,) = [item for item in cache.items(store) if item.kind == "blobs"]
    assert not item.is_shared
    assert item.size >= 5000
    assert "wheels" not in kinds(cache.items(store))
    cache.remove([item])
    assert list(store.wheels.iterdir()) == []


def test_links_inside_count_once(store: Store) -> None:
    layers, images = (store.root / "trial" / name for name in ("layers", "images"))
    (layers / "l").mkdir(parents=True)
    (layers / "l" / "0").write_bytes(b"x" * 9000)
    row = ["etc/file", "0", 0o644, 9000, "", 0, 0, 0]
    (layers / "l" / "index.json").write_text(f"[{row}]".replace("'", '"'))
    (images / "i" / "root").mkdir(parents=True)
    os.link(layers / "l" / "0", images / "i" / "root" / "file")
    os.utime(layers / "l")  # as `try` does, after the image
    assert [(item.kind, item.size) for item in cache.items(store)] in (
        [("trial", 9000), ("trial", 0)],
        [("trial", 0), ("trial", 9000)],
    )
    going = cache.chosen(cache.items(store), most=0, before=0)
    cache.remove(going)
    assert not list(layers.iterdir())
    assert not list(images.iterdir())


def test_leftovers_of_yesterday_go_and_those_of_now_stay(store: Store) -> None:
    for name, age in (("tmp/old", 2 * DAY), ("tmp/new", 0), ("partial/old", 2 * DAY)):
        files.write_bytes(store.root / name, b"half")
        old(store.root / name, age)
    cache.remove(cache.chosen(cache.items(store), most=None, before=0))
    assert {path.name for path in store.root.glob("*/*")} == {"new"}


def test_tools_that_a_program_runs_from_stay(store: Store) -> None:
    tools = store.scratch("stack-1")
    tools.mkdir(parents=True)
    (tools / "program").write_bytes(b"x" * 100)
    lock = files.UseLock(tools / files.USE_LOCK)
    lock.share()
    assert cache.remove(cache.items(store)) == []
    assert (tools / "program").exists()
    lock.release()
    assert kinds(cache.remove(cache.items(store))) == ["scratch"]
    assert not tools.exists()


def test_a_trim_leaves_all_while_another_process_uses_the_store(store: Store) -> None:
    digest = put(store, b"needed" * 1000, age=DAY)
    with held(store.root):
        cache.trim(store, 0)
        assert store.has(digest)
    cache.trim(store, 0)
    assert not store.has(digest)


def test_who_holds_the_store_himself_may_trim_it_and_holds_it_again(store: Store) -> None:
    store.hold()
    digest = put(store, b"mine" * 1000, age=DAY)
    cache.trim(store, 0)
    assert not store.has(digest)
    with Store(store.root).alone(wait=False) as alone:
        assert not alone


def test_a_killed_process_holds_nothing(store: Store) -> None:
    other = python(HOLD, store.root)
    assert other.stdout
    assert other.stdout.readline() == "held\n"
    with store.alone(wait=False) as alone:
        assert not alone
    other.kill()
    other.communicate()
    with store.alone(wait=False) as alone:
        assert alone


def test_a_store_that_changes_while_it_is_looked_at(store: Store) -> None:
    put(store, b"one" * 1000, age=0)
    found = cache.items(store)
    cache.forget(store, of_bytes(b"one" * 1000))
    assert cache.remove(found) == found  # gone already
    assert cache.items(store) == []
    assert cache.items(Store(store.root / "none")) == []
