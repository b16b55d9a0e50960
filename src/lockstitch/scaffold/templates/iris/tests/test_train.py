"""Training gives a good model, the same one every time."""

import json
import os
import subprocess
import sys
from pathlib import Path

import train


def test_model_is_good_enough(models: Path) -> None:
    """At most five of the fifty held-out flowers are taken for another species."""
    assert json.loads((models / "metrics.json").read_text())["accuracy"] >= 0.9


def test_training_repeats(models: Path, tmp_path: Path) -> None:
    """A second run, with another hash seed, loads all flowers and writes the same bytes."""
    command = [sys.executable, str(train.__file__), "--out", str(tmp_path)]
    environment = os.environ | {"PYTHONHASHSEED": "4242"}
    done = subprocess.run(  # noqa: S603 - our own program
        command, env=environment, check=True, capture_output=True, text=True
    )
    assert done.stdout.startswith("Loaded 150 samples\n")
    for name in ("model.onnx", "metrics.json"):
        assert (tmp_path / name).read_bytes() == (models / name).read_bytes()
