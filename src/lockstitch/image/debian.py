"""The root file system of a Debian base, made from .deb files; nothing in them is run.

A .deb file is an `ar` of two compressed tars (deb(5)), taken as hostile input. Which of its files
an image does not have: debian.toml.
"""

import posixpath
import re
import tarfile
from collections.abc import Collection, Iterator, Mapping, MutableMapping, Sequence
from functools import cache
from typing import Final

from lockstitch import threads
from lockstitch.digest import Digest
from lockstitch.errors import LockstitchError, raise_all
from lockstitch.image import licences
from lockstitch.image.contents import folded
from lockstitch.lock.bases.cpython import CPythonBase
from lockstitch.lock.bases.debian import DebianBase, DebianPackage, scripts
from lockstitch.lock.bases.debian import archive as deb
from lockstitch.lock.sbom import PackageFacts
from lockstitch.oci.entry import Entry, Kind, file, folder, symlink
from lockstitch.resources import load_table
from lockstitch.store import Store
from lockstitch.values import frozen

_CERTIFICATES: Final = "usr/share/ca-certificates/mozilla/"
BUNDLE: Final = "etc/ssl/certs/ca-certificates.crt"
_DOC: Final = "usr/share/doc/"
_INTERPRETER: Final = re.compile(r"usr/bin/python3\.[0-9]+")
# 65532 is what distroless images call `nonroot`, so that pod policies written for them hold.
_PASSWD = b"""\
root:x:0:0:root:/root:/sbin/nologin
nonroot:x:65532:65532:nonroot:/home/nonroot:/sbin/nologin
"""
_GROUP = b"root:x:0:\nnonroot:x:65532:\n"
_NSSWITCH = b"""\
passwd: files
group: files
shadow: files
hosts: files dns
networks: files
protocols: files
services: files
"""
KINDS: Final = {
    tarfile.REGTYPE: Kind.FILE,
    tarfile.AREGTYPE: Kind.FILE,
    tarfile.LNKTYPE: Kind.FILE,
    tarfile.DIRTYPE: Kind.FOLDER,
    tarfile.SYMTYPE: Kind.SYMLINK,
}
_THREADS = 2  # that read packages; each takes some 20 MiB
# Folders that every release since bookworm has below /usr (usr-merge).
_MERGED: Final = frozenset({"bin", "sbin", "lib", "lib32", "lib64", "libx32"})


@frozen
class Member:
    """A file, folder or symlink of a package, at its place after the usr-merge."""

    path: str
    kind: Kind
    mode: int
    data: bytes
    target: str


@frozen
class DebianArchive:
    """The control files of a package by name, and its members."""

    controls: Mapping[str, bytes]
    members: tuple[Member, ...]


def entries(
    base: DebianBase, store: Store, facts: MutableMapping[str, PackageFacts] | None = None
) -> Iterator[Entry]:
    """Yield the root file system of a base, sorted by path bytes, each path once.

    `facts` takes in the licences of each package and what is left out of it, by the hex digest
    of the package. The result depends on the .deb files in the store alone.

    Raises LockstitchError with every package missing from the store, every member that no
    package should hold, and every path that two packages want.
    """
    tree = system_tree(base.packages, store, facts)
    # Where the libssl of Debian looks: the package `openssl` has these, and is left out.
    tree.set(symlink("usr/lib/ssl/cert.pem", f"/{BUNDLE}"))
    tree.set(symlink("usr/lib/ssl/certs", "/etc/ssl/certs"))
    tree.set(symlink("usr/bin/python", "python3"))
    tree.set(symlink("usr/bin/python3", f"python{base.target().minor}"))
    yield from tree.finished()


def added_entries(
    below: Mapping[str, Entry],
    base: DebianBase | CPythonBase,
    store: Store,
    facts: MutableMapping[str, PackageFacts] | None = None,
) -> Iterator[Entry]:
    """Yield the entries of the packages that a project adds to a base, sorted, each path once.

    `below` has the root file system of the base itself, which stays as it is. Programs stay: of
    the packages that the project names, and of those that these depend on. Raises as `entries`.
    """
    added = base.added
    named = [p for p in base.packages if p.name in added.requested]  # of the base already
    whole = {*added.requested, *(package.name for package in added.packages)}
    tree = system_tree((*base.packages, *added.packages), store, facts, whole=whole)
    if facts is not None:
        for package in base.packages:  # which the layer below has the facts of
            if package not in named:
                facts.pop(package.digest.hex, None)
    machine = _TRIPLETS[base.platform]
    for link in [*_libraries(tree, f"usr/lib/{machine}")]:
        tree.set(link)
    yield from (entry for entry in tree.finished() if entry.path not in below)


