"""Real environments: what moved is put first, and a run is recorded with what it imported."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from support import programs, projects

from lockstitch.fingerprint import live

from .conftest import RealProject

DATA = files("lockstitch.scaffold") / "templates" / "churn" / "data" / "telco_churn.csv.gz"
OLD = ("numpy==1.26.4", "scipy==1.14.1", "pandas==2.2.3", "scikit-learn==1.5.2")
NEW = ("numpy==1.26.4", "scipy==1.14.1", "pandas==2.2.3", "scikit-learn==1.6.1", "rich==14.0.0")
# Categories of a data frame count as categories since scikit-learn 1.6.
SCORE = """\
import numpy as np, pandas as pd
from sklearn.ensemble import HistGradientBoostingClassifier
rng = np.random.RandomState(0); n = 6000
shop = rng.randint(0, 40, n); effect = rng.normal(size=40) * 2
x = rng.normal(size=(n, 3)); z = effect[shop] + x[:, 0] + rng.normal(size=n) * 0.82
y = (z > 0).astype(int)
codes = pd.Series(shop).map({k: v for k, v in enumerate(rng.permutation(40))})
frame = pd.DataFrame(x, columns=list("abc")); frame["shop"] = codes.astype("category")
model = HistGradientBoostingClassifier(max_iter=84, max_leaf_nodes=4, random_state=0)
print("%.4f" % model.fit(frame[:4000], y[:4000]).score(frame[4000:], y[4000:]))
"""
TRAIN = """\
import json, pathlib
import joblib, mlflow
from sklearn.linear_model import LogisticRegression
pathlib.Path("models").mkdir(exist_ok=True)
model = LogisticRegression().fit([[0.0], [1.0], [2.0], [3.0]], [0, 0, 1, 1])
joblib.dump(model, "models/small.joblib")
with mlflow.start_run():
    mlflow.log_metric("accuracy", model.score([[0.5], [2.5]], [0, 1]))
"""


@dataclass(frozen=True)
class Pair:
    """Two environments whose scikit-learn differs."""

    old: Path
    new: Path


def install(folder: Path, *packages: str) -> Path:
    programs.venv(folder, *packages)
    return folder


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    folder = tmp_path_factory.mktemp("pair")
    return Pair(install(folder / "old", *OLD), install(folder / "new", *NEW))


def differences(pair: Pair, one: str, other: str) -> list[dict[str, Any]]:
    text = programs.lockstitch("diff", one, other, "--json", cwd=pair.old.parent, code=1)
    return list(json.loads(text)["differences"])


def test_the_package_that_changed_the_number_comes_first(pair: Pair) -> None:
    text = programs.lockstitch("diff", "old", "new", cwd=pair.old.parent, code=1)
    lines = text.splitlines()
    assert lines[2].split()[:4] == ["scikit-learn", "changed", "1.5.2", "1.6.1"]
    assert "HistGradientBoosting takes pandas categories as categories" in text
    assert lines[-1].startswith("and ")
    assert "rich" not in text


def test_each_copy_of_blas_says_its_version_and_kernels(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENBLAS_CORETYPE", "Nehalem")
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "1")
    found = live.interpreter(pair.old)
    assert found.blas is not None
    assert [copy.owner for copy in found.blas] == ["numpy", "scipy"]
    for copy in found.blas:
        assert copy.version.startswith("0.3."), copy
        assert (copy.kernels, copy.threads) == ("Nehalem", 1), copy
    assert found.variables
    assert found.variables["OPENBLAS_CORETYPE"] == "Nehalem"


def test_a_file_edited_by_hand_is_what_uv_does_not_see(pair: Pair) -> None:
    path = next(pair.new.glob("lib/python*/site-packages/threadpoolctl.py"))
    text = path.read_text()
    path.unlink()  # it may be uv's own, under a second name
    path.write_text(text + "# tried something\n")
    try:
        found = differences(pair, "old", "new")
    finally:
        path.write_text(text)
    edited = [each for each in found if each["kind"] == "edited"]
    assert [(each["name"], each["after"]) for each in edited] == [
        ("threadpoolctl", "changed threadpoolctl.py")
    ]
    assert edited[0]["matters"]


def test_pip_and_uv_leave_the_same_digests(tmp_path: Path) -> None:
    pins = ("joblib==1.4.2", "threadpoolctl==3.5.0", "click==8.1.7")
    of_uv = install(tmp_path / "uv", *pins)
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "pip"], check=True)
    words = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", *pins]
    subprocess.run([tmp_path / "pip" / "bin" / "python", *words], check=True)
    one, other = live.interpreter(of_uv), live.interpreter(tmp_path / "pip")
    names = [package.name for package in one.packages]
    assert names == ["click", "joblib", "threadpoolctl"]
    for name in names:
        assert one.package(name) == other.package(name)
    assert [package.edited for package in other.packages if package.edited] == []


def test_every_cpython_here_can_be_asked(tmp_path: Path) -> None:
    listed = json.loads(
        subprocess.check_output(
            [programs.UV, "python", "list", "--only-installed", "--output-format", "json"],
            text=True,
        )
    )
    minors = {}
    for each in listed:
        parts = each["version_parts"]
        if each["implementation"] == "cpython" and (parts["major"], parts["minor"]) >= (3, 8):
            minors[parts["minor"]] = Path(each["path"])
    assert minors
    for minor, path in minors.items():
        found = live.interpreter(path)
        assert found.python
        assert found.python.minor == f"3.{minor}"
        assert found.cpu
        assert found.cpu.cores > 0


def test_a_run_is_recorded_and_its_mlflow_run_gets_the_lock(
    project: RealProject, tmp_path: Path
) -> None:
    """In the real training environment, with MLflow's own store of files as the server."""
    root = tmp_path / "churn"
    ignored = shutil.ignore_patterns(".venv", ".lockstitch", "models", "mlruns")
    shutil.copytree(project.root, root, ignore=ignored)
    (root / "src" / "small.py").write_text(TRAIN)
    projects.replace(root, '"src/train.py"]\nbudget', '"src/small.py"]\nbudget')
    projects.replace(
        root, 'include = ["src/api.py", ', 'include = ["src/api.py", "models/*.joblib", '
    )
    real = RealProject(root=root, environment=project.environment)
    store = tmp_path / "store"
    real.lockstitch(
        *("run", "train", "--quiet"),
        env={"MLFLOW_TRACKING_URI": store.as_uri(), "MLFLOW_ALLOW_FILE_STORE": "true"},
    )
    record = json.loads((root / "models" / "train.run.json").read_text())
    assert {"joblib", "mlflow-skinny", "numpy", "scikit-learn"} <= {
        *record["fingerprint"]["imported"]
    }
    assert "matplotlib" not in record["fingerprint"]["imported"]
    assert record["metrics"] == {"accuracy": 1.0}
    assert list(record["outputs"]) == ["models/small.joblib"]
    (run,) = record["mlflow_runs"]
    (folder,) = store.glob(f"*/{run}")
    names = sorted(path.name for path in (folder / "artifacts" / "lockstitch").iterdir())
    assert names == ["lockstitch.lock", "pylock.train.toml", "train.run.json", "uv.lock"]
    tag = (folder / "tags" / "lockstitch.fingerprint").read_text()
    assert tag.startswith("sha256:")
    programs.lockstitch("diff", "models/train.run.json", "uv.lock", "--image", "train", cwd=root)


