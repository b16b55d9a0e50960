"""`lockstitch init` on real projects: what it writes installs, tests, locks and builds."""

import json
import os
import sys
from pathlib import Path

import pytest
from support import programs, projects
from support.projects import write_files

pytestmark = [pytest.mark.network, pytest.mark.usefixtures("in_store")]

API = """\
from fastapi import FastAPI

app = FastAPI()


@app.get("/health")
def health() -> dict[str, str]:
    return {"status": "ok"}
"""
TEST = "from {module} import {name}\n\n\ndef test_it() -> None:\n    assert str({name})\n"
PROJECTS: dict[str, dict[str, str]] = {
    # As `pip freeze` leaves it: pins, the project itself, a file of one machine.
    "frozen": {
        "requirements.txt": (
            "-e .\nidna==3.10\nlocal @ file:///home/me/local\n"
            "packaging==25.0 ; python_version >= '3.8'\n"
        ),
        "train.py": "import idna\n\nVERSION = idna.__version__\n",
        "data/rows.csv": "a,b\n",
        "tests/test_it.py": TEST.format(module="train", name="VERSION"),
    },
    # Before pyproject.toml: setup.py, a package beside it.
    "legacy": {
        "setup.py": (
            "from setuptools import find_packages, setup\n\nVERSION = '1.4'\n"
            "setup(name='legacy', version=VERSION, packages=find_packages(),\n"
            "      install_requires=['idna>=3'], python_requires='>=3.11',\n"
            "      entry_points={'console_scripts': ['legacy = legacy.run:main']})\n"
        ),
        "legacy/__init__.py": "__version__ = '1.4'\n",
        "legacy/run.py": "def main() -> None:\n    print('legacy')\n",
        "tests/test_it.py": TEST.format(module="legacy.run", name="main"),
    },
    # Training and serving side by side in src.
    "flat": {
        "requirements.in": "fastapi>=0.115\nidna\n",
        "requirements-dev.txt": "httpx\n",
        "src/train.py": "import idna\n\nprint(idna.__version__)\n",
        "src/api.py": API,
        "tests/test_it.py": TEST.format(module="api", name="app"),
    },
}


def run(*words: str | Path, cwd: Path) -> str:
    poetry = {"POETRY_VIRTUALENVS_IN_PROJECT": "true", "POETRY_KEYRING_ENABLED": "false"}
    return programs.run(
        *words, cwd=cwd, env=programs.without("VIRTUAL_ENV", "SOURCE_DATE_EPOCH", **poetry)
    )


def lockstitch(*words: str, cwd: Path) -> str:
    return run(sys.executable, "-m", "lockstitch", *words, cwd=cwd)


@pytest.mark.parametrize("name", sorted(PROJECTS))
def test_a_project_of_uv(name: str, tmp_path: Path) -> None:
    root = write_files(tmp_path / name, PROJECTS[name])
    lockstitch("init", "--with-tools", cwd=root)
    before = {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}
    again = lockstitch("init", "--with-tools", "--json", cwd=root)
    assert json.loads(again)["changed"] == []
    assert {path: path.read_bytes() for path in root.rglob("*") if path.is_file()} == before
    # Without lockstitch first: what it wrote is uv's and pytest's own.
    run(programs.UV, "sync", "--quiet", cwd=root)
    venv = root / ".venv" / "bin"
    run(venv / "pytest", "-q", cwd=root)
    run(venv / "ruff", "check", "--select", "E,F,I", cwd=root)
    run(venv / "black", "--quiet", ".", cwd=root)
    run(venv / "mypy", cwd=root)
    lockstitch("lock", "--quiet", cwd=root)
    lockstitch("lock", "--check", "--quiet", cwd=root)
    lockstitch("build", "--quiet", cwd=root)
    if name == "legacy":
        assert run(venv / "legacy", cwd=root) == "legacy\n"
        (root / "legacy" / "run.py").write_text("def main() -> None:\n    print('edited')\n")
        assert run(venv / "legacy", cwd=root) == "edited\n"  # the install is editable


