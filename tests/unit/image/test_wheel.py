"""Wheels: good ones read as `zipfile` reads them, hostile ones are refused and leave nothing."""

import functools
import io
import os
import sys
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import zstandard
from support.images import MadeLayer, members
from support.zips import (
    FILENAME,
    INFO,
    File,
    directory_at,
    local_at,
    metadata,
    patched,
    raw,
    recorded,
    wheel,
    with_end,
    with_member_inside,
    with_zip64_end,
    zipped,
)

from lockstitch.digest import of_bytes
from lockstitch.errors import LockstitchError
from lockstitch.image.wheel import Member, Wheel, read_record_file, record_hash, write_record_file
from lockstitch.oci import deflate
from lockstitch.oci.layer import GoneError, arrange, stitch
from lockstitch.store import Store

SITE = "app/.venv/lib/python3.11/site-packages"
TEXT = b"x = 1\n" * 200
CODE = File(name="demo/a.py", data=TEXT)


@pytest.fixture
def opened(tmp_path: Path) -> Callable[[bytes], Wheel]:
    def open_(data: bytes) -> Wheel:
        path = tmp_path / FILENAME
        path.write_bytes(data)
        return Wheel(path, FILENAME)

    return open_


# --- good ones --------------------------------------------------------------------------

GOOD = {
    "levels": wheel(*(File(name=f"demo/{n}.py", data=TEXT, level=n) for n in range(10))),
    "streamed": wheel(CODE, File(name="demo/s.bin", data=TEXT, level=0), streamed=True),
    "zip64 extras": wheel(replace(CODE, zip64=True), File(name="demo/b.py", data=TEXT)),
    "streamed zip64": wheel(replace(CODE, zip64=True), streamed=True),
    "empty files": wheel(File(name="demo/e.py"), File(name="demo/f.py", level=0)),
    "empty streamed": wheel(File(name="demo/e.py"), File(name="demo/f.py", level=0), streamed=True),
    "utf-8 names": wheel(File(name="demo/zoë.txt", data=b"1"), File(name="日本/x", data=b"2")),
    "folders": wheel(File(name="demo/", mode=0o40755, level=0), CODE, File(name="empty/", level=0)),
    "large": wheel(File(name="demo/big.bin", data=bytes(9 << 20))),
    "a comment": b"".join([wheel(CODE)[:-2], b"\x05\0hello"]),
    "something before it": b"#!/usr/bin/env python3\n" + wheel(CODE),
    "programs": wheel(replace(CODE, mode=0o100755), File(name="demo/b.py", mode=0o100644)),
}


@pytest.mark.parametrize("name", GOOD)
def test_contents_are_what_zipfile_gives(name: str, opened: Callable[[bytes], Wheel]) -> None:
    found = opened(GOOD[name])
    with zipfile.ZipFile(io.BytesIO(GOOD[name])) as archive:
        expected = {i.filename: archive.read(i) for i in archive.infolist() if not i.is_dir()}
    assert {key: member.read() for key, member in found.members.items()} == expected
    assert list(found.members) == sorted(expected, key=str.encode)


@pytest.mark.parametrize("name", GOOD)
def test_stitched_streams_unpack_to_what_zipfile_gives(
    name: str, made: Callable[[bytes], MadeLayer]
) -> None:
    found = members(made(GOOD[name]).data)
    with zipfile.ZipFile(io.BytesIO(GOOD[name])) as archive:
        for info in archive.infolist():
            if not info.is_dir() and not info.filename.endswith("/RECORD"):
                member, content = found[f"{SITE}/{info.filename}"]
                assert content == archive.read(info)
                executable = info.external_attr >> 16 & 0o111
                assert member.mode == (0o755 if executable else 0o644)


def test_a_deflated_member_is_carried_bit_for_bit(opened: Callable[[bytes], Wheel]) -> None:
    data = wheel(CODE)
    found = opened(data)
    stream = b"".join(found.members["demo/a.py"].deflated())
    assert stream == raw(TEXT)
    written: list[bytes] = []
    entries = arrange([entry(found.members["demo/a.py"])])
    stitch(entries, written.append)
    assert stream in b"".join(written)


def entry(member: Member) -> object:
    from lockstitch.oci.entry import Entry, Kind

    return Entry(path=member.name, kind=Kind.FILE, mode=0o644, content=member)


