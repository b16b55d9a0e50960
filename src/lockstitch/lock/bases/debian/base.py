"""What a lock says of a Debian base, and where its packages come from."""

import re
from dataclasses import dataclass

from lockstitch.digest import Digest
from lockstitch.errors import LockstitchError, raise_all
from lockstitch.lock.bases.debian import mirror as mirrors
from lockstitch.net.download import Download
from lockstitch.python.target import Target

__all__ = ["DebianBase", "DebianPackage", "downloads"]

# What Debian policy 5.6.1 and 5.6.12 allow. Nothing here can leave a folder or a URL's path.
_FORMS = {
    "name": re.compile(r"[a-z0-9][a-z0-9+.-]+"),
    "version": re.compile(r"[0-9A-Za-z.+~:-]+"),
    "architecture": re.compile(r"[a-z0-9-]+"),
    "archive": re.compile("|".join(mirrors.ARCHIVES)),
    "path": re.compile(r"(?:[0-9A-Za-z+_~][0-9A-Za-z+._~-]*/)*[0-9A-Za-z+_~][0-9A-Za-z+._~-]*"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
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
        """Refuse a value that could lead out of the archive or into a control file."""
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


@dataclass(frozen=True, slots=True, kw_only=True)
class DebianBase:
    """Everything that a base image is made of, for one platform."""

    release: str
    platform: str
    python: str
    glibc: str
    snapshot: str
    packages: tuple[DebianPackage, ...]

    @property
    def program(self) -> str:
        """The absolute path of its Python."""
        return f"/usr/bin/python{self.target().minor}"

    @property
    def parts(self) -> list[str]:
        """What makes it this base and no other."""
        return [self.platform, *(package.digest for package in self.packages)]

    def target(self) -> Target:
        """Return the machine that wheels must fit."""
        return Target(platform=self.platform, python=self.python, glibc=self.glibc)


def downloads(base: DebianBase, *, mirror: mirrors.Mirror | None = None) -> list[Download]:
    """Return what to fetch, in the order of the lock, from the mirror that is set up."""
    source = mirror or mirrors.find(base.release)
    return [
        Download(
            name=f"{package.name} {package.version}",
            url=f"{source.root(package.archive)}/{package.path}",
            digest=package.digest,
            size=package.size,
        )
        for package in base.packages
    ]
