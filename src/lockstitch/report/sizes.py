"""The size of each image, package by package, and before its last change."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path

from lockstitch import files
from lockstitch.digest import Digest
from lockstitch.image import sizes as package_sizes
from lockstitch.image.inspect import inspect
from lockstitch.oci import listing
from lockstitch.oci.layout import Layout
from lockstitch.report.treemap import Group, Item
from lockstitch.store import Store
from lockstitch.values import field, frozen


@frozen
class Sized:
    """One image: bytes by layer and package, and by package before."""

    name: str
    digest: str
    packed: int
    layers: tuple[tuple[str, int, Mapping[str, int]], ...]  # title, packed, bytes by package
    own: str = ""  # the project's own package, as `name version`
    before: Mapping[str, int] | None = None  # None when it is not known
    before_digest: str = ""
    now: Mapping[str, int] = field(default_factory=dict)

    @property
    def growth(self) -> str:
        """The growth since the build before it, in words; "" when that is not known."""
        if self.before is None:
            return ""
        change = self.unpacked - sum(self.before.values())
        if not change:
            return f"as large as {self.before_digest[7:19]}, the build before"
        more = "more" if change > 0 else "less"
        return f"{mb(abs(change))} {more} than {self.before_digest[7:19]}, the build before"

    @property
    def unpacked(self) -> int:
        """The bytes of all files."""
        return sum(self.now.values())

    def change(self, package: str) -> int | None:
        """Return by how many bytes a package has grown, or None when that is not known."""
        if self.before is None:
            return None
        return self.now.get(package, 0) - self.before.get(package, 0)

    def changed(self) -> list[tuple[str, int, int]]:
        """Return name, size before and size now of each package that changed, the most first."""
        if self.before is None:
            return []
        old, new = _by_name(self.before), _by_name(self.now)
        changes = []
        for name in {*old, *new}:
            (was, before), (version, now) = old.get(name, ("", 0)), new.get(name, ("", 0))
            versions = " → ".join(dict.fromkeys(v for v in (was, version) if v))
            if before != now or was != version:
                changes.append((f"{name} {versions}".rstrip(), before, now))
        return sorted(changes, key=lambda c: (-abs(c[2] - c[1]), c[0]))

    def groups(self) -> list[Group]:
        """Return the boxes of a treemap: layers, and packages in them."""
        least = self.unpacked * 0.002  # of an image: smaller packages are one rectangle
        groups = []
        for title, packed, packages in self.layers:
            items = [self._item(n, size) for n, size in packages.items() if size >= least]
            rest = [size for size in packages.values() if 0 < size < least]
            if rest:
                name = f"{len(rest)} small ones"
                kind = self._kind(next(iter(packages)))
                items.append(Item(name=name, size=sum(rest), words=mb(sum(rest)), kind=kind))
            groups.append(Group(name=f"{title}, {mb(packed)} compressed", items=items))
        return groups

    def _item(self, name: str, size: int) -> Item:
        change = self.change(name)
        words = mb(size)
        if change:
            new = self.before is not None and name not in self.before
            words += ", new" if new else f", {'+' if change > 0 else '−'}{mb(abs(change))}"
        return Item(name=name, size=size, words=words, kind=self._kind(name), changed=bool(change))

    def _kind(self, name: str) -> str:
        """Return the kind of a package or folder, for its colour."""
        if name in {"/app code", self.own}:
            return "own code"
        if name.startswith("/app"):
            return "data"
        return "base" if name.startswith("/") or name == "other" else "package"


def _by_name(packages: Mapping[str, int]) -> dict[str, tuple[str, int]]:
    """Return version and bytes by the name of a package, of what is written `name version`."""
    sizes: dict[str, tuple[str, int]] = {}
    for key, size in packages.items():
        name, _, version = key.partition(" ") if not key.startswith("/") else (key, "", "")
        was, before = sizes.get(name, ("", 0))
        sizes[name] = (version or was, before + size)
    return sizes


def mb(size: float) -> str:
    """Return a number of bytes as megabytes."""
    return f"{size / 1e6:.1f} MB"


def sized(layout: Layout, name: str, store: Store, kept: Path, own: str = "") -> Sized:
    """Return the sizes of an image in a layout, and those of the build before from `kept`.

    `own` is the project's own package, as `name version`. Raises LockstitchError when the layout
    does not hold the image.
    """
    image = inspect(layout, name, store)
    layers = []
    now: dict[str, int] = {}
    for layer in image.layers:
        packages = package_sizes.recorded(layer.facts.digest, store) or {}
        layers.append((layer.created_by, layer.facts.size, packages))
        for package, size in packages.items():
            now[package] = now.get(package, 0) + size
    snapshot = package_sizes.previous(kept, name)
    return Sized(
        name=name,
        digest=str(image.digest),
        packed=sum(layer.facts.size for layer in image.layers),
        layers=tuple(layers),
        now=now,
        own=own,
        before=_before(snapshot, store) if snapshot else None,
        before_digest=snapshot.digest if snapshot else "",
    )


def _before(snapshot: package_sizes.Snapshot, store: Store) -> dict[str, int] | None:
    """Return bytes by package of an earlier image, or None when its layers are gone."""
    total: dict[str, int] = {}
    for _, digest, size in snapshot.layers:
        parsed = Digest.parse(digest)
        known = package_sizes.recorded(parsed, store)
        if known is None:
            if not store.has_whole(parsed, size):
                return None
            source = (parsed, partial(files.chunks, store.path(parsed)))
            (layers,) = listing.of_layers([source], store)
            known = package_sizes.remember(parsed, layers, store)
        for package, number in known.items():
            total[package] = total.get(package, 0) + number
    return total
