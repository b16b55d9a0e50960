"""Fingerprints from files alone: of an image by its layers, of a locked wheel by its RECORD.

By the rules of `lockstitch.runtime.fingerprint`, and without running anything: processor, kernels
and threads are known only to a process. Labels of an image are not read.
"""

import base64
import contextlib
import posixpath
import re
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from lockstitch import zstd
from lockstitch.digest import Digest
from lockstitch.errors import LockstitchError
from lockstitch.fingerprint import model
from lockstitch.fingerprint.model import Blas, Fingerprint, Package, Python, System
from lockstitch.oci import listing
from lockstitch.oci.reader import StoredImage
from lockstitch.oci.rootfs import StoredFile
from lockstitch.python.tables import table, texts
from lockstitch.runtime import fingerprint as script
from lockstitch.store import Store
from lockstitch.values import frozen, replace

_KIND = "image-fingerprints-1"  # of store records
_PATCH_LEVEL = re.compile(r'#define\s+PY_VERSION\s+"([^"]+)"')
_SMALL = 16 << 20  # bytes of a RECORD
_MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}

Files = Mapping[str, StoredFile]


@frozen
class _Installed:
    """One package of the image, with the rows of its RECORD."""

    site: str
    name: str
    document: Mapping[str, Any]
    rows: list[tuple[str, str]]


def of_image(image: StoredImage, store: Store) -> Fingerprint:
    """Return the fingerprint of an image, which is recorded by the digest of its manifest.

    Layers that the store has lists of are not read. Raises LockstitchError when one of its layers
    is damaged.
    """
    known = store.record(_KIND, image.digest.hex) if image.digest else None
    if known is not None:
        with contextlib.suppress(LockstitchError):  # of another version
            return model.of_document(known, "the image")
    fingerprint = _of_image(image, store)
    if image.digest:
        store.remember(_KIND, image.digest.hex, fingerprint.document())
    return fingerprint


def _of_image(image: StoredImage, store: Store) -> Fingerprint:
    layers = [
        (layer.descriptor.digest if layer.descriptor else None, layer.chunks)
        for layer in image.layers
    ]
    files = listing.files_of(listing.of_layers(layers, store))
    variables = _environment(image.config)
    installed: dict[str, _Installed] = {}
    for site in _sites(files, variables):
        there = [*_installed(files, site)]
        edited = {package.name: package.document["edited"] for package in there}
        script.overwritten(edited, [(package.name, package.rows) for package in there])
        for package in there:
            installed.setdefault(package.name, package)
    names = sorted(path for path in files if path.startswith("var/lib/dpkg/status"))
    texts = [_text(files, path) for path in names if not path.endswith(".md5sums")]
    system = {**script.dpkg("\n\n".join(texts)), **script.apk(_text(files, "lib/apk/db/installed"))}
    packages = []
    for package in installed.values():
        needs = sorted({need for need in package.document["needs"] if need in installed})
        packages.append({**package.document, "needs": needs})
    document = {"schema": script.SCHEMA, "kind": "image", "packages": packages}
    return replace(
        model.of_document(document, "the image"),
        python=_python(files, system, [package.site for package in installed.values()]),
        platform=_platform(files, image.config, system),
        blas=tuple(sorted(_blas(installed.values()), key=lambda blas: (blas.owner, blas.file))),
        variables={k: v for k, v in variables.items() if k in script.VARIABLES},
        system=system,
    )


def _environment(config: Mapping[str, Any]) -> dict[str, str]:
    words = texts(table(config, "config").get("Env"))
    return {name: value for name, _, value in (word.partition("=") for word in words)}


def _sites(files: Files, variables: Mapping[str, str]) -> list[str]:
    """Return the folders of packages that the image's `python` sees, those of its PATH first."""
    there = sorted({match[1] for path in files if (match := listing.NOTE.fullmatch(path))})
    for folder in variables.get("PATH", "").split(":"):
        prefix, _, last = folder.strip("/").rpartition("/")
        if last != "bin":
            continue
        # Debian's own Python looks below /usr/local too, and there first.
        near = ("usr/local", "usr") if prefix == "usr" else (prefix,)
        sites = [site for folder in near for site in there if site.startswith(f"{folder}/lib/")]
        if sites:
            return sites
    return there


def _installed(files: Files, site: str) -> Iterator[_Installed]:
    infos = {
        match[2] for path in files if (match := listing.NOTE.fullmatch(path)) and match[1] == site
    }
    for info in sorted(infos):
        contents = [
            _text(files, f"{site}/{info}/{name}")
            for name in ("METADATA", "RECORD", "WHEEL", "direct_url.json")
        ]
        name, version, needs = script.header(contents[0])
        rows = script.rows(contents[1])
        document = {"name": name, "version": version, "needs": needs}
        document |= script.described(script.digests(rows), contents[2], contents[3])
        document["edited"] = sorted(_changed(files, site, rows))
        yield _Installed(site=site, name=name, document=document, rows=rows)


