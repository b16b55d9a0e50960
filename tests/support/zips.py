"""Wheels made member by member, and zips spoilt one field at a time."""

import base64
import csv
import hashlib
import io
import struct
import zipfile
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import zstandard
from support.images import MadeLayer, members

__all__ = [
    "FILENAME",
    "INFO",
    "SITE",
    "VENV",
    "File",
    "Unseekable",
    "check_record",
    "contents",
    "directory_at",
    "installed_path",
    "local_at",
    "metadata",
    "patched",
    "raw",
    "recorded",
    "rows",
    "stored",
    "wheel",
    "with_end",
    "with_member_inside",
    "with_zip64_end",
    "zipped",
]

FILENAME = "demo-1.0-py3-none-any.whl"
INFO = "demo-1.0.dist-info"
VENV = "app/.venv"
SITE = f"{VENV}/lib/python3.11/site-packages"
_DATE = (2024, 1, 1, 0, 0, 0)

# Where fields stand in a header, and how they are packed (APPNOTE.TXT 4.3.7 and 4.3.12).
_LOCAL = {"flags": (6, "H"), "method": (8, "H"), "crc": (14, "I"), "packed": (18, "I")}
_LOCAL |= {"size": (22, "I"), "name_size": (26, "H"), "extra": (28, "H")}
_DIRECTORY = {"flags": (8, "H"), "method": (10, "H"), "crc": (16, "I"), "packed": (20, "I")}
_DIRECTORY |= {"size": (24, "I"), "attributes": (38, "I"), "offset": (42, "I")}


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """A member to be: `level` 0 stores it, 1 to 9 deflate it; `zstd` is method 93."""

    name: str
    data: bytes = b""
    level: int = 6
    mode: int = 0o100644
    zip64: bool = False
    zstd: bool = False


class Unseekable(io.RawIOBase):
    """A pipe, as a zip writer sees it: it must put sizes behind the data."""

    def __init__(self) -> None:
        self.data = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: bytes) -> int:
        self.data += data
        return len(data)


def zipped(files: Iterable[File], *, streamed: bool = False) -> bytes:
    """Return a zip of these members in this order; `streamed` puts their sizes behind them."""
    output, pipe = io.BytesIO(), Unseekable()
    with zipfile.ZipFile(pipe if streamed else output, "w") as made:
        for file in files:
            info = zipfile.ZipInfo(file.name, _DATE)
            info.external_attr = file.mode << 16
            info.compress_type = zipfile.ZIP_DEFLATED if file.level else zipfile.ZIP_STORED
            data = file.data
            if file.zstd:  # zipfile writes it since 3.14: frames that are stored, then patched
                info.compress_type = zipfile.ZIP_STORED
                data = zstandard.compress(file.data)
            info._compresslevel = file.level or None  # the public name came with 3.13
            with made.open(info, "w", force_zip64=file.zip64) as handle:
                handle.write(data)
    whole = bytes(pipe.data) if streamed else output.getvalue()
    for file in files:
        if file.zstd:
            facts = {"method": 93, "size": len(file.data), "crc": zlib.crc32(file.data)}
            whole = patched(whole, file.name, both=facts)
    return whole


def metadata(name: str = "demo", version: str = "1.0", *, entry_points: str = "") -> list[File]:
    """Return METADATA, WHEEL and maybe entry_points.txt."""
    info = f"{name}-{version}.dist-info"
    text = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    form = "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    found = [
        File(name=f"{info}/METADATA", data=text.encode()),
        File(name=f"{info}/WHEEL", data=form.encode()),
    ]
    if entry_points:
        found.append(File(name=f"{info}/entry_points.txt", data=entry_points.encode()))
    return found


def recorded(files: Sequence[File], info: str = INFO) -> File:
    """Return the RECORD of these files."""
    rows = []
    for file in files:
        digest = base64.urlsafe_b64encode(hashlib.sha256(file.data).digest()).rstrip(b"=").decode()
        name = f'"{file.name}"' if "," in file.name else file.name
        rows.append(f"{name},sha256={digest},{len(file.data)}\n")
    rows.append(f"{info}/RECORD,,\n")
    return File(name=f"{info}/RECORD", data="".join(rows).encode())


def wheel(
    *files: File,
    name: str = "demo",
    version: str = "1.0",
    entry_points: str = "",
    streamed: bool = False,
) -> bytes:
    """Return the bytes of a wheel with these files, its metadata and a true RECORD."""
    everything = [*files, *metadata(name, version, entry_points=entry_points)]
    everything.append(recorded(everything, f"{name}-{version}.dist-info"))
    return zipped(everything, streamed=streamed)


def directory_at(data: bytes, name: str) -> int:
    """Return where the directory's header of a member begins."""
    at = data.index(b"PK\x01\x02")
    while data[at : at + 4] == b"PK\x01\x02":
        sizes = struct.unpack_from("<3H", data, at + 28)
        if data[at + 46 : at + 46 + sizes[0]] == name.encode():
            return at
        at += 46 + sum(sizes)
    raise KeyError(name)


