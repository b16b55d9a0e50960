"""Makes every lock of a project, and finds stale parts of them."""

import contextlib
import re
import shutil
import tempfile
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path

from lockstitch import files, services
from lockstitch.digest import Digest, of_bytes
from lockstitch.errors import LockstitchError, UsageError, nearest, raise_all
from lockstitch.lock import builder, external, inputs, manager, sources, uv
from lockstitch.lock import file as lock_file
from lockstitch.lock.bases import Base, Sources, pin
from lockstitch.lock.file import (
    REQUIREMENTS,
    Builder,
    BuiltWheel,
    Lock,
    LockedFile,
    LockedFolder,
    LockedService,
    pylock_name,
)
from lockstitch.net import credentials
from lockstitch.net.download import Download, Fetcher
from lockstitch.oci.registry.client import Client
from lockstitch.patterns import regex
from lockstitch.progress import Reporter, say
from lockstitch.python.locks import pylock
from lockstitch.python.locks.graph import holds
from lockstitch.python.locks.pylock import Unbuilt
from lockstitch.python.locks.resolution import LockedWheel
from lockstitch.python.model import Project, ServiceSpec
from lockstitch.python.names import normal
from lockstitch.python.tables import parse_toml, table, texts
from lockstitch.store import Store
from lockstitch.values import frozen, replace

_COMPILED = frozenset({"sdist", "archive", "git"})  # what is built of its source
_SIZED = regex(r'url = "([^"]+)", size = (\d{1,15})')


def make(
    project: Project,
    store: Store,
    fetcher: Fetcher,
    progress: Reporter,
    *,
    upgrade: Sequence[str] | None = None,
    client: Client | None = None,
) -> list[str]:
    """Write all locks and return the names of the files that changed.

    What is pinned and still fits is kept. `upgrade` names what changes to its newest version:
    packages, build requirements, or the base as pyproject.toml writes it; empty means all.
    Raises LockstitchError when a name is not locked, when something cannot be resolved or
    fetched, and for each password that a lock would hold.
    """
    try:
        before = lock_file.read(project.root)
    except LockstitchError as error:
        before = None
        if (project.root / lock_file.NAME).exists():
            say(f"warning: {error.message}; all of it is pinned anew")
    tool = manager.of(project)
    if tool is external:
        external.lock(project, upgrade=upgrade)  # before anything is fetched
    wanted = _wanted(project, before, upgrade)
    places = Sources(store=store, fetcher=fetcher, progress=progress, client=client or Client())
    bases = pin(project, before.bases if before else (), places, upgrade=wanted.base)
    if tool is uv:
        _refuse_other_platforms(project, bases)
    old = {name: _bytes(project.root / name) for name in (*tool.locks(project), "pyproject.toml")}
    with progress.task("lock Python packages", 0):
        tool.lock(project, upgrade=wanted.packages)
        _refuse_passwords(project, tool.locks(project), old)
    with progress.task("export the locks", 0):
        build = _build(project, before, wanted)
        exported = _export(project, tool, bases, fetcher)
        if tool is uv and uv.take_wheels(project, _fresh(project, bases, old)):
            exported |= _export(project, tool, bases, fetcher)
    folders = _folders(project, bases, before)
    builders = _builders(project, bases, before, places, upgrade=wanted.base)
    built = _built(project, bases, before, builders, places)
    changed = [name for name in old if _bytes(project.root / name) != old[name]]
    changed += [name for name, is_new in exported.items() if is_new]
    names = sorted({*tool.locks(project), *exported})
    lock = Lock(
        inputs=inputs.digest(project),
        tools=tuple(sorted({tool.version(), uv.version()} - {""})),
        python=project.python,
        base=project.base,
        files=tuple(
            LockedFile(path=name, digest=of_bytes((project.root / name).read_bytes()))
            for name in names
        ),
        build=build,
        bases=bases,
        folders=folders,
        built=built,
        builders=builders,
        services=_services(project, bases, before, wanted.moves, places),
        rendered=before.rendered if before else (),
    )
    text = lock_file.dumps(lock)
    if text.encode() != _bytes(project.root / lock_file.NAME):
        files.write_text(project.root / lock_file.NAME, text)
        changed.append(lock_file.NAME)
    return changed


