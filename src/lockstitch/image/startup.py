"""Code that packages run at each start of Python: `.pth` files, and `sitecustomize`."""

import contextlib
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO, cast

from lockstitch import files, threads, zstd
from lockstitch.digest import Digest
from lockstitch.errors import LockstitchError
from lockstitch.lock.file import pylock_name
from lockstitch.net.download import Fetcher
from lockstitch.python import locks
from lockstitch.python.model import Project
from lockstitch.store import Store

_FORM = 1  # of records
_KIND = "startup"
_CUSTOM = frozenset({"sitecustomize.py", "usercustomize.py"})
_LARGEST = 1 << 20  # bytes of a .pth file that is read
_WIDEST = 100  # characters of a line that are shown

Wheels = Mapping[str, Mapping[Digest, str]]  # a package's name -> where its wheels are


def wheels(project: Project) -> Wheels:
    """Return the wheels that the images of a project lock; a lock that is damaged has none."""
    wheels_of: dict[str, dict[Digest, str]] = {}
    for image in project.images:
        path = project.root / pylock_name(image.name)
        with contextlib.suppress(LockstitchError):
            packages = locks.read(path.name, files.read_text(path)).packages
            for package in packages:
                for wheel in package.wheels:
                    if wheel.sha256:
                        place = wheels_of.setdefault(package.name, {})
                        place[Digest.of_hex(wheel.sha256)] = wheel.url
    return wheels_of


def new(before: Wheels, after: Wheels, store: Store, fetcher: Fetcher) -> dict[str, list[str]]:
    """Return the code that packages of one lock run at a start and those of another did not.

    Of wheels that the store lacks, only the ends of their zips are fetched. One that cannot be
    had counts as one that runs nothing.
    """
    changed = [name for name in sorted(after) if {*after[name]} - {*before.get(name, {})}]
    places = {
        digest: url
        for name in changed
        for side in (before, after)
        for digest, url in side.get(name, {}).items()
    }

    def read(place: tuple[Digest, str]) -> None:
        digest, url = place
        with contextlib.suppress(LockstitchError, zipfile.BadZipFile, OSError, ValueError):
            if known(digest, store) is None and url.startswith(("http://", "https://")):
                _remember(digest, _lines(cast("IO[bytes]", fetcher.open(url))), store)

    threads.run([*places.items()], read, parallel=8)
    return between(
        {name: [*before.get(name, {})] for name in changed},
        {name: [*after[name]] for name in changed},
        store,
    )


def between(
    before: Mapping[str, Iterable[Digest]], after: Mapping[str, Iterable[Digest]], store: Store
) -> dict[str, list[str]]:
    """Return the same of wheels by their digests, as far as the store knows these."""

    def of(wheels: Iterable[Digest]) -> set[str]:
        return {line for wheel in wheels for line in known(wheel, store) or ()}

    started = {name: sorted(of(after[name]) - of(before.get(name, ()))) for name in sorted(after)}
    return {name: lines for name, lines in started.items() if lines}


def known(wheel: Digest, store: Store) -> list[str] | None:
    """Return the code that a wheel runs at each start, by file; None for an unknown wheel."""
    record = store.record(_KIND, f"{wheel.hex}-{_FORM}")
    if isinstance(record, list):
        return record
    if not store.has_whole(wheel):
        return None
    try:
        return _remember(wheel, _lines(store.path(wheel)), store)
    except zipfile.BadZipFile:  # a source distribution
        return None


def sentences(started: Mapping[str, Iterable[str]]) -> Iterator[str]:
    """Yield a sentence on each package that runs something new."""
    for name, lines in started.items():
        for line in lines:
            yield f"`{name}` now runs code at each start of Python, by {line}"


def _remember(wheel: Digest, lines: Iterator[str], store: Store) -> list[str]:
    result = [*lines]
    store.remember(_KIND, f"{wheel.hex}-{_FORM}", result)
    return result


def _lines(wheel: "Path | IO[bytes]") -> Iterator[str]:
    with zipfile.ZipFile(wheel) as archive:
        for info in sorted(archive.infolist(), key=lambda wheel: wheel.filename):
            name = _in_site(info.filename)
            if name in _CUSTOM:
                yield f"`{name}` ({info.CRC:08x})"
            elif name.endswith(".pth") and info.file_size > _LARGEST:
                yield f"`{name}` of {info.file_size} bytes"
            elif name.endswith(".pth"):
                text = zstd.read_member(archive, info.filename).decode("utf-8", "replace")
                for line in text.splitlines():
                    if line.startswith(("import ", "import\t")):  # what `site` executes
                        yield f"`{name}`: {line.strip()[:_WIDEST]}"


def _in_site(member: str) -> str:
    """Return the name of a file at the top of site-packages, "" for another file."""
    parts = member.split("/")
    if parts[0].endswith(".data") and parts[1:2] in (["purelib"], ["platlib"]):
        parts = parts[2:]
    elif parts[0].endswith(".data") and parts[-2:-1] in (["site-packages"], ["dist-packages"]):
        parts = parts[-1:]
    return parts[0] if len(parts) == 1 else ""
