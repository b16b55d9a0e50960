"""Trains the model: reads the data, measures, exports to ONNX and proves the export right."""

import argparse
import hashlib
import json
import os
import sys
from pathlib import Path

import numpy as np
from sklearn.model_selection import train_test_split

from churn import data, model
from churn.predict import Predictor

ROOT = Path(__file__).resolve().parent.parent
TOLERANCE = 1e-5  # the export computes in 32 bits, scikit-learn in 64


def main(arguments: list[str] | None = None) -> int:
    """Run the training from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=ROOT / "data" / "telco_churn.csv.gz")
    parser.add_argument("--out", type=Path, default=ROOT / "models", help="folder to write to")
    options = parser.parse_args(arguments)
    try:
        train(options.data, options.out)
    except (data.DataError, OSError) as error:
        print(f"train.py: {error}", file=sys.stderr)
        return 1
    return 0


def train(source: Path, out: Path) -> None:
    """Train on the customers in source and write model.onnx and metrics.json to out."""
    dataset = data.load(source)
    print(f"Loaded {len(dataset.features)} customers")
    print(f"Read {dataset.blanks} blank totalcharges (all with tenure 0) as 0")
    x_train, x_test, y_train, y_test = train_test_split(
        dataset.features,
        dataset.churned,
        test_size=0.2,
        stratify=dataset.churned,
        random_state=model.SEED,
    )
    folds = model.cross_validated(x_train, y_train)
    pipeline = model.build().fit(x_train, y_train)
    expected = pipeline.predict_proba(x_test)[:, 1]
    exported = model.export(pipeline)
    served = Predictor(exported).probabilities(x_test.to_dict("records"))
    difference = float(np.max(np.abs(served - expected)))
    if not difference <= TOLERANCE:
        raise RuntimeError(f"ONNX and scikit-learn differ by {difference:.1e} in a probability")
    metrics = {"cross_validation": folds, "held_out": model.held_out(served, y_test)}
    report(metrics, len(x_train), len(x_test), difference)
    facts = {
        "data_sha256": dataset.sha256,
        "metrics": metrics,
        "model_sha256": hashlib.sha256(exported).hexdigest(),
    }
    out.mkdir(parents=True, exist_ok=True)
    write(out / "model.onnx", exported)
    write(out / "metrics.json", (json.dumps(facts, indent=2, sort_keys=True) + "\n").encode())


def report(
    metrics: dict[str, dict[str, float]], trained: int, tested: int, difference: float
) -> None:
    """Print the metrics."""
    folds, test = metrics["cross_validation"], metrics["held_out"]
    print(
        f"Cross-validated on {trained} customers, {model.FOLDS} folds: "
        f"accuracy {folds['accuracy_mean']:.3f} (sd {folds['accuracy_std']:.3f}), "
        f"ROC AUC {folds['roc_auc_mean']:.3f} (sd {folds['roc_auc_std']:.3f})"
    )
    print(
        f"Held out, {tested} customers: "
        f"accuracy {test['accuracy']:.3f} (baseline {test['baseline_accuracy']:.3f}), "
        f"ROC AUC {test['roc_auc']:.3f} (baseline 0.500)"
    )
    print(f"ONNX matches scikit-learn: largest difference of a probability {difference:.1e}")


def write(path: Path, content: bytes) -> None:
    """Write a file whole or not at all, and say so."""
    part = path.with_name(path.name + ".part")
    part.write_bytes(content)
    os.replace(part, path)
    print(f"Wrote {path} ({len(content)} bytes)")


if __name__ == "__main__":
    sys.exit(main())