_MOST = 32 << 20  # a larger file at the top is data, and linked


@contextlib.contextmanager
def rehearsal(project: Project) -> Iterator[Project]:
    """Yield the project in a temporary folder: its files at the top copied, its folders linked.

    What a lock is made from and what it writes stands at the top; of a member, at the top of the
    workspace too.
    """
    top = uv.workspace(project.root)
    with tempfile.TemporaryDirectory(prefix="lockstitch-rehearsal-") as name:
        folder = Path(name).resolve() / top.name
        _copy(top, folder)
        for part in project.root.relative_to(top).parts:
            top, folder = top / part, folder / part
            if folder.is_symlink():
                folder.unlink()
            _copy(top, folder)
        yield replace(project, root=folder)


def _copy(source: Path, folder: Path) -> None:
    folder.mkdir()
    for path in sorted(source.iterdir()):
        if files.is_skipped(path):
            continue
        if path.is_file() and path.stat().st_size <= _MOST:
            shutil.copyfile(path, folder / path.name)
        else:
            (folder / path.name).symlink_to(path)


def _services(
    project: Project,
    bases: tuple[Base, ...],
    before: Lock | None,
    moves: Callable[[str], bool],
    places: Sources,
) -> tuple[LockedService, ...]:
    """Return the services of the stack; images that would be the same are kept."""
    kept = (
        {service.name: service for service in before.services}
        if before and before.bases == bases
        else {}
    )
    locked = []
    for name in services.NAMES if project.stack.declared else ():
        requirements, service = services.digest(name), kept.get(name)
        if service is None or service.requirements != requirements:
            version = services.version(name)
            service = LockedService(name=name, version=version, requirements=requirements)
        locked.append(service)
    earlier = {service.name: service for service in before.services} if before else {}
    for own in (service for service in project.stack.services if _requires(project, service)):
        known = earlier.get(own.name)
        if known is None or known.requires != _requires(project, own) or moves(own.name):
            known = _of_debian(project, own, places) if own.debian else _own_service(project, own)
        locked.append(known)
    return tuple(locked)


def release(project: Project) -> str:
    """Return the release of Debian that services have their programs of."""
    kind, _, name = project.base.partition(":")
    return name if kind == "debian" else "bookworm"


def _requires(project: Project, own: ServiceSpec) -> tuple[str, ...]:
    """Return the requirements of a service of the project's own, as the lock has them."""
    return own.packages or tuple(f"{name} of debian:{release(project)}" for name in own.debian)


def _of_debian(project: Project, own: ServiceSpec, places: Sources) -> LockedService:
    """Return a service with its Debian packages pinned; raises LockstitchError."""
    from lockstitch.lock.bases.debian.selection import LIBRARIES, select

    chosen = [
        select(release(project), platform, LIBRARIES, places, own.debian, scripts_matter=False)
        for platform in project.platforms
    ]
    every = [p for selection in chosen for p in (*selection.packages, *selection.added.packages)]
    packages = tuple(dict.fromkeys(every))  # one that is of all architectures comes once
    return LockedService(
        name=own.name,
        version=next(p.version for p in packages if p.name == own.debian[0]),
        requirements=of_bytes("\n".join(p.digest.hex for p in packages).encode()),
        requires=_requires(project, own),
        debian=packages,
    )


def _own_service(project: Project, own: ServiceSpec) -> LockedService:
    """Return a service of the project's own with its packages pinned; raises LockstitchError."""
    pins = uv.compile_requirements(own.packages, project)
    first = next((line for line in pins if _name(line) == _name(own.packages[0])), pins[0])
    return LockedService(
        name=own.name,
        version=first.partition("==")[2].partition(" ")[0],
        requirements=of_bytes("\n".join(pins).encode()),
        requires=own.packages,
        packages=pins,
    )


@frozen
class _Wanted:
    """The changes that an upgrade makes."""

    everything: bool
    base: bool
    packages: Sequence[str] | None  # as Manager.lock takes it
    names: frozenset[str]

    def moves(self, name: str) -> bool:
        return self.everything or name in self.names


