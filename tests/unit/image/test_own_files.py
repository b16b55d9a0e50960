"""What was read of the project's files is believed while their stat is the same, and no longer."""

import os
import time
from pathlib import Path

import pytest
from support import values

from lockstitch import clock
from lockstitch.digest import of_bytes
from lockstitch.image.own_files import OwnFiles
from lockstitch.store import Store

TEXT = b"the first text\n"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "project").mkdir()
    return tmp_path / "project"


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the names of files that are opened below a project, as they are."""
    seen: list[str] = []
    opened = Path.open

    def noted(path: Path, mode: str = "r", **options: object) -> object:
        if "/project/" in f"{path}" and "r" in mode:
            seen.append(path.name)
        return opened(path, mode, **options)  # type: ignore[call-overload]  # any options

    monkeypatch.setattr(Path, "open", noted)
    return seen


def written(root: Path, name: str = "a.py", data: bytes = TEXT) -> Path:
    path = root / name
    path.write_bytes(data)
    return path


def wait_for_the_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let all that was written so far be older than any step of a clock."""
    now = time.time()
    monkeypatch.setattr(clock, "now", lambda: now + 60)


def build(root: Path, store: Store) -> dict[str, str]:
    """Return the digest of each file, as a build that ends well sees them."""
    own = OwnFiles(values.project(root=root, name="p"), store)
    found = {each.name: own.facts(each).digest for each in own.listed()}
    own.keep()
    return found


def test_what_is_unchanged_is_not_read_again(
    root: Path, store: Store, monkeypatch: pytest.MonkeyPatch, reads: list[str]
) -> None:
    for name in ("a.py", "b.bin", "c.sh"):
        written(root, name)
    wait_for_the_clock(monkeypatch)
    first = build(root, store)
    assert sorted(reads) == ["a.py", "b.bin", "c.sh"]
    reads.clear()
    assert build(root, store) == first
    assert reads == []
    written(root, "b.bin", b"another\n")
    assert build(root, store) == first | {"b.bin": of_bytes(b"another\n")}
    assert reads == ["b.bin"]


def test_a_file_of_just_now_is_read_again_each_time(
    root: Path, store: Store, reads: list[str]
) -> None:
    written(root)
    for _ in range(2):
        reads.clear()
        build(root, store)
        assert reads == ["a.py"]


def test_a_second_write_in_one_step_of_the_clock_is_seen(root: Path, store: Store) -> None:
    # As on a file system that counts in seconds: stat shows no difference at all.
    path = written(root)
    facts = path.stat()
    assert build(root, store)["a.py"] == of_bytes(TEXT)
    path.write_bytes(TEXT.upper())
    os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns))
    assert build(root, store)["a.py"] == of_bytes(TEXT.upper())


def in_place(path: Path) -> None:
    path.write_bytes(TEXT.upper())


def replaced(path: Path) -> None:
    other = path.with_name("other")
    other.write_bytes(TEXT.upper())
    other.replace(path)


def through_a_link(path: Path) -> None:
    (path.parent / "other").write_bytes(TEXT.upper())
    path.unlink()
    path.symlink_to("other")


@pytest.mark.parametrize("write", [in_place, replaced, through_a_link])
def test_an_edit_of_the_same_size_and_mtime_is_seen(
    write: object, root: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(root)
    facts = path.stat()
    wait_for_the_clock(monkeypatch)
    assert build(root, store)["a.py"] == of_bytes(TEXT)
    assert callable(write)
    write(path)
    os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns))  # `touch -r`
    assert path.stat().st_mtime_ns == facts.st_mtime_ns
    assert build(root, store)["a.py"] == of_bytes(TEXT.upper())


def test_a_file_that_comes_back_is_the_one_that_it_was(
    root: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(root)
    wait_for_the_clock(monkeypatch)
    build(root, store)
    kept = path.rename(root.parent / "kept")
    assert build(root, store) == {}
    written(root, data=TEXT.upper())
    assert build(root, store)["a.py"] == of_bytes(TEXT.upper())
    kept.replace(path)
    assert build(root, store)["a.py"] == of_bytes(TEXT)


def test_a_file_written_while_it_is_read_is_not_remembered(
    root: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(root, "a.bin", TEXT * 1000)
    wait_for_the_clock(monkeypatch)
    own = OwnFiles(values.project(root=root, name="p"), store)
    (found,) = own.listed()
    path.write_bytes(TEXT.upper() * 1000)
    own.facts(found)
    own.keep()
    assert build(root, store)["a.bin"] == of_bytes(TEXT.upper() * 1000)


def test_a_damaged_record_is_not_there(
    root: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    written(root)
    wait_for_the_clock(monkeypatch)
    build(root, store)
    (record,) = (store.root / "records" / "read files").rglob("*.json")
    digest = of_bytes(TEXT).hex.encode()
    record.write_bytes(record.read_bytes().replace(digest, of_bytes(b"").hex.encode()))
    assert build(root, store)["a.py"] == of_bytes(TEXT)


def test_two_projects_do_not_share_what_is_known(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        written(tmp_path / name, data=name.encode())
    wait_for_the_clock(monkeypatch)
    for name in ("one", "two", "one"):
        assert build(tmp_path / name, store) == {"a.py": of_bytes(name.encode())}


def test_folders_that_no_pattern_leads_to_are_not_listed(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("src/a.py", "models/model.onnx", "models/mlruns/0/1/meta", "data/x.csv"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"")
    scanned: list[str] = []
    scandir = os.scandir

    def noted(path: str) -> object:
        scanned.append(os.path.relpath(path, root))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", noted)
    own = OwnFiles(values.project(root=root, name="p"))
    hits = own.matched(("src/**", "models/model.onnx"))
    assert {p: [each.name for each in found] for p, found in hits.items()} == {
        "src/**": ["src/a.py"],
        "models/model.onnx": ["models/model.onnx"],
    }
    assert sorted(scanned) == [".", "models", "src"]
