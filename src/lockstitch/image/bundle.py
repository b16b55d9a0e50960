"""Bundles: all files that builds of a project read, in one tar, for machines without a network.

A bundle is `bundle.json`, then one member `blobs/HEX` for each file, by digest. The same lock gives
the same bytes. It belongs to one lockstitch.lock, whose digest it names. With the wheels of
lockstitch itself, there is `install.py` too, which installs them where nothing but Python is.
"""

import json
import platform
import re
import tarfile
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import IO, Any, BinaryIO

from lockstitch import files
from lockstitch.digest import Digest, Hasher, of_bytes
from lockstitch.errors import LockstitchError, raise_all
from lockstitch.lock import file
from lockstitch.net.download import Download
from lockstitch.oci.entry import TAR_END, tar_header, tar_padding
from lockstitch.oci.entry import file as entry
from lockstitch.store import Store
from lockstitch.values import frozen

_SCHEMA = 1
_INDEX, _INSTALLER = "bundle.json", "install.py"
_INSTALLED_BY = Path(__file__).parents[1] / "runtime" / "install.py"
_LARGEST_INDEX = 16 << 20
_CHUNK = 1 << 20
_WHEEL = re.compile(r"[\w.!+-]{1,240}\.whl")


@frozen
class Bundle:
    """A bundle's contents: the digest of its lock, its images, and its files."""

    lock: Digest
    images: tuple[str, ...]
    files: tuple[Download, ...]  # by digest
    inside: frozenset[Digest]  # those that it holds itself; the others came with an earlier one
    tool: tuple[Digest, ...] = ()  # the wheels of lockstitch, which no build reads


def write(  # noqa: PLR0913 -- each is another part of a bundle
    path: Path,
    root: Path,
    images: Sequence[str],
    inputs: Collection[Download],
    store: Store,
    *,
    without: Collection[Digest] = (),
    tool: Collection[Path] = (),
    step: Callable[[int], object],
) -> Bundle:
    """Write the bundle of a project's images, whose files are in the store.

    Files in `without` are listed and left out: an earlier bundle brought them. `tool` are the
    wheels of lockstitch. Raises LockstitchError when the store has lost a file.
    """
    listed = {download.digest: download for download in inputs}
    ordered = [listed[digest] for digest in sorted(listed)]
    inside = {part.digest for part in ordered if part.digest not in without}
    sizes = {}
    for part in ordered:
        if not store.has_whole(part.digest):
            message = f"`{part.name}` ({part.digest}) is gone from the store"
            raise LockstitchError(message, hint="run the same command again")
        sizes[part.digest] = store.path(part.digest).stat().st_size
    document = {
        "schema": _SCHEMA,
        "kind": "bundle",
        "lock": str(of_bytes((root / file.NAME).read_bytes())),
        "images": sorted(images),
        "files": [
            {
                "name": part.name,
                "digest": str(part.digest),
                "size": sizes[part.digest],
                "inside": part.digest in inside,
            }
            for part in ordered
        ],
    }
    wheels = {of_bytes(path.read_bytes()): path for path in sorted(tool)}
    if wheels:
        listing = [
            {"name": path.name, "digest": str(digest), "size": path.stat().st_size}
            for digest, path in wheels.items()
        ]
        minor = ".".join(platform.python_version_tuple()[:2])
        document["tool"] = {"python": minor, "files": listing}
    places = {digest: store.path(digest) for digest in sorted(inside)}
    places |= {digest: wheels[digest] for digest in sorted(wheels) if digest not in without}
    members = {_INDEX: json.dumps(document, indent=1, sort_keys=True).encode() + b"\n"}
    members |= {_INSTALLER: _INSTALLED_BY.read_bytes()} if wheels else {}
    with files.atomic(path) as temporary, temporary.open("wb") as handle:
        for name, content in members.items():
            handle.write(tar_header(entry(name, content)) + content + tar_padding(len(content)))
        for digest, place in places.items():
            size = place.stat().st_size
            handle.write(tar_header(entry(f"blobs/{digest.hex}", b""), size=size))
            for chunk in files.chunks(place):
                handle.write(chunk)
                step(len(chunk))
            handle.write(tar_padding(size))
        handle.write(TAR_END)
    return read(path)


def read(path: Path) -> Bundle:
    """Return a bundle's table of contents; raises LockstitchError when the file is no bundle."""
    with path.open("rb") as handle, _opened(path, handle) as archive:
        return _index(path, archive)


