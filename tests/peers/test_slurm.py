"""Jobs on a real Slurm of two nodes, whose ranks run in Charliecloud."""

import json
import os
import shutil
import signal
import subprocess
import tarfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from support import projects, slurm
from support.programs import LOCKSTITCH
from support.slurm import Slurm

import lockstitch

pytestmark = [
    pytest.mark.network,
    pytest.mark.xdist_group("slurm"),
    pytest.mark.skipif(not slurm.is_here(), reason="needs root, and slurm-wlm with charliecloud"),
]

CUSTOMERS = Path(lockstitch.__file__).parent / "scaffold/templates/churn/data/telco_churn.csv.gz"
PYPROJECT = """\
[project]
name = "parallel"
version = "0.1"
requires-python = ">=3.11,<3.12"
dependencies = ["numpy"]

[tool.uv]
package = false

[tool.lockstitch.images.train]
command = ["python", "train.py"]
include = ["train.py", "data/*"]
outputs = ["models"]

[tool.lockstitch.targets.cluster]
engine = "slurm"
nodes = 2

[tool.lockstitch.targets.held]
engine = "slurm"
options = ["--hold"]

[tool.lockstitch.targets.short]
engine = "slurm"
time = "1"

[tool.lockstitch.targets.sweep]
engine = "slurm"
array = "0-7"

[tool.lockstitch.targets.again]
engine = "slurm"
requeue = true

[tool.lockstitch.targets.squashed]
engine = "slurm"
runtime = "pyxis"

[tool.lockstitch.targets.shared]
engine = "slurm"
nodes = 2
runtime = "venv"
"""
# Churn of the template's customers: logistic regression on one half of them a rank, whose gradients
# are summed at each step.
TRAIN = """\
import csv, gzip, json, os, signal, sys, time
from multiprocessing.connection import Client, Listener
import numpy as np

rank, size = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
address = (os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"]))
print("rank", rank, "of", size, "on", os.environ["SLURMD_NODENAME"],
      os.environ.get("LOCKSTITCH_IMAGE", "no image"), flush=True)
what = sys.argv[1] if len(sys.argv) > 1 else "train"
if what == "fail" and rank == 1:
    sys.exit(3)
if what == "sleep" or (what == "fail" and rank == 0):
    time.sleep(300)
if what == "die" and rank == 1:
    time.sleep(2)
    os.kill(os.getpid(), signal.SIGKILL)
if what == "die":
    time.sleep(300)
if what == "again":
    if os.environ["LOCKSTITCH_RESTARTS"] == "0":
        with open("models/checkpoint", "w") as handle:
            handle.write("epoch 7")
        time.sleep(300)
    print("goes on from", open("models/checkpoint").read())
    sys.exit(0)
if what == "sweep":
    number = os.environ["SLURM_ARRAY_TASK_ID"]
    print("rate", number)
    with open(f"models/result-{number}.txt", "w") as handle:
        handle.write(number)
    sys.exit(0)

def connected():
    if rank == 0:
        with Listener(address) as listener:
            return [listener.accept() for _ in range(size - 1)]
    for _ in range(100):
        try:
            return [Client(address)]
        except ConnectionRefusedError:
            time.sleep(0.1)
    raise SystemExit("rank 0 is not there")

peers = connected()

def summed(gradient):
    if rank == 0:
        total = gradient + sum(peer.recv() for peer in peers)
        for peer in peers:
            peer.send(total)
        return total
    peers[0].send(gradient)
    return peers[0].recv()

with gzip.open("data/telco_churn.csv.gz", "rt", newline="") as handle:
    customers = list(csv.DictReader(handle))
rows = np.array([[float(each["tenure"]), float(each["monthlycharges"]),
    float(each["seniorcitizen"]), each["contract"] == "Month-to-month",
    each["internetservice"] == "Fiber optic", each["paymentmethod"] == "Electronic check"]
    for each in customers])
rows = np.c_[(rows - rows.mean(axis=0)) / rows.std(axis=0), np.ones(len(rows))]
labels = np.array([each["churn"] == "Yes" for each in customers], dtype=float)
mine, wanted = rows[rank::size], labels[rank::size]
weights = np.zeros(rows.shape[1])
for _ in range(300):
    guess = 1 / (1 + np.exp(-(mine @ weights)))
    weights -= 1 / len(rows) * summed(mine.T @ (guess - wanted))
accuracy = float(((rows @ weights > 0) == labels).mean())
if rank == 0:
    with open("models/metrics.json", "w") as handle:
        json.dump({"accuracy": accuracy}, handle)
    np.save("models/weights.npy", weights)
print("accuracy", accuracy)
"""


