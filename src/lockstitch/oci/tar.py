"""Tar headers with nothing in them that depends on a host (POSIX ustar, pax only for need)."""

import hashlib

from lockstitch.oci.entry import Entry, Kind

__all__ = ["END", "MTIME", "header", "padding"]

# 1980-01-02T00:00Z: the first day that `zipfile` accepts in every time zone.
MTIME = 315619200
BLOCK = 512
END = bytes(2 * BLOCK)
_TYPES = {Kind.FILE: b"0", Kind.SYMLINK: b"2", Kind.FOLDER: b"5"}
_NAME, _PREFIX, _LINK = 100, 155, 100
_OCTAL_LIMIT = 8 << 30  # a ustar size field holds eleven octal digits


def padding(size: int) -> bytes:
    """Return the zeros that fill the last block of a content of this size."""
    return bytes(-size % BLOCK)


def header(entry: Entry, *, size: int | None = None) -> bytes:
    """Return the header blocks of an entry: one, or three where pax is needed.

    `size` stands in for content that the caller streams by itself.
    """
    size = entry.size if size is None else size
    path = entry.path + ("/" if entry.kind is Kind.FOLDER else "")
    name, prefix = _split(path.encode())
    target = entry.target.encode()
    records = b""
    if name is None:
        records += _record("path", path)
    if len(target) > _LINK:
        records += _record("linkpath", entry.target)
    if size >= _OCTAL_LIMIT:
        records += _record("size", str(size))
    head = b""
    if records:
        # Named by the content, since a process number or a counter would not repeat.
        pax = b"PaxHeaders/" + hashlib.sha256(records).hexdigest()[:32].encode()
        head = _block(pax, b"", b"x", 0o644, len(records), b"") + records + padding(len(records))
        name = name or hashlib.sha256(path.encode()).hexdigest().encode()
    return head + _block(
        name or b"",
        prefix,
        _TYPES[entry.kind],
        entry.mode,
        0 if size >= _OCTAL_LIMIT else size,
        target[:_LINK] if len(target) <= _LINK else b"",
    )


def _split(path: bytes) -> tuple[bytes | None, bytes]:
    """Return (name, prefix) for ustar, or (None, b"") when the path needs pax."""
    if len(path) <= _NAME and path.isascii():
        return path, b""
    if not path.isascii() or len(path) > _NAME + _PREFIX + 1:
        return None, b""
    # The leftmost slash that leaves a short enough name; a folder's own last slash is no cut.
    at = path.find(b"/", len(path) - _NAME - 1, len(path) - 1)
    if at < 1 or at > _PREFIX:
        return None, b""
    return path[at + 1 :], path[:at]


def _record(key: str, value: str) -> bytes:
    body = f" {key}={value}\n".encode()
    size = len(body)
    while len(str(size)) + len(body) != size:
        size = len(str(size)) + len(body)
    return str(size).encode() + body


def _block(name: bytes, prefix: bytes, kind: bytes, mode: int, size: int, target: bytes) -> bytes:
    block = b"".join(
        (
            name.ljust(100, b"\0"),
            b"%07o\0" % mode,
            b"0000000\0" * 2,  # uid, gid
            b"%011o\0" % size,
            b"%011o\0" % MTIME,
            b"        ",  # checksum, filled in below
            kind,
            target.ljust(100, b"\0"),
            b"ustar\x0000",
            bytes(64),  # no user or group name
            b"0000000\0" * 2,  # device numbers
            prefix.ljust(155, b"\0"),
            bytes(12),
        )
    )
    return block[:148] + b"%06o\0 " % sum(block) + block[156:]
