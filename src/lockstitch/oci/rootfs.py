"""The root file system that layers add up to, read without unpacking it (OCI image spec, layer.md).

Layers are read as if somebody meant harm: headers, names and sizes are bounded, and a damaged
archive is an error, where `tarfile` alone would take it for a shorter one.
"""

import contextlib
import functools
import tarfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Generic, Self, TypeVar, cast

from lockstitch.digest import Digest, Hasher
from lockstitch.errors import LockstitchError
from lockstitch.oci import stargz
from lockstitch.oci.entry import Kind
from lockstitch.oci.layer import GZIP, TAR, ZSTD, Layer, decompress
from lockstitch.values import frozen

if TYPE_CHECKING:
    from typing import IO

_LARGEST = 512 << 20  # bytes of one file that is read into memory
_TEXT = 64 << 20  # the same, of a file of an image whose content is wanted
# The same, of files that are read for what they say: none that a tool writes comes near.
_MOST_OF = {
    "os-release": 1 << 20,
    "WHEEL": 1 << 20,
    "direct_url.json": 1 << 20,
    "patchlevel.h": 1 << 20,
    "METADATA": 16 << 20,
    "RECORD": 64 << 20,
    "status": 64 << 20,
    "installed": 64 << 20,
}
_LONGEST = 1 << 20  # bytes of a header with long names or extended attributes
_MOST_BYTES = 64 << 30  # unpacked, of one layer of a stranger
_MOST_FILES = 1_000_000  # in it
_CHUNK = 1 << 20
_MOST_ENDS = 100  # reads behind the end of an archive
_MAGIC = {b"\x1f\x8b": GZIP, b"\x28\xb5": ZSTD}
# What tarfile and zlib raise over bytes that are no layer; of numbers in a header OverflowError.
DAMAGE = (tarfile.TarError, zlib.error, EOFError, ValueError, OverflowError, RecursionError)
_MOST = 4_000_000  # paths
_WHITEOUT = ".wh."
_OPAQUE = ".wh..wh..opq"


T = TypeVar("T")


@frozen
class Node(Generic[T]):
    """A path of the file system; `content` is there only where it was asked for."""

    kind: Kind | None  # None for devices, sockets and pipes
    mode: int
    size: int = 0
    target: str = ""
    content: T | None = None


