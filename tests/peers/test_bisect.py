"""Accuracy 0.82 becomes 0.8715 and 49 packages changed: real ones, and the cause."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.programs import UV

pytestmark = [pytest.mark.peers, pytest.mark.network]

WANTED = "scikit-learn pandas mlflow-skinny fastapi uvicorn matplotlib"
TRAIN = """\
import numpy as np
import pandas as pd
from sklearn.ensemble import HistGradientBoostingClassifier

rng = np.random.RandomState(0)
n = 6000
shop = rng.randint(0, 40, n)
effect = rng.normal(size=40) * 2
x = rng.normal(size=(n, 3))
y = (effect[shop] + x[:, 0] + rng.normal(size=n) * 0.82 > 0).astype(int)
codes = pd.Series(shop).map(dict(enumerate(rng.permutation(40))))
table = pd.DataFrame(x, columns=list("abc"))
table["shop"] = codes.astype("category")
model = HistGradientBoostingClassifier(max_iter=84, max_leaf_nodes=4, random_state=0)
model.fit(table[:4000], y[:4000])
print("accuracy %.4f" % model.score(table[4000:], y[4000:]))
"""


@pytest.mark.nightly
def test_scikit_learn_among_49_that_moved(tmp_path: Path) -> None:
    (tmp_path / "wanted.in").write_text(WANTED.replace(" ", "\n") + "\n")
    (tmp_path / "train.py").write_text(TRAIN)
    for name, day in (("old", "2024-10-15"), ("new", "2025-06-15")):
        words = ["pip", "compile", "wanted.in", "--exclude-newer", day, "--python-version", "3.11"]
        words += ["--generate-hashes", "--quiet", "--output-file", f"{name}.txt"]
        subprocess.run([UV, *words], cwd=tmp_path, check=True, capture_output=True)
    words = ["bisect", "old.txt", "new.txt", "--python", "3.11", "--json"]
    done = subprocess.run(
        [sys.executable, "-m", "lockstitch", *words, "--", "python", "train.py"],
        cwd=tmp_path,
        env=os.environ | {"LOCKSTITCH_CACHE": str(tmp_path / "store")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["before"]["number"], found["after"]["number"]) == (0.82, 0.8715)
    (((part,),),) = found["sets"]
    assert (part["name"], part["before"], part["after"]) == ("scikit-learn", "1.5.2", "1.7.0")
    assert any("HistGradientBoosting" in move["what"] for move in part["known"])
    assert found["runs"] <= 6
    moved = max(len(each["moved"]) for each in found["outcomes"])
    assert moved >= 40, "so many causes, where packages that need each other count once"
