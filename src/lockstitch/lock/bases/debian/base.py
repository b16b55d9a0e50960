"""A Debian base as lockstitch.lock has it: the packages, and where they come from."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self

from lockstitch.digest import Digest, canonical_json, of_bytes
from lockstitch.errors import LockstitchError, raise_all
from lockstitch.lock.bases.base import (
    PATCH,
    PLATFORM,
    STAMP,
    Base,
    ImageDefaults,
    read_digest,
    read_text,
)
from lockstitch.lock.bases.debian import mirror as mirrors
from lockstitch.lock.sbom import NO_FACTS, Component, PackageFacts, purl
from lockstitch.net.download import Download
from lockstitch.oci.layer import LayerFacts
from lockstitch.patterns import regex
from lockstitch.python.tables import Table
from lockstitch.python.target import Target
from lockstitch.values import field, frozen, replace

_GLIBC = regex(r"2\.\d{1,3}")
# What Debian policy 5.6.1 and 5.6.12 allow. Nothing here can leave a folder or a URL's path.
_FORMS = {
    "name": regex(r"[a-z0-9][a-z0-9+.-]+"),
    "version": regex(r"[0-9A-Za-z.+~:-]+"),
    "architecture": regex(r"[a-z0-9-]+"),
    "archive": regex("|".join(mirrors.ARCHIVES)),
    "path": regex(r"(?:[0-9A-Za-z+_~][0-9A-Za-z+._~-]*/)*[0-9A-Za-z+_~][0-9A-Za-z+._~-]*"),
}


@frozen
class DebianPackage:
    """One binary package: its name, and the file that holds it below an archive's root."""

    name: str
    version: str
    architecture: str
    archive: str
    path: str
    digest: Digest
    size: int

    def __post_init__(self) -> None:
        """Raise LockstitchError for a value that could leave the archive or a control file."""
        raise_all(
            [
                LockstitchError(
                    f"`{getattr(self, field)!s:.200}` is not the {field} of a Debian package",
                    hint="lockstitch lock",
                )
                for field, form in _FORMS.items()
                if not form.fullmatch(getattr(self, field))
            ]
        )


@frozen
class Added:
    """Packages that a project adds to a base, by the names that it gives, and all they need."""

    requested: tuple[str, ...] = ()
    packages: tuple[DebianPackage, ...] = ()  # that the base itself does not have

    @property
    def layer_kinds(self) -> tuple[str, ...]:
        """The kinds of layers that are made of them."""
        return ("added",) if self.requested else ()

    def digests(self) -> list[object]:
        """Return the part of a base's digest that names them; nothing without packages."""
        digests = [[*self.requested], [p.digest for p in self.packages]]
        return [digests] if self.requested else []

    def document(self) -> dict[str, object]:
        """Return their part of a base's table, which `read_fields` reads; nothing without any."""
        if not self.requested:
            return {}
        rows = [document(package) for package in self.packages]
        return {"requested": [*self.requested], "added": rows}


@frozen
class OnDebian:
    """The shared part of bases that are made from packages of a release of Debian; see `Base`."""

    image: ClassVar[str] = ""
    layers: ClassVar[tuple[LayerFacts, ...]] = ()
    lacks: ClassVar[frozenset[str]] = frozenset(
        {"ensurepip", "idlelib", "lib2to3", "tkinter", "turtledemo"}
    )

    release: str
    platform: str
    python: str
    glibc: str
    snapshot: str
    packages: tuple[DebianPackage, ...]
    added: Added = field(default_factory=Added)

    @property
    def layer_kinds(self) -> tuple[str, ...]:
        return ("system", "python", "stdlib", *self.added.layer_kinds)

    @property
    def requested(self) -> tuple[str, ...]:
        return self.added.requested

    @property
    def plain(self) -> Self:
        return replace(self, added=Added())

    def defaults(self) -> ImageDefaults:
        path = {"PATH": "/usr/local/bin:/usr/bin:/bin"}
        return ImageDefaults(env=path, certificates="/etc/ssl/certs/ca-certificates.crt")

    def every_package(self) -> tuple[DebianPackage, ...]:
        """Return its packages and those that the project adds, in the order of the lock."""
        return (*self.packages, *self.added.packages)

    def package_downloads(self, mirror: mirrors.Mirror | None = None) -> list[Download]:
        """Return the .deb files, from the mirror that is set up."""
        return downloads(self.release, self.every_package(), mirror)

    def package_components(self, facts: Mapping[str, PackageFacts]) -> list[Component]:
        """Return the components of its packages."""
        return [
            component(package, self.release, facts.get(package.digest.hex, NO_FACTS))
            for package in self.every_package()
        ]

    def package_pins(self) -> dict[str, tuple[str, frozenset[str]]]:
        """Return the version and the hash of each package."""
        return {p.name: (p.version, frozenset([p.digest.hex])) for p in self.every_package()}

    def package_rows(self) -> dict[str, object]:
        """Return the part of its table in lockstitch.lock that `read_fields` reads last."""
        return {
            "package": [document(package) for package in self.packages],
            **self.added.document(),
        }