def test_what_the_wheel_compressed_cannot_be_cut(opened: Callable[[bytes], Wheel]) -> None:
    data = b"text\n" * 300
    found = opened(wheel(File(name="demo/a", data=data), File(name="demo/b", data=data, level=0)))
    assert found.members["demo/a"].encode is None
    encode = found.members["demo/b"].encode
    assert encode is not None
    assert encode(data) == deflate.stored(data)


def test_members_are_played_in_chunks(opened: Callable[[bytes], Wheel]) -> None:
    member = opened(GOOD["large"]).members["demo/big.bin"]
    chunks = [len(chunk) for chunk in member.plain()]
    assert sum(chunks) == 9 << 20
    assert max(chunks) <= 4 << 20


def test_a_large_member_is_inflated_in_slices(
    opened: Callable[[bytes], Wheel], monkeypatch: pytest.MonkeyPatch
) -> None:
    data = os.urandom(3 << 20) + bytes(9 << 20)
    made = opened(wheel(File(name="demo/large.bin", data=data)))
    asked: list[int] = []
    cut = made.slice

    def sliced(start: int, size: int) -> bytes:
        asked.append(size)
        return cut(start, size)

    monkeypatch.setattr(made, "slice", sliced)
    chunks = list(made.members["demo/large.bin"].plain())
    assert b"".join(chunks) == data
    # Memory is bounded by both, whatever the size of the member.
    assert max(asked) == 256 << 10
    assert max(map(len, chunks)) <= 4 << 20


@pytest.mark.parametrize("more", [1, 300 << 10])
def test_what_follows_the_end_of_a_stream_is_refused(
    more: int, opened: Callable[[bytes], Wheel]
) -> None:
    data = b"print(1)\n" * 100
    made = opened(wheel(File(name="demo/a.py", data=bytes(400 << 10), level=0)))
    member = made.members["demo/a.py"]
    engine = zlib.compressobj(9, zlib.DEFLATED, -15)
    stream = engine.compress(data) + engine.flush() + bytes(more)
    whole = made.slice(0, member.start) + stream
    made.slice = lambda start, size: whole[start : start + size]
    wrong = replace(member, method=8, packed=len(stream), size=len(data), crc=zlib.crc32(data))
    with pytest.raises(LockstitchError, match="does not end where it says"):
        wrong.read()


# --- zstd, method 93 ----------------------------------------------------------------------

LARGE = os.urandom(5 << 20) * 4  # stored in a layer, since it has 16 MiB
PACKED = wheel(
    File(name="demo/a.py", data=TEXT, zstd=True),
    File(name="demo/b.py", data=TEXT),
    File(name="demo/large.bin", data=LARGE, zstd=True),
)
FRAMES = zstandard.compress(TEXT)


@pytest.mark.slow
def test_what_is_zstd_in_a_wheel_is_deflate_in_its_layer(
    made: Callable[[bytes], MadeLayer],
) -> None:
    found = members(made(PACKED).data)
    for name, data in (("a.py", TEXT), ("b.py", TEXT), ("large.bin", LARGE)):
        assert found[f"{SITE}/demo/{name}"][1] == data


def test_zstd_does_not_decide_the_bytes_of_a_layer(opened: Callable[[bytes], Wheel]) -> None:
    # Of no library and no level: only of the content.
    member = opened(PACKED).members["demo/a.py"]
    assert b"".join(member.deflated()) == deflate.compress(TEXT)
    large = opened(PACKED).members["demo/large.bin"]
    assert b"".join(large.deflated()) == deflate.stored(LARGE)


def test_several_frames_are_one_member(opened: Callable[[bytes], Wheel]) -> None:
    data = wheel(File(name="demo/a.py", data=FRAMES * 2, level=0))
    facts = {"method": 93, "size": 2 * len(TEXT), "crc": zlib.crc32(TEXT * 2)}
    member = opened(patched(data, "demo/a.py", both=facts)).members["demo/a.py"]
    assert replace(member, recorded="").read() == TEXT * 2


@pytest.mark.parametrize(
    ("frames", "words"),
    [
        (FRAMES[:-3], "declares 1200 bytes"),
        (b"x" + FRAMES, "does not inflate"),
        (FRAMES + b"junk", "does not inflate"),
        (zstandard.compress(bytes(64 << 20)), "and holds more bytes"),
        (zstandard.compress(TEXT[:-1]), "holds 1199 bytes"),
    ],
    ids=["cut off", "before it", "behind it", "a bomb", "less"],
)
def test_damaged_zstd_is_refused(
    frames: bytes, words: str, made: Callable[[bytes], MadeLayer]
) -> None:
    data = wheel(File(name="demo/a.py", data=frames, level=0))
    facts = {"method": 93, "size": len(TEXT), "crc": zlib.crc32(TEXT)}
    with pytest.raises(LockstitchError, match=words):
        made(patched(data, "demo/a.py", both=facts))