def _wanted(project: Project, before: Lock | None, upgrade: Sequence[str] | None) -> _Wanted:
    """Return the packages to upgrade; raises LockstitchError for each name that is not locked."""
    build = {_name(line) for line in (before.build if before else ())}
    pinned = (_bytes(project.root / REQUIREMENTS) or b"").decode("utf-8", "replace")
    packages = {_name(line) for line in pinned.splitlines() if re.match(r"\w", line)}
    problems = []
    names = {name if name == project.base else _name(name) for name in upgrade or ()}
    for name in sorted(names - build - packages - {project.base}):
        other = "lockstitch export requirements lists them"
        hint = nearest(name, sorted(build | packages), other)
        problems.append(UsageError(f"`{name}` is not locked, so it has no upgrade", hint=hint))
    raise_all(problems)
    everything = upgrade is not None and not upgrade
    moved = sorted(names & packages)
    return _Wanted(
        everything=everything,
        base=everything or project.base in names,
        packages=() if everything else moved or None,
        names=frozenset(names),
    )


def _name(requirement: str) -> str:
    """Return the normalised name (PEP 503) that a requirement starts with."""
    return normal(re.split(r"[^\w.-]", requirement.strip(), maxsplit=1)[0])


def _bytes(path: Path) -> bytes | None:
    return path.read_bytes() if path.exists() else None


def _refuse_other_platforms(project: Project, bases: Sequence[Base]) -> None:
    """Raise an error for each platform that uv is told to make no lock for."""
    text = files.read_text(project.root / "pyproject.toml")
    settings = table(parse_toml(text, "`pyproject.toml`", hint="correct that line"), "tool", "uv")
    listed = texts(settings.get("environments"))
    problems = []
    for base in bases if listed else ():
        markers = base.target().markers()
        if not any(holds(marker, markers, ()) for marker in listed):
            message = f"`environments` of [tool.uv] leaves out {base.platform}"
            hint = "add \"sys_platform == 'linux'\" to environments, then lockstitch lock"
            problems.append(LockstitchError(message, hint=hint))
    raise_all(problems)


def _refuse_passwords(
    project: Project, locks: Sequence[str], old: Mapping[str, bytes | None]
) -> None:
    """Put the locks back as they were, and raise an error for each password in the new ones."""
    texts = {name: files.read_text(project.root / name) for name in locks}
    problems = [e for name, text in texts.items() for e in credentials.passwords_in(text, name)]
    for name in locks if problems else ():
        before = old[name]
        if before is None:
            (project.root / name).unlink()
        else:
            files.write_bytes(project.root / name, before)
    raise_all(problems)


def _build(project: Project, before: Lock | None, wanted: "_Wanted") -> tuple[str, ...]:
    if not project.is_package:
        return ()
    kept = [line for line in (before.build if before else ()) if not wanted.moves(_name(line))]
    if before and kept and before.build == tuple(kept) and before.inputs == inputs.digest(project):
        return before.build
    return uv.of_build(project.build_requires or sources.LEGACY, project, kept)


def _export(
    project: Project, tool: manager.Manager, bases: tuple[Base, ...], fetcher: Fetcher
) -> dict[str, bool]:
    """Write the exports of the manager's lock; return whether each changed, by name, sorted."""
    changed = {}
    with tempfile.TemporaryDirectory() as folder:
        temporary = Path(folder)
        tool.export_requirements(project, temporary / REQUIREMENTS)
        for image in project.images:
            path = temporary / pylock_name(image.name)
            tool.export_image(project, image, path, bases)
            before = _bytes(project.root / path.name) or b""
            text = files.read_text(path)
            files.write_text(path, _sized(text, before.decode("utf-8", "replace"), bases, fetcher))
        for path in sorted(temporary.iterdir()):
            data = path.read_bytes()
            changed[path.name] = _bytes(project.root / path.name) != data
            if changed[path.name]:
                files.write_bytes(project.root / path.name, data)
    return changed


def _sized(text: str, before: str, bases: tuple[Base, ...], fetcher: Fetcher) -> str:
    """Return an image's lock with the sizes of wheels whose index says none, as PyTorch's do.

    Layers are cut by them. What the lock said before is kept, else the files' servers are asked.
    """
    urls: set[str] = set()
    for base in bases:
        with contextlib.suppress(LockstitchError):  # what has no wheel is said by `build`
            wheels = pylock.select(text, base.target(), "the export", built=Unbuilt.unfinished)
            urls |= {wheel.url for wheel in wheels if wheel.url and wheel.size is None}
    if not urls:
        return text
    kept = {url: int(size) for url, size in _SIZED.findall(before) if url in urls}
    for url, size in (kept | fetcher.sizes(sorted(urls - kept.keys()))).items():
        text = text.replace(f'url = "{url}", ', f'url = "{url}", size = {size}, ')
    return text


