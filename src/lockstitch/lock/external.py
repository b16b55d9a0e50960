"""Locks that another tool writes: requirements files with hashes, and PEP 751 locks.

`tool.lockstitch.lock` names one for the project, an image's `lock` one for that image.
"""

from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from lockstitch import files
from lockstitch.errors import LockstitchError, raise_all
from lockstitch.lock import urls, uv
from lockstitch.lock.bases import Base
from lockstitch.progress import say
from lockstitch.python.locks import pylock, requirements
from lockstitch.python.model import ImageSpec, Project


def is_given(project: Project) -> bool:
    """Return whether pyproject.toml names locks of another tool."""
    return bool(project.lock or any(image.lock for image in project.images))


def locks(project: Project) -> tuple[str, ...]:
    """Return the names of the locks, and of the files that they name with `-r`."""
    named = {image.lock or project.lock for image in project.images} - {""}
    names = set(named)
    for name in named:
        if name.endswith(".txt") and (project.root / name).is_file():
            names.update(requirements.sources(project.root, name))
    return tuple(sorted(names))


def version() -> str:
    """Return an empty text: who wrote these locks is not known."""
    return ""


def lock(project: Project, *, upgrade: Sequence[str] | None) -> None:
    """Raise LockstitchError for what only the tool that writes these locks can do."""
    problems = []
    if upgrade is not None:
        names = ", ".join(f"`{name}`" for name in locks(project))
        message = f"{names}: written by another tool, which has to upgrade what they pin"
        hint = "uv pip compile --universal --generate-hashes --upgrade, then lockstitch lock"
        problems.append(LockstitchError(message, hint=hint))
    for image in project.images:
        name = image.lock or project.lock
        if not name:
            message = f"`tool.lockstitch.images.{image.name}` names no lock, other images do"
            problems.append(LockstitchError(message, hint='lock = "requirements.txt"'))
        elif not (project.root / name).is_file():
            message = f"the image `{image.name}` is locked by `{name}`, which is not there"
            hint = f"uv pip compile --universal --generate-hashes requirements.in -o {name}"
            problems.append(LockstitchError(message, hint=hint))
        elif name == f"pylock.{image.name}.toml":
            message = f"`{name}` is the file that lockstitch writes for the image `{image.name}`"
            problems.append(LockstitchError(message, hint="give your lock another name"))
    raise_all(problems)


def sync(project: Project, image: ImageSpec, folder: Path) -> None:
    """Make an environment of exactly an image's packages, and of the project, editable."""
    uv.sync_given(project, project.root / f"pylock.{image.name}.toml", folder)


def check(project: Project) -> None:
    """Do nothing: pyproject.toml says nothing about what these locks were made from."""


def export_requirements(project: Project, target: Path) -> None:
    """Write nothing: the locks are what any other tool reads."""


def export_image(project: Project, image: ImageSpec, target: Path, bases: Sequence[Base]) -> None:
    """Write an image's PEP 751 lock of wheels by platform; raises LockstitchError."""
    name = image.lock or project.lock
    text = files.read_text(project.root / name)
    is_pylock = PurePosixPath(name).suffix == ".toml"
    if not is_pylock and (image.groups or image.extras):
        message = f"`tool.lockstitch.images.{image.name}` has groups, and `{name}` knows none"
        hint = f'name a file of its own: lock = "requirements-{image.name}.txt"'
        raise LockstitchError(message, hint=hint)
    resolved = {}
    for base in bases:
        machine = base.target()
        if is_pylock:
            wheels = pylock.select(text, machine, name, groups=image.groups, extras=image.extras)
            resolved[base.platform] = [urls.without_credentials(wheel) for wheel in wheels]
        else:
            pins = requirements.pins(project.root, name, machine)
            known = urls.known(project.root, machine)
            resolved[base.platform] = urls.resolve(pins, machine, project.root, known=known)
    if not is_pylock:
        for note in requirements.ignored(text, name):
            say(f"note: {note}")
    files.write_text(target, urls.dumps(resolved, project.python))
