"""Wheels as sources of raw DEFLATE streams, and their RECORD files.

A wheel is hostile until every line here agrees.
"""

import base64
import csv
import hashlib
import io
import os
import stat
import struct
import weakref
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from lockstitch import zstd
from lockstitch.digest import Digest
from lockstitch.errors import LockstitchError, raise_all
from lockstitch.oci import deflate
from lockstitch.oci.entry import encoded, encoder, stored_blocks
from lockstitch.oci.layer import GoneError, check_path
from lockstitch.patterns import regex
from lockstitch.values import frozen

Row = tuple[str, str, str]  # of a RECORD file: path, hash, size

_LOCAL = struct.Struct("<4s2xHHHHIIIHH")  # signature, version, then the fields named below
_LOCAL_SIGNATURE = b"PK\x03\x04"
_ENCRYPTED, _DESCRIPTOR, _UTF8 = 0x1, 0x8, 0x800
_KNOWN_FLAGS = 0x6 | _DESCRIPTOR | _UTF8  # 0x6: how hard the packer tried
_STORED, _DEFLATED = 0, 8  # and zstd.METHOD
_ZIP64 = 0xFFFFFFFF  # "see the extra field"
_CHUNK = 4 << 20
_FED = 256 << 10  # bytes that go into the inflater at once: it copies what it has not used yet
# Bytes of a member that is read whole: none that a tool writes comes near.
_MOST_OF = {"WHEEL": 1 << 20, "entry_points.txt": 1 << 20, "METADATA": 16 << 20, "RECORD": 64 << 20}
_MOST_READ = 512 << 20
_HASHES = frozenset({"sha256", "sha384", "sha512"})  # of RECORD; weaker ones prove nothing
_UNPACKED_LIMIT = 64 << 30  # far above any wheel that an index takes


class MisrecordedError(LockstitchError):
    """A wheel whose RECORD has another hash than a file of it."""

    filename = ""


