"""How good the model is: metrics with 95% intervals, by group, and which columns it rests on."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from churn import schema

SEED = 20
DRAWS = 2000  # resamples of an interval
SHUFFLES = 5  # of each column, for its importance
DIGITS = 4  # as many as mean something; the next ones differ between processors
GROUPS = ("gender", "seniorcitizen")
NAMES = {
    "accuracy": "Accuracy",
    "roc_auc": "ROC AUC",
    "brier": "Brier score",
    "log_loss": "Log loss",
}
_Z = 1.959964  # of a normal distribution, 95% is nearer to the mean than this

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Predict = Callable[[list[dict[str, Any]]], Floats]


def metrics(churned: Bools, probabilities: Floats) -> dict[str, float]:
    """Return each metric, and as NAME_low and NAME_high its 95% interval.

    The interval is of the bootstrap: the customers are drawn again, with replacement and a fixed
    seed, and it spans the 2.5th to the 97.5th percentile of what the draws give. It says what
    other customers would change, and not what other training data would.
    """
    count = len(churned)
    draws = np.random.default_rng(SEED).integers(count, size=(DRAWS, count))
    weights = np.stack([np.bincount(draw, minlength=count) for draw in draws])
    whole = scores(churned, probabilities, np.ones((1, count), dtype=np.int64))
    drawn = scores(churned, probabilities, weights)
    result: dict[str, float] = {}
    for name in NAMES:
        low, high = np.nanpercentile(drawn[name], [2.5, 97.5])
        result |= {name: whole[name][0], f"{name}_low": low, f"{name}_high": high}
    return rounded(result)


def scores(churned: Bools, probabilities: Floats, weights: NDArray[np.int64]) -> dict[str, Floats]:
    """Return each metric once for each row of weights, which says how often a customer counts."""
    flagged = probabilities >= schema.THRESHOLD
    of_truth = np.where(churned, probabilities, 1 - probabilities)
    losses = {
        "accuracy": flagged == churned,
        "brier": (probabilities - churned) ** 2,
        "log_loss": -np.log(np.maximum(of_truth, 1e-15)),
    }
    total = weights.sum(axis=1)
    means = {name: (weights * loss).sum(axis=1) / total for name, loss in losses.items()}
    return means | {"roc_auc": _roc_auc(churned, probabilities, weights)}


def _roc_auc(churned: Bools, probabilities: Floats, weights: NDArray[np.int64]) -> Floats:
    """Return the share of pairs in which the one who left has the higher probability."""
    order = np.argsort(probabilities, kind="stable")
    _, starts = np.unique(probabilities[order], return_index=True)  # equal ones count as half
    weights, left = weights[:, order], churned[order]
    leaving = np.add.reduceat(weights * left, starts, axis=1)
    staying = np.add.reduceat(weights * ~left, starts, axis=1)
    below = np.cumsum(staying, axis=1) - staying / 2
    pairs = leaving.sum(axis=1) * staying.sum(axis=1)
    with np.errstate(invalid="ignore"):  # a draw of one class only has no pairs
        return np.asarray((leaving * below).sum(axis=1) / pairs, dtype=np.float64)


def by_group(features: Any, churned: Bools, probabilities: Floats) -> dict[str, dict[str, float]]:
    """Return the rates of all customers, and of each value of each column in GROUPS."""
    groups = {"everyone": np.ones(len(churned), dtype=bool)}
    for column in GROUPS:
        values = features[column].to_numpy()
        for value in sorted(set(values)):
            text = value if isinstance(value, str) else f"{value:g}"
            groups[f"{column} {text}"] = values == value
    flagged = probabilities >= schema.THRESHOLD
    return {name: _rates(churned[chosen], flagged[chosen]) for name, chosen in groups.items()}


def _rates(churned: Bools, flagged: Bools) -> dict[str, float]:
    """Return shares of a group's customers with their intervals; one of nobody is left out."""
    rates: dict[str, tuple[int, int]] = {
        "churned": (int(churned.sum()), len(churned)),
        "flagged": (int(flagged.sum()), len(churned)),
        "recall": (int((flagged & churned).sum()), int(churned.sum())),
        "precision": (int((flagged & churned).sum()), int(flagged.sum())),
        "false_alarms": (int((flagged & ~churned).sum()), int((~churned).sum())),
    }
    result: dict[str, float] = {"customers": len(churned)}
    for name, (part, whole) in rates.items():
        if whole:
            low, high = wilson(part, whole)
            result |= rounded({name: part / whole, f"{name}_low": low, f"{name}_high": high})
    return result


def wilson(part: int, whole: int) -> tuple[float, float]:
    """Return the 95% interval of a share by Wilson's method, which also suits small groups."""
    share, spread = part / whole, _Z**2 / whole
    middle = (share + spread / 2) / (1 + spread)
    half = _Z * ((share * (1 - share) + spread / 4) / whole) ** 0.5 / (1 + spread)
    return max(0.0, middle - half), min(1.0, middle + half)


def importance(predict: Predict, features: Any, churned: Bools) -> dict[str, float]:
    """Return by how much the ROC AUC falls when a column's values are shuffled, on average."""
    random = np.random.default_rng(SEED)
    once = np.ones((1, len(churned)), dtype=np.int64)

    def roc_auc(customers: Any) -> float:
        return float(_roc_auc(churned, predict(customers.to_dict("records")), once)[0])

    whole = roc_auc(features)
    falls = {}
    for feature in schema.FEATURES:
        values = features[feature.name].to_numpy()
        left = [
            roc_auc(features.assign(**{feature.name: random.permutation(values)}))
            for _ in range(SHUFFLES)
        ]
        falls[feature.name] = whole - sum(left) / SHUFFLES
    return rounded(falls)


def rounded(values: Mapping[str, float]) -> dict[str, float]:
    """Return the values with the digits that mean something, and no minus before a zero."""
    return {name: round(float(value), DIGITS) + 0.0 for name, value in values.items()}
