"""What several tests share: one model, trained once."""

from pathlib import Path

import pytest

import train


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train and return the folder that holds model.onnx and metrics.json."""
    folder = tmp_path_factory.mktemp("models")
    assert train.main(["--out", str(folder)]) == 0
    return folder
