"""What a project needs, by whatever file says so: one tiny project for each kind of file."""

import json
import pickle
import sys
import tomllib
import types
from pathlib import Path
from typing import Any

import pytest
from support.projects import write_files

from lockstitch.scaffold.init import facts, plan
from lockstitch.scaffold.init.folder import Folder
from lockstitch.scaffold.init.inputs import Inputs, read_inputs
from lockstitch.scaffold.init.sources import SetupMetadata

POETRY = """\
[tool.poetry]
name = "demo"
version = "0.2.0"
description = "An  app"
[tool.poetry.dependencies]
python = "^3.9"
six = "^1.15"
alpha = {version = "~2.1", extras = ["x"], python = "<3.12"}
beta = {git = "https://example.test/beta.git", tag = "v1"}
gamma = {version = "*", optional = true}
[tool.poetry.extras]
plot = ["gamma"]
[tool.poetry.group.dev.dependencies]
pytest = "^7.0"
[tool.poetry.group.train.dependencies]
delta = ">=1,<2"
[build-system]
requires = ["poetry-core>=1.0.0"]
build-backend = "poetry.core.masonry.api"
"""
OLD_LOCK = """\
[[package]]
name = "six"
version = "1.15.0"
category = "main"
[[package]]
name = "twice"
version = "1"
[[package]]
name = "twice"
version = "2"
[[package]]
name = "local"
version = "1"
[package.source]
type = "git"
[metadata]
lock-version = "1.1"
"""
PIPFILE = """\
[packages]
six = "*"
alpha = {version = "<3", extras = ["socks"], markers = "python_version < '4'"}
[dev-packages]
pytest = "*"
[requires]
python_version = "3.9"
"""
PIPFILE_LOCK = json.dumps(
    {
        "default": {"six": {"version": "==1.15.0"}, "alpha": {"version": "==2.1"}, "e": {}},
        "develop": {"pytest": {"version": "==7.4.0"}},
    }
)
ENVIRONMENT = """\
name: x
dependencies:
  - python=3.8
  - conda-forge::numpy=1.26
  - pytorch::pytorch=1.13.1=py3.8_cuda11.6_0
  - six=1.16.0=pyhd3eb1b0_1
  - pandas>=1.5,<3
  - cudatoolkit=11.3
  - libpng=1.6.37=hbc83047_0
  - strange=1.0=h1234567_0
  - pywin32  # [win]
  - pip
  - pip:
    - idna==3.7
    - -r more.txt
"""
SCRIPT = """\
# /// script
# requires-python = ">=3.12"
# dependencies = ["six==1.16.0"]
# ///
import six
"""


def inputs_of(root: Path, texts: dict[str, str], *, has_poetry: bool = False) -> Inputs:
    return facts.read(Folder(write_files(root, texts)), has_poetry=has_poetry).inputs


