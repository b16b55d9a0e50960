"""An image's variables on this machine name the project's folder in place of /app."""

from pathlib import Path

from support.projects import write_files

from lockstitch.python.load import load
from lockstitch.run.programs import here

PROJECT = """\
[project]
name = "paths"
version = "1"
requires-python = ">=3.11"

[tool.lockstitch]
python = "3.11"

[tool.lockstitch.images.train.env]
PYTHONPATH = "/app/src:/app:/opt/x"
STORE = "/app/bentoml-store"
ROUTE = "/application/x"
URL = "sqlite:///mlruns/mlflow.db"
"""


def test_paths_of_the_image_are_those_of_the_project(tmp_path: Path) -> None:
    project = load(write_files(tmp_path, {"pyproject.toml": PROJECT}))
    assert here(str(project.root), project.image("train")) == {
        "PYTHONPATH": f"{tmp_path}/src:{tmp_path}:/opt/x",
        "STORE": f"{tmp_path}/bentoml-store",
        "ROUTE": "/application/x",
        "URL": "sqlite:///mlruns/mlflow.db",
    }
