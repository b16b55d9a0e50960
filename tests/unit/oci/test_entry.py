"""Contents: made by us, or read from a disk in pieces."""

import random
import zlib
from pathlib import Path

import pytest
from support.images import inflate, members

from lockstitch.oci import deflate
from lockstitch.oci.entry import Entry, Generated, Kind, OnDisk, file, folder, symlink
from lockstitch.oci.layer import stitch

CHUNK = 64 * 65535


def test_entries_of_each_kind() -> None:
    assert file("a", b"123").size == 3
    assert (folder("a").size, symlink("a", "b").size) == (0, 0)
    assert (folder("a").mode, file("a", b"").mode, symlink("a", "b").mode) == (0o755, 0o644, 0o777)
    assert [e.kind for e in (file("a", b""), folder("a"), symlink("a", "b"))] == [*Kind][:3]


def test_generated_content_knows_size_and_crc() -> None:
    content = Generated(b"hello")
    assert (content.size, content.crc) == (5, zlib.crc32(b"hello"))
    assert b"".join(content.plain()) == inflate(b"".join(content.deflated())) == b"hello"


def test_generated_content_of_16_mib_is_stored() -> None:
    assert len(b"".join(Generated(bytes(16 << 20)).deflated())) > 16 << 20
    assert len(b"".join(Generated(bytes(1 << 20)).deflated())) < 10_000


@pytest.mark.parametrize("size", [1, 65535, 65536, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK])
def test_content_on_disk_has_the_bytes_it_would_have_in_memory(size: int, tmp_path: Path) -> None:
    data = random.Random(size).randbytes(size)
    (tmp_path / "file").write_bytes(data)
    content = OnDisk(tmp_path / "file", size)
    assert content.crc == zlib.crc32(data)
    assert b"".join(content.plain()) == data
    assert b"".join(content.deflated()) == deflate.stored(data)


def test_content_on_disk_is_a_member_like_any_other(tmp_path: Path) -> None:
    data = random.Random(0).randbytes(CHUNK + 5)
    (tmp_path / "file").write_bytes(data)
    content = OnDisk(tmp_path / "file", len(data))
    written: list[bytes] = []
    stitch([Entry(path="a", kind=Kind.FILE, mode=0o644, content=content)], written.append)
    assert members(b"".join(written))["a"][1] == data


def test_stored_blocks_can_be_joined() -> None:
    parts = [deflate.stored(b"one", final=False), deflate.stored(bytes(70_000), final=False)]
    assert inflate(b"".join([*parts, deflate.stored(b"two")])) == b"one" + bytes(70_000) + b"two"
