"""A .deb file: an `ar` of two compressed tars (deb(5)), taken as hostile input."""

import gzip
import io
import lzma
import tarfile
import zlib
from collections.abc import Callable, Iterator, Mapping

from lockstitch.errors import LockstitchError

DAMAGED = (tarfile.TarError, lzma.LZMAError, zlib.error, EOFError, OSError, OverflowError)
_MAGIC, _HEADER = b"!<arch>\n", 60


def parts(data: bytes, name: str) -> dict[str, bytes]:
    """Return the members of a package's `ar` by name, or raise LockstitchError."""
    return dict(_parts(data, name))


def _parts(data: bytes, name: str) -> Iterator[tuple[str, bytes]]:
    if not data.startswith(_MAGIC):
        message = f"`{name}` is not a Debian package: it does not start with `!<arch>`"
        raise LockstitchError(message, hint="lockstitch lock")
    at = len(_MAGIC)
    while at < len(data):
        header = data[at : at + _HEADER]
        size = header[48:58].strip()
        if len(header) < _HEADER or header[58:] != b"`\n" or not size.isdigit():
            message = f"`{name}` is not a Debian package: its part at byte {at} has no header"
            raise LockstitchError(message, hint="lockstitch lock")
        at += _HEADER
        yield header[:16].decode("ascii", "replace").strip().rstrip("/"), data[at : at + int(size)]
        at += int(size) + int(size) % 2  # parts start at even bytes


def open_tar(members: Mapping[str, bytes], stem: str) -> tarfile.TarFile:
    """Return `control.tar` or `data.tar` of a package; raises one of DAMAGED where it has none."""
    unpack: dict[str, Callable[[bytes], bytes]] = {
        "": bytes,
        ".gz": gzip.decompress,
        ".xz": lzma.decompress,
    }
    names = [name for name in members if name.startswith(stem)]
    if len(names) != 1 or names[0].removeprefix(stem) not in unpack:
        message = f"it has {', '.join(sorted(names)) or 'nothing'} for {stem} in xz or gz"
        raise tarfile.ReadError(message)
    plain = unpack[names[0].removeprefix(stem)](members[names[0]])
    return tarfile.open(fileobj=io.BytesIO(plain), mode="r:", encoding="utf-8")


def controls(members: Mapping[str, bytes]) -> dict[str, bytes]:
    """Return the control files of a package by name; raises one of DAMAGED."""
    with open_tar(members, "control.tar") as tar:
        files = {info.name.removeprefix("./"): content(tar, info) for info in tar if info.isreg()}
    if "control" not in files:
        raise tarfile.ReadError("it has no control file")
    return files


def programs(members: Mapping[str, bytes]) -> Iterator[tuple[str, bytes]]:
    """Yield the scripts among a package's programs, each with its interpreter as written."""
    with open_tar(members, "data.tar") as tar:
        for info in tar:
            folder, _, name = info.name.removeprefix("./").removeprefix("usr/").rpartition("/")
            if info.isreg() and folder in {"bin", "sbin"}:
                first = content(tar, info)[:200].partition(b"\n")[0]
                if first.startswith(b"#!"):
                    words = first[2:].split()
                    env = len(words) > 1 and words[0].endswith(b"/env")
                    yield name, b" ".join([b"env", words[1]]) if env else b"".join(words[:1])


def content(tar: tarfile.TarFile, info: tarfile.TarInfo) -> bytes:
    """Return the bytes of a member."""
    handle = tar.extractfile(info)
    return handle.read() if handle else b""


def unreadable(name: str, error: Exception) -> LockstitchError:
    """Return the error for a package that one of DAMAGED was raised for."""
    message = f"`{name}` is not a Debian package that can be read: {error}"
    return LockstitchError(message, hint="lockstitch lock")
