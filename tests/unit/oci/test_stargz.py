"""Lazy layers: each content where the table says, plain layers to everybody else."""

import gzip
import hashlib
import io
import json
import tarfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.images import MadeLayer, check_golden, image, layer, listing, members, random_entries

from lockstitch.digest import of_bytes
from lockstitch.errors import LockstitchError
from lockstitch.oci import deflate, stargz
from lockstitch.oci.entry import Cuttable, Entry, Kind, OnDisk, file, folder, symlink
from lockstitch.oci.layer import arrange
from lockstitch.oci.rootfs import entries, files_of
from lockstitch.oci.validate import problems

ENTRIES = [
    folder("app", mode=0o1777),
    file("app/a.py", b"import b\n"),
    file("app/data.bin", bytes(range(256)) * 20),
    file("app/empty", b""),
    file("app/pkg/b.py", b"print()\n", mode=0o755),
    symlink("app/link", "data.bin"),
]


def lazy(
    entries: list[Entry], *, first: Callable[[Entry], bool] = lambda _: False, title: str = "lazy"
) -> MadeLayer:
    written: list[bytes] = []
    facts = stargz.stitch(arrange(entries), written.append, first=first)
    return MadeLayer(facts=facts, created_by=title, data=b"".join(written))


def is_code(entry: Entry) -> bool:
    return entry.path.endswith(".py")


def table(made: MadeLayer) -> list[dict[str, Any]]:
    """Return the rows of the table, by way of the footer as an engine does."""
    extra = made.data[-51:][12:38]
    assert extra[:4] == b"SG\x16\0"
    assert extra[20:] == b"STARGZ"
    inner = gzip.decompress(made.data[int(extra[4:20], 16) :])
    with tarfile.open(fileobj=io.BytesIO(inner)) as archive:
        content = archive.extractfile(stargz.TABLE)
        assert content
        data = content.read()
    assert dict(made.facts.annotations)[stargz.TABLE_DIGEST] == of_bytes(data)
    assert json.loads(data)["version"] == 1
    return list(json.loads(data)["entries"])


def content(made: MadeLayer, path: str) -> bytes:
    """Return a file, from the members that the table names and nothing before them."""
    found = b""
    rows = [row for row in table(made) if row["name"] == path]
    for row in rows:
        assert row.get("chunkOffset", 0) == len(found)
        engine = zlib.decompressobj(31)
        data = engine.decompress(made.data[row["offset"] :])
        assert engine.eof
        assert "sha256:" + hashlib.sha256(data).hexdigest() == row["chunkDigest"]
        assert row.get("chunkSize", len(data)) == len(data)
        found += data
    assert len(found) == rows[0]["size"]
    assert "sha256:" + hashlib.sha256(found).hexdigest() == rows[0]["digest"]
    return found


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("first", [is_code, lambda _: False], ids=["code", "none"])
def test_each_file_is_where_the_table_says(seed: int, first: Callable[[Entry], bool]) -> None:
    given = arrange(random_entries(seed))
    made = lazy(given, first=first)
    rows = {row["name"]: row for row in table(made) if row["name"] not in stargz.NAMES}
    assert len(rows) == len(given)
    for each in given:
        row = rows[each.path + "/" * (each.kind is Kind.FOLDER)]
        kinds = {Kind.FILE: "reg", Kind.FOLDER: "dir", Kind.SYMLINK: "symlink"}
        assert (row["type"], row["mode"]) == (kinds[each.kind], each.mode)
        assert row.get("linkName", "") == each.target
        if each.size:
            assert content(made, each.path) == b"".join(each.content.plain())
        else:
            assert "offset" not in row


@pytest.mark.parametrize("seed", range(20))
def test_others_read_the_same_files_and_two_entries_more(seed: int) -> None:
    given = random_entries(seed)
    plain, made = members(layer(given).data), members(lazy(given, first=is_code).data)
    extra = made.keys() - plain.keys()
    assert extra < stargz.NAMES
    assert len(extra) == 2
    assert list(made)[-1] == stargz.TABLE
    for path, (member, data) in plain.items():
        other, same = made[path]
        assert (data, member.mode, member.linkname) == (same, other.mode, other.linkname)


@pytest.mark.parametrize("seed", range(20))
def test_the_table_is_no_file_of_the_image(seed: int) -> None:
    given = random_entries(seed)
    plain, made = layer(given), lazy(given, first=is_code)
    assert problems(image(made)) == []
    assert made.facts.unpacked == plain.facts.unpacked

    def read(one: MadeLayer) -> object:
        files = files_of([one.chunks], content=lambda _: True, digest=lambda _: True)
        listed = [(m.name, data) for m, data in entries(one, lambda _: True)]
        return files, sorted(listed)

    assert read(made) == read(plain)


