"""Pins a CPython base: uv's list of archives, the release's hashes, and Debian's packages."""

import functools
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final
from urllib.parse import unquote

from lockstitch import environ, process
from lockstitch import progress as talk
from lockstitch.digest import Digest
from lockstitch.errors import LockstitchError
from lockstitch.lock.bases.base import Sources
from lockstitch.lock.bases.cpython.archive import read_members
from lockstitch.lock.bases.cpython.base import (
    RELEASE,
    Archive,
    Bundled,
    CPythonBase,
    Request,
    parse,
)
from lockstitch.lock.bases.debian.selection import SYSTEM, select
from lockstitch.lock.bases.registry.interpreter import MACHINES, read_elf
from lockstitch.net.download import Download, Fetcher
from lockstitch.resources import load_table
from lockstitch.values import replace

_RECORD = "cpython-archive"  # the kind of store record; a change of what is read is a new name
_ROOTS: Final = (*SYSTEM, "libcrypt1")  # `crypt`, which CPython had until 3.12, links with it
_ARCHITECTURES: Final = {"linux/amd64": "x86_64", "linux/arm64": "aarch64"}  # as uv names them
_FORM: Final = re.compile(r"\S+/(?P<day>\d{8})/\S+install_only(?:_stripped)?\.tar\.gz")
_SUMS: Final = 4 << 20  # bytes; a release has about 1,000 files
_LARGEST: Final = 512 << 20  # bytes of an archive; those of 2026 have 20 to 110 MB
_FINAL: Final = re.compile(r"3\.\d{1,2}\.\d{1,3}")
_VERSION: Final = re.compile(rb'#define\s+PY_VERSION\s+"(3\.\d{1,2}\.\d{1,3})\+?"')


def pin(
    name: str, platform: str, python: str, sources: Sources, packages: tuple[str, ...] = ()
) -> CPythonBase:
    """Return the base that a name such as `cpython:3.12` means now, for a platform.

    Raises LockstitchError when it is not of Python X.Y, when uv knows no such archive, when the
    archive is not what it should be, and for what `debian.selection.select` raises.
    """
    request = parse(name)
    if request.minor != python:
        message = f"`{name}` has Python {request.minor}, the project wants `{python}`"
        raise LockstitchError(message, hint=f'python = "{request.minor}", or another `base`')
    version, url = _listed(name, request, platform)
    archive, known = _fetched(url, version, request, platform, sources)
    selection = select(RELEASE, platform, _ROOTS, sources, packages)
    day = _FORM.fullmatch(url)
    released = f"{day['day']}T000000Z" if day else selection.snapshot
    return CPythonBase(
        name=name,
        platform=platform,
        python=version,
        glibc=selection.upstream("libc6"),
        snapshot=max(selection.snapshot, released),
        archive=replace(archive, bundled=known),
        packages=selection.packages,
        added=selection.added,
    )


def can_fetch(python: str, fetcher: Fetcher, platform: str = "linux/amd64") -> bool:
    """Return whether this machine reaches the release of the newest archive of a Python."""
    name = f"cpython:{python}"
    try:
        _, url = _listed(name, parse(name), platform)
        address = Archive(url=url, digest=Digest(""), size=0, proof="").address()
        return _stated(address, unquote(address.rpartition("/")[2]), fetcher)[0] is not None
    except LockstitchError:
        return False


# --- which archive


@functools.cache
def _downloads(program: str, listing: str) -> list[dict[str, Any]]:  # noqa: ARG001 -- the cache's
    """Return the downloads that uv knows; it needs no network for them."""
    words = [program, "python", "list", "--only-downloads", "--all-versions", "--all-platforms"]
    words += ["--all-arches", "--output-format", "json"]
    # The mirror is ours to apply: the lock names an archive by the address that all share.
    env = environ.child(UV_PYTHON_INSTALL_MIRROR=None, UV_PYTHON_DOWNLOADS="manual")
    done = process.run(words, env=env)
    try:
        rows = json.loads(done.stdout)
    except ValueError as error:
        message = "`uv python list` wrote something else than JSON"
        raise LockstitchError(message, hint="pip install --upgrade uv") from error
    return [row for row in rows if isinstance(row, dict)]


def _listed(name: str, request: Request, platform: str) -> tuple[str, str]:
    """Return the version and the address of the newest archive of a request."""
    rows = _downloads(str(process.find_uv()), environ.get("UV_PYTHON_DOWNLOADS_JSON_URL"))
    fitting = [*_fitting(rows, request, platform)]
    if not fitting:
        message = f"uv knows no archive of `{name}` for {platform}"
        hint = "pip install --upgrade uv, or name another version: uv python list --all-versions"
        raise LockstitchError(message, hint=hint)
    return max(fitting, key=lambda pair: ([int(part) for part in pair[0].split(".")], pair[1]))


