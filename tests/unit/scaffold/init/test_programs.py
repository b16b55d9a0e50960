"""Every shape of the gauntlet gets its command from `init`; what is left out is said."""

from pathlib import Path
from typing import Any

import pytest
from support import gauntlet
from support.projects import write_files

from lockstitch.python.tables import parse_toml
from lockstitch.scaffold.init import plan

SHAPES = sorted(gauntlet.SHAPES.glob("*.shape"))


def planned(root: Path, texts: dict[str, str]) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return the images that init decides on, and its notes."""
    found = plan.plan(write_files(root, texts))
    text = next(c.after for c in found.changes if c.name == "pyproject.toml").decode()
    images = parse_toml(text, "it", hint="")["tool"]["lockstitch"]["images"]
    return images, found.notes


@pytest.mark.parametrize("path", SHAPES, ids=lambda path: path.stem)
def test_the_command_of_a_shape(path: Path, tmp_path: Path) -> None:
    shape = gauntlet.read(path)
    root = write_files(tmp_path / shape.name, dict(shape.files))
    plan.write(plan.plan(root, shape.wanted.get("manager", "")))
    assert gauntlet.decided(shape, root, gauntlet.Result(name=shape.name)) == ""
    assert plan.plan(root).changes == ()


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (
            {"main.py": "open('model.bin').read()\n"},
            "left out: `model.bin` (main.py:1): not in this folder",
        ),
        (
            {"main.py": "open('m.bin')\n", "m.bin": "version https://git-lfs.github.com/spec/v1\n"},
            "left out: `m.bin` (main.py:1): a pointer of Git LFS, not the file: git lfs pull",
        ),
        (
            {"main.py": "open('model.txt', 'w')\n"},
            (
                "image `app` may write beside its code (`outputs`), as `model.txt` is written "
                "there (main.py:1): a folder of its own would keep the code safe"
            ),
        ),
        (
            {
                "train.py": "import joblib\njoblib.dump(1, 'models/m.bin')\n",
                "predict.py": "print(open('models/m.bin'))\n",
                "app.py": "import flask\napp = flask.Flask('a')\nM = open('models/m.bin')\n",
            },
            "left out: `models/m.bin` (app.py:3): image `train` writes it",
        ),
        (
            {"lib/a.py": "X = 1\n"},
            (
                "no program was found in `lib/a.py`: image `app` has no command; "
                'add command = ["python", "FILE.py"] to [tool.lockstitch.images.app]'
            ),
        ),
        (
            {"Dockerfile": "FROM python:3.11\nCMD python $SCRIPT\n", "main.py": "print(1)\n"},
            "`Dockerfile:2`: its command has a variable that nobody sets: left out",
        ),
        (
            {"Dockerfile": 'FROM python:3.11\nCMD ["python", "gone.py"]\n', "main.py": "f()\n"},
            "`Dockerfile:2` starts `python gone.py`, which is no code of this folder",
        ),
        (
            {"main.py": "f()\n", "predict.py": "if __name__ == '__main__':\n    f()\n"},
            "programs without an image: `predict.py`",
        ),
        (
            {"app.py": "import fastapi\napp = fastapi.FastAPI()\n"},
            "image `serve`: `fastapi>=0.110` and `uvicorn>=0.30` added, which its program needs",
        ),
    ],
)
def test_what_is_said(texts: dict[str, str], message: str, tmp_path: Path) -> None:
    _, notes = planned(tmp_path / "p", {"requirements.txt": "idna\nflask\n", **texts})
    assert message in notes


def test_a_trainer_of_any_content_is_one(tmp_path: Path) -> None:
    for number, path in enumerate(("train.py", "src/train.py", "pkg/train.py")):
        images, _ = planned(tmp_path / str(number), {path: "", "pkg/__init__.py": ""})
        assert "train" in images


def test_what_cannot_be_read_is_no_program(tmp_path: Path) -> None:
    images, _ = planned(tmp_path, {"train.py": "print 'two'", "api.py": "\0"})
    assert "command" not in images["app"]


def test_links_that_lead_out_are_no_programs(tmp_path: Path) -> None:
    write_files(tmp_path / "outside", {"api.py": "print(1)"})
    root = tmp_path / "project"
    root.mkdir()
    (root / "api.py").symlink_to(tmp_path / "outside" / "api.py")
    images, _ = planned(root, {})
    assert images == {"app": {}}


def test_variables_and_files_of_a_dockerfile(tmp_path: Path) -> None:
    dockerfile = (
        "FROM python:3.11\nWORKDIR /srv\nENV PYTHONPATH=/srv/lib MODE=fast PIP_PRE=1 KEY=x\n"
        "COPY assets /srv/assets\nCOPY . .\nEXPOSE 8080\n"
        "HEALTHCHECK CMD curl -f http://localhost:8080/ready\n"
        "CMD gunicorn -b 0.0.0.0:8080 web:app\n"
    )
    images, _ = planned(
        tmp_path,
        {
            "Dockerfile": dockerfile,
            "requirements.txt": "flask\ngunicorn\n",
            "web.py": "import tool\nfrom flask import Flask\napp = Flask('web')\n",
            "lib/tool.py": "",
            "assets/a.css": "",
        },
    )
    assert images == {
        "serve": {
            "include": ["assets/**", "lib/**/*.py", "web.py"],
            "command": ["gunicorn", "-b", "0.0.0.0:8080", "web:app"],
            "env": {"MODE": "fast", "PYTHONPATH": "/app/lib"},
            "port": 8080,
            "health": "/ready",
        }
    }


def test_what_git_ignores_and_what_is_too_large_is_left_out(tmp_path: Path) -> None:
    import subprocess

    root = write_files(
        tmp_path,
        {
            ".gitignore": "data/big.csv\n",
            "data/big.csv": "x",
            "data/small.csv": "x",
            "train.py": "open('data/big.csv')\nopen('data/small.csv')\nopen('huge.bin')\n",
        },
    )
    with (root / "huge.bin").open("wb") as handle:
        handle.truncate(101 << 20)
    subprocess.run(["git", "init", "-q"], cwd=root, check=True)
    images, notes = planned(root, {})
    assert images["train"]["include"] == ["data/small.csv", "train.py"]
    assert "left out: `data/big.csv` (train.py:1): git ignores it" in notes
    assert "left out: `huge.bin` (train.py:3): 105.9 MB, over 104.9 MB" in notes


def test_what_only_one_image_imports_is_said_with_its_size(tmp_path: Path) -> None:
    lock = (
        'version = 1\n[[package]]\nname = "scikit-learn"\nversion = "1"\nwheels = [{ url = '
        '"https://x.test/s-1-cp311-cp311-manylinux_2_17_x86_64.whl", size = 13000000 }]\n'
    )
    texts = {
        "pyproject.toml": (
            '[project]\nname = "x"\ndependencies = ["scikit-learn", "fastapi", "numpy"]\n'
        ),
        "uv.lock": lock,
        "train.py": "import numpy\nfrom sklearn import svm\n",
        "api.py": "import numpy\nfrom fastapi import FastAPI\napp = FastAPI()\n",
    }
    _, notes = planned(tmp_path, texts)
    assert (
        "only image `train` imports `scikit-learn`: 13.0 MB that the others carry; "
        "uv remove scikit-learn && uv add --group train scikit-learn"
    ) in notes
