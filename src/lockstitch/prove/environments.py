"""Runs lockstitch, or a project's program, in a world that a variation describes."""

import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lockstitch import environ, process
from lockstitch.files import SKIPPED_FOLDERS
from lockstitch.prove.variation import Variation
from lockstitch.store import Store, default_root

__all__ = ["VARIABLE", "World", "copied", "enter", "entered_by", "environment", "lockstitch"]

_PROGRAM = Path(__file__).parents[1] / "runtime" / "varied.py"
_MODULE = __name__.partition(".")[0]  # as in `python -m lockstitch`
VARIABLE = "LOCKSTITCH_VARIED"


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """A project's folder and the variables that its programs get."""

    root: Path
    env: Mapping[str, str]


def copied(root: Path, target: Path) -> Path:
    """Copy a project's files without environments and caches; modes and times are new ones."""
    ignored = shutil.ignore_patterns(*sorted(SKIPPED_FOLDERS))
    shutil.copytree(root, target, ignore=ignored, copy_function=shutil.copyfile)
    return target


def enter(root: Path, variation: Variation, scratch: Path) -> World:
    """Return the world of a variation for a project; what it needs is made below `scratch`.

    Without an empty store, downloads are taken from the user's own, and every layer is made
    again: the store has no records.
    """
    import json

    scratch = scratch.resolve()
    where = scratch / "a" / "deeper folder" / "other-name"
    place = copied(root, where) if variation.folder else root
    store = scratch / "store"
    changes: dict[str, str | None] = {
        **variation.env,
        "LOCKSTITCH_CACHE": str(store),
        "LOCKSTITCH_UV": str(process.find_uv()),
        VARIABLE: json.dumps(dict(variation.world), sort_keys=True),
    }
    if variation.store:
        changes |= {"UV_CACHE_DIR": str(scratch / "uv"), "XDG_CACHE_HOME": str(scratch / "cache")}
    else:
        _lend(Store(default_root()), Store(store))
    if variation.home:
        (scratch / "home").mkdir(parents=True, exist_ok=True)
        changes["HOME"] = str(scratch / "home")
    if "uid" in variation.world:
        _give(scratch, variation.world["uid"])
    return World(root=place, env=environ.child(**changes))


def _lend(own: Store, other: Store) -> None:
    """Let the blobs of one store stand in another, without a copy where that can be."""
    source = own.root / "blobs"
    if not source.exists():
        return
    for path in sorted(source.glob("*/*")):
        target = other.root / "blobs" / path.parent.name / path.name
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(path, target)
        except OSError:  # another file system, or one without hard links
            shutil.copyfile(path, target)


def _give(folder: Path, uid: int) -> None:
    """Let another user own what is below a folder, links to the user's own store left out."""
    folder.parent.chmod(folder.parent.stat().st_mode | 0o011)
    for place, folders, names in os.walk(folder):
        for name in (*folders, *names):
            path = Path(place, name)
            if path.stat().st_nlink == 1 or path.is_dir():
                os.chown(path, uid, uid)
    os.chown(folder, uid, uid)


def environment() -> dict[str, str]:
    """Return this world's variables."""
    return environ.child(**{VARIABLE: None})


def lockstitch(world: World, words: Sequence[str]) -> process.Finished:
    """Run a command of lockstitch in a world, and return how it ended, well or not."""
    command: list[str | Path] = [sys.executable, _PROGRAM, _MODULE, *words]
    command += ["--project", world.root]
    return process.run(command, cwd=world.root, env=world.env, check=False)


def entered_by(uid: int) -> bool:
    """Return whether a user may run this Python and this lockstitch, which root's HOME may hide."""
    import json

    env = environ.child(**{VARIABLE: json.dumps({"uid": uid})})
    done = process.run([sys.executable, _PROGRAM, _MODULE, "--version"], env=env, check=False)
    return done.code == 0
