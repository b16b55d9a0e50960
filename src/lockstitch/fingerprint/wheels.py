"""What a locked wheel would install, file by file, where the wheel itself is in the store."""

import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from lockstitch.digest import Digest
from lockstitch.fingerprint.model import Package
from lockstitch.runtime import fingerprint as script
from lockstitch.store import Store

__all__ = ["known"]

_SMALL = 16 << 20  # bytes of a RECORD


def known(package: Package, store: Store) -> Package:
    """Return the package with the digests of its RECORD, read from its wheel once."""
    if len(package.artifacts) != 1:
        return package
    wheel = package.artifacts[0]
    digests = store.record("fingerprint", wheel.hex)
    if digests is None:
        if not store.has(wheel):
            return package
        try:
            digests = list(_digests(store.path(wheel)))
        except zipfile.BadZipFile:  # a source distribution
            digests = []
        store.put_record("fingerprint", wheel.hex, digests)
    if not digests:
        return package
    return replace(package, record=Digest.parse(digests[0]), code=Digest.parse(digests[1]))


def _digests(path: Path) -> Iterator[str]:
    """Yield the two digests that an install of a wheel has, or nothing for an odd wheel."""
    with zipfile.ZipFile(path) as wheel:
        names = [n for n in wheel.namelist() if n.count("/") == 1 and n.endswith("/RECORD")]
        names = [n for n in names if n.partition("/")[0].endswith(".dist-info")]
        if len(names) != 1 or wheel.getinfo(names[0]).file_size > _SMALL:
            return
        rows = script.rows(wheel.read(names[0]).decode("utf-8", "replace"))
    placed = [(_placed(name), hashed) for name, hashed in rows if _placed(name)]
    yield script.digest(placed)
    yield script.digest([row for row in placed if not script.left_out(row[0])])


def _placed(name: str) -> str:
    """Return where installers put a file, from the folder of packages; "" outside of it."""
    top, _, rest = name.partition("/")
    if not top.endswith(".data"):
        return name
    scheme, _, inner = rest.partition("/")
    return inner if scheme in {"purelib", "platlib"} else ""
