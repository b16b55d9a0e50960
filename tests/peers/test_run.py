"""`lockstitch run --in-image` with a real engine that has a network of its own."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from .conftest import Docker, RealProject, engine


@pytest.fixture(scope="module")
def bridged(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Docker]:
    with engine(tmp_path_factory.mktemp("bridged") / "log") as found:
        yield found


def start(project: RealProject, docker: Docker, *words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "lockstitch", "run", *words, "--in-image"],
        cwd=project.root,
        env=project.environment | {"DOCKER_HOST": docker.host},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def test_the_serving_image_answers_on_loopback(project: RealProject, bridged: Docker) -> None:
    for turn in ("loads it", "finds it there"):
        running = start(project, bridged, "serve")
        try:
            assert json.loads(ask("http://127.0.0.1:8000/health")) == {"status": "healthy"}, turn
            names = bridged.run("ps", "--format", "{{.Image}}").stdout.split()
            assert names == ["churn-serve:latest"]
        finally:
            running.send_signal(signal.SIGTERM)
            said = running.communicate(timeout=60)[0]
        assert "churn-serve:latest on http://127.0.0.1:8000, read-only, with docker" in said
        assert running.returncode in {0, 128 + signal.SIGTERM}
        assert bridged.run("ps", "--all", "--quiet").stdout == "", "nothing is left behind"


def ask(address: str) -> bytes:
    until = time.monotonic() + 120
    while True:
        try:
            with urllib.request.urlopen(address, timeout=2) as answer:
                return bytes(answer.read())
        except OSError:
            assert time.monotonic() < until
            time.sleep(0.1)


@pytest.fixture
def models(project: RealProject, tmp_path: Path) -> Iterator[Path]:
    """The folder of what was trained, put back after the test: other tests look at it too."""
    folder = project.root / "models"
    kept = shutil.copytree(folder, tmp_path / "models")
    yield folder
    shutil.rmtree(folder)
    shutil.copytree(kept, folder)


def test_training_in_the_image_writes_into_the_project(
    project: RealProject, bridged: Docker, models: Path
) -> None:
    model = models / "model.onnx"
    before = model.read_bytes()
    model.unlink()
    done = start(project, bridged, "train")
    said = done.communicate(timeout=300)[0]
    assert done.returncode == 0, said
    assert "Wrote /app/models/model.onnx" in said
    assert model.read_bytes() == before, "the image trains the very model that this machine did"
    assert model.stat().st_uid == os.getuid()
