"""What is installed in an image, read from the files of its layers, and held against RECORDs."""

import posixpath
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from lockstitch.image import record_file
from lockstitch.image.paths import VENV
from lockstitch.image.record_file import Row
from lockstitch.oci.contents import Held

__all__ = ["Contents", "Installed", "is_site", "normalized", "wanted"]

_INFO = re.compile(rf"{VENV}/lib/python3\.[0-9]+/site-packages/[^/]+\.dist-info/(METADATA|RECORD)")
_SITE = re.compile(rf"{VENV}/lib/python3\.[0-9]+/site-packages/.*")
_STATUS = re.compile(r"var/lib/dpkg/status\.d/[^/]+(?<!\.md5sums)")
_COMPILED = re.compile(r".*/__pycache__/[^/]+\.pyc")


@dataclass(frozen=True, slots=True, kw_only=True)
class Installed:
    """One package in the environment of an image."""

    name: str  # normalised
    version: str
    info: str  # the path of its .dist-info folder
    rows: tuple[Row, ...]


def wanted(path: str) -> bool:
    """Return whether the content of a file says what is installed."""
    return bool(_INFO.fullmatch(path) or _STATUS.fullmatch(path))


def is_site(path: str) -> bool:
    """Return whether a file is one that RECORDs name with a hash."""
    return path.startswith(f"{VENV}/")


@dataclass(frozen=True, slots=True)
class Contents:
    """The files of an image by path, those of the environment with their digests."""

    files: Mapping[str, Held]

    def debian(self) -> dict[str, str]:
        """Return the versions of the Debian packages by their names."""
        paths = [path for path in self.files if _STATUS.fullmatch(path)]
        fields = [_fields(self._text(path)) for path in sorted(paths)]
        return {each.get("package", ""): each.get("version", "") for each in fields}

    def _text(self, path: str) -> bytes:
        found = self.files.get(path)
        return (found.content if found else None) or b""

    def installed(self) -> list[Installed]:
        """Return the packages of the environment, sorted by name."""
        found = []
        for path in sorted(path for path in self.files if _INFO.fullmatch(path)):
            info, _, name = path.rpartition("/")
            if name != "METADATA":
                continue
            fields = _fields(self._text(path))
            try:
                rows = record_file.read(self._text(f"{info}/RECORD"))
            except ValueError:
                rows = []
            found.append(
                Installed(
                    name=normalized(fields.get("name", "")),
                    version=fields.get("version", ""),
                    info=info,
                    rows=tuple(rows),
                )
            )
        return sorted(found, key=lambda each: each.name)

    def problems(self) -> Iterator[str]:
        """Yield what RECORDs name and the image lacks or has otherwise, and what none names."""
        named = set()
        for package in self.installed():
            if f"{package.info}/RECORD" not in self.files:
                yield f"`{package.name}` has no RECORD"
            site = package.info.rpartition("/")[0]
            for row, hashed, size in package.rows:
                path = posixpath.normpath(f"{site}/{row}")
                named.add(path)
                yield from self._compared(package.name, path, hashed, size)
        for path in sorted(self.files):
            if _SITE.fullmatch(path) and path not in named and not _COMPILED.fullmatch(path):
                yield f"`{path}` is of no package"

    def _compared(self, package: str, path: str, hashed: str, size: str) -> Iterator[str]:
        found = self.files.get(path)
        if found is None:
            yield f"`{path}` of `{package}` is missing"
            return
        if found.digest and hashed.startswith("sha256="):
            is_ = record_file.spelled(bytes.fromhex(found.digest.hex))
            if hashed.rstrip("=") != is_:
                yield f"`{path}` of `{package}` is {is_}, its RECORD says {hashed:.80}"
                return
        if size and size != str(found.size):
            yield f"`{path}` of `{package}` has {found.size} bytes, its RECORD says {size:.20}"


def normalized(name: str) -> str:
    """Return a package's name as indexes spell it (name normalisation, PEP 503)."""
    from packaging.utils import canonicalize_name

    return canonicalize_name(name)


def _fields(text: bytes) -> dict[str, str]:
    """Return the first fields of a METADATA or a control file, by their names in lower case."""
    found: dict[str, str] = {}
    for line in text.decode("utf-8", "replace").splitlines():
        if not line.strip():
            break
        name, colon, value = line.partition(":")
        if colon and not line[0].isspace():
            found.setdefault(name.lower(), value.strip())
    return found
