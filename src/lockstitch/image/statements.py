"""What documents about an image say, held against the image."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from lockstitch.digest import Digest, of_bytes
from lockstitch.image.installed import Contents, normalized
from lockstitch.lock import provenance
from lockstitch.lock.file import Lock
from lockstitch.lock.make import pylock_name
from lockstitch.python.model import Project

__all__ = ["Locks", "bill", "locked", "locks_of", "origin"]

_LABEL = "dev.lockstitch.lock"
_BASE = "org.opencontainers.image.base.name"


@dataclass(frozen=True, slots=True, kw_only=True)
class Locks:
    """The digests of a project's locks, to hold an image against."""

    project: str
    pylocks: Mapping[str, Digest]  # by image
    bases: Mapping[str, Digest]  # by platform


def locks_of(project: Project, lock: Lock) -> Locks:
    """Return the digests of a project's locks as they are now."""
    paths = {each.name: project.root / pylock_name(each.name) for each in project.images}
    return Locks(
        project=project.name,
        pylocks={k: of_bytes(p.read_bytes()) for k, p in paths.items() if p.is_file()},
        bases={each.platform: provenance.of_base(each) for each in lock.bases},
    )


def bill(said: Any, digest: Digest, contents: Contents) -> Iterator[str]:
    """Yield where a bill of materials and the image differ: each package, both ways."""
    if said["bomFormat"] != "CycloneDX":
        yield f"it is `{said['bomFormat']!s:.40}`, not CycloneDX"
        return
    about = [each["content"] for each in said["metadata"]["component"].get("hashes", [])]
    if about != [digest.hex]:
        yield f"it is about {', '.join(map(str, about)) or 'no image'}, not {digest.hex}"
    python: set[tuple[str, str]] = set()
    debian: dict[tuple[str, str], bool] = {}  # whether it is one of the lock's
    for each in said["components"]:
        purl, version = each.get("purl", ""), each.get("version", "")
        if purl.startswith("pkg:pypi/") or each["bom-ref"].startswith("project:"):
            python.add((normalized(each["name"]), version))
        elif purl.startswith("pkg:deb/"):
            debian[each["name"], version] = "hashes" in each  # else of a registry's base
    yield from _both(python, {(e.name, e.version) for e in contents.installed()}, "package")
    there = set(contents.debian().items())
    # What a registry's base has is in the records of its own package manager.
    elsewhere = {package for package, ours in debian.items() if not ours}
    yield from _both({*debian}, there | elsewhere, "Debian package")


def _both(said: set[tuple[str, str]], there: set[tuple[str, str]], what: str) -> Iterator[str]:
    for name, version in sorted(said - there):
        yield f"{what} `{name} {version}` is in it and not in the image"
    for name, version in sorted(there - said):
        yield f"{what} `{name} {version}` is in the image and not in it"


def origin(said: Any, digest: Digest, labels: Mapping[str, str]) -> Iterator[str]:
    """Yield where a statement of provenance and the image differ."""
    about = [each["digest"].get("sha256") for each in said["subject"]]
    if about != [digest.hex]:
        yield f"it is about {', '.join(map(str, about)) or 'no image'}, not {digest.hex}"
    if said["predicateType"] != provenance.PREDICATE:
        yield f"it is `{said['predicateType']!s:.80}`, not {provenance.PREDICATE}"
        return
    name = pylock_name(_asked(said)["image"])
    known = _materials(said).get(name)
    label = labels.get(_LABEL, "").removeprefix("sha256:")
    if known != label:
        yield f"`{name}` is {known}, the label {_LABEL} says {label or 'nothing'}"
    base = _asked(said)["base"]
    if base != labels.get(_BASE):
        yield f"the base is `{base}`, the label {_BASE} says `{labels.get(_BASE)}`"


def locked(said: Any, locks: Locks, labels: Mapping[str, str]) -> Iterator[str]:
    """Yield what of a project's locks is not what the image was made from."""
    asked, title = _asked(said), said["subject"][0]["name"]
    if title != f"{locks.project}-{asked['image']}":
        yield f"the image is `{title!s:.80}`, of another project than `{locks.project}`"
        return
    materials, name = _materials(said), pylock_name(asked["image"])
    wanted = {name: locks.pylocks.get(asked["image"]), "base": locks.bases.get(asked["platform"])}
    for material, here in wanted.items():
        if here is None:
            yield f"the project has no `{material}` for {asked['image']}, {asked['platform']}"
        elif here.hex != materials.get(material):
            yield f"`{material}` is {here.hex}, the image is from {materials.get(material)}"
    pylock = wanted[name]
    if pylock is not None and str(pylock) != labels.get(_LABEL):
        yield f"`{name}` is {pylock}, the label {_LABEL} says {labels.get(_LABEL)}"


def _asked(said: Any) -> Any:
    return said["predicate"]["buildDefinition"]["externalParameters"]


def _materials(said: Any) -> dict[str, str]:
    found = said["predicate"]["buildDefinition"]["resolvedDependencies"]
    return {each["name"]: each["digest"].get("sha256", "") for each in found}
