"""The model: one scikit-learn pipeline, its cross-validation, and its export to ONNX."""

from typing import Any

from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType, StringTensorType
from sklearn.compose import ColumnTransformer
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_validate
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from churn import measure, schema

FOLDS = 5
OPSET = {"": 21, "ai.onnx.ml": 3}  # fixed, so that a newer converter writes the same operators
_SCORERS = {
    "accuracy": "accuracy",
    "roc_auc": "roc_auc",
    "brier": "neg_brier_score",
    "log_loss": "neg_log_loss",
}


def build() -> Pipeline:
    """Return the untrained pipeline."""
    texts = [feature.texts for feature in schema.CATEGORIES]
    columns = ColumnTransformer(
        [
            ("category", OneHotEncoder(categories=texts), [f.name for f in schema.CATEGORIES]),
            ("number", StandardScaler(), [f.name for f in schema.NUMBERS]),
        ]
    )
    # Newton's method ends at the optimum to the last digits, so that another processor or another
    # number of threads gives the same 32-bit weights; lbfgs stops near it, each time elsewhere.
    classifier = LogisticRegression(solver="newton-cholesky", tol=1e-10)
    return Pipeline([("columns", columns), ("classifier", classifier)])


def baseline() -> DummyClassifier:
    """Return what knows only how many customers leave, and gives each that probability."""
    return DummyClassifier(strategy="prior")


def cross_validated(features: Any, churned: Any) -> dict[str, float]:
    """Return mean and deviation of each metric over the folds."""
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=measure.SEED)
    result = cross_validate(build(), features, churned, cv=folds, scoring=_SCORERS)
    scores = {name: abs(result[f"test_{name}"]) for name in _SCORERS}  # losses come negated
    return measure.rounded(
        {
            f"{name}_{kind}": getattr(values, kind)()
            for name, values in scores.items()
            for kind in ("mean", "std")
        }
    )


def export(pipeline: Pipeline) -> bytes:
    """Return the pipeline as ONNX with one input a column, and the schema's signature in it."""
    texts = {feature.name for feature in schema.CATEGORIES}
    inputs = [
        (f.name, (StringTensorType if f.name in texts else FloatTensorType)([None, 1]))
        for f in schema.FEATURES
    ]
    model = to_onnx(
        pipeline,
        name="churn",
        initial_types=inputs,
        options={"zipmap": False},
        target_opset=OPSET,
    )
    model.producer_name = "churn"
    model.opset_import.sort(key=lambda opset: opset.domain)  # skl2onnx keeps them in a set
    model.metadata_props.add(key="schema", value=schema.signature())
    return bytes(model.SerializeToString(deterministic=True))
