"""Makes every lock of a project, and says what is stale about the ones there are."""

import tempfile
from pathlib import Path

from lockstep import files
from lockstep.digest import of_bytes
from lockstep.errors import LockstepError
from lockstep.fetch import Fetcher
from lockstep.lock import debian, inputs, manager, uv
from lockstep.lock import file as lock_file
from lockstep.lock.debian import DebianBase
from lockstep.lock.file import Lock, LockedFile
from lockstep.progress import Reporter, say
from lockstep.project.model import Project
from lockstep.store import Store

__all__ = ["make", "pylock_name", "stale"]

_REQUIREMENTS = "requirements-lock.txt"


def pylock_name(image: str) -> str:
    """Return the name of an image's PEP 751 lock."""
    return f"pylock.{image}.toml"


def make(
    project: Project, store: Store, fetcher: Fetcher, progress: Reporter, *, upgrade: bool = False
) -> list[str]:
    """Write all locks and return the names of the files that changed.

    What is pinned and still fits is kept, unless `upgrade` is set.
    """
    try:
        before = lock_file.read(project.root)
    except LockstepError as error:
        before = None
        if (project.root / lock_file.NAME).exists():
            say(f"warning: {error.message}; all of it is pinned anew")
    bases = _bases(project, before, store, fetcher, progress, upgrade=upgrade)
    with progress.task("lock Python packages", 0):
        tool = manager.of(project)
        old = _bytes(project.root / tool.LOCK)
        tool.lock(project, upgrade=upgrade)
        changed = [] if _bytes(project.root / tool.LOCK) == old else [tool.LOCK]
        build = _build(project, before, upgrade=upgrade)
        changed += _export(project, tool, bases)
    names = [tool.LOCK, _REQUIREMENTS, *(pylock_name(image.name) for image in project.images)]
    lock = Lock(
        inputs=inputs.digest(project),
        manager=tool.version(),
        python=project.python,
        base=project.base,
        files=tuple(
            LockedFile(path=name, digest=of_bytes((project.root / name).read_bytes()))
            for name in names
        ),
        build=build,
        bases=bases,
    )
    old = _bytes(project.root / lock_file.NAME)
    text = lock_file.dumps(lock)
    if text.encode() != old:
        files.write_text(project.root / lock_file.NAME, text)
        changed.append(lock_file.NAME)
    return changed


def _bytes(path: Path) -> bytes | None:
    return path.read_bytes() if path.exists() else None


def _bases(
    project: Project,
    before: Lock | None,
    store: Store,
    fetcher: Fetcher,
    progress: Reporter,
    *,
    upgrade: bool,
) -> tuple[DebianBase, ...]:
    family, _, release = project.base.partition(":")
    if family != "debian" or not release:
        message = f"`{project.base}` is not a base that lockstep can lock"
        raise LockstepError(message, hint='base = "debian:bookworm" in [tool.lockstep]')
    found = []
    for platform in sorted(project.platforms):
        kept = _kept(before, platform, release, project.python)
        if kept is None or upgrade:
            fresh = debian.pin(
                release,
                platform,
                project.python,
                fetcher=fetcher,
                store=store,
                progress=progress,
            )
            # A list that is signed anew without another package must not move a digest.
            kept = kept if kept and kept.packages == fresh.packages else fresh
        found.append(kept)
    return tuple(found)


def _kept(before: Lock | None, platform: str, release: str, python: str) -> DebianBase | None:
    for base in before.bases if before else ():
        same_python = base.python.startswith(f"{python}.")
        if base.platform == platform and base.release == release and same_python:
            return base
    return None


def _build(project: Project, before: Lock | None, *, upgrade: bool) -> tuple[str, ...]:
    if not project.is_package:
        return ()
    if before and before.build and not upgrade and before.inputs == inputs.digest(project):
        return before.build
    requires = project.build_requires or ("setuptools>=40.8.0",)  # PEP 517's default backend
    return uv.compile_requirements(requires, project.python)


def _export(project: Project, tool: manager.Manager, bases: tuple[DebianBase, ...]) -> list[str]:
    changed = []
    with tempfile.TemporaryDirectory() as folder:
        temporary = Path(folder)
        tool.export_requirements(project, temporary / _REQUIREMENTS)
        for image in project.images:
            tool.export_image(project, image, temporary / pylock_name(image.name), bases)
        for path in sorted(temporary.iterdir()):
            data = path.read_bytes()
            if _bytes(project.root / path.name) != data:
                files.write_bytes(project.root / path.name, data)
                changed.append(path.name)
    return changed


def stale(project: Project, lock: Lock) -> list[LockstepError]:
    """Return everything about the locks that no longer fits; needs no network and no uv."""
    problems = []
    hint = "lockstep lock"
    if inputs.digest(project) != lock.inputs:
        message = "the lock is stale: pyproject.toml asks for something else than it was made from"
        problems.append(LockstepError(message, hint=hint))
    images = (pylock_name(image.name) for image in project.images)
    wanted = {manager.of(project).LOCK, _REQUIREMENTS, *images}
    problems += [
        LockstepError(f"`{lock_file.NAME}` does not name `{name}`", hint=hint)
        for name in sorted(wanted - {each.path for each in lock.files})
    ]
    for each in lock.files:
        data = _bytes(project.root / each.path)
        if data is None:
            problems.append(LockstepError(f"`{each.path}` is missing", hint=hint))
        elif of_bytes(data) != each.digest:
            message = f"`{each.path}` is not the file that was locked: wanted sha256 "
            message += f"{each.digest.short}…, found {of_bytes(data).short}…"
            problems.append(LockstepError(message, hint=hint))
    return problems