def test_a_zstd_wheel_without_the_library_says_what_to_install(
    opened: Callable[[bytes], Wheel], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "zstandard", None)
    assert opened(PACKED).members["demo/b.py"].read() == TEXT
    with pytest.raises(LockstitchError, match="need the package `zstandard`") as caught:
        opened(PACKED).members["demo/a.py"].read()
    assert caught.value.hint == "pip install 'lockstitch[zstd]'"


def test_cp437_names(opened: Callable[[bytes], Wheel]) -> None:
    data = wheel(File(name="demo/caf_.txt", data=b"1")).replace(b"caf_", b"caf\x82")
    assert opened(data).members["demo/café.txt"].read() == b"1"


# --- hostile ones -----------------------------------------------------------------------


def renamed(to: bytes, *, placeholder: str = "demo/a.py") -> bytes:
    """Return a wheel with a member of any name, even one that zipfile does not write."""
    name = placeholder.ljust(len(to), "_")[: max(len(to), 1)]
    data = wheel(File(name=name, data=TEXT))
    assert data.count(name.encode()) >= 2
    return data.replace(name.encode(), to)


def hostile_names() -> dict[str, bytes]:
    names = [
        *("../evil.py", "demo/../../evil.py", "demo/../evil.py", "..", "../", "demo/.."),
        *("/etc/passwd", "//etc/passwd", "/", "./demo/a.py", "demo/./a.py", "demo//a.py"),
        *("..\\evil.py", "demo\\a.py", "C:\\evil.py", "C:/..\\x"),
        *(".wh.demo", "demo/.wh.__init__.py", "demo/.wh..wh..opq", ".wh..wh..opq", ".wh.d/a.py"),
        *("demo/a\0.py", "\0", "demo/a.py\0.txt", "../\0"),
    ]
    return {f"name {name!r}": renamed(name.encode()) for name in names}


def no_name() -> bytes:
    """Return a wheel with a member whose name has no bytes."""
    info = zipfile.ZipInfo("x")
    info.filename = ""
    output = io.BytesIO(wheel(CODE))
    with zipfile.ZipFile(output, "a") as archive:
        archive.writestr(info, b"data")
    return output.getvalue()


def cut(by: int) -> bytes:
    """Return a wheel in which a member's data claims fewer bytes than its stream has."""
    return patched(wheel(CODE), "demo/a.py", both={"packed": len(raw(TEXT)) - by})


def bomb(declared: int) -> bytes:
    """Return a wheel with 64 MiB in a member that declares less."""
    return patched(zeros(), "demo/a.py", both={"size": declared})


@functools.cache
def zeros() -> bytes:
    """Return a wheel with 64 MiB of zeros."""
    large = File(name="demo/a.py", data=bytes(64 << 20), level=1)
    return zipped([large, *metadata(), recorded(metadata())])


def overlap() -> bytes:
    """Return a wheel with a member that lies inside another one, headers and all."""
    inner = zipped([File(name="demo/inner.py", data=TEXT)])
    payload = inner[: inner.index(b"PK\x01\x02")]
    data = wheel(File(name="demo/outer.bin", data=payload, level=0))
    return with_member_inside(data, inner, data.index(payload))


def many_large() -> bytes:
    """Return a wheel whose members declare 68 GiB in all, each of them just under 4 GiB."""
    names = [f"demo/{n}.bin" for n in range(17)]
    data = wheel(*(File(name=name, data=b"1") for name in names))
    for name in names:
        data = patched(data, name, both={"size": 0xFFFFFFFE})
    return data


def stray() -> bytes:
    """Return a wheel with a byte behind a member's stream, which its packed size counts in."""
    data = wheel(CODE, streamed=True)  # a descriptor follows, so no other member is touched
    return patched(data, "demo/a.py", directory={"packed": len(raw(TEXT)) + 1})


DATA = wheel(CODE)


def test_a_large_stored_member_is_read_in_pieces_and_packed_as_at_once(
    opened: Callable[[bytes], Wheel],
) -> None:
    large = opened(wheel(File(name="demo/data.bin", data=LARGE, level=0))).members["demo/data.bin"]
    assert (large.method, large.packed) == (zipfile.ZIP_STORED, len(LARGE))
    assert b"".join(large.deflated()) == deflate.stored(LARGE)
    assert max(map(len, large.plain())) <= 4 << 20
    assert b"".join(large.plain()) == LARGE


