"""What in a training script draws at random, and whether a seed decides what it draws."""

import ast
import re

from lockstitch.patterns import regex
from lockstitch.repository.code.parse import Call, Source

__all__ = ["draws", "seeds"]

# scikit-learn and its kin: these draw from NumPy's global state unless `random_state` is given.
# Who gives the same result without a seed is not here: linear models by default, boosted trees.
_ESTIMATORS = (
    "train_test_split ShuffleSplit StratifiedShuffleSplit GroupShuffleSplit RepeatedKFold "
    "RepeatedStratifiedKFold RandomForestClassifier RandomForestRegressor ExtraTreesClassifier "
    "ExtraTreesRegressor RandomTreesEmbedding BaggingClassifier BaggingRegressor MLPClassifier "
    "MLPRegressor SGDClassifier SGDRegressor Perceptron KMeans MiniBatchKMeans BisectingKMeans "
    "GaussianMixture BayesianGaussianMixture IsolationForest RandomizedSearchCV "
    "HalvingRandomSearchCV LatentDirichletAllocation TruncatedSVD TSNE UMAP shuffle resample "
    "make_classification make_regression make_blobs make_moons make_circles SMOTE BorderlineSMOTE "
    "ADASYN RandomOverSampler RandomUnderSampler"
)
_DRAWING = frozenset(_ESTIMATORS.split())
_FROM = ("sklearn.", "imblearn.", "umap.", "cuml.")
_SHUFFLED = frozenset({"KFold", "StratifiedKFold", "StratifiedGroupKFold"})  # with shuffle=True
_NUMPY = frozenset(
    (
        *("rand", "randn", "randint", "random", "random_sample", "choice", "shuffle"),
        *("permutation", "normal", "uniform", "binomial", "poisson", "beta", "gamma"),
        *("exponential", "standard_normal", "multivariate_normal", "lognormal"),
    )
)
_RANDOM = frozenset(
    ("random", "randint", "choice", "choices", "shuffle", "sample", "uniform", "gauss", "randrange")
)
_SEED_WORDS = ("random_state", "seed", "random_seed", "rng", "generator")
# Frameworks that seed by default, or by a configuration that is not in the code.
_OTHERS = ("lightning", "pytorch_lightning", "hydra", "accelerate", "ultralytics")
_TRAINERS = regex(r"transformers\..*(?:Trainer|TrainingArguments)|trl\.")
_TORCH = frozenset({"rand", "randn", "randint", "randperm", "normal", "rand_like", "randn_like"})
_TRAINING_NAME = regex(r"(?:.*[_/-])?(?:re|pre)?(?:train|finetune|fine_tune|fit)(?:[_-].*)?\.\w+")
_KEPT = frozenset({"torch.save", "mlflow.start_run", "mlflow.log_metric", "mlflow.autolog"})
_LAYERS = regex(r"torch\.(?:nn\.|optim\.|utils\.data\.|rand|randn|randperm)")


def seeds(source: Source) -> bool:
    """Return whether a file sets a seed, by any function with that word in its name."""
    return any("seed" in call.name.rpartition(".")[2].lower() for call in source.calls) or any(
        "seed" in name.rpartition(".")[2].lower() for name in source.imports
    )


def draws(source: Source) -> list[Call]:
    """Return the calls of a training script that draw without a seed, empty for no such script."""
    called = {call.name for call in source.calls}
    if any(name.partition(".")[0] in _OTHERS for name in source.imports) or any(
        map(_TRAINERS.match, called)
    ):
        return []
    last = {name.rpartition(".")[2] for name in called}
    steps = "backward" in last and "step" in last
    fits = last & {"fit", "fit_generator"} or {"xgboost.train", "lightgbm.train"} & called
    if not (steps or fits or _KEPT & called or _TRAINING_NAME.fullmatch(source.path)):
        return []
    found = [call for call in source.calls if _draws(source, call)]
    neural = _neural(source, steps=steps)
    return found or ([neural] if neural else [])


def _draws(source: Source, call: Call) -> bool:
    name = call.name
    module, _, last = name.rpartition(".")
    if name in {"numpy.random.default_rng", "numpy.random.RandomState", "random.Random"}:
        return not call.node.args and not call.node.keywords
    if module == "numpy.random":
        return last in _NUMPY
    if module in {"random", "torch"}:
        return last in (_RANDOM if module == "random" else _TORCH) and not _gives(call, "generator")
    if name.startswith(_FROM) and _seed(source, call) is None:
        if last == "train_test_split":
            return not _is(source.keyword(call, "shuffle"), value=False)
        if last in _SHUFFLED:
            return _is(source.keyword(call, "shuffle"), value=True)
        return last in _DRAWING
    # pandas' own: of a frame nobody knows the type, but no other `sample` takes `frac`.
    frame = last == "sample" and any(name.startswith("pandas") for name in source.imports)
    return frame and _gives(call, "frac") and _seed(source, call) is None


def _seed(source: Source, call: Call) -> ast.expr | None:
    value = source.keyword(call, *_SEED_WORDS)
    none = isinstance(value, ast.Constant) and value.value is None
    return None if none else value


def _gives(call: Call, name: str) -> bool:
    return any(each.arg == name for each in call.node.keywords)


def _is(node: ast.expr | None, *, value: bool) -> bool:
    return isinstance(node, ast.Constant) and node.value is value


def _neural(source: Source, *, steps: bool) -> Call | None:
    """Return the call that trains a network whose weights nobody has seeded."""
    names = [call.name for call in source.calls]
    if steps and any(map(_LAYERS.match, names)):
        return next(call for call in source.calls if call.name.endswith(".backward"))
    keras = any(re.match(r"(?:tensorflow\.)?keras\.", name) for name in (*names, *source.imports))
    layers = any(".layers." in n or n.endswith((".Sequential", ".Dense")) for n in names)
    if keras and layers:
        return next((call for call in source.calls if call.name.endswith(".fit")), None)
    return None