_TRIPLETS: Final = {"linux/amd64": "x86_64-linux-gnu", "linux/arm64": "aarch64-linux-gnu"}
_LIBRARY: Final = re.compile(r"lib[^/]+\.so(?:\.\d+)*")


def _libraries(tree: "Tree", folder: str) -> Iterator[Entry]:
    """Yield links in the loader's own folder to libraries of the folders that ldconfig would read.

    An image has no cache of ldconfig, and its loader looks into its own folders.
    """
    entries = tree.entries()
    for path, entry in entries.items():
        if not re.fullmatch(r"etc/ld\.so\.conf\.d/[^/]+\.conf", path) or entry.content is None:
            continue
        text = b"".join(entry.content.plain()).decode("utf-8", "replace")
        for line in text.splitlines():
            place = merged(line.partition("#")[0].strip().strip("/"))
            for other in [entry for entry in entries if entry.startswith(f"{place}/")]:
                name = other.removeprefix(f"{place}/")
                link = f"{folder}/{name}"
                if place != folder and _LIBRARY.fullmatch(name) and link not in entries:
                    yield symlink(link, posixpath.relpath(other, folder))


def system_tree(
    packages: Sequence[DebianPackage],
    store: Store,
    facts: MutableMapping[str, PackageFacts] | None = None,
    *,
    whole: Collection[str] = (),
) -> "Tree":
    """Return the files of packages, and those that their maintainer scripts would make.

    The programs of packages of the names `whole` stay, and their links of update-alternatives.

    Raises LockstitchError with every package missing from the store, and every member that no
    package should hold.
    """
    digests = [package.digest for package in packages]
    intact = threads.run(digests, store.read_again, parallel=_THREADS)
    raise_all(
        [
            absent(p.digest, f"{p.name} {p.version}")
            for p, is_whole in zip(packages, intact, strict=True)
            if not is_whole
        ]
    )
    tree = Tree()
    certificates: dict[str, bytes] = {}
    copyrights: dict[str, Member] = {}  # files, and links to those of another package
    left_out: dict[str, tuple[str, ...]] = {}
    alternatives: list[scripts.Alternative] = []

    def read(package: DebianPackage) -> DebianArchive:
        data = store.path(package.digest).read_bytes()
        return read_archive(data, f"{package.name} {package.version}")

    # What takes the time is xz, which other threads can work beside, the longest first.
    longest = sorted(packages, key=lambda package: -package.size)
    archives = dict(zip(longest, threads.run(longest, read, parallel=_THREADS), strict=True))
    for package in packages:
        archive = archives.pop(package)  # which frees what the image does not have
        name = f"{package.name} {package.version}"
        programs = package.name in whole
        tree.add_all(archive.members, name, certificates, programs=programs)
        status = f"var/lib/dpkg/status.d/{package.name}"
        tree.set(file(status, archive.controls["control"].rstrip(b"\n") + b"\n"))
        if md5sums := archive.controls.get("md5sums"):
            tree.set(file(f"{status}.md5sums", md5sums))
        copyrights |= _copyrights(archive.members)
        if facts is not None:
            left_out[package.name] = _left_out_of(archive.members, programs=programs)
        alternatives += scripts.alternatives(archive.controls) if programs else []
    for link in _links(alternatives, tree.entries()):
        tree.set(link)
    for entry in _generated():
        tree.set(entry)
    if certificates:
        # By path, the order in which update-ca-certificates reads its configuration.
        texts = (certificates[path].rstrip(b"\n") + b"\n" for path in sorted(certificates))
        tree.set(file(BUNDLE, b"".join(texts)))
    if facts is not None:
        for package in packages:
            # Only now: a package's licences may be in another package.
            facts[package.digest.hex] = PackageFacts(
                licences=_licences(package.name, copyrights), left_out=left_out[package.name]
            )
    return tree


def absent(digest: Digest, name: str) -> LockstitchError:
    """Return the error for a file that the store lacks."""
    message = f"`{name}` ({digest.short}) is not in the store"
    return LockstitchError(message, hint="run the command again with the network on")


def _links(alternatives: Sequence[scripts.Alternative], tree: Mapping[str, Entry]) -> list[Entry]:
    """Return the symlinks of update-alternatives: the first of highest priority, as dpkg has it."""
    chosen: dict[str, scripts.Alternative] = {}
    for alternative in sorted(alternatives, key=lambda a: (-a.priority, a)):
        chosen.setdefault(merged(alternative.link), alternative)
    return [
        symlink(link, posixpath.relpath(f"/{merged(to.target)}", posixpath.dirname(f"/{link}")))
        for link, to in chosen.items()
        if link not in tree and merged(to.target) in tree
    ]


