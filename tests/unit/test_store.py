"""The store is whole, whatever happens to the processes that write to it."""

import errno
import os
import resource
import select
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import platformdirs
import pytest
from support.fakes import python, until_killed

from lockstitch.digest import Digest, of_bytes
from lockstitch.errors import LockstitchError
from lockstitch.store import Store, default_root

DATA = b"data" * 1000
DIGEST = of_bytes(DATA)

WRITE = """
import sys, time
from pathlib import Path
from lockstitch.store import Store
with Store(Path(sys.argv[1])).writer() as writer:
    writer.write(b"data" * 999)
    writer._handle.flush()
    print("half", flush=True)
    sys.stdin.readline()
    writer.write(b"data")
    print(writer.commit(), flush=True)
"""
LOCK = """
import sys
from pathlib import Path
from lockstitch.store import Store
with Store(Path(sys.argv[1])).lock("name"):
    print("held", flush=True)
    sys.stdin.readline()
"""


# A stored blob, and the record of what its stat was when it was hashed.
STORED = [
    f"blobs/{DIGEST.hex[:2]}/{DIGEST.hex}",
    f"records/hashed/{DIGEST.hex[:2]}/{DIGEST.hex}.json",
]


def files_of(store: Store) -> list[str]:
    found = [path for path in store.root.rglob("*") if path.is_file()]
    return sorted(path.relative_to(store.root).as_posix() for path in found)


def test_a_blob_that_cannot_be_finished_leaves_nothing(store: Store) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        with pytest.raises(OSError, match="File too large"), store.writer() as writer:
            writer.write(DATA)  # held back, and written only when the file is closed
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not files_of(store)


def test_what_an_ended_process_left_is_dropped(store: Store) -> None:
    with store.writer() as writer:
        writer.write(DATA)
        (store.root / "tmp" / "77-left").touch()
        store.drop_temporaries(77)
        assert len(files_of(store)) == 1
        store.drop_temporaries(os.getpid())
        assert not files_of(store)


def test_a_blob_is_found_by_its_digest(store: Store) -> None:
    assert not store.has(DIGEST)
    assert store.put(DATA) == store.put(DATA) == DIGEST
    assert store.has(DIGEST, len(DATA))
    assert store.path(DIGEST).read_bytes() == DATA
    assert files_of(store) == STORED


def test_a_blob_cannot_be_written_to_by_accident(store: Store) -> None:
    store.put(DATA)
    assert store.path(DIGEST).stat().st_mode & 0o777 == 0o444


def test_nothing_is_made_before_the_first_write(store: Store) -> None:
    assert not store.has(DIGEST)
    assert store.record("kind", "key") is None
    store.sweep()
    assert not store.root.exists()


def test_a_blob_of_another_size_is_thrown_away(store: Store) -> None:
    store.put(DATA)
    store.path(DIGEST).chmod(0o644)
    store.path(DIGEST).write_bytes(b"short")
    assert not store.has(DIGEST, len(DATA))
    assert not store.path(DIGEST).exists()
    store.put(DATA)
    assert store.has(DIGEST, len(DATA))


def test_a_write_that_is_not_what_was_expected_is_thrown_away(store: Store) -> None:
    other = of_bytes(b"other")
    with store.writer() as writer:
        writer.write(DATA)
        with pytest.raises(LockstitchError) as caught:
            writer.commit(other)
    assert caught.value.message == f"expected `{other}`, wrote `{DIGEST}` (4000 bytes)"
    assert files_of(store) == []


def test_a_write_that_is_not_committed_is_thrown_away(store: Store) -> None:
    with store.writer() as writer:
        assert writer.write(memoryview(DATA)) == writer.size == len(DATA)
    assert files_of(store) == []