@frozen
class Member:
    """One file of a wheel; content for a layer that is never recompressed."""

    name: str
    wheel: "Wheel"
    start: int  # where its data begins in the wheel
    packed: int
    size: int
    crc: int
    method: int
    executable: bool
    recorded: str = ""  # its hash as RECORD has it

    @property
    def encode(self) -> Callable[[bytes], bytes] | None:
        """Return the maker of a stream of a part; None where the wheel has a stream of it."""
        if self.method == _DEFLATED:
            return None
        return deflate.stored if self.method == _STORED else encoder(self.size)

    @property
    def sha256(self) -> Digest | None:
        """The digest that RECORD has, which `plain` proves; None where it has another hash."""
        algorithm, _, value = self.recorded.partition("=")
        if algorithm != "sha256":
            return None
        if _BLOB.fullmatch(value):  # in hexadecimal digits
            return Digest.of_hex(value)
        hashed = base64.urlsafe_b64decode(value + "=" * (-len(value) % 4))
        return Digest.parse(f"sha256:{hashed.hex()}")

    def deflated(self) -> Iterator[bytes]:
        """Yield the wheel's own stream, or stored blocks around uncompressed data.

        What is zstd in the wheel goes through our own encoder, as content of ours does.
        """
        if self.method == zstd.METHOD:
            yield from encoded(self.plain(), self.size)
            return
        if self.method == _STORED:
            yield from stored_blocks(self._pieces(_CHUNK), self.packed)
            return
        yield from self._pieces(_CHUNK)

    def _pieces(self, most: int) -> Iterator[bytes]:
        """Yield the member's bytes as they stand in the wheel, in pieces of so many."""
        end = self.start + self.packed
        for at in range(self.start, end, most):
            yield self.wheel.slice(at, min(most, end - at))

    def plain(self, *, held: bool = True) -> Iterator[bytes]:
        """Yield the content.

        Raises LockstitchError unless it is as the zip says, MisrecordedError unless as RECORD does;
        what goes into no image is not `held` against RECORD (decision 036).
        """
        seen = crc = 0
        algorithm, _, wanted = self.recorded.partition("=")
        hasher = hashlib.new(algorithm) if held and algorithm in _HASHES else None
        tap = self.wheel.taps.pop(self.name, None)
        for chunk in self._inflated():
            seen += len(chunk)
            if seen > self.size:
                break
            crc = zlib.crc32(chunk, crc)
            if hasher:
                hasher.update(chunk)
            if tap:
                tap(chunk)
            yield chunk
        if seen != self.size or crc != self.crc:
            what = f"{seen} bytes, CRC {crc:08x}" if seen <= self.size else "more bytes"
            message = f"`{self.name}` in `{self.wheel.filename}` declares {self.size} bytes, "
            message += f"CRC {self.crc:08x}, and holds {what}"
            raise self.wheel.refused(message)
        # Some tools write hexadecimal digests, which installers do not compare.
        if hasher and wanted.rstrip("=") not in {_urlsafe(hasher.digest()), hasher.hexdigest()}:
            message = f"`{self.name}` in `{self.wheel.filename}` is not what its RECORD says: "
            message += f"{algorithm}={_urlsafe(hasher.digest())}, not {self.recorded:.120}"
            refused = self.wheel.refused(message)
            if isinstance(refused, GoneError):
                raise refused
            error = MisrecordedError(message, hint=refused.hint)
            error.filename = self.wheel.filename
            raise error

    def _inflated(self) -> Iterator[bytes]:
        if self.method == _STORED:
            yield from self._pieces(_CHUNK)
            return
        if self.method == zstd.METHOD:
            yield from self._unpacked()
            return
        engine = zlib.decompressobj(-15)
        at, end = self.start, self.start + self.packed
        # One byte more than declared is enough to know, so a bomb inflates no further.
        most = min(self.size + 1, _CHUNK)
        try:
            while at < end and not engine.eof:
                data = self.wheel.slice(at, min(_FED, end - at))
                at += len(data)
                while data:
                    yield engine.decompress(data, most)
                    data, most = engine.unconsumed_tail, _CHUNK
            yield engine.flush()
        except zlib.error as error:
            message = f"`{self.name}` in `{self.wheel.filename}` does not inflate: {error}"
            raise self.wheel.refused(message) from error
        if not engine.eof or engine.unused_data or at < end:
            message = f"`{self.name}` in `{self.wheel.filename}` does not end where it says"
            raise self.wheel.refused(message)

    def _unpacked(self) -> Iterator[bytes]:
        try:
            yield from zstd.inflate(_Packed(self))
        except EOFError as error:
            message = f"`{self.name}` in `{self.wheel.filename}` does not inflate: {error}"
            raise self.wheel.refused(message) from error

    def read(self) -> bytes:
        """Return the whole content; LockstitchError when it has more than its kind may have."""
        most = _MOST_OF.get(self.name.rpartition("/")[2], _MOST_READ)
        if self.size > most:
            message = f"`{self.name:.200}` in `{self.wheel.filename}` has {self.size:,} bytes, "
            message += f"more than {most:,} are not read"
            raise self.wheel.refused(message)
        return b"".join(self.plain(held=False))


# What `zipfile` raises for a file that is none, over all versions of Python.
_NO_ZIP = (
    zipfile.BadZipFile,
    NotImplementedError,
    OSError,
    OverflowError,
    ValueError,
    struct.error,
)
_BLOB = regex("[0-9a-f]{64}")
_REFUSED = "do not use this wheel; compare it with the one on its index"


