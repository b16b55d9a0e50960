"""The memory that this process may use: of the machine, and of its control groups."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

ROOT = Path("/sys/fs/cgroup")
PROC = Path("/proc")
# The files of a group by the version of control groups: its limit, and what it has of its own in
# memory.stat, without the pages of files, which the kernel takes back.
_FILES = {1: ("memory.limit_in_bytes", "total_rss"), 2: ("memory.max", "anon")}


def limit() -> int:
    """Return the bytes that this process and what stands beside it in its groups may have."""
    return min([_total(), *(most for most, _ in _groups())])


def free() -> int:
    """Return the bytes that are left of the limit now; the kernel's estimate for the machine."""
    left = [max(0, most - used) for most, used in _groups()]
    return min([_available(), *left])


def give_back() -> None:
    """Give the system what was freed, which glibc keeps for each thread that there was."""
    import ctypes

    with contextlib.suppress(OSError, AttributeError):  # another C library
        ctypes.CDLL(None).malloc_trim(0)


def _total() -> int:
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _available() -> int:
    """Return the whole machine's free memory, all of it where it does not say."""
    with contextlib.suppress(OSError, ValueError):
        return _field(PROC / "meminfo", "MemAvailable:") * 1024
    return _total()


def _groups() -> Iterator[tuple[int, int]]:
    """Yield limit and use of each group that this process is in and that has a limit."""
    for folder, version in _folders():
        name, own = _FILES[version]
        with contextlib.suppress(OSError, ValueError):  # no such group here, or the word `max`
            most = int((folder / name).read_text())
            yield most, _field(folder / "memory.stat", own)


def _folders() -> Iterator[tuple[Path, int]]:
    """Yield the folders of this process's memory groups, each before its parent."""
    try:
        lines = (PROC / "self" / "cgroup").read_text().splitlines()
    except OSError:  # not Linux
        return
    for line in lines:
        number, _, rest = line.partition(":")
        names, _, path = rest.partition(":")
        if number == "0":
            base, version = ROOT, 2
        elif "memory" in names.split(","):
            base, version = ROOT / "memory", 1
        else:
            continue
        own = base / path.lstrip("/")
        yield from (
            (folder, version) for folder in (own, *own.parents) if folder.is_relative_to(base)
        )


def _field(path: Path, name: str) -> int:
    """Return the number beside a name in a file of the kernel; ValueError where it has none."""
    for line in path.read_text().splitlines():
        words = line.split()
        if words and words[0] == name:
            return int(words[1])
    raise ValueError(name)