def test_a_file_is_adopted(store: Store, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(DATA)
    store.adopt(tmp_path / "file", DIGEST)
    assert store.has(DIGEST, len(DATA))
    assert not (tmp_path / "file").exists()


def test_records_come_back(store: Store) -> None:
    value = {"b": [1, None, "ä"], "a": {"c": True}}
    store.put_record("kind", "abcdef", value)
    assert store.record("kind", "abcdef") == value
    store.put_record("kind", "abcdef", [])
    assert store.record("kind", "abcdef") == []
    assert store.record("other", "abcdef") is None
    assert store.record("kind", "abcdee") is None


@pytest.mark.parametrize("data", [b"", b"{", b'{"a": 1', b"\xff\xfe", b"nothing"])
def test_a_broken_record_is_none(data: bytes, store: Store) -> None:
    store.put_record("kind", "abcdef", 1)
    next(store.root.rglob("abcdef.json")).write_bytes(data)
    assert store.record("kind", "abcdef") is None


def test_a_record_is_the_same_bytes_whatever_the_order_of_its_keys(store: Store) -> None:
    store.put_record("kind", "a1", {"x": 1, "y": 2})
    store.put_record("kind", "a2", {"y": 2, "x": 1})
    one, two = (path.read_bytes() for path in sorted(store.root.rglob("*.json")))
    assert one.partition(b"\n")[2] == two.partition(b"\n")[2] == b'{"x":1,"y":2}'
    assert one != two  # the sum before it is of the key too


def test_no_bit_of_a_record_can_change(store: Store) -> None:
    store.put_record("kind", "abcdef", {"digest": "sha256:00", "size": 12})
    path = next(store.root.rglob("abcdef.json"))
    data = path.read_bytes()
    for at in range(len(data) * 8):
        changed = bytearray(data)
        changed[at // 8] ^= 1 << at % 8
        path.write_bytes(changed)
        assert store.record("kind", "abcdef") is None
    path.write_bytes(data)
    assert store.record("kind", "abcdef") == {"digest": "sha256:00", "size": 12}


def test_a_record_of_another_key_or_of_an_older_version_is_none(store: Store) -> None:
    store.put_record("kind", "abcdef", 1)
    store.put_record("kind", "abcdee", 2)
    one, two = sorted(store.root.rglob("*.json"))
    shutil.copy(one, two)
    assert store.record("kind", "abcdef") is None
    two.write_bytes(b"2")
    assert store.record("kind", "abcdef") is None


def test_a_blob_is_whole_while_its_stat_is_that_of_its_hash(store: Store) -> None:
    store.put(DATA)
    assert store.has_whole(DIGEST, len(DATA))
    path = store.path(DIGEST)
    path.chmod(0o644)
    path.write_bytes(b"x" + DATA[1:])
    os.utime(path, ns=(1, 1))
    assert store.has(DIGEST, len(DATA))  # which reads nothing
    assert not store.has_whole(DIGEST, len(DATA))
    assert not path.exists()


def test_a_lost_bit_that_changes_no_stat_is_found_by_reading_again(store: Store) -> None:
    store.put(DATA)
    path = store.path(DIGEST)
    facts = path.stat()
    path.chmod(0o644)
    path.write_bytes(b"x" + DATA[1:])
    os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns))
    assert store.has_whole(DIGEST)
    assert store.read(DIGEST) is None
    assert not store.read_again(DIGEST)
    assert not store.has(DIGEST)
    assert store.read(DIGEST) is None


def test_a_copy_elsewhere_is_whole_by_the_same_rule(store: Store, tmp_path: Path) -> None:
    store.put(DATA)
    copy = tmp_path / "copy"
    copy.write_bytes(DATA)
    assert store.is_whole(copy, DIGEST, len(DATA))
    assert store.is_whole(copy, DIGEST)
    copy.write_bytes(DATA[:-1] + b"x")
    assert not store.is_whole(copy, DIGEST, len(DATA))
    assert not copy.exists()
    assert not store.is_whole(copy, DIGEST)
    assert store.has_whole(DIGEST)


@pytest.mark.parametrize("what", ["blobs", "records", "tmp"])
def test_a_file_in_place_of_a_folder_and_a_folder_in_place_of_a_file(
    what: str, store: Store
) -> None:
    store.put(DATA)
    for path in [path for path in store.root.rglob("*") if path.is_file()]:
        path.unlink()
        path.mkdir()
        (path / "inside").touch()
    assert not store.has(DIGEST)
    assert store.record("hashed", DIGEST.hex) is None
    shutil.rmtree(store.root / what, ignore_errors=True)
    (store.root / what).touch()
    assert not store.has(DIGEST)
    assert store.put(DATA) == DIGEST
    assert store.has_whole(DIGEST)
    assert files_of(store)[: len(STORED)] == STORED


def test_a_folder_of_scratch_is_whole_while_nothing_in_it_changed(store: Store) -> None:
    folder = store.scratch("tree")
    (folder / "inside").mkdir(parents=True)
    (folder / "inside" / "a").write_bytes(b"a")
    (folder / "link").symlink_to("inside/a")
    assert not store.has_whole_tree(folder)
    store.remember_tree(folder)
    assert store.has_whole_tree(folder)
    changes: list[Callable[[], object]] = [
        lambda: (folder / "inside" / "a").write_bytes(b"b"),
        lambda: (folder / "inside" / "a").chmod(0o755),
        (folder / "inside" / "b").touch,
        lambda: ((folder / "link").unlink(), (folder / "link").symlink_to("inside")),
        lambda: shutil.rmtree(folder),
    ]
    for change in changes:
        store.remember_tree(folder)
        change()
        assert not store.has_whole_tree(folder)


