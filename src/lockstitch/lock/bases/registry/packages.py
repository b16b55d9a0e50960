"""The packages that an image's own package manager put there, from its status files."""

import re
from collections.abc import Iterator

from lockstitch.errors import LockstitchError
from lockstitch.lock.bases.registry.base import SystemPackage
from lockstitch.oci.rootfs import RootFs

_STATUS = "var/lib/dpkg/status"
_FOLDER = "var/lib/dpkg/status.d/"  # of images without a package manager
_APK = ("lib/apk/db/installed", "usr/lib/apk/db/installed")
_RELEASE = ("etc/os-release", "usr/lib/os-release")
_WORD = re.compile(r"[A-Za-z0-9._-]{1,64}")


def wanted(path: str) -> bool:
    """Return whether `find` and `distribution` may have to read a file."""
    return path in {_STATUS, *_APK, *_RELEASE} or path.startswith(_FOLDER)


def find(tree: RootFs[bytes]) -> tuple[SystemPackage, ...]:
    """Return the packages of dpkg and apk, sorted, without malformed entries."""
    packages = {package for package in (*_dpkg(tree), *_apk(tree)) if package}
    return tuple(sorted(packages, key=lambda p: (p.kind, p.name, p.architecture, p.version)))


def _dpkg(tree: RootFs[bytes]) -> Iterator[SystemPackage | None]:
    nodes = [node for _, node in tree.files(lambda path: path.startswith(_FOLDER))]
    nodes += [node for node in [tree.file(_STATUS)] if node]
    for node in nodes:
        for stanza in _stanzas(node.content, ": "):
            if stanza.get("Status", "install ok installed").endswith(" installed"):
                yield _package("deb", stanza, ("Package", "Version", "Architecture", ""))


def _apk(tree: RootFs[bytes]) -> Iterator[SystemPackage | None]:
    for path in _APK:
        node = tree.file(path)
        for stanza in _stanzas(node.content if node else b"", ":"):
            yield _package("apk", stanza, ("P", "V", "A", "L"))


def _stanzas(data: bytes | None, mark: str) -> Iterator[dict[str, str]]:
    for block in (data or b"").decode("utf-8", "replace").split("\n\n"):
        pairs = (line.partition(mark) for line in block.splitlines() if line[:1] not in {"", " "})
        # The first of two: an apk stanza names its files with the same letters further down.
        fields: dict[str, str] = {}
        for key, _, value in pairs:
            fields.setdefault(key, value.strip())
        if fields:
            yield fields


def _package(kind: str, stanza: dict[str, str], keys: tuple[str, ...]) -> SystemPackage | None:
    name, version, architecture, licence = (stanza.get(key, "") for key in keys)
    plain = re.sub(r"[^\x20-\x7e]", "", licence)[:200]
    try:
        return SystemPackage(
            kind=kind, name=name, version=version, architecture=architecture, licence=plain
        )
    except LockstitchError:
        return None


def distribution(tree: RootFs[bytes]) -> str:
    """Return ID and VERSION_ID of os-release, as in `debian-12`, or an empty text."""
    node = next((file for path in _RELEASE if (file := tree.file(path))), None)
    text = ((node.content if node else b"") or b"").decode("utf-8", "replace")
    pairs = re.findall(r"^(ID|VERSION_ID)=(.*)$", text, re.MULTILINE)
    values = {key: value.strip().strip("\"'") for key, value in pairs}
    words = [values.get("ID", ""), values.get("VERSION_ID", "")]
    return "-".join(word for word in words if _WORD.fullmatch(word))
