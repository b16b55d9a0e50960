"""What trains in other processes is recorded through the same door: joblib's loky, spawn."""

import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from support.programs import UV

from lockstitch import ranks
from lockstitch.process import Command
from lockstitch.run import imports
from lockstitch.runtime import fingerprint

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


CHECKED = """\
import os, sys
import numpy, torch
import torch.distributed as dist
import ranks

dist.init_process_group("gloo")
if os.environ.get("DIES") == os.environ["RANK"]:
    os._exit(9)
try:
    ranks.check(timeout=float(os.environ.get("PATIENCE", "60")))
except (ranks.RanksDiffer, ranks.RankSilent) as error:
    print(error, flush=True)
    os._exit(1)
print("rank", dist.get_rank(), "works", flush=True)
dist.barrier()
"""


@pytest.mark.nightly
def test_ranks_of_torch_with_gloo_compare_their_environments(torch: Path, tmp_path: Path) -> None:
    # Two environments with one package's version, settings or file apart; a rank that is gone.
    for text in (ranks, fingerprint):
        shutil.copy(str(text.__file__), tmp_path)
    (tmp_path / "start.py").write_text(CHECKED)
    other = tmp_path / "other"
    words = [UV, "venv", "--quiet", other, "--system-site-packages", "--python", SYSTEM]
    subprocess.run(words, check=True)
    venvs = [torch, other]
    for folder in venvs:
        words = [UV, "pip", "install", "--quiet", "--python", folder / "bin" / "python"]
        subprocess.run(
            [*words, "numpy<2", "packaging", "psutil", "pyyaml", "scikit-learn"], check=True
        )
        subprocess.run([*words, "--no-deps", "accelerate==0.20.3", "cycler==0.12.1"], check=True)

    def run(second: dict[str, str] | None = None, **common: str) -> list[str]:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        env = {**os.environ, "PYTHONPATH": str(tmp_path), "OMP_NUM_THREADS": "1", **common}
        env |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": "2"}
        started = [
            subprocess.Popen(
                [folder / "bin" / "python", "start.py"],
                cwd=tmp_path,
                env={**env, "RANK": str(rank), **((second or {}) if rank else {})},
                stdout=subprocess.PIPE,
                text=True,
            )
            for rank, folder in enumerate(venvs)
        ]
        return [each.communicate(timeout=120)[0] for each in started]

    assert run() == ["rank 0 works\n", "rank 1 works\n"]
    shown = run({"OMP_NUM_THREADS": "2"})
    assert "variable.OMP_NUM_THREADS" in shown[0]
    assert shown[0] == shown[1], "all ranks know"
    silent = run(DIES="1", PATIENCE="4")
    assert silent == ["no answer within 4 s from rank 1\n", ""]
    path = next(other.glob("lib/python*/site-packages/cycler/__init__.py"))
    text = path.read_text()
    path.unlink()  # uv's cache has the same file
    path.write_text(text + "\n# edited\n")
    assert "package.cycler.edited" in run()[0]
    path = next(torch.glob("lib/python*/site-packages/cycler/__init__.py"))
    path.unlink()
    path.write_text(text + "\n# in another way\n")
    assert "package.cycler.edited" in run()[0]
    words = [UV, "pip", "install", "--quiet", "--python", other / "bin" / "python"]
    subprocess.run([*words, "--no-deps", "cycler==0.12.0"], check=True)
    assert [line.split()[:2] for line in run()[0].splitlines() if "package.cycler " in line] == [
        ["package.cycler", "0.12.1"]
    ]
