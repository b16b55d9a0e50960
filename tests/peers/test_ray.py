"""Programs on a real Ray of two nodes: as its driver from here, and as a job of the cluster.

Ray Train, Ray Serve, Ray Client and a project that is a package are of the nightly tests.
"""

import json
import os
import re
import signal
import subprocess
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from support import projects, ray
from support.programs import LOCKSTITCH, UV
from support.ray import Ray

pytestmark = [pytest.mark.network, pytest.mark.xdist_group("ray")]

PYPROJECT = """\
[project]
name = "rays"
version = "0.1"
requires-python = ">=3.11,<3.12"
dependencies = ["numpy==2.2.6"]

[dependency-groups]
ray = ["ray[default,train,serve]>=2.50"]

[tool.uv]
package = false

[tool.lockstitch.images.train]
command = ["python", "train.py"]
include = ["train.py"]
outputs = ["models"]
groups = ["ray"]
env = {{ DATA = "/app/data" }}

[tool.lockstitch.images.fit]
command = ["python", "fit.py"]
include = ["fit.py"]
outputs = ["models"]
groups = ["ray"]

[tool.lockstitch.images.api]
command = ["python", "api.py"]
include = ["api.py", "models/weights.npy"]
groups = ["ray"]
port = {serve}
health = "/"

[tool.lockstitch.targets.driver]
engine = "ray"
address = "127.0.0.1:{port}"

[tool.lockstitch.targets.jobs]
engine = "ray"
address = "http://127.0.0.1:{dashboard}"

[tool.lockstitch.targets.client]
engine = "ray"
address = "ray://127.0.0.1:{client}"

[tool.lockstitch.targets.large]
engine = "ray"
address = "http://127.0.0.1:{dashboard}"
cpus-per-task = 64
"""
# Each task sums the gradient of its half of the rows.
TRAIN = """\
import json, os, sys, time
import numpy as np
import ray

what = sys.argv[1] if len(sys.argv) > 1 else ""
if what == "fail":
    sys.exit(3)
if what == "sleep":
    print("asleep", flush=True)
    time.sleep(300)
ray.init(log_to_driver=False, logging_level="ERROR")
if what == "lose":
    def nap(path):
        open(path, "w").close()  # on one machine
        time.sleep(300)

    # A task whose worker only begins on a node that dies is not lost: another node gets it.
    begun = [os.path.abspath(name) for name in ("first", "second")]
    parts = [ray.remote(num_cpus=1, max_retries=0)(nap).remote(path) for path in begun]
    while not all(map(os.path.exists, begun)):
        time.sleep(0.2)
    print("both work", flush=True)
    ray.get(parts)

@ray.remote(num_cpus=1, scheduling_strategy="SPREAD")
def gradient(weights, part, pause):
    rows = np.random.default_rng(7).normal(size=(400, 5))[part::2]
    wanted = (rows @ np.array([2.0, -1.0, 0.5, 0.0, 1.5]) > 0).astype(float)
    guess = 1 / (1 + np.exp(-(rows @ weights)))
    correct = float(((guess > 0.5) == wanted).mean())
    time.sleep(pause)
    return rows.T @ (guess - wanted), correct, ray.get_runtime_context().get_node_id()

weights, nodes = np.zeros(5), set()
for step in range(20):
    # A node has one processor: what the first takes a while for goes to both.
    pause = 0.5 if what else 0 if step else 2
    parts = ray.get([gradient.remote(weights, part, pause) for part in range(2)])
    weights -= 0.05 * sum(part[0] for part in parts)
    nodes |= {part[2] for part in parts}
    print("step", step, flush=True)
with open("models/metrics.json", "w") as handle:
    accuracy = sum(part[1] for part in parts) / 2
    json.dump({"accuracy": accuracy, "nodes": len(nodes), "data": os.environ["DATA"]}, handle)
"""
# Ray Train: a worker has half of the rows, and an actor adds up their gradients.
FIT = """\
import asyncio, json, os, tempfile
import numpy as np
import ray
import ray.train
from ray.train import Checkpoint, RunConfig, ScalingConfig
from ray.train.v2.api.data_parallel_trainer import DataParallelTrainer

@ray.remote(num_cpus=0)
class Sum:
    def __init__(self, size):
        self.size, self.parts, self.changed = size, {}, asyncio.Condition()

    async def add(self, step, part):
        async with self.changed:
            parts = self.parts.setdefault(step, [])
            parts.append(part)
            self.changed.notify_all()
            await self.changed.wait_for(lambda: len(parts) == self.size)
            return sum(parts[1:], parts[0])

def work(settings):
    context = ray.train.get_context()
    rank, size = context.get_world_rank(), context.get_world_size()
    rows = np.random.default_rng(7).normal(size=(400, 5))[rank::size]
    wanted = (rows @ np.array([2.0, -1.0, 0.5, 0.0, 1.5]) > 0).astype(float)
    weights = np.zeros(5)
    for step in range(20):
        gradient = rows.T @ (1 / (1 + np.exp(-(rows @ weights))) - wanted)
        weights -= 0.05 * ray.get(settings["sum"].add.remote(step, gradient))
    node = ray.get_runtime_context().get_node_id()
    nodes = ray.get(settings["nodes"].add.remote(0, [node]))
    metrics = {"accuracy": float(((rows @ weights > 0) == wanted).mean()), "nodes": len({*nodes})}
    with tempfile.TemporaryDirectory() as folder:
        np.save(os.path.join(folder, "weights.npy"), weights)
        ray.train.report(metrics, checkpoint=Checkpoint(folder) if rank == 0 else None)

ray.init(log_to_driver=False, logging_level="ERROR")
result = DataParallelTrainer(
    work,
    train_loop_config={"sum": Sum.remote(2), "nodes": Sum.remote(2)},
    scaling_config=ScalingConfig(num_workers=2, resources_per_worker={"CPU": 1}),
    run_config=RunConfig(storage_path=tempfile.mkdtemp(), name="fit"),
).fit()
with result.checkpoint.as_directory() as folder:
    np.save("models/weights.npy", np.load(os.path.join(folder, "weights.npy")))
with open("models/metrics.json", "w") as handle:
    json.dump(result.metrics, handle)
"""
API = """\
import time
import numpy as np
import ray
from ray import serve

@serve.deployment(num_replicas=2, max_replicas_per_node=1, ray_actor_options={{"num_cpus": 0.5}})
class Model:
    def __init__(self, weights):
        self.weights = weights

    async def __call__(self, request):
        return {{"churns": [bool(v) for v in np.array(await request.json()) @ self.weights > 0]}}

ray.init(log_to_driver=False, logging_level="ERROR")
serve.start(proxy_location="HeadOnly", http_options={{"port": {serve}}})
serve.run(Model.bind(np.load("models/weights.npy")))
print("serves", flush=True)
while True:
    time.sleep(1)
"""