LISTED: dict[str, tuple[dict[str, str], list[str], dict[str, list[str]]]] = {
    "a folder of lists": (
        {
            "requirements/base.txt": "six==1.16.0\n",
            "requirements/prod.txt": "-r base.txt\nidna==3.7\n",
            "requirements/dev.txt": "-r base.txt\npytest\n",
        },
        ["idna==3.7", "six==1.16.0"],
        {"dev": ["pytest"]},
    ),
    "one list for each program": (
        {"requirements-train.txt": "six\n", "requirements-serve.txt": "idna\n"},
        [],
        {"train": ["six"], "serve": ["idna"]},
    ),
    "a list for everything and one for a program": (
        {"requirements.txt": "six\n", "requirements_train.txt": "-r requirements.txt\nidna\n"},
        ["six"],
        {"train": ["idna"]},
    ),
    "only lists of variants": ({"requirements-gpu.txt": "six\n"}, ["six"], {}),
    "a folder below": ({"backend/requirements.txt": "six\n", "backend/main.py": ""}, ["six"], {}),
    "two folders below": (
        {
            "training/requirements/base.txt": "six\n",
            "training/train.py": "",
            "api/requirements.txt": "idna\n",
            "api/app.py": "",
            "docker/requirements.txt": "certifi\n",
        },
        ["certifi"],
        {"api": ["idna"], "training": ["six"]},
    ),
    "what a Dockerfile installs": (
        {
            "requirements.txt": "six\n",
            "requirements-ui.txt": "idna\n",
            "Dockerfile": "FROM python:3.11\nRUN pip install -r requirements-ui.txt beta==2\n",
        },
        ["six", "idna", "beta==2"],
        {},
    ),
    "an environment of conda": (
        {"environment.yml": ENVIRONMENT, "more.txt": "certifi\n"},
        ["numpy==1.26.*", "torch==1.13.1", "six==1.16.0", "pandas<3,>=1.5", "idna==3.7", "certifi"],
        {},
    ),
    "a Pipfile": (
        {"Pipfile": PIPFILE},
        ["six", 'alpha[socks]<3; python_version < "4"'],
        {"dev": ["pytest"]},
    ),
    "tables of Poetry": (
        {"pyproject.toml": POETRY},
        ["six<2,>=1.15", 'alpha[x]<2.2,>=2.1; python_version < "3.12"', "beta"],
        {"dev": ["pytest<8,>=7.0"], "train": ["delta<2,>=1"]},
    ),
    "a script": ({"job.py": SCRIPT}, ["six==1.16.0"], {}),
    "imports": (
        {
            "main.py": "import yaml, helpers\nfrom sklearn.svm import SVC\nimport os\n",
            "helpers.py": "try:\n    import torch\nexcept ImportError:\n    torch = None\n",
            "tests/test_it.py": "import requests\n",
            "load.py": "import pandas\npandas.read_parquet('x')\n",
        },
        ["pandas", "pyarrow", "scikit-learn", "pyyaml"],
        {},
    ),
    "an empty list": ({"requirements.txt": "\n", "main.py": "import requests"}, ["requests"], {}),
    "imports that no list has": (
        {"requirements.txt": "numpy==1.26.4\nopencv-python\n", "main.py": "import cv2, requests"},
        ["numpy==1.26.4", "opencv-python", "requests"],
        {},
    ),
    "a workspace": (
        {
            "pyproject.toml": '[tool.uv.workspace]\nmembers = ["packages/*"]\n',
            "packages/a/pyproject.toml": '[project]\nname = "a"\ndependencies = ["six", "b"]\n',
            "packages/b/pyproject.toml": '[project]\nname = "b"\ndependencies = ["idna"]\n',
        },
        ["six", "idna"],
        {},
    ),
    "settings of tools alone": (
        {"pyproject.toml": "[tool.black]\nline-length = 88\n", "requirements.txt": "six\n"},
        ["six"],
        {},
    ),
    "an empty list of a project": (
        {
            "pyproject.toml": '[project]\nname = "x"\nversion = "1"\ndependencies = []\n',
            "requirements.txt": "six\n",
        },
        ["six"],
        {},
    ),
    "a setup.py that reads a list": (
        {
            "setup.py": "from setuptools import setup\nsetup(install_requires=open('r').read())\n",
            "requirements.txt": "six\n",
        },
        ["six"],
        {},
    ),
    "what a project declares": (
        {
            "pyproject.toml": '[project]\nname = "x"\nversion = "1"\ndependencies = ["six"]\n',
            "requirements.txt": "idna\n",
            "main.py": "import requests\n",
        },
        [],
        {},
    ),
}


@pytest.mark.parametrize("kind", LISTED)
def test_dependencies_and_groups(kind: str, tmp_path: Path) -> None:
    texts, dependencies, groups = LISTED[kind]
    inputs = inputs_of(tmp_path, texts)
    assert inputs.dependencies == dependencies
    assert {name: lines for name, lines in inputs.groups.items() if lines} == groups


@pytest.mark.slow
def test_what_is_written_can_be_read_and_stays(tmp_path: Path) -> None:
    for number, (texts, _, _) in enumerate(LISTED.values()):
        root = write_files(tmp_path / str(number), texts)
        plan.write(plan.plan(root, has_poetry=False))
        assert plan.plan(root, has_poetry=False).changes == ()


def test_every_guess_is_said(tmp_path: Path) -> None:
    texts = {"main.py": "import yaml\nimport nobody_knows\n"}
    assert inputs_of(tmp_path, texts).notes == [
        "guessed from the imports, as no file lists dependencies: pyyaml",
        "no table knows the distribution of `nobody_knows` (main.py:2): uv add it",
    ]


def test_what_becomes_of_what_only_conda_has(tmp_path: Path) -> None:
    notes = inputs_of(tmp_path, {"environment.yml": ENVIRONMENT, "more.txt": "certifi\n"}).notes
    assert notes == [
        "`environment.yml`: `cudatoolkit`: comes with the wheels that need it",
        "`environment.yml`: `libpng`, `pip`, `strange`: not of Python: the base or wheels have it",
    ]


