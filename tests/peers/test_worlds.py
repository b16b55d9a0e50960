"""The real project has one digest: in another world, and under every Python that is here."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from support.world import downloads

from lockstitch.cli import worlds
from lockstitch.python.load import load

from .conftest import RealProject

REPOSITORY = Path(__file__).parents[2]


# `make demo`, a part of CI too, compares both in the same way.
@pytest.mark.nightly
@pytest.mark.parametrize("image", ["train", "serve"])
def test_an_emptied_store_in_another_world(project: RealProject, image: str) -> None:
    other = worlds.elsewhere(load(project.root), image)
    assert other.document["digest"] == project.digest(image)
    assert other.document["made"] == other.document["layers"]


def pythons() -> list[Path]:
    """Return one interpreter for each supported minor version of Python that is here."""
    found = []
    kept = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    for minor in ("3.11", "3.12", "3.13", "3.14"):
        name = f"python{minor}"
        # A shim of pyenv is a program for versions that it may be set not to run.
        places = sorted(kept.glob(f"{minor}.*/bin"))
        path = shutil.which(name)
        places += [Path(path).parent] if path and "shims" not in path else []
        there = [place / name for place in places if (place / name).exists()]
        if sys.version_info[:2] == tuple(map(int, minor.split("."))):
            there = [Path(sys.executable)]
        found += there[:1]
    return found


# Of those that are here, the newest alone outside of the night: each builds all from nothing.
@pytest.mark.parametrize(
    "interpreter",
    [
        *(pytest.param(each, marks=pytest.mark.nightly) for each in pythons()[:-1]),
        *pythons()[-1:],
    ],
    ids=lambda path: path.name,
)
def test_every_python_that_drives_the_tool(
    project: RealProject, tmp_path: Path, interpreter: Path
) -> None:
    uv = Path(sys.executable).with_name("uv")
    python = tmp_path / "venv" / "bin" / "python"
    install = [uv, "pip", "install", "--quiet", "--python", python]
    locked = REPOSITORY / "requirements-lock.txt"
    for words in (
        [uv, "venv", "--quiet", "--python", interpreter, tmp_path / "venv"],
        [*install, "--require-hashes", "--requirements", locked],
        [*install, "--no-deps", "--no-build-isolation", REPOSITORY],
    ):
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    downloads(Path(project.environment["LOCKSTITCH_CACHE"]), tmp_path / "store")
    for image in ("serve", "train"):
        environment = project.environment | {"LOCKSTITCH_CACHE": str(tmp_path / "store")}
        # A worker for each core under one Python, one worker under the next.
        environment["LOCKSTITCH_JOBS"] = "2" if interpreter.name.endswith("2") else "1"
        words = ["build", image, "--layout", str(tmp_path / "images")]
        done = subprocess.run(
            [python, "-m", "lockstitch", *words],
            cwd=project.root,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout == f"{image} {project.digest(image)}\n"
