"""Training gives a good model, the same one every time, and says what it was made of."""

import hashlib
import json
import os
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

import train
from churn import data, measure


def outputs(folder: Path) -> dict[str, bytes]:
    """Return the contents of every file of a folder but MLflow's, by its path in there."""
    names = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*")}
    kept = {name for name in names if not name.startswith("mlruns/") and names[name].is_file()}
    return {name: names[name].read_bytes() for name in sorted(kept)}


@pytest.fixture
def metrics(models: Path) -> dict[str, Any]:
    """Return the metrics of the trained model."""
    found: dict[str, Any] = json.loads((models / "metrics.json").read_text())["metrics"]
    return found


def test_model_is_good_enough(metrics: dict[str, Any]) -> None:
    """The metrics stay on the right side of limits that chance alone does not cross.

    Each limit is what the pipeline reaches, three standard errors towards the worse. Those are, on
    the 986 customers held out, 0.016 for the ROC AUC (by Hanley and McNeil), 0.013 for the
    accuracy and 0.006 for the Brier score (by the bootstrap), and on the 3,944 of the
    cross-validation 0.008 for the ROC AUC. The floor of the accuracy is at the upper end of the
    baseline's interval, 0.735 (0.709 to 0.764): a model that learns nothing fails.
    """
    assert metrics["held_out"]["roc_auc"] > 0.795
    assert metrics["held_out"]["accuracy"] > 0.764
    assert metrics["held_out"]["brier"] < 0.154
    assert metrics["cross_validation"]["roc_auc_mean"] > 0.822


def test_model_is_better_than_the_baseline(metrics: dict[str, Any]) -> None:
    """No interval of the model reaches the baseline's value."""
    held_out, baseline = metrics["held_out"], metrics["baseline"]
    for name in ("accuracy", "roc_auc"):
        assert held_out[f"{name}_low"] > baseline[name]
    for name in ("brier", "log_loss"):
        assert held_out[f"{name}_high"] < baseline[name]
    for name in measure.NAMES:
        assert held_out[f"{name}_low"] < held_out[name] < held_out[f"{name}_high"]


def test_metrics_describe_the_model(models: Path) -> None:
    """The recorded checksum is the model's, and the model is small."""
    model = (models / "model.onnx").read_bytes()
    facts = json.loads((models / "metrics.json").read_text())
    assert facts["model_sha256"] == hashlib.sha256(model).hexdigest()
    assert len(model) < 1_000_000


def test_record_tells_the_run(models: Path) -> None:
    """The record has the digest of each file, the versions in use, and nothing of this machine."""
    written = outputs(models)
    text = written.pop("run.json").decode()
    run = json.loads(text)
    digests = {name: hashlib.sha256(content).hexdigest() for name, content in written.items()}
    assert run["outputs"] == digests
    facts = json.loads(written["metrics.json"])
    assert run["inputs"] == {"telco_churn.csv.gz": facts["data_sha256"]}
    assert set(train.MADE_WITH) | {"matplotlib"} < set(run["packages"])
    for name, version in run["packages"].items():
        assert version == metadata.version(name)
    assert "pytest" not in run["packages"]
    assert str(train.ROOT) not in text and str(models) not in text


@pytest.mark.parametrize("kernels", ["Haswell", "Nehalem"])
def test_training_repeats(models: Path, tmp_path: Path, kernels: str) -> None:
    """A run with another hash seed, kernels of another processor and settings gives the same."""
    (tmp_path / "matplotlibrc").write_text("figure.facecolor: black\n")
    environment = os.environ | {
        "PYTHONHASHSEED": "4242",
        "OPENBLAS_CORETYPE": kernels,
        "MATPLOTLIBRC": str(tmp_path),
    }
    out = tmp_path / "models"
    command = [sys.executable, str(train.__file__), "--out", str(out)]
    subprocess.run(command, env=environment, check=True)  # noqa: S603 - our own program
    assert outputs(out) == outputs(models)


def test_wrong_export_stops(monkeypatch: pytest.MonkeyPatch) -> None:
    """A model that differs from scikit-learn's is never returned, so never written."""
    monkeypatch.setattr(train, "TOLERANCE", 0.0)
    with pytest.raises(RuntimeError, match="ONNX and scikit-learn differ by"):
        train.train(data.load(train.ROOT / "data" / "telco_churn.csv.gz"))


def test_missing_data_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A wrong path ends the program with its reason."""
    assert train.main(["--data", str(tmp_path / "none.csv")]) == 1
    assert capsys.readouterr().err.count("\n") == 1
