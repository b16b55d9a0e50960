"""The root file system of a CPython base: Debian's files, and an archive's below /usr/local.

The archive is taken as hostile input, like the .deb files; nothing in it is run to unpack it.
Which of its files an image does not have: cpython.toml.
"""

import re
from collections.abc import Iterator, Mapping, MutableMapping
from functools import cache
from typing import Final

from lockstitch.errors import LockstitchError, raise_all
from lockstitch.image import debian
from lockstitch.image.contents import folded
from lockstitch.image.debian import Member
from lockstitch.lock import elf
from lockstitch.lock.bases.cpython import CPythonBase, read_members
from lockstitch.lock.sbom import PackageFacts
from lockstitch.oci.entry import Entry, Kind, folder, symlink
from lockstitch.resources import load_table
from lockstitch.store import Store

_TOP: Final = "python/"  # what all paths of an archive start with
_PREFIX: Final = "usr/local/"


def entries(
    base: CPythonBase, store: Store, facts: MutableMapping[str, PackageFacts] | None = None
) -> Iterator[Entry]:
    """Yield the root file system of a base, sorted by path bytes, each path once.

    `facts` takes in what is known of each package and of the archive, by hex digest. Raises
    LockstitchError for a package or archive missing from the store, and with every member that
    no image should hold.
    """
    archive, name = base.archive, base.archive.filename
    if not store.read_again(archive.digest):
        raise debian.absent(archive.digest, name)
    tree = debian.system_tree(base.packages, store, facts)
    members = _members(base, store, name)
    kept = [member for member in members.values() if _kept(member, base, members)]
    for member in kept:
        tree.add(debian.entry_of(member), name)
    for entry in _generated(base.target().minor_abi):
        tree.set(entry)
    if facts is not None:
        paths = {member.path for member in members.values() if member.kind is not Kind.FOLDER}
        there = {member.path for member in kept if member.kind is not Kind.FOLDER}
        facts[archive.digest.hex] = PackageFacts(left_out=folded(there, paths - there))
    yield from tree.finished()


def _generated(minor: str) -> Iterator[Entry]:
    yield folder("usr/local/bin")
    yield symlink("usr/local/bin/python", "python3")
    yield symlink("usr/local/bin/python3", f"python{minor}")
    # Where OpenSSL looks, as python-build-standalone builds it, and as Debian does.
    yield symlink("etc/ssl/cert.pem", f"/{debian.BUNDLE}")
    yield symlink("usr/lib/ssl/cert.pem", f"/{debian.BUNDLE}")


# --- the archive


def _members(base: CPythonBase, store: Store, name: str) -> dict[str, Member]:
    """Return the members of an archive by their places in an image."""
    members: dict[str, Member] = {}
    problems: list[LockstitchError] = []
    path = store.path(base.archive.digest)
    for info, data in read_members(path, name, _may_stay):
        if info.name.rstrip("/") == _TOP.rstrip("/") and info.isdir():
            continue
        place = _PREFIX + info.name.removeprefix(_TOP)
        linked = members.get(_PREFIX + info.linkname.removeprefix(_TOP)) if info.islnk() else None
        target = debian.resolved(place, info.linkname) if info.issym() else ""
        reason = debian.misnamed(info.name, info.linkname)
        if not info.name.startswith(_TOP):
            reason = "which is not below `python/`"
        elif info.type not in debian.KINDS:
            reason = "which is no file, folder or link"
        elif info.issym() and not f"{target}/".startswith(_PREFIX):
            reason = f"a symlink that leads out of its folder, to {info.linkname!a:.200}"
        elif info.islnk() and (linked is None or linked.kind is not Kind.FILE):
            reason = f"a hard link to {info.linkname!a:.200}, which is no file before it"
        elif place in members and not info.isdir():
            reason = "a second time"
        if reason:
            message = f"`{name}` holds {info.name!a:.200}, {reason}"
            problems.append(LockstitchError(message, hint="lockstitch lock"))
            continue
        members[place] = Member(
            path=place,
            kind=debian.KINDS[info.type],
            mode=linked.mode if linked else info.mode,
            data=linked.data if linked else data,
            target=info.linkname if info.issym() else "",
        )
    raise_all(problems)
    return members


def _may_stay(path: str) -> bool:
    """Return whether the content of a member may be needed."""
    path = path.removeprefix(_TOP)
    return path.startswith(("bin/python3", "lib/libpython")) or not _is_left_out(path)


def _kept(member: Member, base: CPythonBase, members: Mapping[str, Member]) -> bool:
    program = base.program.lstrip("/")
    if member.path == program:
        return True
    if not _is_left_out(member.path.removeprefix(_PREFIX)):
        return True
    # Some builds have the interpreter in its library, which then is needed.
    needed = elf.needs(members[program].data).libraries if program in members else ()
    return member.path.startswith("usr/local/lib/libpython") and (
        member.path.rpartition("/")[2] in needed
    )


@cache
def _left_out() -> tuple[tuple[str, ...], tuple[re.Pattern[str], ...]]:
    """Return the folders and the patterns of cpython.toml."""
    tables = load_table(__package__, "cpython.toml")
    return tuple(tables["folders"]), tuple(re.compile(text) for text in tables["patterns"])


def _is_left_out(path: str) -> bool:
    folders, patterns = _left_out()
    if any(path == prefix or path.startswith(f"{prefix}/") for prefix in folders):
        return True
    return any(pattern.fullmatch(path) for pattern in patterns)
