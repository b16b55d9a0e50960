"""A bundle on a machine that really has no network: a network namespace of its own."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from support import projects
from support.programs import LOCKSTITCH

pytestmark = [
    pytest.mark.network,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root, for a network namespace"),
]

PYPROJECT = """\
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "airy"
version = "0.1"
requires-python = ">=3.11,<3.12"
dependencies = ["numpy", "docopt"]

[tool.lockstitch.images.train]
command = ["python", "-m", "airy"]
outputs = ["models"]
"""
FILES = {
    "src/airy/__init__.py": "",
    "src/airy/__main__.py": "import docopt, numpy\nprint('airy', numpy.arange(3).sum())\n",
}


def test_build_run_and_check_need_no_network(tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    projects.write(here, pyproject=PYPROJECT, files=FILES)

    def run(folder: Path, *words: str | Path, **env: str) -> str:
        done = subprocess.run(
            words,
            cwd=folder,
            env={**os.environ, **env},
            check=False,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout or done.stderr

    bundle = tmp_path / "bundle.tar"
    run(here, LOCKSTITCH, "lock")
    built = run(here, LOCKSTITCH, "build")
    run(here, LOCKSTITCH, "pack", "--output", bundle)
    shutil.copytree(here, there, ignore=shutil.ignore_patterns(".lockstitch"))
    env = {"LOCKSTITCH_CACHE": str(tmp_path / "store"), "UV_CACHE_DIR": str(tmp_path / "uv")}
    alone = ("unshare", "--net", LOCKSTITCH)
    assert run(there, *alone, "build", "--from", bundle, **env) == built
    assert run(there, *alone, "run", "train", **env) == "airy 3\n"
    assert "nothing found" in run(there, *alone, "check", **env)
    assert (there / "models" / "train.run.json").is_file()


def test_a_bare_machine_installs_lockstitch_from_the_bundle(tmp_path: Path) -> None:
    here, there, folder = tmp_path / "here", tmp_path / "there", tmp_path / "tool"
    projects.write(here, pyproject=PYPROJECT, files=FILES)
    bundle = tmp_path / "bundle.tar"
    for words in (("lock",), ("build",), ("pack", "-o", bundle)):
        subprocess.run([LOCKSTITCH, *words], cwd=here, check=True, capture_output=True)
    shutil.copytree(here, there, ignore=shutil.ignore_patterns(".lockstitch"))
    # Nothing of this machine but its system's Python, and no network.
    env = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path / "home"), "LANG": "C.UTF-8"}
    python = Path(sys.base_prefix, "bin", "python3")

    def alone(*words: str | Path) -> str:
        done = subprocess.run(
            ["unshare", "--net", *words],
            cwd=there,
            env=env,
            check=False,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    alone("tar", "-xf", bundle, "install.py")
    program = alone(python, "-I", "install.py", bundle, folder).strip()
    assert program == str(folder / "bin" / "lockstitch")
    (there / "install.py").unlink()
    modules = alone(
        folder / "bin" / "python", "-c", "import lockstitch, yaml; print(yaml.__file__)"
    )
    assert modules.startswith(str(folder))
    built = alone(program, "build", "--from", bundle)
    assert built == subprocess.check_output([LOCKSTITCH, "build"], cwd=here, text=True)
    assert alone(program, "run", "train") == "airy 3\n"
