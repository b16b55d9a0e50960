"""The churn template's trainings in MLflow: logged while the stack is up, else imported."""

import base64
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from lockstitch import process
from lockstitch.stack import imports

pytestmark = pytest.mark.nightly

# What is there, asked of PostgreSQL and of the bucket and not of MLflow.
LOOK = """\
import base64, json, boto3, psycopg2
cursor = psycopg2.connect("").cursor()
def rows(query):
    cursor.execute(query)
    return cursor.fetchall()
client, objects = boto3.client("s3"), {}
for page in client.get_paginator("list_objects_v2").paginate(Bucket="mlflow"):
    for each in page.get("Contents", []):
        body = client.get_object(Bucket="mlflow", Key=each["Key"])["Body"].read()
        objects[each["Key"]] = base64.b64encode(body).decode()
print(json.dumps({
    "runs": rows("SELECT run_uuid, status, start_time, end_time, name FROM runs"),
    "params": rows("SELECT run_uuid, key, value FROM params"),
    "tags": rows("SELECT run_uuid, key, value FROM tags"),
    "metrics": rows("SELECT run_uuid, key, value, timestamp, step FROM metrics"),
    "models": rows("SELECT model_id, source_run_id, status FROM logged_models"),
    "outputs": rows("SELECT source_id, destination_id FROM inputs"),
    "objects": objects,
}))
"""
# What an import leaves that was killed: a run with the tag, one parameter, a bit of its model.
HALF = f"""\
import json, sys
from mlflow import MlflowClient
client = MlflowClient()
experiment = client.create_experiment("churn")
run = client.create_run(experiment, 5, {{"{imports.TAG}": sys.argv[1]}}).info.run_id
client.log_param(run, "folds", "5")
model = client.create_logged_model(experiment, "model", run, {{"{imports.TAG}": sys.argv[2]}})
key, value, timestamp, step = json.loads(sys.argv[3])
client.log_metric(run, key, value, timestamp, step, model_id=model.model_id)
print(run)
"""
LOADED = """\
import json, sys, mlflow, numpy
from churn import schema
from churn.predict import Predictor
bytes_ = open("models/model.onnx", "rb").read()
wanted = Predictor(bytes_).probabilities([schema.example()])
for model in sys.argv[1:]:
    served = mlflow.pyfunc.load_model(f"models:/{model}")
    answer = served.predict(served.input_example)["probabilities"][:, 1]
    assert numpy.array_equal(answer, wanted.astype(numpy.float32)), (answer, wanted)
    names = served.metadata.signature.inputs.input_names()
    assert names == [feature.name for feature in schema.FEATURES]
    assert mlflow.onnx.load_model(f"models:/{model}").SerializeToString() == bytes_
print("same")
"""


@dataclass(frozen=True)
class Project:
    """A project of the churn template, with programs and caches of the test's own."""

    root: Path
    environment: dict[str, str]

    def run(self, command: list[str | Path], more: dict[str, str] | None = None) -> tuple[str, str]:
        done = subprocess.run(
            [str(word) for word in command],
            cwd=self.root,
            env=self.environment | (more or {}),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout, done.stderr

    def lockstitch(self, *words: str) -> tuple[str, str]:
        return self.run([sys.executable, "-m", "lockstitch", *words])

    def client(self, python: Path, code: str, *words: str) -> str:
        own = json.loads(self.lockstitch("stack", "env", "--json")[0])
        return self.run([python, "-W", "ignore", "-c", code, *words], own)[0]

    @property
    def tools(self) -> Path:
        return next(Path(self.environment["LOCKSTITCH_CACHE"]).glob("scratch/stack-*/bin/python"))

    def look(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.client(self.tools, LOOK))
        return found

    def train(self) -> tuple[str, str]:
        """Train and return the id of the run and where it was logged."""
        match = re.search(
            r"^Logged the run (\S+) to (\S+)$", self.lockstitch("run", "train")[0], re.MULTILINE
        )
        assert match
        return match[1], match[2]


@pytest.fixture
def project() -> Iterator[Project]:
    folder = Path(tempfile.mkdtemp(prefix="ls.", dir="/tmp"))
    folder.chmod(0o755)
    dropped = ("AWS_", "PG", "MLFLOW_", "LOCKSTITCH_", "PYTHONDONTWRITE")
    kept = {k: v for k, v in os.environ.items() if not k.startswith(dropped)}
    more = {
        "LOCKSTITCH_CACHE": str(folder / "store"),
        "LOCKSTITCH_UV": str(process.find_uv()),
        "CI": "1",
    }
    made = Project(folder / "churn", kept | more)
    try:
        Project(folder, made.environment).lockstitch("new", "churn")
        made.lockstitch("lock")
        git = ["git", "-c", "user.name=me", "-c", "user.email=me@example.test"]
        for words in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "all"]):
            made.run([*git, *words])
        yield made
    finally:
        if made.root.exists():
            subprocess.run(
                [sys.executable, "-m", "lockstitch", "stack", "down"],
                cwd=made.root,
                env=made.environment,
                check=False,
                capture_output=True,
            )
        shutil.rmtree(folder)