@pytest.mark.parametrize(
    "text", ["", "- a\n", "dependencies: 1\n", "dependencies: [{}, [a], {pip: 1}, '=']\n", "a: ["]
)
def test_an_environment_that_says_nothing(text: str, tmp_path: Path) -> None:
    inputs = inputs_of(tmp_path, {"environment.yml": text, "main.py": "import yaml\n"})
    assert inputs.dependencies == ["pyyaml"]


def test_a_pipfile_that_is_no_toml(tmp_path: Path) -> None:
    assert "`Pipfile` is not valid TOML" in inputs_of(tmp_path, {"Pipfile": "["}).notes[0]


# --- locks


PDM_LOCK = '[[package]]\nname = "six"\nversion = "1.15.0"\n'
PYLOCK = '[[packages]]\nname = "six"\nversion = "1.15.0"\n[[packages]]\nname = "g"\nvcs = {}\n'
COMPILED = "six==1.15.0\n    # via -r requirements.in\nidna==3.4\n    # via six\n"


@pytest.mark.parametrize(
    ("texts", "constraints"),
    [
        ({"Pipfile": PIPFILE, "Pipfile.lock": PIPFILE_LOCK}, ["alpha==2.1", "pytest==7.4.0"]),
        ({"pyproject.toml": POETRY, "poetry.lock": OLD_LOCK}, []),
        ({"requirements.txt": "six\n", "pdm.lock": PDM_LOCK}, []),
        ({"requirements.txt": "six>1.0\n", "pylock.toml": PYLOCK}, []),
        ({"requirements.in": "six\n", "requirements.txt": COMPILED}, ["idna==3.4"]),
        ({"requirements.txt": "six\n-c pins.txt\n", "pins.txt": "idna==3.4\n"}, ["idna==3.4"]),
    ],
)
def test_no_locked_version_changes(
    texts: dict[str, str], constraints: list[str], tmp_path: Path
) -> None:
    inputs = inputs_of(tmp_path, texts)
    pin = [] if "pins.txt" in texts else ["six==1.15.0"]
    assert sorted(inputs.constraints) == sorted([*constraints, *pin])


def test_beside_a_lock_of_uv_no_other_lock_counts(tmp_path: Path) -> None:
    texts = {"requirements.txt": "six\n", "pdm.lock": PDM_LOCK, "uv.lock": "version = 1\n"}
    inputs = inputs_of(tmp_path, texts)
    assert inputs.constraints == []
    assert not any("pdm.lock" in note for note in inputs.notes)


def test_a_misspelt_name_of_a_list_is_read(tmp_path: Path) -> None:
    assert inputs_of(tmp_path, {"requirments.txt": "six==1.15.0\n"}).dependencies == ["six==1.15.0"]


def test_lists_of_folders_that_pin_other_versions_are_groups(tmp_path: Path) -> None:
    texts = {
        "one/requirements.txt": "six==1.15.0\nidna==3.4\n",
        "Two & B/requirements.txt": "six==1.16.0\n",
        "Two & B/requirements-docker.txt": "certifi\n",
    }
    inputs = inputs_of(tmp_path, texts)
    assert inputs.dependencies == []
    assert inputs.groups == {
        "one": ["six==1.15.0", "idna==3.4"],
        "two-b": ["certifi", "six==1.16.0"],
    }
    assert inputs.folders == {"one": "one", "two-b": "Two & B"}
    assert inputs.conflicts() == ["one", "two-b"]


def test_locks_of_folders_are_kept_where_they_differ_too(tmp_path: Path) -> None:
    lock = (
        '[[package]]\nname = "six"\nversion = "{}"\n[[package]]\nname = "idna"\nversion = "3.4"\n'
    )
    project = '[tool.poetry.dependencies]\npython = "^3.11"\nsix = "*"\n'
    texts = {
        "one/pyproject.toml": project + 'two = {path = "../two"}\n',
        "one/poetry.lock": lock.format("1.15.0"),
        "one/app.py": "",
        "two/pyproject.toml": '[tool.poetry]\nname = "two"\n' + project,
        "two/poetry.lock": lock.format("1.16.0"),
        "two/app.py": "",
    }
    inputs = inputs_of(tmp_path, texts)
    assert inputs.groups == {"one": ["six==1.15.0"], "two": ["six==1.16.0"]}
    assert (inputs.constraints, inputs.conflicts()) == (["idna==3.4"], ["one", "two"])


