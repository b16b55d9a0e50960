"""The limit of control groups, of both versions, as the kernel's files have it."""

from pathlib import Path

import pytest

from lockstitch import memory

MIB = 1 << 20
NONE = 9223372036854771712  # what version 1 writes where there is no limit


@pytest.fixture
def kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give this process a kernel of files: a machine of 8 GiB that says 6 are free."""
    monkeypatch.setattr(memory, "ROOT", tmp_path / "cgroup")
    monkeypatch.setattr(memory, "PROC", tmp_path / "proc")
    monkeypatch.setattr(memory, "_total", lambda: 8192 * MIB)
    write(tmp_path / "proc" / "meminfo", f"MemTotal: 1 kB\nMemAvailable: {6 << 20} kB\n")
    return tmp_path


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def second(kernel: Path, path: str, limit: str, anon: int) -> None:
    write(kernel / "cgroup" / path / "memory.max", f"{limit}\n")
    write(kernel / "cgroup" / path / "memory.stat", f"anon {anon}\nfile 999999999999\n")


def test_version_2_and_a_group_above_that_is_smaller(kernel: Path) -> None:
    write(kernel / "proc/self/cgroup", "0::/pod/container\n")
    second(kernel, "pod/container", "max", 50 * MIB)
    second(kernel, "pod", str(1024 * MIB), 200 * MIB)
    assert (memory.limit(), memory.free()) == (1024 * MIB, 824 * MIB)
    second(kernel, "pod/container", str(512 * MIB), 50 * MIB)
    assert (memory.limit(), memory.free()) == (512 * MIB, 462 * MIB)


def test_version_1_counts_no_pages_of_files(kernel: Path) -> None:
    write(kernel / "proc/self/cgroup", "5:cpu,cpuacct:/\n4:memory:/docker/1\n0::/\n")
    for path, limit, own in (("docker/1", 256 * MIB, 40 * MIB), ("docker", NONE, 0), ("", NONE, 0)):
        write(kernel / "cgroup/memory" / path / "memory.limit_in_bytes", f"{limit}\n")
        write(kernel / "cgroup/memory" / path / "memory.stat", f"cache 9\ntotal_rss {own}\n")
    assert (memory.limit(), memory.free()) == (256 * MIB, 216 * MIB)


def test_a_path_that_a_container_does_not_see_is_the_root_of_what_it_sees(kernel: Path) -> None:
    write(kernel / "proc/self/cgroup", "4:memory:/docker/far/away\n")
    write(kernel / "cgroup/memory/memory.limit_in_bytes", f"{300 * MIB}\n")
    write(kernel / "cgroup/memory/memory.stat", f"total_rss {100 * MIB}\n")
    assert (memory.limit(), memory.free()) == (300 * MIB, 200 * MIB)


@pytest.mark.parametrize("text", ["", "0::/none\n", "nonsense\n", "4:memory:/\n"])
def test_without_a_limit_the_machine_is_the_limit(kernel: Path, text: str) -> None:
    write(kernel / "proc/self/cgroup", text)
    assert (memory.limit(), memory.free()) == (8192 * MIB, 6144 * MIB)


def test_a_system_without_such_files(kernel: Path) -> None:
    (kernel / "proc" / "meminfo").unlink()
    assert (memory.limit(), memory.free()) == (8192 * MIB, 8192 * MIB)


def test_this_machine() -> None:
    assert 0 < memory.free() <= memory.limit()
