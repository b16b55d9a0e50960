"""The physical limit of an image's wheels: what any builder that keeps their streams has to do.

Each wheel of a lock is read and hashed, its members are inflated and hashed, on two processes, the
largest wheel first; nothing is written. `python bench/limit.py PYLOCK [--store FOLDER]`: the
wheels are those of a PEP 751 lock, in lockstitch's store. Prints seconds, CPU seconds, megabytes
packed and unpacked, and the memory of the largest process.
"""

import argparse
import hashlib
import json
import os
import resource
import sys
import time
import tomllib
import zipfile
import zlib
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from measure import machine

_PIECE = 1 << 20
_LOCAL = 30  # bytes of a local header before its name and its extra field


def wheels(lock: Path, store: Path) -> list[Path]:
    """Return the wheels of a lock that the store has, the largest first."""
    packages = tomllib.loads(lock.read_text())["packages"]
    hashes = (each["hashes"]["sha256"] for one in packages for each in one.get("wheels", ()))
    paths = [store / "blobs" / known[:2] / known for known in hashes]
    return sorted((p for p in paths if p.exists()), key=lambda p: -p.stat().st_size)


def _pieces(handle: int, start: int, size: int) -> Iterator[bytes]:
    for at in range(start, start + size, _PIECE):
        yield os.pread(handle, min(_PIECE, start + size - at), at)


def work(path: Path) -> tuple[int, int]:
    """Read, hash, inflate and hash one wheel; return its bytes, packed and unpacked."""
    packed, plain = hashlib.sha256(), hashlib.sha256()
    unpacked = 0
    with path.open("rb") as file, zipfile.ZipFile(file) as archive:
        handle = file.fileno()
        for piece in _pieces(handle, 0, path.stat().st_size):
            packed.update(piece)
        for info in archive.infolist():
            head = os.pread(handle, _LOCAL, info.header_offset)
            names = int.from_bytes(head[26:28], "little") + int.from_bytes(head[28:30], "little")
            start = info.header_offset + _LOCAL + names
            stored = info.compress_type == zipfile.ZIP_STORED
            engine = None if stored else zlib.decompressobj(-15)
            for piece in _pieces(handle, start, info.compress_size):
                plain.update(engine.decompress(piece) if engine else piece)
            if engine:
                plain.update(engine.flush())
            unpacked += info.file_size
    return path.stat().st_size, unpacked


def measure(found: list[Path], workers: int = 2) -> dict[str, float]:
    """Return what the work on all wheels takes."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    started = time.perf_counter()
    with ProcessPoolExecutor(workers) as pool:
        done = list(pool.map(work, found))
    seconds = time.perf_counter() - started
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return {
        "seconds": seconds,
        "cpu": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
        "packed": sum(one for one, _ in done),
        "unpacked": sum(other for _, other in done),
        "memory": after.ru_maxrss * 1024,
    }


def main() -> None:
    """Measure and print one line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("lock", type=Path, help="a PEP 751 lock, such as pylock.train.toml")
    parser.add_argument("--store", type=Path, default=Path.home() / ".cache/lockstitch")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    found = wheels(options.lock, options.store)
    if not found:
        sys.exit(f"{options.store} has no wheel of {options.lock}: lockstitch build")
    result = measure(found)
    if options.json:
        print(json.dumps(result))
        return
    print(machine())
    print(
        f"{len(found)} wheels, {result['packed'] / 1e6:.0f} MB, {result['unpacked'] / 1e6:.0f} MB "
        f"unpacked: {result['seconds']:.1f} s, {result['cpu']:.1f} CPU s, "
        f"{result['memory'] / 2**20:.0f} MiB"
    )


if __name__ == "__main__":
    main()