def test_lists_of_folders_that_agree_are_one(tmp_path: Path) -> None:
    texts = {"one/requirements.txt": "six==1.15.0\n", "two/requirements.txt": "six==1.15.0\nidna\n"}
    inputs = inputs_of(tmp_path, texts)
    assert (inputs.dependencies, inputs.folders) == (["six==1.15.0", "idna"], {})


def test_a_lock_that_does_not_fit_is_said(tmp_path: Path) -> None:
    inputs = inputs_of(tmp_path, {"requirements.txt": "six>=1.16\n", "pdm.lock": PDM_LOCK})
    assert inputs.constraints == []
    assert inputs.notes[-1] == ("`pdm.lock`: `six==1.15.0` is not what is asked for now: left out")


@pytest.mark.parametrize("text", ["", "{", "[]", '{"default": [1], "develop": {"a": 1}}'])
def test_a_lock_that_cannot_be_read(text: str, tmp_path: Path) -> None:
    texts = {"Pipfile": PIPFILE, "Pipfile.lock": text}
    assert inputs_of(tmp_path, texts).constraints == []


# --- what is written


def written(root: Path, texts: dict[str, str]) -> dict[str, Any]:
    import tomllib

    plan.write(plan.plan(write_files(root, texts), has_poetry=False))
    return tomllib.loads((root / "pyproject.toml").read_text())


def test_a_project_of_poetry_becomes_one_of_uv(tmp_path: Path) -> None:
    texts = {"pyproject.toml": POETRY, "poetry.lock": OLD_LOCK, "app/main.py": "import six\n"}
    document = written(tmp_path, texts)
    assert document["project"] == {
        "name": "demo",
        "version": "0.2.0",
        "description": "An app",
        "requires-python": ">=3.11,<4",
        "dependencies": ["six<2,>=1.15", 'alpha[x]<2.2,>=2.1; python_version < "3.12"', "beta"],
        "optional-dependencies": {"plot": ["gamma"]},
    }
    assert document["tool"]["uv"] == {
        "package": False,  # no package of its name
        "constraint-dependencies": ["six==1.15.0"],
        "sources": {"beta": {"git": "https://example.test/beta.git", "tag": "v1"}},
    }
    assert document["dependency-groups"]["train"] == ["delta<2,>=1"]
    assert "pytest<8,>=7.0" in document["dependency-groups"]["dev"]
    assert document["tool"]["poetry"]["name"] == "demo"  # kept


def test_sources_and_indexes(tmp_path: Path) -> None:
    listed = (
        "--extra-index-url https://example.test/whl/cpu\n"
        "torch==2.0.1+cpu\n"
        "-e git+https://example.test/tools.git@v2#egg=tools&subdirectory=py\n"
        "lib @ https://example.test/lib-1.0-py3-none-any.whl\n"
        "-e ./vendor/mine\n"
    )
    mine = '[project]\nname = "mine"\nversion = "1"\n'
    texts = {"requirements.txt": listed, "vendor/mine/pyproject.toml": mine}
    document = written(tmp_path, texts)
    assert document["project"]["dependencies"] == ["torch==2.0.1+cpu", "tools", "lib", "mine"]
    assert document["tool"]["uv"] == {
        "build-constraint-dependencies": ["setuptools<81"],
        "constraint-dependencies": ["numpy<2"],
        "index": [{"name": "index-1", "url": "https://example.test/whl/cpu", "explicit": True}],
        "sources": {
            "torch": {"index": "index-1"},
            "tools": {"git": "https://example.test/tools.git", "rev": "v2", "subdirectory": "py"},
            "lib": {"url": "https://example.test/lib-1.0-py3-none-any.whl"},
            "mine": {"path": "vendor/mine"},
        },
    }


def test_groups_that_exclude_each_other(tmp_path: Path) -> None:
    texts = {
        "requirements-train.txt": "idna==3.6\n",
        "requirements-serve.txt": "idna==3.7\nfastapi\nuvicorn\n",
    }
    uv = written(tmp_path, texts)["tool"]["uv"]
    assert uv == {"conflicts": [[{"group": "serve"}, {"group": "train"}]]}


# --- Python