@dataclass
class Cluster:
    """A project that is locked, and the cluster that runs it."""

    root: Path
    ray: Ray
    serve: int  # the port of Ray Serve

    @property
    def environment(self) -> Path:
        return self.root / ".lockstitch" / "envs" / "train"

    @property
    def record(self) -> Path:
        return self.root / "models" / "train.run.json"

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        return lockstitch(self.root, *words, **self.ray.variables)

    def start(self, *words: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [LOCKSTITCH, *words],
            cwd=self.root,
            env={**os.environ, **self.ray.variables},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )


def lockstitch(root: Path, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [LOCKSTITCH, *words],
        cwd=root,
        env={**os.environ, **more},
        check=False,
        capture_output=True,
        text=True,
        timeout=240,
    )


def wait_for(running: subprocess.Popen[str], wanted: str) -> None:
    """Read a program's lines until one begins so."""
    assert running.stdout is not None
    for line in running.stdout:
        if line.startswith(wanted):
            return
    raise AssertionError(running.communicate())


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    port, dashboard, client, serve = (ray.free_port() for _ in range(4))
    text = PYPROJECT.format(port=port, dashboard=dashboard, client=client, serve=serve)
    root = projects.write(
        tmp_path_factory.mktemp("ray") / "rays",
        pyproject=text,
        files={"train.py": TRAIN, "fit.py": FIT, "api.py": API.format(serve=serve)},
    )
    subprocess.run([LOCKSTITCH, "lock"], cwd=root, check=True, capture_output=True)
    nobody = lockstitch(root, "run", "train", "--on", "driver")
    assert nobody.returncode == 1
    assert f"nothing listens at `127.0.0.1:{port}`" in nobody.stderr
    environment = root / ".lockstitch" / "envs" / "train"
    with ray.running(environment, port, dashboard, client) as there:
        yield Cluster(root, there, serve)


