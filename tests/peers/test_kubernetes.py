"""Manifests: valid by the published schemas of Kubernetes, and played as pods by Podman."""

import json
import os
import shutil
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from support import projects
from support.programs import LOCKSTITCH, UV

pytestmark = pytest.mark.network

VALIDATE = "kubernetes-validate==1.37.0"
PORT = 8123
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
port = {PORT}
health = "/health"

[tool.lockstitch.images.train]
command = ["python", "train.py"]
include = ["train.py"]
outputs = ["models"]

[tool.lockstitch.targets.cloud]
engine = "kubernetes"
registry = "registry.example.com/team/demo"
namespace = "ml"
nodes = 2
gpus-per-node = 1
memory = "512MB"
time = "1-00:30:00"
"""
SERVE = f"""\
import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/end":
            os._exit(1)
        text = os.environ["LOCKSTITCH_IMAGE"] if self.path == "/image" else "well"
        self.send_response(200)
        self.end_headers()
        self.wfile.write(text.encode())

print("start", flush=True)
ThreadingHTTPServer(("0.0.0.0", {PORT}), Handler).serve_forever()
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = projects.write(
        tmp_path_factory.mktemp("kubernetes") / "demo",
        pyproject=PYPROJECT,
        files={"serve.py": SERVE, "train.py": "print('trained')\n"},
    )
    for words in (["lock"], ["export", "target", "cloud"]):
        subprocess.run([LOCKSTITCH, *words], cwd=root, check=True, capture_output=True)
    return root


def files(root: Path) -> list[Path]:
    return sorted((root / "targets" / "cloud").rglob("*.yaml"))