@pytest.mark.parametrize(
    ("texts", "python"),
    [
        ({"Dockerfile": "ARG V=3.8\nFROM python:${V}-slim\n"}, ("3.8", "Dockerfile")),
        ({"runtime.txt": "python-3.9.7\n"}, ("3.9", "runtime.txt")),
        ({".tool-versions": "python 3.10.2\n"}, ("3.10", ".tool-versions")),
        ({"Pipfile": PIPFILE}, ("3.9", "Pipfile")),
        ({"environment.yml": ENVIRONMENT}, ("3.8", "environment.yml")),
        ({"requirements.txt": "python==3.7\nsix\n"}, ("3.7", "requirements.txt")),
        (
            {".python-version": "3.13\n", "Dockerfile": "FROM python:3.9\n"},
            ("3.13", ".python-version"),
        ),
        ({"Dockerfile": "FROM nvidia/cuda:12.1\n"}, ("", "")),
    ],
)
def test_the_python_that_a_file_names(
    texts: dict[str, str], python: tuple[str, str], tmp_path: Path
) -> None:
    inputs = inputs_of(tmp_path, texts)
    assert (inputs.python, inputs.python_source) == python


@pytest.mark.parametrize(
    ("asked", "wanted"),
    [("3.11.5", ">=3.11"), ("==3.11.5", "==3.11.*"), ("^3.11", ">=3.11,<4"), (">=3.9", ">=3.9")],
)
def test_a_requires_python_that_is_none(asked: str, wanted: str, tmp_path: Path) -> None:
    text = f'[project]\nname = "x"\nversion = "1"\nrequires-python = "{asked}" # mine\n'
    document = written(tmp_path, {"pyproject.toml": text})
    assert document["project"]["requires-python"] == wanted
    assert "# mine" in (tmp_path / "pyproject.toml").read_text()


# --- edges


def test_what_is_strange_is_read_over(tmp_path: Path) -> None:
    root = write_files(
        tmp_path,
        {
            ".gitignore/x": "",
            "requirements.txt": "six\n",
            "inner/.git/HEAD": "",
            "inner/requirements.txt": "idna\n",
        },
    )
    (root / "caf\udce9.csv").touch()
    found = plan.plan(root)
    assert "`.gitignore` is a folder, which git does not read: kept" in found.notes
    assert facts.read(Folder(root)).inputs.dependencies == ["six"]


# --- pins without a wheel, and what packages do not declare


def test_a_pin_without_a_wheel_is_the_nearest_that_has_one(tmp_path: Path) -> None:
    texts = {
        "requirements.txt": (
            "numpy==1.16.5\nscikit-learn[x]==1.3.0 ; python_version > '3'\nsix==1\n"
        ),
        "Dockerfile": "FROM python:3.7\n",
    }
    found = plan.plan(write_files(tmp_path, texts))
    document = written(tmp_path, {})
    assert document["project"]["dependencies"] == [
        "numpy==1.19.*",
        'scikit-learn[x]==1.3.0; python_version > "3"',
        "six==1",
    ]
    message = "`numpy==1.16.5` has no wheel for Python 3.9: `numpy==1.19.*`, the nearest"
    assert [note for note in found.notes if "no wheel" in note] == [f"{message} that has, is used"]


@pytest.mark.parametrize("bound", ["~=1.16.5", "==1.16.*", "<1.17", ">=1.15,<=1.17.2"])
def test_a_bound_below_every_wheel_moves_as_a_pin_does(tmp_path: Path, bound: str) -> None:
    texts = {"requirements.txt": f"numpy{bound}\n", "Dockerfile": "FROM python:3.7\n"}
    inputs = inputs_of(tmp_path, texts)
    assert inputs.old_pins("3.11") == inputs.old_pins("3.9") == 1
    plan.write(plan.plan(tmp_path))
    assert written(tmp_path, {})["project"]["dependencies"] == ["numpy==1.19.*"]


def test_the_python_with_the_most_wheels_is_taken(tmp_path: Path) -> None:
    inputs = inputs_of(tmp_path, {"requirements.txt": "numpy==1.26.4\npandas==2.2.2\n"})
    assert (inputs.old_pins("3.11"), inputs.old_pins("3.13"), inputs.old_pins("3.9")) == (0, 2, 0)


def test_what_a_package_imports_and_does_not_declare(tmp_path: Path) -> None:
    inputs = inputs_of(tmp_path, {"requirements.txt": "mlflow==2.9.2\n"})
    assert inputs.dependencies == ["mlflow==2.9.2", "setuptools<81"]
    assert inputs.notes == [
        "`setuptools<81`: `mlflow` imports it and does not declare it",
        "`sqlalchemy<2.1`: `mlflow` below 3.17 does not run with a newer one",
    ]
    assert inputs_of(tmp_path, {"requirements.txt": "mlflow\n"}).dependencies == ["mlflow"]
    assert inputs_of(tmp_path, {"requirements.txt": "keras\n"}).dependencies[1:] == ["tensorflow"]
    assert not inputs_of(tmp_path, {"requirements.txt": "jax\nkeras\n"}).dependencies[2:]