def _left_out_of(members: Sequence[Member], *, programs: bool) -> tuple[str, ...]:
    files = [member.path for member in members if member.kind is not Kind.FOLDER]
    kept = [path for path in files if _kept(path, programs=programs)]
    # Certificates are not left out: they are in the bundle.
    bundled = {path for path in files if path.startswith(_CERTIFICATES)}
    return folded([*kept, *bundled], {*files} - {*kept} - bundled)


def _copyrights(members: Sequence[Member]) -> dict[str, Member]:
    """Return the copyright file of a package by its name, or the link to another's folder."""
    named: dict[str, Member] = {}
    for member in members:
        package, _, name = member.path.removeprefix(_DOC).partition("/")
        wanted = "copyright" if member.kind is Kind.FILE else ""
        if member.path.startswith(_DOC) and member.kind is not Kind.FOLDER and name == wanted:
            named[package] = member
    return named


def _licences(package: str, copyrights: Mapping[str, Member]) -> tuple[str, ...]:
    member = copyrights.get(package)
    if member and member.kind is Kind.SYMLINK:
        member = copyrights.get(member.target.rpartition("/")[2])
    return licences.of_copyright(member.data if member else b"")


class Tree:
    """Collects entries by path, and what is wrong with them."""

    def __init__(self) -> None:
        """Start with nothing."""
        self._entries: dict[str, Entry] = {}
        self._owners: dict[str, str] = {}
        self._problems: list[LockstitchError] = []

    def entries(self) -> Mapping[str, Entry]:
        """Return the entries so far, by path."""
        return self._entries

    def set(self, entry: Entry) -> None:
        """Put an entry of our own at its path, whatever a package has there."""
        self._entries[entry.path] = entry

    def add_all(
        self,
        members: Sequence[Member],
        owner: str,
        certificates: dict[str, bytes],
        *,
        programs: bool = False,
    ) -> None:
        """Put a package's kept members at their places, and its certificates aside."""
        for member in members:
            if member.path.startswith(_CERTIFICATES):
                # One bundle holds them all, which is what update-ca-certificates would make.
                if member.kind is Kind.FILE and member.path.endswith(".crt"):
                    certificates[member.path] = member.data
            elif _kept(member.path, programs=programs):
                self.add(entry_of(member), owner)

    def add(self, entry: Entry, owner: str) -> None:
        """Put an entry of a package or an archive at its path, where no other has it."""
        before = self._entries.get(entry.path)
        if before is not None and not (before.kind is entry.kind is Kind.FOLDER):
            message = f"`{entry.path}` is in `{self._owners[entry.path]}` and in `{owner}`"
            self._problems.append(LockstitchError(message, hint="lockstitch lock"))
            return
        self._entries[entry.path] = entry
        self._owners[entry.path] = owner

    def finished(self) -> list[Entry]:
        """Return all entries with their parent folders, or raise with all that is wrong."""
        for path in list(self._entries):
            self._add_parents(path)
        # A release whose loader is in /lib64 looks for it under that name.
        if "usr/lib64" in self._entries:
            self.set(symlink("lib64", "usr/lib64"))
        raise_all(self._problems)
        return [self._entries[path] for path in sorted(self._entries)]

    def _add_parents(self, path: str) -> None:
        parent = path.rpartition("/")[0]
        if not parent:
            return
        above = self._entries.setdefault(parent, folder(parent))
        if above.kind is not Kind.FOLDER:
            # Written through a symlink, a file could land anywhere on the machine that unpacks.
            owner = self._owners.get(path, "the base")
            message = f"`{path}` of `{owner}` is below `{parent}`, which is a {above.kind.value}"
            self._problems.append(LockstitchError(message, hint="lockstitch lock"))
            return
        self._add_parents(parent)


def entry_of(member: Member) -> Entry:
    """Return a member with the owner and mode of an image: of root, and writable by root alone."""
    if member.kind is Kind.FOLDER:
        return folder(member.path)
    if member.kind is Kind.SYMLINK:
        return symlink(member.path, member.target)
    # Neither setuid nor group rights: everything belongs to root, and only root writes.
    return file(member.path, member.data, mode=0o755 if member.mode & 0o111 else 0o644)


# --- files that are left out, and the few that maintainer scripts would make


@cache
def _left_out(*, programs: bool) -> tuple[frozenset[str], tuple[str, ...], re.Pattern[str]]:
    """Return the folders of debian.toml, how paths below them start, and its patterns as one."""
    tables = load_table(__package__, "debian.toml")
    patterns = [*tables["patterns"], *(() if programs else tables["programs"])]
    below = tuple(f"{name}/" for name in tables["folders"])
    return frozenset(tables["folders"]), below, re.compile("|".join(f"(?:{p})" for p in patterns))


