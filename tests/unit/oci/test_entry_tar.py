"""Headers, read back by the standard library."""

import io
import tarfile

import pytest

from lockstitch.oci.entry import (
    TAR_END,
    Entry,
    _record,
    file,
    folder,
    symlink,
    tar_header,
    tar_padding,
)


def read(entry: Entry, size: int | None = None) -> tarfile.TarInfo:
    """Return the one member that tarfile sees in a header."""
    archive = tarfile.open(fileobj=io.BytesIO(tar_header(entry, size=size) + TAR_END))  # noqa: SIM115 -- in memory
    member = archive.next()
    assert member is not None
    return member


def checked(block: bytes) -> int:
    """Return the checksum that a block should have (POSIX: its own field counts as spaces)."""
    return sum(block[:148]) + 8 * 32 + sum(block[156:])


@pytest.mark.parametrize(
    "entry",
    [
        file("a", b""),
        file("app/main.py", b"x" * 700, mode=0o755),
        folder("app/models", mode=0o1777),
        symlink("app/.venv/bin/python", "/usr/bin/python3.11"),
    ],
)
def test_plain_entry_is_one_ustar_block(entry: Entry) -> None:
    block = tar_header(entry)
    member = read(entry)
    assert len(block) == 512
    assert (member.name, member.mode, member.size) == (entry.path, entry.mode, entry.size)
    assert member.linkname == entry.target
    assert (member.isreg(), member.isdir(), member.issym()) == (
        entry.kind.value == "file",
        entry.kind.value == "folder",
        entry.kind.value == "symlink",
    )
    assert (member.uid, member.gid, member.uname, member.gname) == (0, 0, "", "")
    assert member.mtime == 315619200
    assert member.pax_headers == {}
    assert int(block[148:154], 8) == checked(block)
    assert block[257:265] == b"ustar\x0000"


def test_every_byte_of_a_header() -> None:
    assert tar_header(file("app/main.py", b"x" * 700, mode=0o755)) == (
        b"app/main.py".ljust(100, b"\0")
        + b"0000755\0"
        + b"0000000\0"
        + b"0000000\0"  # mode, uid, gid
        + b"00000001274\0"
        + b"02263773600\0"  # size, mtime
        + b"011336\0 "
        + b"0"
        + bytes(100)
        + b"ustar\x0000"
        + bytes(64)
        + b"0000000\0"
        + b"0000000\0"
        + bytes(155 + 12)
    )


def test_a_folder_ends_with_a_slash() -> None:
    assert tar_header(folder("app"))[:5] == b"app/\0"


@pytest.mark.parametrize(
    ("path", "blocks"),
    [
        ("x" * 100, 1),
        ("x" * 101, 3),
        ("p" * 50 + "/" + "x" * 100, 1),
        ("p" * 155 + "/" + "x" * 100, 1),
        ("p" * 156 + "/" + "x" * 99, 3),
        ("p" * 155 + "/" + "x" * 101, 3),
        ("a/" + "p" * 150 + "/" + "x" * 101, 3),
        ("/".join(["part"] * 51), 1),
        ("/".join(["part"] * 60), 3),
        ("zoë", 3),
        ("日本/" + "x" * 10, 3),
    ],
)
def test_pax_only_where_a_name_does_not_fit(path: str, blocks: int) -> None:
    assert len(tar_header(file(path, b""))) == blocks * 512
    assert read(file(path, b"")).name == path


@pytest.mark.parametrize("size", [99, 100, 101, 155, 156, 157, 255, 256, 257, 300])
def test_folders_of_every_length_keep_their_name(size: int) -> None:
    for path in ("d" * size, ("dir/" * 80)[:size].rstrip("/"), "e/" * 20 + "d" * (size - 40)):
        member = read(folder(path))
        assert member.name == path
        assert member.isdir()


@pytest.mark.parametrize(("target", "blocks"), [("t" * 100, 1), ("t" * 101, 3), ("ü" * 51, 3)])
def test_long_targets(target: str, blocks: int) -> None:
    entry = symlink("link", target)
    assert len(tar_header(entry)) == blocks * 512
    assert read(entry).linkname == target


def test_long_name_and_long_target_share_one_pax_header() -> None:
    entry = symlink("n" * 150, "t" * 150)
    member = read(entry)
    assert (member.name, member.linkname) == ("n" * 150, "t" * 150)
    assert set(member.pax_headers) == {"path", "linkpath"}


@pytest.mark.parametrize(
    ("size", "pax"), [((8 << 30) - 1, False), (8 << 30, True), (70 << 30, True)]
)
def test_sizes_of_8_gib_need_pax(size: int, *, pax: bool) -> None:
    member = read(file("model.bin", b""), size=size)
    assert member.size == size
    assert ("size" in member.pax_headers) is pax


def test_a_size_that_pax_says_is_zero_in_the_header() -> None:
    # Readers that know no pax then at least do not skip a wrong number of blocks.
    blocks = tar_header(file("model.bin", b""), size=(8 << 30) + 5)
    assert blocks[-512:][124:136] == b"00000000000\0"
    assert b" size=8589934597\n" in blocks[512:1024]


def test_pax_header_is_named_by_its_content() -> None:
    one, other = tar_header(file("x" * 101, b"")), tar_header(file("y" * 101, b""))
    assert one[:11] == other[:11] == b"PaxHeaders/"
    assert one[:43] != other[:43]
    assert tar_header(file("x" * 101, b"other content", mode=0o755))[:1024] == one[:1024]


@pytest.mark.parametrize("length", [*range(80, 120), 980, 981, 985, 986, 990, 991])
def test_pax_record_counts_its_own_digits(length: int) -> None:
    record = _record("path", "x" * length)
    digits, _, rest = record.partition(b" ")
    assert int(digits) == len(record)
    assert rest == b"path=" + b"x" * length + b"\n"


@pytest.mark.parametrize(("size", "zeros"), [(0, 0), (1, 511), (511, 1), (512, 0), (513, 511)])
def test_padding_fills_a_block(size: int, zeros: int) -> None:
    assert tar_padding(size) == bytes(zeros)