def test_pixi(tmp_path: Path) -> None:
    pixi = (
        '[dependencies]\npython = "3.13.*"\nnumpy = ">=1.26,<2"\nopenssl = "*"\n'
        '[pypi-dependencies]\nsix = "==1.16.0"\n'
    )
    inputs = inputs_of(tmp_path, {"pixi.toml": pixi})
    assert inputs.dependencies == ["numpy<2,>=1.26", "six==1.16.0"]
    assert (inputs.python, inputs.python_source) == ("3.13", "pixi.toml")


def test_poetry_with_a_project_table(tmp_path: Path) -> None:
    text = (
        '[project]\nname = "d"\nversion = "1"\nrequires-python = ">=3.11"\n'
        'dependencies = ["six (>=1.15,<2.0)"]\n[tool.poetry]\npackage-mode = false\n'
        '[tool.poetry.group.dev.dependencies]\npytest = "^8.0"\n'
    )
    lock = '[[package]]\nname = "six"\nversion = "1.15.0"\n'
    document = written(tmp_path, {"pyproject.toml": text, "poetry.lock": lock})
    assert document["tool"]["uv"]["constraint-dependencies"] == ["six==1.15.0"]
    assert "pytest<9,>=8.0" in document["dependency-groups"]["dev"]
    assert plan.plan(tmp_path, has_poetry=False).changes == ()


def test_what_others_need_of_an_exported_environment(tmp_path: Path) -> None:
    exported = (
        "dependencies:\n  - pandas=1.5.3=py311_0\n  - numpy-base=1.24=py311_0\n"
        "  - threadpoolctl=2.2.0=pyhb85f177_0\n  - odd=1.0=pyhd8ed1ab_0\n"
    )
    texts = {"environment.yml": exported, "main.py": "import odd\n"}
    inputs = inputs_of(tmp_path, texts)
    assert inputs.dependencies == ["pandas==1.5.3", "odd==1.0"]
    assert inputs.constraints == ["threadpoolctl==2.2.0", "odd==1.0", "numpy<2"]


@pytest.mark.parametrize(
    ("python", "listed", "fetched", "base"),
    [
        ("3.12", "six\n", True, "cpython:3.12"),
        ("3.12", "six\n", False, "debian:bookworm"),
        ("3.13", "six\n", False, "debian:trixie"),
        ("3.9", "six\n", False, "debian:bullseye"),
        ("3.8", "six\n", True, "cpython:3.8"),
        ("3.8", "six\n", False, "debian:bullseye"),
        ("3.7", "numpy==1.17.5\n", True, "cpython:3.8"),
        ("3.7", "numpy==1.17.5\n", False, "debian:bullseye"),
        ("3.7", "scikit-learn==0.20.3\n", True, "cpython:3.8"),
        ("3.7", "scikit-learn==0.20.3\n", False, "debian:bullseye"),
        ("3.12", "numpy==1.21.6\n", False, "debian:bullseye"),
        ("3.10", "numpy==2.2.6\n", False, "debian:bookworm"),
    ],
)
def test_a_python_that_debian_lacks(
    python: str, listed: str, *, fetched: bool, base: str, tmp_path: Path
) -> None:
    texts = {"requirements.txt": listed, "Dockerfile": f"FROM python:{python}-slim\n"}
    root = write_files(tmp_path, texts)
    found = plan.plan(root, can_fetch=lambda _: fetched)
    assert f'base = "{base}"' in plan.diff(found)


def test_two_pins_of_one_name_are_the_first(tmp_path: Path) -> None:
    inputs = inputs_of(tmp_path, {"requirements.txt": "six==1.16.0\nSix==1.15.0\nidna\n"})
    assert inputs.dependencies == ["six==1.16.0", "idna"]


def test_nothing_at_all_is_said(tmp_path: Path) -> None:
    assert inputs_of(tmp_path, {"README.md": "x"}).notes == [
        "no file lists dependencies, and no code imports any that is known"
    ]


