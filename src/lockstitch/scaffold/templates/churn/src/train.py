"""Trains the model: reads the data, measures, exports to ONNX and proves the export right."""

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.model_selection import train_test_split

from churn import card, data, measure, model, plots, record, tracking
from churn.predict import Predictor

ROOT = Path(__file__).resolve().parent.parent
TOLERANCE = 1e-5  # the export computes in 32 bits, scikit-learn in 64
HELD_OUT = 0.2
SETTINGS = {"folds": model.FOLDS, "opset": model.OPSET[""], "tolerance": TOLERANCE}
MADE_WITH = ("numpy", "onnxruntime", "pandas", "scikit-learn", "skl2onnx")


def main(arguments: list[str] | None = None) -> int:
    """Run the training from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=ROOT / "data" / "telco_churn.csv.gz")
    parser.add_argument("--out", type=Path, default=ROOT / "models", help="folder to write to")
    options = parser.parse_args(arguments)
    try:
        outputs = train(data.load(options.data))
        for name, content in outputs.items():
            write(options.out / name, content)
        tracking.log(outputs, options.out, SETTINGS)
    except (data.DataError, OSError) as error:
        print(f"train.py: {error}", file=sys.stderr)
        return 1
    return 0


def train(dataset: data.Dataset) -> dict[str, bytes]:
    """Train on the customers and return every file to write, by its name."""
    print(f"Loaded {len(dataset.features)} customers")
    print(f"Read {dataset.blanks} blank totalcharges (all with tenure 0) as 0")
    x_train, x_test, y_train, y_test = train_test_split(
        dataset.features,
        dataset.churned.to_numpy(),
        test_size=HELD_OUT,
        stratify=dataset.churned,
        random_state=measure.SEED,
    )
    folds = model.cross_validated(x_train, y_train)
    pipeline = model.build().fit(x_train, y_train)
    exported = model.export(pipeline)
    predict = Predictor(exported).probabilities
    served = predict(x_test.to_dict("records"))
    difference = float(np.max(np.abs(served - pipeline.predict_proba(x_test)[:, 1])))
    if not difference <= TOLERANCE:
        raise RuntimeError(f"ONNX and scikit-learn differ by {difference:.1e} in a probability")
    guessed = model.baseline().fit(x_train, y_train).predict_proba(x_test)[:, 1]
    metrics: dict[str, Any] = {
        "baseline": measure.metrics(y_test, guessed),
        "cross_validation": folds,
        "groups": measure.by_group(x_test, y_test, served),
        "held_out": measure.metrics(y_test, served),
        "importance": measure.importance(predict, x_test, y_test),
    }
    report(metrics, len(y_train), len(y_test), difference)
    facts = {
        "data": {
            "blanks": dataset.blanks,
            "churned": int(dataset.churned.sum()),
            "customers": len(dataset.features),
            "file": dataset.name,
            "held_out": len(y_test),
            "trained": len(y_train),
        },
        "data_sha256": dataset.sha256,
        "metrics": metrics,
        "model_sha256": record.sha256(exported),
    }
    pictures = plots.draw(y_test, served, metrics)
    return files(dataset, exported, facts, pictures)


def files(
    dataset: data.Dataset, exported: bytes, facts: dict[str, Any], pictures: dict[str, bytes]
) -> dict[str, bytes]:
    """Return what a run writes: the model, what is known of it, and last the record of the run."""
    used = record.packages()
    versions = {name: used[name] for name in MADE_WITH} | {"Python": record.python()}
    outputs = {
        "model.onnx": exported,
        "metrics.json": as_json(facts),
        **{f"plots/{name}": picture for name, picture in pictures.items()},
        "MODEL_CARD.md": card.text(facts, versions, SETTINGS).encode(),
    }
    run = record.run(
        arguments={"data": dataset.name},
        seeds={name: measure.SEED for name in ("folds", "importance", "intervals", "split")},
        inputs={dataset.name: dataset.sha256},
        outputs=outputs,
    )
    return outputs | {"run.json": as_json(run)}


def report(metrics: dict[str, Any], trained: int, tested: int, difference: float) -> None:
    """Print the metrics."""
    folds, test, guess = (metrics[key] for key in ("cross_validation", "held_out", "baseline"))
    print(f"Cross-validated on {trained} customers, {model.FOLDS} folds:")
    for name, title in measure.NAMES.items():
        print(f"  {title:<11} {folds[f'{name}_mean']:.3f} (sd {folds[f'{name}_std']:.3f})")
    print(f"Held out, {tested} customers, with 95% intervals:")
    for name, title in measure.NAMES.items():
        interval = f"({test[f'{name}_low']:.3f} to {test[f'{name}_high']:.3f})"
        print(f"  {title:<11} {test[name]:.3f} {interval}, baseline {guess[name]:.3f}")
    print(f"ONNX matches scikit-learn: largest difference of a probability {difference:.1e}")


def as_json(value: dict[str, Any]) -> bytes:
    """Return a value as JSON whose keys are sorted."""
    return (json.dumps(value, indent=2, sort_keys=True) + "\n").encode()


def write(path: Path, content: bytes) -> None:
    """Write a file whole or not at all, and say so."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    part.write_bytes(content)
    os.replace(part, path)
    print(f"Wrote {path} ({len(content)} bytes)")


if __name__ == "__main__":
    sys.exit(main())
