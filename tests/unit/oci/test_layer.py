"""Layers: order, parents, refusals, and gzip members that join to one tar."""

import gzip
import itertools
import time
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.images import check_golden, layer, listing, members, random_entries

from lockstitch.digest import Hasher, of_bytes
from lockstitch.errors import LockstitchError
from lockstitch.oci import deflate
from lockstitch.oci.entry import (
    TAR_END,
    Entry,
    Kind,
    file,
    folder,
    symlink,
    tar_header,
    tar_padding,
)
from lockstitch.oci.layer import arrange, check_path, stitch
from lockstitch.store import Store


def paths(entries: list[Entry]) -> list[str]:
    return [entry.path for entry in entries]


# --- arrange ----------------------------------------------------------------------------


def test_order_is_that_of_path_bytes() -> None:
    names = ["b", "a/c", "a-b", "a", "Z", "é", "z", "a.b", "a/b"]
    entries = [folder(name) if name == "a" else file(name, b"") for name in names]
    found = paths(arrange(entries))
    assert found == ["Z", "a", "a-b", "a.b", "a/b", "a/c", "b", "z", "é"]
    assert found == sorted(found, key=str.encode)


def test_code_units_of_utf_16_would_order_otherwise() -> None:
    assert paths(arrange([file("\U0001f600", b""), file("\uffee", b"")])) == [
        "\uffee",
        "\U0001f600",
    ]


def test_parents_are_made_once_and_with_0755() -> None:
    found = arrange([file("a/b/c", b""), file("a/b/d", b"")])
    assert paths(found) == ["a", "a/b", "a/b/c", "a/b/d"]
    assert [(e.kind, e.mode) for e in found[:2]] == [(Kind.FOLDER, 0o755)] * 2


def test_a_folder_that_is_given_keeps_its_mode() -> None:
    for entries in itertools.permutations([file("a/b", b""), folder("a", mode=0o1777)]):
        assert [e.mode for e in arrange(entries)] == [0o1777, 0o644]


def test_parents_at_or_above_the_root_belong_to_the_base() -> None:
    found = arrange([file("app/.venv/bin/tool", b""), file("app/main.py", b"")], root="app")
    assert paths(found) == ["app/.venv", "app/.venv/bin", "app/.venv/bin/tool", "app/main.py"]


def test_the_root_itself_can_be_given() -> None:
    assert paths(arrange([folder("app"), file("app/x", b"")], root="app")) == ["app", "app/x"]


def test_a_root_is_no_prefix_of_text() -> None:
    assert paths(arrange([file("application/x", b"")], root="app")) == ["application/x"]
    assert paths(arrange([file("app/apple/x", b"")], root="app")) == ["app/apple", "app/apple/x"]


def test_twice_the_same_folder_is_one() -> None:
    assert paths(arrange([folder("a"), folder("a"), file("a/b", b"")])) == ["a", "a/b"]


@pytest.mark.parametrize(
    "pair",
    [
        (file("a/b", b"1"), file("a/b", b"1")),
        (file("a/b", b"1"), symlink("a/b", "c")),
        (folder("a/b"), file("a/b", b"")),
        (file("a/b", b""), folder("a/b")),
    ],
)
def test_one_path_twice_is_refused(pair: tuple[Entry, Entry]) -> None:
    with pytest.raises(LockstitchError, match="`a/b` would be written twice in one layer"):
        arrange(pair)


@pytest.mark.parametrize(
    ("upper", "word"), [(file("a/b", b""), "file"), (symlink("a/b", "/etc"), "symlink")]
)
@pytest.mark.parametrize("lower", ["a/b/c", "a/b/c/d/e"])
def test_a_file_in_a_file_is_refused(upper: Entry, word: str, lower: str) -> None:
    for entries in itertools.permutations([upper, file(lower, b"")]):
        with pytest.raises(LockstitchError, match=f"`a/b` is a {word} and `a/b/c.*` lies in it"):
            arrange(entries)


@pytest.mark.parametrize("root", ["app", "app/x"])
def test_a_file_in_a_file_is_refused_at_the_root_too(root: str) -> None:
    with pytest.raises(LockstitchError, match="lies in it"):
        arrange([symlink("app", "/etc"), file("app/x/y", b"")], root=root)


UNSAFE = [
    *("", "/", "/etc/passwd", "a/", "a//b", ".", "..", "../a", "a/../b", "a/..", "./a", "a/."),
    *("a\\b", "..\\a", "C:\\a", "a\0b", "a/b\0"),
]
WHITEOUTS = [".wh.a", "a/.wh.b", ".wh..wh..opq", "a/.wh..wh..opq", ".wh.a/b"]


@pytest.mark.parametrize("path", UNSAFE)
def test_unsafe_paths_are_refused(path: str) -> None:
    with pytest.raises(LockstitchError, match="is not a safe path for an image"):
        arrange([file(path, b"")])


@pytest.mark.parametrize("path", WHITEOUTS)
def test_whiteouts_are_refused(path: str) -> None:
    with pytest.raises(LockstitchError, match=r"starts with `\.wh\.`, which deletes files"):
        arrange([file(path, b"")])


@pytest.mark.parametrize("path", ["...", "..a", "a..", ".whx", "wh.a", ".w", "~", "a b", "-", "é"])
def test_odd_but_safe_paths_pass(path: str) -> None:
    check_path(path)
    assert paths(arrange([file(path, b"")])) == [path]