@pytest.mark.parametrize("protocol", [2, 5])
def test_what_a_model_is_made_of_is_needed(tmp_path: Path, protocol: int) -> None:
    class Tree:
        """An estimator of another place."""

    Tree.__module__, Tree.__qualname__ = "sklearn.tree._classes", "Tree"
    module = types.ModuleType("sklearn.tree._classes")
    module.Tree = Tree  # type: ignore[attr-defined] -- a module of a test
    with pytest.MonkeyPatch.context() as patch:
        for name in ("sklearn", "sklearn.tree", module.__name__):
            patch.setitem(sys.modules, name, module)
        data = pickle.dumps([Tree(), len], protocol=protocol)
    (tmp_path / "used.pkl").write_bytes(data)
    (tmp_path / "other.sav").write_bytes(data.replace(b"sklearn.tree", b"xgboost.core"))
    code = "import pickle\nM = pickle.load(open('used.pkl', 'rb'))\n"
    write_files(tmp_path, {"app.py": code, "requirements.txt": "flask\n"})
    found = read_inputs(Folder(tmp_path), {}, SetupMetadata(), converts=False)
    assert found.dependencies == ["flask", "scikit-learn"]
    assert "`used.pkl` needs `scikit-learn`, which no list has: added" in found.notes
    assert found.guessed == {}, "no image imports it, and it must stay"
    book = {"cells": [{"cell_type": "code", "source": ["import sklearn"]}], "nbformat": 4}
    (tmp_path / "look.ipynb").write_text(json.dumps(book))
    found = read_inputs(Folder(tmp_path), {}, SetupMetadata(), converts=False)
    assert found.guessed == {}, "whether the notebook is run or not"


def test_what_one_list_leaves_open_another_one_pins(tmp_path: Path) -> None:
    setup = SetupMetadata(dependencies=["flask", "dash>=2"])
    write_files(tmp_path, {"requirements.txt": "Flask==3.1.0\ndash==2.9.0\n"})
    found = read_inputs(Folder(tmp_path), {}, setup, converts=False)
    assert found.dependencies == ["Flask==3.1.0", "dash>=2"]
    assert "`requirements.txt` has `dash==2.9.0`: `dash>=2` is used, of another list" in found.notes


def test_what_fastapi_needs_for_forms_django_does_not(tmp_path: Path) -> None:
    write_files(tmp_path, {"app.py": "from django import forms\nclass F(forms.Form): pass\n"})
    found = read_inputs(Folder(tmp_path), {}, SetupMetadata(), converts=False)
    assert found.dependencies == ["django"]
    images = "from django.db import models\nclass M(models.Model):\n    i = models.ImageField()\n"
    write_files(tmp_path, {"models.py": images})
    found = read_inputs(Folder(tmp_path), {}, SetupMetadata(), converts=False)
    assert found.dependencies == ["django", "pillow"]
    write_files(tmp_path, {"app.py": "from fastapi import Form\nx = Form()\n"})
    found = read_inputs(Folder(tmp_path), {}, SetupMetadata(), converts=False)
    assert "python-multipart" in found.dependencies


def test_pins_that_developing_takes_from_the_main_list_are_no_dependencies_of_it(
    tmp_path: Path,
) -> None:
    texts = {
        "requirements/base.in": "fastapi\n",
        "requirements/base.txt": "fastapi==0.110.0\nstarlette==0.36.3\n",
        "requirements/dev.txt": "-r base.txt\npytest\n",
        "setup.cfg": "[metadata]\nname = wordy\nversion = attr: wordy.__version__\n",
        "wordy/__init__.py": "__version__ = '1.2'\n",
    }
    write_files(tmp_path, texts)
    found = plan.plan(tmp_path)
    document = tomllib.loads(found.changes[-1].after.decode())
    assert document["dependency-groups"]["dev"] == ["pytest"]
    assert document["project"]["version"] == "1.2"
    assert not [note for note in found.notes if "`version`" in note]


def test_a_space_has_the_version_and_the_python_of_its_readme(tmp_path: Path) -> None:
    readme = "---\ntitle: x\nsdk: gradio\nsdk_version: 4.44.0\npython_version: '3.10'\n---\n# x\n"
    texts = {"README.md": readme, "app.py": "import gradio\n", "requirements.txt": "numpy\n"}
    found = read_inputs(Folder(write_files(tmp_path, texts)), {}, SetupMetadata(), converts=False)
    assert found.dependencies == ["numpy", "gradio==4.44.0"]
    assert (found.python, found.python_source) == ("3.10", "README.md")
    (tmp_path / "README.md").write_text("# sdk: gradio\nsdk_version: 4.44.0\n---\n")
    found = read_inputs(Folder(tmp_path), {}, SetupMetadata(), converts=False)
    assert found.python == ""


