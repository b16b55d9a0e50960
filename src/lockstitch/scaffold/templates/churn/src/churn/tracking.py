"""Logs a training to MLflow: to the server of MLFLOW_TRACKING_URI, else to a folder."""

import json
import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from churn import model, schema

EXPERIMENT = "churn"  # MLFLOW_EXPERIMENT_NAME names another
# Set unless they are set already, before MLflow is imported, which reads them.
_SETTINGS = {
    "DO_NOT_TRACK": "true",
    "GIT_PYTHON_REFRESH": "quiet",  # an image has no git
    "MLFLOW_ALLOW_FILE_STORE": "true",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_LOGGING_LEVEL": "ERROR",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_UV_AUTO_DETECT": "false",
}


def log(outputs: Mapping[str, bytes], folder: Path, settings: Mapping[str, object]) -> None:
    """Log what a training wrote to this folder; whatever goes wrong here does not stop it.

    Where there is no server, or none that answers in time, the run goes to `mlruns` in the folder.
    """
    local = (folder / "mlruns").resolve().as_uri()
    server = os.environ.get("MLFLOW_TRACKING_URI")
    for name, value in _SETTINGS.items():
        os.environ.setdefault(name, value)
    for place in [server, local] if server else [local]:
        shown = _without_password(place)
        try:
            run = _log(place, outputs, folder, settings)
        except Exception as error:  # MLflow's, and those of all that it calls
            lines = str(error).splitlines() or [type(error).__name__]
            print(f"Not logged to {shown}: {_without_password(lines[0])[:300]}", file=sys.stderr)
        else:
            print(f"Logged the run {run} to {shown}")
            return


def _log(
    place: str, outputs: Mapping[str, bytes], folder: Path, settings: Mapping[str, object]
) -> str:
    """Log the run and return its id."""
    import mlflow  # takes seconds, so only here
    import mlflow.onnx
    import onnx

    facts = json.loads(outputs["metrics.json"])
    seeds = json.loads(outputs["run.json"])["seeds"]
    classifier = model.build().named_steps["classifier"].get_params()
    mlflow.set_tracking_uri(place)
    mlflow.set_experiment(os.environ.get("MLFLOW_EXPERIMENT_NAME", EXPERIMENT))
    with mlflow.start_run() as run:  # it adds the git commit, if there is one
        mlflow.set_tags({name: facts[name] for name in ("data_sha256", "model_sha256")})
        parts = {"": settings, "classifier": classifier, "data": facts["data"], "seed": seeds}
        mlflow.log_params(_flat(parts))
        mlflow.log_metrics(_flat({"": facts["metrics"].pop("held_out"), **facts["metrics"]}))
        for name in sorted(outputs.keys() - {"model.onnx"}):
            parent = PurePosixPath(name).parent
            mlflow.log_artifact(str(folder / name), None if parent.name == "" else str(parent))
        example, signature = _example_and_signature()
        mlflow.onnx.log_model(
            onnx.load_from_string(outputs["model.onnx"]),
            name="model",
            signature=signature,
            input_example=example,
            pip_requirements=["onnxruntime"],  # else it loads the model in a new process to guess
            onnx_execution_providers=["CPUExecutionProvider"],
            save_as_external_data=False,
        )
    return str(run.info.run_id)


def _example_and_signature() -> tuple[dict[str, Any], Any]:
    """Return the schema's example and the model's signature: one column of a tensor each."""
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema, TensorSpec

    numbers = {feature.name for feature in schema.NUMBERS}
    kinds = {f.name: np.dtype(np.float32 if f.name in numbers else object) for f in schema.FEATURES}
    row = schema.example()
    example = {name: np.array([[row[name]]], dtype=kind) for name, kind in kinds.items()}
    inputs: list[ColSpec | TensorSpec] = [
        TensorSpec(kind, (-1, 1), name) for name, kind in kinds.items()
    ]
    answers: list[ColSpec | TensorSpec] = [
        TensorSpec(np.dtype(np.int64), (-1,), "label"),
        TensorSpec(np.dtype(np.float32), (-1, 2), "probabilities"),
    ]
    return example, ModelSignature(Schema(inputs), Schema(answers))


def _flat(value: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested values by their path, which MLflow shows as groups."""
    found: dict[str, Any] = {}
    for name, inner in value.items():
        path = f"{prefix}/{name}".strip("/")
        found |= _flat(inner, path) if isinstance(inner, Mapping) else {path: inner}
    return found


def _without_password(text: str) -> str:
    """Return a text without the logins of its addresses."""
    return re.sub(r"//[^/@\s]*@", "//", text)
