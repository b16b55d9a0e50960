"""What a shared object needs of the machine that loads it (gABI, chapter 5; LSB 5)."""

import mmap
import struct
from collections.abc import Iterator
from dataclasses import dataclass

_DYNAMIC, _LOAD = 2, 1  # types of program headers
_NEEDED, _STRTAB, _STRSZ, _SONAME, _RPATH, _RUNPATH = 1, 5, 10, 14, 15, 29  # of dynamic sections
_VERNEED, _VERNEEDNUM = 0x6FFFFFFE, 0x6FFFFFFF
_MOST = 10_000  # entries of any table that are read


@dataclass(frozen=True, slots=True)
class Needs:
    """Libraries by soname, symbol versions such as GLIBC_2.34, and where else to look."""

    libraries: tuple[str, ...] = ()
    versions: tuple[str, ...] = ()
    search: tuple[str, ...] = ()  # RPATH and RUNPATH, as written
    soname: str = ""  # its own
    required: tuple[tuple[str, str], ...] = ()  # of which library each version is, sorted
    module: bool = False  # whether it is an extension module of Python


def needs(data: bytes | mmap.mmap) -> Needs:
    """Return the libraries that a 64-bit little-endian ELF file needs; none for any other file."""
    if data[:6] != b"\x7fELF\x02\x01":
        return Needs()
    try:
        return _needs(data)
    except (struct.error, IndexError, OverflowError, ValueError):
        return Needs()


def _needs(data: bytes | mmap.mmap) -> Needs:
    start, size, count = (*struct.unpack_from("<Q", data, 32), *struct.unpack_from("<HH", data, 54))
    headers = [struct.unpack_from("<IIQQQQQQ", data, start + n * size) for n in range(count)]
    loads = [(h[3], h[2], h[5]) for h in headers if h[0] == _LOAD]  # address, offset, size
    dynamic = next(((h[2], h[5]) for h in headers if h[0] == _DYNAMIC), None)
    if dynamic is None:
        return Needs()
    entries: list[tuple[int, int]] = []
    for at in range(dynamic[0], min(dynamic[0] + dynamic[1], len(data) - 15), 16):
        tag, value = struct.unpack_from("<QQ", data, at)
        if tag == 0 or len(entries) > _MOST:
            break
        entries.append((tag, value))
    single = dict(entries)
    strings = _offset(single.get(_STRTAB, 0), loads)
    text = data[strings : strings + single.get(_STRSZ, 0)]
    search = [_text(text, v) for tag, v in entries if tag in {_RPATH, _RUNPATH}]
    required: tuple[tuple[str, str], ...] = ()
    if _VERNEED in single:
        place = _offset(single[_VERNEED], loads)
        required = tuple(sorted({*_required(data, place, single.get(_VERNEEDNUM, 0), text)}))
    return Needs(
        libraries=tuple(_text(text, value) for tag, value in entries if tag == _NEEDED),
        versions=tuple(sorted({version for _, version in required})),
        search=tuple(part for paths in search for part in paths.split(":") if part),
        soname=_text(text, single[_SONAME]) if _SONAME in single else "",
        required=required,
        module=b"\0PyInit_" in text,
    )


def _offset(address: int, loads: list[tuple[int, int, int]]) -> int:
    for start, offset, size in loads:
        if start <= address < start + size:
            return address - start + offset
    return address


def _text(strings: bytes, at: int) -> str:
    return strings[at : strings.index(b"\0", at)].decode()


def _required(
    data: bytes | mmap.mmap, place: int, count: int, strings: bytes
) -> Iterator[tuple[str, str]]:
    for _ in range(min(count, _MOST)):
        _, number, library, auxiliary, following = struct.unpack_from("<HHIII", data, place)
        inner = place + auxiliary
        for _ in range(min(number, _MOST)):
            _, _, _, name, after = struct.unpack_from("<IHHII", data, inner)
            yield _text(strings, library), _text(strings, name)
            inner += after
        place += following
