"""The packages of a virtual environment, read from its folders: nothing of it is imported or run.

A file counts as unchanged when it has the size that RECORD says and is not newer than RECORD
itself, which installers write last. A newer one is hashed, up to a limit: that is how an edited
file is found without reading all 12,000 of an environment.
"""

import base64
import hashlib
import os
import posixpath
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from lockstitch.patterns import regex
from lockstitch.python.names import normal
from lockstitch.values import frozen

_INFO = regex(r"(?P<name>[A-Za-z0-9][\w.]*)-(?P<version>[^-]+)\.dist-info")
_PYTHON = regex(r"(?m)^version(?:_info)?\s*=\s*(\d+\.\d+(?:\.\d+)?)")
_SITES = regex(r"python3\.\d{1,2}t?")
_STRAY = regex(
    r"(?i)/site-packages/(?:(?:tests?|docs?|examples?|scripts|benchmarks)/|[^/]*$(?<!\.py))"
)
_LARGEST_RECORD = 20 << 20
_MOST_HASHED = 64 << 20  # bytes of newer files that are read
_LATER = 2_000_000_000  # nanoseconds after RECORD: coarse clocks of file systems


@frozen
class Distribution:
    """One installed package; `info` is its .dist-info folder."""

    name: str  # normal
    version: str
    info: Path


@frozen
class Environment:
    """A virtual environment and its packages by name."""

    root: Path
    python: str
    packages: dict[str, Distribution]


@frozen
class ChangedFile:
    """A file that differs from its RECORD; `path` is from the environment's root."""

    package: Distribution
    path: str
    why: str


class _Row(NamedTuple):
    package: Distribution
    digest: str
    size: int
    written: int  # when RECORD was


def read(root: Path) -> Environment | None:
    """Return the environment of a folder, None where there is none."""
    try:
        config = (root / "pyvenv.cfg").read_text("utf-8", "replace")
    except OSError:
        return None
    packages: dict[str, Distribution] = {}
    for site in _sites(root):
        with os.scandir(site) as entries:
            for entry in sorted(entries, key=lambda entry: entry.name):
                match = _INFO.fullmatch(entry.name)
                if match and entry.is_dir(follow_symlinks=False):
                    name = normal(match["name"])
                    info = Path(entry.path)
                    package = Distribution(name=name, version=match["version"], info=info)
                    packages.setdefault(name, package)
    python = _PYTHON.search(config)
    return Environment(root=root, python=python[1] if python else "", packages=packages)


def _sites(root: Path) -> list[Path]:
    """Return the site-packages folders; lib64 is a link to lib."""
    try:
        names = sorted(folder.name for folder in (root / "lib").iterdir())
    except OSError:
        names = []
    pythons = [root / "Lib", *(root / "lib" / name for name in names if _SITES.fullmatch(name))]
    return [site for python in pythons if (site := python / "site-packages").is_dir()]


def changed_files(environment: Environment, *, thorough: bool = False) -> Iterator[ChangedFile]:
    """Yield, in order, the files that differ from every RECORD with them; `thorough` hashes all."""
    root = os.fspath(environment.root)
    packages = environment.packages.values()
    doubted = {
        path
        for package in packages
        for path, row in _rows(environment.root, package)
        if thorough or not _looks_installed(f"{root}/{path}", row)
    }
    rows: dict[str, list[_Row]] = {}
    for package in packages if doubted else ():
        for path, row in _rows(environment.root, package):
            if path in doubted:
                rows.setdefault(path, []).append(row)
    left = _MOST_HASHED
    for path, listed in sorted(rows.items()):
        place = f"{root}/{path}"
        try:
            facts = os.stat(place)  # noqa: PTH116 -- 12,000 of them
        except OSError:
            yield ChangedFile(package=listed[0].package, path=path, why="is missing")
            continue
        fitting = [row for row in listed if row.size in {-1, facts.st_size}]
        if not fitting:
            why = f"has {facts.st_size:,} bytes, {listed[0].size:,} were installed"
            yield ChangedFile(package=listed[0].package, path=path, why=why)
            continue
        newer = all(facts.st_mtime_ns > row.written + _LATER for row in fitting)
        if (newer and facts.st_size <= left) or thorough:
            left -= 0 if thorough else facts.st_size
            if not _has_digest(place, fitting):
                why = "has another sha256 than what was installed"
                yield ChangedFile(package=fitting[0].package, path=path, why=why)


def shared_files(environment: Environment) -> dict[tuple[str, str], list[str]]:
    """Return the paths that two packages install with different bytes, by the names of both.

    What a sloppy package leaves beside the others, such as `tests` or a licence, does not count.
    """
    first: dict[str, _Row] = {}
    owners: dict[tuple[str, str], list[str]] = {}
    for package in environment.packages.values():
        for path, row in _rows(environment.root, package):
            other = first.setdefault(path, row)
            if other.digest.rstrip("=") != row.digest.rstrip("=") and not _STRAY.search(path):
                owners.setdefault((other.package.name, package.name), []).append(path)
    return {names: sorted(paths) for names, paths in sorted(owners.items())}


def _looks_installed(place: str, row: _Row) -> bool:
    """Return whether a file has the size that a RECORD says and is not newer than it."""
    try:
        facts = os.stat(place)  # noqa: PTH116 -- 12,000 of them
    except OSError:
        return False
    return facts.st_size == row.size and facts.st_mtime_ns <= row.written + _LATER


def _rows(root: Path, package: Distribution) -> Iterator[tuple[str, _Row]]:
    """Yield the RECORD rows of files that have a hash and stand inside the environment."""
    record = package.info / "RECORD"
    try:
        facts = record.stat()
        if facts.st_size > _LARGEST_RECORD or record.is_symlink():
            return
        lines = record.read_text("utf-8", "replace").splitlines()
    except OSError:
        return
    site = package.info.parent.relative_to(root).as_posix()
    for line in lines:
        parts = line.rsplit(",", 2)
        if len(parts) != 3 or not parts[1].startswith("sha256="):  # the columns
            continue
        path, digest, size = parts
        if path[:1] == '"' == path[-1:]:
            path = path[1:-1].replace('""', '"')
        if path.endswith((".pyc", "/RECORD")) or path[:1] == "/" or "\0" in path:
            continue
        inside = f"{site}/{path}"
        if "./" in path or "//" in path:
            inside = posixpath.normpath(inside)
            if inside.startswith("../"):
                continue
        bytes_ = int(size) if size.isdecimal() and len(size) < 16 else -1
        yield inside, _Row(package, digest[7:], bytes_, facts.st_mtime_ns)


def _has_digest(place: str, rows: Iterable[_Row]) -> bool:
    hasher = hashlib.sha256()
    try:
        with open(place, "rb") as handle:  # noqa: PTH123 -- 12,000 of them
            while chunk := handle.read(1 << 20):
                hasher.update(chunk)
    except OSError:
        return False
    digest = base64.urlsafe_b64encode(hasher.digest()).rstrip(b"=").decode()
    return any(row.digest.rstrip("=") in {digest, hasher.hexdigest()} for row in rows)
