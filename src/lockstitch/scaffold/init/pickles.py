"""The packages that pickled models name, read as bytes: no pickle is loaded."""

import re
import zlib
from collections.abc import Collection, Iterator

from lockstitch.scaffold.init.folder import Folder

_SUFFIXES = (".pkl", ".pickle", ".joblib", ".sav", ".save")
_LARGEST = 64 << 20  # bytes of a model that is read
_MOST = 40  # models
_PACKED = (b"\x78", b"\x1f\x8b")  # zlib and gzip, as joblib writes them
_ANY_HEADER = 47
# A key of an estimator's state, and its text, in the pickles of Python 2 to 3.14.
_WRITTEN_BY = re.compile(
    rb"_sklearn_version(?:\x94|q.|r....)?(?:\x8c.|X....)(\d+\.\d+(?:\.\d+)?)(?:\x94|q|r|u|s)",
    re.DOTALL,
)
# A class or function by module and name: two short texts (protocol 4 and later), or two lines.
_GLOBALS = (
    re.compile(rb"\x8c.([A-Za-z_][\w.]*)\x94\x8c.[A-Za-z_]\w*\x94\x93", re.DOTALL),
    re.compile(rb"c([A-Za-z_][\w.]*)\n[A-Za-z_]\w*\n"),
)


def models(names: Collection[str]) -> list[str]:
    """Return the files among some that are pickled models by their names."""
    return sorted(name for name in names if name.endswith(_SUFFIXES))[:_MOST]


def writers(folder: Folder, path: str) -> Iterator[str]:
    """Yield the versions of scikit-learn that a pickle names, joblib's compressed ones too."""
    for match in _WRITTEN_BY.finditer(_content(folder, path)):
        yield match[1].decode()


def modules(folder: Folder, path: str) -> set[str]:
    """Return the top-level modules that a pickle imports when it is loaded."""
    data = _content(folder, path)
    names = {match[1] for pattern in _GLOBALS for match in pattern.finditer(data)}
    return {name.partition(b".")[0].decode() for name in names}


def _content(folder: Folder, path: str) -> bytes:
    place = folder.root / path
    if not folder.inside(place) or not place.is_file() or place.stat().st_size > _LARGEST:
        return b""
    data = place.read_bytes()
    if data.startswith(_PACKED):
        try:
            return zlib.decompressobj(_ANY_HEADER).decompress(data, _LARGEST)
        except zlib.error:
            return b""
    return data
