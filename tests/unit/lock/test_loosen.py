"""What to type where pins exclude each other: a choice that uv was seen to lock."""

import io
import shlex
import subprocess
import tarfile
from pathlib import Path

import pytest
from support import wheels
from support.projects import write_files

from lockstitch import process
from lockstitch.errors import LockstitchError
from lockstitch.lock import uv
from lockstitch.python.load import load
from lockstitch.python.locks.pylock import Unbuilt
from lockstitch.python.model import Project

WHEELS = (
    ("alpha", "1.0", ()),
    ("alpha", "2.0", ()),
    ("alpha", "2.0.1", ()),
    ("beta", "1.0", ("alpha>=2",)),
    ("gamma", "1.0", ("alpha<2",)),
    ("gamma", "2.0", ()),
    ("epsilon", "1.0", ("alpha<2",)),
    ("delta", "1.0", ("alpha>=2; python_version >= '3.12'",)),
)


def made(root: Path, dependencies: list[str], more: str = "") -> Project:
    """Return a project of these requirements, whose index is a folder."""
    links = {
        f"links/{n}": data
        for name, v, r in WHEELS
        for n, data in [wheels.wheel(name, v, requires=r)]
    }
    listed = ", ".join(f'"{dependency}"' for dependency in dependencies)
    text = (
        '[project]\nname = "p"\nversion = "1"\nrequires-python = ">=3.11"\n'
        f"dependencies = [{listed}]\n{more}\n[tool.uv]\nno-index = true\n"
        f'find-links = ["{root / "links"}"]\n[tool.lockstitch]\npython = "3.11"\n'
        "[tool.lockstitch.images.app]\n"
    )
    return load(write_files(root, {**links, "pyproject.toml": text}))


def refused(root: Path, dependencies: list[str], more: str = "") -> str:
    """Return the hint of a lock of these requirements that fails."""
    project = made(root, dependencies, more)
    with pytest.raises(LockstitchError) as caught:
        uv.lock(project, upgrade=None)
    assert "no versions fit together" in caught.value.message
    return caught.value.hint


@pytest.mark.parametrize(
    ("dependencies", "more", "command"),
    [
        (["alpha==1.5"], "", "uv add --frozen alpha==2.0.1"),
        (
            ["beta"],
            '[dependency-groups]\ntrain = ["alpha==1.5"]\n',
            "uv add --frozen --group train alpha==2.0.1",
        ),
        (["beta"], "", "uv add --frozen alpha==2.0.1"),
        (["alpha==1.5", "gamma==1.0"], "", ""),
    ],
)
def test_the_nearest_version_with_a_wheel_is_one_that_fits(
    tmp_path: Path, dependencies: list[str], more: str, command: str
) -> None:
    unbuilt = Unbuilt(name="alpha", version="1.5", kind="sdist", artifact="")
    hint = uv.with_wheel(made(tmp_path, dependencies, more), unbuilt)
    assert hint == (f"{command} && lockstitch lock" if command else "")


@pytest.mark.parametrize(
    ("dependencies", "more", "command"),
    [
        (["alpha==1.0", "beta==1.0"], "", "uv add --frozen 'alpha>=1.0'"),
        (["alpha==0.5"], "", "uv add --frozen 'alpha>=0.5'"),
        (["alpha==1.5", "gamma==3.0"], "", "uv add --frozen 'alpha<=1.5' 'gamma<=3.0'"),
        (["alpha==2.0", "epsilon==1.0"], "", "uv add --frozen 'alpha<=2.0'"),
        (
            ["alpha==1.0", "beta==1.0", "gamma==1.0"],
            "",
            "uv add --frozen 'alpha>=1.0' 'gamma>=1.0'",
        ),
        (
            ["beta==1.0"],
            '[dependency-groups]\ndev = ["alpha==1.*"]\n',
            "uv add --frozen --group dev 'alpha>=1'",
        ),
    ],
)
def test_the_fewest_pins_are_loosened_and_the_hint_works(
    tmp_path: Path, dependencies: list[str], more: str, command: str
) -> None:
    assert refused(tmp_path, dependencies, more) == f"{command} && lockstitch lock"
    words = [str(process.find_uv()), *shlex.split(command)[1:]]
    subprocess.run(words, cwd=tmp_path, check=True, capture_output=True)
    uv.lock(load(tmp_path), upgrade=None)


def test_fewer_pythons_come_before_other_versions(tmp_path: Path) -> None:
    """Development on every Python asks for what the images do not need."""
    hint = refused(tmp_path, ["alpha==1.0", "delta==1.0"])
    command, _, last = hint.rpartition(" && ")
    assert last == "lockstitch lock"
    subprocess.run(shlex.split(command), cwd=tmp_path, check=True)
    assert 'requires-python = "==3.11.*"\n' in (tmp_path / "pyproject.toml").read_text()
    uv.lock(load(tmp_path), upgrade=None)


def test_a_conflict_without_pins_says_what_excludes_what(tmp_path: Path) -> None:
    hint = refused(tmp_path, ["alpha<2", "beta"])
    assert hint == "change the requirements that exclude each other in pyproject.toml"


def test_a_constraint_that_does_not_build_is_changed_by_a_command(tmp_path: Path) -> None:
    project = made(tmp_path, ["gamma==2.0"])
    path = tmp_path / "pyproject.toml"
    constrained = '[tool.uv]\nconstraint-dependencies = ["alpha==1.5"]\n'
    path.write_text(path.read_text().replace("[tool.uv]\n", constrained))
    unbuilt = Unbuilt(name="alpha", version="1.5", kind="sdist", artifact="sha256:00")
    hint = uv.with_wheel(project, unbuilt)
    command = r"sed -i 's/alpha==1\.5/alpha==2.0.1/' pyproject.toml"
    assert hint == f"{command} && lockstitch lock"
    subprocess.run(shlex.split(command), cwd=tmp_path, check=True)
    uv.lock(load(tmp_path), upgrade=None)
    assert '"alpha==2.0.1"' in path.read_text()


def test_a_pin_that_uv_cannot_build_comes_with_one_that_has_a_wheel(tmp_path: Path) -> None:
    project = made(tmp_path, ["alpha==1.5"])
    own = '[build-system]\nrequires = []\nbuild-backend = "b"\nbackend-path = ["."]\n'
    broken = io.BytesIO()
    with tarfile.open(fileobj=broken, mode="w:gz") as archive:
        for name, text in (("PKG-INFO", "Name: alpha"), ("pyproject.toml", own), ("b.py", "1 / 0")):
            member = tarfile.TarInfo(f"alpha-1.5/{name}")
            member.size = len(text)
            archive.addfile(member, io.BytesIO(text.encode()))
    (tmp_path / "links/alpha-1.5.tar.gz").write_bytes(broken.getvalue())
    with pytest.raises(LockstitchError) as caught:
        uv.lock(project, upgrade=None)
    assert caught.value.hint == "uv add --frozen alpha==2.0.1 && lockstitch lock"
