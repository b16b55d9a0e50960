"""Environments of mixtures: their interpreters, what each holds, how long they are kept."""

import os
import platform
import sys
from pathlib import Path

import pytest
from support import environments as fakes

from lockstitch import clock
from lockstitch.drift.bisect import environments
from lockstitch.drift.bisect.environments import Environments, Pythons
from lockstitch.drift.bisect.sides import Requirements, minor
from lockstitch.errors import LockstitchError, UsageError

OWN = platform.python_version()
WEEK = 7 * 24 * 3600


def made(kept: Environments, wanted: Requirements, *, age: float) -> Path:
    """Make an environment as it is when it was used so many seconds ago."""
    folder = fakes.make(kept.path(wanted))
    ready = folder / ".lockstitch-ready"
    ready.touch()
    used = clock.now() - age
    os.utime(ready, (used, used))
    bytecode = kept.root / "bytecode" / folder.relative_to("/")
    bytecode.mkdir(parents=True)
    return folder


def test_what_was_not_used_for_a_week_is_deleted(tmp_path: Path) -> None:
    kept = Environments(tmp_path)
    old = made(kept, Requirements(python="3.11", pins=("a==1",)), age=WEEK + 60)
    new = made(kept, Requirements(python="3.11", pins=("a==2",)), age=WEEK - 60)
    kept.sweep()
    assert (old.exists(), new.exists()) == (False, True)
    assert not (kept.root / "bytecode" / old.relative_to("/")).exists()
    assert (kept.root / "bytecode" / new.relative_to("/")).exists()


def test_one_that_is_used_is_made_no_more(tmp_path: Path) -> None:
    kept = Environments(tmp_path)
    wanted = Requirements(python="3.11", pins=("nowhere==1",))
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


# --- what every mixture holds


def test_a_wheel_for_every_mixture(tmp_path: Path) -> None:
    wheel = tmp_path / "My_Lib-1.0-py3-none-any.whl"
    wheel.write_bytes(b"1")
    one = environments.read_extra(wheel.name, tmp_path)
    assert (one.name, one.words) == ("my-lib", (f"my-lib @ {wheel.as_uri()}",))
    wheel.write_bytes(b"2")
    assert environments.read_extra(f"my_lib @ {wheel}", tmp_path).stamp != one.stamp
    address = environments.read_extra("x @ https://example.test/x-1.0-py3-none-any.whl", tmp_path)
    assert (address.name, address.stamp) == ("x", "")
    for wrong in ("mine", "mine @ .", "x @ nowhere.whl"):
        with pytest.raises(UsageError, match="--with"):
            environments.read_extra(wrong, tmp_path)


def test_the_project_itself(tmp_path: Path) -> None:
    assert environments.own_project(tmp_path) is None
    path = tmp_path / "pyproject.toml"
    path.write_text("[tool.x]\n")
    assert environments.own_project(tmp_path) is None
    path.write_text('[project]\nname = "My_App"\n')
    virtual = environments.own_project(tmp_path)
    assert virtual is not None
    assert (virtual.name, virtual.words) == ("my-app", ())
    path.write_text('[project]\nname = "My_App"\n[build-system]\nrequires = []\n')
    own = environments.own_project(tmp_path)
    assert own is not None
    assert own.words == ("--editable", str(tmp_path))


# --- interpreters


@pytest.mark.parametrize(
    ("version", "wanted"),
    [("3.11.7", "3.11"), ("3.11", "3.11"), ("3.13.1t", "3.13t"), ("3.13t", "3.13t")],
)
def test_minor(version: str, wanted: str) -> None:
    assert minor(version) == wanted


def test_this_one_and_those_that_are_known() -> None:
    found = Pythons({"3.99.1": "/env/bin/python"})
    assert found.path(OWN) == found.path(minor(OWN)) == sys.executable
    assert found.need("3.99.1") == "/env/bin/python"
    with pytest.raises(LockstitchError, match=r"Python 3\.98 is not available"):
        found.need("3.98")


@pytest.mark.parametrize(
    ("before", "after", "wanted"),
    [
        ("3.99.1", "3.99.2", ("3.99.1", "3.99.2")),
        ("3.99.1", "3.99.3", ("3.99.1", "3.99.1")),
        ("3.99.3", "3.99.2", ("3.99.2", "3.99.2")),
        ("3.98.3", "3.98.2", ("3.98", "3.98")),
        ("3.98.3", "3.99.2", ("3.98", "3.99.2")),
    ],
)
def test_two_versions(before: str, after: str, wanted: tuple[str, str]) -> None:
    assert Pythons({"3.99.1": "/one", "3.99.2": "/two"}).both(before, after) == wanted