def test_a_disorder_that_no_landmark_explains_is_a_problem() -> None:
    made = layer(ENTRIES)
    shuffled = [ENTRIES[n] for n in (0, 4, 2, 1, 3, 5)]
    written: list[bytes] = []
    facts = stargz.stitch(shuffled, written.append)
    assert problems(image(made)) == []
    found = problems(image(MadeLayer(facts=facts, created_by="x", data=b"".join(written))))
    assert found == ["layer 0 (x): `app/a.py` is not in order"]


def test_a_listing(pytestconfig: pytest.Config) -> None:
    check_golden(pytestconfig, "layer/lazy.txt", listing(lazy(ENTRIES, first=is_code)))


def test_what_starts_stands_before_the_landmark() -> None:
    names = [row["name"] for row in table(lazy(ENTRIES, first=is_code))]
    ahead = ["app/", "app/a.py", "app/pkg/", "app/pkg/b.py", stargz.PREFETCH]
    assert names == [*ahead, "app/data.bin", "app/empty", "app/link"]
    assert next(iter(row["name"] for row in table(lazy(ENTRIES)))) == stargz.NO_PREFETCH


def test_more_than_a_start_may_wait_for_is_fetched_when_it_is_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(stargz, "_MOST_FIRST", 16)
    names = {row["name"] for row in table(lazy(ENTRIES, first=is_code))}
    assert stargz.NO_PREFETCH in names
    assert stargz.PREFETCH not in names


class Packed:
    """Content that somebody else has compressed."""

    data = bytes(range(256)) * 40
    size, crc = len(data), zlib.crc32(data)

    def deflated(self) -> Iterator[bytes]:
        yield deflate.stored(self.data)

    def plain(self) -> Iterator[bytes]:
        yield self.data


@pytest.mark.parametrize("size", [4000, 4001, 8000, 10_240])
def test_large_content_of_ours_is_cut_and_others_are_not(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, size: int
) -> None:
    monkeypatch.setattr(stargz, "CHUNK", 4000)
    data = Packed.data[:size]
    (tmp_path / "disk").write_bytes(data)
    disk = Entry(path="disk", kind=Kind.FILE, mode=0o644, content=OnDisk(tmp_path / "disk", size))
    packed = Entry(path="packed", kind=Kind.FILE, mode=0o644, content=Packed())
    assert not isinstance(Packed(), Cuttable)
    made = lazy([file("ours", data), disk, packed])
    assert [content(made, name) for name in ("disk", "ours", "packed")] == [data, data, Packed.data]
    chunks = [row["name"] for row in table(made) if row["type"] == "chunk"]
    more = -(-size // 4000) - 1
    assert chunks == ["disk"] * more + ["ours"] * more
    assert members(made.data)["disk"][1] == data


def test_large_content_of_others_is_cut_where_that_is_wanted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(stargz, "CHUNK", 4000)
    monkeypatch.setattr(stargz, "SPLIT_FROM", Packed.size)
    given = [Entry(path="packed", kind=Kind.FILE, mode=0o644, content=Packed())]
    written: list[bytes] = []
    facts = stargz.stitch(given, written.append, split=True)
    made = MadeLayer(facts=facts, created_by="split", data=b"".join(written))
    assert [row["type"] for row in table(made)].count("chunk") == 2
    assert content(made, "packed") == Packed.data
    assert len(made.data) < len(lazy(given).data)
    monkeypatch.setattr(stargz, "SPLIT_FROM", Packed.size + 1)
    assert stargz.stitch(given, lambda _: None, split=True) == lazy(given).facts


class Lying(Packed):
    """Content that is shorter than it says."""

    size = 20_000


def test_content_of_another_size_is_refused() -> None:
    entry = Entry(path="a", kind=Kind.FILE, mode=0o644, content=Lying())
    with pytest.raises(LockstitchError, match="`a` has 10240 bytes, not 20000"):
        lazy([entry])


def test_the_footer_is_an_empty_member_of_51_bytes() -> None:
    made = lazy(ENTRIES)
    engine = zlib.decompressobj(31)
    assert engine.decompress(made.data[-51:]) == b""
    assert engine.eof
    tar = gzip.decompress(made.data)
    assert of_bytes(tar) == made.facts.diff_id
    assert dict(made.facts.annotations)["io.containers.estargz.uncompressed-size"] == str(len(tar))