@dataclass
class Cluster:
    """A project that is locked, and the cluster that runs it."""

    root: Path
    slurm: Slurm

    @property
    def environment(self) -> dict[str, str]:
        return {**os.environ, **self.slurm.variables}

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [LOCKSTITCH, *words],
            cwd=self.root,
            env=self.environment,
            check=False,
            capture_output=True,
            text=True,
            timeout=240,
        )

    def start(self, *words: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [LOCKSTITCH, *words],
            cwd=self.root,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def wait_for(self, running: subprocess.Popen[str], count: int) -> None:
        """Read a job's lines until so many ranks work."""
        assert running.stdout is not None
        while count:
            line = running.stdout.readline()
            assert line, running.communicate()
            count -= line.startswith("rank ")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    root = projects.write(
        tmp_path_factory.mktemp("slurm") / "parallel",
        pyproject=PYPROJECT,
        files={"train.py": TRAIN},
    )
    (root / "data").mkdir()
    shutil.copy(CUSTOMERS, root / "data")
    with slurm.running(tmp_path_factory.mktemp("cluster")) as there:
        cluster = Cluster(root, there)
        locked = cluster.run("lock")
        assert locked.returncode == 0, locked.stderr
        yield cluster


def test_two_ranks_train_one_model_and_leave_a_record(cluster: Cluster) -> None:
    done = cluster.run("run", "train", "--on", "cluster")
    assert done.returncode == 0, done.stdout + done.stderr
    ranks = sorted(line.split() for line in done.stdout.splitlines() if line.startswith("rank"))
    assert [(words[1], words[5]) for words in ranks] == [("0", "node1"), ("1", "node2")]
    digests = {words[6] for words in ranks}
    manifest = json.loads((cluster.root / ".lockstitch" / "images" / "index.json").read_text())
    assert digests == {manifest["manifests"][0]["digest"]}
    assert "2 ranks, one environment" in done.stdout
    record = json.loads((cluster.root / "models" / "train.run.json").read_text())
    assert 0.78 < record["metrics"]["accuracy"] < 0.82  # always "stays": 0.73
    assert {*record["outputs"]} == {"models/metrics.json", "models/weights.npy"}
    assert [(each["rank"], each["node"]) for each in record["ranks"]] == [
        (0, "node1"),
        (1, "node2"),
    ]
    assert "numpy" in {package["name"] for package in record["fingerprint"]["packages"]}
    shown = cluster.run("diff", "models/train.run.json", "--ranks")
    assert (shown.returncode, shown.stderr) == (0, "2 ranks on 2 nodes\nno difference\n")


def test_the_exit_code_is_the_rank_s_that_failed_first(cluster: Cluster) -> None:
    done = cluster.run("run", "train", "--on", "cluster", "--", "fail")
    assert done.returncode == 3, done.stdout + done.stderr
    assert "the job ended with exit code 3" in done.stderr


def test_a_rank_that_is_killed_ends_the_job(cluster: Cluster) -> None:
    done = cluster.run("run", "train", "--on", "cluster", "--", "die")
    assert done.returncode == 137, done.stdout + done.stderr
    assert cluster.slurm.ask("squeue", "-h") == ""


def test_ctrl_c_cancels_the_job(cluster: Cluster) -> None:
    running = cluster.start("run", "train", "--on", "cluster", "--", "sleep")
    cluster.wait_for(running, 2)
    running.send_signal(signal.SIGINT)
    _, err = running.communicate(timeout=60)
    assert running.returncode == 130, err
    assert "is cancelled" in err
    assert cluster.slurm.ask("squeue", "-h") == ""


def test_a_job_that_waits_for_ever_is_given_up_with_slurm_s_reason(cluster: Cluster) -> None:
    done = cluster.run("run", "train", "--on", "held", "--max-wait", "3")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "was cancelled: it waited 3 s for: JobHeldUser" in done.stderr
    assert cluster.slurm.ask("squeue", "-h") == ""


def test_a_sweep_is_a_job_for_each_number(cluster: Cluster) -> None:
    done = cluster.run("run", "train", "--on", "sweep", "--", "sweep")
    assert done.returncode == 0, done.stdout + done.stderr
    rates = sorted(line for line in done.stdout.splitlines() if "rate" in line)
    assert rates == [f"[{number}] rate {number}" for number in range(8)]
    results = sorted(path.name for path in (cluster.root / "models").glob("result-*.txt"))
    assert results == [f"result-{number}.txt" for number in range(8)]


def test_nodes_may_share_an_environment_in_place_of_an_image(cluster: Cluster) -> None:
    done = cluster.run("run", "train", "--on", "shared")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("no image") == 2
    assert "2 ranks, one environment" in done.stdout


def test_the_squashfs_of_pyxis_has_an_image_that_starts(cluster: Cluster, tmp_path: Path) -> None:
    done = cluster.run("run", "train", "--on", "squashed", "--dry-run")
    assert done.returncode == 0, done.stderr
    (path,) = (cluster.root / ".lockstitch" / "cluster").rglob("*.sqsh")
    assert '--container-image="$IMAGE"' in done.stdout
    assert path.name in done.stdout
    words = ["unsquashfs", "-quiet", "-no-progress", "-d", tmp_path / "root", path]
    subprocess.run(words, check=True, capture_output=True)
    started = ["ch-run", tmp_path / "root", "--", "/app/.venv/bin/python", "-c"]
    told = subprocess.run(
        [*started, "import numpy; print(numpy.__file__)"],
        env={**os.environ, "USER": "root"},
        check=True,
        capture_output=True,
        text=True,
    )
    assert told.stdout.startswith("/app/.venv/lib/")


def test_what_apptainer_builds_of_has_no_member_of_the_root(
    cluster: Cluster, tmp_path: Path
) -> None:
    done = cluster.run("build", "train")
    assert done.returncode == 0, done.stderr
    layout, archive = cluster.root / ".lockstitch" / "images", tmp_path / "train.tar"
    words = ["tar", "-C", layout, "-cf", archive, "oci-layout", "index.json", "blobs"]
    subprocess.run(words, check=True)
    with tarfile.open(archive) as opened:
        assert {"", ".", "/"}.isdisjoint(name.rstrip("/") for name in opened.getnames())
    told = [
        json.loads(subprocess.check_output(["skopeo", "inspect", f"{place}:train"]))
        for place in (f"oci:{layout}", f"oci-archive:{archive}")
    ]
    assert told[0]["Digest"] == told[1]["Digest"] == done.stdout.split()[-1]
    for layer in told[0]["Layers"]:
        with tarfile.open(layout / "blobs" / layer.replace(":", "/")) as opened:
            assert {"", ".", "/"}.isdisjoint(name.rstrip("/") for name in opened.getnames())
    subprocess.run(["tar", "-xf", archive, "-C", tmp_path], check=True)
    words = ["umoci", "unpack", "--image", f"{tmp_path}:train", tmp_path / "bundle"]
    subprocess.run(words, check=True, capture_output=True)
    assert (tmp_path / "bundle/rootfs/app/train.py").read_text() == TRAIN


def test_the_exported_script_runs_without_lockstitch(cluster: Cluster) -> None:
    done = cluster.run("export", "target", "cluster")
    assert done.returncode == 0, done.stderr
    script = "targets/cluster/train/train.sbatch"
    assert str(cluster.root) not in (cluster.root / script).read_text()
    waited = subprocess.run(
        ["sbatch", "--wait", script],
        cwd=cluster.root,
        env=cluster.environment,
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
    )
    logs = "".join(p.read_text() for p in (cluster.root / "targets").rglob("job-*.log"))
    assert waited.returncode == 0, logs
    assert "accuracy" in logs
    assert cluster.run("export", "target", "cluster", "--check").returncode == 0


def test_what_slurm_refuses_is_said_in_its_words(cluster: Cluster) -> None:
    path = cluster.root / "pyproject.toml"
    text = path.read_text()
    path.write_text(text.replace('options = ["--hold"]', 'options = ["--partition=none"]'))
    try:
        done = cluster.run("run", "train", "--on", "held")
    finally:
        path.write_text(text)
    assert done.returncode == 1
    assert "sbatch refused the job" in done.stderr
    assert "invalid partition" in done.stderr


@pytest.mark.nightly
def test_a_preempted_job_starts_again_with_its_checkpoint(cluster: Cluster) -> None:
    running = cluster.start("run", "train", "--on", "again", "--", "again")
    cluster.wait_for(running, 1)
    number = cluster.slurm.ask("squeue", "-h", "-o", "%i").strip()
    cluster.slurm.ask("scontrol", "requeue", number)
    out, err = running.communicate(timeout=240)  # Slurm lets it wait for two minutes
    assert running.returncode == 0, out + err
    assert "goes on from epoch 7\n" in out
    assert (cluster.root / "models" / "train.run.json").is_file()


@pytest.mark.nightly
def test_a_time_limit_ends_the_job_and_is_named(cluster: Cluster) -> None:
    done = cluster.run("run", "train", "--on", "short", "--", "sleep")
    assert done.returncode != 0
    assert "reached its time limit (00:01:00)" in done.stderr


@pytest.mark.nightly
def test_a_node_that_is_lost_ends_the_job_and_is_named(cluster: Cluster) -> None:
    running = cluster.start("run", "train", "--on", "cluster", "--", "sleep")
    cluster.wait_for(running, 2)
    cluster.slurm.kill_node("node2")
    began = time.monotonic()
    _, err = running.communicate(timeout=120)
    cluster.slurm.start_node("node2")
    assert running.returncode not in {0, None}, err
    assert "lost a node (node[1-2])" in err, err
    assert time.monotonic() - began < 180
