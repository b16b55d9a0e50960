"""The root file system of a Debian base, made from .deb files; nothing in them is run."""

from collections.abc import Iterator, Mapping, MutableMapping
from dataclasses import replace

from lockstitch.errors import LockstitchError, raise_all
from lockstitch.image import debian_archive, debian_files, licences, trim
from lockstitch.image.debian_archive import Member
from lockstitch.lock.bases.debian import DebianBase, DebianPackage
from lockstitch.lock.sbom import Facts
from lockstitch.oci.entry import Entry, Kind, file, folder, symlink
from lockstitch.store import Store

__all__ = ["entries"]

_DOC = "usr/share/doc/"


def entries(
    base: DebianBase, store: Store, facts: MutableMapping[str, Facts] | None = None
) -> Iterator[Entry]:
    """Yield the root file system of a base, sorted by path bytes, each path once.

    `facts` takes in what each package says of its licences and what is left out of it, by the
    hex digest of the package.

    It depends on the .deb files in the store alone. Raises LockstitchError with every member
    that no package should hold, and every path that two packages want.
    """
    _check_present(base, store)
    tree = _Tree()
    certificates: dict[str, bytes] = {}
    copyrights = _Copyrights()
    said = {} if facts is None else facts
    for package in base.packages:
        name = f"{package.name} {package.version}"
        archive = debian_archive.read(store.path(package.digest).read_bytes(), name)
        tree.add_all(archive.members, name, certificates)
        status = f"var/lib/dpkg/status.d/{package.name}"
        tree.set(file(status, archive.control.rstrip(b"\n") + b"\n"))
        if archive.md5sums:
            tree.set(file(f"{status}.md5sums", archive.md5sums))
        copyrights.take(archive.members)
        said[package.digest.hex] = _facts(archive.members)
    for entry in debian_files.generated(_minor(base.python)):
        tree.set(entry)
    if certificates:
        tree.set(file(debian_files.BUNDLE, _bundle(certificates)))
    for package in base.packages:
        found = said[package.digest.hex]
        said[package.digest.hex] = replace(found, licences=copyrights.of(package.name))
    yield from tree.finished()


def _facts(members: tuple[Member, ...]) -> Facts:
    """Return what is left out of a package; its licences may stand in another one."""
    files = [each.path for each in members if each.kind is not Kind.FOLDER]
    kept = [path for path in files if debian_files.kept(path)]
    # Certificates are not left out: they are in the bundle.
    ours = {path for path in files if path.startswith(debian_files.CERTIFICATES)}
    return Facts(left_out=trim.folded([*kept, *ours], {*files} - {*kept} - ours))


class _Copyrights:
    """The copyright files of packages, of which some are in another package's folder."""

    def __init__(self) -> None:
        """Start with nothing."""
        self._texts: dict[str, bytes] = {}
        self._links: dict[str, str] = {}

    def take(self, members: tuple[Member, ...]) -> None:
        """Keep what a package has of it."""
        for each in members:
            folder, _, name = each.path.removeprefix(_DOC).partition("/")
            if not each.path.startswith(_DOC):
                continue
            if each.kind is Kind.FILE and name == "copyright":
                self._texts[folder] = each.data
            elif each.kind is Kind.SYMLINK and not name:
                self._links[folder] = each.target.rpartition("/")[2]

    def of(self, package: str) -> tuple[str, ...]:
        """Return the licences of a package."""
        text = self._texts.get(self._links.get(package, package), b"")
        return licences.of_copyright(text)


class _Tree:
    """Collects entries by path, and what is wrong with them."""

    def __init__(self) -> None:
        """Start with nothing."""
        self._entries: dict[str, Entry] = {}
        self._owners: dict[str, str] = {}
        self._problems: list[LockstitchError] = []

    def set(self, entry: Entry) -> None:
        """Put an entry of our own at its path, whatever a package has there."""
        self._entries[entry.path] = entry

    def add_all(
        self, members: tuple[Member, ...], owner: str, certificates: dict[str, bytes]
    ) -> None:
        """Put what is kept of a package at its place, and its certificates aside."""
        for member in members:
            if member.path.startswith(debian_files.CERTIFICATES):
                # One bundle holds them all, which is what update-ca-certificates would make.
                if member.kind is Kind.FILE and member.path.endswith(".crt"):
                    certificates[member.path] = member.data
            elif debian_files.kept(member.path):
                self._add(_entry(member), owner)

    def _add(self, entry: Entry, owner: str) -> None:
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
        return [self._entries[path] for path in sorted(self._entries, key=str.encode)]

    def _add_parents(self, path: str) -> None:
        parent = path.rpartition("/")[0]
        if not parent:
            return
        found = self._entries.setdefault(parent, folder(parent))
        if found.kind is not Kind.FOLDER:
            # Written through a symlink, a file could land anywhere on the machine that unpacks.
            owner = self._owners.get(path, "the base")
            message = f"`{path}` of `{owner}` is below `{parent}`, which is a {found.kind.value}"
            self._problems.append(LockstitchError(message, hint="lockstitch lock"))
            return
        self._add_parents(parent)


def _entry(member: Member) -> Entry:
    if member.kind is Kind.FOLDER:
        return folder(member.path)
    if member.kind is Kind.SYMLINK:
        return symlink(member.path, member.target)
    # Neither setuid nor group rights: everything belongs to root, and nobody else writes.
    return file(member.path, member.data, mode=0o755 if member.mode & 0o111 else 0o644)


def _bundle(certificates: Mapping[str, bytes]) -> bytes:
    # By path, the order in which update-ca-certificates reads its configuration.
    return b"".join(certificates[path].rstrip(b"\n") + b"\n" for path in sorted(certificates))


def _minor(python: str) -> str:
    return ".".join(python.split(".")[:2])


def _check_present(base: DebianBase, store: Store) -> None:
    missing = [p for p in base.packages if not store.has(p.digest, p.size)]
    raise_all([_absent(package) for package in missing])


def _absent(package: DebianPackage) -> LockstitchError:
    message = f"`{package.name} {package.version}` ({package.digest.short}) is not in the store"
    return LockstitchError(message, hint="run the command again with the network on")
