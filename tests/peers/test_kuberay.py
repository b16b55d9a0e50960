"""An image that KubeRay can start: what its operator types, typed here in Charliecloud.

The commands are those of KubeRay 1.7 (ray-operator/controllers/ray/common/pod.go and job.go); no
operator runs. The image is read-only, has its own user and variables, and a /tmp of its own.
"""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml
from support import projects
from support.programs import LOCKSTITCH
from support.ray import free_port

pytestmark = [
    pytest.mark.network,
    pytest.mark.nightly,
    pytest.mark.xdist_group("ray"),
    pytest.mark.skipif(not shutil.which("ch-run"), reason="needs charliecloud"),
]

SERVE = free_port()
PYPROJECT = f"""\
[project]
name = "rays"
version = "0.1"
requires-python = ">=3.11,<3.12"
dependencies = ["ray[default,serve]>=2.50"]

[tool.uv]
package = false

[tool.lockstitch.base]
packages = ["bash", "coreutils", "dash", "grep", "wget"]

[tool.lockstitch.images.serve]
command = ["serve", "run", "api:application"]
include = ["api.py"]
port = {SERVE}
bytecode = false

[tool.lockstitch.images.train]
command = ["python", "train.py"]
include = ["api.py", "train.py"]
outputs = ["models"]
bytecode = false

[tool.lockstitch.targets.rays]
engine = "kubernetes"
operator = "kuberay"
registry = "registry.example.com/team/rays"

[tool.lockstitch.targets.unpacked]
engine = "slurm"
runtime = "charliecloud"
"""
API = """\
from ray import serve

@serve.deployment(ray_actor_options={"num_cpus": 0.2})
class Model:
    async def __call__(self, request):
        return {"double": 2 * (await request.json())["value"]}

application = Model.bind()
"""
TRAIN = """\
import os
import ray

ray.init(runtime_env={"env_vars": {"DATA": "set"}})  # Ray starts such a task by bash

@ray.remote(num_cpus=1, scheduling_strategy="SPREAD")
def task():
    import time
    time.sleep(3)
    return os.environ["DATA"], ray.get_runtime_context().get_node_id()

answers = ray.get([task.remote() for _ in range(2)])
assert {answer[0] for answer in answers} == {"set"}
with open("models/nodes.txt", "w") as handle:
    handle.write(str(len({answer[1] for answer in answers})))
"""