def files(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def written(project: Project) -> dict[str, bytes]:
    """Return what the training wrote, without MLflow's folder and the record of the run."""
    found = files(project.root / "models")
    return {n: found[n] for n in found if not n.startswith("mlruns/") and n != "train.run.json"}


def test_logged_with_a_stack_and_imported_without(project: Project) -> None:
    old, place = project.train()
    assert place == (project.root / "models" / "mlruns").as_uri()
    first = written(project)
    (left,) = imports.read(project.root / "models" / "mlruns").runs
    (model,) = left.models
    assert left.id == old
    project.lockstitch("stack", "up")
    point = json.dumps(model.metrics[0])
    half = project.client(project.tools, HALF, old, model.id, point).strip()
    assert project.lockstitch("stack", "import")[1].endswith("runs imported: 1, there already: 0\n")
    assert project.lockstitch("stack", "import")[1].endswith("runs imported: 0, there already: 1\n")
    new, place = project.train()
    assert place.startswith("http://127.0.0.1:")
    assert written(project) == first, "where it is logged changes no byte"
    found = project.look()
    assert {run[0]: run[1] for run in found["runs"]} == dict.fromkeys((half, new), "FINISHED")
    check_import(found, half, left)
    check_logged(found, new, first)
    models = {run: model for model, run, status in found["models"] if status == 2}
    assert sorted(found["outputs"]) == sorted([run, model] for run, model in models.items())
    for run in (half, new):
        check_artifacts(found, run, models[run], first)
    # What `lockstitch run` adds to a run on a server.
    added = objects(found, new)["lockstitch/uv.lock"]
    assert added == (project.root / "uv.lock").read_bytes()
    record = json.loads(objects(found, new)["lockstitch/train.run.json"])
    assert record["outputs"]["models/model.onnx"]
    assert dict(of(found, "tags", new))["lockstitch.fingerprint"].startswith("sha256:")
    mine = files(Path(model.artifacts))
    assert {name: objects(found, models[half])[name] for name in mine} == mine, "byte for byte"
    python = project.root / ".lockstitch" / "envs" / "train" / "bin" / "python"
    assert project.client(python, LOADED, *models.values()) == "same\n"


def of(found: dict[str, Any], kind: str, run: str) -> list[list[Any]]:
    return sorted(row[1:] for row in found[kind] if row[0] == run)


def objects(found: dict[str, Any], place: str) -> dict[str, bytes]:
    """Return the contents of the bucket in the artifacts of a run or of a model."""
    return {
        key.partition(f"/{place}/artifacts/")[2]: base64.b64decode(body)
        for key, body in found["objects"].items()
        if f"/{place}/artifacts/" in key
    }


def check_import(found: dict[str, Any], new: str, left: imports.Run) -> None:
    """See that the imported run is what the folder has."""
    (run,) = (row for row in found["runs"] if row[0] == new)
    assert run[3] == left.end
    assert of(found, "params", new) == sorted(map(list, left.params.items()))
    assert of(found, "metrics", new) == sorted(map(list, left.metrics))
    tags = dict(of(found, "tags", new))
    assert tags.pop(imports.TAG) == left.id
    assert {name: tags[name] for name in left.tags} == left.tags


def check_logged(found: dict[str, Any], new: str, outputs: dict[str, bytes]) -> None:
    """See that the rows are what the training wrote to files."""
    facts = json.loads(outputs["metrics.json"])
    values = {row[0]: row[1] for row in of(found, "metrics", new)}
    held_out, baseline = facts["metrics"]["held_out"], facts["metrics"]["baseline"]
    assert {name: values[name] for name in held_out} == held_out
    assert {name: values[f"baseline/{name}"] for name in baseline} == baseline
    params, tags = dict(of(found, "params", new)), dict(of(found, "tags", new))
    assert params["folds"] == "5"
    assert params["classifier/solver"] == "newton-cholesky"
    assert tags["data_sha256"] == facts["data_sha256"]
    assert tags["model_sha256"] == facts["model_sha256"]
    assert re.fullmatch("[0-9a-f]{40}", tags["mlflow.source.git.commit"])


def check_artifacts(found: dict[str, Any], run: str, model: str, outputs: dict[str, bytes]) -> None:
    """See that the bucket has the bytes of the files."""
    logged = objects(found, model)
    assert {"MLmodel", "input_example.json", "requirements.txt"} < set(logged)
    own = {n: b for n, b in objects(found, run).items() if not n.startswith("lockstitch/")}
    assert {**own, "model.onnx": logged["model.onnx"]} == outputs
    assert [name for name in logged if name.endswith((".pkl", ".pickle"))] == []
