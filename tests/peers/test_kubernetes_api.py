"""Manifests and jobs by a real API server and its controllers; the test is the kubelet."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from support import kubernetes, projects
from support.kubernetes import Kubernetes
from support.programs import LOCKSTITCH

HERE = kubernetes.is_here() and shutil.which("openssl") is not None
NEEDS = pytest.mark.skipif(not HERE, reason="needs a control plane's programs: KUBEBUILDER_ASSETS")
pytestmark = [pytest.mark.network, pytest.mark.nightly, NEEDS]

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

[tool.lockstitch.images.plain]
command = ["python", "train.py"]
include = ["train.py"]

[tool.lockstitch.targets.cloud]
engine = "kubernetes"
registry = "{REGISTRY}"
namespace = "cloud"
nodes = 2
gpus-per-node = 1
memory = "512MB"
time = "1-00:30:00"

[tool.lockstitch.targets.one]
engine = "kubernetes"
registry = "{REGISTRY}"
namespace = "one"
"""
VOLUME = """\
apiVersion: v1
kind: PersistentVolume
metadata: {{name: disk-{name}}}
spec:
  capacity: {{storage: 10Gi}}
  accessModes: [ReadWriteOnce, ReadWriteMany]
  hostPath: {{path: /tmp/none}}
---
apiVersion: v1
kind: Namespace
metadata: {{name: {name}}}
"""


@dataclass
class Cluster:
    """A project that is locked, and the cluster that runs it."""

    root: Path
    there: Kubernetes
    space: str = ""
    known: list[str] = field(default_factory=list)

    def start(self, target: str, *words: str, image: str = "train") -> subprocess.Popen[str]:
        self.space = target
        return subprocess.Popen(
            [LOCKSTITCH, "run", image, "--on", target, *words],
            cwd=self.root,
            env={**os.environ, **self.there.variables},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def jobs(self) -> list[dict[str, Any]]:
        """Return the jobs of the target."""
        return self.there.items("job", "-n", self.space)

    def pods(self, count: int) -> list[str]:
        """Return the names of a new job's pods by rank, once so many are on a node."""

        def there() -> list[dict[str, Any]]:
            pods = self.there.items("pod", "-n", self.space)
            here = {job["metadata"]["uid"] for job in self.jobs()}
            pods = [pod["metadata"] | pod for pod in pods]
            pods = [pod for pod in pods if pod["ownerReferences"][0]["uid"] in here]
            pods = [pod for pod in pods if pod["name"] not in self.known]
            return pods if sum("nodeName" in pod["spec"] for pod in pods) == count else []

        def rank(pod: dict[str, Any]) -> str:
            return str(pod.get("annotations", {}).get(INDEX))

        names = [pod["name"] for pod in sorted(self.there.until(there), key=rank)]
        self.known += names  # nothing collects the pods of jobs that were deleted
        return names

    def ends(self, pod: str, code: int) -> None:
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        reason = "Error" if code else "Completed"
        state = {"terminated": {"exitCode": code, "reason": reason, "finishedAt": now}}
        self.there.pod(self.space, pod, "Failed" if code else "Succeeded", state)


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
        for name in ("one", "cloud"):
            there.ask("apply", "-f", "-", stdin=VOLUME.format(name=name))
        yield Cluster(root, there)


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
    running = cluster.start("one", "--max-wait", "4")
    _, err = running.communicate(timeout=120)
    assert running.returncode == 1
    assert "was deleted: it waited 4 s for: Unschedulable: no nodes available" in err
    assert cluster.jobs() == []


def test_a_job_runs_to_its_end(cluster: Cluster) -> None:
    # No kubelet gives what a volume has: the image has no outputs.
    with cluster.there.node(log="epoch 1\nepoch 2\n"):
        running = cluster.start("one", image="plain")
        (pod,) = cluster.pods(1)
        cluster.there.pod(cluster.space, pod, "Running", {"running": {}})
        assert running.stdout is not None
        assert [running.stdout.readline() for _ in range(2)] == ["epoch 1\n", "epoch 2\n"]
        cluster.ends(pod, 0)
        out, err = running.communicate(timeout=120)
    assert running.returncode == 0, out + err


def test_the_code_of_the_rank_that_failed_is_the_jobs(cluster: Cluster) -> None:
    with cluster.there.node():
        running = cluster.start("cloud")
        first, second = cluster.pods(2)
        for pod in (first, second):
            cluster.there.pod(cluster.space, pod, "Running", {"running": {}})
        cluster.ends(second, 5)
        # The controller ends the other ranks, and waits for their kubelets.
        conditions = "jsonpath={.items[0].status.conditions[*].type}"
        words = ("get", "job", "-n", cluster.space, "-o", conditions)
        cluster.there.until(lambda: "FailureTarget" in cluster.there.ask(*words))
        time.sleep(1)
        cluster.ends(first, 143)
        out, err = running.communicate(timeout=120)
    assert running.returncode == 5, out + err
    assert "BackoffLimitExceeded" in err


def test_an_image_that_cannot_be_pulled_ends_it(cluster: Cluster) -> None:
    with cluster.there.node():
        running = cluster.start("one")
        (pod,) = cluster.pods(1)
        waits = {"waiting": {"reason": "ErrImagePull", "message": "no such manifest"}}
        cluster.there.pod(cluster.space, pod, "Pending", waits)
        _, err = running.communicate(timeout=120)
    assert running.returncode == 1
    assert "cannot begin: ErrImagePull: no such manifest" in err
    assert cluster.jobs() == []


def test_ctrl_c_deletes_the_job(cluster: Cluster) -> None:
    with cluster.there.node(log="epoch 1\n"):
        running = cluster.start("one")
        (pod,) = cluster.pods(1)
        cluster.there.pod(cluster.space, pod, "Running", {"running": {}})
        assert running.stdout is not None
        assert running.stdout.readline() == "epoch 1\n"
        running.send_signal(signal.SIGINT)
        _, err = running.communicate(timeout=120)
    assert running.returncode == 130, err
    assert "is deleted" in err
    assert cluster.jobs() == []
