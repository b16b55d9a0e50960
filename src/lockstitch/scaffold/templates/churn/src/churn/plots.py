"""Pictures of the metrics, the same bytes in each run."""

import io
import logging
from collections.abc import Mapping

import numpy as np
from sklearn.metrics import roc_curve

from churn import measure, schema
from churn.measure import Bools, Floats

# An image has no home to keep a list of fonts in. Matplotlib says so while it is imported.
logging.getLogger("matplotlib").setLevel(logging.ERROR)

from matplotlib import style  # noqa: E402 - after the line above
from matplotlib.axes import Axes  # noqa: E402
from matplotlib.figure import Figure  # noqa: E402

BINS = 10  # of the calibration, each with as many customers
_BLUE, _ORANGE, _GREY = "#0072b2", "#d55e00", "#888888"  # told apart by the colour-blind, too


def draw(
    churned: Bools, probabilities: Floats, metrics: Mapping[str, Mapping[str, float]]
) -> dict[str, bytes]:
    """Return each picture as PNG, by its name; metrics are those of metrics.json."""
    with style.context("default"):  # not the reader's own matplotlibrc
        return {
            "roc.png": _roc(churned, probabilities, metrics["held_out"]),
            "calibration.png": _calibration(churned, probabilities),
            "importance.png": _importance(metrics["importance"]),
        }


def _roc(churned: Bools, probabilities: Floats, metrics: Mapping[str, float]) -> bytes:
    """Draw which share is found at the price of which share of false alarms."""
    figure, axes = _square("ROC curve of the customers held out")
    alarms, found, _ = roc_curve(churned, probabilities, drop_intermediate=False)
    flagged = probabilities >= schema.THRESHOLD
    low, high = metrics["roc_auc_low"], metrics["roc_auc_high"]
    label = f"model, area {metrics['roc_auc']:.3f} ({low:.3f} to {high:.3f})"
    axes.step(alarms, found, where="post", color=_BLUE, label=label)
    axes.plot([0, 1], [0, 1], linestyle="--", color=_GREY, label="baseline, area 0.500")
    axes.plot(
        flagged[~churned].mean(),
        flagged[churned].mean(),
        marker="o",
        linestyle="",
        color=_ORANGE,
        label=f"at the threshold of {schema.THRESHOLD:g}",
    )
    axes.set_xlabel("share of those who stay that is flagged")
    axes.set_ylabel("share of those who leave that is flagged")
    axes.legend(loc="lower right", fontsize="small")
    return _png(figure)


def _calibration(churned: Bools, probabilities: Floats) -> bytes:
    """Draw how many left of those who were given about the same probability."""
    figure, axes = _square("Calibration on the customers held out")
    bins = np.array_split(np.argsort(probabilities, kind="stable"), BINS)
    said = [float(probabilities[chosen].mean()) for chosen in bins]
    left = [float(churned[chosen].mean()) for chosen in bins]
    spans = [measure.wilson(int(churned[chosen].sum()), len(chosen)) for chosen in bins]
    reach = [
        [share - low for share, (low, _) in zip(left, spans, strict=True)],
        [high - share for share, (_, high) in zip(left, spans, strict=True)],
    ]
    axes.plot([0, 1], [0, 1], linestyle="--", color=_GREY, label="as it should be")
    label = "a tenth of them each, with its 95% interval"
    axes.errorbar(said, left, yerr=reach, marker="o", capsize=3, color=_BLUE, label=label)
    axes.set_xlabel("mean probability of churn")
    axes.set_ylabel("share that left")
    axes.legend(loc="upper left", fontsize="small")
    return _png(figure)


def _importance(falls: Mapping[str, float]) -> bytes:
    """Draw what shuffling each column costs, the dearest on top."""
    rows = sorted(falls.items(), key=lambda row: (row[1], row[0]))
    figure = Figure(figsize=(5, 5), dpi=90, layout="constrained")
    axes = figure.subplots()
    axes.barh([name for name, _ in rows], [fall for _, fall in rows], color=_BLUE)
    axes.axvline(0, color=_GREY, linewidth=1)
    axes.set_title("Importance of each column", fontsize="medium")
    axes.set_xlabel("fall of the ROC AUC when it is shuffled")
    return _png(figure)


def _square(title: str) -> tuple[Figure, Axes]:
    """Return a picture for two shares."""
    figure = Figure(figsize=(5, 5), dpi=90, layout="constrained")
    axes = figure.subplots()
    axes.set(title=title, xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal")
    axes.title.set_fontsize("medium")
    return figure, axes


def _png(figure: Figure) -> bytes:
    """Return the picture without the line that names matplotlib's version."""
    content = io.BytesIO()
    figure.savefig(content, format="png", metadata={"Software": None})
    return content.getvalue()