def test_a_folder_in_place_of_a_partial_download_is_removed(store: Store) -> None:
    store.partial(DIGEST).mkdir()
    assert not store.partial(DIGEST).exists()


def test_two_processes_may_write_one_blob_at_once(store: Store) -> None:
    children = [python(WRITE, store.root) for _ in range(2)]
    for child in children:
        assert child.stdout is not None
        assert child.stdout.readline() == "half\n"
    assert [child.communicate("\n", timeout=10)[0] for child in children] == [f"{DIGEST}\n"] * 2
    assert files_of(store) == STORED
    assert store.path(DIGEST).read_bytes() == DATA


def test_a_killed_writer_leaves_a_store_that_works(store: Store) -> None:
    with until_killed(WRITE, store.root):
        pass
    (left,) = files_of(store)
    assert left.startswith("tmp/")
    assert not store.has(DIGEST)
    store.sweep()
    assert files_of(store) == [left]  # it may be another process's that still writes
    yesterday = time.time() - 24 * 3600 - 1
    os.utime(store.root / left, (yesterday, yesterday))
    store.put(DATA)
    store.sweep()
    assert files_of(store) == STORED


def test_a_lock_keeps_a_second_process_out_until_the_holder_is_killed(store: Store) -> None:
    with until_killed(LOCK, store.root) as holder:
        waiting = python(LOCK, store.root)
        assert waiting.stdout is not None
        assert select.select([waiting.stdout], [], [], 0.4)[0] == []
        assert holder.poll() is None
    assert waiting.communicate("\n", timeout=10)[0] == "held\n"
    with store.lock("name"):  # and it is free again
        pass


def test_locks_of_other_names_are_free(store: Store) -> None:
    with store.lock("one"), store.lock("two"):
        pass


def test_partial_and_scratch_are_in_the_store(store: Store) -> None:
    assert store.partial(DIGEST) == store.root / "partial" / DIGEST.hex
    assert store.scratch("x") == store.root / "scratch" / "x"
    assert store.partial(DIGEST).parent.is_dir()
    assert store.scratch("x").parent.is_dir()


def test_a_root_below_a_file_says_which_variable_to_set(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(LockstitchError) as caught:
        Store(tmp_path / "file" / "store").put(DATA)
    message = f"the store `{tmp_path}/file/store` cannot be written: Not a directory"
    assert caught.value.message == message
    assert caught.value.hint == "set LOCKSTITCH_CACHE to a folder of yours"


@pytest.mark.parametrize("number", [errno.EACCES, errno.EPERM, errno.EROFS])
def test_a_root_that_may_not_be_written_says_so(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Tests may run as root, whom no mode stops.
    def refuse(self: Path, *_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number), str(self))

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(LockstitchError, match=f"cannot be written: {os.strerror(number)}"):
        Store(tmp_path / "store").put(DATA)


def test_the_store_is_where_the_variable_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCKSTITCH_CACHE", "~/mine")
    assert default_root() == Path.home() / "mine"
    monkeypatch.setenv("LOCKSTITCH_CACHE", "relative")
    assert default_root() == Path.cwd() / "relative"


def test_the_store_is_in_the_users_cache_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LOCKSTITCH_CACHE")
    for folder in ("/somewhere", "", " "):
        monkeypatch.setenv("XDG_CACHE_HOME", folder)
        known = platformdirs.user_cache_dir("lockstitch", appauthor=False)
        assert default_root() == Path(known)


@pytest.mark.parametrize("look", [Store.has_whole, Store.read_again])
def test_what_another_process_has_put_there_meanwhile_stays(
    store: Store, monkeypatch: pytest.MonkeyPatch, look: Callable[[Store, Digest], bool]
) -> None:
    path = store.path(store.put(DATA))
    path.chmod(0o644)
    path.write_bytes(b"damaged")
    hashed = Store._hash

    def late(self: Store, at: Path, digest: Digest) -> bool:
        found = hashed(self, at, digest)
        monkeypatch.setattr(Store, "_hash", hashed)
        with self.writer() as writer:  # as a build beside this one does
            writer.write(DATA)
            writer.commit(DIGEST)
        return found

    monkeypatch.setattr(Store, "_hash", late)
    assert look(store, DIGEST)
    assert path.read_bytes() == DATA
