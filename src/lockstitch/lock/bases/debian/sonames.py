"""Which Debian package has a library: by the archive's own list, else by the rule of its policy."""

import functools
import gzip
import re
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from lockstitch.errors import LockstitchError
from lockstitch.lock.bases.debian import mirror, release, selection
from lockstitch.net.download import Download, Fetcher
from lockstitch.progress import Quiet
from lockstitch.resources import load_table
from lockstitch.store import Store

_RECORD: Final = "debian-sonames"  # the kind of store record
_LINE: Final = re.compile(
    rb"^(?:usr/)?lib/(?P<triplet>[\w-]+)/(?P<name>[^/\s]+\.so\.[^/\s]+)\s+(?P<packages>\S+)$",
    re.MULTILINE,
)
_RARE: Final = ("contrib/", "non-free/", "non-free-firmware/")


def packages(
    name: str,
    platform: str,
    libraries: Sequence[str],
    *,
    fetcher: Fetcher,
    store: Store,
    source: mirror.Mirror | None = None,
    keyring: Path = release.KEYRING,
) -> dict[str, str]:
    """Return the package of each library that a release has, by the name of the library.

    The archive's list of contents is fetched once; where it cannot be read, the names are those
    that Debian's policy gives packages of libraries (8.1).
    """
    try:
        download = selection.contents(name, platform, fetcher, source, keyring)
        listed = _listed(download, fetcher, store)
    except LockstitchError:
        return {library: guess for library in libraries if (guess := guessed(library))}
    return {library: listed[library] for library in libraries if library in listed}


def guessed(library: str) -> str:
    """Return the package that a library should be in by its name, "" for one without a version."""
    for pattern, package in _table():
        if match := pattern.fullmatch(library):
            return match.expand(package)
    stem, dot, version = library.partition(".so.")
    if not dot:
        return ""
    joint = "-" if stem[-1:].isdigit() else ""
    return f"{stem}{joint}{version}".lower().replace("_", "-")


@functools.cache
def _table() -> list[tuple[re.Pattern[str], str]]:
    rows = load_table(__package__, "sonames.toml")["library"]
    return [(re.compile(row["pattern"]), row["package"]) for row in rows]


def _listed(download: Download, fetcher: Fetcher, store: Store) -> Mapping[str, str]:
    key = f"{download.digest.hex}-1"
    known = store.record(_RECORD, key)
    if known is None:
        fetcher.fetch([download], Quiet())
        known = _read(download, store)
        store.remember(_RECORD, key, known)
    sonames: Mapping[str, str] = known
    return sonames


def _read(download: Download, store: Store) -> dict[str, str]:
    try:
        text = gzip.decompress(store.read(download.digest) or b"")
    except (OSError, EOFError, zlib.error) as error:
        raise LockstitchError(f"the {download.name} is not a gzip file: {error}") from error
    sonames: dict[str, str] = {}
    for match in _LINE.finditer(text):
        places = [place.decode() for place in match["packages"].split(b",")]
        best = min(places, key=lambda place: (place.startswith(_RARE), place))
        sonames.setdefault(match["name"].decode(), best.rpartition("/")[2])
    return sonames
