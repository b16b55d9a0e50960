"""Locked packages in the forms that other programs read; needs no network."""

from collections.abc import Collection, Iterable, Mapping, Sequence

from lockstitch import files, threads
from lockstitch.digest import Digest
from lockstitch.errors import LockstitchError
from lockstitch.lock import poetry, sbom, sources, urls, uv
from lockstitch.lock.file import Lock, created, pylock_name
from lockstitch.lock.sbom import NO_FACTS, PackageFacts
from lockstitch.python import declared, locks
from lockstitch.python.locks import LockedWheel, Package, pylock
from lockstitch.python.model import ImageSpec, Project
from lockstitch.python.target import Target
from lockstitch.store import Store, default_root
from lockstitch.values import frozen

_ALL = "requirements-lock.txt"


def requirements_of_all(project: Project, lock: Lock) -> str:
    """Return the whole lock as hashed requirements, or raise LockstitchError where none are."""
    if _ALL not in {file.path for file in lock.files}:
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
        wheels = _wheels(project, lock, spec, target)
        where = f"{platform}, CPython {target.minor}"
        return _dumps(name, where, [_line(w.name, w.version, [w.digest.hex]) for w in wheels]), []
    parsed = locks.read(name, files.read_text(project.root / name))
    lines = threads.in_turn(parsed.packages, _universal)
    where = " or ".join(sorted(f"({_marker(environment)})" for environment in parsed.environments))
    note = f"`{name}` is not for every machine; it is for: {where}"
    return _dumps(name, where, lines), [note] if where else []


def pylock_of(project: Project, lock: Lock, spec: ImageSpec, platform: str = "") -> str:
    """Return an image's PEP 751 lock unchanged, or with one platform's wheels only."""
    if not platform:
        return files.read_text(project.root / pylock_name(spec.name))
    target = _target(lock, platform)
    return urls.dumps({platform: _wheels(project, lock, spec, target)}, target.minor)


@frozen
class Known:
    """The facts of an image that its build passes on, so that the locks are not read again."""

    digest: Digest  # of the manifest
    facts: Mapping[str, PackageFacts]  # of wheels and Debian packages, by their hex digests
    project_wheel: Digest | None  # which facts are those of first-party code
    wheels: Sequence[LockedWheel]
    edges: Mapping[str, Collection[str]] | None  # as `needs` returns it


def bill(
    project: Project, lock: Lock, spec: ImageSpec, platform: str, known: Known | None = None
) -> str:
    """Return an image's bill of materials for a platform, as CycloneDX 1.6.

    `known` is what is known of an image that is built. Raises LockstitchError when the lock has
    no base or no wheels for the platform.
    """
    target, base = _target(lock, platform), lock.base_for(platform)
    if known:
        wheels = [urls.without_credentials(wheel) for wheel in known.wheels]
        facts, edges = known.facts, known.edges
    else:
        wheels = _wheels(project, lock, spec, target)
        facts, edges = {}, needs(project, spec, target)

    def of(package: Digest | None) -> PackageFacts:
        return facts.get(package.hex if package else "", NO_FACTS)

    packages = {
        w.name: sbom.python(w.name, w.version, w.digest, w.url, of(w.digest)) for w in wheels
    }
    system = base.components(facts)
    named = {"lockstitch:platform": platform, "lockstitch:python": base.python}
    digest = known.digest if known else None
    subject = sbom.image(project.name, project.version, spec.name, digest=digest, properties=named)
    code = sbom.project(project.name, project.version, of(known.project_wheel if known else None))
    first = [code] if project.is_package else []
    refs = {name: component.ref for name, component in packages.items()}
    graph: dict[str, list[str]] = {}
    direct = sorted(refs)
    if edges is not None:
        graph = {refs[n]: [refs[e] for e in edges[n] if e in refs] for n in refs if n in edges}
        direct = sorted(name for name in edges[""] if name in refs)
    asks = first[0].ref if first else subject.ref
    graph[subject.ref] = [*(part.ref for part in first), *(part.ref for part in system)]
    graph[asks] = [*graph.get(asks, []), *(refs[name] for name in direct)]
    document = sbom.document(
        subject, [*first, *packages.values(), *system], graph, created=created(wheels, base)
    )
    return sbom.dumps(document)


def needs(project: Project, spec: ImageSpec, target: Target) -> dict[str, set[str]] | None:
    """Return the names that each package needs on a target, and under "" those of the image.

    Returns None when no lock says it. What cannot be read is left out: it only explains what is
    chosen already.
    """
    names = (*uv.locks(project), poetry.LOCK)
    path = next((p for n in names if (p := project.root / n).is_file()), None)
    if spec.lock or project.lock or path is None:
        return None
    environment = target.markers()

    def holds(marker: str, extras: Collection[str]) -> bool:
        try:
            return locks.holds(marker, environment, extras)
        except LockstitchError:
            return True

    graph = locks.read(path.name, files.read_text(path), problems=[])
    if graph.kind == "uv":
        walk = locks.walk(graph, holds, spec.groups, spec.extras)
        return {"": set(walk.direct)} | {name: {*needed} for name, needed in walk.needs.items()}
    edges = {"": declared.names(project.document, spec.groups, spec.extras)}
    for package in graph.packages:
        direct = edges.setdefault(package.name, set())
        direct |= {e.name for e in package.dependencies if not e.optional and holds(e.marker, ())}
    return edges


def _target(lock: Lock, platform: str) -> Target:
    return lock.base_for(platform).target()


def _wheels(project: Project, lock: Lock, spec: ImageSpec, target: Target) -> list[LockedWheel]:
    name = pylock_name(spec.name)
    built = sources.built_for(lock, target, project.root, Store(default_root()))
    wheels = pylock.select(files.read_text(project.root / name), target, name, built=built)
    return [urls.without_credentials(wheel) for wheel in wheels]


# --- requirements


def _dumps(source: str, where: str, lines: Sequence[str]) -> str:
    head = [f"# From `{source}`, which `lockstitch lock` wrote; install it with --require-hashes."]
    head += [f"# It is for: {where}"] if where else []
    # By name: the order of the lock must not reach the bytes.
    return "\n".join([*head, *sorted(lines)]) + "\n"


def _line(name: str, version: str, hashes: Iterable[str], marker: str = "") -> str:
    text = f"{name}=={version}" + (f" ; {marker}" if marker else "")
    return " \\\n".join([text, *(f"    --hash=sha256:{digest}" for digest in sorted(set(hashes)))])


def _universal(package: Package) -> str:
    if not package.files or not package.version:
        message = f"`{package.name}` is no package of an index: requirements cannot pin it by hash"
        hint = "publish its wheel in an index and depend on that version: uv build --wheel"
        raise LockstitchError(message, hint=hint)
    for file in package.files:
        if not file.sha256:
            message = f"`{file.name}` has no sha256 in the lock"
            hint = "lock it from an index that gives sha256: lockstitch lock"
            raise LockstitchError(message, hint=hint)
    marker = _marker(package.marker)
    if "dependency_groups" in marker or "extras" in marker:
        message = f"`{package.name}` has a marker that requirements cannot say: `{marker:.80}`"
        raise LockstitchError(message, hint="name a platform: --platform linux/amd64")
    return _line(package.name, package.version, [file.sha256 for file in package.files], marker)


def _marker(marker: str) -> str:
    from packaging.markers import Marker

    return str(Marker(marker)) if marker else ""
