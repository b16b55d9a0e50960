"""A driver on a real Ray cluster of two nodes, whose environments are compared first."""

import json
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import projects
from support.programs import LOCKSTITCH, UV

pytestmark = [pytest.mark.network, pytest.mark.xdist_group("ray")]

PYPROJECT = """\
[project]
name = "rays"
version = "0.1"
requires-python = ">=3.11,<3.12"
dependencies = ["numpy==2.2.6", "ray>=2.50"]

[tool.uv]
package = false

[tool.lockstitch.images.train]
command = ["python", "train.py"]
include = ["train.py"]
outputs = ["models"]

[tool.lockstitch.targets.cluster]
engine = "ray"
address = "127.0.0.1:{port}"
"""
# Each task sums the gradient of its half of the rows.
TRAIN = """\
import json
import numpy as np
import ray

ray.init(log_to_driver=False)

@ray.remote(num_cpus=1, scheduling_strategy="SPREAD")
def gradient(weights, part):
    rows = np.random.default_rng(7).normal(size=(400, 5))[part::2]
    wanted = (rows @ np.array([2.0, -1.0, 0.5, 0.0, 1.5]) > 0).astype(float)
    guess = 1 / (1 + np.exp(-(rows @ weights)))
    correct = float(((guess > 0.5) == wanted).mean())
    return rows.T @ (guess - wanted), correct, ray.get_runtime_context().get_node_id()

weights, nodes = np.zeros(5), set()
for _ in range(20):
    parts = ray.get([gradient.remote(weights, part) for part in range(2)])
    weights -= 0.05 * sum(part[0] for part in parts)
    nodes |= {part[2] for part in parts}
with open("models/metrics.json", "w") as handle:
    json.dump({"accuracy": sum(part[1] for part in parts) / 2, "nodes": len(nodes)}, handle)
"""


def _port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        number: int = probe.getsockname()[1]
        return number


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, int]]:
    port = _port()
    root = projects.write(
        tmp_path_factory.mktemp("ray") / "rays",
        pyproject=PYPROJECT.format(port=port),
        files={"train.py": TRAIN, "models/.keep": ""},
    )
    subprocess.run([LOCKSTITCH, "lock"], cwd=root, check=True, capture_output=True)
    yield root, port
    ray = root / ".lockstitch" / "envs" / "train" / "bin" / "ray"
    if ray.exists():
        subprocess.run([ray, "stop", "--force"], check=False, capture_output=True)
    shutil.rmtree(f"/tmp/r{port}", ignore_errors=True)


def start(environment: Path, *words: str) -> None:
    program = environment / "bin" / "ray"
    more = ["--num-cpus", "1", "--disable-usage-stats"]
    env = {**os.environ, "PATH": f"{program.parent}:{os.environ['PATH']}"}
    done = subprocess.run(
        [program, "start", *words, *more], env=env, check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


def lockstitch(root: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [LOCKSTITCH, *words], cwd=root, check=False, capture_output=True, text=True, timeout=240
    )


def test_the_driver_runs_on_nodes_of_one_environment_and_on_no_others(
    project: tuple[Path, int], tmp_path: Path
) -> None:
    root, port = project
    nobody = lockstitch(root, "run", "train", "--on", "cluster")
    assert nobody.returncode == 1
    assert f"nothing listens at `127.0.0.1:{port}`" in nobody.stderr
    environment = root / ".lockstitch" / "envs" / "train"
    head = (
        "--head",
        "--port",
        str(port),
        "--include-dashboard=false",
        "--temp-dir",
        f"/tmp/r{port}",
    )
    start(environment, *head)
    start(environment, "--address", f"127.0.0.1:{port}")
    done = lockstitch(root, "run", "train", "--on", "cluster")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 nodes, the driver among them, one environment" in done.stderr
    record = json.loads((root / "models" / "train.run.json").read_text())
    assert record["metrics"]["accuracy"] > 0.9
    assert record["metrics"]["nodes"] == 2
    assert [each["rank"] for each in record["ranks"]] == [0, 1, 2]

    # A third node with another numpy: Ray takes it, and its tasks would give other numbers.
    other = tmp_path / "other"
    subprocess.run(
        [UV, "venv", "-q", "--python", environment / "bin" / "python", other], check=True
    )
    listed = lockstitch(root, "export", "requirements", "--image", "train").stdout
    (tmp_path / "r.txt").write_text(listed)
    install = [UV, "pip", "install", "-q", "--python", other / "bin" / "python"]
    subprocess.run([*install, "-r", tmp_path / "r.txt"], check=True)
    subprocess.run([*install, "numpy==1.26.4"], check=True)
    start(other, "--address", f"127.0.0.1:{port}")
    (root / "models" / "train.run.json").unlink()
    refused = lockstitch(root, "run", "train", "--on", "cluster")
    assert refused.returncode == 87, refused.stdout + refused.stderr
    row = next(line for line in refused.stderr.splitlines() if "package.numpy " in line)
    assert row.split()[:2] == ["package.numpy", "2.2.6"]
    assert "1.26.4 (rank" in row
    assert not (root / "models" / "train.run.json").exists()
