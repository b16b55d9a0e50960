"""The inputs of a lock: the part of pyproject.toml that decides what gets pinned."""

import json
from typing import Any

from lockstitch import files
from lockstitch.digest import Digest, of_bytes
from lockstitch.net.credentials import stripped
from lockstitch.python.model import Project
from lockstitch.python.tables import toml

_PROJECT = (
    *("name", "version", "dynamic", "requires-python", "dependencies"),
    "optional-dependencies",
)


def _members(project: Project) -> dict[str, Any]:
    """Return the requirements of a workspace's members, by folder."""
    patterns = project.document.get("tool", {}).get("uv", {}).get("workspace", {})
    names = patterns.get("members", []) if isinstance(patterns, dict) else []
    members = {}
    for pattern in names if isinstance(names, list) else ():
        for path in sorted(project.root.glob(f"{pattern}/pyproject.toml")):
            document = toml(files.read_text(path))
            metadata = document.get("project", {})
            members[path.parent.relative_to(project.root).as_posix()] = {
                "project": {key: metadata.get(key) for key in _PROJECT},
                "groups": document.get("dependency-groups"),
                "build": document.get("build-system"),
                "uv": document.get("tool", {}).get("uv"),
            }
    return members


def digest(project: Project) -> Digest:
    """Return the digest of everything in pyproject.toml that a lock is made from.

    The rest (a description, a tool's settings, an image's command) may change without
    making the lock stale.
    """
    document = project.document
    metadata = document.get("project", {})
    inputs: dict[str, Any] = {
        "project": {key: metadata.get(key) for key in _PROJECT},
        "groups": document.get("dependency-groups"),
        "build": document.get("build-system"),
        "uv": document.get("tool", {}).get("uv"),
        "python": project.python,
        "base": project.base,
        "platforms": sorted(project.platforms),
        "images": {i.name: [*i.groups, "", *i.extras] for i in project.images},
    }
    inputs |= {"system": project.packages} if project.packages else {}
    packages = {i.name: i.package for i in project.images if i.package}
    inputs |= {"packages": packages} if packages else {}
    members = _members(project)
    inputs |= {"members": members} if members else {}
    given = {i.name: i.lock or project.lock for i in project.images}
    inputs |= {"locks": given} if any(given.values()) else {}
    inputs |= {"build-requires": project.build_extra} if project.build_extra else {}
    if project.builder != "host":
        inputs |= {"builder": [project.builder, *project.build_packages]}
    poetry = document.get("tool", {}).get("poetry")
    inputs |= {"poetry": poetry} if poetry else {}
    text = json.dumps(inputs, sort_keys=True, separators=(",", ":"), default=str)
    return of_bytes(stripped(text).encode())
