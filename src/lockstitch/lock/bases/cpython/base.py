"""A CPython base as lockstitch.lock has it: packages of Debian, and one archive by hash."""

from collections.abc import Mapping
from typing import ClassVar, Final
from urllib.parse import urlsplit

from lockstitch import environ
from lockstitch.digest import Digest, canonical_json, of_bytes
from lockstitch.errors import LockstitchError
from lockstitch.lock.bases.base import Base, read_digest, read_text
from lockstitch.lock.bases.debian import base as debian
from lockstitch.lock.sbom import NO_FACTS, Component, PackageFacts, purl
from lockstitch.net.download import Download
from lockstitch.patterns import regex
from lockstitch.python.tables import Table
from lockstitch.python.target import Target
from lockstitch.values import frozen

RELEASE: Final = "bookworm"  # whose C library the archives stand on; they need glibc 2.17
_MINORS = ("3.8", "3.9", "3.10", "3.11", "3.12", "3.13", "3.14")
_NAME = regex(r"cpython:(?P<minor>3\.\d{1,2})(?P<patch>\.\d{1,3})?(?P<threads>t?)")
_RELEASES = "/releases/download/"  # what a mirror stands in for, up to here
_PROOFS: Final = regex(r"SHA256SUMS|sha256|first-use")
_WORD: Final = regex(r"[A-Za-z0-9][A-Za-z0-9 ._+-]{0,60}")


@frozen
class Request:
    """The version that a `base` names: `cpython:3.12`, `cpython:3.12.4` or `cpython:3.13t`."""

    minor: str
    patch: str  # the full version, or "" for the newest
    free_threaded: bool


def parse(name: str) -> Request:
    """Return the version that a `base` names; raises LockstitchError when it names none."""
    match = _NAME.fullmatch(name)
    if match is None or match["minor"] not in _MINORS:
        message = f"`{name:.60}` is not a CPython base: there are {', '.join(_MINORS)}"
        raise LockstitchError(message, hint='base = "cpython:3.12", or "cpython:3.13t"')
    free_threaded = bool(match["threads"])
    if free_threaded and match["minor"] not in {"3.13", "3.14"}:
        message = f"`{name:.60}`: CPython {match['minor']} has no free-threaded build"
        raise LockstitchError(message, hint='base = "cpython:3.13t"')
    patch = match["minor"] + match["patch"] if match["patch"] else ""
    return Request(minor=match["minor"], patch=patch, free_threaded=free_threaded)


@frozen
class Bundled:
    """A library that an archive brings inside its programs, with its licence in SPDX."""

    name: str
    version: str
    licence: str


@frozen
class Archive:
    """An `install_only` archive of python-build-standalone."""

    url: str  # of the project's own releases, whatever mirror it came from
    digest: Digest
    size: int
    proof: str  # what its hash was held against: "SHA256SUMS", "sha256", or "first-use"
    bundled: tuple[Bundled, ...] = ()

    @property
    def filename(self) -> str:
        """The last part of its address."""
        return urlsplit(self.url).path.rpartition("/")[2]

    def address(self) -> str:
        """Return where it is fetched from: UV_PYTHON_INSTALL_MIRROR where that is set."""
        mirror = environ.get("UV_PYTHON_INSTALL_MIRROR").rstrip("/")
        _, known, rest = self.url.partition(_RELEASES)
        return f"{mirror}/{rest}" if mirror and known else self.url


