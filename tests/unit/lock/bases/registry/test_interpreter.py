"""ELF headers of real programs, and of what is none."""

import platform
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.bases import elf as made

from lockstitch.lock.bases.registry.interpreter import ElfProgram, read_elf


def test_a_real_program_names_its_loader() -> None:
    found = read_elf(Path(sys.executable).resolve().read_bytes())
    assert found is not None
    machine = {"x86_64": "linux/amd64", "aarch64": "linux/arm64"}[platform.machine()]
    assert found.machine == {"linux/amd64": 62, "linux/arm64": 183}[machine]
    assert Path(found.loader).name.startswith("ld-")
    assert Path(found.loader).exists()


def test_a_library_has_no_loader() -> None:
    assert read_elf(made("", b"x")) == ElfProgram(machine=62, loader="")
    assert read_elf(made("/lib/ld-musl-aarch64.so.1", machine="arm64")) == ElfProgram(
        machine=183, loader="/lib/ld-musl-aarch64.so.1"
    )


@pytest.mark.parametrize("size", [0, 3, 63, 64, 100, 119])
def test_a_program_that_is_cut_off_is_none_or_has_no_loader(size: int) -> None:
    found = read_elf(made("/lib64/ld-linux-x86-64.so.2")[:size])
    assert found is None or found.loader == ""


@given(st.binary(max_size=200))
def test_no_bytes_make_it_stumble(data: bytes) -> None:
    found = read_elf(b"\x7fELF\x02\x01" + data)
    assert found is None or found.loader == found.loader.strip("\0")
