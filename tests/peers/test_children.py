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


RANK = {
    "torchrun": """\
import torch, parts
import torch.distributed as dist

dist.init_process_group("gloo")
total = torch.tensor([parts.fit(dist.get_rank() + 1)])
dist.all_reduce(total)
if dist.get_rank() == 0:
    print(dist.get_world_size(), parts.read("rows.csv"), round(float(total), 4))
""",
    "accelerate": """\
import torch
from accelerate import Accelerator, debug_launcher

def train():
    import parts

    ranks = Accelerator(cpu=True)
    total = ranks.reduce(torch.tensor([parts.fit(ranks.process_index + 1)]))
    if ranks.is_main_process:
        print(ranks.num_processes, parts.read("rows.csv"), round(float(total), 4))

debug_launcher(train, num_processes=2)
""",
}
START_WORDS = {
    # torch 1.13 on 3.11 knows no 0 here: what ranks print is copied, with their name before it
    "torchrun": ("-m", "torch.distributed.run", "--nproc_per_node", "2", "-r1", "-t1", "rank.py"),
    "accelerate": ("rank.py",),
}
SYSTEM = "/usr/bin/python3"


@pytest.fixture(scope="module")
def torch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an environment with Debian's torch, which has no CUDA and so no gigabytes."""
    code = "import torch"
    missing = subprocess.run([SYSTEM, "-c", code], capture_output=True, check=False).returncode
    assert not missing, "torch is not installed: apt-get install -y python3-torch"
    folder = tmp_path_factory.mktemp("ranks") / "venv"
    words = ["--system-site-packages", "--python", SYSTEM]
    subprocess.run([UV, "venv", "--quiet", folder, *words], check=True)
    words = ["pip", "install", "--quiet", "--python", folder / "bin" / "python"]
    subprocess.run([UV, *words, "--no-deps", "accelerate==0.20.3"], check=True)
    needs = ["packaging", "psutil", "pyyaml", "numpy<2", "scikit-learn"]
    subprocess.run([UV, *words, *needs], check=True)
    return folder


@pytest.mark.nightly
@pytest.mark.parametrize("launcher", RANK)
def test_what_each_rank_imports_and_reads_is_seen(
    launcher: str, torch: Path, tmp_path: Path
) -> None:
    (tmp_path / "parts.py").write_text(TRAIN)
    (tmp_path / "rows.csv").write_text("1,2\n")
    (tmp_path / "rank.py").write_text(RANK[launcher])
    words = (str(torch / "bin" / "python"), *START_WORDS[launcher])
    env = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "OMP_NUM_THREADS": "1"}
    command = Command(words=words, cwd=tmp_path, env=env)
    noting = imports.with_children(command, tmp_path / "noted.txt")
    done = subprocess.run(
        noting.words, cwd=tmp_path, env=noting.env, capture_output=True, text=True, check=False
    )
    assert done.stdout.endswith("2 4 0.875\n"), done.stdout + done.stderr
    (site,) = torch.glob("lib/python3*/site-packages")
    assert {"scikit-learn", "numpy", "scipy"} <= imports.noted(tmp_path / "noted.txt", site)
    read = {path.name for path in imports.files_read(tmp_path / "noted.txt")}
    assert {"rows.csv", "parts.py", "rank.py"} <= read
