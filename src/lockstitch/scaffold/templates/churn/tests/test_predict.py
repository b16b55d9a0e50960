"""Only a whole, self-contained model of this schema is loaded."""

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import pytest

from churn import predict, schema


def test_missing_model_is_refused(tmp_path: Path) -> None:
    """A path without a model is named."""
    with pytest.raises(predict.ModelError, match=r"cannot read .*model\.onnx"):
        predict.load(tmp_path / "model.onnx")


def test_other_model_is_refused(models: Path, tmp_path: Path) -> None:
    """A model that its metrics.json does not describe is not loaded."""
    (tmp_path / "model.onnx").write_bytes((models / "model.onnx").read_bytes() + b"\0")
    (tmp_path / "metrics.json").write_bytes((models / "metrics.json").read_bytes())
    with pytest.raises(predict.ModelError, match="its sha256 differs"):
        predict.load(tmp_path / "model.onnx")


def test_unfinished_notes_are_refused(models: Path, tmp_path: Path) -> None:
    """A metrics.json without the checksum is named."""
    model = (models / "model.onnx").read_bytes()
    (tmp_path / "model.onnx").write_bytes(model)
    notes = {"sha256": hashlib.sha256(model).hexdigest()}
    (tmp_path / "metrics.json").write_text(json.dumps(notes))
    with pytest.raises(predict.ModelError, match="is not what training writes"):
        predict.load(tmp_path / "model.onnx")


# Adds an empty tensor to a model, wherever ONNX allows one.
PLACES: dict[str, Callable[[Any], Any]] = {
    "weights": lambda model: model.graph.initializer.add(),
    "sparse": lambda model: model.graph.sparse_initializer.add().values,
    "constant": lambda model: model.graph.node.add().attribute.add().t,
    "branch": lambda model: model.graph.node.add().attribute.add().g.initializer.add(),
    "function": lambda model: model.functions.add().node.add().attribute.add().tensors.add(),
    "training": lambda model: model.training_info.add().algorithm.initializer.add(),
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("by", ["location", "entry"])
def test_external_data_is_refused(models: Path, place: str, by: str) -> None:
    """A tensor that points to another file is found wherever it is."""
    model = onnx.load_model_from_string((models / "model.onnx").read_bytes())
    tensor = PLACES[place](model)
    if by == "location":
        tensor.data_location = onnx.TensorProto.EXTERNAL
    else:
        tensor.external_data.add(key="location", value="/etc/hostname")
    with pytest.raises(predict.ModelError, match="outside its file"):
        predict.Predictor(model.SerializeToString())


@pytest.mark.parametrize("size", [10, 1000])
def test_cut_model_is_refused(models: Path, size: int) -> None:
    """A model whose end is missing is refused before ONNX Runtime sees it."""
    with pytest.raises(predict.ModelError, match="not a whole ONNX file"):
        predict.Predictor((models / "model.onnx").read_bytes()[:size])


def test_broken_graph_is_refused(models: Path) -> None:
    """What ONNX Runtime itself refuses is told in one line."""
    model = onnx.load_model_from_string((models / "model.onnx").read_bytes())
    model.graph.node[0].op_type = "Nonsense"
    with pytest.raises(predict.ModelError, match=r"ONNX Runtime refuses the model: [^\n]+$"):
        predict.Predictor(model.SerializeToString())


def test_other_schema_is_refused(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A model that was trained before the schema changed is not served."""
    monkeypatch.setattr(schema, "FEATURES", schema.FEATURES[1:])
    with pytest.raises(predict.ModelError, match="train it again"):
        predict.Predictor((models / "model.onnx").read_bytes())


def test_runtime_leaves_nothing_behind(models: Path, tmp_path: Path) -> None:
    """Loading a model writes no device id and no cache, as ONNX Runtime's telemetry would."""
    code = "import sys; from churn import predict; predict.load(predict.Path(sys.argv[1]))"
    source = str(Path(predict.__file__).parent.parent)
    subprocess.run(  # noqa: S603 - our own interpreter and code
        [sys.executable, "-B", "-c", code, str(models / "model.onnx")],
        env={"HOME": str(tmp_path), "PYTHONPATH": source},
        check=True,
    )
    assert list(tmp_path.iterdir()) == []


def test_record_of_another_run_is_refused(models: Path, tmp_path: Path) -> None:
    """A run.json that did not make the model is named."""
    for name in ("model.onnx", "metrics.json"):
        (tmp_path / name).write_bytes((models / name).read_bytes())
    (tmp_path / "run.json").write_text(json.dumps({"outputs": {}, "packages": {}}))
    with pytest.raises(predict.ModelError, match=r"run\.json describes: its sha256 differs"):
        predict.load(tmp_path / "model.onnx")


V2, QUOTA, PERIOD = "cpu.max", "cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us"


@pytest.mark.parametrize(
    ("variable", "files", "expected"),
    [
        ("3", {V2: "100000 100000"}, 3),
        ("", {V2: "100000 100000"}, 1),
        ("", {V2: "50000 100000"}, 1),
        ("", {V2: "max 100000"}, 8),
        ("", {QUOTA: "200000\n", PERIOD: "100000\n"}, 2),
        ("", {QUOTA: "-1\n", PERIOD: "100000\n"}, 8),
        ("", {}, 8),
    ],
)
def test_threads(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    variable: str,
    files: dict[str, str],
    expected: int,
) -> None:
    """The variable goes before the quota, and half a processor is one thread."""
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(predict, "CGROUP", tmp_path)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    monkeypatch.setenv("OMP_NUM_THREADS", variable)
    assert predict.threads() == expected
