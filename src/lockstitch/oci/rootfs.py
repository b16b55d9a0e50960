"""The root file system that layers add up to, without unpacking it (OCI image spec, layer.md)."""

import tarfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

from lockstitch.errors import LockstitchError
from lockstitch.oci.entry import Kind

__all__ = ["Node", "RootFs"]

_LINKS = 40  # symlinks on the way to one file, as the kernel allows
_MOST = 4_000_000  # paths
_WHITEOUT = ".wh."
_OPAQUE = ".wh..wh..opq"


T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Node(Generic[T]):
    """A path of the file system; `content` is there only where it was asked for."""

    kind: Kind | None  # None for devices, sockets and pipes
    mode: int
    size: int = 0
    target: str = ""
    content: T | None = None


class RootFs(Generic[T]):
    """Paths without a leading slash, as the layers that were added leave them.

    T is what their reader makes of a file's content.
    """

    def __init__(self) -> None:
        """Start with nothing."""
        self._nodes: dict[str, Node[T]] = {}
        self._folder: Node[T] = Node(kind=Kind.FOLDER, mode=0o755)  # that nobody wrote down

    def add(self, members: Iterable[tuple[tarfile.TarInfo, T | None]]) -> int:
        """Lay a layer over what is there and return the bytes of its files.

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
                message = f"an image with more than {_MOST} paths"
                raise LockstitchError(message)
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
            message = f"`{name!r:.200}` leads out of the image"
            raise LockstitchError(message)
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
            here = "/".join([*real, part])
            node = self._nodes.get(here)
            if node is not None and node.kind is Kind.SYMLINK:
                links += 1
                if links > _LINKS:
                    return None
                real = [] if node.target.startswith("/") else real
                waiting += reversed(node.target.split("/"))
                continue
            real.append(part)
        found = "/".join(real)
        return found if not found or found in self._nodes else None

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
        return sorted(self._nodes.items(), key=lambda each: each[0])
