"""Files that two packages of an image both have, and which of them the image holds.

Layers are made apart from each other and lie on top of each other, so nothing may depend on their
order: the file that loses is left out of its layer. Equal bytes are no matter. Else the image's
table decides (`prefer`), then a package wins over what it depends on (astral-sh/uv#17662), then
the later name, with a warning.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from lockstitch.digest import Digest, canonical_json, of_bytes
from lockstitch.errors import LockstitchError, raise_all
from lockstitch.image.contents import InstalledWheel
from lockstitch.image.paths import LAYOUT, site_packages
from lockstitch.patterns import regex
from lockstitch.python.model import ImageSpec
from lockstitch.python.names import of_requirement
from lockstitch.store import Store
from lockstitch.table import first_of
from lockstitch.values import fields_of, frozen

_FORM = 1  # of records
_KIND = "files"
_MINOR = "0"  # stands for the image's version of Python in recorded paths
_EXTRA = regex(r"\bextra\b")


@frozen
class PackageFiles:
    """The files that a package puts into an environment, and the packages that it requires."""

    files: Mapping[str, tuple[int, int, bool]]  # by path: size, CRC-32, whether trimming drops it
    requires: frozenset[str]

    def document(self) -> dict[str, Any]:
        """Return it as JSON for a record."""
        files = [[path, *facts] for path, facts in sorted(self.files.items())]
        return {"files": files, "requires": sorted(self.requires)}

    @classmethod
    def of_document(cls, document: Any) -> "PackageFiles":
        """Return a record's value; raises ValueError, KeyError or TypeError for another form."""
        files = {
            str(path): (int(size), int(crc), bool(trimmed))
            for path, size, crc, trimmed in document["files"]
        }
        return cls(files=files, requires=frozenset(map(str, document["requires"])))


@frozen
class Collision:
    """The files of one package that another one has with other bytes, which are in the image."""

    winner: str
    loser: str
    reason: str  # `prefer`, `dependency` or `name`
    paths: tuple[str, ...]
    size: int  # bytes that the loser's files have

    def document(self) -> dict[str, Any]:
        """Return it as JSON, for a record and for provenance."""
        return fields_of(self) | {"paths": [*self.paths]}

    @classmethod
    def of_document(cls, document: dict[str, Any]) -> "Collision":
        """Return a record's value."""
        return cls(**(document | {"paths": tuple(document["paths"])}))

    def __str__(self) -> str:
        """Return it as one sentence."""
        shown = first_of([f"`{path}`" for path in self.paths], 3)  # paths that a warning names
        count = f"{len(self.paths)} files" if len(self.paths) > 1 else "a file"
        return (
            f"`{self.winner}` and `{self.loser}` both have {count} with other bytes, and the image "
            f"has those of `{self.winner}` ({_bytes(self.size)} are left out): {shown}"
        )


def _bytes(size: int) -> str:
    return f"{size / 1e6:.1f} MB" if size >= 100_000 else f"{size} bytes"


# --- what a wheel brings


def listed(wheel: Digest, filename: str, store: Store) -> PackageFiles | None:
    """Return a wheel's files, from their record or from the store; None without a wheel.

    The first call hashes the wheel. Raises LockstitchError for a
    malformed one.
    """
    key = f"{wheel.hex}-{_FORM}"
    record = store.record(_KIND, key)
    if record is not None:
        return PackageFiles.of_document(record)
    if not store.has_whole(wheel):
        return None
    opened = InstalledWheel(store.path(wheel), filename, _MINOR, trimmed=False)
    try:
        listing = opened.listing()
        requires = frozenset(_requires(opened.metadata()))
    finally:
        opened.close()
    result = PackageFiles(files=listing, requires=requires)
    store.remember(_KIND, key, result.document())
    return result


def document(wheel: Digest, store: Store) -> Any:
    """Return the record of a wheel's files, None where it was not read yet."""
    return store.record(_KIND, f"{wheel.hex}-{_FORM}")


def _requires(metadata: bytes) -> Iterator[str]:
    """Yield the names of what a package requires whatever extras are asked for (PEP 566)."""
    for line in metadata.decode("utf-8", "replace").splitlines():
        if not line.strip():
            return
        field, _, value = line.partition(":")
        requirement, _, marker = value.partition(";")
        if field.lower() == "requires-dist" and not _EXTRA.search(marker):
            yield of_requirement(requirement)


def tops(packages: Iterable[PackageFiles]) -> set[str]:
    """Return the top-level names of packages, and their paths outside of site-packages."""
    site = f"{site_packages(_MINOR)}/"
    return {
        path.removeprefix(site).partition("/")[0] if path.startswith(site) else path
        for package in packages
        for path in package.files
    }


# --- which file is in the image


def key_of(spec: ImageSpec, minor: str, packages: Iterable[tuple[str, Digest]]) -> str:
    """Return the key of the result of `find`."""
    pairs = [[name, digest] for name, digest in sorted(packages)]
    return of_bytes(canonical_json([LAYOUT, _FORM, minor, spec.trim, list(spec.prefer), pairs])).hex