class RootFs(Generic[T]):
    """The paths that layers leave, without leading slash; T is their reader's file content."""

    def __init__(self) -> None:
        self._nodes: dict[str, Node[T]] = {}
        self._folder: Node[T] = Node(kind=Kind.FOLDER, mode=0o755)  # a parent without entry

    def add(self, members: Iterable[tuple[tarfile.TarInfo, T | None]]) -> int:
        """Lay a layer over the others and return the bytes of its files.

        Raises LockstitchError for a path that leads out of the root.
        """
        fresh: dict[str, Node[T]] = {}
        gone: set[str] = set()
        emptied: set[str] = set()
        size = 0
        for member, content in members:
            path = self._path(member.name)
            folder, _, name = path.rpartition("/")
            if name == _OPAQUE:
                emptied.add(folder)
            elif name.startswith(_WHITEOUT):
                gone.add(f"{folder}/{name.removeprefix(_WHITEOUT)}".lstrip("/"))
            elif path:
                fresh[path] = self._node(member, content, fresh)
                size += member.size if member.isreg() else 0
            if len(fresh) + len(self._nodes) > _MOST:
                raise LockstitchError(f"an image with more than {_MOST} paths")
        # A whiteout hides what lower layers have, never what its own layer brings.
        self._remove(gone | self._replaced(fresh), emptied)
        for path, node in fresh.items():
            self._put(self._through_links(path), node)
        return size

    def _put(self, path: str, node: Node[T]) -> None:
        before = self._nodes.get(path)
        if before is None or before.kind is not Kind.FOLDER or node.kind is Kind.FOLDER:
            self._nodes[path] = node
        while path := path.rpartition("/")[0]:  # some tools write no entries for folders
            self._nodes.setdefault(path, self._folder)

    def _path(self, name: str) -> str:
        parts = [part for part in name.split("/") if part not in {"", "."}]
        if ".." in parts:
            raise LockstitchError(f"`{name!r:.200}` leads out of the image")
        return "/".join(parts)

    def _node(
        self, member: tarfile.TarInfo, content: T | None, fresh: dict[str, Node[T]]
    ) -> Node[T]:
        if member.islnk():
            path = self._path(member.linkname)
            return fresh.get(path) or self._nodes.get(path) or Node(kind=None, mode=0)
        kinds = ((member.isreg(), Kind.FILE), (member.isdir(), Kind.FOLDER))
        kind = next((kind for holds, kind in kinds if holds), None)
        if member.issym():
            kind = Kind.SYMLINK
        return Node(
            kind=kind,
            mode=member.mode,
            size=member.size,
            target=member.linkname,
            content=content or None,
        )

    def _replaced(self, fresh: dict[str, Node[T]]) -> set[str]:
        """Return the folders of lower layers that are something else now."""
        return {
            path
            for path, node in fresh.items()
            if node.kind is not Kind.FOLDER
            and (before := self._nodes.get(path)) is not None
            and before.kind is Kind.FOLDER
        }

    def _remove(self, gone: set[str], emptied: set[str]) -> None:
        if not gone and not emptied:
            return
        for path in list(self._nodes):
            above = {path[:at] for at, letter in enumerate(path) if letter == "/"} | {""}
            if path in gone or above & gone or above & emptied:
                del self._nodes[path]

    def _through_links(self, path: str) -> str:
        """Return where a path lands when a folder above it is a symlink, as engines unpack it."""
        folder, _, name = path.rpartition("/")
        if not folder or self._nodes.get(folder, self._folder).kind is Kind.FOLDER:
            return path
        real = self.resolve(folder)
        return f"{real}/{name}" if real else path

    def resolve(self, path: str) -> str | None:
        """Return the real path that a path leads to through symlinks, or None.

        A symlink never leaves the root: `..` at the top stays there, as in a container.
        """
        waiting = [part for part in reversed(path.split("/")) if part]
        real: list[str] = []
        links = 0
        while waiting:
            part = waiting.pop()
            if part in {"", "."}:
                continue
            if part == "..":
                real = real[:-1]
                continue
            node = self._nodes.get("/".join([*real, part]))
            if node is not None and node.kind is Kind.SYMLINK:
                links += 1
                if links > 40:  # symlinks on the way to one file, as the kernel allows
                    return None
                real = [] if node.target.startswith("/") else real
                waiting += reversed(node.target.split("/"))
                continue
            real.append(part)
        place = "/".join(real)
        return place if not place or place in self._nodes else None

    def file(self, path: str) -> Node[T] | None:
        """Return the regular file that a path leads to, or None."""
        real = self.resolve(path)
        node = self._nodes.get(real) if real else None
        return node if node is not None and node.kind is Kind.FILE else None

    def mode(self, path: str) -> int:
        """Return the mode of a real path; a folder without an entry is 0755."""
        return self._nodes.get(path, self._folder).mode

    def files(self, wanted: Callable[[str], bool]) -> list[tuple[str, Node[T]]]:
        """Return the regular files whose real path is wanted, sorted by path."""
        return [(p, n) for p, n in self.nodes() if n.kind is Kind.FILE and wanted(p)]

    def nodes(self) -> list[tuple[str, Node[T]]]:
        """Return everything by its real path, sorted by it."""
        return sorted(self._nodes.items(), key=lambda pair: pair[0])


# --- layers, member by member

Members = Iterator[tuple[tarfile.TarInfo, Callable[[], Iterator[bytes]]]]


@frozen
class StoredFile:
    """A file of an image."""

    size: int
    content: bytes | None = None  # where it was wanted
    digest: Digest | None = None  # where it was wanted
    target: str = ""  # of a symlink


