"""What shared objects say that they need."""

import mmap
import struct
import tempfile

import pytest
from support.shared import shared

from lockstitch.lock import elf
from lockstitch.lock.elf import Needs, Passing, needs


def test_a_shared_object_is_read_from_bytes_and_from_a_mapped_file() -> None:
    data = shared(
        *("libc.so.6", "libX11.so.6"),
        soname="libdemo.so.1",
        runpath="$ORIGIN/../demo.libs:/opt/lib",
        versions={"libc.so.6": ["GLIBC_2.2.5", "GLIBC_2.34"], "libstdc++.so.6": ["GLIBCXX_3.4"]},
        module="demo",
    )
    wanted = Needs(
        libraries=("libc.so.6", "libX11.so.6"),
        versions=("GLIBCXX_3.4", "GLIBC_2.2.5", "GLIBC_2.34"),
        search=("$ORIGIN/../demo.libs", "/opt/lib"),
        soname="libdemo.so.1",
        required=(
            ("libc.so.6", "GLIBC_2.2.5"),
            ("libc.so.6", "GLIBC_2.34"),
            ("libstdc++.so.6", "GLIBCXX_3.4"),
        ),
        module=True,
    )
    assert needs(data) == wanted
    with tempfile.TemporaryFile() as file:
        file.write(data)
        file.flush()
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
            assert needs(mapped) == wanted


@pytest.mark.parametrize("size", [0, 6, 63, 100, 200])
def test_what_is_cut_short_needs_nothing(size: int) -> None:
    assert needs(shared("libc.so.6")[:size]) == Needs()


def _passed(data: bytes, step: int) -> Passing:
    passing = Passing(len(data))
    for at in range(0, len(data), step):
        passing.add(data[at : at + step])
    passing.add(b"")  # as an inflater ends
    return passing


@pytest.mark.parametrize("step", [1 << 20, 700, 256])
@pytest.mark.parametrize("gap", [0, 5000])
@pytest.mark.parametrize("ahead", [True, False])
def test_what_passes_is_read_by_its_ends_and_its_dynamic_section(
    step: int, gap: int, monkeypatch: pytest.MonkeyPatch, *, ahead: bool
) -> None:
    """Code may be behind the tables, as nvidia's is, or the tables behind the code."""
    monkeypatch.setattr(elf, "_KEPT", 600)
    small = shared("libc.so.6", "libm.so.6", soname="libdemo.so", module="demo")
    data = small + bytes(gap) if ahead else _moved(small, gap)
    passing = _passed(data, step)
    assert passing.is_elf
    assert passing.needs == needs(data) == needs(small) != Needs()


def _moved(data: bytes, gap: int) -> bytes:
    """Return a shared object whose tables are so many bytes further behind its headers."""
    head = 64 + 2 * 56
    loads = struct.pack("<IIQQQQQQ", 1, 5, gap, 0, 0, len(data), len(data), 4096)
    dynamic = bytearray(data[120:head])
    struct.pack_into("<Q", dynamic, 8, struct.unpack_from("<Q", dynamic, 8)[0] + gap)
    return data[:64] + loads + bytes(dynamic) + bytes(gap) + data[head:]


def test_tables_in_the_middle_have_to_be_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(elf, "_KEPT", 200)
    data = _moved(shared("libc.so.6", versions={"libc.so.6": ["GLIBC_2.34"] * 900}), 3000)
    data += bytes(3000)
    passing = _passed(data, 128)
    assert passing.is_elf
    assert passing.needs is None
    assert needs(data).libraries == ("libc.so.6",)


def test_what_passes_and_is_no_elf_file_is_known_by_its_first_bytes() -> None:
    passing = Passing(3000)
    assert passing.is_elf is None
    passing.add(b"#!/bin/sh")
    assert passing.is_elf is False
    assert passing.needs is None


def test_a_dynamic_section_of_any_size_is_not_kept_whole() -> None:
    """A hostile file says that all of it is one."""
    data = bytearray(shared("libc.so.6"))
    struct.pack_into("<Q", data, 120 + 32, 1 << 40)
    passing = Passing(40 << 20)
    passing.add(bytes(data))
    kept = 0
    for _ in range(8):
        passing.add(bytes(1 << 20))
        kept = sum(map(len, passing._parts))
    for _ in range(20):
        passing.add(bytes(1 << 20))
    assert sum(map(len, passing._parts)) <= kept + (5 << 20)