def find(
    packages: Mapping[str, PackageFiles], spec: ImageSpec, minor: str
) -> tuple[Collision, ...]:
    """Return which files of which package an image does not hold, sorted by both names.

    Raises LockstitchError for each path that is a file of one package and a folder of another.
    """
    owners: dict[str, list[str]] = {}
    for name in sorted(packages):
        for path, (_, _, trimmed) in packages[name].files.items():
            if not (trimmed and spec.trim):
                owners.setdefault(path, []).append(name)
    raise_all(list(_files_and_folders(owners, minor)))
    needed = _Dependencies({name: package.requires for name, package in packages.items()})
    lost_paths: dict[tuple[str, str, str], list[str]] = {}
    for path, names in owners.items():
        bytes_of = {name: packages[name].files[path][:2] for name in names}
        if len(set(bytes_of.values())) == 1:
            continue
        winner, reason = _winner(names, spec.prefer, needed)
        for name in names:
            if bytes_of[name] != bytes_of[winner]:
                lost_paths.setdefault((winner, name, reason), []).append(path)
    return tuple(
        Collision(
            winner=winner,
            loser=loser,
            reason=reason,
            paths=tuple(sorted(_in_image(path, minor) for path in paths)),
            size=sum(packages[loser].files[path][0] for path in paths),
        )
        for (winner, loser, reason), paths in sorted(lost_paths.items())
    )


def _files_and_folders(owners: Mapping[str, list[str]], minor: str) -> Iterator[LockstitchError]:
    folders: dict[str, str] = {}
    for path, names in owners.items():
        parent = path.rpartition("/")[0]
        while parent and parent not in folders:
            folders[parent] = names[0]
            parent = parent.rpartition("/")[0]
    for folder in sorted(folders.keys() & owners.keys()):
        message = (
            f"`{_in_image(folder, minor)}` is a file of `{owners[folder][0]}` and a folder of "
        )
        yield LockstitchError(f"{message}`{folders[folder]}`", hint="keep one of both packages")


def _in_image(path: str, minor: str) -> str:
    recorded = site_packages(_MINOR)
    if path.startswith(f"{recorded}/"):
        return site_packages(minor) + path.removeprefix(recorded)
    return path.replace(f"/site/python{_MINOR}/", f"/site/python{minor}/", 1)


def _winner(
    names: Sequence[str], prefer: Sequence[str], needed: "_Dependencies"
) -> tuple[str, str]:
    for name in prefer:
        if name in names:
            return name, "prefer"
    over = [name for name in names if not any(needed.only(other, name) for other in names)]
    winner = max(over or names)
    others = [name for name in names if name != winner]
    by_dependency = all(needed.only(winner, other) for other in others)
    return winner, "dependency" if by_dependency else "name"


class _Dependencies:
    """Which packages require which, also through others."""

    def __init__(self, requires: Mapping[str, frozenset[str]]) -> None:
        self._requires = requires
        self._all: dict[str, frozenset[str]] = {}

    def only(self, one: str, other: str) -> bool:
        """Return whether one package requires another, and not the other way round too."""
        return other in self._closure(one) and one not in self._closure(other)

    def _closure(self, name: str) -> frozenset[str]:
        if name not in self._all:
            seen: set[str] = set()
            todo = [*self._requires.get(name, ())]
            while todo:
                need = todo.pop()
                if need not in seen:
                    seen.add(need)
                    todo += self._requires.get(need, ())
            self._all[name] = frozenset(seen)
        return self._all[name]


def lost(collisions: Iterable[Collision]) -> dict[str, tuple[str, ...]]:
    """Return the paths that the layer of each package leaves out, by its name."""
    paths: dict[str, set[str]] = {}
    for collision in collisions:
        paths.setdefault(collision.loser, set()).update(collision.paths)
    return {name: tuple(sorted(losers)) for name, losers in sorted(paths.items())}


def check(collisions: Iterable[Collision], spec: ImageSpec) -> None:
    """Raise LockstitchError for what only the names decided, where the image wants an error."""
    if spec.collisions == "error":
        raise_all(
            [
                LockstitchError(f"image `{spec.name}`: {collision}", hint=_hint(collision, spec))
                for collision in collisions
                if collision.reason == "name"
            ]
        )


def notes(collisions: Iterable[Collision], spec: ImageSpec) -> tuple[str, ...]:
    """Return a sentence on each collision that the image's table does not decide."""
    texts = []
    for collision in collisions:
        hint = _hint(collision, spec)
        if collision.reason == "name":
            texts.append(f"{collision}; to decide: {hint}")
        if collision.reason == "dependency":
            texts.append(
                f"{collision}; it requires `{collision.loser}`, the other way round: {hint}"
            )
    return tuple(texts)


def _hint(clash: Collision, spec: ImageSpec) -> str:
    return f'prefer = ["{clash.loser}"] in [tool.lockstitch.images.{spec.name}]'