def is_trained(root: Path, image: str = "train", *, nodes: int = 2) -> dict[str, object]:
    """Check what a training left, take it away, and return its run record."""
    path = root / "models" / f"{image}.run.json"
    record: dict[str, object] = json.loads(path.read_text())
    metrics = json.loads((root / "models" / "metrics.json").read_text())
    assert record["metrics"] == metrics
    assert metrics["accuracy"] > 0.9
    assert metrics["nodes"] == nodes
    more = ["models/weights.npy"] if image == "fit" else []
    assert list(record["outputs"]) == ["models/metrics.json", *more]
    path.unlink()
    (root / "models" / "metrics.json").unlink()
    return record


def test_a_driver_here_uses_both_nodes(cluster: Cluster) -> None:
    done = cluster.run("run", "train", "--on", "driver")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 nodes, the driver among them, one environment" in done.stderr
    record = is_trained(cluster.root)
    assert [each["rank"] for each in record["ranks"]] == [0, 1, 2]


def test_a_job_brings_its_log_its_outputs_and_a_record(cluster: Cluster) -> None:
    done = cluster.run("run", "train", "--on", "jobs")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 nodes, the submitter among them, one environment" in done.stdout
    assert "step 19\n" in done.stdout
    data = json.loads((cluster.root / "models" / "metrics.json").read_text())["data"]
    assert data.startswith(str(cluster.ray.folder)), "the job's copy of the folder"
    assert data.endswith("/data")
    record = is_trained(cluster.root)
    assert record["ranks"][0]["node"] == "submitter"
    assert "numpy" in {package["name"] for package in record["fingerprint"]["packages"]}


def test_the_exit_code_of_a_job_is_the_programs(cluster: Cluster) -> None:
    done = cluster.run("run", "train", "--on", "jobs", "--", "fail")
    assert done.returncode == 3, done.stdout + done.stderr
    assert "no run record is written" in done.stderr
    assert not cluster.record.exists()


def test_ctrl_c_stops_the_job(cluster: Cluster) -> None:
    running = cluster.start("run", "train", "--on", "jobs", "--", "sleep")
    wait_for(running, "asleep")
    running.send_signal(signal.SIGINT)
    _, err = running.communicate(timeout=60)
    assert running.returncode == 130, err
    assert "is stopped" in err
    jobs = [job for job in cluster.ray.ask("/api/jobs/") if job["type"] == "SUBMISSION"]
    newest = max(jobs, key=lambda job: job["start_time"])
    assert newest["status"] == "STOPPED"


def test_a_job_that_no_node_can_take_is_given_up(cluster: Cluster) -> None:
    done = cluster.run("run", "train", "--on", "large", "--max-wait", "4")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "was stopped: it waited 4 s for: " in done.stderr


def test_a_node_that_dies_ends_a_job_that_may_not_try_again(cluster: Cluster) -> None:
    running = cluster.start("run", "train", "--on", "jobs", "--", "lose")
    wait_for(running, "both work")
    cluster.ray.kill("second")
    out, err = running.communicate(timeout=240)
    cluster.ray.join(cluster.environment, "second")
    assert running.returncode == 1, out + err
    assert re.search("NodeDied|WorkerCrashed", out), out
    assert "no run record is written" in err


@pytest.mark.nightly
def test_a_driver_by_ray_client_uses_both_nodes(cluster: Cluster) -> None:
    for _ in range(3):
        done = cluster.run("run", "train", "--on", "client")
        # Ray forks its server for a client beside threads of gRPC, and some never start.
        if "Starting Ray client server failed" not in done.stderr:
            break
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 nodes, the driver among them, one environment" in done.stderr
    is_trained(cluster.root)