def entries(
    layer: Layer,
    wanted: Callable[[str], bool] = lambda _: False,
    *,
    seen: Callable[[bytes], object] = lambda _: None,
) -> Iterator[tuple[tarfile.TarInfo, bytes]]:
    """Yield the members of a layer, with the content of those files that are wanted.

    `seen` is called with all bytes of the unpacked layer, in pieces: a diffID is their digest.
    Raises LockstitchError when the layer is damaged, or a wanted file is larger than its kind may
    be, 512 MiB at most.
    """
    for member, content in members(layer, seen=seen):
        taken = member.isreg() and wanted(member.name)
        if taken and member.size > _most(member.name, _LARGEST):
            message = f"`{member.name:.200}` of layer `{layer.created_by}` has {member.size} bytes"
            raise LockstitchError(message, hint="keep such a file out of the image")
        yield member, b"".join(content()) if taken else b""


def _most(path: str, otherwise: int) -> int:
    """Return how many bytes a file may have that is read into memory."""
    return _MOST_OF.get(path.rpartition("/")[2], otherwise)


def members(layer: Layer, *, seen: Callable[[bytes], object] = lambda _: None) -> Members:
    """Yield the members of a layer, each with what yields its content until the next is taken.

    A table of contents for lazy pulls is no file of the image, and left out. `seen` is called with
    all bytes of the unpacked layer, in pieces. Raises LockstitchError when
    the layer is damaged.
    """
    with _named(layer):
        for member, content in _walk(
            _shown(decompress(layer.chunks(), layer.facts.media_type), seen)
        ):
            if member.name not in stargz.NAMES:
                yield member, partial(_read, layer, content)


def _read(layer: Layer, content: Callable[[], Iterator[bytes]]) -> Iterator[bytes]:
    with _named(layer):  # who reads it is outside of the other one
        yield from content()


@contextlib.contextmanager
def _named(layer: Layer) -> Iterator[None]:
    """Turn what a damaged layer raises into an error with its name."""
    try:
        yield
    except DAMAGE as error:
        message = f"layer `{layer.created_by}` cannot be read: {error}"
        raise LockstitchError(message, hint="remove the image, then lockstitch build") from error


def files_of(
    layers: Iterable[Callable[[], Iterable[bytes]]],
    *,
    content: Callable[[str], bool],
    digest: Callable[[str], bool],
) -> dict[str, StoredFile]:
    """Return the files of an image by path from the root, with what is wanted of each.

    Layers may be gzip, zstd or plain tar. Raises LockstitchError for one that cannot be read, or
    has a path that leads out of the root.
    """
    tree = RootFs[StoredFile]()
    for number, layer in enumerate(layers):
        try:
            tree.add(image_files(layer(), content, digest))
        except (*DAMAGE, OSError) as error:
            message = f"layer {number} cannot be read: {error}"
            raise LockstitchError(message, hint="get the image again") from error
    return {path: node.content for path, node in tree.nodes() if node.content is not None}


def image_files(
    layer: Iterable[bytes], content: Callable[[str], bool], digest: Callable[[str], bool]
) -> Iterator[tuple[tarfile.TarInfo, StoredFile | None]]:
    """Yield the members of a layer, with what is wanted of each; raises one of DAMAGE, or OSError.

    Raises LockstitchError for a file that is larger than one of its kind may be.
    """
    for member, read in _walk(_plain(layer)):
        path = member.name.removeprefix("./").lstrip("/")
        if path in stargz.NAMES:
            continue
        file = None
        if member.isreg():
            keep, hashed, hasher = content(path), digest(path), Hasher()
            most = _most(path, _TEXT)
            data = bytearray()
            for chunk in read() if keep or hashed else ():
                hasher.update(chunk)
                data += chunk if keep else b""
                if len(data) > most:
                    message = f"`{member.name:.200}` has more than {most} bytes"
                    raise LockstitchError(message, hint="look at the image with another tool")
            file = StoredFile(
                size=member.size,
                content=bytes(data) if keep else None,
                digest=hasher.digest() if hashed else None,
            )
        elif member.issym():
            file = StoredFile(size=0, target=member.linkname)
        yield member, file


