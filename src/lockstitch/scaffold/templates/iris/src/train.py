"""Trains the model: loads the flowers, fits a forest, exports it to ONNX, measures that."""

import argparse
import hashlib
import json
import sys
from pathlib import Path

import numpy as np
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType
from sklearn.datasets import load_iris
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import train_test_split

from iris.predict import Predictor

ROOT = Path(__file__).resolve().parent.parent
SEED = 20
OPSET = {"": 21, "ai.onnx.ml": 3}  # fixed, so that a newer converter writes the same operators


def main(arguments: list[str] | None = None) -> int:
    """Run the training from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=ROOT / "models", help="folder to write to")
    train(parser.parse_args(arguments).out)
    return 0


def train(out: Path) -> None:
    """Train on two thirds of the flowers and write model.onnx and metrics.json to out."""
    flowers, species = load_iris(return_X_y=True)  # ships with scikit-learn: no download
    print(f"Loaded {len(flowers)} samples")
    x_train, x_test, y_train, y_test = train_test_split(
        flowers, species, test_size=1 / 3, stratify=species, random_state=SEED
    )
    forest = RandomForestClassifier(n_estimators=50, max_depth=3, random_state=SEED)
    forest.fit(x_train, y_train)
    model = export(forest)
    # Measured on the export, since that is what will be served.
    predicted = Predictor(model).probabilities(x_test).argmax(axis=1)
    accuracy = round(float(np.mean(predicted == y_test)), 3)
    print(f"Accuracy on {len(x_test)} held-out samples: {accuracy:.3f}")
    facts = {"accuracy": accuracy, "model_sha256": hashlib.sha256(model).hexdigest()}
    out.mkdir(parents=True, exist_ok=True)
    write(out / "model.onnx", model)
    write(out / "metrics.json", (json.dumps(facts, indent=2) + "\n").encode())


def export(forest: RandomForestClassifier) -> bytes:
    """Return the forest as ONNX: flowers go in, a probability for each species comes out."""
    model = to_onnx(
        forest,
        name="iris",
        initial_types=[("flowers", FloatTensorType([None, 4]))],
        options={"zipmap": False},
        target_opset=OPSET,
    )
    model.opset_import.sort(key=lambda opset: opset.domain)  # skl2onnx keeps them in a set
    return bytes(model.SerializeToString(deterministic=True))


def write(path: Path, content: bytes) -> None:
    """Write a file and say so."""
    path.write_bytes(content)
    print(f"Wrote {path.parent.name}/{path.name} ({len(content)} bytes)")


if __name__ == "__main__":
    sys.exit(main())