@pytest.mark.parametrize("version", [f"1.{minor}" for minor in range(26, 38)])
def test_each_manifest_fits_the_schema_of_kubernetes(
    project: Path, version: str, tmp_path: Path
) -> None:
    manifests = [path for path in files(project) if path.name != "kustomization.yaml"]
    assert len(manifests) == 8
    words = [UV, "tool", "run", "--from", VALIDATE, "kubernetes-validate", "--strict"]
    checked = subprocess.run(
        [*words, "-k", version, *manifests], check=False, capture_output=True, text=True
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
    planted = tmp_path / "deployment.yaml"
    text = (project / "targets/cloud/serve/deployment.yaml").read_text()
    planted.write_text(text.replace("readinessProbe", "readynessProbe"))
    wrong = subprocess.run(
        [*words, "-k", version, planted], check=False, capture_output=True, text=True
    )
    assert wrong.returncode != 0
    assert "readynessProbe" in wrong.stdout + wrong.stderr


def test_a_server_is_named_by_digest_and_runs_as_the_image_s_user(project: Path) -> None:
    index = json.loads((project / ".lockstitch" / "images" / "index.json").read_text())
    names = {
        each["annotations"]["org.opencontainers.image.ref.name"]: each["digest"]
        for each in index["manifests"]
        if "annotations" in each
    }
    text = (project / "targets/cloud/serve/deployment.yaml").read_text()
    pod = yaml.safe_load(text)["spec"]["template"]["spec"]
    container = pod["containers"][0]
    assert container["image"] == f"registry.example.com/team/demo@{names['serve']}"
    assert pod["securityContext"]["runAsUser"] == 65532
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert container["startupProbe"]["httpGet"] == {"path": "/health", "port": "http"}
    assert container["resources"]["limits"] == {"memory": "512M", "nvidia.com/gpu": "1"}
    job = yaml.safe_load((project / "targets/cloud/train/job.yaml").read_text())["spec"]
    assert (job["completionMode"], job["completions"]) == ("Indexed", 2)
    assert job["activeDeadlineSeconds"] == 24 * 3600 + 30 * 60


# --- Podman plays the Deployment

HERE = os.geteuid() == 0 and all(map(shutil.which, ("podman", "runc")))
NEEDS = pytest.mark.skipif(not HERE, reason="needs root, podman and runc")
# Where containers may not raise limits, and cgroups are of both versions.
CONFIGURATION = """\
[containers]
default_ulimits = ["nofile=1024:1024", "nproc=4096:4096"]
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
"""


@dataclass
class Podman:
    """Podman with storage of its own."""

    folder: Path

    def ask(self, *words: str, code: int = 0) -> str:
        own = ["--root", f"{self.folder}/root", "--runroot", f"{self.folder}/run"]
        env = {**os.environ, "CONTAINERS_CONF": str(self.folder / "containers.conf")}
        done = subprocess.run(
            ["podman", *own, "--storage-driver", "vfs", *words],
            env=env,
            check=False,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout


@pytest.fixture
def podman() -> Iterator[Podman]:
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:  # its path is short
        (Path(folder) / "containers.conf").write_text(CONFIGURATION)
        podman = Podman(Path(folder))
        yield podman
        podman.ask("pod", "rm", "--all", "--force")
        podman.ask("rmi", "--all", "--force")


def playable(project: Path, tag: str) -> dict[str, Any]:
    """Return the Deployment for Podman 4: one pod, a local image, this machine's network.

    Podman runs a probe in a shell, which the image lacks: the test runs its command instead.
    """
    text = (project / "targets/cloud/serve/deployment.yaml").read_text()
    document: dict[str, Any] = yaml.safe_load(text)
    document["spec"]["replicas"] = 1
    document["metadata"].pop("namespace")
    pod = document["spec"]["template"]["spec"]
    pod["hostNetwork"] = True
    container = pod["containers"][0]
    container |= {"image": tag, "imagePullPolicy": "Never"}
    container["resources"]["limits"].pop("nvidia.com/gpu")
    for name in ("ports", "startupProbe", "readinessProbe", "livenessProbe"):
        container.pop(name)
    return document


def answer(path: str) -> str:
    until = time.monotonic() + 60
    while True:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{PORT}{path}", timeout=5) as response:
                return str(response.read().decode())
        except OSError:
            if time.monotonic() > until:
                raise
            time.sleep(0.3)


@NEEDS
@pytest.mark.xdist_group("podman")
def test_the_deployment_answers_restarts_and_rolls_out(project: Path, podman: Podman) -> None:
    archive, tag = podman.folder / "image.tar", "localhost/demo-serve:first"
    words = [LOCKSTITCH, "build", "serve", "--output", archive, "--tag", tag]
    subprocess.run(words, cwd=project, check=True, capture_output=True)
    podman.ask("load", "-i", str(archive))
    manifest = podman.folder / "deployment.yaml"
    document = playable(project, tag)
    manifest.write_text(yaml.safe_dump(document))
    podman.ask("kube", "play", str(manifest))
    assert answer("/health") == "well"
    first = answer("/image")
    assert document["spec"]["template"]["spec"]["containers"][0]["env"][0]["value"] == first
    name = podman.ask("ps", "--filter", "ancestor=" + tag, "--format", "{{.Names}}").strip()
    health = ("exec", name, "/app/.venv/bin/python", "-I", "/app/.lockstitch/health.py")
    assert "status 200" in podman.ask(*health, str(PORT), "/health")
    podman.ask(*health, str(PORT + 1), "/health", code=1)  # a probe that fails
    with pytest.raises(OSError, match=r".*"):
        urllib.request.urlopen(f"http://127.0.0.1:{PORT}/end", timeout=5).read()
    assert answer("/health") == "well"  # started again
    assert podman.ask("logs", name).count("start") == 2
    # Another image: the manifests name another digest, and the pod is replaced.
    (project / "serve.py").write_text(SERVE.replace('"well"', '"better"'))
    for more in (["export", "target", "cloud"], [*words[1:-1], "localhost/demo-serve:second"]):
        subprocess.run([LOCKSTITCH, *more], cwd=project, check=True, capture_output=True)
    podman.ask("load", "-i", str(archive))
    manifest.write_text(yaml.safe_dump(playable(project, "localhost/demo-serve:second")))
    podman.ask("kube", "play", "--replace", str(manifest))
    assert answer("/health") == "better"
    assert answer("/image") != first
    podman.ask("kube", "down", str(manifest))
