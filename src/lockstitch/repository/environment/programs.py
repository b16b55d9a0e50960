"""Finds a repository's virtual environment, and programs in it or on PATH."""

import os
import posixpath
import sys
from pathlib import Path

from lockstitch import process
from lockstitch.errors import LockstitchError
from lockstitch.repository.files import Repository


def virtual_environment(repo: Repository, folder: str = "") -> Path | None:
    """Return a folder's .venv; None when there is none, or when it came with the repository.

    It came with it when git tracks it or something in it, or when it is a link to another
    folder of the repository.
    """
    venv = posixpath.join(folder, ".venv")
    if not repo.is_folder(venv):
        return None
    if any(name == venv or name.startswith(f"{venv}/") for name in repo.tracked or ()):
        return None
    root, real = repo.root.resolve(), (repo.root / venv).resolve()
    return repo.root / venv if real == root / venv or not real.is_relative_to(root) else None


def program(repo: Repository, name: str, *, folder: str = "") -> Path | None:
    """Return a program: beside this Python, of a folder's .venv, or on PATH; None when absent.

    No program of an environment that may be part of the repository is run: of a tracked one, and
    of any where there is no git to tell.
    """
    places = [str(Path(sys.executable).parent)]
    venv = virtual_environment(repo, folder)
    if venv is not None and repo.tracked is not None:
        places += [str(venv / folder) for folder in ("bin", "Scripts")]
    for place in (*places, ""):
        try:
            # "" is PATH, but for what the repository itself has put there.
            outside = None if place else repo.root
            return process.find(os.path.join(place, name), hint="", outside=outside)  # noqa: PTH118 -- a text
        except LockstitchError:
            continue
    return None
