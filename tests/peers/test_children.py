"""What trains in other processes is recorded through the same door: joblib's loky, spawn."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from support.programs import UV

from lockstitch.process import Command
from lockstitch.run import imports

pytestmark = [pytest.mark.peers, pytest.mark.network]

TRAIN = """\
def fit(seed):
    from sklearn.linear_model import Ridge

    return float(Ridge(alpha=seed).fit([[0.0], [1.0], [2.0]], [0.0, 1.0, 1.5]).coef_[0])


def read(path):
    return len(open(path).read())
"""
START = {
    "loky": """\
import joblib, parts
print(joblib.Parallel(n_jobs=2)(joblib.delayed(parts.fit)(seed) for seed in (1, 2, 3)))
print(joblib.Parallel(n_jobs=2)(joblib.delayed(parts.read)("rows.csv") for _ in range(2)))
""",
    "spawn": """\
import multiprocessing, parts
if __name__ == "__main__":
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        print(pool.map(parts.fit, [1, 2]), pool.map(parts.read, ["rows.csv"]))
""",
    "a launcher": """\
import subprocess, sys
code = "import parts; print(parts.fit(1), parts.read('rows.csv'))"
for rank in "01":
    subprocess.run(["sh", "-c", f'RANK={rank} "$0" -c "$1"', sys.executable, code], check=True)
""",
}


@pytest.fixture(scope="module")
def venv(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("children") / "venv"
    subprocess.run([UV, "venv", "--quiet", folder, "--python", sys.executable], check=True)
    python = folder / "bin" / "python"
    words = ["pip", "install", "--quiet", "--python", python, "scikit-learn", "joblib"]
    subprocess.run([UV, *words], check=True)
    return folder


@pytest.mark.parametrize("kind", START)
def test_what_a_worker_imports_and_reads_is_seen(kind: str, venv: Path, tmp_path: Path) -> None:
    (tmp_path / "parts.py").write_text(TRAIN)
    (tmp_path / "rows.csv").write_text("1,2\n")
    (tmp_path / "start.py").write_text(START[kind])
    python = str(venv / "bin" / "python")
    plain = Command(words=(python, "start.py"), cwd=tmp_path, env={"PATH": "/usr/bin:/bin"})
    noting = imports.with_children(plain, tmp_path / "noted.txt")
    printed = [
        subprocess.run(
            each.words, cwd=tmp_path, env=each.env, check=True, capture_output=True, text=True
        ).stdout
        for each in (plain, noting)
    ]
    assert printed[0] == printed[1], json.dumps(printed)
    (site,) = venv.glob("lib/python3*/site-packages")
    assert {"scikit-learn", "numpy", "scipy"} <= imports.noted(tmp_path / "noted.txt", site)
    read = {path.name for path in imports.files_read(tmp_path / "noted.txt")}
    assert {"rows.csv", "parts.py", "start.py"} <= read
