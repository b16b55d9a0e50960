"""Which calls of a training script draw at random, and whether a seed decides what they draw."""

import ast
import re
from typing import Any

from lockstitch.patterns import regex
from lockstitch.repository.code.source import Call, Source
from lockstitch.resources import load_table

_FROM = ("sklearn.", "imblearn.", "umap.", "cuml.")
_SEED_WORDS = ("random_state", "seed", "random_seed", "rng", "generator")
# Frameworks that seed by default, or by a configuration that is not in the code.
_SEEDING_FRAMEWORKS = ("lightning", "pytorch_lightning", "hydra", "accelerate", "ultralytics")
_TRAINERS = regex(r"transformers\..*(?:Trainer|TrainingArguments)|trl\.")
_TRAINING_NAME = regex(r"(?:.*[_/-])?(?:re|pre)?(?:train|finetune|fine_tune|fit)(?:[_-].*)?\.\w+")
_KEPT = frozenset({"torch.save", "mlflow.start_run", "mlflow.log_metric", "mlflow.autolog"})
_SAVED = regex(r"onnx\.export$|jit\.trace$")
_LAYERS = regex(r"torch\.(?:nn\.|optim\.|utils\.data\.|rand|randn|randperm)")
# What of them begins with the same numbers in each run.
_FIXED = regex(
    r"torch\.(?:nn\.(?:Module|Parameter|ParameterList|Identity|\w*Loss|functional\..+|utils\..+)"
    r"|optim\.(?:LBFGS|lr_scheduler\..+))"
)


def _table() -> dict[str, Any]:
    return load_table("lockstitch.repository.code", "randomness.toml")


def sets_seed(source: Source) -> bool:
    """Return whether a file sets a seed, by any function with that word in its name."""
    names = (*(call.name for call in source.calls), *source.imports)
    return any("seed" in name.rpartition(".")[2].lower() for name in names)


def draws(source: Source) -> list[Call]:
    """Return the calls of a training script that draw without a seed, empty for no such script."""
    called = {call.name for call in source.calls}
    if any(name.partition(".")[0] in _SEEDING_FRAMEWORKS for name in source.imports) or any(
        map(_TRAINERS.match, called)
    ):
        return []
    last = {name.rpartition(".")[2] for name in called}
    steps = "backward" in last and "step" in last
    fits = last & {"fit", "fit_generator"} or {"xgboost.train", "lightgbm.train"} & called
    trains = bool(steps or fits or _TRAINING_NAME.fullmatch(source.path))
    if not (trains or _KEPT & called):
        return []
    calls = [call for call in source.calls if _draws(source, call)]
    if not trains:  # of what only logs a run, Python's own numbers make names
        calls = [call for call in calls if not call.name.startswith("random.")]
    if any(map(_SAVED.search, called)):  # numbers whose shape alone counts
        shapes = ("torch.rand", "torch.randn", "numpy.random.rand", "numpy.random.randn")
        calls = [call for call in calls if call.name not in shapes]
    neural = _neural(source, steps=steps)
    return calls or ([neural] if neural else [])


def _draws(source: Source, call: Call) -> bool:
    name = call.name
    module, _, last = name.rpartition(".")
    if name in {"numpy.random.default_rng", "numpy.random.RandomState", "random.Random"}:
        return not call.node.args and not call.node.keywords
    if module in _table()["modules"]:
        seeded = module != "numpy.random" and _gives(call, "generator")
        return last in _table()["modules"][module] and not seeded
    if name.startswith(_FROM) and _seed(source, call) is None:
        if last == "train_test_split":
            return not _is(source.keyword(call, "shuffle"), value=False)
        if last in _table()["shuffled"]:
            return _is(source.keyword(call, "shuffle"), value=True)
        return last in _table()["sklearn"]
    # pandas' own: the type of a frame is not known, but no other `sample` takes `frac`.
    frame = last == "sample" and any(name.startswith("pandas") for name in source.imports)
    return frame and _gives(call, "frac") and _seed(source, call) is None


def _seed(source: Source, call: Call) -> ast.expr | None:
    value = source.keyword(call, *_SEED_WORDS)
    return None if isinstance(value, ast.Constant) and value.value is None else value


def _gives(call: Call, name: str) -> bool:
    return any(keyword.arg == name for keyword in call.node.keywords)


def _is(node: ast.expr | None, *, value: bool) -> bool:
    return isinstance(node, ast.Constant) and node.value is value


def _neural(source: Source, *, steps: bool) -> Call | None:
    """Return the call that trains a network whose weights are not seeded."""
    names = [call.name for call in source.calls]
    if steps and any(_LAYERS.match(name) and not _FIXED.fullmatch(name) for name in names):
        return next(call for call in source.calls if call.name.endswith(".backward"))
    keras = any(re.match(r"(?:tensorflow\.)?keras\.", name) for name in (*names, *source.imports))
    layers = any(".layers." in n or n.endswith((".Sequential", ".Dense")) for n in names)
    if keras and layers:
        fits = [call for call in source.calls if call.name.endswith(".fit")]
        return min(fits, key=lambda call: not _gives(call, "epochs"), default=None)
    return None