def small_files(layer: Iterable[bytes], name: str, largest: int) -> Iterator[tuple[str, bytes]]:
    """Yield name and content of the regular files of a layer up to a size in bytes.

    Raises LockstitchError with the layer's name when it cannot be read, or is more than a layer
    should be.
    """
    try:
        for number, (member, content) in enumerate(archive_members(layer)):
            if number >= _MOST_FILES:
                raise EOFError(f"it has more than {_MOST_FILES:,} entries")
            if member.isreg() and member.size <= largest:
                yield member.name, b"".join(content())
    except (*DAMAGE, OSError) as error:
        raise LockstitchError(f"the layer {name} cannot be read: {error}") from error


def archive_members(chunks: Iterable[bytes], *, most: int = 0) -> Members:
    """Yield the members of a tar, compressed or not, with what yields the content of each.

    Raises one of DAMAGE, or OSError, for what is no archive or has more bytes than `most`, or than
    any layer; LockstitchError for zstd without the package `zstandard`.
    """
    return _walk(_bounded(_plain(chunks), most or _MOST_BYTES))


def _walk(plain: Iterator[bytes]) -> Members:
    """Yield the members of a tar, each with what yields its content until the next is taken."""
    reader = _Reader(plain)
    with tarfile.open(
        fileobj=cast("IO[bytes]", reader), mode="r|", tarinfo=BoundedHeader
    ) as archive:

        def content(member: tarfile.TarInfo) -> Iterator[bytes]:
            handle = archive.extractfile(member)
            while handle and (chunk := handle.read(_CHUNK)):
                yield chunk

        for member in archive:
            if not 0 <= member.size <= _MOST_BYTES:  # a pax header may say anything
                message = f"`{member.name:.200}` says that it has {member.size:,} bytes"
                raise tarfile.ReadError(message)
            yield member, functools.partial(content, member)
    while reader.read(_CHUNK):
        pass  # what stands behind the archive's end belongs to the layer too


class BoundedHeader(tarfile.TarInfo):
    """A header that is refused when it is damaged or too long, and not taken for the end."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        """Return the header of a block, or raise tarfile.ReadError."""
        try:
            header = super().frombuf(buf, encoding, errors)
        except tarfile.HeaderError as error:
            if not any(buf):
                raise  # the end of the archive
            raise tarfile.ReadError(str(error)) from error
        if header.size < 0 or (header.type in _LONG and header.size > _LONGEST):
            raise tarfile.ReadError(f"a header says that {header.size:,} bytes follow")
        return header


# Whose content `tarfile` reads into memory: long names, and pax headers.
_LONG = frozenset(
    {tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK, tarfile.XHDTYPE, tarfile.XGLTYPE}
    | {tarfile.SOLARIS_XHDTYPE}
)


class _Reader:
    """Chunks with the `read(n)` that tarfile's stream mode needs."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._left = b""
        self._ends = 0

    def read(self, size: int) -> bytes:
        """Return up to `size` bytes; fewer only at the end, and EOFError when asked on and on."""
        parts = [self._left]
        have = len(self._left)
        while have < size:
            chunk = next(self._chunks, None)
            if chunk is None:
                break
            parts.append(chunk)
            have += len(chunk)
        data = b"".join(parts)
        self._left = data[size:]
        self._ends += not data
        if self._ends > _MOST_ENDS:  # tarfile goes to where a header says that a file ends
            raise EOFError("it ends inside of a file")
        return data[:size]


def _shown(chunks: Iterable[bytes], seen: Callable[[bytes], object]) -> Iterator[bytes]:
    for chunk in chunks:
        seen(chunk)
        yield chunk


def _plain(layer: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the tar of a layer, by its first bytes: archives do not say how it is compressed."""
    chunks = iter(layer)
    first = next(chunks, b"")
    return decompress(chain([first], chunks), _MAGIC.get(first[:2], TAR))


def _bounded(chunks: Iterable[bytes], most: int) -> Iterator[bytes]:
    count = 0
    for chunk in chunks:
        count += len(chunk)
        if count > most:
            raise EOFError(f"it is larger than {most:,} bytes")
        yield chunk
