"""What is locked, in the forms that other programs read; needs no network."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from lockstitch import files
from lockstitch.digest import Digest
from lockstitch.errors import LockstitchError, raise_all
from lockstitch.lock import dependency_graph, sbom, urls
from lockstitch.lock.file import Lock, created, pylock_name
from lockstitch.lock.sbom import NO_FACTS, PackageFacts
from lockstitch.python.locks import pylock
from lockstitch.python.locks.resolution import LockedWheel
from lockstitch.python.model import ImageSpec, Project
from lockstitch.python.target import Target

if TYPE_CHECKING:
    from packaging.pylock import Package

__all__ = ["bill", "pylock_of", "requirements_of", "requirements_of_all"]

_ALL = "requirements-lock.txt"


def requirements_of_all(project: Project, lock: Lock) -> str:
    """Return the whole lock as requirements with hashes, as `lockstitch lock` wrote it."""
    if _ALL not in {each.path for each in lock.files}:
        message = f"this project has no `{_ALL}`: its locks are written by another tool"
        raise LockstitchError(message, hint="lockstitch export requirements --image NAME")
    return files.read_text(project.root / _ALL)


def requirements_of(
    project: Project, lock: Lock, spec: ImageSpec, platform: str = ""
) -> tuple[str, list[str]]:
    """Return an image's requirements with hashes, and notes about where they hold.

    With a platform, each line names the one wheel that the image gets. Without, each has the
    marker and all hashes of the image's PEP 751 lock.
    """
    name = pylock_name(spec.name)
    if platform:
        target = _target(lock, platform)
        wheels = _wheels(project, spec, target)
        where = f"{platform}, CPython {target.minor}"
        return _dumps(name, where, [_line(w.name, w.version, [w.digest.hex]) for w in wheels]), []
    parsed = pylock.read(files.read_text(project.root / name), name)
    problems: list[LockstitchError] = []
    lines = []
    for package in parsed.packages:
        try:
            lines.append(_universal(package))
        except LockstitchError as error:
            problems.append(error)
    raise_all(problems)
    where = " or ".join(sorted(f"({each})" for each in parsed.environments or ()))
    note = f"`{name}` is not for every machine; it is for: {where}"
    return _dumps(name, where, lines), [note] if where else []


def pylock_of(project: Project, lock: Lock, spec: ImageSpec, platform: str = "") -> str:
    """Return an image's PEP 751 lock as it is, or with one platform's wheels only."""
    if not platform:
        return files.read_text(project.root / pylock_name(spec.name))
    target = _target(lock, platform)
    return urls.dumps({platform: _wheels(project, spec, target)}, target.minor)


def bill(
    project: Project,
    lock: Lock,
    spec: ImageSpec,
    platform: str,
    *,
    digest: Digest | None = None,
    facts: Mapping[str, PackageFacts] | None = None,
    project_wheel: Digest | None = None,
) -> str:
    """Return an image's bill of materials for a platform, as CycloneDX 1.6.

    Of an image that is built, `digest` is its manifest's, `facts` are those of its wheels
    and Debian packages by their hex digests, and `project_wheel` names those of first-party code.
    Raises LockstitchError when the lock has no base or no wheels for the platform.
    """
    target, base = _target(lock, platform), lock.base_for(platform)
    wheels = _wheels(project, spec, target)
    known = facts or {}

    def of(package: Digest | None) -> PackageFacts:
        return known.get(package.hex if package else "", NO_FACTS)

    packages = {
        w.name: sbom.python(w.name, w.version, w.digest, w.url, of(w.digest)) for w in wheels
    }
    system = base.components(known)
    named = {"lockstitch:platform": platform, "lockstitch:python": base.python}
    subject = sbom.image(project.name, project.version, spec.name, digest=digest, properties=named)
    code = sbom.project(project.name, project.version, of(project_wheel))
    first = [code] if project.is_package else []
    edges = dependency_graph.of(project, spec, target)
    refs = {name: component.ref for name, component in packages.items()}
    graph: dict[str, list[str]] = {}
    direct = sorted(refs)
    if edges is not None:
        graph = {refs[n]: [refs[e] for e in edges[n] if e in refs] for n in refs if n in edges}
        direct = sorted(name for name in edges[dependency_graph.ROOT] if name in refs)
    asks = first[0].ref if first else subject.ref
    graph[subject.ref] = [*(each.ref for each in first), *(each.ref for each in system)]
    graph[asks] = [*graph.get(asks, []), *(refs[name] for name in direct)]
    found = sbom.document(
        subject, [*first, *packages.values(), *system], graph, created=created(wheels, base)
    )
    return sbom.dumps(found)


def _target(lock: Lock, platform: str) -> Target:
    base = lock.base_for(platform)
    return base.target()


def _wheels(project: Project, spec: ImageSpec, target: Target) -> list[LockedWheel]:
    name = pylock_name(spec.name)
    found = pylock.select(files.read_text(project.root / name), target, name)
    return [urls.without_credentials(wheel) for wheel in found]


# --- requirements


def _dumps(source: str, where: str, lines: Sequence[str]) -> str:
    head = [f"# From `{source}`, which `lockstitch lock` wrote; install it with --require-hashes."]
    head += [f"# It is for: {where}"] if where else []
    # By name: the order of the lock must not reach the bytes.
    return "\n".join([*head, *sorted(lines)]) + "\n"


def _line(name: str, version: str, hashes: Iterable[str], marker: str = "") -> str:
    text = f"{name}=={version}" + (f" ; {marker}" if marker else "")
    return " \\\n".join([text, *(f"    --hash=sha256:{each}" for each in sorted(set(hashes)))])


def _universal(package: "Package") -> str:
    artifacts = [*(package.wheels or ()), *([package.sdist] if package.sdist else ())]
    hashes = [each.hashes["sha256"] for each in artifacts if "sha256" in each.hashes]
    marker = str(package.marker or "")
    if not artifacts or not package.version:
        message = f"`{package.name}` is no package of an index: requirements cannot pin it by hash"
        hint = "publish its wheel in an index and depend on that version: uv build --wheel"
        raise LockstitchError(message, hint=hint)
    if len(hashes) < len(artifacts):
        bad = [PurePosixPath(a.filename).name for a in artifacts if "sha256" not in a.hashes]
        message = f"`{bad[0]}` has no sha256 in the lock"
        raise LockstitchError(
            message, hint="lock it from an index that gives sha256: lockstitch lock"
        )
    if "dependency_groups" in marker or "extras" in marker:
        message = f"`{package.name}` has a marker that requirements cannot say: `{marker:.80}`"
        raise LockstitchError(message, hint="name a platform: --platform linux/amd64")
    return _line(package.name, str(package.version), hashes, marker)
