"""The sizes of images: by package, against budgets, and before the last build that changed them."""

import json
import shlex
import tarfile
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from lockstitch import files
from lockstitch.digest import Digest
from lockstitch.errors import LockstitchError, raise_all
from lockstitch.image.wheel import read_record_file
from lockstitch.oci.layer import Layer
from lockstitch.oci.layout import Layout
from lockstitch.oci.listing import RECORD, Listing
from lockstitch.oci.model import Image
from lockstitch.oci.rootfs import StoredFile, entries
from lockstitch.patterns import regex
from lockstitch.python import size
from lockstitch.python.model import ImageSpec, Project
from lockstitch.python.names import distribution_of, normal, of_requirement
from lockstitch.python.tables import table, texts
from lockstitch.store import Store
from lockstitch.table import first_of
from lockstitch.values import frozen

_SITE = "/site-packages/"
_IMPORTED = regex(r"(?m)^[ \t]*(?:from|import)[ \t]+([A-Za-z_]\w*)")
_SIZES = "sizes-2"  # of store records
_BLAMED = 5  # packages that are named when an image is over its budget


@frozen
class Package:
    """A package of an image, or a folder of its base, and the bytes of its files."""

    name: str
    size: int


def of_layers(layers: Iterable[Layer]) -> list[Package]:
    """Return packages by size, largest first; what belongs to no wheel goes by its folder."""
    sizes: dict[str, int] = defaultdict(int)
    for layer in layers:
        records = [
            (member, StoredFile(size=member.size, content=content))
            for member, content in entries(layer, lambda path: path.endswith(RECORD))
        ]
        for name, count in of_listing(records):
            sizes[name] += count
    packages = [Package(name=name, size=count) for name, count in sizes.items() if count]
    return sorted(packages, key=lambda package: (-package.size, package.name))


def of_listing(
    listing: Sequence[tuple[tarfile.TarInfo, StoredFile | None]],
) -> list[tuple[str, int]]:
    """Return the bytes of each package of a layer by its listing; of others, by folder."""
    sizes: dict[str, int] = defaultdict(int)
    owners: dict[str, str] = {}
    for member, file in listing:
        if file and file.content and member.name.endswith(RECORD):
            owners |= _owned(member.name, file.content)
    for member, _ in listing:
        if member.isreg():
            sizes[_owner(member.name, owners)] += member.size
    return sorted(sizes.items(), key=lambda item: (-item[1], item[0]))


def recorded(layer: Digest, store: Store) -> dict[str, int] | None:
    """Return the bytes of each package of a layer, None where nobody has recorded them."""
    rows = store.record(_SIZES, layer.hex)
    return None if rows is None else dict(rows)


def remember(layer: Digest, listing: Listing, store: Store) -> dict[str, int]:
    """Record the bytes of each package of a layer by its listing, and return them."""
    rows = [row for row in of_listing(listing) if row[1]]
    store.remember(_SIZES, layer.hex, rows)
    return dict(rows)


def _owned(path: str, content: bytes) -> dict[str, str]:
    """Return path or folder → `name version` for the files of one RECORD."""
    site, _, info = path.removesuffix("/RECORD").rpartition("/")
    name = info.removesuffix(".dist-info").replace("-", " ")
    owners: dict[str, str] = {}
    for row, _, _ in read_record_file(content):
        if not row.startswith("../"):
            # Folders too: RECORD does not list bytecode, which lies beside what it lists.
            owners.setdefault(f"{site}/{row}".rpartition("/")[0], name)
            owners[f"{site}/{row}"] = name
    return owners


def _owner(path: str, owners: dict[str, str]) -> str:
    if _SITE in path:
        module = path.rpartition("/")[2].split(".")[0] + ".py"
        folder = path.rpartition("/")[0].removesuffix("/__pycache__")
        return owners.get(path) or owners.get(f"{folder}/{module}") or owners.get(folder, "other")
    parts = path.split("/")
    if parts[0] == "app":  # what a person wrote, and what a program reads
        return (
            "/app code" if path.endswith((".py", ".pyc", ".html", ".js", ".css")) else "/app data"
        )
    return "/" + "/".join(parts[: 3 if parts[0] == "usr" else 1])


