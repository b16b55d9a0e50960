"""Models of MLflow, from a real tracking server to images that answer what the model does."""

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from support.stack import Stack, running, shared_store

from lockstitch import process

# Each model is logged, the first one registered; prints its URI and what it predicts.
TRAIN = """\
import json, os, sys, warnings
warnings.filterwarnings("ignore")
os.makedirs("shop", exist_ok=True)
open("shop/__init__.py", "w").write("def double(v):\\n    return v * 2\\n")
open("factor.txt", "w").write("3")
sys.path.insert(0, "")
import lightgbm, mlflow, numpy as np, pandas as pd, shop
from mlflow.models import infer_signature
from skl2onnx import to_onnx
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
X, y = load_iris(return_X_y=True, as_frame=True)
X.columns = ["sepal_length", "sepal_width", "petal_length", "petal_width"]
rows = X.iloc[[0, 60, 120]]
linear = LogisticRegression(max_iter=500).fit(X, y)
data = lightgbm.Dataset(X, y, params={"verbose": -1})
booster = lightgbm.train({"objective": "multiclass", "num_class": 3, "verbose": -1}, data, 5)
single = X.to_numpy(np.float32)
net = to_onnx(linear, single[:1], options={"zipmap": False})

class Own(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input, params=None):
        factor = float(open(context.artifacts["factor"]).read())
        return shop.double(model_input["amount"].to_numpy()) * factor

orders = pd.DataFrame({"amount": [1.5], "name": ["a"], "when": pd.to_datetime(["2026-01-01"]),
    "n": [1], "ok": [True]})
told = {}
with mlflow.start_run() as run:
    made = mlflow.sklearn.log_model(linear, name="linear", input_example=rows,
        signature=infer_signature(X, linear.predict(X)), registered_model_name="iris")
    told["linear"] = [made.model_uri, linear.predict(rows).tolist()]
    made = mlflow.lightgbm.log_model(booster, name="trees", input_example=rows,
        signature=infer_signature(X, booster.predict(X)))
    told["trees"] = [made.model_uri, booster.predict(rows).tolist()]
    made = mlflow.onnx.log_model(net, name="net", input_example=single[[0, 60, 120]])
    loaded = mlflow.pyfunc.load_model(made.model_uri).predict(single[[0, 60, 120]])
    told["net"] = [made.model_uri, {k: np.asarray(v).tolist() for k, v in loaded.items()}]
    made = mlflow.pyfunc.log_model(name="own", python_model=Own(), code_paths=["shop"],
        artifacts={"factor": "factor.txt"}, signature=infer_signature(orders, np.array([9.0])))
    told["own"] = [made.model_uri, [6.0]]  # of 1.0, which the signature gives
mlflow.MlflowClient().set_registered_model_alias("iris", "champion", "1")
told["run"] = run.info.run_id
told["experiment"] = run.info.experiment_id
print(json.dumps(told))
"""
NEEDS = ("lightgbm", "onnx", "onnxruntime", "pandas", "scikit-learn", "skl2onnx", "skops")


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with running(shared_store(tmp_path_factory)) as made:
        made.lockstitch("stack", "up")
        yield made


@pytest.fixture(scope="module")
def told(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Any]:
    """Log the models, on the MLflow of the tools, and return what each predicts."""
    folder = tmp_path_factory.mktemp("training")
    uv, python = process.find_uv(), folder / "venv" / "bin" / "python"
    version = subprocess.check_output(
        [stack.tools, "-c", "import importlib.metadata as m; print(m.version('mlflow'))"], text=True
    )
    wanted = [f"mlflow=={version.strip()}", "boto3", *NEEDS]
    subprocess.check_call([uv, "venv", "--quiet", "--python", sys.executable, folder / "venv"])
    subprocess.check_call([uv, "pip", "install", "--quiet", "--python", python, *wanted])
    done = subprocess.run(
        [python, "-c", TRAIN],
        cwd=folder,
        env=stack.environment() | stack.variables(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found: Mapping[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def answer(stack: Stack, name: str, uri: str, *words: str) -> Any:
    """Make a project of a model beside the stack, build its image, and return what it answers."""
    stack.lockstitch("new", name, "--from-model", uri, *words)
    project = str(stack.root / name)
    built = stack.start(
        "build", "--project", project
    )  # all of it is compiled: minutes on two cores
    assert built.communicate(timeout=1200)
    assert built.returncode == 0
    out, _ = stack.lockstitch("try", "--json", "--seconds", "200", "--project", project)
    verdict = json.loads(out)
    assert (verdict["outcome"], verdict["answer"]["status"]) == ("answers", 200), verdict
    return json.loads(verdict["answer"]["body"])["predictions"]


@pytest.mark.parametrize("name", ["linear", "trees", "net", "own"])
def test_an_image_answers_what_the_model_does(
    name: str, stack: Stack, told: Mapping[str, Any]
) -> None:
    uri, wanted = told[name]
    found = answer(stack, f"of-{name}", "models:/iris@champion" if name == "linear" else uri)
    if name == "net":
        assert {key: _flat(value) for key, value in found.items()} == {
            key: pytest.approx(_flat(value), abs=1e-6) for key, value in wanted.items()
        }
    else:
        assert _flat(found) == pytest.approx(_flat(wanted))


def test_every_name_of_a_model_gives_the_same_files(stack: Stack, told: Mapping[str, Any]) -> None:
    uri = told["linear"][0]
    names = (
        *("models:/iris/1", "models:/iris/latest", uri, f"runs:/{told['run']}/linear"),
        f"mlflow-artifacts:/{told['experiment']}/models/{uri.partition('/')[2]}/artifacts",
    )
    seen = set()
    for name in names:
        out, _ = stack.lockstitch("new", "x", "--from-model", name, "--dry-run", "--json")
        files = [line for line in json.loads(out)["would"] if "/model/" in line]
        assert len(files) > 4
        seen.add(tuple(files))
    assert len(seen) == 1


def test_onnx_on_mlflows_own_server_answers_the_same(stack: Stack, told: Mapping[str, Any]) -> None:
    uri, wanted = told["net"]
    found = answer(stack, "net-by-mlflow", uri, "--server", "mlflow")
    for key, value in wanted.items():
        assert _flat(found[key]) == pytest.approx(_flat(value), abs=1e-6)


def _flat(value: Any) -> list[float]:
    if isinstance(value, list):
        return [number for each in value for number in _flat(each)]
    return [float(value)]


def test_nothing_is_left_where_the_model_is_none(stack: Stack) -> None:
    _, err = stack.lockstitch("new", "none", "--from-model", "models:/iris/99", code=1)
    assert "Model Version (name=iris, version=99) not found" in err
    assert not Path(stack.root, "none").exists()
    assert not [*stack.root.glob(".lockstitch-new-*")]