def _builders(
    project: Project,
    bases: tuple[Base, ...],
    before: Lock | None,
    places: Sources,
    *,
    upgrade: bool,
) -> tuple[Builder, ...]:
    """Return the packages of bases' compilers, none without sources; raises LockstitchError."""
    if project.builder == "host":
        return ()
    return tuple(
        builder.pin(
            base,
            project.build_packages,
            before.builder_for(base.platform) if before else None,
            places,
            upgrade=upgrade,
        )
        for base in bases
        if _without_wheel(project, base, _COMPILED)
    )


def _built(
    project: Project,
    bases: tuple[Base, ...],
    before: Lock | None,
    builders: tuple[Builder, ...],
    places: Sources,
) -> tuple[BuiltWheel, ...]:
    """Return a wheel for each package that images have only as source, kept where it fits.

    What was compiled by another builder than now is compiled again. Raises LockstitchError with
    every package that cannot be built.
    """
    same = before is not None and before.builders == builders
    kept = [w for w in (before.built if before else ()) if same or w.platform == "any"]
    by_platform = {item.platform: item for item in builders}
    built: dict[tuple[str, str], BuiltWheel] = {}
    problems: list[LockstitchError] = []
    for base in bases:
        place = sources.Place(
            root=project.root,
            store=places.store,
            target=base.target(),
            container=builder.of(project, base, by_platform.get(base.platform), places.store),
        )
        for unbuilt in _without_wheel(project, base, _COMPILED):
            fitting = (unbuilt.artifact, base.platform, place.target.minor)
            known = next((wheel for wheel in kept if wheel.fits(*fitting)), None)
            known = known or built.get((unbuilt.artifact, "any"))
            if known is None:
                title = f"build {unbuilt.name} {unbuilt.version}".strip()
                try:
                    archive = [download for download in (_archive(unbuilt),) if download]
                    if place.container:
                        archive += place.container.builder.downloads(base)
                    places.fetcher.fetch(archive, places.progress)
                    with places.progress.task(title, 0):
                        known = sources.build(unbuilt, place, _resolver(project))
                except LockstitchError as error:
                    for problem in error.everything():
                        if sources.PIN in problem.hint and unbuilt.version:
                            way = uv.with_wheel(project, unbuilt)
                            problem.hint = problem.hint.replace(sources.PIN, way or sources.PIN)
                        problems.append(problem)
                    continue
            built[unbuilt.artifact, known.platform] = known
    raise_all(problems)
    return tuple(sorted(built.values()))


def _fresh(
    project: Project, bases: tuple[Base, ...], old: Mapping[str, bytes | None]
) -> list[Unbuilt]:
    """Return the packages of an index that images need, have no wheel of, and had not before."""
    before = b"".join(filter(None, old.values())).decode(errors="replace")
    lines = '[[package]]\nname = "{}"\nversion = "{}"\n'
    unbuilt = {u.artifact: u for b in bases for u in _without_wheel(project, b, {"sdist", ""})}
    return [p for p in unbuilt.values() if lines.format(p.name, p.version) not in before]


def _folders(
    project: Project, bases: tuple[Base, ...], before: Lock | None
) -> tuple[LockedFolder, ...]:
    """Return the folders of the repository that images install, with what builds them."""
    wanted = {u.artifact: u for b in bases for u in _without_wheel(project, b, {"folder"})}
    kept = {folder.path: folder for folder in before.folders} if before else {}
    return tuple(
        sorted(
            sources.folder(s, project.root, _resolver(project, kept.get(s.artifact)))
            for s in wanted.values()
        )
    )


def _resolver(project: Project, kept: LockedFolder | None = None) -> sources.Resolve:
    before = kept.requires if kept else ()

    def resolve(requires: Sequence[str]) -> tuple[str, ...]:
        return uv.of_build(sorted({*requires, *project.build_extra}), project, before)

    return resolve


