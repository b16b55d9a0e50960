"""lockstitch.lock: everything pinned that the Python lock leaves open."""

import datetime
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from lockstitch import environ, files
from lockstitch.digest import Digest
from lockstitch.errors import LockstitchError, raise_all
from lockstitch.lock import toml
from lockstitch.lock.bases import KINDS, Base
from lockstitch.lock.bases.base import PLATFORM, read_digest, read_text
from lockstitch.lock.bases.cpython import CPythonBase
from lockstitch.lock.bases.debian import DebianPackage
from lockstitch.lock.bases.debian.base import document, downloads, read_package
from lockstitch.net.download import Download
from lockstitch.patterns import regex
from lockstitch.python.locks.resolution import LockedWheel
from lockstitch.python.tables import Table, parse_toml
from lockstitch.values import field, frozen, ordered

NAME = "lockstitch.lock"
REQUIREMENTS = "requirements-lock.txt"
_VERSION = 1
_WHEEL = regex(r"[\w.!+-]+\.whl")
# It stays in the project, but for the lock of a workspace.
_PATH = regex(r"(?:\.\./){1,20}uv\.lock|(?!/)(?!(?:.*/)?\.\.(?:/|$))[^\\\0]+")
_COMMENT = "Written by `lockstitch lock`; do not edit. `lockstitch lock --check` compares it."


@frozen
class LockedFile:
    """A file beside the lock, and the digest of its bytes."""

    path: str
    digest: Digest


@frozen
class LockedService:
    """A service of the stack: its version, its list of packages, its image where one was made."""

    name: str
    version: str
    requirements: Digest
    images: Mapping[str, Digest] = field(default_factory=dict)  # config digests by platform
    requires: tuple[str, ...] = ()  # of a project's own service: what pyproject.toml asks for
    packages: tuple[str, ...] = ()  # and that pinned, each with its hashes
    debian: tuple[DebianPackage, ...] = ()  # or these, of each architecture


@ordered
class BuiltWheel:
    """A wheel that was built from what the Python lock pins for lack of one, pinned itself."""

    name: str  # normalised (PEP 503)
    version: str
    artifact: str  # `sha256:…` of an archive, `URL@COMMIT` of a repository, with `#SUBDIRECTORY`
    url: str  # of an archive; "" for a repository
    filename: str
    digest: Digest
    platform: str  # `any`, or what it was compiled for, as in `linux/amd64`
    python: str  # the X.Y that built it
    compiler: str  # "" where nothing was compiled
    requires: tuple[str, ...]  # build requirements, each with its hashes
    builder: str = ""  # the engine whose container built it, "" for the machine that locked
    made: tuple[str, ...] = ()  # `SHA256 PATH` of its files that are none of the source's

    def fits(self, artifact: str, platform: str, minor: str) -> bool:
        """Return whether it is the wheel of an artifact for a platform and a Python."""
        return (self.artifact, self.python) == (artifact, minor) and self.platform in {
            "any",
            platform,
        }


@frozen
class Builder:
    """A compiler of wheels for a platform: packages of a release of Debian, pinned."""

    platform: str
    release: str
    requested: tuple[str, ...]
    packages: tuple[DebianPackage, ...]

    def downloads(self, base: Base) -> list[Download]:
        """Return the files that its container is made of, with those of a base's own Python."""
        own = base.plain.downloads() if isinstance(base, CPythonBase) else []
        return [*downloads(self.release, self.packages), *own]

    def document(self) -> dict[str, object]:
        """Return its table in lockstitch.lock, which `read` turns back into it."""
        return {
            "platform": self.platform,
            "release": self.release,
            "requested": [*self.requested],
            "package": [document(package) for package in self.packages],
        }


@ordered
class LockedFolder:
    """A package that is a folder of the repository: a workspace's member, a path dependency."""

    name: str  # normalised (PEP 503)
    path: str  # from the project's folder
    requires: tuple[str, ...]  # build requirements, each with its hashes


