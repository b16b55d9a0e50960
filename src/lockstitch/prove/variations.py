"""Environments that vary what must not matter: umask, user, time zone, locale, folder, clock.

`variations.toml` lists the variations of a build and of a training.
"""

import functools
import json
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from lockstitch import clock, environ, files, process
from lockstitch.errors import LockstitchError
from lockstitch.python.model import Project
from lockstitch.resources import load_table
from lockstitch.store import Store, default_root
from lockstitch.values import field, frozen

_PROGRAM = Path(__file__).parents[1] / "runtime" / "varied.py"
_DAY = 24
_MODULE = __name__.partition(".")[0]  # as in `python -m lockstitch`
VARIABLE = "LOCKSTITCH_VARIED"
_FLAGS = ("folder", "home", "store", "times", "locale", "clean", "warm")
# What programs themselves need, and what picks kernels, as processors do, which are varied by
# themselves; of a user's own there is nothing.
_NEEDED = re.compile(
    r"PATH|HOME|USER|LOGNAME|USERNAME|SHELL|TERM|COLUMNS|LINES|TZ|TMPDIR|VIRTUAL_ENV|HOSTNAME|LANG"
    r"|(LC|PYTHON|LOCKSTITCH|XDG|LD|CUDA|NVIDIA|SSL|LOC|DYLD|FAKETIME)(_?[A-Z0-9_]*)"
    r"|(OPENBLAS|NVPL|GOTO|BLIS|MKL|OMP|KMP|NPY)_[A-Z0-9_]*|[A-Z]+_NUM_THREADS|(?i:[a-z]+_proxy)|SYSTEMROOT|COMSPEC"
)
_FAKETIME = ("/usr/lib/*/faketime/libfaketimeMT.so.1", "/usr/lib*/faketime/libfaketimeMT.so.1")


@frozen
class Variation:
    """One way in which an environment is varied; variations.toml explains the fields."""

    name: str
    env: Mapping[str, str] = field(default_factory=dict)
    unset: Sequence[str] = ()
    process: Mapping[str, Any] = field(default_factory=dict)
    folder: bool = False
    home: bool = False
    store: bool = False
    root_only: bool = False
    slow: bool = False
    hardware: bool = False
    times: bool = False
    locale: bool = False
    clean: bool = False
    warm: bool = False
    cold: bool = False
    joint: bool = False
    note: str = ""


@functools.cache
def _listed() -> dict[str, tuple[Variation, ...]]:
    tables = load_table(__package__, "variations.toml")
    return {kind: tuple(Variation(**row) for row in rows) for kind, rows in tables.items()}


def of_build() -> tuple[Variation, ...]:
    """Return the variations that must not change an image."""
    return _listed()["build"]


def of_training() -> tuple[Variation, ...]:
    """Return the variations that must not change a model."""
    return _listed()["training"]


def together(variations: Sequence[Variation], name: str) -> Variation:
    """Return all variations at once; of two that set the same, the later counts."""
    env: dict[str, str] = {}
    settings: dict[str, Any] = {}
    flags: dict[str, Any] = {
        flag: any(getattr(variation, flag) for variation in variations) for flag in _FLAGS
    }
    for variation in variations:
        env |= variation.env
        settings |= variation.process
    return Variation(
        name=name,
        env=env,
        unset=[variable for variation in variations for variable in variation.unset],
        process=settings,
        **flags,
    )


def needed(env: Mapping[str, str], own: Collection[str]) -> dict[str, str]:
    """Return the variables that programs themselves need, and those of `own` names."""
    return {n: text for n, text in env.items() if n in own or _NEEDED.fullmatch(n)}


def locale(name: str, scratch: Path) -> dict[str, str]:
    """Return the variables of a locale, which is made below `scratch` where it is missing.

    Debian has only C until somebody makes others. Without its sources there are no variables.
    """
    known = process.run(["locale", "-a"], check=False).stdout if process.is_there("locale") else ""
    if name.lower().replace("-", "") in known.lower().replace("-", ""):
        return {}
    target = scratch / "locale" / name
    path = target / "LC_NUMERIC"
    if not path.exists() and process.is_there("localedef"):
        target.parent.mkdir(parents=True, exist_ok=True)
        source, _, charset = name.partition(".")
        process.run(["localedef", "-i", source, "-f", charset, target], check=False)
    return {"LOCPATH": str(target.parent)} if path.exists() else {}


