"""Builds a project again in another world: fresh store, other folder, umask, zone, locale."""

import json
import os
import shutil
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lockstep import clock, environ, process
from lockstep.files import SKIPPED_FOLDERS
from lockstep.project.model import Project

__all__ = ["Timed", "elsewhere", "here"]

# A program of one line sets the umask, since a child takes it over from its parent.
_WITH_UMASK = (
    "import os,sys;os.umask(0o077);os.execv(sys.executable,[sys.executable,*sys.argv[1:]])"
)
_OTHER = {"TZ": "Asia/Kathmandu", "LC_ALL": "tr_TR.UTF-8", "LANG": "tr_TR.UTF-8"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Timed:
    """What `lockstep build --json` said of one image, and how long the whole process took."""

    document: dict[str, object]
    seconds: float


def here(project: Project, image: str) -> Timed:
    """Build an image where the project is, with the user's own store."""
    return _build([sys.executable], project.root, image, environ.child())


def elsewhere(project: Project, image: str) -> Timed:
    """Build an image from an emptied store, in a copy of the project in another folder.

    The umask is 077, the time zone Kathmandu's, the locale Turkish, HOME and the hash seed
    are others too.
    """
    with tempfile.TemporaryDirectory(prefix="lockstep-elsewhere-") as name:
        folder = Path(name).resolve()
        copy = folder / "a" / "deeper" / "folder"
        ignored = shutil.ignore_patterns(*sorted(SKIPPED_FOLDERS))
        shutil.copytree(project.root, copy, ignore=ignored, copy_function=shutil.copyfile)
        (folder / "home").mkdir()
        environment = environ.child(
            **_OTHER,
            HOME=str(folder / "home"),
            LOCKSTEP_CACHE=str(folder / "store"),
            LOCKSTEP_UV=str(process.find_uv()),
            PYTHONHASHSEED="4242",
            UV_CACHE_DIR=str(folder / "uv"),
            XDG_CACHE_HOME=str(folder / "cache"),
        )
        return _build([sys.executable, "-c", _WITH_UMASK], copy, image, environment)


def _build(start: Sequence[str], root: Path, image: str, environment: dict[str, str]) -> Timed:
    command = [*start, "-m", "lockstep", "build", image, "--json", "--project", os.fspath(root)]
    started = clock.monotonic()
    done = process.run(command, env=environment)
    seconds = clock.monotonic() - started
    return Timed(document=json.loads(done.stdout)[0], seconds=seconds)