# --- budgets


def unpacked(image: Image) -> int:
    """Return the bytes of all files of an image."""
    return sum(layer.facts.unpacked for layer in image.layers)


def check_budgets(project: Project, images: Sequence[tuple[ImageSpec, Image]]) -> None:
    """Raise LockstitchError for each image over its budget, naming the packages that weigh most.

    What every image gets and no file imports is most often a tool: the hint moves it.
    """
    problems = []
    for spec, image in images:
        if not spec.budget or unpacked(image) <= spec.budget:
            continue
        heaviest = of_layers(image.layers)[:_BLAMED]
        blamed = ", ".join(f"{package.name} {size.shown(package.size)}" for package in heaviest)
        message = f"image `{spec.name}` has {size.shown(unpacked(image))} unpacked, over its "
        message += f"budget of {size.shown(spec.budget)}; most of it: {blamed}"
        hint = (
            f"drop a package from its groups, set trim = true, or raise the budget of {spec.name}"
        )
        problems.append(LockstitchError(message, hint=_moved(project) or hint))
    raise_all(problems)


def _moved(project: Project) -> str:
    """Return the command that moves what no file imports to the group `dev`, or ""."""
    told = all(image.command for image in project.images)  # else whoever starts one says what runs
    if not told or not (project.root / "uv.lock").is_file():
        return ""
    used = {word for image in project.images for step in image.steps for word in step[:3]}
    for file in files.walk(project.root):
        if file.name.endswith(".py"):
            text = file.path.read_text("utf-8", "replace")
            used |= {match[1] for match in _IMPORTED.finditer(text)}
    known = {normal(name) for name in used} | {normal(distribution_of(name)) for name in used}
    lines = texts(table(project.document, "project").get("dependencies"))
    idle = {of_requirement(line): line for line in lines if of_requirement(line) not in known}
    if not idle:
        return ""
    names = first_of([f"`{name}`" for name in idle], 5)
    command = f"uv remove {' '.join(idle)} && uv add --group dev {shlex.join(idle.values())}"
    return f"no file imports {names}: {command} && lockstitch lock"


# --- what each image was before the last build that changed it


@frozen
class Snapshot:
    """An image's digest and its layers: title, digest and compressed size of each."""

    digest: str
    layers: tuple[tuple[str, str, int], ...]


def snapshots(layout: Layout, names: Sequence[str]) -> dict[str, Snapshot]:
    """Return the images of these names in a layout; a missing or damaged one is left out."""
    known = {}
    for name in names:
        try:
            digest = layout.manifest_digest(name)
            manifest = layout.document(digest)
            config = layout.document(Digest.parse(manifest["config"]["digest"]))
            # A base's Dockerfile has entries without a layer, and need not say how one was made.
            written = [step for step in config.get("history", []) if not step.get("empty_layer")]
            listed = [(blob["digest"], blob["size"]) for blob in manifest["layers"]]
            titles = [str(step.get("created_by", "")) for step in written] + [""] * len(listed)
            layers = tuple((t, d, s) for t, (d, s) in zip(titles, listed, strict=False))
        except (LockstitchError, AttributeError, KeyError, TypeError, ValueError):
            continue
        known[name] = Snapshot(digest=str(digest), layers=layers)
    return known


def keep(path: Path, before: Mapping[str, Snapshot], now: Mapping[str, str]) -> None:
    """Write the snapshot of each image whose digest has changed to a file of snapshots."""
    known = _read(path)
    changed = {n: old for n, old in before.items() if now.get(n, old.digest) != old.digest}
    for name, old in changed.items():
        known[name] = {"digest": old.digest, "layers": [list(layer) for layer in old.layers]}
    if changed:
        files.write_text(path, json.dumps(known, indent=2, sort_keys=True) + "\n")


def previous(path: Path, name: str) -> Snapshot | None:
    """Return an image's sizes before its last change, None when they are not known."""
    try:
        known = _read(path)[name]
        layers = tuple((str(t), str(d), int(s)) for t, d, s in known["layers"])
        return Snapshot(digest=str(known["digest"]), layers=layers)
    except (KeyError, TypeError, ValueError):
        return None


def _read(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return document if isinstance(document, dict) else {}