@frozen
class Lock:
    """Everything pinned that is not a Python package of the project."""

    inputs: Digest
    tools: tuple[str, ...]  # names and versions of the programs that made it, as in `uv 0.13.9`
    python: str  # major.minor
    base: str
    files: tuple[LockedFile, ...]
    build: tuple[str, ...]  # build requirements of the project, each with its hashes
    bases: tuple[Base, ...]
    folders: tuple[LockedFolder, ...] = ()
    built: tuple[BuiltWheel, ...] = ()  # of packages that exist only as source
    builders: tuple[Builder, ...] = ()  # what their containers are made of, one a platform
    services: tuple[LockedService, ...] = ()  # of a project with a [tool.lockstitch.stack]
    rendered: tuple[LockedFile, ...] = ()  # what `lockstitch export dockerfile` wrote

    def builder_for(self, platform: str) -> Builder | None:
        """Return the container that compiles for a platform, None where none is locked."""
        return next((builder for builder in self.builders if builder.platform == platform), None)

    def base_for(self, platform: str) -> Base:
        """Return the base of a platform, or raise LockstitchError."""
        for base in self.bases:
            if base.platform == platform:
                return base
        raise LockstitchError(f"`{NAME}` has no base for {platform}", hint="lockstitch lock")


def pylock_name(image: str) -> str:
    """Return the name of an image's PEP 751 lock."""
    return f"pylock.{image}.toml"


def created(wheels: Iterable[LockedWheel], base: Base) -> int:
    """Return the time that an image and its documents bear, in seconds since 1970.

    It is SOURCE_DATE_EPOCH, else the time of the newest locked part, and never the clock's.
    Raises LockstitchError when the lock has no time.
    """
    asked = environ.integer("SOURCE_DATE_EPOCH")
    if asked is not None:
        return asked
    try:
        stamp = datetime.datetime.strptime(base.snapshot + "+0000", "%Y%m%dT%H%M%SZ%z")
    except ValueError as error:
        message = f"the lock's snapshot `{base.snapshot}` is not a time"
        raise LockstitchError(message, hint="lockstitch lock --upgrade") from error
    return max([wheel.uploaded for wheel in wheels] + [int(stamp.timestamp())])


def dumps(lock: Lock) -> str:
    """Return the lock in canonical form."""
    bases = sorted(lock.bases, key=lambda base: base.platform)
    tables: dict[str, list[dict[str, object]]] = {
        "folder": [_folder(folder) for folder in sorted(lock.folders)],
        "built": [_built(wheel) for wheel in sorted(lock.built)],
        "builder": [builder.document() for builder in lock.builders],
        "service": [_service(service) for service in lock.services],
        "rendered": _files(lock.rendered),
    }
    of_bases = {k.table: [b.document() for b in bases if b.kind == k.table] for k in KINDS}
    document: dict[str, object] = {
        "version": _VERSION,
        "inputs": str(lock.inputs),
        "tools": sorted(lock.tools),
        "python": lock.python,
        "base": lock.base,
        "file": _files(lock.files),
        **_filled(tables),
        "build": {"requirements": sorted(lock.build)},
        **_filled(of_bases),
    }
    return toml.dumps(document, comment=_COMMENT)


def _filled(values: Mapping[str, object]) -> dict[str, object]:
    return {key: value for key, value in values.items() if value}


def _folder(folder: LockedFolder) -> dict[str, object]:
    return {"name": folder.name, "path": folder.path, "requires": list(folder.requires)}


def _locked_folder(table: Table) -> LockedFolder:
    name, path = read_text(table, "name"), read_text(table, "path")
    return LockedFolder(name=name, path=path, requires=table.texts("requires"))


def _built(wheel: BuiltWheel) -> dict[str, object]:
    optional = {"url": wheel.url, "compiler": wheel.compiler, "builder": wheel.builder}
    return {
        "name": wheel.name,
        "version": wheel.version,
        "artifact": wheel.artifact,
        "wheel": wheel.filename,
        "sha256": wheel.digest.hex,
        "platform": wheel.platform,
        "python": wheel.python,
        **_filled(optional | {"made": list(wheel.made)}),
        "requires": list(wheel.requires),
    }