def _changed(files: Files, site: str, rows: Iterable[tuple[str, str]]) -> Iterator[str]:
    """Yield the files of an image that differ from their hash in RECORD."""
    for path, wanted in rows:
        place = posixpath.normpath(f"{site}/{path}")
        algorithm, _, value = wanted.partition("=")
        if algorithm != "sha256" or not listing.in_site(place):
            continue
        held = files.get(place)
        if held is None:
            yield f"missing {path}"
        elif held.digest and _hex(value) != held.digest.hex:
            yield f"changed {path}"


def _hex(value: str) -> str:
    if len(value) == 64:  # in hexadecimal digits
        return value
    try:
        return base64.urlsafe_b64decode(value + "=" * (-len(value) % 4)).hex()
    except ValueError:
        return ""


def _blas(installed: Iterable[_Installed]) -> Iterator[Blas]:
    for package in installed:
        for path, _ in package.rows:
            if kind := script.BLAS.search(path):
                yield Blas(name=kind[1], owner=package.name, file=posixpath.basename(path))


# --- the base


def _python(files: Files, system: Mapping[str, str], sites: list[str]) -> Python | None:
    """Return the version: of its headers, else of Debian's package, else of the folder's name."""
    minor = next((match[1] for site in sites if (match := re.search(r"python(3\.\d+)", site))), "")
    for prefix in ("usr/local", "usr"):
        text = _text(files, f"{prefix}/include/python{minor}/patchlevel.h")
        if known := _PATCH_LEVEL.search(text):
            return Python(version=known[1])
    packaged = re.match(r"\d+\.\d+\.\d+", system.get(f"python{minor}-minimal", ""))
    if packaged:
        return Python(version=packaged[0])
    return Python(version=minor) if minor else None


def _platform(files: Files, config: Mapping[str, Any], system: Mapping[str, str]) -> System:
    machine = str(config.get("architecture", ""))
    libc = re.match(r"\d+\.\d+", system.get("libc6", ""))
    release = _text(files, "etc/os-release") or _text(files, "usr/lib/os-release")
    return System(
        system=str(config.get("os", "")),
        machine=_MACHINES.get(machine, machine),
        libc=f"glibc {libc[0]}" if libc else ("musl" if "musl" in system else ""),
        release=script.release(release),
    )


def _text(files: Files, path: str) -> str:
    held = files.get(path)
    return held.content.decode("utf-8", "replace") if held and held.content else ""


# --- wheels


def with_files(package: Package, store: Store) -> Package:
    """Return a locked package with the digests of the files that its wheel would install.

    A wheel that is not in the store is not known: then the package stays as it is. Raises
    LockstitchError for a wheel that cannot be read.
    """
    if len(package.artifacts) != 1:
        return package
    wheel = package.artifacts[0]
    digests = store.record("fingerprint", wheel.hex)
    if digests is None:
        if not store.has_whole(wheel):
            return package
        try:
            digests = list(_digests(store.path(wheel)))
        except zipfile.BadZipFile:  # a source distribution
            digests = []
        store.put_record("fingerprint", wheel.hex, digests)
    if not digests:
        return package
    return replace(package, record=Digest.parse(digests[0]), code=Digest.parse(digests[1]))


def _digests(path: Path) -> Iterator[str]:
    """Yield the two digests that an install of a wheel has, or nothing for an odd wheel."""
    with zipfile.ZipFile(path) as wheel:
        names = [n for n in wheel.namelist() if n.count("/") == 1 and n.endswith("/RECORD")]
        names = [n for n in names if n.partition("/")[0].endswith(".dist-info")]
        if len(names) != 1 or wheel.getinfo(names[0]).file_size > _SMALL:
            return
        rows = script.rows(zstd.read_member(wheel, names[0]).decode("utf-8", "replace"))
    placed = [(_placed(name), hashed) for name, hashed in rows if _placed(name)]
    yield script.digest(placed)
    yield script.digest([row for row in placed if not script.left_out(row[0])])


def _placed(name: str) -> str:
    """Return where installers put a file, from the folder of packages; "" outside of it."""
    top, _, rest = name.partition("/")
    if not top.endswith(".data"):
        return name
    scheme, _, inner = rest.partition("/")
    return inner if scheme in {"purelib", "platlib"} else ""