@dataclass
class Pods:
    """Containers of one image, as the pods of a RayCluster are."""

    root: Path
    models: Path
    variables: list[str]
    started: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def words(self, tmp: Path) -> list[str]:
        tmp.mkdir(exist_ok=True)
        own = ["--unset-env=*", *(f"--set-env={variable}" for variable in self.variables)]
        binds = [f"--bind={tmp}:/tmp", f"--bind={self.models}:/app/models"]
        return ["ch-run", *own, *binds, "--uid=65532", "--gid=65532", "--cd=/app", str(self.root)]

    def start(self, tmp: Path, text: str) -> None:
        with (tmp.with_suffix(".log")).open("wb") as log:
            words = [*self.words(tmp), "--", "/bin/bash", "-c", "--", text]
            self.started.append(
                subprocess.Popen(words, stdout=log, stderr=log, start_new_session=True)
            )

    def call(self, tmp: Path, text: str) -> subprocess.CompletedProcess[str]:
        words = [*self.words(tmp), "--", "/bin/bash", "-c", "--", text]
        return subprocess.run(words, check=False, capture_output=True, text=True, timeout=240)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = projects.write(
        tmp_path_factory.mktemp("kuberay") / "rays",
        pyproject=PYPROJECT,
        files={"api.py": API, "train.py": TRAIN},
    )
    for words in (
        ("lock",),
        ("export", "target", "rays"),
        ("run", "train", "--on", "unpacked", "--dry-run"),
    ):
        done = subprocess.run(
            [LOCKSTITCH, *words], cwd=root, check=False, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
    return root


@pytest.fixture
def pods(project: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Pods]:
    monkeypatch.setenv("USER", "root")  # ch-run wants it
    (image,) = (project / ".lockstitch" / "cluster" / "trial" / "images").glob("*/root")
    models = project / "models"
    models.mkdir(exist_ok=True)
    models.chmod(0o777)
    variables = ["PATH=/app/.venv/bin:/usr/local/bin:/usr/bin:/bin", "RAY_USAGE_STATS_ENABLED=0"]
    pods = Pods(image, models, variables)
    yield pods
    for started in pods.started:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(started.pid, signal.SIGKILL)
        started.wait()


def documents(project: Path, name: str) -> dict[str, Any]:
    text = (project / "targets" / "rays" / name).read_text()
    document: dict[str, Any] = yaml.safe_load(text)
    return document


def test_what_kuberay_types_works_in_the_image(project: Path, pods: Pods) -> None:
    job, service = (
        documents(project, "train/ray-job.yaml"),
        documents(project, "serve/ray-service.yaml"),
    )
    gcs, dashboard, agent, other = (free_port() for _ in range(4))
    with tempfile.TemporaryDirectory(prefix="kr", ignore_cleanup_errors=True) as folder:
        head, worker = Path(folder, "head"), Path(folder, "worker")
        params = {
            **job["spec"]["rayClusterSpec"]["headGroupSpec"]["rayStartParams"],
            "port": gcs,
            "dashboard-port": dashboard,
            "dashboard-agent-listen-port": agent,
            "num-cpus": 1,
        }
        given = " ".join(f"--{name}={value}" for name, value in params.items())
        limit = "ulimit -n ${RAY_START_ULIMIT_OPEN_FILES:-1024}"
        pods.start(head, f"{limit}; ray start --head {given} --block")
        probe = (
            f"wget --tries 1 -T 2 -q -O- http://localhost:{agent}/api/local_raylet_healthz "
            f"| grep success && wget --tries 1 -T 10 -q -O- "
            f"http://localhost:{dashboard}/api/gcs_healthz | grep success"
        )
        until = time.monotonic() + 180
        while pods.call(head, probe).returncode != 0:
            assert time.monotonic() < until, head.with_suffix(".log").read_text()
            time.sleep(1)
        # The init container of a worker, then the worker.
        waits = f"""
            SECONDS=0
            while true; do
                if (( SECONDS <= 120 )); then
                    if ray health-check --address 127.0.0.1:{gcs} > /dev/null 2>&1; then
                        echo "GCS is ready."
                        break
                    fi
                    echo "$SECONDS seconds elapsed: Waiting for GCS to be ready."
                fi
                sleep 5
            done
        """
        assert "GCS is ready." in pods.call(worker, waits).stdout
        own = f"--address=127.0.0.1:{gcs} --dashboard-agent-listen-port={other} --num-cpus=1"
        pods.start(worker, f"{limit}; ray start {own} --block")
        address = f"http://127.0.0.1:{dashboard}"
        submit = f"ray job submit --address {address} -- {job['spec']['entrypoint']}"
        count = f"ray list nodes --address {address} | grep -c ALIVE"
        while pods.call(head, count).stdout.strip() != "2":
            assert time.monotonic() < until + 120, worker.with_suffix(".log").read_text()
            time.sleep(1)
        done = pods.call(head, submit)
        assert done.returncode == 0, done.stdout + done.stderr
        assert (pods.models / "nodes.txt").read_text() == "2"
        # A RayService's operator gives the dashboard the configuration of Ray Serve.
        config = yaml.safe_load(service["spec"]["serveConfigV2"])
        config["proxy_location"] = "HeadOnly"  # of two nodes on one machine
        request = urllib.request.Request(
            f"{address}/api/serve/applications/",
            json.dumps(config).encode(),
            {"Content-Type": "application/json"},
            method="PUT",
        )
        urllib.request.urlopen(request, timeout=60).close()
        url = f"http://127.0.0.1:{config['http_options']['port']}/"
        while True:
            try:
                with urllib.request.urlopen(url, b'{"value": 21}', timeout=30) as answer:
                    assert json.load(answer) == {"double": 42}
                    break
            except OSError:
                assert time.monotonic() < until + 300
                time.sleep(1)