def _built_wheel(table: Table) -> BuiltWheel:
    return BuiltWheel(
        name=read_text(table, "name"),
        version=table.text("version"),
        artifact=read_text(table, "artifact"),
        url=table.text("url"),
        filename=read_text(table, "wheel", _WHEEL),
        digest=read_digest(table, "sha256"),
        platform=read_text(table, "platform"),
        python=read_text(table, "python"),
        compiler=table.text("compiler"),
        requires=table.texts("requires"),
        builder=table.text("builder"),
        made=table.texts("made"),
    )


def _read_builder(table: Table) -> Builder:
    """Return the builder of a table, with problems added to the table."""
    packages = (read_package(package) for package in table.each("package"))
    return Builder(
        platform=read_text(table, "platform", PLATFORM),
        release=read_text(table, "release"),
        requested=table.texts("requested"),
        packages=tuple(package for package in packages if package),
    )


def _service(service: LockedService) -> dict[str, object]:
    values: dict[str, object] = {
        "name": service.name,
        "version": service.version,
        "requirements": service.requirements.hex,
    }
    images = {platform: service.images[platform].hex for platform in sorted(service.images)}
    debian = [document(package) for package in service.debian]
    more = {"requires": [*service.requires], "packages": [*service.packages], "image": images}
    return values | _filled(more | {"debian": debian})


def _files(locked: Sequence[LockedFile]) -> list[dict[str, object]]:
    ordered = sorted(locked, key=lambda file: file.path)
    return [{"path": file.path, "sha256": file.digest.hex} for file in ordered]


def write(lock: Lock, root: Path) -> None:
    """Write the lock in canonical form."""
    files.write_text(root / NAME, dumps(lock))


def read(root: Path) -> Lock:
    """Return the project's lock, or raise LockstitchError with its problems."""
    path = root / NAME
    if not path.exists():
        raise LockstitchError(f"no `{NAME}` in `{root}`", hint="lockstitch lock")
    try:
        return _lock(parse_toml(files.read_text(path), "it", hint="lockstitch lock"))
    except LockstitchError as error:
        texts = [f"`{NAME}` cannot be read: {wrong.message}" for wrong in error.everything()]
        raise_all([LockstitchError(text, hint="lockstitch lock") for text in texts])
        raise AssertionError from error  # raise_all raised


def _lock(document: dict[str, Any]) -> Lock:
    problems: list[LockstitchError] = []
    top = Table(document, "", problems)
    version = top.number("version", least=1, most=10**6)
    if version != _VERSION:
        raise LockstitchError(f"it has version {version}, this lockstitch reads {_VERSION}")
    locked, rendered = (
        tuple(
            LockedFile(path=read_text(table, "path", _PATH), digest=read_digest(table, "sha256"))
            for table in top.each(key)
        )
        for key in ("file", "rendered")
    )
    folders = tuple(_locked_folder(table) for table in top.each("folder"))
    built = tuple(_built_wheel(table) for table in top.each("built"))
    builders = tuple(_read_builder(table) for table in top.each("builder"))
    services = tuple(_locked_service(table) for table in top.each("service"))
    inputs = read_digest(top, "inputs", "")
    python, base = (read_text(top, key) for key in ("python", "base"))
    bases = [kind.read(table, base) for kind in KINDS for table in top.each(kind.table)]
    tools = top.texts("tools")
    build = top.table("build").texts("requirements")
    raise_all(problems)
    return Lock(
        inputs=inputs,
        tools=tools,
        python=python,
        base=base,
        files=locked,
        folders=folders,
        built=built,
        builders=builders,
        services=services,
        rendered=rendered,
        build=build,
        bases=tuple(base for base in bases if base),
    )


def _locked_service(table: Table) -> LockedService:
    images = table.table("image")
    return LockedService(
        name=read_text(table, "name"),
        version=read_text(table, "version"),
        requirements=read_digest(table, "requirements"),
        images={platform: read_digest(images, platform) for platform in images},
        requires=table.texts("requires"),
        packages=table.texts("packages"),
        debian=tuple(filter(None, map(read_package, table.each("debian")))),
    )