class _Packed(io.RawIOBase):
    """The bytes of a member as they stand in the wheel, read piece by piece."""

    def __init__(self, member: Member) -> None:
        """Begin at its start."""
        self._wheel, self._at = member.wheel, member.start
        self._end = member.start + member.packed

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Read the next bytes."""
        data = self._wheel.slice(self._at, min(len(buffer), self._end - self._at))
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)


class Wheel:
    """An opened wheel whose table of contents was checked."""

    def __init__(self, path: Path, filename: str) -> None:
        """Open the file and check everything that can be known without inflating."""
        self.filename = filename
        # What is given a member's content too, by its name, when that is read for the first time.
        self.taps: dict[str, Callable[[bytes], object]] = {}
        self._digest = path.name if _BLOB.fullmatch(path.name) else ""
        self._handle = -1
        try:
            # Not mapped: its pages would count as this process's memory, all of them at the end.
            self._handle = os.open(path, os.O_RDONLY)
            self._close = weakref.finalize(self, os.close, self._handle)
            self._size = os.fstat(self._handle).st_size
            with (
                open(self._handle, "rb", closefd=False) as handle,
                zipfile.ZipFile(handle) as archive,
            ):
                infos, directory = archive.infolist(), archive.start_dir
        except FileNotFoundError as error:
            message = f"the file of `{filename}` is gone"
            raise GoneError(message, hint="run the same command again") from error
        except _NO_ZIP as error:
            message = f"`{filename}` is not a wheel: {error}"
            raise self.refused(message) from error
        self.members = self._checked(infos, directory)

    def close(self) -> None:
        """Close the file."""
        self._close()
        self._handle = -1  # the number may be another file's from now on

    def refused(self, message: str) -> LockstitchError:
        """Return the error for a wheel that is malformed: GoneError for a damaged blob of a store.

        Another process may have put the right file in its place by now.
        """
        if self._is_damaged():
            message = f"the file of `{self.filename}` was damaged while it was read"
            return GoneError(message, hint="run the same command again")
        return LockstitchError(message, hint=_REFUSED)

    def _is_damaged(self) -> bool:
        """Return whether this is a blob of a store, which its digest names, and not whole."""
        if not self._digest or self._handle < 0:
            return False
        hasher, at = hashlib.sha256(), 0
        while data := self.slice(at, _CHUNK):
            hasher.update(data)
            at += len(data)
        return hasher.hexdigest() != self._digest

    def slice(self, start: int, size: int) -> bytes:
        """Return bytes of the file, fewer where it ends."""
        return os.pread(self._handle, size, start)

    def _checked(self, infos: Sequence[zipfile.ZipInfo], directory: int) -> dict[str, Member]:
        members: dict[str, Member] = {}
        problems: list[LockstitchError] = []
        spans = [(directory, directory)]  # no member may run into it
        for info in infos:
            try:
                start = self._data_start(info)
                spans.append((info.header_offset, start + info.compress_size))
                if info.is_dir():
                    continue
                member = self._member(info, start)
                # Twice the same is odd, and no harm.
                if not _alike(members.setdefault(info.filename, member), member):
                    raise self._bad(info, "is there twice")
            except LockstitchError as error:
                problems.append(error)
        spans.sort()
        if any(end > start for (_, end), (start, _) in pairwise(spans)):
            # Overlapping files are how a small zip becomes petabytes.
            problems.append(LockstitchError(f"`{self.filename}` has members that overlap"))
        total = sum(member.size for member in members.values())
        if total > _UNPACKED_LIMIT:
            problems.append(LockstitchError(f"`{self.filename}` declares {total} bytes unpacked"))
        if problems and self._is_damaged():
            raise self.refused("")
        raise_all([type(e)(e.message, hint=e.hint or _REFUSED) for e in problems])
        # By name bytes: a wheel's own order must not show in a layer.
        return dict(sorted(members.items(), key=lambda item: item[0].encode()))

    def _member(self, info: zipfile.ZipInfo, start: int) -> Member:
        return Member(
            name=info.filename,
            wheel=self,
            start=start,
            packed=info.compress_size,
            size=info.file_size,
            crc=info.CRC,
            method=info.compress_type,
            executable=bool(info.external_attr >> 16 & 0o111),
        )

    def _data_start(self, info: zipfile.ZipInfo) -> int:
        """Return where a member's data begins, its local header agreeing with the directory."""
        self._check_directory(info)
        head = self.slice(info.header_offset, _LOCAL.size)
        if len(head) != _LOCAL.size or head[:4] != _LOCAL_SIGNATURE:
            raise self._bad(info, "has no local header")
        _, flags, method, _, _, crc, packed, size, name_size, extra = _LOCAL.unpack(head)
        name_at = info.header_offset + _LOCAL.size
        name = info.filename.encode("utf-8" if info.flag_bits & _UTF8 else "cp437")
        facts = [self.slice(name_at, name_size) == name, method == info.compress_type]
        if not flags & _DESCRIPTOR and _ZIP64 not in {packed, size}:  # zip64 keeps them apart
            facts += [crc == info.CRC, packed == info.compress_size, size == info.file_size]
        if not all(facts):
            raise self._bad(info, "has a local header that says otherwise than the directory")
        start = name_at + name_size + extra
        if start + info.compress_size > self._size:
            raise self._bad(info, "ends behind the end of the file")
        return int(start)

    def _check_directory(self, info: zipfile.ZipInfo) -> None:
        """Raise LockstitchError for what the directory alone shows to be wrong."""
        try:
            check_path(info.filename.removesuffix("/"))
        except LockstitchError as error:
            message = f"{error.message} (in `{self.filename}`)"
            raise LockstitchError(message, hint=_REFUSED) from error
        if info.orig_filename != info.filename:
            raise self._bad(info, "has a name with a zero byte or another separator")
        if info.flag_bits & _ENCRYPTED:
            raise self._bad(info, "is encrypted")
        if info.flag_bits & ~_KNOWN_FLAGS:
            raise self._bad(info, f"has flags {info.flag_bits:#x}, which no wheel needs")
        if info.header_offset < 0:
            raise self._bad(info, "begins before the file")
        if info.compress_type not in {_STORED, _DEFLATED, zstd.METHOD}:
            method = f"uses method {info.compress_type}; only 0, 8 and {zstd.METHOD} are known"
            raise self._bad(info, method)
        if stat.S_ISLNK(info.external_attr >> 16):
            raise self._bad(info, "is a symlink")
        if info.compress_type == _STORED and info.compress_size != info.file_size:
            raise self._bad(info, f"is stored, with {info.compress_size} of {info.file_size} bytes")

    def _bad(self, info: zipfile.ZipInfo, what: str) -> LockstitchError:
        return LockstitchError(
            f"`{info.filename[:200]}` in `{self.filename}` {what}", hint=_REFUSED
        )


