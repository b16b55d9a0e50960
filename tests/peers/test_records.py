"""Run records of real programs whose child processes do the work."""

import json
from pathlib import Path

import pytest
from support import projects

from lockstitch.cli.main import main

pytestmark = [pytest.mark.peers, pytest.mark.network]

TRAIN = """\
import json, pathlib

def fit(seed):
    import sklearn.linear_model  # in a worker of loky alone
    return seed + float(pathlib.Path("rows.csv").read_text())

if __name__ == "__main__":
    from joblib import Parallel, delayed
    found = Parallel(n_jobs=2)(delayed(fit)(seed) for seed in range(4))
    pathlib.Path("models").mkdir(exist_ok=True)
    pathlib.Path("models/metrics.json").write_text(json.dumps({"sum": sum(found)}))
"""


def test_what_workers_of_joblib_import_and_read_is_recorded(
    isolated: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = projects.minimal(
        '[tool.lockstitch.images.train]\ninclude = ["train.py"]\noutputs = ["models"]\n'
        'command = ["python", "train.py"]\n',
        dependencies='["joblib", "requests", "scikit-learn"]',
    )
    files = {"pyproject.toml": text, "train.py": TRAIN, "rows.csv": "2"}
    monkeypatch.chdir(projects.write_files(tmp_path, files))
    assert main(["lock", "--quiet"]) == 0
    assert main(["run", "train", "--quiet"]) == 0
    record = json.loads(Path("models/train.run.json").read_text())
    imported = set(record["fingerprint"]["imported"])
    assert {"joblib", "numpy", "scikit-learn"} <= imported
    assert "requests" not in imported
    assert "rows.csv" in record["inputs"]
    assert record["metrics"] == {"sum": 14.0}
