"""`lockstitch init` on real projects: what it writes installs, tests, locks and builds."""

import json
import os
import sys
from pathlib import Path

import pytest
from support import programs
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
    lockstitch("init", cwd=root)
    before = {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}
    assert json.loads(lockstitch("init", "--json", cwd=root))["changed"] == []
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
    lockstitch("init", "--manager", "poetry", cwd=root)
    assert json.loads(lockstitch("init", "--json", cwd=root))["changed"] == []
    with (root / "pyproject.toml").open("a") as file:
        index = programs.index_url(tmp_path)
        file.write(f'\n[[tool.poetry.source]]\nname = "index"\nurl = "{index}"\n')
    run(poetry / "poetry", "check", cwd=root)
    run(poetry / "poetry", "install", "--quiet", cwd=root)
    run(root / ".venv" / "bin" / "pytest", "-q", cwd=root)
    run(root / ".venv" / "bin" / "mypy", cwd=root)
    lockstitch("lock", "--quiet", cwd=root)
    lockstitch("build", "--quiet", cwd=root)
    assert (root / "poetry.lock").exists()
    assert not (root / "uv.lock").exists()
