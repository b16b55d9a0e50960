"""The metrics are those of scikit-learn, and their intervals are what they are said to be."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, brier_score_loss, log_loss, roc_auc_score

from churn import measure

# Few different probabilities, so that many are equal.
answers = st.tuples(st.booleans(), st.integers(0, 8).map(lambda eighth: eighth / 8))


@given(st.lists(st.tuples(answers, st.integers(0, 3)), min_size=2, max_size=30))
def test_scores_are_scikit_learns(rows: list[tuple[tuple[bool, float], int]]) -> None:
    """Counting a customer more than once is the same as a weight in scikit-learn."""
    churned = np.array([left for (left, _), _ in rows] + [True, False])
    probabilities = np.array([p for (_, p), _ in rows] + [0.5, 0.5])
    weights = np.array([weight for _, weight in rows] + [1, 1])
    scores = measure.scores(churned, probabilities, weights[None, :])
    expected = {
        "accuracy": accuracy_score(churned, probabilities >= 0.5, sample_weight=weights),
        "roc_auc": roc_auc_score(churned, probabilities, sample_weight=weights),
        "brier": brier_score_loss(churned, probabilities, sample_weight=weights),
    }
    clipped = np.clip(probabilities, 1e-15, 1 - 1e-15)
    expected["log_loss"] = log_loss(churned, clipped, sample_weight=weights)
    for name, value in expected.items():
        assert scores[name][0] == pytest.approx(value, rel=1e-3, abs=1e-9), name


def test_interval_is_the_bootstraps() -> None:
    """For a share, the percentiles are near to the textbook's interval."""
    churned = np.arange(400) % 4 == 0
    probabilities = np.where(churned, 0.4, 0.1)  # never flagged: right for three quarters
    metrics = measure.metrics(churned, probabilities)
    assert metrics["accuracy"] == 0.75
    assert metrics["accuracy_low"] == pytest.approx(0.75 - 1.96 * 0.02165, abs=0.005)
    assert metrics["accuracy_high"] == pytest.approx(0.75 + 1.96 * 0.02165, abs=0.005)
    assert metrics["roc_auc_low"] == metrics["roc_auc"] == metrics["roc_auc_high"] == 1


@pytest.mark.parametrize(
    ("part", "whole", "expected"),
    [(0, 10, (0.0, 0.2775)), (81, 263, (0.2553, 0.3662)), (10, 10, (0.7225, 1.0))],
)
def test_wilson(part: int, whole: int, expected: tuple[float, float]) -> None:
    """Intervals of the literature (Newcombe 1998, and the rule for none of ten)."""
    assert measure.wilson(part, whole) == pytest.approx(expected, abs=1e-4)
