"""Shared objects that hold nothing but what a loader reads of them."""

import struct
from collections.abc import Mapping, Sequence

__all__ = ["shared"]


def shared(
    *needed: str,
    soname: str = "",
    runpath: str = "",
    versions: Mapping[str, Sequence[str]] | None = None,
    module: str = "",
) -> bytes:
    """Return a 64-bit ELF file that needs libraries, and symbol versions of each of them.

    With `module` it has the function by which Python starts an extension module of that name.
    """
    strings = b"\0"

    def put(text: str) -> int:
        nonlocal strings
        at = len(strings)
        strings += text.encode() + b"\0"
        return at

    entries = [(1, put(name)) for name in needed]
    entries += [(14, put(soname))] if soname else []
    entries += [(29, put(runpath))] if runpath else []
    if module:
        put(f"PyInit_{module}")
    verneed = b""
    rows = [*(versions or {}).items()]
    for number, (library, names) in enumerate(rows):
        following = 16 + 16 * len(names) if number + 1 < len(rows) else 0
        verneed += struct.pack("<HHIII", 1, len(names), put(library), 16, following)
        for at, name in enumerate(names):
            after = 16 if at + 1 < len(names) else 0
            verneed += struct.pack("<IHHII", 0, 0, 2, put(name), after)
    start = 64 + 2 * 56
    at_verneed = start + len(strings) + -len(strings) % 8
    at_dynamic = at_verneed + len(verneed)
    entries += [(5, start), (10, len(strings))]
    entries += [(0x6FFFFFFE, at_verneed), (0x6FFFFFFF, len(rows))] if rows else []
    dynamic = b"".join(struct.pack("<QQ", *entry) for entry in [*entries, (0, 0)])
    size = at_dynamic + len(dynamic)
    header = struct.pack("<4sBBB9x", b"\x7fELF", 2, 1, 1)
    header += struct.pack("<HHIQQQIHHHHHH", 3, 62, 1, 0, 64, 0, 0, 64, 56, 2, 64, 0, 0)
    headers = struct.pack("<IIQQQQQQ", 1, 5, 0, 0, 0, size, size, 4096)
    place = (at_dynamic, at_dynamic, at_dynamic, len(dynamic), len(dynamic), 8)
    headers += struct.pack("<IIQQQQQQ", 2, 4, *place)
    return (header + headers + strings).ljust(at_verneed, b"\0") + verneed + dynamic
