"""Training gives a good model, the same one every time."""

import json
from pathlib import Path

import pytest

import train


def test_model_is_good_enough(models: Path) -> None:
    """At most five of the fifty held-out flowers are taken for another species."""
    assert json.loads((models / "metrics.json").read_text())["accuracy"] >= 0.9


def test_training_repeats(models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A second run loads all flowers and writes the same bytes."""
    assert train.main(["--out", str(tmp_path)]) == 0
    assert capsys.readouterr().out.startswith("Loaded 150 samples\n")
    for name in ("model.onnx", "metrics.json"):
        assert (tmp_path / name).read_bytes() == (models / name).read_bytes()
