"""What shared objects say that they need."""

import mmap
import tempfile

import pytest
from support.shared import shared

from lockstitch.lock.elf import Needs, needs


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
