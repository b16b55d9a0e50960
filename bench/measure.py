"""Runs commands and prints times as ratios: machines are noisy, ratios less so."""

import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path


def environment(**changes: str) -> dict[str, str]:
    """Return this environment with bytecode caching on, as a user has it, and some changes."""
    kept = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    return kept | changes


def run(words: Sequence[str | Path], **options: object) -> float:
    """Run a command to its end and return the seconds of the whole process."""
    started = time.perf_counter()
    done = subprocess.run(
        [str(word) for word in words], check=False, capture_output=True, text=True, **options
    )
    seconds = time.perf_counter() - started
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, words))}\n{done.stdout}{done.stderr}")
    return seconds


def median(times: int, measured: Callable[[], float]) -> float:
    """Return the median of some runs."""
    return statistics.median(measured() for _ in range(times))


def machine() -> str:
    """Return one line that names the machine."""
    model = "unknown processor"
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                model = line.partition(":")[2].strip()
                break
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    python = platform.python_version()
    return f"{os.cpu_count()} cores of {model}, {memory:.0f} GiB, CPython {python}"
