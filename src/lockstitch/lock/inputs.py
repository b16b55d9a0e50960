"""What a lock depends on: the part of pyproject.toml that decides what gets pinned."""

import json
from typing import Any

from lockstitch.digest import Digest, of_bytes
from lockstitch.net.credentials import stripped
from lockstitch.python.model import Project

__all__ = ["digest"]

_PROJECT = (
    "name",
    "version",
    "dynamic",
    "requires-python",
    "dependencies",
    "optional-dependencies",
)


def digest(project: Project) -> Digest:
    """Return the digest of everything in pyproject.toml that a lock is made from.

    The rest (a description, a tool's settings, an image's command) may change without
    making the lock stale.
    """
    document = project.document
    metadata = document.get("project", {})
    found: dict[str, Any] = {
        "project": {key: metadata.get(key) for key in _PROJECT},
        "groups": document.get("dependency-groups"),
        "build": document.get("build-system"),
        "uv": document.get("tool", {}).get("uv"),
        "python": project.python,
        "base": project.base,
        "platforms": sorted(project.platforms),
        "images": {i.name: [*i.groups, "", *i.extras] for i in project.images},
    }
    given = {i.name: i.lock or project.lock for i in project.images}
    found |= {"locks": given} if any(given.values()) else {}
    found |= {"build-requires": project.build_extra} if project.build_extra else {}
    poetry = document.get("tool", {}).get("poetry")
    found |= {"poetry": poetry} if poetry else {}
    text = json.dumps(found, sort_keys=True, separators=(",", ":"), default=str)
    return of_bytes(stripped(text).encode())