@frozen
class CPythonBase(debian.OnDebian):
    """Debian packages with a CPython of python-build-standalone under /usr/local; see `Base`."""

    kind: ClassVar[str] = "cpython"
    python_paths: ClassVar[tuple[str, ...]] = ("usr/local/",)

    name: str
    release: str = RELEASE
    archive: Archive

    @property
    def free_threaded(self) -> bool:
        """Whether it is the build without the global interpreter lock."""
        return self.name.endswith("t")

    @property
    def program(self) -> str:
        return f"/usr/local/bin/python{self.target().minor_abi}"

    @property
    def library(self) -> str:
        return f"usr/local/lib/python{self.target().minor_abi}"

    @property
    def digest(self) -> Digest:
        packages = [package.digest for package in self.packages]
        parts = [self.platform, self.archive.digest, *packages, *self.added.digests()]
        return of_bytes(canonical_json(parts))

    @property
    def interpreter(self) -> Digest:
        return of_bytes(canonical_json([self.python, self.archive.digest]))

    def target(self) -> Target:
        return Target(
            platform=self.platform,
            python=self.python,
            glibc=self.glibc,
            free_threaded=self.free_threaded,
        )

    def downloads(self) -> list[Download]:
        archive = Download(
            name=self.archive.filename,
            url=self.archive.address(),
            digest=self.archive.digest,
            size=self.archive.size,
        )
        return [*self.package_downloads(), archive]

    def components(self, facts: Mapping[str, PackageFacts]) -> list[Component]:
        known = facts.get(self.archive.digest.hex, NO_FACTS)
        cpython = Component(
            kind="application",
            ref=purl("generic", "cpython", version=self.python),
            name="cpython",
            version=self.python,
            digest=self.archive.digest,
            url=self.archive.url,
            facts=PackageFacts(licences=("PSF-2.0",), left_out=known.left_out),
            properties={"lockstitch:hash-checked-against": self.archive.proof},
        )
        bundled = (_component(part) for part in self.archive.bundled)
        return [*self.package_components(facts), cpython, *bundled]

    def pins(self) -> dict[str, tuple[str, frozenset[str]]]:
        bundled = {
            f"base {part.name.lower()}": (part.version, frozenset[str]())
            for part in self.archive.bundled
        }
        python = {"base python": (self.python, frozenset([self.archive.digest.hex]))}
        return self.package_pins() | bundled | python

    def equivalent(self, fresh: Base) -> bool:
        return (
            isinstance(fresh, CPythonBase)
            and self.packages == fresh.packages
            and self.added == fresh.added
            and self.archive == fresh.archive
        )

    def document(self) -> dict[str, object]:
        archive: dict[str, object] = {
            "url": self.archive.url,
            "sha256": self.archive.digest.hex,
            "size": self.archive.size,
            "proof": self.archive.proof,
            "bundled": [
                {"name": bundled.name, "version": bundled.version, "licence": bundled.licence}
                for bundled in self.archive.bundled
            ],
        }
        return {
            "platform": self.platform,
            "snapshot": self.snapshot,
            "python": self.python,
            "glibc": self.glibc,
            "archive": archive,
            **self.package_rows(),
        }


def _component(bundled: Bundled) -> Component:
    return Component(
        kind="library",
        ref=purl("generic", bundled.name.lower(), version=bundled.version),
        name=bundled.name,
        version=bundled.version,
        facts=PackageFacts(licences=(bundled.licence,)),
    )


def read(table: Table, name: str) -> CPythonBase | None:
    """Return the base of a table, or None with problems added to the table."""
    before = len(table.problems)
    if not _NAME.fullmatch(name):
        table.complain("", f"is of the base `{name:.60}`, which is not a CPython base")
    base = CPythonBase(
        name=name, archive=_archive(table.table("archive")), **debian.read_fields(table)
    )
    return base if len(table.problems) == before else None


def _archive(table: Table) -> Archive:
    if not table.has("size"):
        table.complain("size", "is missing")
    return Archive(
        url=read_text(table, "url"),
        digest=read_digest(table, "sha256"),
        size=table.number("size", 1, least=1, most=1 << 40),
        proof=read_text(table, "proof", _PROOFS),
        bundled=tuple(
            Bundled(**{key: read_text(entry, key, _WORD) for key in ("name", "version", "licence")})
            for entry in table.each("bundled")
        ),
    )