def test_lists_of_a_model_of_mlflow_are_its_own(tmp_path: Path) -> None:
    texts = {
        "backend/requirements.txt": "fastapi\n",
        "backend/model/MLmodel": "flavors: {}\n",
        "backend/model/conda.yaml": "dependencies:\n- pip:\n  - mlflow==2.1\n",
        "backend/model/requirements.txt": "mlflow==2.1\n",
    }
    assert inputs_of(tmp_path, texts).dependencies == ["fastapi"]


def test_pins_that_need_a_newer_python_count_against_one(tmp_path: Path) -> None:
    inputs = inputs_of(tmp_path, {"requirements.txt": "numpy==2.5.2\nscipy>=1.18\npandas==2.2.3\n"})
    assert [inputs.old_pins(minor) for minor in ("3.11", "3.12", "3.13")] == [2, 0, 0]


@pytest.mark.parametrize(
    ("listed", "code", "added"),
    [
        ("pandas\n", "import pandas as pd\npd.DataFrame().plot()\ndf.plot()\n", ["matplotlib"]),
        ("pandas\n", "import pandas\npandas.read_xml('a')\n", ["lxml"]),
        ("matplotlib\n", "import matplotlib\ndf.plot()\n", []),
        ("umap-learn[plot]\n", "import umap.plot\n", []),
        (
            "fastapi\nuvicorn\n",
            "import fastapi\napp = fastapi.FastAPI()\n@app.websocket('/a')\nasync def a(s): ...\n",
            ["websockets"],
        ),
        (
            "fastapi\nuvicorn[standard]\n",
            "import fastapi\napp = fastapi.FastAPI()\n@app.websocket('/a')\nasync def a(s): ...\n",
            [],
        ),
        (
            "flask\n",
            "from flask import Flask\na = Flask(__name__)\n@a.route('/')\nasync def b(): ...\n",
            ["asgiref"],
        ),
        ("flask[async]\n", "from flask import Flask\n@a.route('/')\nasync def b(): ...\n", []),
        (
            "sqlalchemy<2.1\n",
            "import sqlalchemy\nURL = 'postgresql://me@db/x'\n",
            ["psycopg2-binary"],
        ),
        ("sqlalchemy\nasyncpg\n", "import sqlalchemy\nURL = 'postgresql://me@db/x'\n", []),
        ("plotly\n", "import plotly.express as px\n", ["pandas"]),
        ("plotly\nseaborn\n", "import seaborn\nimport plotly.express as px\n", []),
        ("httpx\n", "import httpx\nhttpx.Client(http2=True)\n", ["h2"]),
        ("wtforms\n", "from wtforms.validators import Email\nEmail()\n", ["email-validator"]),
        ("requests\n", "import requests\nForm(1)\nEmail()\nplot_tree(1)\n", []),
    ],
)
def test_what_a_call_needs_and_no_list_has(
    listed: str, code: str, added: list[str], tmp_path: Path
) -> None:
    (tmp_path / "requirements.txt").write_text(listed)
    (tmp_path / "main.py").write_text(code)
    found = read_inputs(Folder(tmp_path), {}, SetupMetadata(), converts=False)
    assert found.dependencies == [*listed.split(), *added]


def test_what_setuptools_does_not_build_is_moved_to_what_it_builds(tmp_path: Path) -> None:
    for listed in ("MarkupSafe==1.0", "markupsafe<1.1"):
        (tmp_path / "requirements.txt").write_text(f"{listed}\n")
        found = read_inputs(Folder(tmp_path), {}, SetupMetadata(), converts=False)
        name = listed[: len("markupsafe")]
        assert found.dependencies == [f"{name}==1.1.1"]
        told = "`markupsafe` below 1.1 is not built by the setuptools of today"
        assert f"`markupsafe==1.1.1`: {told}" in found.notes
    lock = {"_meta": {"sources": []}, "default": {"markupsafe": {"version": "==1.0"}}}
    (tmp_path / "requirements.txt").unlink()
    (tmp_path / "Pipfile").write_text('[packages]\nflask = "*"\n')
    (tmp_path / "Pipfile.lock").write_text(json.dumps(lock))
    found = read_inputs(Folder(tmp_path), {}, SetupMetadata(), converts=False)
    assert [c for c in found.constraints if "markupsafe" in c] == ["markupsafe==1.1.1"]