def clock_of(settings: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """Return settings and variables that shift the clock: by libfaketime where that is installed.

    It shifts what every program asks. Else Python's own functions are shifted. An hour is of the
    same day: later before noon, and earlier after it.
    """
    rest = {name: setting for name, setting in settings.items() if name not in {"clock", "hours"}}
    hours = settings.get("hours", 0)
    later = clock.hour() + hours < _DAY
    seconds = settings.get("clock", 0) + (hours if later else -hours) * 3600
    if not seconds:
        return rest, {}
    library = next((path for glob in _FAKETIME for path in sorted(Path("/").glob(glob[1:]))), None)
    if library is None:
        return {**rest, "clock": seconds}, {}
    # The times of files are data, and what takes how long stays as it is.
    return rest, {
        "LD_PRELOAD": str(library),
        "FAKETIME": f"{seconds:+d}",
        "NO_FAKE_STAT": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }


# --- environments


@frozen
class Environment:
    """A project's folder and the variables that its programs get."""

    root: Path
    env: Mapping[str, str]


def here(root: Path) -> Environment:
    """Return the environment of this process for a project's folder."""
    return Environment(root=root, env=environ.child(**{VARIABLE: None}))


def varied(root: Path, variation: Variation, scratch: Path) -> Environment:
    """Return a varied environment for a project; what it needs is made below `scratch`.

    Without an empty store, downloads come from the user's own, and every layer is rebuilt.
    """
    scratch = scratch.resolve()
    where = scratch / "a" / "deeper folder" / "other-name"
    place = files.copied(root, where) if variation.folder else root
    store = scratch / "store"
    changes: dict[str, str | None] = {
        **variation.env,
        **dict.fromkeys(variation.unset),
        "LOCKSTITCH_CACHE": str(store),
        "LOCKSTITCH_UV": str(process.find_uv()),
        VARIABLE: json.dumps(dict(variation.process), sort_keys=True),
    }
    if variation.store:
        changes |= {"UV_CACHE_DIR": str(scratch / "uv"), "XDG_CACHE_HOME": str(scratch / "cache")}
    else:
        _lend(Store(default_root()), Store(store))
    if variation.home:
        (scratch / "home").mkdir(parents=True, exist_ok=True)
        changes["HOME"] = str(scratch / "home")
    if "uid" in variation.process:
        _give(scratch, variation.process["uid"])
    return Environment(root=place, env=environ.child(**changes))


def _lend(own: Store, other: Store) -> None:
    """Link or copy the blobs of one store into another."""
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
    """Make another user the owner of all files below a folder, except links to the store."""
    folder.parent.chmod(folder.parent.stat().st_mode | 0o011)
    for place, folders, names in os.walk(folder):
        for name in (*folders, *names):
            path = Path(place, name)
            if path.stat().st_nlink == 1 or path.is_dir():
                os.chown(path, uid, uid)
    os.chown(folder, uid, uid)


def lockstitch(environment: Environment, words: Sequence[str]) -> process.Finished:
    """Run a command of lockstitch in an environment, and return how it ended, well or not."""
    command: list[str | Path] = [sys.executable, _PROGRAM, _MODULE, *words]
    command += ["--project", environment.root]
    return process.run(command, cwd=environment.root, env=environment.env, check=False)


def user_can_run(uid: int) -> bool:
    """Return whether a user may run this Python and this lockstitch, which root's HOME may hide."""
    env = environ.child(**{VARIABLE: json.dumps({"uid": uid})})
    done = process.run([sys.executable, _PROGRAM, _MODULE, "build", "--help"], env=env, check=False)
    return done.code == 0


# --- timed builds, for `lockstitch self demo`


@frozen
class Timed:
    """The JSON of `lockstitch build` of one image, and the seconds of the whole process."""

    document: dict[str, object]
    seconds: float


def timed_here(project: Project, image: str) -> Timed:
    """Build an image in place with the user's store; raises LockstitchError when that fails."""
    return _build(here(project.root), image)


def timed_elsewhere(project: Project, image: str) -> Timed:
    """Build an image from an empty store, varied, as this user; raises LockstitchError."""
    other = together(
        [variation for variation in of_build() if not variation.slow], "all variations"
    )
    with tempfile.TemporaryDirectory(prefix="lockstitch-varied-") as name:
        return _build(varied(project.root, other, Path(name)), image)


def _build(environment: Environment, image: str) -> Timed:
    started = clock.monotonic()
    done = lockstitch(environment, ["build", image, "--json"])
    seconds = clock.monotonic() - started
    if done.code != 0:
        message = f"`{image}` could not be built\n{done.stderr.strip()}"
        raise LockstitchError(message, hint=f"lockstitch build {image}")
    return Timed(document=json.loads(done.stdout)[0], seconds=seconds)
