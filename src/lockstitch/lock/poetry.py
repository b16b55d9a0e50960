"""Calls to Poetry, for the projects whose lock is poetry.lock, and that lock's export."""

from collections.abc import Sequence
from pathlib import Path

from lockstitch import environ, files, process
from lockstitch.errors import LockstitchError
from lockstitch.lock import urls, uv
from lockstitch.lock.bases import Base
from lockstitch.python.locks import Pinned, poetry
from lockstitch.python.locks.pylock import Unbuilt
from lockstitch.python.model import ImageSpec, Project

LOCK = "poetry.lock"
_INSTALL = "uv tool install poetry; or lockstitch init --manager uv: uv locks the same versions"


def locks(project: Project) -> tuple[str, ...]:  # noqa: ARG001 -- it is the same for all
    """Return the name of its lock."""
    return (LOCK,)


def version() -> str:
    """Return `poetry X.Y.Z` of the Poetry that is called."""
    words = _poetry("--version").stdout.split()  # Poetry (version 2.5.1)
    return f"poetry {words[-1].rstrip(')')}" if words else "poetry"


def lock(project: Project, *, upgrade: Sequence[str] | None) -> None:
    """Bring poetry.lock up to date; `upgrade` names what is not kept, all when it is empty."""
    if upgrade:
        _poetry("update", "--lock", *upgrade, cwd=project.root)
    elif upgrade is not None:
        _poetry("lock", "--regenerate", cwd=project.root)
    elif _poetry("check", "--lock", cwd=project.root, check=False).code != 0:
        _poetry("lock", cwd=project.root)  # Poetry 2 keeps what still fits


def check(project: Project) -> None:
    """Raise LockstitchError when poetry.lock is missing or stale; needs no network."""
    done = _poetry("check", "--lock", cwd=project.root, check=False)
    if done.code != 0:
        output = (done.stderr or done.stdout).strip()
        message = f"`{LOCK}` does not fit pyproject.toml: {output:.500}"
        raise LockstitchError(message, hint="lockstitch lock")


def export_image(project: Project, image: ImageSpec, target: Path, bases: Sequence[Base]) -> None:
    """Write the PEP 751 lock of one image: poetry.lock's wheels, with addresses from the index."""
    text = files.read_text(project.root / LOCK)
    pinned, others = {}, {}
    for base in bases:
        machine = base.target()
        pins = poetry.select(text, machine, image.groups, image.extras, LOCK)
        known = urls.known(project.root, machine)
        wanted = [pin for pin in pins if isinstance(pin, Pinned)]
        wheels = [pin for pin in wanted if pin.is_wheel]
        pinned[base.platform] = urls.resolve(wheels, machine, project.root, known=known)
        others[base.platform] = [
            *(pin for pin in pins if isinstance(pin, Unbuilt)),
            *urls.sources((pin for pin in wanted if not pin.is_wheel), machine, project.root),
        ]
    files.write_text(target, urls.dumps(pinned, project.python, others))


def export_requirements(project: Project, target: Path) -> None:
    """Write all of the lock as requirements with hashes, for pip, uv and any Dockerfile."""
    files.write_text(target, poetry.requirements(files.read_text(project.root / LOCK), LOCK))


def sync(project: Project, image: ImageSpec, folder: Path) -> None:
    """Make an environment of exactly an image's packages, and of the project, editable."""
    uv.venv(project, folder)
    words = ["sync", "--only", ",".join(["main", *image.groups])]
    words += [word for extra in image.extras for word in ("--extras", extra)]
    _poetry(*words, cwd=project.root, VIRTUAL_ENV=str(folder), POETRY_VIRTUALENVS_CREATE="true")


def _poetry(
    *words: str, cwd: Path | None = None, check: bool = True, **changes: str
) -> process.Finished:
    program = process.find("poetry", hint=_INSTALL)
    # An activated environment is not the project's.
    environment = environ.child(**({"VIRTUAL_ENV": None} | changes))
    command: list[str | Path] = [program, "--no-interaction", "--no-ansi", *words]
    return process.run(command, cwd=cwd, env=environment, check=check)