# --- stitch -----------------------------------------------------------------------------

ENTRIES = [
    folder("app"),
    file("app/empty", b""),
    file("app/main.py", b"print('hello')\n" * 50),
    file("app/tool", b"#!/app/.venv/bin/python\n", mode=0o755),
    folder("app/models", mode=0o1777),
    symlink("app/link", "main.py"),
    file("app/" + "n" * 120, b"long name"),
    file("app/noise", bytes(range(256)) * 3),
    file("app/zoë", b"\0" * 5000),
]


def test_layer_golden(pytestconfig: pytest.Config) -> None:
    check_golden(pytestconfig, "layer/entries.txt", listing(layer(ENTRIES)))


def test_facts_are_those_of_the_bytes() -> None:
    made = layer(ENTRIES)
    plain = gzip.decompress(made.data)
    assert made.facts.digest == of_bytes(made.data)
    assert made.facts.size == len(made.data)
    assert made.facts.diff_id == of_bytes(plain)
    assert made.facts.unpacked == sum(entry.size for entry in ENTRIES)
    expected = b"".join(
        tar_header(entry)
        + (b"".join(entry.content.plain()) if entry.content else b"")
        + tar_padding(entry.size)
        for entry in arrange(ENTRIES)
    )
    assert plain == expected + TAR_END


def test_contents_come_back() -> None:
    found = members(layer(ENTRIES).data)
    assert set(found) == {entry.path for entry in ENTRIES}
    for entry in ENTRIES:
        member, content = found[entry.path]
        assert content == (b"".join(entry.content.plain()) if entry.content else b"")
        assert (member.mode, member.linkname) == (entry.mode, entry.target)


def test_empty_layer_is_an_empty_tar() -> None:
    made = layer([])
    assert gzip.decompress(made.data) == TAR_END
    assert made.facts.unpacked == 0


def test_gzip_headers_say_nothing_of_the_host() -> None:
    rest, count = layer(ENTRIES).data, 0
    while rest:
        assert rest[:10] == b"\x1f\x8b\x08\0\0\0\0\0\0\xff"
        engine = zlib.decompressobj(31)
        engine.decompress(rest)
        assert engine.eof
        rest, count = engine.unused_data, count + 1
    # A member for each content, one before each, and one behind the last.
    assert count == 2 * sum(1 for entry in ENTRIES if entry.size) + 1


@pytest.mark.parametrize("seed", range(20))
def test_input_order_does_not_show(seed: int) -> None:
    entries = random_entries(seed)
    assert layer(entries).data == layer(reversed(entries)).data
    assert layer(sorted(entries, key=lambda e: e.path)).data == layer(entries).data


class Chunked:
    """Content of 3 MiB that comes in small pieces."""

    data = bytes(range(256)) * (3 << 12)
    size, crc = len(data), zlib.crc32(data)

    def deflated(self) -> Iterator[bytes]:
        packed = deflate.stored(self.data)
        yield from (packed[at : at + 5000] for at in range(0, len(packed), 5000))

    def plain(self) -> Iterator[bytes]:
        yield from (self.data[at : at + 7000] for at in range(0, len(self.data), 7000))


def test_large_content_is_written_as_it_comes() -> None:
    written: list[bytes] = []
    facts = stitch([Entry(path="a", kind=Kind.FILE, mode=0o644, content=Chunked())], written.append)
    joined = b"".join(written)
    assert max(map(len, written)) < Chunked.size / 2
    assert (of_bytes(joined), len(joined)) == (facts.digest, facts.size)
    assert members(joined)["a"][1] == Chunked.data


class Lying:
    """Content whose claim and bytes differ."""

    size, crc = 10, 0

    def __init__(self, data: bytes) -> None:
        self.data = data

    def deflated(self) -> list[bytes]:
        return [b"\x03\x00"]

    def plain(self) -> list[bytes]:
        return [self.data]


@pytest.mark.parametrize("data", [b"", b"123456789", b"12345678901"])
def test_content_of_another_size_is_refused(data: bytes) -> None:
    entry = Entry(path="a/b", kind=Kind.FILE, mode=0o644, content=Lying(data))
    with pytest.raises(LockstitchError, match=f"`a/b` has {len(data)} bytes, not 10"):
        stitch([entry], lambda _: None)


def test_compressed_bytes_are_hashed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entries = arrange(random_entries(7))
    alone = bytearray()
    expected = stitch(entries, alone.extend)
    hashed: list[int] = []
    update = Hasher.update

    def counted(self: Hasher, data: bytes | memoryview) -> None:
        hashed.append(len(data))
        update(self, data)

    store = Store(tmp_path)
    with store.writer() as writer:
        monkeypatch.setattr(Hasher, "update", counted)
        facts = stitch(entries, writer.write, writer.hasher)
        monkeypatch.undo()
        writer.commit(facts.digest)
    assert facts == expected
    assert store.path(facts.digest).read_bytes() == alone
    assert sum(hashed) == facts.size + len(gzip.decompress(alone))


def test_empty_files_in_a_row_take_time_by_their_number() -> None:
    times = []
    for count in (250, 2000):
        entries = [file(f"app/{number:05}", b"") for number in range(count)]
        out = bytearray()
        began = time.process_time()
        stitch(entries, out.extend)
        times.append(time.process_time() - began)
    assert times[1] < 24 * times[0]  # 8 times, with room for a busy machine; it was 64