def _fitting(
    rows: list[dict[str, Any]], request: Request, platform: str
) -> Iterator[tuple[str, str]]:
    wanted = {
        "implementation": "cpython",
        "os": "linux",
        "arch": _ARCHITECTURES[platform],
        "libc": "gnu",
        "variant": "freethreaded" if request.free_threaded else "default",
    }
    for row in rows:
        version, url = str(row.get("version")), str(row.get("url"))
        if (
            all(row.get(key) == value for key, value in wanted.items())
            and _FINAL.fullmatch(version)
            and version.rpartition(".")[0] == request.minor
            and request.patch in {"", version}
            and _FORM.fullmatch(url)
        ):
            yield version, url


# --- its hash, and what is in it


def _fetched(
    url: str, version: str, request: Request, platform: str, sources: Sources
) -> tuple[Archive, tuple[Bundled, ...]]:
    """Bring an archive into the store, held against the hash of its release, and read it."""
    address = Archive(url=url, digest=Digest(""), size=0, proof="").address()
    name = unquote(address.rpartition("/")[2])
    digest, proof = _stated(address, name, sources.fetcher)
    if digest:
        wanted = Download(name=name, url=address, digest=digest, size=None)
        sources.fetcher.fetch([wanted], sources.progress)
    else:
        with sources.progress.task(f"fetch {name}", 0):
            data = sources.fetcher.read(address, limit=_LARGEST)
        digest = sources.store.put(data)
        talk.say(
            f"* `{name}` is trusted on first use: its release names no hash; the lock has "
            f"sha256:{digest.short}… from now on"
        )
    size = sources.store.path(digest).stat().st_size
    archive = Archive(url=url, digest=digest, size=size, proof=proof)
    key = f"{digest.hex}-{version}-{platform.replace('/', '-')}"
    known = sources.store.record(_RECORD, key)
    if known is None:
        with sources.progress.task(f"read {name}", 0):
            bundled = _read(archive, name, version, request, platform, sources)
        known = [[part.name, part.version, part.licence] for part in bundled]
        sources.store.put_record(_RECORD, key, known)
    return archive, tuple(Bundled(name=n, version=v, licence=x) for n, v, x in known)


def _stated(address: str, name: str, fetcher: Fetcher) -> tuple[Digest | None, str]:
    """Return the hash that a release states of its file, and where; None where it states none."""
    folder = address.rpartition("/")[0]
    for place, proof, form in (
        (f"{folder}/SHA256SUMS", "SHA256SUMS", rf"(?m)^([0-9a-f]{{64}}) [ *]{re.escape(name)}$"),
        (f"{address}.sha256", "sha256", r"\A([0-9a-f]{64})\s"),
    ):
        try:
            text = fetcher.read(place, limit=_SUMS).decode("ascii", "replace")
        except LockstitchError:
            continue  # the archive itself says whether the network is at fault
        match = re.search(form, text + "\n")
        if match:
            return Digest.of_hex(match[1]), proof
    return None, "first-use"


def _read(
    archive: Archive, name: str, version: str, request: Request, platform: str, sources: Sources
) -> list[Bundled]:
    """Return the libraries in an archive; raises LockstitchError when it is another Python."""
    minor = request.minor + ("t" if request.free_threaded else "")
    program = f"python/bin/python{minor}"
    header = f"python/include/python{minor}/patchlevel.h"
    stated, machine = "", 0
    versions: dict[str, set[str]] = {}
    for info, data in read_members(
        sources.store.path(archive.digest), name, lambda path: path == header or _is_code(path)
    ):
        if info.name == header and (match := _VERSION.search(data)):
            stated = match[1].decode()
        elif _is_code(info.name):
            elf = read_elf(data) if info.name == program else None
            machine = elf.machine if elf else machine
            for library, form in _libraries().items():
                matches = {match[1].decode() for match in form[0].finditer(data)}
                versions.setdefault(library, set()).update(matches)
    if not machine:
        message = f"`{name}` has no program `{program}`"
        raise LockstitchError(message, hint="name another version: uv python list --all-versions")
    if (stated, machine) != (version, MACHINES[platform]):
        message = f"`{name}` should be CPython {version} for {platform}: it is "
        message += f"{stated or 'of no version'} for ELF machine {machine}"
        raise LockstitchError(message, hint="somebody replaced the file: compare its hash")
    return [
        Bundled(name=library, version=several.pop(), licence=_libraries()[library][1])
        for library, several in sorted(versions.items())
        if len(several) == 1  # two versions would be ambiguous
    ]


def _is_code(path: str) -> bool:
    return path.startswith("python/bin/python3.") or bool(
        re.fullmatch(r"python/lib/.*\.so(?:\.[\d.]+)?", path)
    )


@functools.cache
def _libraries() -> Mapping[str, tuple[re.Pattern[bytes], str]]:
    rows = load_table(__package__, "bundled.toml")["library"]
    return {row["name"]: (re.compile(row["pattern"].encode()), row["licence"]) for row in rows}