@pytest.mark.parametrize("kind", [pytest.param("classic", marks=pytest.mark.nightly), "new"])
def test_a_project_of_poetry(
    kind: str, poetry: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", f"{os.environ['PATH']}{os.pathsep}{poetry}")
    classic = (
        '[tool.poetry]\nname = "old"\nversion = "1.0"\npackages = [{include = "old"}]\n\n'
        '[tool.poetry.dependencies]\npython = "^3.11"\nidna = "^3.4"\n\n'
        "[build-system]\n"
        'requires = ["poetry-core>=1.0"]\nbuild-backend = "poetry.core.masonry.api"\n'
    )
    texts = {
        "old/__init__.py": "NAME = 'old'\n",
        "tests/test_it.py": TEST.format(module="old", name="NAME"),
    }
    texts |= {"pyproject.toml": classic} if kind == "classic" else {"requirements.txt": "idna\n"}
    root = write_files(tmp_path / "old", texts)
    lockstitch("init", "--manager", "poetry", "--with-tools", cwd=root)
    assert json.loads(lockstitch("init", "--json", cwd=root))["changed"] == []
    with (root / "pyproject.toml").open("a") as file:
        index = programs.index_url(tmp_path)
        file.write(f'\n[[tool.poetry.source]]\nname = "index"\nurl = "{index}"\n')
    table = "[tool.lockstitch.images.app]\n"  # of a library, which has nothing to run
    projects.replace(root, table, f"{table}command = []\n")
    run(poetry / "poetry", "check", cwd=root)
    run(poetry / "poetry", "install", "--quiet", cwd=root)
    run(root / ".venv" / "bin" / "pytest", "-q", cwd=root)
    run(root / ".venv" / "bin" / "mypy", cwd=root)
    lockstitch("lock", "--quiet", cwd=root)
    lockstitch("build", "--quiet", cwd=root)
    assert (root / "poetry.lock").exists()
    assert not (root / "uv.lock").exists()


# What repositories have in place of a pyproject.toml, and a pin that the image's lock must hold.
POETRY_LOCK = """\
[[package]]
name = "six"
version = "1.15.0"
category = "main"
[metadata]
lock-version = "1.1"
"""
CLASSIC = """\
[tool.poetry]
name = "demo"
version = "0.1.0"
[tool.poetry.dependencies]
python = "^3.8"
six = "^1.10"
[build-system]
requires = ["poetry-core>=1.0.0"]
build-backend = "poetry.core.masonry.api"
"""
MAIN = {"main.py": "import six\n\nprint(six.__version__)\n"}
KINDS: dict[str, tuple[dict[str, str], str]] = {
    "a folder of lists": (
        {"requirements/base.txt": "six==1.15.0\n", "requirements/dev.txt": "-r base.txt\nidna\n"},
        "six==1.15.0",
    ),
    "pip list": (
        {"requirements.txt": "Package Version\n------- ---\nsix     1.15.0\n"},
        "six==1.15.0",
    ),
    "conda list": (
        {"requirements.txt": "six=1.15.0=py38_0\nopenssl=1.1.1n=h7f8727e_0\n"},
        "six==1.15.0",
    ),
    "conda": (
        {"environment.yml": "dependencies:\n  - python=3.8\n  - six=1.15.0\n  - mkl\n"},
        "six==1.15.0",
    ),
    "pixi": ({"pixi.toml": '[pypi-dependencies]\nsix = "==1.15.0"\n'}, "six==1.15.0"),
    "Pipfile": (
        {
            "Pipfile": '[packages]\nsix = "*"\n',
            "Pipfile.lock": '{"default": {"six": {"version": "==1.15.0"}}}',
        },
        "six==1.15.0",
    ),
    "Poetry": ({"pyproject.toml": CLASSIC, "poetry.lock": POETRY_LOCK}, "six==1.15.0"),
    "pdm": (
        {
            "requirements.txt": "six\n",
            "pdm.lock": '[[package]]\nname = "six"\nversion = "1.15.0"\n',
        },
        "six==1.15.0",
    ),
    "a script": (
        {"main.py": '# /// script\n# dependencies = ["six==1.15.0"]\n# ///\n'},
        "six==1.15.0",
    ),
    "a Dockerfile": (
        {"Dockerfile": "FROM python:3.8\nRUN pip install six==1.15.0\n"},
        "six==1.15.0",
    ),
    "a workspace": (
        {
            "pyproject.toml": '[tool.uv.workspace]\nmembers = ["libs/*"]\n',
            "libs/a/pyproject.toml": (
                '[project]\nname = "a"\nversion = "1"\nrequires-python = ">=3.11"\n'
                'dependencies = ["six==1.15.0"]\n'
            ),
        },
        "six==1.15.0",
    ),
    "a setup.py that runs": (
        {
            "setup.py": "from setuptools import setup\nsetup(install_requires=open('r').read())\n",
            "requirements.txt": "six==1.15.0\n",
        },
        "six==1.15.0",
    ),
    "another Python": (
        {".python-version": "3.8.12\n", "requirements.txt": "six==1.15.0\n"},
        "six==1.15.0",
    ),
    "imports alone": ({}, "six=="),
}


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_repository_has_is_locked(kind: str, tmp_path: Path) -> None:
    texts, pin = KINDS[kind]
    root = write_files(tmp_path / "app", MAIN | texts)
    lockstitch("init", "--manager", "uv", cwd=root)
    lockstitch("lock", "--quiet", cwd=root)
    name, _, version = pin.partition("==")
    wheels = (root / "pylock.app.toml").read_text()
    assert f'name = "{name}"\nversion = "{version}' in wheels
    assert json.loads(lockstitch("init", "--json", cwd=root))["changed"] == []
