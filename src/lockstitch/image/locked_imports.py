"""Holds the imports of images against their locks, before anything is downloaded or built."""

import contextlib
import os
import zipfile
from typing import IO, cast

from lockstitch import files, threads
from lockstitch.digest import of_bytes
from lockstitch.errors import LockstitchError, raise_all
from lockstitch.image.imports import Modules, Start, modules_of, remember, remembered
from lockstitch.image.plan import Prepared, wheels_of
from lockstitch.lock.bases import Base
from lockstitch.lock.file import Lock, pylock_name
from lockstitch.net.download import Fetcher
from lockstitch.python.imports import Reach
from lockstitch.python.locks.resolution import LockedWheel
from lockstitch.python.model import ImageSpec, Project
from lockstitch.python.names import modules_named
from lockstitch.store import Store

_PLACES = ("src", "", "lib", "python")  # of a project's packages


def check(project: Project, lock: Lock, store: Store, fetcher: Fetcher, *, is_new: bool) -> None:
    """Raise LockstitchError for what the start of each image certainly imports and lacks.

    A package is taken to have the modules of its name. Where these do not settle it, the lists
    of files are read of wheels that the store lacks, from the ends of their zips. Of a lock that
    `is_new`, the imports of packages that the store has are followed too.
    """
    problems: dict[str, LockstitchError] = {}
    for spec in project.images:
        for platform in project.platforms if spec.command else ():
            try:
                prepared = _prepared(project, lock, spec, lock.base_for(platform), store)
                if prepared:
                    _check(project, prepared, store, fetcher, is_new=is_new)
            except LockstitchError as error:
                for problem in error.everything():
                    problems.setdefault(problem.message, problem)
    raise_all([*problems.values()])


def _prepared(
    project: Project, lock: Lock, spec: ImageSpec, base: Base, store: Store
) -> Prepared | None:
    """Return an image's wheels and files; None where a wheel is missing, which a build says."""
    text = files.read_text(project.root / pylock_name(spec.name))
    try:
        wheels = wheels_of(text, spec, base, project, lock, store)
    except LockstitchError:
        return None
    return Prepared(
        spec=spec,
        base=base,
        wheels=tuple(wheels),
        files=tuple(files.find_files(project.root, spec.include)),
        created=0,
        lock=of_bytes(text.encode()),
    )


def _check(
    project: Project, prepared: Prepared, store: Store, fetcher: Fetcher, *, is_new: bool
) -> None:
    wheels = prepared.wheels
    own = _own(project) if project.is_package and not prepared.spec.package else None
    start = Start.of(project, prepared, own)
    known = {wheel: remembered(wheel.digest, store) for wheel in wheels}
    likely = [modules or _named(wheel) for wheel, modules in known.items()]
    certain = [lead for lead in start.lacking(likely) if lead.reach is Reach.CERTAIN]
    missing = [wheel for wheel, modules in known.items() if modules is None]
    if not certain and (missing or not is_new):
        return
    threads.run(missing, lambda wheel: _read(wheel, store, fetcher), parallel=8)
    read = [remembered(wheel.digest, store) for wheel in wheels]
    if None not in read:
        start.check([*filter(None, read)], store)


def _read(wheel: LockedWheel, store: Store, fetcher: Fetcher) -> None:
    """Remember what a wheel brings, by the directory of its zip alone; nothing where that fails."""
    with contextlib.suppress(LockstitchError, zipfile.BadZipFile, OSError, ValueError):
        if wheel.url:
            remember(wheel.digest, modules_of(cast("IO[bytes]", fetcher.open(wheel.url))), store)


def _named(wheel: LockedWheel) -> Modules:
    """Return the modules that a wheel has by its name."""
    tops = frozenset(modules_named(wheel.name))
    return Modules(tops=tops, spaces={}, programs={})


def _own(project: Project) -> Modules:
    """Return the modules that the project's own wheel may bring, by its folders."""
    tops: set[str] = set()
    for place in _PLACES:
        with contextlib.suppress(OSError), os.scandir(project.root / place) as entries:
            for entry in entries:
                if entry.name.endswith(".py"):
                    tops.add(entry.name.removesuffix(".py"))
                elif entry.is_dir() and entry.name.isidentifier() and place != entry.name:
                    tops.add(entry.name)
    return Modules(tops=frozenset(tops), spaces={}, programs={})