def _kept(path: str, *, programs: bool) -> bool:
    """Return whether a package's file, folder or symlink becomes part of the image."""
    if _INTERPRETER.fullmatch(path):
        return True
    folders, below, patterns = _left_out(programs=programs)
    return not (path in folders or path.startswith(below) or patterns.fullmatch(path))


def _generated() -> Iterator[Entry]:
    """Yield the files that maintainer scripts would make."""
    yield file("etc/group", _GROUP)
    yield file("etc/nsswitch.conf", _NSSWITCH)
    yield file("etc/passwd", _PASSWD)
    yield symlink("etc/localtime", "/usr/share/zoneinfo/UTC")
    for name in ("bin", "lib", "sbin"):
        yield folder(f"usr/{name}")
        yield symlink(name, f"usr/{name}")
    yield folder("home/nonroot")
    yield folder("root", mode=0o700)
    yield folder("run")
    yield folder("run/lock", mode=0o1777)
    yield folder("tmp", mode=0o1777)
    yield symlink("var/lock", "/run/lock")
    yield symlink("var/run", "/run")
    yield folder("var/tmp", mode=0o1777)


# --- .deb files


def read_archive(data: bytes, name: str) -> DebianArchive:
    """Read a package, or raise LockstitchError with all in it that no package should hold."""
    try:
        parts = deb.parts(data, name)
        controls = deb.controls(parts)
        members = _members(deb.open_tar(parts, "data.tar"), name)
    except deb.DAMAGED as error:
        raise deb.unreadable(name, error) from error
    return DebianArchive(controls=controls, members=members)


def merged(path: str) -> str:
    """Return where a path is after the usr-merge."""
    return f"usr/{path}" if path.partition("/")[0] in _MERGED else path


def _members(tar: tarfile.TarFile, name: str) -> tuple[Member, ...]:
    members: dict[str, Member] = {}
    problems: list[LockstitchError] = []
    with tar:
        for info in tar:
            path = info.name.removeprefix("./")
            if path in {"", "."} or (path in _MERGED and not info.isreg()):
                continue  # the root, and the usr-merge itself, which is ours
            reason = _refusal(info, path, members)
            if reason:
                message = f"`{name}` holds {path!a:.200}, {reason}"
                problems.append(
                    LockstitchError(message, hint="no Debian package should: lockstitch lock")
                )
                continue
            source = members[merged(info.linkname.removeprefix("./"))] if info.islnk() else None
            member = Member(
                path=merged(path),
                kind=KINDS[info.type],
                mode=source.mode if source else info.mode,
                data=source.data if source else deb.content(tar, info) if info.isreg() else b"",
                target=_retargeted(path, info.linkname) if info.issym() else "",
            )
            members[member.path] = member
    raise_all(problems)
    return tuple(members.values())


def _refusal(info: tarfile.TarInfo, path: str, before: Mapping[str, Member]) -> str:
    """Return why a member cannot be part of an image, or an empty string."""
    if info.type not in KINDS:
        return "which is no file, folder or link"
    if info.issym() and resolved(path, info.linkname) is None:
        return f"a symlink that leads out of the image, to {info.linkname!a:.200}"
    linked = before.get(merged(info.linkname.removeprefix("./")))
    if info.islnk() and (linked is None or linked.kind is not Kind.FILE):
        return f"a hard link to {info.linkname!a:.200}, which is no file before it"
    if not info.isdir() and merged(path) in before:
        return "a second time"
    return misnamed(path, info.linkname)


_CONTROL: Final = re.compile(r"[\x00-\x1f]")


def misnamed(path: str, target: str) -> str:
    """Return the problem of a member's names, or an empty text."""
    parts = path.split("/")
    if not {"", ".", ".."}.isdisjoint(parts):  # an absolute path starts with an empty part
        return "a path that leads out of its folder"
    if "/.wh." in f"/{path}":
        return "a name by which layers remove files"
    try:
        (path + target).encode()
    except UnicodeEncodeError:
        return "a name that is not UTF-8"
    if _CONTROL.search(path + target):
        return "a name with control characters"
    return ""


def resolved(path: str, target: str) -> str | None:
    """Return where a symlink leads, from the root, or None where it climbs above it."""
    if not target:
        return None
    above = "" if target.startswith("/") else posixpath.dirname(path)
    place = posixpath.normpath(posixpath.join(above, target.lstrip("/")))
    return None if place == ".." or place.startswith("../") else place


def _retargeted(path: str, target: str) -> str:
    """Return a symlink's target, made relative where the usr-merge moves the link.

    Of an absolute target too, as packages since trixie have it: the loader of an unpacked
    tree is then found in the tree, not on the machine.
    """
    place = resolved(path, target)
    if merged(path) == path or place is None:
        return target
    return posixpath.relpath(f"/{merged(place)}", posixpath.dirname(f"/{merged(path)}"))