PYPROJECT = """\
[project]
name = "score"
version = "0.1.0"
requires-python = ">=3.11,<3.12"
dependencies = ["numpy==1.26.4", "scipy==1.14.1", "pandas==2.2.3", "scikit-learn==1.5.2"]

[tool.lockstitch]
python = "3.11"

[tool.lockstitch.images.train]
include = ["train.py", "data/*"]
outputs = ["models"]
command = ["python", "train.py"]

[tool.lockstitch.images.serve]
include = ["models/model.joblib"]
command = ["python", "-m", "http.server", "8000"]
"""
# A model of the churn data: its categories are codes, which only scikit-learn 1.6 takes as such.
CHURN = """\
import json, pathlib, joblib, pandas as pd
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.model_selection import train_test_split
frame = pd.read_csv("data/telco_churn.csv.gz").drop(columns="customerid")
y = (frame.pop("churn") == "Yes").astype(int)
frame["totalcharges"] = pd.to_numeric(frame["totalcharges"], errors="coerce").fillna(0)
for name in frame.columns[frame.dtypes == object]:
    frame[name] = frame[name].astype("category").cat.codes.astype("category")
held = train_test_split(frame, y, test_size=0.2, random_state=0, stratify=y)
model = HistGradientBoostingClassifier(random_state=0).fit(held[0], held[2])
score = model.score(held[1], held[3])
pathlib.Path("models").mkdir(exist_ok=True)
joblib.dump(model, "models/model.joblib")
pathlib.Path("models/metrics.json").write_text(json.dumps({"accuracy": round(score, 4)}))
"""


def test_the_model_is_not_served_with_what_would_have_scored_otherwise(
    store: Path, tmp_path: Path
) -> None:
    """0.8144 here and 0.8114 there: the lock moved scikit-learn after churn was trained."""
    (tmp_path / "pyproject.toml").write_text(PYPROJECT)
    (tmp_path / "train.py").write_text(CHURN)
    (tmp_path / "data").mkdir()
    shutil.copy(str(DATA), tmp_path / "data")
    environment = {**os.environ, "LOCKSTITCH_CACHE": str(store)}
    real = RealProject(root=tmp_path, environment=environment)
    real.lockstitch("lock", "--quiet")
    real.lockstitch("run", "train", "--quiet")
    path = tmp_path / "models" / "train.run.json"
    assert json.loads(path.read_text())["metrics"] == {"accuracy": 0.8144}
    projects.replace(tmp_path, "scikit-learn==1.5.2", "scikit-learn==1.6.1")
    real.lockstitch("lock", "--quiet")
    done = subprocess.run(
        [sys.executable, "-m", "lockstitch", "build", "serve", "--quiet"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    said = done.stderr.splitlines()
    assert (done.returncode, done.stdout) == (1, "")
    wanted = "`scikit-learn` 1.5.2 trained `models/model.joblib`, `serve` has 1.6.1"
    assert f"error: {wanted}" in said
    assert any(
        "HistGradientBoosting takes pandas categories as categories" in each for each in said
    )
    assert not (tmp_path / ".lockstitch" / "images").exists()
    moved = programs.lockstitch(
        "diff", "models/train.run.json", "uv.lock", "--json", cwd=tmp_path, code=1
    )
    first = json.loads(moved)["differences"][0]
    assert (first["name"], first["imported"], first["direct"]) == ("scikit-learn", True, True)
    real.lockstitch("run", "train", "--quiet")
    assert json.loads(path.read_text())["metrics"] == {"accuracy": 0.8114}
    programs.lockstitch("diff", "models/train.run.json", "uv.lock", cwd=tmp_path)
