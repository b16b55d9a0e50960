"""What each image was before the last build that changed it, by the digests of its layers."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lockstitch import files
from lockstitch.digest import Digest
from lockstitch.errors import LockstitchError
from lockstitch.oci.layout import Layout

__all__ = ["Snapshot", "keep", "previous", "snapshots"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """An image's digest and its layers: title, digest and compressed size of each."""

    digest: str
    layers: tuple[tuple[str, str, int], ...]


def snapshots(layout: Layout, names: Sequence[str]) -> dict[str, Snapshot]:
    """Return what a layout has of these names now; what it lacks, or what is damaged, is left."""
    found = {}
    for name in names:
        try:
            digest = layout.manifest_digest(name)
            manifest = layout.document(digest)
            config = layout.document(Digest.parse(manifest["config"]["digest"]))
            titles = [each["created_by"] for each in config["history"]]
            listed = [(each["digest"], each["size"]) for each in manifest["layers"]]
            layers = tuple((t, d, s) for t, (d, s) in zip(titles, listed, strict=True))
        except (LockstitchError, KeyError, TypeError, ValueError):
            continue
        found[name] = Snapshot(digest=str(digest), layers=layers)
    return found


def keep(path: Path, before: Mapping[str, Snapshot], now: Mapping[str, str]) -> None:
    """Keep in a file what images were, for each whose digest is another one now."""
    known = _read(path)
    changed = {n: each for n, each in before.items() if now.get(n, each.digest) != each.digest}
    for name, each in changed.items():
        known[name] = {"digest": each.digest, "layers": [list(layer) for layer in each.layers]}
    if changed:
        files.write_text(path, json.dumps(known, indent=2, sort_keys=True) + "\n")


def previous(path: Path, name: str) -> Snapshot | None:
    """Return what an image was before its last change, None when nobody knows."""
    found = _read(path).get(name)
    try:
        layers = tuple((str(t), str(d), int(s)) for t, d, s in found["layers"]) if found else ()
        return Snapshot(digest=str(found["digest"]), layers=layers) if found else None
    except (KeyError, TypeError, ValueError):
        return None


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
