"""Manifests and jobs by a real API server and its controllers; the test is the kubelet."""

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from support import kubernetes, projects
from support.kubernetes import Kubernetes
from support.programs import LOCKSTITCH

pytestmark = [
    pytest.mark.network,
    pytest.mark.nightly,
    pytest.mark.skipif(
        not kubernetes.is_here() or not shutil.which("openssl"),
        reason="KUBEBUILDER_ASSETS names no folder with the programs of a control plane",
    ),
]

SPACE = "ml"
INDEX = "batch.kubernetes.io/job-completion-index"
REGISTRY = "registry.example.com/team/demo"
PYPROJECT = f"""\
[project]
name = "demo"
version = "0.1"
requires-python = ">=3.11,<3.12"

[tool.uv]
package = false

[tool.lockstitch.images.serve]
command = ["python", "serve.py"]
include = ["serve.py"]
outputs = ["cache"]
port = 8000
health = "/health"

[tool.lockstitch.images.train]
command = ["python", "train.py"]
include = ["train.py"]
outputs = ["models"]

[tool.lockstitch.targets.cloud]
engine = "kubernetes"
registry = "{REGISTRY}"
namespace = "{SPACE}"
nodes = 2
gpus-per-node = 1
memory = "512MB"
time = "1-00:30:00"

[tool.lockstitch.targets.one]
engine = "kubernetes"
registry = "{REGISTRY}"
namespace = "{SPACE}"
"""
VOLUME = """\
{apiVersion: v1, kind: PersistentVolume, metadata: {name: disk}, spec: {capacity: {storage: 10Gi},
  accessModes: [ReadWriteOnce, ReadWriteMany], hostPath: {path: /tmp/none},
  persistentVolumeReclaimPolicy: Retain}}
"""


@dataclass
class Cluster:
    """A project that is locked, and the cluster that runs it."""

    root: Path
    there: Kubernetes

    def start(self, *words: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [LOCKSTITCH, "run", "train", *words],
            cwd=self.root,
            env={**os.environ, **self.there.variables},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def job(self) -> dict[str, Any]:
        """Return the job, once it is there."""
        found: dict[str, Any] = self.there.until(lambda: self.there.items("job", "-n", SPACE))[0]
        return found

    def pods(self, count: int) -> list[str]:
        """Return the names of the job's pods by rank, once so many are on a node."""
        uid = self.job()["metadata"]["uid"]

        def there() -> list[dict[str, Any]]:
            pods = self.there.items("pod", "-n", SPACE, "-l", f"controller-uid={uid}")
            return pods if sum("nodeName" in pod["spec"] for pod in pods) == count else []

        def rank(pod: dict[str, Any]) -> str:
            return str(
                pod["metadata"]["annotations"].get("batch.kubernetes.io/job-completion-index")
            )

        return [pod["metadata"]["name"] for pod in sorted(self.there.until(there), key=rank)]

    def ends(self, pod: str, code: int) -> None:
        state = {"terminated": {"exitCode": code, "reason": "Error" if code else "Completed"}}
        self.there.pod(SPACE, pod, "Failed" if code else "Succeeded", state)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    root = projects.write(
        tmp_path_factory.mktemp("kubernetes") / "demo",
        pyproject=PYPROJECT,
        files={"serve.py": "print('serves')\n", "train.py": "print('trained')\n"},
    )
    for words in (["lock"], ["export", "target", "cloud"], ["export", "target", "one"]):
        subprocess.run([LOCKSTITCH, *words], cwd=root, check=True, capture_output=True)
    with kubernetes.running(tmp_path_factory.mktemp("plane")) as there:
        there.ask("create", "namespace", SPACE)
        there.ask("apply", "-f", "-", stdin=VOLUME)
        yield Cluster(root, there)
        there.ask("delete", "job", "--all", "-n", SPACE, "--wait=false")


@pytest.mark.parametrize("place", ["cloud/serve", "cloud/train", "one/serve", "one/train"])
def test_the_server_accepts_each_manifest(cluster: Cluster, place: str, tmp_path: Path) -> None:
    words = ("apply", "--dry-run=server", "--validate=strict", "-k")
    folder = cluster.root / "targets" / place
    answer = cluster.there.ask(*words, str(folder))
    assert answer.count("(server dry run)") == len([*folder.glob("*.yaml")]) - 1
    copy = shutil.copytree(folder, tmp_path / "planted")
    path = next(each for each in (copy / "deployment.yaml", copy / "job.yaml") if each.exists())
    path.write_text(path.read_text().replace("runAsNonRoot", "runAsNoRoot"))
    assert "runAsNoRoot" in cluster.there.ask(*words, str(copy), code=1)


def test_a_job_that_no_node_takes_is_given_up(cluster: Cluster) -> None:
    running = cluster.start("--on", "one", "--max-wait", "4")
    _, err = running.communicate(timeout=120)
    assert running.returncode == 1
    assert "was deleted: it waited 4 s for: Unschedulable: no nodes available" in err
    assert cluster.there.items("job", "-n", SPACE) == []


def test_a_job_runs_to_its_end(cluster: Cluster) -> None:
    with cluster.there.node(log="epoch 1\nepoch 2\n"):
        running = cluster.start("--on", "one")
        (pod,) = cluster.pods(1)
        cluster.there.pod(SPACE, pod, "Running", {"running": {}})
        assert running.stdout is not None
        assert [running.stdout.readline() for _ in range(2)] == ["epoch 1\n", "epoch 2\n"]
        cluster.ends(pod, 0)
        out, err = running.communicate(timeout=120)
    assert running.returncode == 0, out + err
    assert "outputs are in the volume `demo-train-outputs`" in err


def test_the_code_of_the_rank_that_failed_is_the_jobs(cluster: Cluster) -> None:
    with cluster.there.node():
        running = cluster.start("--on", "cloud")
        first, second = cluster.pods(2)
        for pod in (first, second):
            cluster.there.pod(SPACE, pod, "Running", {"running": {}})
        cluster.ends(second, 5)
        out, err = running.communicate(timeout=120)
    assert running.returncode == 5, out + err
    assert "BackoffLimitExceeded" in err


def test_an_image_that_cannot_be_pulled_ends_it(cluster: Cluster) -> None:
    with cluster.there.node():
        running = cluster.start("--on", "one")
        (pod,) = cluster.pods(1)
        waits = {"waiting": {"reason": "ErrImagePull", "message": "no such manifest"}}
        cluster.there.pod(SPACE, pod, "Pending", waits)
        _, err = running.communicate(timeout=120)
    assert running.returncode == 1
    assert "cannot begin: ErrImagePull: no such manifest" in err
    assert cluster.there.items("job", "-n", SPACE) == []


def test_ctrl_c_deletes_the_job(cluster: Cluster) -> None:
    with cluster.there.node(log="epoch 1\n"):
        running = cluster.start("--on", "one")
        (pod,) = cluster.pods(1)
        cluster.there.pod(SPACE, pod, "Running", {"running": {}})
        assert running.stdout is not None
        assert running.stdout.readline() == "epoch 1\n"
        running.send_signal(signal.SIGINT)
        _, err = running.communicate(timeout=120)
    assert running.returncode == 130, err
    assert "is deleted" in err
    assert cluster.there.items("job", "-n", SPACE) == []
