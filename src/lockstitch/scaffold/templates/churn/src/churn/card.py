"""The model card, in the manner of Mitchell et al., Model Cards for Model Reporting (2019)."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from churn import measure, schema

_RATES = {
    "churned": "left",
    "flagged": "flagged",
    "recall": "flagged of those who left",
    "precision": "left of those flagged",
    "false_alarms": "flagged of those who stayed",
}

_TEXT = """\
# Model card: customer churn

Written by `src/train.py`; every number is of that run. It has no date: the same data, code and
locked packages write the same card.

## Model details

- **Kind**: logistic regression in a scikit-learn pipeline. Texts are one-hot encoded by the
  categories of the schema, numbers are standardized. No parameter was searched for.
- **Answer**: the probability that a customer leaves. From {threshold:g} on, the service says
  `churn`.
- **File**: `model.onnx`, ONNX opset {opset}. It holds no code. On each of the {held_out} customers
  held out, ONNX Runtime gives scikit-learn's probability to within {tolerance:.0e}; training stops
  otherwise. The metrics below are those of this file as it is served.
- **SHA-256**: `{model_sha256}`
- **Made with**: {versions}.

## Intended use

- **For**: ranking present customers of this company by their risk, so that people decide whom to
  offer something. Learning how a model is trained, measured and served.
- **Not for**: prices, credit, or any decision about a person without a person; other companies,
  countries or years; saying what *causes* churn.
- **Users**: the team that keeps customers; the service `src/api.py`.

## Factors

Metrics are given for everyone and by {groups}: the personal traits in the data. Age is known only
as under 65 or not. The answer rests most on {columns} (`plots/importance.png`).

## Metrics

- **ROC AUC**: how often someone who leaves gets a higher probability than someone who stays.
- **Accuracy**: right answers at the threshold. A model that always says "stays" has {stays:.3f}.
- **Brier score, log loss**: how far the probabilities are off; lower is better.
- **Intervals**, 95%: of the metrics by bootstrap ({draws:,} draws of the held-out customers, seed
  {seed}, percentiles); of shares by Wilson's method. They say what other customers would
  change, and not what other training data would.
- **Threshold**: {threshold:g}, set before training and not tuned. A lower one finds more of those
  who leave, at the price of more false alarms; `plots/roc.png` shows the choice.

## Evaluation data

{held_out} of the {customers} customers, drawn before training with a fixed seed and the same share
of churn. The model did not see them; nothing was chosen by them.

## Training data

- **File**: `{file}`, SHA-256 `{data_sha256}`
- **Customers**: {customers}, of whom {churned} left ({share:.1%}); {trained} were trained on.
- **Blanks**: {blanks} blank `totalcharges`, each of a customer with `tenure` 0, were read as 0.
- **Checks**: columns, categories, ranges and contradictions, by `src/churn/schema.py`; a
  wrong row stops training.
- **Left out**: `{id}`.

## Quantitative analyses

{held_out} customers held out, with 95% intervals:

{metrics}

The baseline gives everyone the share that left. Cross-validated on the {trained} customers trained
on, with {folds} folds, mean and standard deviation:

{cross_validation}

By group, at the threshold of {threshold:g}:

{by_group}

![ROC curve](plots/roc.png)
![Calibration](plots/calibration.png)
![Importance of each column](plots/importance.png)

## Ethical considerations

- The model reads `gender`, `seniorcitizen`, `partner` and `dependents`. Where an offer depends on
  its answer, groups that are flagged less get fewer offers: compare the rows above.
- The data has no names; `{id}` is never learned from, and the service takes none.

## Caveats and recommendations

- The data is a sample that IBM published to show its software: one company, and no dates. Measure
  again on customers of your own before you rely on any number here.
- Intervals of small groups are wide. That two overlap does not show that the groups are treated
  alike.
- Columns that say nearly the same, like `tenure` and `totalcharges`, share their importance, and
  shuffling makes customers who cannot be.
- Customers change. Train again when the share that leaves, or the calibration, moves.
"""


def text(facts: Mapping[str, Any], versions: Mapping[str, str], settings: Mapping[str, Any]) -> str:
    """Return the card; facts are those of metrics.json, settings are opset, tolerance and folds."""
    data, metrics = facts["data"], facts["metrics"]
    share = data["churned"] / data["customers"]
    falls = metrics["importance"]
    dearest = sorted(falls, key=lambda column: (-falls[column], column))[:3]
    return _TEXT.format(
        **data,
        **settings,
        model_sha256=facts["model_sha256"],
        data_sha256=facts["data_sha256"],
        versions=", ".join(f"{name} {version}" for name, version in sorted(versions.items())),
        threshold=schema.THRESHOLD,
        columns=", ".join(f"`{column}`" for column in dearest),
        groups=" and ".join(f"`{column}`" for column in measure.GROUPS),
        stays=metrics["baseline"]["accuracy"],
        share=share,
        draws=measure.DRAWS,
        seed=measure.SEED,
        id=schema.ID,
        metrics=_metrics(metrics["held_out"], metrics["baseline"]),
        cross_validation=_cross_validation(metrics["cross_validation"]),
        by_group=_groups(metrics["groups"]),
    )


def _metrics(model: Mapping[str, float], baseline: Mapping[str, float]) -> str:
    rows = [
        [title, _spanned(model, name), _spanned(baseline, name)]
        for name, title in measure.NAMES.items()
    ]
    return _table([["", "model", "baseline"], *rows])


def _cross_validation(folds: Mapping[str, float]) -> str:
    rows = [
        [title, f"{folds[f'{name}_mean']:.3f}", f"{folds[f'{name}_std']:.3f}"]
        for name, title in measure.NAMES.items()
    ]
    return _table([["", "mean", "deviation"], *rows])


def _groups(groups: Mapping[str, Mapping[str, float]]) -> str:
    rows = [
        [group, f"{rates['customers']:g}", *(_spanned(rates, name) for name in _RATES)]
        for group, rates in groups.items()
    ]
    return _table([["", "n", *_RATES.values()], *rows])


def _spanned(values: Mapping[str, float], name: str) -> str:
    """Return a value with its interval, or say that nobody is counted."""
    if name not in values:
        return "nobody"
    return f"{values[name]:.3f} ({values[f'{name}_low']:.3f} to {values[f'{name}_high']:.3f})"


def _table(rows: Sequence[Sequence[str]]) -> str:
    def lines() -> Iterator[str]:
        for number, row in enumerate(rows):
            yield f"| {' | '.join(row)} |"
            if number == 0:
                yield "|" + "---|" * len(row)

    return "\n".join(lines())
