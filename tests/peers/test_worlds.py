"""The real project has one digest: in a varied environment, and under every Python that is here."""

import subprocess
from pathlib import Path

import matrix
import pytest
from support.programs import UV
from support.world import downloads

from lockstitch.prove import variations
from lockstitch.python.load import load

from .conftest import RealProject

REPOSITORY = Path(__file__).parents[2]


# `make demo`, a part of CI too, compares both in the same way.
@pytest.mark.nightly
@pytest.mark.parametrize("image", ["train", "serve"])
def test_an_empty_store_and_all_variations(project: RealProject, image: str) -> None:
    other = variations.timed_elsewhere(load(project.root), image)
    assert other.document["digest"] == project.digest(image)
    assert other.document["made"] == other.document["layers"]


# Each supported minor version of Python that is here, and the next one.
PYTHONS = [path for minor in ("3.11", "3.12", "3.13", "3.14") if (path := matrix.find(minor))]


# Of those that are here, the newest alone outside of the night: each builds all from nothing.
@pytest.mark.parametrize(
    "interpreter",
    [*(pytest.param(path, marks=pytest.mark.nightly) for path in PYTHONS[:-1]), *PYTHONS[-1:]],
    ids=lambda path: path.name,
)
def test_every_python_that_drives_the_tool(
    project: RealProject, tmp_path: Path, interpreter: Path
) -> None:
    python = tmp_path / "venv" / "bin" / "python"
    install = [UV, "pip", "install", "--quiet", "--python", python]
    locked = REPOSITORY / "requirements-lock.txt"
    for words in (
        [UV, "venv", "--quiet", "--python", interpreter, tmp_path / "venv"],
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