def test_a_closed_wheel_reads_no_other_file(opened: Callable[[bytes], Wheel]) -> None:
    closed = opened(wheel(CODE))
    closed.close()
    closed.close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        closed.members["demo/a.py"].read()


STORED = wheel(File(name="demo/a.py", data=TEXT, level=0))
HOSTILE: dict[str, bytes] = {
    **hostile_names(),
    "no name": no_name(),
    "the same name twice": wheel(CODE, File(name="demo/b.py")).replace(b"demo/b.py", b"demo/a.py"),
    "wrong CRC": patched(DATA, "demo/a.py", both={"crc": 12345}),
    "wrong CRC, stored": patched(STORED, "demo/a.py", both={"crc": 12345}),
    "wrong CRC, directory only": patched(DATA, "demo/a.py", directory={"crc": 12345}),
    "wrong CRC, local only": patched(DATA, "demo/a.py", local={"crc": 12345}),
    "wrong CRC, empty": patched(wheel(File(name="demo/a.py")), "demo/a.py", both={"crc": 1}),
    "wrong CRC, streamed": patched(wheel(CODE, streamed=True), "demo/a.py", directory={"crc": 1}),
    "size one more": patched(DATA, "demo/a.py", both={"size": len(TEXT) + 1}),
    "size one less": patched(DATA, "demo/a.py", both={"size": len(TEXT) - 1}),
    "size one": patched(DATA, "demo/a.py", both={"size": 1}),
    "size zero": patched(DATA, "demo/a.py", both={"size": 0}),
    "size and CRC zero": patched(DATA, "demo/a.py", both={"size": 0, "crc": 0}),
    "size of 4 GiB": patched(DATA, "demo/a.py", both={"size": 0xFFFFFFFE}),
    "size, directory only": patched(DATA, "demo/a.py", directory={"size": len(TEXT) + 1}),
    "size, local only": patched(DATA, "demo/a.py", local={"size": len(TEXT) + 1}),
    "size, stored": patched(STORED, "demo/a.py", both={"size": len(TEXT) - 1}),
    "size and packed, stored": patched(STORED, "demo/a.py", both={"size": 50, "packed": 50}),
    "bomb over 10 bytes": bomb(10),
    "bomb over 0 bytes": bomb(0),
    "bomb under its real size": bomb((64 << 20) - 1),
    "68 GiB declared": many_large(),
    "encrypted": patched(DATA, "demo/a.py", both={"flags": 0x1}),
    "encrypted, directory only": patched(DATA, "demo/a.py", directory={"flags": 0x1}),
    "strongly encrypted": patched(DATA, "demo/a.py", both={"flags": 0x41}),
    "strong flag alone": patched(DATA, "demo/a.py", both={"flags": 0x40}),
    "patched data": patched(DATA, "demo/a.py", both={"flags": 0x20}),
    "method 99": patched(DATA, "demo/a.py", both={"method": 99}),
    "method 99, directory only": patched(DATA, "demo/a.py", directory={"method": 99}),
    "method 12": patched(DATA, "demo/a.py", both={"method": 12}),
    "method 14": patched(DATA, "demo/a.py", both={"method": 14}),
    "method 93": patched(DATA, "demo/a.py", both={"method": 93}),
    "method 0 over deflated": patched(DATA, "demo/a.py", both={"method": 0}),
    "method 8 over stored": patched(STORED, "demo/a.py", both={"method": 8}),
    "method, local only": patched(DATA, "demo/a.py", local={"method": 0}),
    "symlink": wheel(File(name="demo/a.py", data=b"/etc/passwd", mode=0o120777)),
    "overlap": overlap(),
    "packed one less": cut(1),
    "packed one more": stray(),
    "packed zero": cut(len(raw(TEXT))),
    "packed behind the end": patched(DATA, "demo/a.py", both={"packed": 0xFFFFFF}),
    "no local header": patched(DATA, "demo/a.py", directory={"offset": 5}),
    "local header behind the end": patched(DATA, "demo/a.py", directory={"offset": 0xFFFFFF}),
    "another member's header": patched(
        DATA, "demo/a.py", directory={"offset": local_at(DATA, f"{INFO}/WHEEL")}
    ),
    "local name of another size": patched(DATA, "demo/a.py", local={"name_size": 8}),
    "local extra behind the end": patched(DATA, "demo/a.py", local={"extra": 0xFFFF}),
    "offsets before the file": with_end(DATA, offset=DATA.index(b"PK\x01\x02") + len(DATA)),
    "zip64 directory of 2^64 bytes": with_zip64_end(DATA, size=2**64 - 1, offset=0),
    "zip64 directory at 2^64": with_zip64_end(DATA, size=100, offset=2**64 - 1),
    "directory larger than the file": with_end(DATA, size=0xFFFFFF),
    "no bytes": b"",
    "no zip": b"<html>404</html>" * 50,
    "cut in half": DATA[: len(DATA) // 2],
    "cut by one": DATA[:-1],
    "only an end": DATA[DATA.rindex(b"PK\x05\x06") :],
    "a file and a folder": wheel(File(name="demo", data=b"1"), CODE),
    "local name of another": (
        DATA[: local_at(DATA, "demo/a.py") + 30]
        + b"demo/b.py"
        + DATA[local_at(DATA, "demo/a.py") + 39 :]
    ),
    "directory name of another": (
        DATA[: directory_at(DATA, "demo/a.py") + 46]
        + b"demo/b.py"
        + DATA[directory_at(DATA, "demo/a.py") + 55 :]
    ),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_refused_and_nothing_written(
    name: str, made: Callable[[bytes], MadeLayer], store: Store
) -> None:
    with pytest.raises(LockstitchError) as caught:
        made(HOSTILE[name])
    assert caught.value.message.startswith("`")  # which file, before what is wrong with it
    blobs = {path.name for path in (store.root / "blobs").rglob("*") if path.is_file()}
    assert blobs == {of_bytes(HOSTILE[name]).hex}  # the wheel itself, and no layer
    assert list((store.root / "tmp").iterdir()) == []


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("name '../evil.py'", "`'../evil.py'` is not a safe path"),
        ("name '/etc/passwd'", "`'/etc/passwd'` is not a safe path"),
        ("name 'demo\\\\a.py'", "is not a safe path"),
        ("name 'demo/.wh.__init__.py'", "starts with `.wh.`, which deletes files"),
        ("name 'demo/a\\x00.py'", "`demo/a` in `demo-1.0-py3-none-any.whl` has a name with a zero"),
        ("the same name twice", "`demo/a.py` in `demo-1.0-py3-none-any.whl` is there twice"),
        ("wrong CRC", "declares 1200 bytes, CRC 00003039, and holds 1200 bytes, CRC"),
        ("size one more", "declares 1201 bytes"),
        ("size one less", "declares 1199 bytes, CRC"),
        ("bomb over 10 bytes", "declares 10 bytes, CRC"),
        ("68 GiB declared", "declares 7301444"),
        ("encrypted", "`demo/a.py` in `demo-1.0-py3-none-any.whl` is encrypted"),
        ("method 99", "uses method 99; only 0, 8 and 93 are known"),
        ("symlink", "`demo/a.py` in `demo-1.0-py3-none-any.whl` is a symlink"),
        ("overlap", "`demo-1.0-py3-none-any.whl` has members that overlap"),
        ("packed one more", "does not end where it says"),
        ("packed one less", "does not end where it says"),
        ("method 8 over stored", "does not inflate"),
        ("wrong CRC, local only", "has a local header that says otherwise than the directory"),
        ("no local header", "has no local header"),
        ("packed behind the end", "ends behind the end of the file"),
        ("size, stored", "is stored, with 1200 of 1199 bytes"),
        ("no zip", "`demo-1.0-py3-none-any.whl` is not a wheel: "),
    ],
)
def test_the_error_says_what_is_wrong(
    name: str, words: str, made: Callable[[bytes], MadeLayer]
) -> None:
    with pytest.raises(LockstitchError) as caught:
        made(HOSTILE[name])
    assert words in caught.value.message


