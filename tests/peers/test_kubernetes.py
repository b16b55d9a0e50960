"""Manifests: valid by the published schemas of Kubernetes, and played as pods by Podman."""

import json
import os
import shutil
import subprocess
import sys
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

[tool.lockstitch.targets.one]
engine = "kubernetes"
registry = "registry.example.com/team/demo"

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


# kubectl's words for Podman: a Job is a pod that ends, a claim a volume. What Podman 4.3 lacks is
# done here: files of a ConfigMap, folders within a volume, and the group that may write to it.
KUBECTL = """\
import json, os, pathlib, subprocess, sys, yaml
own, tag = json.loads(os.environ["PODMAN"]), os.environ["TAG"]
folder, words = pathlib.Path(os.environ["PODS"]), sys.argv[1:]
def podman(*words, **how):
    return subprocess.run([*own, *words], capture_output=True, text=True, **how)
def container(pod):
    return podman("ps", "-a", "--filter", f"name={pod}-", "--filter", "ancestor=" + tag,
        "--format", "{{.Names}}", check=True).stdout.strip()
if words[0] == "apply":
    for document in yaml.safe_load_all(sys.stdin):
        if document["kind"] == "ConfigMap":
            for name, text in document["data"].items():
                (folder / name).write_text(text)
        if document["kind"] not in ("Job", "Pod"):
            continue
        spec = document["spec"]
        spec = spec["template"]["spec"] if document["kind"] == "Job" else spec
        (one,) = spec["containers"]
        one |= {"image": tag, "imagePullPolicy": "Never"}
        spec["hostNetwork"] = True
        places = {"outputs": folder / "volume", "check": folder}
        for mount in one["volumeMounts"]:
            if "subPath" in mount:
                place = folder / "volume" / mount.pop("subPath")
                place.mkdir(parents=True, exist_ok=True)
                place.chmod(0o777)
                places["outputs"] = place
        spec["volumes"] = [{"name": each["name"], "hostPath": {"path": str(places[each["name"]])}}
            if each["name"] in places else each for each in spec["volumes"]]
        about = {"name": document["metadata"]["name"]}
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": about, "spec": spec}
        done = podman("kube", "play", "-", input=yaml.safe_dump(pod))
        if done.returncode:
            sys.exit(done.stdout + done.stderr)
elif words[0] == "delete":
    podman("pod", "rm", "--force", words[2])
elif words[0] == "get":
    (state,) = json.loads(podman("inspect", container("demo-train"), check=True).stdout)
    state, code = state["State"], state["State"]["ExitCode"]
    ends = state["Status"] == "exited"
    now = {"terminated": {"exitCode": code, "finishedAt": "x"}} if ends else {"running": {}}
    known = [{"type": "Failed" if code else "Complete", "status": "True"}] if ends else []
    pod = {"metadata": {"name": "demo-train"}, "status": {"containerStatuses": [{"state": now}]}}
    job = {"metadata": {"uid": "u"}, "status": {"conditions": known}}
    print(json.dumps({**job, "items": [pod]}))
elif words[0] == "logs":
    os.execv(own[0], [*own, "logs", "--follow", container("demo-train")])
elif words[0] == "exec":
    os.execv(own[0], [*own, "exec", container(words[1]), *words[3:]])
"""


@NEEDS
@pytest.mark.xdist_group("podman")
def test_a_job_leaves_its_outputs_here_and_a_record(
    project: Path, podman: Podman, tmp_path: Path
) -> None:
    archive, tag = podman.folder / "train.tar", "localhost/demo-train:first"
    (project / "train.py").write_text(
        "print('trained')\nopen('models/metrics.json', 'w').write('{\"accuracy\": 0.75}')\n"
    )
    words = [LOCKSTITCH, "build", "train", "--output", archive, "--tag", tag]
    subprocess.run(words, cwd=project, check=True, capture_output=True)
    podman.ask("load", "-i", str(archive))
    (tmp_path / "kubectl").write_text(f"#!{sys.executable}\n{KUBECTL}")
    (tmp_path / "kubectl").chmod(0o755)
    pods = tmp_path / "pods"
    pods.mkdir()
    tmp_path.chmod(0o755)
    own = [shutil.which("podman"), "--root", f"{podman.folder}/root"]
    own += ["--runroot", f"{podman.folder}/run", "--storage-driver", "vfs"]
    env = {
        **os.environ,
        "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}",
        "CONTAINERS_CONF": str(podman.folder / "containers.conf"),
        "PODMAN": json.dumps(own),
        "TAG": tag,
        "PODS": str(pods),
    }
    words = [LOCKSTITCH, "run", "train", "--on", "one"]
    done = subprocess.run(
        words, cwd=project, env=env, check=False, capture_output=True, text=True, timeout=240
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "trained\n" in done.stdout
    assert "1 rank, one environment" in done.stdout
    record = json.loads((project / "models" / "train.run.json").read_text())
    assert record["metrics"] == {"accuracy": 0.75}
    assert [*record["outputs"]] == ["models/metrics.json"]
    python = record["fingerprint"]["python"]
    assert python["version"].startswith("3.11."), "of the image"
    assert podman.ask("pod", "ps", "--filter", "name=demo-train-reader", "-q").strip() == ""
