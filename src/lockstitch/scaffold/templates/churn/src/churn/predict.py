"""The trained model at work: ONNX Runtime and numpy, and no code read from the model's file."""

import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from churn import schema

CGROUP = Path("/sys/fs/cgroup")

# Where a tensor can be inside an ONNX file: message -> field number -> message of that field.
_INSIDE: dict[str, dict[int, str]] = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "function": {7: "node", 11: "attribute"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {},
}
_EXTERNAL_DATA = 13  # field of a tensor: where its data is
_OUTSIDE = (14, 1)  # field and value of a tensor: its data is elsewhere


class ModelError(RuntimeError):
    """Says in one line why a model is not served."""


class Predictor:
    """Gives the probability of churn from a model in ONNX."""

    def __init__(self, model: bytes) -> None:
        """Start a session after refusing models that name other files or expect other columns."""
        try:
            external = _refers_outside(memoryview(model), "model")
        except (IndexError, ValueError) as error:
            raise ModelError("the model is not a whole ONNX file") from error
        if external:
            raise ModelError("the model refers to data outside its file")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads()
        options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            self._session = onnxruntime.InferenceSession(
                model, options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # ONNX Runtime's errors have no common class of their own
            reason = str(error).splitlines()[0]
            raise ModelError(f"ONNX Runtime refuses the model: {reason}") from error
        properties = self._session.get_modelmeta().custom_metadata_map
        if properties.get("schema") != schema.signature():
            raise ModelError("the model was trained with another schema: train it again")

    def probabilities(self, rows: Sequence[Mapping[str, object]]) -> NDArray[np.float64]:
        """Return each customer's probability of churn."""
        numbers = {feature.name for feature in schema.NUMBERS}
        feed = {
            feature.name: np.array(
                [[row[feature.name]] for row in rows],
                dtype=np.float32 if feature.name in numbers else object,
            )
            for feature in schema.FEATURES
        }
        (both,) = self._session.run(["probabilities"], feed)
        return np.asarray(both[:, 1], dtype=np.float64)


@dataclass(frozen=True)
class Served:
    """Holds a predictor and what is known about its model."""

    predictor: Predictor
    sha256: str
    metrics: dict[str, Any]
    run: dict[str, Any] | None = None  # the record of the training, when there is one

    def prove(self) -> None:
        """Raise unless the model answers the schema's example with a probability."""
        try:
            (probability,) = self.predictor.probabilities([schema.example()])
        except Exception as error:  # ONNX Runtime's errors have no common class of their own
            reason = str(error).splitlines()[0]
            raise ModelError(f"the model does not answer its own example: {reason}") from error
        if not 0 <= probability <= 1:
            raise ModelError(f"the model answers its own example with {probability}")


def load(path: Path) -> Served:
    """Load the model at path if it is the one that the files beside it describe.

    metrics.json must be there; run.json, the record of the training, may be.
    """
    notes, record = path.with_name("metrics.json"), path.with_name("run.json")
    try:
        model = path.read_bytes()
        facts = _described(notes, "model_sha256", "metrics")
        run = _described(record, "outputs", "packages") if record.exists() else None
    except OSError as error:
        raise ModelError(f"cannot read {error.filename}: {error.strerror}") from error
    sha256 = hashlib.sha256(model).hexdigest()
    if sha256 != facts["model_sha256"]:
        raise ModelError(f"{path} is not the model that {notes} describes: its sha256 differs")
    if run and sha256 not in run["outputs"].values():
        raise ModelError(f"{path} is not the model that {record} describes: its sha256 differs")
    return Served(Predictor(model), sha256, facts["metrics"], run)


def _described(path: Path, *keys: str) -> dict[str, Any]:
    """Return what a file of JSON says after checking that it has these keys."""
    try:
        facts = json.loads(path.read_bytes())
    except ValueError as error:
        raise ModelError(f"{path} is not what training writes") from error
    if not isinstance(facts, dict) or not set(keys) <= set(facts):
        raise ModelError(f"{path} is not what training writes")
    return facts


def threads() -> int:
    """Return OMP_NUM_THREADS if set, else the processors that affinity and CPU quota allow."""
    wanted = os.environ.get("OMP_NUM_THREADS", "")
    if wanted.isdecimal() and int(wanted) > 0:
        return int(wanted)
    affinity = hasattr(os, "sched_getaffinity")
    usable = len(os.sched_getaffinity(0)) if affinity else os.cpu_count() or 1
    for files in (("cpu.max",), ("cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us")):
        try:
            texts = " ".join((CGROUP / name).read_text() for name in files)
            quota, period = map(int, texts.split())
        except (OSError, ValueError):  # not Linux, the other cgroup version, or "max": no quota
            continue
        if quota > 0 and period > 0:  # version 1 writes -1 for no quota
            return max(1, min(usable, quota // period))
    return usable


def _refers_outside(message: memoryview, kind: str) -> bool:
    """Tell whether a tensor anywhere in the message keeps its data in another file."""
    for number, value in _fields(message):
        if kind == "tensor" and (number == _EXTERNAL_DATA or (number, value) == _OUTSIDE):
            return True
        inner = _INSIDE[kind].get(number)
        if inner and isinstance(value, memoryview) and _refers_outside(value, inner):
            return True
    return False


def _fields(message: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Yield number and value of each field of a protocol buffer."""
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        number, wire = tag >> 3, tag & 7
        if wire == 0:
            value, at = _varint(message, at)
            yield number, value
            continue
        if wire == 2:
            size, at = _varint(message, at)
        elif wire in (1, 5):
            size = 8 if wire == 1 else 4
        else:
            raise ValueError("a kind of field that ONNX does not use")
        if at + size > len(message):
            raise ValueError("a field that is longer than its message")
        yield number, message[at : at + size]
        at += size


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    """Return the integer that starts at a position, and the position after it."""
    value = shift = 0
    while True:
        byte = message[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at
