"""A run is logged for MLflow to read, and a server that is away does not stop the training."""

import json
import shutil
from pathlib import Path

import mlflow
import numpy as np
import pytest
from mlflow import MlflowClient

import train
from churn import schema, tracking
from churn.predict import Predictor


def test_run_is_in_the_folder(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a server the run is beside the model, and its model answers as that does."""
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    client = MlflowClient((models / "mlruns").as_uri())
    experiment = client.get_experiment_by_name(tracking.EXPERIMENT)
    assert experiment is not None
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.info.status == "FINISHED"
    facts = json.loads((models / "metrics.json").read_text())
    assert run.data.metrics["roc_auc_low"] == facts["metrics"]["held_out"]["roc_auc_low"]
    assert run.data.metrics["baseline/brier"] == facts["metrics"]["baseline"]["brier"]
    assert {"cross_validation/roc_auc_mean", "importance/tenure"} < set(run.data.metrics)
    assert run.data.params["seed/split"] == "20"
    assert run.data.tags["model_sha256"] == facts["model_sha256"]
    pictures = {file.path for file in client.list_artifacts(run.info.run_id, "plots")}
    assert pictures == {f"plots/{name}.png" for name in ("calibration", "importance", "roc")}
    (logged,) = client.search_logged_models([experiment.experiment_id])
    model = mlflow.pyfunc.load_model(logged.artifact_location)
    assert model.metadata.signature is not None
    assert model.input_example is not None
    answer = model.predict(model.input_example)["probabilities"][:, 1]
    served = Predictor((models / "model.onnx").read_bytes()).probabilities([schema.example()])
    assert np.array_equal(answer, served.astype(np.float32))


def test_a_server_that_is_away_is_one_line(
    models: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The run goes to the folder instead, and no password is printed."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://me:secret@127.0.0.1:1")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    shutil.copytree(models, tmp_path, dirs_exist_ok=True, ignore=shutil.ignore_patterns("mlruns"))
    outputs = {
        path.relative_to(tmp_path).as_posix(): path.read_bytes()
        for path in sorted(tmp_path.rglob("*"))
        if path.is_file()
    }
    tracking.log(outputs, tmp_path, train.SETTINGS)
    out, err = capsys.readouterr()
    assert err.startswith("Not logged to http://127.0.0.1:1: ") and err.count("Not logged") == 1
    assert out.startswith("Logged the run ") and "secret" not in out + err
    assert list(tmp_path.glob("mlruns/*/*/artifacts/MODEL_CARD.md"))
