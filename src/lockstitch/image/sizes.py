"""Which package each byte of an image belongs to, read from the layers themselves."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from lockstitch.image import record_file
from lockstitch.oci.layer import Layer
from lockstitch.oci.layer_reader import entries

__all__ = ["Package", "of_layers"]

_SITE = "/site-packages/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """A package of an image, or a folder of its base, and the bytes of its files."""

    name: str
    size: int


def of_layers(layers: Iterable[Layer]) -> list[Package]:
    """Return packages by size, largest first; what belongs to no wheel goes by its folder."""
    sizes: dict[str, int] = defaultdict(int)
    for layer in layers:
        files: dict[str, int] = {}
        owners: dict[str, str] = {}
        for member, content in entries(layer, _is_record):
            if member.isreg():
                files[member.name] = member.size
            if content:
                owners |= _owned(member.name, content)
        for path, size in files.items():
            sizes[_owner(path, owners)] += size
    packages = [Package(name=name, size=size) for name, size in sizes.items() if size]
    return sorted(packages, key=lambda package: (-package.size, package.name))


def _is_record(path: str) -> bool:
    return path.endswith(".dist-info/RECORD")


def _owned(path: str, content: bytes) -> dict[str, str]:
    """Return path or folder → `name version` for what one RECORD lists."""
    site, _, info = path.removesuffix("/RECORD").rpartition("/")
    name = info.removesuffix(".dist-info").replace("-", " ")
    found: dict[str, str] = {}
    for row, _, _ in record_file.read(content):
        if not row.startswith("../"):
            # Folders too, since bytecode lies beside what RECORD lists and not in it.
            found.setdefault(f"{site}/{row}".rpartition("/")[0], name)
            found[f"{site}/{row}"] = name
    return found


def _owner(path: str, owners: dict[str, str]) -> str:
    if _SITE in path:
        module = path.rpartition("/")[2].split(".")[0] + ".py"
        folder = path.rpartition("/")[0].removesuffix("/__pycache__")
        return owners.get(path) or owners.get(f"{folder}/{module}") or owners.get(folder, "other")
    parts = path.split("/")
    return "/" + "/".join(parts[: 3 if parts[0] == "usr" else 1])