def _opened(path: Path, handle: BinaryIO) -> tarfile.TarFile:
    try:
        return tarfile.open(fileobj=handle, mode="r|")
    except tarfile.TarError as error:
        raise _damaged(path, str(error)) from error


def _damaged(path: Path, reason: str) -> LockstitchError:
    return LockstitchError(f"`{path}` is no whole bundle: {reason}", hint="copy it again")


def _index(path: Path, archive: tarfile.TarFile) -> Bundle:
    try:
        member = archive.next()
        content = archive.extractfile(member) if member and member.name == _INDEX else None
        if member is None or content is None or member.size > _LARGEST_INDEX:
            raise _damaged(path, f"it does not begin with {_INDEX}")
        document = json.loads(content.read())
        if document["schema"] != _SCHEMA or document["kind"] != "bundle":
            raise _damaged(path, f"its schema is {document['schema']!r:.20}, not {_SCHEMA}")
        listed = tuple(_file(row) for row in document["files"])
        inside = [Digest.parse(row["digest"]) for row in document["files"] if row["inside"]]
        return Bundle(
            lock=Digest.parse(document["lock"]),
            images=tuple(str(name) for name in document["images"]),
            files=listed,
            inside=frozenset(inside),
            tool=tuple(
                Digest.parse(row["digest"]) for row in document.get("tool", {}).get("files", ())
            ),
        )
    except (tarfile.TarError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise _damaged(path, f"{_INDEX} cannot be read: {error}") from error


def _file(table: dict[str, Any]) -> Download:
    digest, size = Digest.parse(table["digest"]), int(table["size"])
    return Download(name=str(table["name"]), url="", digest=digest, size=size)


def _hold(content: IO[bytes], digest: Digest, step: Callable[[int], object]) -> None:
    """Hold a file that no build reads against its digest; raises LockstitchError."""
    hasher = Hasher()
    while chunk := content.read(_CHUNK):
        hasher.update(chunk)
        step(len(chunk))
    if hasher.digest() != digest:
        raise LockstitchError(f"{digest} is {hasher.digest()}")


def bring(path: Path, root: Path, store: Store, step: Callable[[int], object]) -> Bundle:
    """Put the files of a bundle into the store, each held against its digest.

    Wheels also go into the store's folder of wheels, where uv finds them.
    Raises LockstitchError when it is of another lock than the project's, when a file of it is
    missing or damaged, and when the store lacks what an earlier bundle should have brought.
    """
    with path.open("rb") as handle, _opened(path, handle) as archive:
        bundle = _index(path, archive)
        lock = root / file.NAME
        here = of_bytes(lock.read_bytes()) if lock.is_file() else None
        if here != bundle.lock:
            message = f"`{path}` is of the {file.NAME} {bundle.lock}, and this project's is "
            hint = "check out the commit that it was made of, or make it again: lockstitch pack"
            raise LockstitchError(message + str(here or "missing"), hint=hint)
        wanted = {part.digest: part for part in bundle.files}
        left = set(bundle.inside)
        try:
            while member := archive.next():
                if member.name == _INSTALLER:
                    continue
                digest = Digest.of_hex(member.name.removeprefix("blobs/"))
                content = archive.extractfile(member)
                if digest in bundle.tool and content is not None:
                    _hold(content, digest, step)
                    continue
                if digest not in left or content is None or member.size != wanted[digest].size:
                    raise _damaged(path, f"`{member.name:.100}` is not in {_INDEX}")
                with store.writer() as writer:
                    while chunk := content.read(_CHUNK):
                        writer.write(chunk)
                        step(len(chunk))
                    writer.commit(digest)
                left.discard(digest)
        except (tarfile.TarError, LockstitchError, ValueError) as error:
            raise _damaged(path, str(error)) from error
    if left:
        raise _damaged(path, f"{len(left)} files are missing")
    problems = []
    for part in bundle.files:
        if not store.has_whole(part.digest, part.size):
            message = f"`{part.name}` came with an earlier bundle, and the store lacks it"
            hint = "lockstitch build --from the earlier one"
            problems.append(LockstitchError(message, hint=hint))
        elif _WHEEL.fullmatch(part.name):
            store.name_wheel(part.name, part.digest)
    raise_all(problems)
    return bundle