@pytest.mark.nightly
def test_the_code_of_a_package_goes_with_its_job(cluster: Cluster) -> None:
    # Its tasks import it on both nodes, which have no wheel of it.
    build = '[build-system]\nrequires = ["hatchling"]\nbuild-backend = "hatchling.build"\n'
    text = (cluster.root / "pyproject.toml").read_text()
    parts = TRAIN.partition("@ray.remote(num_cpus=1, scheduling_strategy")
    task = "@" + parts[1][1:] + parts[2].partition("weights, nodes =")[0]
    own = "import time\nimport numpy as np\nimport ray\n\n" + task
    root = projects.write(
        cluster.root.parent / "packaged",
        pyproject=text.replace("[tool.uv]\npackage = false\n", build),
        files={
            "src/rays/__init__.py": own,
            "train.py": TRAIN.replace(task, "from rays import gradient\n"),
            "fit.py": FIT,
            "api.py": API.format(serve=cluster.serve),
            "README.md": "",
        },
    )
    locked = lockstitch(root, "lock")
    assert locked.returncode == 0, locked.stderr
    done = lockstitch(root, "run", "train", "--on", "jobs", **cluster.ray.variables)
    assert done.returncode == 0, done.stdout + done.stderr
    is_trained(root)


@pytest.mark.nightly
def test_ray_train_fits_on_both_nodes_and_ray_serve_answers(cluster: Cluster) -> None:
    done = cluster.run("run", "fit", "--on", "jobs")
    assert done.returncode == 0, done.stdout + done.stderr
    is_trained(cluster.root, "fit")
    assert (cluster.root / "models" / "weights.npy").is_file()
    for target in ("driver", "jobs"):
        running = cluster.start("run", "api", "--on", target)
        wait_for(running, "serves")
        rows = json.dumps([[1, 0, 0, 0, 0], [-1, 0, 0, 0, 0]]).encode()
        with urllib.request.urlopen(f"http://127.0.0.1:{cluster.serve}/", rows) as answer:
            assert json.load(answer) == {"churns": [True, False]}
        known = cluster.ray.ask("/api/serve/applications/")["applications"]["default"]
        replicas = known["deployments"]["Model"]["replicas"]
        assert {replica["state"] for replica in replicas} == {"RUNNING"}
        assert len({replica["node_id"] for replica in replicas}) == 2
        running.send_signal(signal.SIGINT)
        _, err = running.communicate(timeout=60)
        assert running.returncode == 130, err
    # Ray Serve keeps its replicas, and the processors that they have, when its driver ends.
    address = f"http://127.0.0.1:{cluster.ray.dashboard}"
    serve = [cluster.environment / "bin" / "serve", "shutdown", "-y", "--address", address]
    subprocess.run(serve, env={**os.environ, **cluster.ray.variables}, check=True)


@pytest.mark.nightly
def test_tasks_of_a_node_that_dies_are_tried_again(cluster: Cluster) -> None:
    running = cluster.start("run", "train", "--on", "jobs", "--", "slowly")
    wait_for(running, "step 1")
    cluster.ray.kill("second")
    out, err = running.communicate(timeout=240)
    cluster.ray.join(cluster.environment, "second")
    assert running.returncode == 0, out + err
    is_trained(cluster.root)


def test_a_node_of_another_environment_is_refused(cluster: Cluster, tmp_path: Path) -> None:
    # Ray takes it, and its tasks would give other numbers.
    other = tmp_path / "other"
    subprocess.run(
        [UV, "venv", "-q", "--python", cluster.environment / "bin" / "python", other], check=True
    )
    listed = cluster.run("export", "requirements", "--image", "train").stdout
    (tmp_path / "r.txt").write_text(listed)
    install = [UV, "pip", "install", "-q", "--python", other / "bin" / "python"]
    subprocess.run([*install, "-r", tmp_path / "r.txt"], check=True)
    subprocess.run([*install, "numpy==2.1.3"], check=True)
    cluster.ray.join(other, "third")
    try:
        for target in ("driver", "jobs"):
            refused = cluster.run("run", "train", "--on", target)
            assert refused.returncode == 87, refused.stdout + refused.stderr
            shown = (refused.stdout + refused.stderr).splitlines()
            row = next(line for line in shown if "package.numpy " in line)
            assert row.split()[:2] == ["package.numpy", "2.2.6"]
            assert "2.1.3 (rank" in row
            assert not cluster.record.exists()
    finally:
        cluster.ray.kill("third")
