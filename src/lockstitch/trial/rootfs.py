"""Unpacks images into the cache: each layer once, each image as hard links to its layers' files."""

import contextlib
import json
import os
import shutil
import stat
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from lockstitch import files
from lockstitch.digest import Hasher
from lockstitch.errors import LockstitchError
from lockstitch.oci.entry import Kind
from lockstitch.oci.layer import Layer
from lockstitch.oci.model import Image
from lockstitch.oci.rootfs import Node, RootFs, members
from lockstitch.store import Store
from lockstitch.values import positional

_FORM = 2  # of what stands in the cache
_MOUNTED = ("dev", "mnt", "proc", "sys", "tmp")  # folders that a container gets from its host
_WRITTEN = ("etc/hosts", "etc/resolv.conf")  # files that a container gets from its host


@positional
class Root:
    """An unpacked image: nothing may be written to it, its files are shared."""

    path: Path

    def names_of(self, user: str) -> tuple[int, int, str]:
        """Return user ID, group ID and home folder of an image's user, from its /etc/passwd."""
        name, _, group = user.partition(":")
        uid, gid, home = (int(name), 0, "/") if name.isdigit() else (0, 0, "/root")
        for line in self._lines("etc/passwd"):
            fields = line.split(":")
            if len(fields) >= 6 and name and name in {fields[0], fields[2]}:
                uid, gid, home = int(fields[2]), int(fields[3]), fields[5]
        if group.isdigit():
            gid = int(group)
        elif group:
            for line in self._lines("etc/group"):
                fields = line.split(":")
                gid = int(fields[2]) if fields[0] == group else gid
        return uid, gid, home or "/"

    def _lines(self, name: str) -> list[str]:
        path = self.path / name
        return path.read_text("utf-8", "replace").splitlines() if path.is_file() else []


@positional
class _File:
    """The content of a file of a layer in the cache, and who owns it in the image."""

    path: str
    uid: int
    gid: int


def unpack(image: Image, store: Store, step: Callable[[int], None]) -> Root:
    """Return the unpacked image; layers and images that are in the cache are used again.

    `step` is called with the bytes of each layer that is done.
    Raises LockstitchError for a layer that cannot be read or is not what its diffID says.
    """
    cache = store.root / "trial"
    target = cache / "images" / image.config_descriptor().digest.hex
    with files.lock(_made(cache / "locks") / target.name):
        if (target / "form").is_file() and (target / "form").read_text() == str(_FORM):
            step(sum(layer.facts.size for layer in image.layers))
            _used(image, target, cache)
            return Root(target / "root")
        _remove(target)
        tree = RootFs[_File]()
        for layer in image.layers:
            tree.add(_members(layer, cache / "layers"))
            step(layer.facts.size)
        _link(tree, _made(target) / "root")
        (target / "form").write_text(str(_FORM))
        _used(image, target, cache)
    return Root(target / "root")


def _used(image: Image, target: Path, cache: Path) -> None:
    # The image first: it is to go no later than the layers, which free nothing without it.
    for folder in (target, *(cache / "layers" / layer.facts.diff_id.hex for layer in image.layers)):
        with contextlib.suppress(OSError):
            os.utime(folder)


def _members(layer: Layer, cache: Path) -> Iterator[tuple[tarfile.TarInfo, _File | None]]:
    """Yield the members of a layer from the cache, where it is put first if it is not there."""
    folder = cache / layer.facts.diff_id.hex
    with files.lock(_made(cache.parent / "locks") / folder.name):  # images share layers
        rows = _index(folder)
        if rows is None:
            _remove(folder)
            _unpack_layer(layer, folder)
            rows = _index(folder)
    for name, kind, mode, size, link, uid, gid, number in rows or ():
        member = tarfile.TarInfo(name)
        member.type, member.mode, member.size = kind.encode("latin-1"), mode, size
        member.linkname = link
        yield member, _File(str(folder / str(number)) if number >= 0 else "", uid, gid)


def _index(folder: Path) -> list[Any] | None:
    """Return the list of a layer's members, None where one of them is not there as it was."""
    try:
        rows: list[Any] = json.loads((folder / "index.json").read_text("utf-8"))
        sizes = {entry.name: entry.stat().st_size for entry in os.scandir(folder)}
        whole = all(number < 0 or sizes[str(number)] == row[3] for *row, number in rows)
    except (OSError, ValueError, LookupError, TypeError):
        return None
    return rows if whole else None


def _unpack_layer(layer: Layer, folder: Path) -> None:
    """Write the files of a layer under numbers, and a list of its members; nothing by its name."""
    index: list[list[object]] = []
    hasher = Hasher()
    _made(folder)
    for member, content in members(layer, seen=hasher.update):
        number = -1
        if member.isreg():
            number = len(index)
            _write(content(), folder / str(number), member)
        kind = member.type.decode("latin-1")
        owner = (member.uid, member.gid)
        size, link = member.size, member.linkname
        index.append([member.name, kind, member.mode, size, link, *owner, number])
    if hasher.digest() != layer.facts.diff_id:
        message = f"layer `{layer.created_by}` is {hasher.digest()}, not {layer.facts.diff_id}"
        raise LockstitchError(message, hint="remove the image, then lockstitch build")
    files.write_bytes(folder / "index.json", json.dumps(index).encode())


def _write(content: Iterator[bytes], path: Path, member: tarfile.TarInfo) -> None:
    with path.open("wb") as handle:
        handle.writelines(content)
    _own(path, member.uid, member.gid)
    path.chmod(member.mode & 0o777)  # no set-user-ID: nothing here runs as another user


def _own(path: Path, uid: int, gid: int) -> None:
    if (uid or gid) and os.geteuid() == 0:
        os.lchown(path, uid, gid)


def _link(tree: RootFs[_File], root: Path) -> None:
    """Make the tree: folders, symlinks, and hard links to the files of layers."""
    root.mkdir()
    folders: list[tuple[Path, Node[_File]]] = []
    for name, node in tree.nodes():  # sorted: a folder comes before what is in it
        path = root / name
        if node.kind is Kind.FOLDER:
            path.mkdir()
            folders.append((path, node))
        elif node.kind is Kind.SYMLINK:
            path.symlink_to(node.target)
        elif node.kind is Kind.FILE and node.content is not None:
            _hard_link(Path(node.content.path), path)
    for name in (*_MOUNTED, *_WRITTEN):
        path = root / name
        if not path.is_symlink() and not path.exists():
            _made(path.parent)
            path.touch() if name in _WRITTEN else path.mkdir()
    for path, node in folders:
        if node.content is not None:
            _own(path, node.content.uid, node.content.gid)
        path.chmod(stat.S_IMODE(node.mode) & 0o1777)


def _hard_link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:  # too many links to one file, or a file system without them
        shutil.copy2(source, target)


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _remove(folder: Path) -> None:
    """Remove a folder of which any part may be read-only."""
    if folder.exists():
        for path, _, _ in os.walk(folder):
            Path(path).chmod(0o700)
        files.remove(folder)
