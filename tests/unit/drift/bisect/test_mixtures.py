"""Environments of mixtures are kept while they are used, and deleted later."""

import os
from pathlib import Path

from support import environments

from lockstitch import clock
from lockstitch.drift.bisect.ends import Wanted
from lockstitch.drift.bisect.mixtures import Environments

WEEK = 7 * 24 * 3600


def made(kept: Environments, wanted: Wanted, *, age: float) -> Path:
    """Make an environment as it is when it was used so many seconds ago."""
    folder = environments.make(kept.path(wanted))
    ready = folder / ".lockstitch-ready"
    ready.touch()
    used = clock.now() - age
    os.utime(ready, (used, used))
    bytecode = kept.root / "bytecode" / folder.relative_to("/")
    bytecode.mkdir(parents=True)
    return folder


def test_what_nobody_used_for_a_week_is_deleted(tmp_path: Path) -> None:
    kept = Environments(tmp_path)
    old = made(kept, Wanted(python="3.11", pins=("a==1",)), age=WEEK + 60)
    new = made(kept, Wanted(python="3.11", pins=("a==2",)), age=WEEK - 60)
    kept.sweep()
    assert (old.exists(), new.exists()) == (False, True)
    assert not (kept.root / "bytecode" / old.relative_to("/")).exists()
    assert (kept.root / "bytecode" / new.relative_to("/")).exists()


def test_one_that_is_used_is_made_no_more(tmp_path: Path) -> None:
    kept = Environments(tmp_path)
    wanted = Wanted(python="3.11", pins=("nowhere==1",))
    folder = made(kept, wanted, age=WEEK + 60)
    assert kept.make(wanted) == folder  # no index has it: uv was not asked
    kept.sweep()
    assert folder.exists()


def test_the_variables_are_those_of_an_activated_environment(tmp_path: Path) -> None:
    found = Environments(tmp_path).variables(tmp_path / "env")
    path = found["PATH"]
    assert path is not None
    assert path.split(os.pathsep)[0] == str(tmp_path / "env" / "bin")
    assert found["VIRTUAL_ENV"] == str(tmp_path / "env")
    assert (found["PYTHONPATH"], found["PYTHONHOME"]) == (None, None)
