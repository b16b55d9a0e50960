"""The same project gives the same bytes in any world; one thing is changed at a time."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from support import projects
from support.world import World, seed

from lockstitch.oci.layout import Layout

pytestmark = pytest.mark.slow


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """How a world differs from the first one."""

    variables: dict[str, str] = field(default_factory=dict)
    umask: int = 0o022
    depth: str = "tiny"
    copy: Callable[[Path, Path], object] = shutil.copytree
    cold: bool = False  # a store with nothing in it
    before: tuple[str, ...] = ()  # images that are built first


def copy_backwards(source: Path, target: Path) -> None:
    """Make the files in another order, at other times, with other modes for group and others."""
    found = sorted((p for p in source.rglob("*") if p.is_file()), reverse=True)
    for number, path in enumerate(found):
        made = target / path.relative_to(source)
        made.parent.mkdir(parents=True, exist_ok=True)
        made.write_bytes(path.read_bytes())
        made.chmod(0o600 | (path.stat().st_mode & 0o100))
        os.utime(made, (number * 1_000_003, number * 1_000_003))


CHANGES = {
    "a deeper folder": Change(depth="a/b c/ü/other-name"),
    "another umask": Change(umask=0o077, cold=True),
    "another time zone": Change(variables={"TZ": "Pacific/Kiritimati"}),
    "no locale": Change(variables={"LC_ALL": "C", "LANG": "C", "PYTHONUTF8": "0"}),
    "a hash seed": Change(variables={"PYTHONHASHSEED": "1"}),
    "another home": Change(variables={"HOME": "/nonexistent", "USER": "other"}),
    "two workers": Change(variables={"LOCKSTITCH_JOBS": "2"}, cold=True),
    "files in another order": Change(copy=copy_backwards),
    "an optimised interpreter": Change(variables={"PYTHONOPTIMIZE": "2"}),
    "images in another order": Change(before=("train",)),
}


@dataclass(frozen=True, slots=True)
class First:
    """The first world: its project, its layout and its downloads."""

    project: Path
    layout: Path
    blobs: Path


def run(root: Path, *words: str, python: str = sys.executable, umask: int = 0o022) -> None:
    done = subprocess.run(
        [python, "-m", "lockstitch", *words, "--quiet"],
        cwd=root,
        umask=umask,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def tree(layout: Path) -> dict[str, bytes]:
    return {
        path.relative_to(layout).as_posix(): path.read_bytes()
        for path in sorted(layout.rglob("*"))
        if path.is_file() and path.suffix != ".lock"
    }


@pytest.fixture(scope="module")
def first(shared_world: World, uv_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> First:
    folder = tmp_path_factory.mktemp("first")
    root = projects.write(folder / "tiny")
    (root / "app" / "run.sh").write_text("#!/bin/sh\n")
    (root / "app" / "run.sh").chmod(0o755)
    with pytest.MonkeyPatch.context() as patch:
        shared_world.enter(patch)
        patch.setenv("LOCKSTITCH_CACHE", str(folder / "store"))
        patch.setenv("UV_CACHE_DIR", str(uv_cache))
        patch.setenv("UV_PYTHON", sys.executable)
        patch.setenv("LOCKSTITCH_JOBS", "1")
        patch.delenv("SOURCE_DATE_EPOCH", raising=False)
        run(root, "lock")
        run(root, "build", "--layout", str(folder / "images"))
    return First(root, folder / "images", folder / "store")


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_world(
    change: Change, first: First, online: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / change.depth
    change.copy(first.project, root)
    if not change.cold:  # only downloads and the backend: every layer is made again
        seed(first.blobs, Path(os.environ["LOCKSTITCH_CACHE"]))
    for name, value in change.variables.items():
        monkeypatch.setenv(name, value)
    for image in change.before:
        run(root, "build", image, "--layout", str(tmp_path / "images"))
    run(root, "build", "--layout", str(tmp_path / "images"), umask=change.umask)
    assert Layout(tmp_path / "images").names() == ["serve", "train"]
    assert tree(tmp_path / "images") == tree(first.layout)


LOCK_CHANGES = ("another time zone", "no locale")


@pytest.mark.parametrize("name", LOCK_CHANGES)
def test_locks_are_the_same_bytes(
    name: str, first: First, online: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    change = CHANGES[name]
    root = projects.write(tmp_path / "elsewhere" / "tiny")
    for variable, value in change.variables.items():
        monkeypatch.setenv(variable, value)
    run(root, "lock", umask=change.umask)
    for path in first.project.glob("*lock*"):
        assert (root / path.name).read_bytes() == path.read_bytes(), path.name


def test_a_date_that_is_set_changes_only_the_config(
    first: First, online: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seed(first.blobs, Path(os.environ["LOCKSTITCH_CACHE"]))
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    run(first.project, "build", "--layout", str(tmp_path / "images"))
    one, two = Layout(first.layout), Layout(tmp_path / "images")
    for name in ("serve", "train"):
        assert one.manifest_digest(name) != two.manifest_digest(name)
        manifests = [layout.document(layout.manifest_digest(name)) for layout in (one, two)]
        assert manifests[0]["layers"] == manifests[1]["layers"]


def test_a_file_that_is_not_included_changes_nothing(
    first: First, online: World, tmp_path: Path
) -> None:
    root = tmp_path / "tiny"
    shutil.copytree(first.project, root)
    seed(first.blobs, Path(os.environ["LOCKSTITCH_CACHE"]))
    (root / "notes.md").write_text("a note")
    (root / "app" / "__pycache__").mkdir()
    (root / "app" / "__pycache__" / "main.cpython-311.pyc").write_bytes(b"cache")
    (root / "app" / ".env").write_text("PASSWORD=x")
    run(root, "build", "--layout", str(tmp_path / "images"))
    assert tree(tmp_path / "images") == tree(first.layout)
