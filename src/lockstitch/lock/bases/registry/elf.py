"""The little that has to be known of an ELF program: its machine and its loader (gABI, 4 and 5)."""

import struct
from dataclasses import dataclass

__all__ = ["MACHINES", "Program", "read"]

MACHINES = {"linux/amd64": 62, "linux/arm64": 183}  # EM_X86_64, EM_AARCH64
_HEADER = struct.Struct("<16xHHIQQQIHHHHHH")
_SEGMENT = struct.Struct("<IIQQQQQQ")
_LOADER = 3  # PT_INTERP
_LONGEST = 4096
_MAGIC = b"\x7fELF\x02\x01"  # 64 bits, little-endian: what both machines are


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """A 64-bit little-endian ELF file."""

    machine: int
    loader: str  # "" for a static program or a library


def read(data: bytes) -> Program | None:
    """Return what the headers say, or None when it is no such file."""
    if not data.startswith(_MAGIC) or len(data) < _HEADER.size:
        return None
    _, machine, _, _, table, _, _, _, width, count, _, _, _ = _HEADER.unpack_from(data)
    loader = ""
    for number in range(count if width >= _SEGMENT.size else 0):
        at = table + number * width
        if at + _SEGMENT.size > len(data):
            return None
        kind, _, start, _, _, size, _, _ = _SEGMENT.unpack_from(data, at)
        if kind == _LOADER and size <= _LONGEST:
            loader = data[start : start + size].partition(b"\0")[0].decode("utf-8", "replace")
    return Program(machine=machine, loader=loader)
