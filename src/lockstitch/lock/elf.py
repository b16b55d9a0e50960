"""The needs of a shared object at its loading (gABI, chapter 5; LSB 5)."""

import contextlib
import mmap
import struct
from bisect import bisect
from collections.abc import Iterator
from typing import Any

from lockstitch.values import positional

_DYNAMIC, _LOAD = 2, 1  # types of program headers
_NEEDED, _STRTAB, _STRSZ, _SONAME, _RPATH, _RUNPATH = 1, 5, 10, 14, 15, 29  # of dynamic sections
_VERNEED, _VERNEEDNUM = 0x6FFFFFFE, 0x6FFFFFFF
_MOST = 10_000  # entries of any table that are read
_KEPT = 12 << 20  # bytes at either end of a file that `Passing` keeps: linkers put tables there


@positional
class Needs:
    """Libraries by soname, symbol versions such as GLIBC_2.34, and where else to look."""

    libraries: tuple[str, ...] = ()
    versions: tuple[str, ...] = ()
    search: tuple[str, ...] = ()  # RPATH and RUNPATH, as written
    soname: str = ""  # its own
    required: tuple[tuple[str, str], ...] = ()  # of which library each version is, sorted
    module: bool = False  # whether it is an extension module of Python


class Passing:
    """A file that passes in chunks, of which the parts that `needs` mostly reads are kept."""

    def __init__(self, size: int) -> None:
        """Wait for a file of this many bytes."""
        self._size, self._at = size, 0
        self._dynamic = range(0)
        self._starts: list[int] = []
        self._parts: list[bytes] = []
        self.is_elf: bool | None = None  # which the first bytes tell
        self.needs: Needs | None = None  # where what was kept is enough

    def add(self, chunk: bytes) -> None:
        """Take the next bytes."""
        start, self._at = self._at, self._at + len(chunk)
        if not start:
            self.is_elf = chunk.startswith(b"\x7fELF")
            self._dynamic = _dynamic(chunk)
        if not (chunk and self.is_elf):
            return
        near = start < self._dynamic.stop and self._at > self._dynamic.start
        if start < _KEPT or near or self._at > self._size - _KEPT:
            self._starts.append(start)
            self._parts.append(chunk)
        if self._at == self._size:
            with contextlib.suppress(KeyError):
                self.needs = needs(self)
            self._parts.clear()

    def __len__(self) -> int:
        """Return the size of the file."""
        return self._size

    def __getitem__(self, part: slice) -> bytes:
        """Return a part of the file; raises KeyError for one that was not kept."""
        start, stop, _ = part.indices(self._size)
        data = bytearray()
        while start < stop:
            at = bisect(self._starts, start) - 1
            piece = self._parts[at][start - self._starts[at] : stop - self._starts[at]]
            if not piece:
                raise KeyError(start)
            data += piece
            start += len(piece)
        return bytes(data)


File = bytes | mmap.mmap | Passing


def needs(data: File) -> Needs:
    """Return the libraries that a 64-bit little-endian ELF file needs; none for any other file.

    Raises KeyError where a file that has passed did not keep enough.
    """
    if data[:6] != b"\x7fELF\x02\x01":
        return Needs()
    try:
        return _needs(data)
    except (struct.error, IndexError, OverflowError, ValueError):
        return Needs()


def _unpack(form: str, data: File, at: int) -> tuple[Any, ...]:
    return struct.unpack(form, data[at : at + struct.calcsize(form)])


def _headers(data: File) -> list[tuple[Any, ...]]:
    (start,), (size, count) = _unpack("<Q", data, 32), _unpack("<HH", data, 54)
    return [_unpack("<IIQQQQQQ", data, start + n * size) for n in range(count)]


def _dynamic(data: bytes) -> range:
    """Return where the dynamic section is, by the first bytes of a file."""
    try:
        header = next(h for h in _headers(data) if h[0] == _DYNAMIC)
    except (struct.error, StopIteration):
        return range(0)
    return range(header[2], header[2] + min(header[5], 16 * _MOST))


def _needs(data: File) -> Needs:
    headers = _headers(data)
    loads = [(h[3], h[2], h[5]) for h in headers if h[0] == _LOAD]  # address, offset, size
    dynamic = next(((h[2], h[5]) for h in headers if h[0] == _DYNAMIC), None)
    if dynamic is None:
        return Needs()
    entries: list[tuple[int, int]] = []
    for at in range(dynamic[0], min(dynamic[0] + dynamic[1], len(data) - 15), 16):
        tag, value = _unpack("<QQ", data, at)
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


def _required(data: File, place: int, count: int, strings: bytes) -> Iterator[tuple[str, str]]:
    for _ in range(min(count, _MOST)):
        _, number, library, auxiliary, following = _unpack("<HHIII", data, place)
        inner = place + auxiliary
        for _ in range(min(number, _MOST)):
            _, _, _, name, after = _unpack("<IHHII", data, inner)
            yield _text(strings, library), _text(strings, name)
            inner += after
        place += following