def _alike(one: Member, other: Member) -> bool:
    """Return whether two members of one name have the same content."""
    if one is other:
        return True
    facts = (one.size, one.crc, one.executable) == (other.size, other.crc, other.executable)
    return facts and one.read() == other.read()


def _urlsafe(digest: bytes) -> str:
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def record_hash(digest: Digest) -> str:
    """Return a digest as RECORD files write it: urlsafe base64 without padding."""
    return f"sha256={_urlsafe(bytes.fromhex(digest.hex))}"


def read_record_file(data: bytes) -> list[Row]:
    """Return a RECORD file's rows (core metadata); raises ValueError unless it is UTF-8 CSV."""
    try:
        rows = [row for row in csv.reader(io.StringIO(data.decode("utf-8"), newline="")) if row]
    except csv.Error as error:
        raise ValueError(str(error)) from error
    return [
        (row[0], row[1], row[2]) if len(row) > 2 else (row[0], "", "") for row in rows
    ]  # path, hash, size


def write_record_file(rows: Iterable[Row]) -> bytes:
    """Return a RECORD file with its rows sorted by path bytes."""
    out = io.StringIO(newline="")
    ordered = sorted(set(rows), key=lambda row: (row[0].encode(), row))
    csv.writer(out, lineterminator="\n").writerows(ordered)
    return out.getvalue().encode()