def local_at(data: bytes, name: str) -> int:
    """Return where the local header of a member begins."""
    (at,) = struct.unpack_from("<I", data, directory_at(data, name) + 42)
    return int(at)


def patched(
    data: bytes, name: str, *, both: dict[str, int] | None = None, **changes: dict[str, int]
) -> bytes:
    """Return the zip with fields of a member set: in its `local` header, `directory`, or both."""
    spoilt = bytearray(data)
    for place, start, fields in (
        ("local", local_at(data, name), _LOCAL),
        ("directory", directory_at(data, name), _DIRECTORY),
    ):
        for field, value in ((both or {}) | changes.get(place, {})).items():
            offset, form = fields[field]
            struct.pack_into(f"<{form}", spoilt, start + offset, value)
    return bytes(spoilt)


def raw(data: bytes, level: int = 6) -> bytes:
    """Return a raw DEFLATE stream."""
    engine = zlib.compressobj(level, zlib.DEFLATED, -15)
    return engine.compress(data) + engine.flush()


def with_member_inside(data: bytes, inner: bytes, at: int) -> bytes:
    """Return the zip with the only member of `inner`, whose bytes stand in it at `at`."""
    start = inner.index(b"PK\x01\x02")
    header = bytearray(inner[start : inner.rindex(b"PK\x05\x06")])
    struct.pack_into("<I", header, _DIRECTORY["offset"][0], at)
    end = data.rindex(b"PK\x05\x06")
    counts = list(struct.unpack_from("<HHI", data, end + 8))
    tail = bytearray(data[end:])
    struct.pack_into("<HHI", tail, 8, counts[0] + 1, counts[1] + 1, counts[2] + len(header))
    return data[:end] + bytes(header) + bytes(tail)


def with_end(data: bytes, *, size: int | None = None, offset: int | None = None) -> bytes:
    """Return the zip with another size or offset of its directory in its last record."""
    spoilt = bytearray(data)
    end = data.rindex(b"PK\x05\x06")
    if size is not None:
        struct.pack_into("<I", spoilt, end + 12, size)
    if offset is not None:
        struct.pack_into("<I", spoilt, end + 16, offset)
    return bytes(spoilt)


def with_zip64_end(data: bytes, *, size: int, offset: int) -> bytes:
    """Return the zip with a zip64 end record and its locator before the last record."""
    end = data.rindex(b"PK\x05\x06")
    count = struct.unpack_from("<H", data, end + 10)[0]
    record = struct.pack(
        "<4sQHHIIQQQQ", b"PK\x06\x06", 44, 45, 45, 0, 0, count, count, size, offset
    )
    locator = struct.pack("<4sIQI", b"PK\x06\x07", 0, end, 1)
    last = with_end(data, size=0xFFFFFFFF, offset=0xFFFFFFFF)[end:]
    return data[:end] + record + locator + last


def stored(*files: File, entry_points: str = "") -> bytes:
    """Return a wheel whose layer has the same bytes with every zlib: nothing is deflated."""
    everything = [*files, *metadata(entry_points=entry_points)]
    everything.append(recorded(everything))
    return zipped([File(name=f.name, data=f.data, level=0, mode=f.mode) for f in everything])


# --- what a layer of an installed wheel holds


def contents(made: MadeLayer) -> dict[str, bytes]:
    """Return path → content of the regular files."""
    return {p: data for p, (member, data) in members(made.data).items() if member.isreg()}


def rows(made: MadeLayer, info: str = INFO) -> list[list[str]]:
    """Return the rows of a package's RECORD."""
    text = contents(made)[f"{SITE}/{info}/RECORD"].decode()
    return list(csv.reader(io.StringIO(text, newline="")))


def installed_path(row: str) -> str:
    """Return the path in the image of a RECORD path, which starts from site-packages."""
    parts = SITE.split("/")
    for part in row.split("/"):
        if part == "..":
            parts.pop()
        else:
            parts.append(part)
    return "/".join(parts)


def _urlsafe(data: bytes) -> str:
    raw = base64.urlsafe_b64encode(hashlib.sha256(data).digest())
    return "sha256=" + raw.rstrip(b"=").decode()


def check_record(made: MadeLayer, *, compiled: Mapping[str, bytes] | None = None) -> None:
    """Assert that RECORD lists every file but bytecode and itself, with its hash and size."""
    files = contents(made)
    listed = {installed_path(path): (hashed, size) for path, hashed, size in rows(made)}
    expected = {path: (_urlsafe(data), str(len(data))) for path, data in files.items()}
    for path in compiled or {}:
        del expected[path]
    expected[f"{SITE}/{INFO}/RECORD"] = ("", "")
    assert listed == expected
    order = [path for path, _, _ in rows(made)]
    assert order == sorted(order, key=str.encode)
    assert len(order) == len(set(order))
