"""Every shape of the gauntlet gets its command from `init`; what is left out is said."""

import json
from pathlib import Path
from typing import Any

import pytest
from support import gauntlet
from support.projects import write_files

from lockstitch.image.contents import how_to_get
from lockstitch.python.load import load
from lockstitch.python.tables import parse_toml
from lockstitch.scaffold.init import plan

SHAPES = sorted(gauntlet.SHAPES.glob("*.shape"))


def planned(root: Path, texts: dict[str, str]) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return the images that init decides on, and its notes."""
    found = plan.plan(write_files(root, texts))
    return document_of(found)["tool"]["lockstitch"]["images"], found.notes


def document_of(found: plan.Plan) -> dict[str, Any]:
    """Return pyproject.toml as it will be."""
    text = next(c.after for c in found.changes if c.name == "pyproject.toml").decode()
    return parse_toml(text, "it", hint="")


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
            {"main.py": "import os\nos.system('ls')\n"},
            (
                "`main.py:2` starts a shell, which `debian:bookworm` lacks: start it without "
                'one, or packages = ["dash"] in [tool.lockstitch.base]'
            ),
        ),
        (
            {"main.py": "import subprocess\nsubprocess.run(['git', 'log'])\n"},
            (
                "`main.py:2` starts `git`, which `debian:bookworm` lacks: its package of Debian in "
                "`packages` of [tool.lockstitch.base]"
            ),
        ),
        (
            {"main.py": "open(r'd\\x.csv')\n", "d/x.csv": "1\n"},
            (
                "left out: `d\\x.csv` (main.py:1): a path of Windows, one name on Linux: "
                "write it with `/`"
            ),
        ),
        (
            {"main.py": "open('models/m.bin')\n", "m.bin": "1\n"},
            "left out: `models/m.bin` (main.py:1): not in this folder, which has `m.bin`",
        ),
        (
            {"main.py": "open('Models/m.bin')\n", "models/m.bin": "1\n"},
            (
                "image `app` includes `Models/m.bin`, which the project has in other letters: "
                "git mv models/m.bin Models/m.bin"
            ),
        ),
        (
            {"main.py": "import os\nprint(os.environ['A_KEY'])\n"},
            (
                "image `app` reads variables that have no default: `A_KEY` (main.py:2); "
                "lockstitch try app --env A_KEY=VALUE"
            ),
        ),
        (
            {"main.py": "open('m.bin')\n", "m.bin": "version https://git-lfs.github.com/spec/v1\n"},
            "`m.bin` (main.py:1) is a pointer of Git LFS: git lfs pull, before lockstitch build",
        ),
        (
            {"main.py": "open('model.txt', 'w')\n"},
            (
                "image `app` may write beside its code (`outputs`), as `model.txt` is written "
                "there (main.py:1): a folder of its own would keep the code safe"
            ),
        ),
        (
            {"main.py": "def f(n):\n    open(f'fit_{n}.log', 'w')\nf('a')\n"},
            (
                "image `app` may write beside its code (`outputs`), as `fit_*.log` is written "
                "there (main.py:2): a folder of its own would keep the code safe"
            ),
        ),
        (
            {
                "train.py": "import joblib\njoblib.dump(1, 'models/m.bin')\n",
                "predict.py": "print(open('models/m.bin'))\n",
                "app.py": "import flask\napp = flask.Flask('a')\nM = open('models/m.bin')\n",
            },
            (
                "image `serve` includes `models/m.bin`, which image `train` writes: "
                "lockstitch run train, then lockstitch build"
            ),
        ),
        (
            {"lib/a.py": "X = 1\n"},
            (
                "no program was found in `lib/a.py`: image `app` has no command; "
                'add command = ["python", "FILE.py"] to [tool.lockstitch.images.app]'
            ),
        ),
        (
            {"app.py": "no Python (\n"},
            (
                "no program was found in `app.py`, which Python cannot read: image `app` has no "
                'command; add command = ["python", "FILE.py"] to [tool.lockstitch.images.app]'
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
            '[project]\nname = "x"\ndependencies = ["scikit-learn>=1", "fastapi", "numpy"]\n'
        ),
        "uv.lock": lock,
        "train.py": "import numpy\nfrom sklearn import svm\n",
        "api.py": "import numpy\nfrom fastapi import FastAPI\napp = FastAPI()\n",
    }
    _, notes = planned(tmp_path, texts)
    assert (
        "only image `train` imports `scikit-learn`: 13.0 MB that the others carry; "
        "uv remove scikit-learn && uv add --group train 'scikit-learn>=1', "
        'then groups = ["train"] in its table'
    ) in notes
    texts["uv.lock"] = lock.replace("13000000", "1300000")
    _, notes = planned(tmp_path, texts)
    assert not [note for note in notes if "only image" in note], "too little to tell of"


TWO = {
    "train.py": "import numpy\nfrom sklearn import svm\n",
    "api.py": "import numpy\nfrom fastapi import FastAPI\napp = FastAPI()\n",
    "requirements.txt": "scikit-learn==1.5.0\nfastapi\nnumpy\nuvicorn\n",
}


def test_what_only_one_image_imports_gets_a_group_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    _, notes = planned(tmp_path / "kept", TWO)
    assert "only image `train` imports `scikit-learn`; lockstitch init --split" in notes
    root = write_files(tmp_path / "split", TWO)
    document = document_of(plan.plan(root, split=True))
    assert document["dependency-groups"]["train"] == ["scikit-learn==1.5.0"]
    assert "scikit-learn==1.5.0" not in document["project"]["dependencies"]
    images = document["tool"]["lockstitch"]["images"]
    assert images["train"]["groups"] == ["train"]
    assert "groups" not in images["serve"]


@pytest.mark.parametrize(
    "load", ["import joblib\njoblib.load('m')", "from mlflow import pyfunc as p\np.load_model('m')"]
)
def test_what_a_loaded_model_may_need_stays(load: str, tmp_path: Path) -> None:
    _, notes = planned(tmp_path, {**TWO, "api.py": f"{TWO['api.py']}{load}\n"})
    assert not [note for note in notes if "only image `train`" in note]


def test_what_only_a_script_without_an_image_imports_is_for_developing(tmp_path: Path) -> None:
    texts = {**TWO, "plot.py": "import seaborn\nif __name__ == '__main__':\n    seaborn.f()\n"}
    root = write_files(tmp_path, texts)
    made = plan.plan(root)
    document = document_of(made)
    assert document["dependency-groups"]["dev"] == ["seaborn"]
    assert document["project"]["dependencies"] == [
        "scikit-learn==1.5.0",
        "fastapi",
        "numpy",
        "uvicorn",
    ]
    assert (
        "`plot.py:1` needs `seaborn`, which no list has: added to the group `dev`, as no image "
        "runs `plot.py`"
    ) in made.notes


MAKES = (
    "import os\nif __name__ == '__main__':\n    os.makedirs('d/clean', exist_ok=True)\n"
    "    open('d/clean/x.csv', 'w').write(open('d/x.csv').read())\n"
)
READS = "if __name__ == '__main__':\n    open('d/clean/x.csv')\n"


def test_the_script_that_makes_what_another_one_reads_runs_before_it(tmp_path: Path) -> None:
    images, notes = planned(tmp_path, {"train.py": READS, "clean.py": MAKES, "d/x.csv": "1\n"})
    assert images["train"]["before"] == ["python clean.py"]
    assert images["train"]["include"] == ["clean.py", "d/**", "train.py"]
    assert images["train"]["outputs"] == ["d/clean"]
    assert "image `train` first runs `python clean.py`: `before`" in notes
    assert not [note for note in notes if "d/clean/x.csv" in note]


@pytest.mark.parametrize(
    ("texts", "why"),
    [
        ({"train.py": READS, "clean.py": MAKES, "d/clean/x.csv": "1\n"}, "it is there"),
        ({"train.py": READS, "clean.py": MAKES}, "what it is made from is not"),
        ({"train.py": READS, "d/x.csv": "1\n"}, "nothing makes it"),
        (
            {
                "train.py": f"{READS}\nopen('d/clean/x.csv', 'w')\n",
                "clean.py": MAKES,
                "d/x.csv": "1\n",
            },
            "it makes it itself",
        ),
    ],
)
def test_nothing_runs_before_where(texts: dict[str, str], why: str, tmp_path: Path) -> None:
    images, _ = planned(tmp_path, texts)
    assert "before" not in images["train"], why


def test_a_script_runs_before_a_training_though_a_server_makes_its_folder_too(
    tmp_path: Path,
) -> None:
    """A server is not run first, whatever it writes."""
    texts = {"train.py": READS, "clean.py": MAKES, "d/x.csv": "1\n", "api.py": f"{API}import clean"}
    texts["clean.py"] = MAKES.replace("if __name__ == '__main__'", "def main()") + (
        "if __name__ == '__main__':\n    main()\n"
    )
    images, _ = planned(tmp_path, texts)
    assert "d/clean" in images["serve"]["outputs"]
    assert images["train"]["before"] == ["python clean.py"]


FITS = (
    "from sklearn.svm import SVC\nimport joblib\n"
    "if __name__ == '__main__':\n    SVC().fit([], [])\n"
)


@pytest.mark.parametrize(
    ("texts", "image", "path"),
    [
        (
            {"src/load.py": "if __name__ == '__main__':\n    print()\n"},
            "train",
            "src/model_selection.py",
        ),
        ({"src/main.py": "if __name__ == '__main__':\n    print()\n"}, "app", "src/main.py"),
        (
            {"src/load.py": "import model_selection\nif __name__ == '__main__':\n    print()\n"},
            *("app", "src/load.py"),
        ),
    ],
    ids=["by what it does", "a name says more", "a part of another program"],
)
def test_where_no_name_says_which_script_is_meant_the_one_that_fits_a_model_is(
    texts: dict[str, str], image: str, path: str, tmp_path: Path
) -> None:
    """The module of scikit-learn that splits data is not the script of its name."""
    split = "from sklearn.model_selection import train_test_split\n"
    texts = {name: split + text for name, text in texts.items()}
    images, _ = planned(tmp_path, {**texts, "src/model_selection.py": FITS})
    assert {name: made["command"] for name, made in images.items()} == {image: ["python", path]}


def test_a_training_starts_where_the_server_looks_for_what_it_writes(tmp_path: Path) -> None:
    texts = {
        "backend/app.py": f"{API}import joblib\njoblib.load('m.joblib')\n",
        "backend/train_model.py": f"{FITS}    joblib.dump(1, 'm.joblib')\n",
        "backend/Dockerfile": "FROM python:3.11\nWORKDIR /app\nCOPY . .\nEXPOSE 8000\n"
        'CMD ["uvicorn", "app:app", "--host", "0.0.0.0"]\n',
    }
    images, notes = planned(tmp_path, texts)
    train = images["train"]
    assert (train["command"], train["workdir"]) == (["python", "train_model.py"], "backend")
    told = "image `backend` includes `backend/m.joblib`, which image `train` writes"
    assert f"{told}: lockstitch run train, then lockstitch build" in notes


def test_of_several_images_that_fill_a_folder_the_one_that_trains_makes_a_model(
    tmp_path: Path,
) -> None:
    made = "import joblib\nif __name__ == '__main__':\n    joblib.dump(1, 'data/%s')\n"
    texts = {
        "prepare.py": made % "scaler.pkl",
        "train.py": made % "m.pkl" + "    joblib.load('data/scaler.pkl')\n",
        "app.py": f"{API}import joblib\njoblib.load('data/m.pkl')\n",
        "Dockerfile.prepare": 'FROM python:3.11\nCOPY . .\nCMD ["python", "prepare.py"]\n',
        "Dockerfile.train": "FROM python:3.11\nCOPY . .\nCMD python prepare.py && python train.py",
        "Dockerfile.web": 'FROM python:3.11\nCOPY . .\nCMD ["uvicorn", "app:app"]\n',
    }
    project = plan.plan(write_files(tmp_path, texts)).project
    (web,) = (image for image in project.images if image.port)
    assert how_to_get(project, web, "data/m.pkl") == "lockstitch run train"


def test_a_file_of_tests_is_no_step_whatever_it_makes(tmp_path: Path) -> None:
    tests = f"import unittest\n{MAKES}"
    texts = {"train.py": READS, "checks/a_unit.py": tests, "make_rows.py": MAKES, "d/x.csv": "1\n"}
    images, _ = planned(tmp_path, texts)
    assert images["train"]["before"] == ["python make_rows.py"]


def test_what_starts_a_training_beside_a_server_is_one(tmp_path: Path) -> None:
    texts = {
        "app.py": API,
        "main.py": "from src.train_pipeline import go\nif __name__ == '__main__':\n    go()\n",
        "src/train_pipeline.py": "def go():\n    open('artifacts/m.pkl', 'w')\n",
    }
    images, _ = planned(tmp_path, texts)
    assert images["train"]["command"] == ["python", "main.py"]
    assert images["train"]["outputs"] == ["artifacts"]


def test_the_stub_of_a_template_is_no_program(tmp_path: Path) -> None:
    stub = (
        "import logging\nfrom dotenv import find_dotenv, load_dotenv\ndef main():\n"
        "    logging.getLogger(__name__).info('making final data set from raw data')\n"
        "if __name__ == '__main__':\n    load_dotenv(find_dotenv())\n    main()\n"
    )
    cell = {"cell_type": "code", "source": ["print(open('../d/x.csv').read())"], "outputs": []}
    book = json.dumps({"cells": [cell], "metadata": {}, "nbformat": 4, "nbformat_minor": 5})
    texts = {"src/data/make_dataset.py": stub, "notebooks/fit.ipynb": book, "d/x.csv": "1\n"}
    images, _ = planned(tmp_path, texts)
    assert {*images} == {"notebook"}


def test_what_dvc_keeps_is_included_for_what_runs_before(tmp_path: Path) -> None:
    """`build` says how to get it, and after that nothing is left to do."""
    stages = (
        "stages:\n  clean:\n    cmd: python clean.py\n    deps: [d/x.csv]\n"
        "    outs: [d/clean/x.csv]\n"
    )
    texts = {"train.py": READS, "clean.py": MAKES, "d/x.csv.dvc": "outs: []\n", "dvc.yaml": stages}
    images, notes = planned(tmp_path, texts)
    assert images["train"]["before"] == ["python clean.py"]
    assert "d/x.csv" in images["train"]["include"]
    told = "image `train` includes `d/x.csv`, which DVC keeps: dvc pull d/x.csv.dvc"
    assert told in notes
    assert not [note for note in notes if note.startswith("left out")]


def test_files_of_settings_are_found_in_the_folder_that_the_program_starts_in(
    tmp_path: Path,
) -> None:
    run = "import yaml\nif __name__ == '__main__':\n    yaml.safe_load(open('conf/a.yml'))\n"
    texts = {
        "part/src/run.py": run,
        "part/conf/a.yml": "root: ./data\nrows: raw/rows.csv\nlogs_dir: runs\nmodel: out/m.pkl\n",
        "part/data/raw/rows.csv": "1\n",
    }
    images, _ = planned(tmp_path, texts)
    (image,) = images.values()
    assert image["workdir"] == "part"
    assert image["include"] == ["part/**/*.py", "part/conf/**", "part/data/**"]
    assert image["outputs"] == ["part/out", "part/runs"]


def test_stages_start_in_the_folder_of_their_dvc_yaml(tmp_path: Path) -> None:
    stages = (
        "stages:\n  clean:\n    cmd: python src/clean.py --to clean/x.csv\n    deps: [x.csv]\n"
        "    outs: [clean/x.csv]\n  fit:\n    cmd: >-\n      python src/train.py\n"
        "      --data clean/x.csv\n    deps: [clean/x.csv]\n    outs: [m.pkl]\n"
    )
    script = "import sys\nif __name__ == '__main__':\n    open(sys.argv[2])\n"
    texts = {
        "part/dvc.yaml": stages,
        "part/x.csv": "1\n",
        "part/src/clean.py": script,
        "part/src/train.py": script,
    }
    images, _ = planned(tmp_path, texts)
    train = images["train"]
    assert train["command"] == ["python", "src/train.py", "--data", "clean/x.csv"]
    assert train["before"] == ["python src/clean.py --to clean/x.csv"]
    assert train["workdir"] == "part"
    assert "part/clean" in train["outputs"] or "part" in train["outputs"]


def test_a_command_of_a_readme_may_go_over_several_lines(tmp_path: Path) -> None:
    script = (
        "import argparse, joblib\np = argparse.ArgumentParser()\n"
        "p.add_argument('--data-path', required=True)\np.add_argument('--out', required=True)\n"
        "if __name__ == '__main__':\n    a = p.parse_args()\n    joblib.dump(1, a.out)\n"
    )
    readme = "```\npython train.py \\\n  --data-path d/x.csv \\\n  --out m/m.pkl\n```\n"
    images, notes = planned(tmp_path, {"train.py": script, "README.md": readme})
    train = images["train"]
    assert train["command"] == ["python", "train.py", "--data-path", "d/x.csv", "--out", "m/m.pkl"]
    assert train["outputs"] == ["m", "."]
    assert "left out: `d/x.csv` (its command): not in this folder" in notes


@pytest.mark.parametrize(
    ("uri", "pin", "allowed"),
    [("f'file:{RUNS}'", "", True), ("'sqlite:///a.db'", "", False), ("'runs'", "==2.9.0", False)],
)
def test_runs_of_mlflow_in_a_folder_are_allowed_where_its_version_asks(
    uri: str, pin: str, allowed: bool, tmp_path: Path
) -> None:
    text = f"import mlflow\nRUNS = 'runs'\nmlflow.set_tracking_uri({uri})\nmlflow.start_run()\n"
    texts = {"train.py": text, "requirements.txt": f"mlflow{pin}\n"}
    images, _ = planned(tmp_path, texts)
    env = images["train"].get("env", {})
    assert env.get("MLFLOW_ALLOW_FILE_STORE") == ("true" if allowed else None)
    in_a_folder = "sqlite" not in uri  # which has no experiment if it is there before
    assert ("MLFLOW_EXPERIMENT_NAME" in env) is in_a_folder


PARAMS = "data:\n  raw: d/raw.csv\n  clean: d/clean.csv\nmodel_path: m/fit.pkl\n"
LOADS = "import yaml, pandas as pd\np = yaml.safe_load(open('params.yaml'))\n"


def test_paths_are_followed_through_the_keys_of_settings(tmp_path: Path) -> None:
    """What a script reads and writes is told apart, so the one that makes the data runs first."""
    main = "if __name__ == '__main__':\n"
    texts = {
        "params.yaml": PARAMS,
        "d/raw.csv": "1\n",
        "tidy.py": f"{LOADS}{main}    d = pd.read_csv(p['data']['raw'])\n"
        "    d.to_csv(p['data']['clean'])\n",
        "train.py": f"{LOADS}import joblib\n{main}    data = p['data']\n"
        "    joblib.dump(pd.read_csv(data['clean']), p.get('model_path'))\n",
    }
    images, notes = planned(tmp_path, texts)
    assert images["train"]["before"] == ["python tidy.py"]
    assert images["train"]["outputs"] == ["d", "m"]
    assert "d/**" in images["train"]["include"]
    assert not [note for note in notes if note.startswith("left out")]


def test_a_part_of_the_settings_may_have_a_name_of_its_own(tmp_path: Path) -> None:
    """Every stage of a template has its `root_dir`."""
    texts = {
        "config/config.yaml": "load:\n  root_dir: art/load\nfit:\n  root_dir: art/fit\n",
        "folders.py": "import os\ndef make(folders):\n    for path in folders:\n"
        "        os.makedirs(path, exist_ok=True)\n",
        "train.py": "import yaml\nfrom box import ConfigBox\nfrom folders import make\n"
        "class Manager:\n    def __init__(self):\n"
        "        self.config = ConfigBox(yaml.safe_load(open('config/config.yaml')))\n"
        "    def fit(self):\n        config = self.config.fit\n"
        "        make([config.root_dir])\n"
        "if __name__ == '__main__':\n    Manager().fit()\n",
    }
    images, _ = planned(tmp_path, texts)
    assert images["train"]["outputs"] == ["art/fit", "."]


def test_a_job_may_write_beside_its_code_where_only_a_run_tells_the_file(tmp_path: Path) -> None:
    saves = "import joblib\ndef save(name, model):\n    joblib.dump(model, f'{name}.pkl')\n"
    loop = "if __name__ == '__main__':\n    for n, m in MODELS.items():\n        save(n, m)\n"
    images, _ = planned(tmp_path, {"train.py": saves + loop})
    assert images["train"]["outputs"] == ["."]


def test_a_table_is_read_by_the_name_of_its_argument_too(tmp_path: Path) -> None:
    text = (
        "import pandas as pd\nif __name__ == '__main__':\n    pd.read_csv(filepath_or_buffer=P)\n"
    )
    images, notes = planned(tmp_path, {"train.py": f"P = 'd/rows.csv'\n{text}"})
    assert "left out: `d/rows.csv` (train.py:4): not in this folder" in notes
    assert "outputs" not in images["train"]


def test_data_that_settings_name_and_code_reads_is_said_to_be_missing(tmp_path: Path) -> None:
    texts = {
        "params.yaml": "data:\n  clean: d/clean.csv\n",
        "train.py": f"{LOADS}if __name__ == '__main__':\n    pd.read_csv(p['data']['clean'])\n",
    }
    images, notes = planned(tmp_path, texts)
    assert "left out: `d/clean.csv` (train.py:4): not in this folder" in notes
    assert "outputs" not in images["train"]


def test_a_training_that_writes_a_model_of_a_longer_name_writes_no_other(tmp_path: Path) -> None:
    texts = {
        "api.py": f"{API}import joblib\njoblib.load('m/linear_model.json')\n",
        "fit_it.py": "import os\nif __name__ == '__main__':\n    os.makedirs('m')\n"
        "    open(os.path.join('m', 'model.json'), 'w')\n",
    }
    images, notes = planned(tmp_path, texts)
    assert {*images} == {"serve"}
    assert "left out: `m/linear_model.json` (api.py:4): not in this folder" in notes


def test_a_notebook_that_downloads_gets_a_home_that_it_can_write(tmp_path: Path) -> None:
    cell = [
        "from sklearn.datasets import fetch_california_housing\n",
        "fetch_california_housing()\n",
    ]
    notebook = {"cells": [{"cell_type": "code", "source": cell}], "metadata": {}, "nbformat": 4}
    images, _ = planned(tmp_path, {"a.ipynb": json.dumps(notebook)})
    assert images["notebook"]["env"]["HOME"] == "/tmp"


@pytest.mark.parametrize("command", ['["python", "--version"]', '["python", "-V"]'])
def test_a_dockerfile_that_says_a_version_starts_no_program(command: str, tmp_path: Path) -> None:
    texts = {"Dockerfile": f"FROM python:3.11\nCOPY . .\nCMD {command}\n", "train.py": FITS}
    images, _ = planned(tmp_path, texts)
    assert {*images} == {"train"}


@pytest.mark.parametrize(
    "uri", ["f'file://{ROOT / \"runs\"}'", "(ROOT / 'runs').as_uri()", "'file:./runs'"]
)
def test_the_folder_of_mlflows_runs_may_be_a_uri(uri: str, tmp_path: Path) -> None:
    text = (
        "import mlflow\nfrom pathlib import Path\nROOT = Path(__file__).parent.parent\n"
        f"mlflow.set_tracking_uri({uri})\nmlflow.start_run()\n"
    )
    images, _ = planned(tmp_path, {"src/train.py": text})
    assert "runs" in images["train"]["outputs"]


def test_mlflow_that_saves_models_as_it_did_is_taken(tmp_path: Path) -> None:
    text = "import mlflow\nif __name__ == '__main__':\n    mlflow.sklearn.log_model(f(), 'm')\n"
    texts = {"train.py": text, "requirements.txt": "mlflow\n"}
    _, notes = planned(tmp_path, texts)
    told = "`mlflow<3.13`: `train.py:3` uses `mlflow.sklearn.log_model`"
    assert f"{told}, which mlflow 3.13 refuses" in notes


def test_a_package_that_starts_java_is_said(tmp_path: Path) -> None:
    _, notes = planned(tmp_path, {"main.py": "import pyspark\n", "requirements.txt": "pyspark\n"})
    (note,) = [note for note in notes if "Java" in note]
    assert note.startswith("`pyspark` starts Java: needs its maintainer scripts")


def test_a_server_waits_for_no_training(tmp_path: Path) -> None:
    api = "from fastapi import FastAPI\nimport joblib\napp = FastAPI()\njoblib.load('m/m.pkl')\n"
    train = "import joblib\nif __name__ == '__main__':\n    joblib.dump(1, 'm/m.pkl')\n"
    tune = "import os\nif __name__ == '__main__':\n    os.makedirs('m')\n"
    images, notes = planned(tmp_path, {"api.py": api, "train.py": train, "tune.py": tune})
    assert "before" not in images["serve"]
    assert images["serve"]["include"] == ["api.py", "m/m.pkl", "tune.py"]
    told = "image `serve` includes `m/m.pkl`, which image `train` writes"
    assert f"{told}: lockstitch run train, then lockstitch build" in notes
    assert [note for note in notes if note.startswith("left out")] == []


def test_what_a_server_waits_for_is_not_left_out_of_another_image(tmp_path: Path) -> None:
    """The training comes past code that reads the model, too."""
    model = "import joblib\n\n\ndef load():\n    return joblib.load('m/m.pkl')\n"
    train = "import joblib, model\nif __name__ == '__main__':\n    joblib.dump(1, 'm/m.pkl')\n"
    texts = {"api.py": f"{API}import model\n", "model.py": model, "train.py": train}
    images, notes = planned(tmp_path, texts)
    assert "m/m.pkl" in images["serve"]["include"]
    (note,) = [note for note in notes if "m/m.pkl" in note]
    assert note.startswith("image `serve` includes `m/m.pkl`, which image `train` writes: ")


API = "from fastapi import FastAPI\napp = FastAPI()\n"


def test_what_is_said_of_an_image_names_it_as_it_is_called(tmp_path: Path) -> None:
    api = f"{API}import json\njson.load(open('kept/state.json'))\n"
    retrain = (
        "import json\nif __name__ == '__main__':\n    json.dump({}, open('kept/state.json', 'w'))\n"
        "    open('run.log', 'w')\n"
    )
    images, notes = planned(tmp_path, {"api.py": api, "retraining_job.py": retrain})
    assert {*images} == {"serve", "train"}
    (note,) = [note for note in notes if "may write beside its code" in note]
    assert note.startswith("image `train` ")


def test_a_server_includes_no_model_that_nothing_here_can_write(tmp_path: Path) -> None:
    """Training needs data that is not in the repository: waiting for its model would not end."""
    api = f"{API}import joblib\njoblib.load('m/m.pkl')\n"
    train = "import joblib, pandas\npandas.read_csv('data/rows.csv')\njoblib.dump(1, 'm/m.pkl')\n"
    images, notes = planned(tmp_path, {"api.py": api, "train.py": train})
    assert images["serve"]["include"] == ["api.py"]
    assert "left out: `m/m.pkl` (api.py:4): image `train` writes it" in notes


def test_the_script_that_makes_a_model_of_a_server_is_an_image_with_the_steps_before_it(
    tmp_path: Path,
) -> None:
    texts = {
        "service/app.py": f"{API}import joblib\njoblib.load('fit/m.joblib')\n",
        "rows.py": "import os\nif __name__ == '__main__':\n    os.makedirs('data')\n"
        "    open('data/r.csv', 'w').write('1')\n",
        "build_it.py": "import os, joblib\nif __name__ == '__main__':\n    os.makedirs('fit')\n"
        "    joblib.dump(open('data/r.csv').read(), 'fit/m.joblib')\n",
    }
    images, _ = planned(tmp_path, texts)
    assert images["build-it"]["command"] == ["python", "build_it.py"]
    assert images["build-it"]["before"] == ["python rows.py"]
    assert "fit/m.joblib" in images["serve"]["include"]


@pytest.mark.parametrize(
    ("texts", "names"),
    [
        ({"a/main.py": API, "b/main.py": API}, {"a", "b"}),
        ({"src/a/app/main.py": API, "services/b/main.py": API}, {"a", "b"}),
        ({"main.py": API, "admin/main.py": API}, {"serve", "admin"}),
        # Beside each other, and a part of the other's program.
        ({"main.py": API, "app_old.py": API}, {"serve"}),
        ({"main.py": f"{API}from sub.api import app as inner\n", "sub/api.py": API}, {"serve"}),
    ],
)
def test_applications_in_folders_of_their_own_are_images(
    texts: dict[str, str], names: set[str], tmp_path: Path
) -> None:
    assert {*planned(tmp_path, texts)[0]} == names


def test_a_script_that_is_there_to_be_copied_comes_last(tmp_path: Path) -> None:
    code = "if __name__ == '__main__':\n    print(1)\n"
    texts = {"src/stage_00_template.py": code, "src/stage_01_get_data.py": code}
    assert planned(tmp_path, texts)[0]["app"]["command"] == ["python", "src/stage_01_get_data.py"]


def test_copies_that_jupyter_keeps_are_no_images(tmp_path: Path) -> None:
    docker = 'FROM python:3.11-slim\nCOPY . .\nCMD ["python", "app.py"]\n'
    texts = {
        "serve/Dockerfile": docker,
        "serve/.ipynb_checkpoints/Dockerfile-checkpoint": docker,
        "serve/app.py": "print(1)\n",
    }
    assert {*planned(tmp_path, texts)[0]} == {"serve"}


def test_a_server_does_not_write_what_it_reads(tmp_path: Path) -> None:
    api = f"{API}import os, joblib\nos.makedirs('m', exist_ok=True)\njoblib.load('m/m.pkl')\n"
    _, notes = planned(tmp_path, {"api.py": api})
    assert "left out: `m/m.pkl` (api.py:5): not in this folder" in notes


def test_the_store_of_bentoml_is_a_folder_that_one_image_writes_and_another_has(
    tmp_path: Path,
) -> None:
    texts = {
        "requirements.txt": "bentoml\nscikit-learn\n",
        "train.py": "import bentoml\nbentoml.sklearn.save_model('prices', object())\n",
        "service.py": "import bentoml\nmodel = bentoml.sklearn.load_model('prices:latest')\n"
        "@bentoml.service\nclass Prices:\n    pass\n",
    }
    images, notes = planned(tmp_path, texts)
    assert images["train"]["outputs"] == images["serve"]["outputs"] == ["bentoml-store"]
    assert images["train"]["env"]["BENTOML_HOME"] == "/app/bentoml-store"
    assert images["serve"]["env"]["BENTOML_HOME"] == "/app/bentoml-store"
    assert "bentoml-store/models/**" in images["serve"]["include"]
    assert any("lockstitch run train" in note for note in notes)


NOTEBOOK = """{
 "cells": [
  {"cell_type": "markdown", "source": ["import nothing"]},
  {
   "cell_type": "code",
   "source": [
    "%matplotlib inline\\n",
    "!pip install seaborn\\n",
    "import pandas as pd\\n",
    "pd.read_csv('../data/x.csv')"
   ]
  },
  {"cell_type": "code", "source": ["this is no Python"]},
  {"cell_type": "code", "source": ["import seaborn"]}
 ]
}
"""


def test_a_notebook_is_run_where_there_is_no_other_program(tmp_path: Path) -> None:
    texts = {
        "nb/02_train.ipynb": NOTEBOOK,
        "nb/01 look.ipynb": NOTEBOOK,
        ".ipynb_checkpoints/train.ipynb": NOTEBOOK.replace("seaborn", "tqdm"),
        "data/x.csv": "1\n",
        "helper.py": "import idna\n",
    }
    root = write_files(tmp_path, texts)
    made = plan.plan(root)
    document = document_of(made)
    assert document["project"]["dependencies"] == ["pandas", "seaborn"]
    assert document["dependency-groups"]["dev"] == ["idna"], "nothing imports the helper"
    assert document["dependency-groups"]["notebook"] == ["ipython", "nbformat"]
    image = document["tool"]["lockstitch"]["images"]["notebook"]
    assert (image["command"], image["workdir"]) == (["ipython", "02_train.ipynb"], "nb")
    assert image["include"] == ["data/**", "helper.py", "nb/02_train.ipynb"]
    assert (
        "`nb/02_train.ipynb:8` starts a shell: `dash` is added, and an image has no more of "
        "`!pip install seaborn`"
    ) in made.notes
    assert document["tool"]["lockstitch"]["base"]["packages"] == ["dash"]
    assert "programs without an image: `nb/01 look.ipynb`" in made.notes


def test_a_folder_to_write_that_a_readme_keeps_is_there_below_an_output(tmp_path: Path) -> None:
    train = "import joblib\njoblib.dump({}, 'models/trained/m.pkl')\nopen('models/n', 'w')\n"
    images, _ = planned(tmp_path, {"train.py": train, "models/trained/README.md": "models"})
    assert images["train"]["outputs"] == ["models"]
    assert "models/trained/README.md" in images["train"]["include"]


@pytest.mark.parametrize(
    ("hosts", "health"), [('["*"]', "/api/health/"), ('["example.com"]', None), ("[]", None)]
)
def test_django_is_well_by_a_route_that_everybody_may_ask(
    tmp_path: Path, hosts: str, health: str | None
) -> None:
    texts = dict(gauntlet.read(gauntlet.SHAPES / "django-gathers-static.shape").files)
    name = "site1/settings.py"
    texts[name] = texts[name].replace('["*"]', hosts)
    images, _ = planned(tmp_path, texts)
    assert images["serve"].get("health") == health
    assert images["serve"]["outputs"] == ["staticfiles"]


def test_an_address_of_another_image_on_its_own_machine_is_named(tmp_path: Path) -> None:
    api = "from fastapi import FastAPI\napp = FastAPI()\n"
    page = "import streamlit as st\nAPI = 'http://127.0.0.1:{}/predict'\nst.write(API)\n"
    texts = {"api/main.py": api, "web/app.py": page.format(8000)}
    told = (
        "asks `http://127.0.0.1:8000` of image `serve`: on one machine lockstitch run serve beside"
    )
    assert any(told in note for note in planned(tmp_path / "a", texts)[1])
    texts["web/app.py"] = page.format(8501)
    assert not any("asks" in note for note in planned(tmp_path / "b", texts)[1])


def test_what_a_procfile_runs_before_its_server_is_before(tmp_path: Path) -> None:
    texts = dict(gauntlet.read(gauntlet.SHAPES / "django-gathers-static.shape").files)
    texts["Procfile"] = "web: python manage.py migrate && gunicorn site1.wsgi & python web.py\n"
    texts["web.py"] = "from http.server import HTTPServer as S\nS(('', 8080)).serve_forever()\n"
    images, _ = planned(tmp_path, texts)
    steps = ["python manage.py migrate", "python manage.py collectstatic --noinput"]
    assert images["serve"]["before"] == steps
    assert images["serve"]["command"][:2] == ["gunicorn", "site1.wsgi"]


def test_a_model_is_of_the_training_and_not_of_what_prepares_its_folder(tmp_path: Path) -> None:
    text = '[project]\nname = "p"\nversion = "1"\n[tool.lockstitch]\npython = "3.11"\n'
    for name in ("clean", "train"):
        text += f'[tool.lockstitch.images.{name}]\noutputs = ["data"]\ncommand = ["python", "a"]\n'
    write_files(tmp_path, {"pyproject.toml": f"{text}[tool.lockstitch.images.serve]\nport = 1\n"})
    project = load(tmp_path)
    (serve,) = [image for image in project.images if image.port]
    assert how_to_get(project, serve, "data/model.pkl") == "lockstitch run train"


def test_templates_that_only_windows_finds_are_named(tmp_path: Path) -> None:
    app = (
        "from flask import Flask, render_template\napp = Flask(__name__)\n"
        "@app.route('/')\ndef home():\n    return render_template('index.html')\n"
    )
    texts = {"web/app.py": app, "web/Templates/index.html": "hello"}
    images, notes = planned(tmp_path, texts)
    (image,) = images.values()
    renamed = "git mv web/Templates web/templates"
    assert "web/templates/**" in image["include"]
    assert f"`web/Templates` is no `web/templates` on Linux, where Flask looks: {renamed}" in notes
    plan.write(plan.plan(tmp_path))
    project = load(tmp_path)
    assert how_to_get(project, project.images[0], "web/templates/**") == renamed
    (tmp_path / "web/Templates").rename(tmp_path / "web/templates")
    assert how_to_get(project, project.images[0], "web/templates/**") == ""


@pytest.mark.parametrize(
    ("readme", "command"),
    [
        ("main.py", ["python", "main.py"]),
        ("src/train_models.py", ["python", "-m", "src.train_models"]),
    ],
)
def test_the_script_that_a_readme_starts_is_the_training(
    tmp_path: Path, readme: str, command: list[str]
) -> None:
    start = "if __name__ == '__main__':\n    main()\n"
    texts = {
        "README.md": f"```bash\npython {readme}\n```\n",
        "main.py": f"from src.train_models import main\n{start}",
        "src/__init__.py": "",
        "src/other.py": "x = 1\n",
        "src/train_models.py": f"from src.other import x\ndef main(): print(x)\n{start}",
    }
    assert planned(tmp_path, texts)[0]["train"]["command"] == command


def test_of_several_notebooks_one_runs_whose_data_is_here(tmp_path: Path) -> None:
    texts = {
        "nb/01_train.ipynb": NOTEBOOK.replace("x.csv", "gone.csv"),
        "nb/02_look.ipynb": NOTEBOOK,
        "nb/00_train.ipynb": NOTEBOOK.replace("pd.read_csv('../data/x.csv')", "x = 1"),
        "data/x.csv": "1\n",
    }
    made = plan.plan(write_files(tmp_path, texts))
    image = document_of(made)["tool"]["lockstitch"]["images"]["notebook"]
    assert image["command"] == ["ipython", "02_look.ipynb"]


def test_a_notebook_beside_a_program_is_no_program(tmp_path: Path) -> None:
    texts = {"a.ipynb": NOTEBOOK, "main.py": "import idna\nprint(idna)\n"}
    root = write_files(tmp_path, texts)
    document = document_of(plan.plan(root))
    assert document["project"]["dependencies"] == ["idna"]
    assert document["tool"]["lockstitch"]["images"].keys() == {"app"}


@pytest.mark.parametrize(
    ("texts", "image", "key", "value"),
    [
        (
            {"main.py": "import mlflow\nmlflow.set_tracking_uri('sqlite:///mlflow.db')\nf()\n"},
            *("app", "outputs", ["."]),
        ),
        (
            {"app.py": "import flask\napp = flask.Flask('a')\n", "__init__.py": ""},
            *("serve", "include", ["app.py"]),
        ),
        (
            {"main.py": "open('Rows of a Year 2024.csv')\n", "Rows of a Year 2024.csv": "1\n"},
            *("app", "include", ["Rows of a Year 2024.csv", "main.py"]),
        ),
        (
            {"main.py": "import yaml\nyaml.safe_load(open('c.yaml'))\nf()\n", "c.yaml": "a: B/5.0"},
            *("app", "outputs", None),
        ),
        (
            {"api.py": "import fastapi\napp = fastapi.FastAPI()\nM = 'No data. POST /x.y'\n"},
            *("serve", "outputs", None),
        ),
        (
            {"src/train.py": "def f(): ...\n", "src/run.py": "from src.train import f\nf()\n"},
            *("app", "command", ["python", "-m", "src.run"]),
        ),
        (
            {"src/train.py": "def f(): ...\n", "src/odd.py": "from src.train import f\nf()\n"},
            *("train", "command", ["python", "src/train.py"]),
        ),
        (
            {"train.py": "def f(): ...\n", "tests/main.py": "import train\ntrain.f()\n"},
            *("train", "command", ["python", "train.py"]),
        ),
        (
            {"Dockerfile": 'FROM python:3.11\nCMD ["./a.sh"]\n', "a.sh": "command -v python\n"},
            *("app", "command", None),
        ),
        (
            {"main.py": "import cv2\nf(cv2)\n", "requirements.txt": "opencv-python\n"},
            *("app", "groups", None),
        ),
        (
            {"archive/train.py": "print(1)\n", "run.py": "print(1)\n"},
            *("app", "command", ["python", "run.py"]),
        ),
    ],
)
def test_what_looks_like_one_and_is_none(
    texts: dict[str, str], image: str, key: str, value: list[str] | None, tmp_path: Path
) -> None:
    images, _ = planned(tmp_path, texts)
    assert images[image].get(key) == value


OF_CONFIG = "import yaml, pandas\nc = yaml.safe_load(open('c/c.yaml'))\ndef f(c):\n"
LACKS = '[project]\nname = "a"\nversion = "1"\ndependencies = ["numpy"]\n'
OLD_HYDRA = "import hydra\n@hydra.main(config_path='c/c.yaml')\ndef f(c): ...\nf()\n"


@pytest.mark.parametrize(
    ("texts", "image", "key", "value"),
    [
        (
            {
                "train.py": f"{OF_CONFIG}    pandas.DataFrame().to_csv(c.out)\nf(c)\n",
                "c/c.yaml": "data: d/x.csv\n",
                "d/x.csv": "1\n",
            },
            *("train", "outputs", ["d", "."]),
        ),
        (
            {
                "train.py": "import mlflow, yaml\nc = yaml.safe_load(open('c.yaml'))\n"
                "mlflow.set_tracking_uri(c.uri)\n",
                "c.yaml": "uri: sqlite:///mlflow.db\n",
            },
            *("train", "outputs", ["."]),
        ),
        (
            {
                "train.py": "import mlflow, os\n"
                "mlflow.set_tracking_uri(os.environ['MLFLOW_TRACKING_URI'])\n"
            },
            *("train", "env", {"MLFLOW_TRACKING_URI": "sqlite:///mlruns/mlflow.db"}),
        ),
        (
            {"train.py": OLD_HYDRA, "c/c.yaml": "a: 1\n", "c/model/b.yaml": "b: 1\n"},
            *("train", "include", ["c/**", "train.py"]),
        ),
        (
            {
                "Dockerfile": 'FROM python:3.11\nCMD ["streamlit", "run", "app.py"]\n'
                "HEALTHCHECK CMD curl -f http://localhost:8501/health\n",
                "app.py": "import streamlit\nstreamlit.title('a')\n",
            },
            *("serve", "health", "/_stcore/health"),
        ),
        (
            {
                "main.py": "import argparse\np = argparse.ArgumentParser()\n"
                "p.add_argument('mode')\np.parse_args()\n",
                "README.md": "```\npython main.py fine_tune\npython main.py train\n```\n",
            },
            *("app", "command", ["python", "main.py", "train"]),
        ),
    ],
)
def test_what_is_rarely_said_in_full(
    texts: dict[str, str], image: str, key: str, value: object, tmp_path: Path
) -> None:
    images, _ = planned(tmp_path, texts)
    assert images[image].get(key) == value


def test_a_folder_without_a_model_waits_for_the_training(tmp_path: Path) -> None:
    texts = {
        "api.py": "import os, fastapi\napp = fastapi.FastAPI()\nprint(os.listdir('models'))\n",
        "train.py": "import joblib\njoblib.dump(1, 'models/fit.pkl')\n"
        "print('Model saved to models/fit.pkl')\n",
        "models/told.json": "1\n",
    }
    images, notes = planned(tmp_path, texts)
    assert images["serve"]["include"] == ["api.py", "models/**"]
    assert images["train"]["outputs"] == ["models"]
    assert any("includes `models/fit.pkl`, which image `train` writes" in note for note in notes)


def test_a_list_beside_a_project_that_lacks_some_of_it_is_taken_whole(tmp_path: Path) -> None:
    listed = "numpy\nodd-frames==2.2.3\nkedro-datasets\n"  # which no table knows
    train = "import odd_frames\nprint(odd_frames)\n"
    texts = {"pyproject.toml": LACKS, "requirements.txt": listed, "train.py": train}
    _, notes = planned(tmp_path, texts)
    names = "`odd-frames==2.2.3` and `kedro-datasets`"
    assert f"image `train`: {names} added, which its program needs" in notes


def test_runs_of_another_machine_are_no_part_of_a_training(tmp_path: Path) -> None:
    texts = {
        "train.py": "import mlflow\nmlflow.set_tracking_uri('sqlite:///mlflow.db')\nf()\n",
        "mlflow.db": "1",
        "mlruns/0/meta.yaml": "a: /home/me\n",
    }
    images, _ = planned(tmp_path, texts)
    assert images["train"]["include"] == ["train.py"]


def test_parameters_of_mlproject_have_their_defaults(tmp_path: Path) -> None:
    points = (
        "entry_points:\n"
        "  other:\n    command: python train.py --rate 9\n"
        "  main:\n    parameters:\n      rate: {type: float, default: 0.1}\n"
        "      name: {type: str, default: a b}\n"
        "    command: 'python train.py --rate {rate} --name {name}'\n"
    )
    images, _ = planned(tmp_path, {"MLproject": points, "train.py": "import sys\nprint(sys)\n"})
    assert images["train"]["command"] == [*("python", "train.py", "--rate", "0.1", "--name", "a b")]


@pytest.mark.parametrize(
    ("text", "home"),
    [
        ("import nltk\nnltk.download('punkt')\n", "/tmp"),
        ("from sklearn.datasets import fetch_openml as f\nf('x')\n", "/tmp"),
        ("import tensorflow as tf\ntf.keras.datasets.mnist.load_data()\n", "/tmp"),
        ("import nltk\nnltk.word_tokenize('x')\n", None),
        ("import crewai\ncrewai.Agent()\n", "/tmp"),
        ("from prefect import flow\n@flow\ndef main(): ...\nmain()\n", "/tmp"),
    ],
)
def test_downloads_get_a_home_that_can_be_written(
    text: str, home: str | None, tmp_path: Path
) -> None:
    images, _ = planned(tmp_path, {"main.py": text})
    assert images["app"].get("env", {}).get("HOME") == home


def test_a_training_that_a_dockerfile_starts_is_no_second_image(tmp_path: Path) -> None:
    texts = {
        "job/Dockerfile": "FROM python:3.11\nWORKDIR /code\nCOPY job/train_flow.py .\n"
        'CMD ["python", "-u", "train_flow.py"]\n',
        "job/train_flow.py": "if __name__ == '__main__':\n    print(1)\n",
    }
    images, _ = planned(tmp_path, texts)
    assert [*images] == ["job"]


def test_a_project_of_kedro_has_its_catalog(tmp_path: Path) -> None:
    texts = {
        "pyproject.toml": '[project]\nname = "spice"\nversion = "1"\ndependencies = ["kedro"]\n'
        '[project.scripts]\nspice = "spice.__main__:main"\n[tool.kedro]\npackage_name = "spice"\n'
        '[build-system]\nrequires = ["hatchling"]\nbuild-backend = "hatchling.build"\n',
        "src/spice/__init__.py": "",
        "src/spice/__main__.py": "from kedro.framework.project import configure_project\n\n\n"
        "def main():\n    configure_project('spice')\n\n\nif __name__ == '__main__':\n    main()\n",
        "conf/base/catalog.yml": "rows:\n  filepath: data/01_raw/r.csv\n",
        "conf/local/.gitkeep": "",
        "data/01_raw/r.csv": "a\n1\n",
    }
    images, _ = planned(tmp_path, texts)
    assert images["app"]["command"] == ["spice"]
    assert images["app"]["include"] == ["conf/base/**", "data/**"]
    assert sorted(images["app"]["outputs"]) == ["conf/local", "data"]


def test_the_only_script_of_a_folder_is_the_program(tmp_path: Path) -> None:
    texts = {
        "Job/MLProject": "entry_points:\n  main:\n    command: python odd.py --a 1\n",
        "Job/odd.py": "import sys\nprint(open('x.csv'), sys.argv)\n",
        "Job/x.csv": "1\n",
    }
    images, _ = planned(tmp_path, texts)
    assert images["app"]["command"] == ["python", "odd.py", "--a", "1"]
    assert (images["app"]["workdir"], images["app"]["include"]) == (
        "Job",
        ["Job/**/*.py", "Job/x.csv"],
    )


def test_a_page_is_no_script_whatever_its_name(tmp_path: Path) -> None:
    page = "import streamlit as st\nst.title('A')\n"
    images, _ = planned(
        tmp_path, {"app.py": page, "pages/4_Training.py": page, "train_ui.py": page}
    )
    assert [*images] == ["serve"]


def test_code_of_a_committed_environment_is_no_program(tmp_path: Path) -> None:
    texts = {"main.py": "print(1)\n", "env/python.exe": "1\n", "env/Lib/train.py": "print(1)\n"}
    images, _ = planned(tmp_path, texts)
    assert [*images] == ["app"]


def test_a_file_named_as_a_package_gets_no_root_of_its_own(tmp_path: Path) -> None:
    texts = {
        "requirements.txt": "flask\nflask-sqlalchemy\n",
        "app.py": "import flask\nfrom extensions.sqlalchemy import db\napp = flask.Flask('a')\n",
        "models.py": "import sqlalchemy\n",
        "extensions/__init__.py": "import models\n",
        "extensions/sqlalchemy.py": "from flask_sqlalchemy import SQLAlchemy\ndb = SQLAlchemy()\n",
    }
    images, _ = planned(tmp_path, texts)
    assert "PYTHONPATH" not in images["serve"].get("env", {})


def test_code_of_a_newer_python_is_code(tmp_path: Path) -> None:
    code = (
        "import streamlit as st\nd = {'k': 1}\nst.write(f'{d['k']}')\ntype Row = dict[str, int]\n"
    )
    texts = {"requirements.txt": "streamlit\n", "web/page.py": code}
    texts["pyproject.toml"] = '[project]\nname = "x"\nversion = "1"\nrequires-python = ">=3.13"\n'
    images, _ = planned(tmp_path, texts)
    assert images["serve"]["command"][:3] == ["streamlit", "run", "web/page.py"]


def test_one_dockerfile_of_two_compose_files_is_one_image(tmp_path: Path) -> None:
    service = (
        "services:\n  app:\n    build: .\n    command: streamlit run app.py --server.port 80{}\n"
    )
    worker = "  worker:\n    build: .\n    command: celery -A work worker\n"
    texts = {
        "requirements.txt": "streamlit\ncelery\n",
        "Dockerfile": "FROM python:3.11\nCOPY . /app\nWORKDIR /app\n",
        "compose.yml": service.format("80") + worker,
        "compose.dev.yml": service.format("80 --server.runOnSave=true"),
        "app.py": "import streamlit as st\nst.title('x')\n",
        "work.py": "from celery import Celery\napp = Celery('work')\n",
    }
    images, _ = planned(tmp_path, texts)
    assert sorted(image["command"][0] for image in images.values()) == ["celery", "streamlit"]


def test_services_of_one_dockerfile_are_images_whichever_names_a_command(tmp_path: Path) -> None:
    texts = {
        "requirements.txt": "fastapi\nuvicorn\n",
        "Dockerfile": "FROM python:3.11\nWORKDIR /app\nCOPY . /app\nCMD uvicorn api.main:app\n",
        "compose.yml": "services:\n  trainer:\n    build: .\n    entrypoint: [python, fit.py]\n"
        "    volumes: ['./api:/app']\n  web:\n    build: .\n  job:\n    build: .\n"
        "    command: python -m api.job\n",
        "api/main.py": API,
        "api/fit.py": "print(1)\n",
        "api/job.py": "print(2)\n",
    }
    images, _ = planned(tmp_path, texts)
    assert {name: (each["command"][:3], each.get("workdir")) for name, each in images.items()} == {
        "job": (["python", "-m", "api.job"], None),
        "trainer": (["python", "fit.py"], "api"),
        "web": (["uvicorn", "api.main:app", "--host"], None),
    }


def test_a_project_of_django_needs_no_manage_py(tmp_path: Path) -> None:
    texts = {
        "requirements.txt": "django\n",
        "core/__init__.py": "",
        "core/wsgi.py": "import os\nfrom django.core.wsgi import get_wsgi_application\n"
        "os.environ.setdefault('DJANGO_SETTINGS_MODULE', 'core.settings')\n"
        "application = get_wsgi_application()\n",
        "core/settings.py": "D = {'ENGINE': 'django.db.backends.sqlite3', 'NAME': 'db.sqlite3'}\n"
        "INSTALLED_APPS = ['shop']\nROOT_URLCONF = 'core.urls'\n",
        "core/urls.py": "urlpatterns = []\n",
        "shop/models.py": "from django.db import models\n",
        "shop/templates/a.html": "",
    }
    images, _ = planned(tmp_path, texts)
    made = images["serve"]
    assert made["command"] == ["gunicorn", "--bind", "0.0.0.0:8000", "core.wsgi:application"]
    assert made["before"] == ["python -m django migrate --noinput"]
    assert made["env"] == {"DJANGO_SETTINGS_MODULE": "core.settings"}
    assert made["include"] == ["core/**/*.py", "shop/**/*.py", "shop/templates/**"]


def test_a_database_that_a_variable_names_is_written(tmp_path: Path) -> None:
    texts = {
        "requirements.txt": "fastapi\nuvicorn\n",
        "Dockerfile": "FROM python:3.11\nCOPY . .\nENV DB=sqlite:///a.db OTHER=sqlite:///d/b.db\n"
        "CMD uvicorn api:app\n",
        "api.py": API,
    }
    images, _ = planned(tmp_path, texts)
    assert images["serve"]["outputs"] == ["d", "."]


def test_a_module_is_found_from_the_folder_of_what_it_opens(tmp_path: Path) -> None:
    texts = {
        "requirements.txt": "flask\ngunicorn\n",
        "back/app.py": "from flask import Flask\nimport predict\napp = Flask(__name__)\n",
        "back/predict.py": "import joblib\njoblib.load('m.pkl')\n",
        "back/m.pkl": "",
    }
    images, _ = planned(tmp_path, texts)
    assert images["serve"]["command"][-1] == "back.app:app"
    assert images["serve"]["workdir"] == "back"
    assert images["serve"]["env"] == {"PYTHONPATH": "/app/back:/app"}


def test_a_service_listens_where_its_own_command_says(tmp_path: Path) -> None:
    texts = {
        "requirements.txt": "streamlit\n",
        "Dockerfile": "FROM python:3.11\nWORKDIR /app\nCOPY . .\nEXPOSE 5000\n",
        "compose.yml": "services:\n  app:\n    build: .\n    command: streamlit run app.py "
        "--server.port=8501\n",
        "app.py": "import streamlit as st\nst.code('python train.py')\n",
        "train.py": "import pandas\nif __name__ == '__main__':\n    pandas.read_csv('x.csv')\n",
    }
    images, notes = planned(tmp_path, texts)
    assert images["app"]["port"] == 8501
    (note,) = [note for note in notes if "x.csv" in note]
    assert note == "left out: `x.csv` (train.py:3): not in this folder"


def test_a_server_waits_for_no_training_that_only_windows_can_run(tmp_path: Path) -> None:
    texts = {
        "data/x.csv": "a\n",
        "app.py": f"{API}import joblib\njoblib.load('m.pkl')\n",
        "train.py": "import joblib, pandas\npandas.read_csv('data\\\\x.csv')\n"
        "joblib.dump(1, 'm.pkl')\n",
    }
    images, notes = planned(tmp_path, texts)
    assert "m.pkl" not in images["serve"]["include"]
    assert "data/**" in images["train"]["include"]
    told = "left out: `data\\x.csv` (train.py:2): a path of Windows, one name on Linux"
    assert any(note.startswith(told) for note in notes)


def test_a_training_that_needs_arguments_is_not_waited_for(tmp_path: Path) -> None:
    train = (
        "import argparse, joblib\np = argparse.ArgumentParser()\n"
        "p.add_argument('--csv', required=True)\np.add_argument('rows')\n"
        "p.add_argument('more', nargs='*')\np.parse_args()\njoblib.dump(1, 'models/m.pkl')\n"
    )
    files = {
        "train.py": train,
        "app.py": "import flask\napp = flask.Flask('a')\nM = open('models/m.pkl')\n",
        "requirements.txt": "flask\njoblib\n",
    }
    images, notes = planned(tmp_path, files)
    assert "models/m.pkl" not in images["serve"]["include"]
    told = "`train.py` needs arguments, which no file of this folder gives"
    assert f"{told}: lockstitch run train -- --csv CSV ROWS" in notes
    assert "left out: `models/m.pkl` (app.py:3): image `train` writes it" in notes


def test_a_file_that_no_code_names_is_written_by_nobody(tmp_path: Path) -> None:
    train = (
        "import os, joblib\nos.makedirs('artifacts')\n"
        "def save(path): joblib.dump(1, path)\nsave(os.path.join('artifacts', 'model.pkl'))\n"
    )
    files = {
        "train.py": f"{train}open('artifacts/gone.csv')\n",
        "app.py": "import flask\napp = flask.Flask('a')\nM = open('artifacts/vectorizer.pkl')\n",
        "requirements.txt": "flask\njoblib\n",
    }
    _, notes = planned(tmp_path / "one", files)
    assert "left out: `artifacts/gone.csv` (train.py:5): not in this folder" in notes
    assert "left out: `artifacts/vectorizer.pkl` (app.py:3): not in this folder" in notes
    files["train.py"] = train + "for name in 'ab':\n    save(f'artifacts/{name}.pkl')\n"
    images, _ = planned(tmp_path / "two", files)
    assert "artifacts/vectorizer.pkl" in images["serve"]["include"]


def test_a_word_of_a_command_that_is_also_a_folder_is_no_path(tmp_path: Path) -> None:
    dockerfile = "FROM python:3.11-slim\nWORKDIR /app\nCOPY requirements.txt .\n"
    dockerfile += "RUN pip install -r requirements.txt\nCOPY . .\n"
    compose = "services:\n  api:\n    build: ./api\n"
    compose += "    command: uvicorn main:app --app-dir .\n  worker:\n    build: ./worker\n"
    compose += "    command: celery -A tasks worker\n"
    texts = {
        "docker-compose.yml": compose,
        "api/Dockerfile": dockerfile,
        "api/main.py": "from fastapi import FastAPI\napp = FastAPI()\n",
        "api/requirements.txt": "fastapi\nuvicorn\n",
        "worker/Dockerfile": dockerfile,
        "worker/requirements.txt": "celery\n",
        "worker/tasks.py": "from celery import Celery\napp = Celery('tasks')\n",
    }
    images, _ = planned(tmp_path, texts)
    assert images["worker"]["command"] == ["celery", "-A", "tasks", "worker"]
    assert images["worker"]["include"] == ["worker/**"]
    assert images["api"]["command"][:2] == ["uvicorn", "main:app"]


def test_folders_that_a_dockerfile_makes_are_written(tmp_path: Path) -> None:
    files = {
        "Dockerfile": (
            "FROM python:3.11\nWORKDIR /app\nCOPY . .\nRUN mkdir -p store /app/db /var/x\n"
            "ENV DATABASE_URL=sqlite:///./data/all.db\n"
            'CMD ["uvicorn", "main:app"]\n'
        ),
        "main.py": "import fastapi\napp = fastapi.FastAPI()\n",
        "requirements.txt": "fastapi\nuvicorn\n",
    }
    images, _ = planned(tmp_path, files)
    assert images["serve"]["outputs"] == ["data", "db", "store"]


def test_a_module_is_named_by_its_file_where_its_folder_would_be_hidden_by_it(
    tmp_path: Path,
) -> None:
    """In the folder `app`, Python finds `app.py` and not the folder."""
    text = "from flask import Flask\nopen('model.pkl')\napp = Flask(__name__)\n"
    images, _ = planned(tmp_path, {"app/app.py": text, "app/model.pkl": "m"})
    assert images["serve"]["command"][:3] == ["flask", "--app", "app:app"]
    assert images["serve"]["workdir"] == "app"


def test_flask_is_not_started_in_the_folder_of_its_package(tmp_path: Path) -> None:
    files = {
        "web/__init__.py": (
            "import flask\ndef create_app():\n    app = flask.Flask(__name__)\n"
            "    open('notes.txt')\n    return app\n"
        ),
        "web/notes.txt": "a\n",
        "requirements.txt": "flask\n",
    }
    images, _ = planned(tmp_path, files)
    assert "workdir" not in images["serve"]
    assert images["serve"]["command"][:3] == ["flask", "--app", "web:create_app()"]


def test_pages_that_no_dockerfile_starts_are_told(tmp_path: Path) -> None:
    files = {
        "Dockerfile": 'FROM python:3.11\nCOPY . .\nCMD ["uvicorn", "main:app"]\n',
        "main.py": "import fastapi\nimport part\napp = fastapi.FastAPI()\n",
        "part.py": "import streamlit as st\nst.title('of main')\n",
        "ui/page.py": "import streamlit as st\nst.title('a')\n",
        "ui/pages/two.py": "import streamlit as st\nst.title('b')\n",
        "requirements.txt": "fastapi\nuvicorn\nstreamlit\n",
    }
    _, notes = planned(tmp_path, files)
    assert "pages that no Dockerfile starts, without an image: `ui/page.py:2`" in notes


@pytest.mark.parametrize(
    ("code", "message"),
    [("app.run()", "listens on 127.0.0.1, where nobody else reaches it"), ("", "starts no server")],
)
def test_a_server_that_nobody_else_reaches_is_started_for_all(
    code: str, message: str, tmp_path: Path
) -> None:
    files = {
        "Dockerfile": 'FROM python:3.11\nENV MODE=x\nCOPY . .\nCMD ["python", "main.py"]\n',
        "main.py": f"import flask\napp = flask.Flask('a')\n{code}\n",
        "requirements.txt": "flask\n",
    }
    images, notes = planned(tmp_path / "one", files)
    words = "flask --app main:app run --host 0.0.0.0 --port 8000"
    assert images["serve"]["command"] == words.split()
    assert images["serve"]["env"] == {"MODE": "x"}
    assert f"`Dockerfile:4` runs `main.py`, which {message}: `{words}` in its place" in notes
    files["main.py"] = "import flask\napp = flask.Flask('a')\napp.run(host='0.0.0.0')\n"
    images, _ = planned(tmp_path / "two", files)
    assert images["serve"]["command"] == ["python", "main.py"]


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ('["python", "manage.py", "runserver"]', "runserver 0.0.0.0:8000 --noreload"),
        (
            '["python", "manage.py", "runserver", "0.0.0.0:9000"]',
            "runserver 0.0.0.0:9000 --noreload",
        ),
        ('["gunicorn", "-b", "0.0.0.0:8000", "shop.wsgi"]', "-b 0.0.0.0:8000 shop.wsgi"),
    ],
)
def test_django_of_a_dockerfile_is_one_image_with_its_pages(
    command: str, words: str, tmp_path: Path
) -> None:
    files = {
        "Dockerfile": f"FROM python:3.11\nCOPY . .\nCMD {command}\n",
        "manage.py": (
            "import os\nfrom django.core.management import execute_from_command_line\n"
            "if __name__ == '__main__':\n"
            "    os.environ.setdefault('DJANGO_SETTINGS_MODULE', 'shop.settings')\n"
            "    execute_from_command_line()\n"
        ),
        "shop/__init__.py": "",
        "shop/settings.py": (
            "# django\nROOT_URLCONF = 'shop.urls'\nWSGI_APPLICATION = 'shop.wsgi.application'\n"
            "DATABASES = {'default': "
            "{'ENGINE': 'django.db.backends.sqlite3', 'NAME': 'db.sqlite3'}}\n"
        ),
        "shop/urls.py": "urlpatterns = []\n",
        "shop/wsgi.py": (
            "import os\nfrom django.core.wsgi import get_wsgi_application\n"
            "os.environ.setdefault('DJANGO_SETTINGS_MODULE', 'shop.settings')\n"
            "application = get_wsgi_application()\n"
        ),
        "shop/templates/home.html": "<p>home</p>\n",
        "requirements.txt": "django\ngunicorn\n",
    }
    images, notes = planned(tmp_path, files)
    assert [*images] == ["serve"]
    assert " ".join(images["serve"]["command"]).endswith(words)
    assert images["serve"]["before"] == ["python manage.py migrate --noinput"]
    assert images["serve"]["outputs"] == ["."]
    assert "shop/templates/**" in images["serve"]["include"]
    assert images["serve"]["port"] == (9000 if "9000" in command else 8000)
    assert not [note for note in notes if "not in this folder" in note]


@pytest.mark.parametrize(
    "before", ["conda run --no-capture-output -n venv", "uv run --group web --no-dev", "poetry run"]
)
def test_what_runs_a_command_in_an_environment_is_no_part_of_it(
    before: str, tmp_path: Path
) -> None:
    words = ", ".join(f'"{word}"' for word in f"{before} uvicorn main:app".split())
    files = {
        "Dockerfile": f"FROM python:3.11\nCOPY . .\nCMD [{words}]\n",
        "main.py": "import fastapi\napp = fastapi.FastAPI()\n",
        "requirements.txt": "fastapi\nuvicorn\n",
    }
    images, _ = planned(tmp_path, files)
    assert images["serve"]["command"][:2] == ["uvicorn", "main:app"]


def test_a_procfile_says_what_images_start(tmp_path: Path) -> None:
    texts = {
        "Procfile": "release: python manage.py\nweb: gunicorn wsgi:app --workers 3\n"
        "clock: python clock.py\n",
        "wsgi.py": "from flask import Flask\napp = Flask('x')\n",
        "clock.py": "print(1)\n",
        "requirements.txt": "flask\n",
    }
    images, _ = planned(tmp_path, texts)
    gunicorn = ["gunicorn", "wsgi:app", "--workers", "3", "--bind", "0.0.0.0:8000"]
    assert (images["serve"]["command"], images["serve"]["port"]) == (gunicorn, 8000)
    assert images["serve"]["groups"] == ["serve"]
    assert images["clock"]["command"] == ["python", "clock.py"]


@pytest.mark.parametrize(("needs", "groups"), [("fastapi", ["serve"]), ("fastapi[all]", None)])
def test_the_program_of_fastapi_is_a_package_of_its_own(
    needs: str, groups: list[str] | None, tmp_path: Path
) -> None:
    texts = {
        "Dockerfile": 'FROM python:3.11\nCOPY . .\nCMD ["fastapi", "run", "main.py"]\n',
        "main.py": "from fastapi import FastAPI\napp = FastAPI()\n",
        "requirements.txt": f"{needs}\n",
    }
    images, _ = planned(tmp_path, texts)
    assert images["serve"].get("groups") == groups


@pytest.mark.parametrize(
    ("imported", "router"),
    [
        ("from app.routers import state", "state.router"),
        ("from .routers.state import router as r", "r"),
        ("import app.routers.state", "app.routers.state.router"),
    ],
)
def test_the_health_route_of_a_router_in_another_file(
    imported: str, router: str, tmp_path: Path
) -> None:
    texts = {
        "app/__init__.py": "",
        "app/routers/__init__.py": "",
        "app/main.py": f"from fastapi import FastAPI\n{imported}\napp = FastAPI()\n"
        f"app.include_router({router}, prefix='/api')\n",
        "app/routers/state.py": "from fastapi import APIRouter\nrouter = APIRouter(prefix='/v1')\n"
        "@router.get('/')\ndef some(): ...\n@router.get('/health')\ndef ok(): ...\n",
        "requirements.txt": "fastapi\nuvicorn\n",
    }
    images, _ = planned(tmp_path, texts)
    assert images["serve"]["health"] == "/api/v1/health"


def test_a_module_named_as_a_package_is_no_folder_of_it(tmp_path: Path) -> None:
    files = {
        "web/main.py": (
            "from fastapi import FastAPI\nfrom tortoise.contrib.fastapi import register\n"
            "from web.models import tortoise\nimport gone.part\napp = FastAPI()\n"
        ),
        "web/models/tortoise.py": "from tortoise import fields\nfrom tortoise.models import M\n",
        "gone/other.py": "",
        "requirements.txt": "fastapi\nuvicorn\ntortoise-orm==0.17.6\n",
    }
    images, notes = planned(tmp_path, files)
    assert "PYTHONPATH" not in images["serve"].get("env", {})
    told = [note for note in notes if "is not in this folder" in note]
    assert told == ["`web/main.py:4` imports `gone.part`, and `gone/part.py` is not in this folder"]


def test_a_function_of_lambda_is_called_by_its_client(tmp_path: Path) -> None:
    texts = {
        "src/app.py": "def handler(event, context):\n    return {}\n",
        "Dockerfile": (
            "FROM public.ecr.aws/lambda/python:3.11\nCOPY src/app.py ${LAMBDA_TASK_ROOT}\n"
            'CMD ["app.handler"]\n'
        ),
        "requirements.txt": "joblib\n",
    }
    images, _ = planned(tmp_path, texts)
    assert images == {
        "function": {
            "groups": ["function"],
            "include": ["src/*.py"],
            "command": ["python", "-m", "awslambdaric", "app.handler"],
            "env": {"PYTHONPATH": "/app/src"},
        }
    }


def test_a_port_of_root_moves_wherever_it_is_named(tmp_path: Path) -> None:
    code = "from flask import Flask\napp = Flask('x')\napp.run(host='0.0.0.0', port=81)\n"
    images, notes = planned(tmp_path, {"app.py": code, "requirements.txt": "flask\n"})
    assert images["serve"]["port"] == 8081
    assert images["serve"]["command"][-1] == "8081"
    assert "`app.py:2`: port 81 needs root: 8081 in its place" in notes


def test_a_module_that_is_not_there_is_told_once(tmp_path: Path) -> None:
    texts = {
        "requirements.txt": "fastapi\n",
        "main.py": "import a, fastapi\nfrom db.base import x\napp = fastapi.FastAPI()\n",
        "a.py": "from db.base import y\n",
        "db/other.py": "",
    }
    _, notes = planned(tmp_path, texts)
    assert len([note for note in notes if "`db/base.py` is not in this folder" in note]) == 1


def test_what_compose_sets_and_code_needs_is_in_the_image(tmp_path: Path) -> None:
    code = (
        "import os\nfrom fastapi import FastAPI\napp = FastAPI()\n"
        "url = os.environ['API_URL']\nkey = os.environ['API_KEY']\nbase = os.environ['DB']\n"
    )
    service = (
        "services:\n  web:\n    build: .\n    environment:\n      API_URL: http://api:5000/predict\n"
        "      API_KEY: abc\n      DB: postgresql://me:pw@db/x\n      OTHER: unused\n"
    )
    dockerfile = 'FROM python:3.11\nCOPY . .\nCMD ["uvicorn", "main:app"]\n'
    texts = {
        "main.py": code,
        "docker-compose.yml": service,
        "Dockerfile": dockerfile,
        "requirements.txt": "fastapi\nuvicorn\n",
    }
    images, notes = planned(tmp_path, texts)
    assert images["web"]["env"] == {"API_URL": "http://api:5000/predict"}
    assert any("`API_KEY` (main.py:5), `DB` (main.py:6); lockstitch try" in n for n in notes)


COMPONENTS = {
    "src/log.py": "import logging\nlogging.basicConfig()\n",
    "src/components/trainer.py": (
        "import sys\nfrom pathlib import Path\nsys.path.append(str(Path(__file__).parent.parent))\n"
        "import log\n\n\nclass Trainer:\n    pass\n"
    ),
    "src/components/ingestion.py": (
        "import sys\nfrom pathlib import Path\nsys.path.append(str(Path(__file__).parent.parent))\n"
        "import log\nfrom trainer import Trainer\nif __name__ == '__main__':\n    Trainer()\n"
    ),
}


def test_the_script_that_starts_a_training_is_the_training(tmp_path: Path) -> None:
    """A module that only makes ready for imports would do nothing, and end with 0."""
    images, _ = planned(tmp_path, {"app.py": "import flask\napp = flask.Flask('a')\n"} | COMPONENTS)
    assert {*images} == {"serve", "train"}
    assert images["train"]["command"][-1] in {
        "src/components/ingestion.py",
        "src.components.ingestion",
    }
    paths = images["train"].get("env", {}).get("PYTHONPATH", "").split(":")
    assert "/app/src" in paths
    by_module = "-m" in images["train"]["command"]
    assert ("/app/src/components" in paths) is by_module


def test_a_plan_of_airflow_is_no_step(tmp_path: Path) -> None:
    dag = "import os\nfrom airflow import DAG\nwith DAG('a') as dag:\n    os.makedirs('data/in')\n"
    train = "if __name__ == '__main__':\n    open('data/in/rows.csv')\n"
    images, notes = planned(tmp_path, {"dags/pipeline.py": dag, "train.py": train})
    assert {*images} == {"train"}
    assert "before" not in images["train"]
    assert not [note for note in notes if note.startswith("programs without an image")]


def test_a_stage_that_builds_a_model_is_a_training(tmp_path: Path) -> None:
    texts = {
        f"src/{name}.py": f"if __name__ == '__main__':\n    print('{name}')\n"
        for name in ("load_data", "model_building", "model_evaluation")
    }
    images, _ = planned(tmp_path, texts)
    assert images["train"]["command"] == ["python", "src/model_building.py"]


def test_servers_take_modules_that_no_import_can_name(tmp_path: Path) -> None:
    images, _ = planned(tmp_path, {"02-api.py": API, "requirements.txt": "fastapi\n"})
    assert images["serve"]["command"][:2] == ["uvicorn", "02-api:app"]


def test_a_command_of_compose_with_a_variable_that_nobody_sets_is_not_taken(tmp_path: Path) -> None:
    texts = {
        "main.py": API,
        "requirements.txt": "fastapi\nuvicorn\n",
        "Dockerfile": "FROM python:3.11\nCOPY . .\n",
        "compose.yaml": (
            "services:\n  web:\n    build: .\n    command: uvicorn main:app --port ${API_PORT}\n"
        ),
    }
    images, notes = planned(tmp_path, texts)
    assert images["serve"]["command"][-1] == "8000"
    assert "`Dockerfile:1`: its command has a variable that nobody sets: left out" in notes


@pytest.mark.parametrize(
    ("path", "lines"),
    [
        ("dags/train_dag.py", "from airflow import DAG\nwith DAG('a'):\n    pass\n"),
        (
            "dags/train_dag.py",
            "from airflow.decorators import dag\n@dag()\ndef a():\n    pass\na()\n",
        ),
    ],
)
def test_a_plan_is_no_program(path: str, lines: str, tmp_path: Path) -> None:
    other = "if __name__ == '__main__':\n    print(1)\n"
    images, _ = planned(
        tmp_path, {path: lines, "src/report.py": other, "tools/make_docs.py": other}
    )
    assert [image["command"] for image in images.values()] == [["python", "src/report.py"]]


@pytest.mark.parametrize(
    "more",
    [{}, {"setup.py": "from setuptools import *\nsetup(name='x', packages=find_packages())"}],
)
def test_what_code_imports_from_src_stays_in_src(more: dict[str, str], tmp_path: Path) -> None:
    texts = {
        **more,
        "requirements.txt": "fastapi\nuvicorn\n",
        "src/ml/__init__.py": "",
        "src/ml/config.py": "name = 'x'\n",
        "api/main.py": (
            "from fastapi import FastAPI\nfrom src.ml.config import name\napp = FastAPI()\n"
        ),
    }
    images, _ = planned(tmp_path, texts)
    assert images["serve"]["include"] == ["api/**/*.py", "src/ml/**/*.py"]
    assert images["serve"]["command"][:2] == ["uvicorn", "api.main:app"]


def test_what_a_host_starts_is_the_program(tmp_path: Path) -> None:
    app = "from fastapi import FastAPI\napp = FastAPI()\n"
    code = {"main.py": app, "web/app.py": app, "requirements.txt": "fastapi\nuvicorn\n"}
    render = (
        "services:\n  - type: web\n    rootDir: web\n"
        "    startCommand: uvicorn app:app --host 0.0.0.0 --port 10000\n"
    )
    started = "uvicorn web.app:app --host 0.0.0.0 --port $PORT"
    hosts = {
        "render.yaml": render,
        "railway.toml": f'[deploy]\nstartCommand = "{started}"\n',
        "railway.json": f'{{"deploy": {{"startCommand": "{started}"}}}}',
        "nixpacks.toml": f'[start]\ncmd = "{started}"\n',
        "fly.toml": f'[processes]\napp = "{started}"\n',
        "app.yaml": f"runtime: python311\nentrypoint: {started}\n",
    }
    for name, text in hosts.items():
        images, _ = planned(tmp_path / name, {**code, name: text})
        assert [*images] == ["serve"]
        words = images["serve"]["command"]
        assert (words[1], images["serve"].get("workdir", "")) in (
            [("app:app", "web")] if name == "render.yaml" else [("web.app:app", "")]
        )


def test_templates_lie_beside_the_application_and_not_beside_its_starter(tmp_path: Path) -> None:
    shape = gauntlet.read(gauntlet.SHAPES / "flask-package-of-a-starter.shape")
    images, _ = planned(tmp_path, dict(shape.files))
    assert images["serve"]["include"] == [
        *("run.py", "site_app/**/*.py", "site_app/static/**", "site_app/templates/**")
    ]


def test_a_list_with_nothing_of_its_own_makes_no_group(tmp_path: Path) -> None:
    texts = {
        "pyproject.toml": '[project]\nname = "a"\nversion = "1"\n',
        "requirements.txt": "numpy\npandas\n",
        "requirements/requirements-train.txt": "numpy\npandas\n",
        "train.py": "import numpy\nprint(numpy.pi)\n",
    }
    images, _ = planned(tmp_path, texts)
    assert "groups" not in images["train"]


LOCKED = """\
version = 1
[[package]]
name = "a"
source = { virtual = "." }
dependencies = [{ name = "mlflow" }, { name = "numpy" }]
[[package]]
name = "mlflow"
dependencies = [{ name = "numpy" }, { name = "pyarrow" }]
wheels = [{ url = "mlflow-3-py3-none-any.whl", size = 2000000 }]
[[package]]
name = "numpy"
wheels = [{ url = "numpy-2-manylinux_2_28_x86_64.whl", size = 16000000 }]
[[package]]
name = "pyarrow"
wheels = [{ url = "pyarrow-2-manylinux_2_28_x86_64.whl", size = 40000000 }]
"""


def test_what_no_image_uses_is_told_with_what_only_it_brings(tmp_path: Path) -> None:
    texts = {
        "pyproject.toml": (
            '[project]\nname = "a"\nversion = "1"\ndependencies = ["mlflow>=3", "numpy"]\n'
        ),
        "train.py": "import numpy\nprint(numpy.pi)\n",
        "uv.lock": LOCKED,
    }
    _, notes = planned(tmp_path, texts)
    told = "no image imports or starts `mlflow`: 42.0 MB that the images carry; "
    assert f"{told}uv remove mlflow && uv add --dev 'mlflow>=3'" in notes
    _, notes = planned(tmp_path / "used", texts | {"train.py": "import mlflow, numpy\n"})
    assert not [note for note in notes if "mlflow" in note]


def test_split_moves_what_no_image_uses_to_dev(tmp_path: Path) -> None:
    texts = {"requirements.txt": "numpy\nwandb\n", "train.py": "import numpy\nprint(numpy.pi)\n"}
    _, notes = planned(tmp_path, texts)
    assert "no image imports or starts `wandb`; lockstitch init --split" in notes
    document = document_of(plan.plan(tmp_path, split=True))
    assert document["project"]["dependencies"] == ["numpy"]
    assert "wandb" in document["dependency-groups"]["dev"]


@pytest.mark.parametrize(
    ("texts", "train", "serve"),
    [
        pytest.param(
            {
                "ml/train.py": "import joblib\njoblib.dump(1, 'models/m.pkl')\n",
                "api/main.py": "HERE = Path(__file__).parent\njoblib.load(HERE / 'models/m.pkl')\n",
            },
            ("api", "python ../ml/train.py"),
            ("", "api/models/m.pkl"),
            id="beside the server",
        ),
        pytest.param(
            {
                "api/fit/train.py": "import joblib\njoblib.dump(1, '../models/m.pkl')\n",
                "api/main.py": "joblib.load('models/m.pkl')\n",
            },
            ("api/fit", "python train.py"),
            ("api", "api/models/m.pkl"),
            id="above the training",
        ),
        pytest.param(
            {
                "README.md": "```sh\ncd ml\npython train.py\n```\n",
                "ml/train.py": "import joblib\njoblib.dump(1, 'm.pkl')\n",
                "api/main.py": "joblib.load('../ml/m.pkl')\n",
            },
            ("ml", "python train.py"),
            ("api", "ml/m.pkl"),
            id="where the README starts it",
        ),
        pytest.param(
            {
                "config.yaml": "model: out/m.pkl\n",
                "train.py": (
                    "import joblib, yaml\nc = yaml.safe_load(open('config.yaml'))\n"
                    "joblib.dump(1, c['model'])\n"
                ),
                "api/main.py": "c = yaml.safe_load(open('config.yaml'))\njoblib.load(c['model'])\n",
            },
            ("", "python train.py"),
            ("", "out/m.pkl"),
            id="by a file of settings",
        ),
    ],
)
def test_a_model_is_written_where_the_server_reads_it(
    texts: dict[str, str], train: tuple[str, str], serve: tuple[str, str], tmp_path: Path
) -> None:
    head = "import joblib, yaml\nfrom pathlib import Path\nfrom fastapi import FastAPI\n"
    texts = texts | {"api/main.py": f"{head}app = FastAPI()\n{texts['api/main.py']}"}
    images, notes = planned(tmp_path, texts)
    trained, served = images["train"], images["serve"]
    assert (trained.get("workdir", ""), " ".join(trained["command"])) == train
    assert (served.get("workdir", ""), served["include"].count(serve[1])) == (serve[0], 1)
    assert "outputs" not in served
    told = f"image `serve` includes `{serve[1]}`, which image `train` writes"
    assert f"{told}: lockstitch run train, then lockstitch build" in notes


def test_a_model_that_is_written_elsewhere_is_said_with_the_copy_to_make(tmp_path: Path) -> None:
    texts = {
        "rows.csv": "1\n",
        "train.py": "import joblib\nopen('rows.csv')\njoblib.dump(1, 'm.pkl')\n",
        "api/main.py": (
            "import joblib, os\nfrom fastapi import FastAPI\napp = FastAPI()\n"
            "joblib.load(os.path.join(os.path.dirname(__file__), 'm.pkl'))\n"
        ),
    }
    _, notes = planned(tmp_path, texts)
    assert (
        "image `train` writes `m.pkl`, and image `serve` reads `api/m.pkl` (api/main.py:4): "
        "lockstitch run train, then cp m.pkl api/m.pkl, and `api/m.pkl` into the `include` of "
        "`serve`"
    ) in notes


def test_lightnings_client_fits_by_the_settings_that_are_there(tmp_path: Path) -> None:
    texts = {
        "main.py": (
            "from lightning.pytorch.cli import LightningCLI\n"
            "if __name__ == '__main__':\n    LightningCLI()\n"
        ),
        "configs/config.yaml": "trainer:\n  max_epochs: 1\n",
    }
    images, _ = planned(tmp_path, texts)
    assert images["app"]["command"] == [
        *("python", "main.py", "fit", "--config", "configs/config.yaml")
    ]
    assert "configs/**" in images["app"]["include"]


def test_the_notebook_that_the_readme_runs_is_the_one(tmp_path: Path) -> None:
    cell = '{"cells": [{"cell_type": "code", "source": ["print(1)"]}]}'
    texts = {
        "train.ipynb": cell,
        "b/analysis.ipynb": cell,
        "README.md": "Run `jupyter nbconvert --to notebook --execute b/analysis.ipynb`.\n",
    }
    images, _ = planned(tmp_path, texts)
    assert (images["notebook"]["workdir"], images["notebook"]["command"]) == (
        *("b", ["ipython", "analysis.ipynb"]),
    )


def test_an_example_of_env_gives_what_is_no_secret(tmp_path: Path) -> None:
    texts = {
        "main.py": (
            "import os\nprint(os.environ['MODEL_NAME'], os.environ['API_KEY'])\n"
            "print(os.environ['DB_URL'])\n"
            "print(os.environ['WHERE'])\n"
        ),
        ".env.example": (
            "MODEL_NAME=small\nAPI_KEY='of nobody'\nDB_URL=postgres://me:pass@db/x\nWHERE=<path>\n"
        ),
    }
    images, notes = planned(tmp_path, texts)
    assert images["app"]["env"] == {"MODEL_NAME": "small"}
    told = next(note for note in notes if "no default" in note)
    assert told.endswith(
        "lockstitch try app --env 'API_KEY=of nobody' --env DB_URL=postgres://me:pass@db/x "
        "--env WHERE=VALUE"
    )


def test_folders_that_setuptools_stops_at_are_told_from_the_package(tmp_path: Path) -> None:
    text = (
        '[build-system]\nrequires = ["setuptools"]\nbuild-backend = "setuptools.build_meta"\n'
        '[project]\nname = "a"\nversion = "1"\ndependencies = []\n'
    )
    texts = {
        "pyproject.toml": text,
        "a/__init__.py": "",
        "a/train.py": "print(1)\n",
        "data/x.csv": "1\n",
    }
    made = document_of(plan.plan(write_files(tmp_path, texts)))
    assert made["tool"]["setuptools"]["packages"]["find"] == {"include": ["a", "a.*"]}
    told = text + "[tool.setuptools]\npackages = ['a']\n"
    (tmp_path / "pyproject.toml").write_text(told)
    assert "find" not in document_of(plan.plan(tmp_path))["tool"]["setuptools"]["packages"]
    (tmp_path / "pyproject.toml").write_text(text)
    (tmp_path / "data").rename(tmp_path / "docs")
    assert "setuptools" not in document_of(plan.plan(tmp_path))["tool"]


def test_a_program_of_commands_of_other_files_takes_those_of_the_readme(tmp_path: Path) -> None:
    texts = {
        "pyproject.toml": (
            '[build-system]\nrequires = ["hatchling"]\nbuild-backend = "hatchling.build"\n'
            '[project]\nname = "kit"\nversion = "1"\ndependencies = ["typer"]\n'
            '[project.scripts]\nkit = "kit.cli:app"\n'
        ),
        "kit/__init__.py": "",
        "kit/cli.py": (
            "import typer\nfrom kit import train\napp = typer.Typer()\n"
            "app.add_typer(train.app, name='train')\n"
        ),
        "kit/train.py": "import typer\napp = typer.Typer()\n@app.command()\ndef run(): ...\n",
        "README.md": "```console\n$ kit train run\n```\n",
    }
    images, _ = planned(tmp_path, texts)
    assert images["app"]["command"] == ["kit", "train", "run"]


def test_a_folder_of_a_setting_in_capitals_is_written(tmp_path: Path) -> None:
    texts = {
        "config.yaml": "OUTPUT_DIR: runs\nLR: 1\n",
        "train.py": (
            "import os, yaml\nc = yaml.safe_load(open('config.yaml'))\n"
            "os.makedirs(os.path.join(c['OUTPUT_DIR'], 'a'))\n"
        ),
    }
    images, _ = planned(tmp_path, texts)
    assert images["train"]["outputs"] == ["runs"]


def test_a_notebook_that_names_a_missing_model_is_told(tmp_path: Path) -> None:
    texts = {
        "app.py": "import streamlit, joblib\nstreamlit.write(joblib.load('model/m.joblib'))\n",
        "nb/fit.ipynb": '{"cells": [{"cell_type": "code", "source": ["save(\'m.joblib\')"]}]}',
    }
    _, notes = planned(tmp_path, texts)
    assert (
        "left out: `model/m.joblib` (app.py:2): not in this folder; `nb/fit.ipynb` names it, "
        "and no image runs that: run it in Jupyter first"
    ) in notes
