"""What several tests share: one model, trained once on the real data."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import settings

import train

# The same examples in each run, and no database of them in the project's folder.
settings.register_profile(
    "project", derandomize=True, database=None, deadline=None, max_examples=60
)
settings.load_profile("project")
os.environ.pop("MLFLOW_TRACKING_URI", None)  # the tests' runs are not for a server


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train as the image does, in a process of its own, and return the folder written to."""
    folder = tmp_path_factory.mktemp("models")
    command = [sys.executable, str(train.__file__), "--out", str(folder)]
    subprocess.run(command, check=True)  # noqa: S603 - our own program
    return folder