@pytest.mark.parametrize("name", ["../evil.py", ".wh.demo", "demo\\a.py"])
def test_the_error_of_an_unsafe_name_says_in_which_wheel(
    name: str, made: Callable[[bytes], MadeLayer]
) -> None:
    with pytest.raises(LockstitchError, match=FILENAME):
        made(HOSTILE[f"name {name!r}"])


def test_every_bad_member_is_listed(opened: Callable[[bytes], Wheel]) -> None:
    data = wheel(*(File(name=f"demo/{n}.py", data=TEXT) for n in range(4)))
    data = patched(data, "demo/0.py", both={"method": 99})
    data = patched(data, "demo/2.py", both={"flags": 1})
    data = patched(data, "demo/3.py", local={"crc": 1})
    with pytest.raises(LockstitchError) as caught:
        opened(data)
    found = [error.message for error in caught.value.everything()]
    assert len(found) == 3
    assert "uses method 99" in found[0]
    assert "is encrypted" in found[1]
    assert "says otherwise" in found[2]
    assert all(error.hint for error in caught.value.everything())


def test_a_bomb_is_not_inflated_past_what_it_declares(opened: Callable[[bytes], Wheel]) -> None:
    inflated = 0
    member = opened(HOSTILE["bomb over 10 bytes"]).members["demo/a.py"]
    for chunk in member._inflated():
        inflated += len(chunk)
        break
    assert inflated == 11
    taken = []
    with pytest.raises(LockstitchError, match="holds more bytes"):
        taken += member.plain()
    assert sum(map(len, taken)) <= 10


