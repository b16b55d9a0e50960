"""Reading a .deb file: an `ar` of two compressed tars (deb(5)), taken as hostile input."""

import gzip
import io
import lzma
import tarfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final

from lockstitch.errors import LockstitchError, raise_all
from lockstitch.oci.entry import Kind

__all__ = ["DebianArchive", "Member", "merged", "read"]

_MAGIC, _HEADER = b"!<arch>\n", 60
_KINDS: Final = {
    tarfile.REGTYPE: Kind.FILE,
    tarfile.AREGTYPE: Kind.FILE,
    tarfile.LNKTYPE: Kind.FILE,
    tarfile.DIRTYPE: Kind.FOLDER,
    tarfile.SYMTYPE: Kind.SYMLINK,
}
# Folders that every release since bookworm has below /usr (usr-merge).
_MERGED: Final = frozenset({"bin", "sbin", "lib", "lib32", "lib64", "libx32"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A file, folder or symlink of a package, at its place after the usr-merge."""

    path: str
    kind: Kind
    mode: int
    data: bytes
    target: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DebianArchive:
    """What a package says of itself, and what it holds."""

    control: bytes
    md5sums: bytes
    members: tuple[Member, ...]


def read(data: bytes, name: str) -> DebianArchive:
    """Read a package, or raise LockstitchError with all in it that no package should hold."""
    try:
        parts = dict(_parts(data, name))
        controls = _controls(_tar(parts, "control.tar"))
        if "control" not in controls:
            message = "it has no control file"
            raise tarfile.ReadError(message)
        members = _members(_tar(parts, "data.tar"), name)
    except (tarfile.TarError, lzma.LZMAError, zlib.error, EOFError, OSError) as error:
        message = f"`{name}` is not a Debian package that can be read: {error}"
        raise LockstitchError(message, hint="lockstitch lock") from error
    return DebianArchive(
        control=controls["control"], md5sums=controls.get("md5sums", b""), members=members
    )


def merged(path: str) -> str:
    """Return where a path is after the usr-merge."""
    return f"usr/{path}" if path.partition("/")[0] in _MERGED else path


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


def _tar(parts: Mapping[str, bytes], stem: str) -> tarfile.TarFile:
    unpack: dict[str, Callable[[bytes], bytes]] = {
        "": bytes,
        ".gz": gzip.decompress,
        ".xz": lzma.decompress,
    }
    found = [part for part in parts if part.startswith(stem)]
    if len(found) != 1 or found[0].removeprefix(stem) not in unpack:
        message = f"it has {', '.join(sorted(found)) or 'nothing'} for {stem} in xz or gz"
        raise tarfile.ReadError(message)
    plain = unpack[found[0].removeprefix(stem)](parts[found[0]])
    return tarfile.open(fileobj=io.BytesIO(plain), mode="r:", encoding="utf-8")


def _controls(tar: tarfile.TarFile) -> dict[str, bytes]:
    with tar:
        return {
            info.name.removeprefix("./"): _content(tar, info)
            for info in tar
            if info.isreg() and info.name.removeprefix("./") in {"control", "md5sums"}
        }


def _content(tar: tarfile.TarFile, info: tarfile.TarInfo) -> bytes:
    handle = tar.extractfile(info)
    return handle.read() if handle else b""


def _members(tar: tarfile.TarFile, name: str) -> tuple[Member, ...]:
    found: dict[str, Member] = {}
    problems: list[LockstitchError] = []
    with tar:
        for info in tar:
            path = info.name.removeprefix("./")
            if path in {"", "."} or (path in _MERGED and not info.isreg()):
                continue  # the root, and the usr-merge itself, which is ours
            reason = _refusal(info, path, found)
            if reason:
                message = f"`{name}` holds {path!a:.200}, {reason}"
                problems.append(
                    LockstitchError(message, hint="no Debian package should: lockstitch lock")
                )
                continue
            member = _member(tar, info, path, found)
            found[member.path] = member
    raise_all(problems)
    return tuple(found.values())


def _linked(info: tarfile.TarInfo) -> str:
    return merged(info.linkname.removeprefix("./"))


def _member(
    tar: tarfile.TarFile, info: tarfile.TarInfo, path: str, found: Mapping[str, Member]
) -> Member:
    source = found[_linked(info)] if info.islnk() else None
    return Member(
        path=merged(path),
        kind=_KINDS[info.type],
        mode=source.mode if source else info.mode,
        data=source.data if source else _content(tar, info) if info.isreg() else b"",
        target=_moved(path, info.linkname) if info.issym() else "",
    )


def _refusal(info: tarfile.TarInfo, path: str, found: Mapping[str, Member]) -> str:
    """Return why a member cannot be part of an image, or an empty string."""
    if info.type not in _KINDS:
        return "which is no file, folder or link"
    if info.issym() and _resolved(path, info.linkname) is None:
        return f"a symlink that leads out of the image, to {info.linkname!a:.200}"
    if info.islnk() and (_linked(info) not in found or found[_linked(info)].kind is not Kind.FILE):
        return f"a hard link to {info.linkname!a:.200}, which is no file before it"
    if not info.isdir() and merged(path) in found:
        return "a second time"
    return _misnamed(path, info.linkname)


def _misnamed(path: str, target: str) -> str:
    parts = path.split("/")
    if not {"", ".", ".."}.isdisjoint(parts):  # an absolute path starts with an empty part
        return "a path that leads out of its folder"
    if any(part.startswith(".wh.") for part in parts):
        return "a name by which layers remove files"
    try:
        (path + target).encode()
    except UnicodeEncodeError:
        return "a name that is not UTF-8"
    if any(ord(letter) < ord(" ") for letter in path + target):
        return "a name with control characters"
    return ""


def _resolved(path: str, target: str) -> list[str] | None:
    """Return where a symlink leads, from the root, or None where it climbs above it."""
    if not target:
        return None
    at = [] if target.startswith("/") else path.split("/")[:-1]
    for part in target.split("/"):
        if part == "..":
            if not at:
                return None
            at.pop()
        elif part not in {"", "."}:
            at.append(part)
    return at


def _moved(path: str, target: str) -> str:
    """Return a symlink's target, made relative where the usr-merge moves the link.

    Of an absolute target too, as packages since trixie have it: the loader of an unpacked
    tree is then found in the tree, not on the machine.
    """
    if merged(path) == path:
        return target
    end = PurePosixPath(merged("/".join(_resolved(path, target) or [])))
    start = PurePosixPath(merged(path)).parent
    common = 0
    for left, right in zip(start.parts, end.parts, strict=False):
        if left != right:
            break
        common += 1
    return "/".join([*[".."] * (len(start.parts) - common), *end.parts[common:]]) or "."