@frozen
class DebianBase(OnDebian):
    """A base that is put together from Debian packages; see `Base`."""

    kind: ClassVar[str] = "debian"
    lacks: ClassVar[frozenset[str]] = OnDebian.lacks | {"curses", "nis", "readline"}
    python_paths: ClassVar[tuple[str, ...]] = ("usr/lib/python3", "usr/bin/python3")

    downloads = OnDebian.package_downloads
    components = OnDebian.package_components
    pins = OnDebian.package_pins

    @property
    def name(self) -> str:
        return f"debian:{self.release}"

    @property
    def program(self) -> str:
        return f"/usr/bin/python{self.target().minor}"

    @property
    def library(self) -> str:
        return f"usr/lib/python{self.target().minor}"

    @property
    def digest(self) -> Digest:
        packages = [p.digest for p in self.packages]
        return of_bytes(canonical_json([self.platform, *packages, *self.added.digests()]))

    @property
    def interpreter(self) -> Digest:
        names = ("python3", "libpython3")
        digests = [p.digest for p in self.packages if p.name.startswith(names)]
        return of_bytes(canonical_json([self.python, sorted(digests)]))

    def target(self) -> Target:
        return Target(platform=self.platform, python=self.python, glibc=self.glibc)

    def equivalent(self, fresh: Base) -> bool:
        return (
            isinstance(fresh, DebianBase)
            and self.packages == fresh.packages
            and self.added == fresh.added
        )

    def document(self) -> dict[str, object]:
        return {
            "platform": self.platform,
            "release": self.release,
            "snapshot": self.snapshot,
            "python": self.python,
            "glibc": self.glibc,
            **self.package_rows(),
        }


def downloads(
    release: str, packages: Sequence[DebianPackage], mirror: mirrors.Mirror | None = None
) -> list[Download]:
    """Return the .deb files of packages of a release, from the mirror that is set up."""
    source = mirror or mirrors.find(release)
    return [
        Download(
            name=f"{package.name} {package.version}",
            url=f"{source.root(package.archive)}/{package.path}",
            digest=package.digest,
            size=package.size,
        )
        for package in packages
    ]


def document(package: DebianPackage) -> dict[str, object]:
    """Return the table of a package in lockstitch.lock, which `read_package` reads."""
    row: dict[str, object] = {key: getattr(package, key) for key in _FORMS}
    return row | {"size": package.size, "sha256": package.digest.hex}


def component(package: DebianPackage, release: str, facts: PackageFacts = NO_FACTS) -> Component:
    """Return the component of a package of a release, as in `bookworm`."""
    path = ("deb", "debian", package.name)
    reference = purl(*path, version=package.version, arch=package.architecture, distro=release)
    return Component(
        kind="library",
        ref=reference,
        name=package.name,
        version=package.version,
        digest=package.digest,
        facts=facts,
    )


def read(table: Table, _: str) -> DebianBase | None:
    """Return the base of a table, or None with problems added to the table."""
    before = len(table.problems)
    base = DebianBase(release=read_text(table, "release"), **read_fields(table))
    return base if len(table.problems) == before else None


def read_fields(table: Table) -> dict[str, Any]:
    """Return the fields of `OnDebian`, but for the release, with problems added to the table."""
    packages, added = (
        tuple(package for row in table.each(key) if (package := read_package(row)))
        for key in ("package", "added")
    )
    return {
        "platform": read_text(table, "platform", PLATFORM),
        "snapshot": read_text(table, "snapshot", STAMP),
        "python": read_text(table, "python", PATCH),
        "glibc": read_text(table, "glibc", _GLIBC),
        "packages": packages,
        "added": Added(requested=table.texts("requested"), packages=added),
    }


def read_package(table: Table) -> DebianPackage | None:
    """Return the package of a table, or None with problems added to the table."""
    before = len(table.problems)
    texts = {key: read_text(table, key) for key in _FORMS}
    if not table.has("size"):
        table.complain("size", "is missing")
    size = table.number("size", 1, least=1, most=1 << 40)
    digest = read_digest(table, "sha256")
    if len(table.problems) > before:
        return None
    try:
        return DebianPackage(**texts, size=size, digest=digest)
    except LockstitchError as error:
        table.problems.append(error)
        return None