@pytest.mark.parametrize("name", ["demo/a\r.py", "demo/a\n.py", "demo/a\x1b[2J.py", "demo/\x7f"])
def test_a_control_character_in_a_name_is_refused(
    name: str, made: Callable[[bytes], MadeLayer]
) -> None:
    # RECORD is a CSV file whose rows it would break; 3.11 and 3.13 write `\\r` differently.
    with pytest.raises(LockstitchError):
        made(wheel(File(name=name, data=b"1")))


def test_a_blob_of_a_store_that_is_damaged_while_it_is_read_is_no_fault_of_the_wheel(
    tmp_path: Path,
) -> None:
    whole = wheel(CODE)
    path = tmp_path / of_bytes(whole).hex
    path.write_bytes(whole)
    opened = Wheel(path, FILENAME)
    at = local_at(whole, CODE.name)
    path.write_bytes(whole[:at] + b"\0" * 60 + whole[at + 60 :])
    for read in (opened.members[CODE.name].read, lambda: Wheel(path, FILENAME)):
        with pytest.raises(GoneError, match="was damaged while it was read"):
            read()
    damaged = path.read_bytes()
    path = tmp_path / of_bytes(damaged).hex  # which is what its index has
    path.write_bytes(damaged)
    with pytest.raises(LockstitchError, match="has no local header") as refused:
        Wheel(path, FILENAME)
    assert refused.value.hint.startswith("do not use this wheel")


def test_a_missing_file_is_an_error_of_ours(tmp_path: Path) -> None:
    with pytest.raises(LockstitchError, match=f"the file of `{FILENAME}` is gone"):
        Wheel(tmp_path / "none.whl", FILENAME)


# --- RECORD files


def test_hash_is_urlsafe_base64_without_padding() -> None:
    assert record_hash(of_bytes(b"")) == "sha256=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU"
    assert record_hash(of_bytes(b"hello\n")) == "sha256=WJG1tSLV3whtD_CxEPvZ0hu0_HFjrzTQgoai6Eb2vgM"


def test_rows_are_sorted_by_path_bytes_and_alike_ones_are_one() -> None:
    rows = [("b", "h", "1"), ("é", "h", "1"), ("a-b", "", ""), ("a/b", "", ""), ("b", "h", "1")]
    assert write_record_file(rows) == "a-b,,\na/b,,\nb,h,1\né,h,1\n".encode()
    assert write_record_file([]) == b""


def test_what_csv_has_to_quote_is_quoted() -> None:
    rows = [("a,b", "h", "1"), ('say "x"', "h", "2"), ("c d", "h", "3")]
    data = write_record_file(rows)
    assert data == b'"a,b",h,1\nc d,h,3\n"say ""x""",h,2\n'
    assert sorted(read_record_file(data)) == sorted(rows)


def test_other_writers_rows_are_read() -> None:
    data = b'"demo/a.py","sha256=x","1"\r\n\r\ndemo/b.py,,\r\ndemo/c.py\r\nd,e\r\nf,g,h,i\r\n'
    assert read_record_file(data) == [
        ("demo/a.py", "sha256=x", "1"),
        ("demo/b.py", "", ""),
        ("demo/c.py", "", ""),
        ("d", "", ""),
        ("f", "g", "h"),
    ]


def test_the_same_file_twice_is_one(opened: Callable[[bytes], Wheel]) -> None:
    twice = wheel(CODE, File(name="demo/b.py", data=CODE.data))
    found = opened(twice.replace(b"demo/b.py", CODE.name.encode()))
    assert found.members[CODE.name].read() == CODE.data