def _archive(unbuilt: Unbuilt) -> Download | None:
    if "://" not in unbuilt.url:
        return None
    digest = Digest.parse(unbuilt.artifact.partition("#")[0])
    size = unbuilt.size or None
    return Download(name=unbuilt.filename, url=unbuilt.url, digest=digest, size=size)


def _without_wheel(project: Project, base: Base, kinds: Collection[str]) -> list[Unbuilt]:
    """Return the packages of all images, of some kinds, that no wheel of the lock fits, sorted."""
    packages: dict[str, Unbuilt] = {}

    def collect(unbuilt: Unbuilt) -> LockedWheel | None:
        packages[unbuilt.artifact] = unbuilt
        return unbuilt.unfinished()

    for image in project.images:
        name = pylock_name(image.name)
        # What cannot be had at all is said by `build`, for the images that want it.
        with contextlib.suppress(LockstitchError):
            pylock.select(files.read_text(project.root / name), base.target(), name, built=collect)
    wanted = [package for package in packages.values() if package.kind in kinds]
    return sorted(wanted, key=lambda s: (s.name, s.version, s.artifact))


def stale(project: Project, lock: Lock) -> list[LockstitchError]:
    """Return an error for all that is stale about the locks; needs no network and no uv."""
    problems = []
    hint = "lockstitch lock"
    if inputs.digest(project) != lock.inputs:
        message = "the lock is stale: pyproject.toml has changed since it was made"
        problems.append(LockstitchError(message, hint=hint))
    tool = manager.of(project)
    wanted = {*tool.locks(project), *(pylock_name(image.name) for image in project.images)}
    wanted |= set() if tool is external else {REQUIREMENTS}
    problems += [
        LockstitchError(f"`{lock_file.NAME}` does not name `{name}`", hint=hint)
        for name in sorted(wanted - {file.path for file in lock.files})
    ]
    problems += _differing(project, lock.files, "locked", hint)
    return problems + stale_services(project, lock)


def _differing(
    project: Project, files: Sequence[LockedFile], done: str, hint: str
) -> list[LockstitchError]:
    """Return an error for each file whose bytes are not those that the lock names."""
    problems = []
    for file in files:
        data = _bytes(project.root / file.path)
        if data is None:
            what = ": it was rendered" if done == "rendered" else ""
            problems.append(LockstitchError(f"`{file.path}` is missing{what}", hint=hint))
        elif of_bytes(data) != file.digest:
            message = f"`{file.path}` is not the file that was {done}: wanted sha256 "
            message += f"{file.digest.short}…, found {of_bytes(data).short}…"
            force = " --force" if done == "rendered" else ""
            problems.append(LockstitchError(message, hint=hint + force))
    return problems


def current(project: Project) -> Lock:
    """Return the project's lock; raises LockstitchError where it is missing or stale."""
    lock = lock_file.read(project.root)
    raise_all(stale(project, lock))
    return lock


def stale_services(project: Project, lock: Lock) -> list[LockstitchError]:
    """Return an error for each service of the stack that the lock lacks, or has outdated."""
    wanted = services.NAMES if project.stack.declared else ()
    locked = {service.name: service for service in lock.services}
    problems = []
    for name in wanted:
        if name not in locked:
            message = f"`{lock_file.NAME}` does not name the service `{name}`"
        elif locked[name].requirements != services.digest(name):
            message = f"the service `{name}` is locked at {locked[name].version}, this lockstitch "
            same = locked[name].version == services.version(name)
            other = "another list of its packages" if same else services.version(name)
            message += f"comes with {other}"
        else:
            continue
        problems.append(LockstitchError(message, hint="lockstitch lock"))
    for own in project.stack.services:
        requires = _requires(project, own)
        if requires and (own.name not in locked or locked[own.name].requires != requires):
            message = f"`{lock_file.NAME}` does not pin `{', '.join(requires)}` of the service "
            message += f"`{own.name}`"
            problems.append(LockstitchError(message, hint="lockstitch lock"))
    return problems


def stale_rendered(project: Project, lock: Lock) -> list[LockstitchError]:
    """Return an error for each rendered file that has changed since; needs no network."""
    return _differing(project, lock.rendered, "rendered", "lockstitch export dockerfile")
