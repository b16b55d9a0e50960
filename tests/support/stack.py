"""A project with a local stack of the real servers, and programs that use it."""

import base64
import contextlib
import importlib.util
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from support import projects

from lockstitch import process
from lockstitch.stack.machine import marked

__all__ = ["RUNS", "Stack", "artifact", "copy_lockstitch", "listening", "running", "shared_store"]

PROJECT = projects.minimal("""\
[tool.lockstitch.images.train]
command = ["python"]

[tool.lockstitch.stack]
ports = {{ postgres = {0}, objects = {1}, mlflow = {2} }}
""")
# Logs runs from six threads; a line for each whose end was acknowledged. A failed one is begun
# again as another run.
RUNS = """\
import os, random, sys, tempfile, threading, time
os.environ |= {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1", "MLFLOW_HTTP_REQUEST_TIMEOUT": "4"}
os.environ["MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT"] = "true"
from pathlib import Path
from mlflow import MlflowClient
client, experiment, lock = MlflowClient(), sys.argv[2], threading.Lock()
numbers = iter(range(int(sys.argv[1])))
made = client.get_experiment_by_name(experiment)
made = made.experiment_id if made else client.create_experiment(experiment)
def once(number, folder):
    run = client.create_run(made).info.run_id
    client.log_param(run, "number", number)
    client.log_metric(run, "auc", number / 100)
    path = Path(folder, "notes.bin")
    path.write_bytes(random.Random(number).randbytes(3000 + number))
    client.log_artifact(run, str(path))
    client.set_terminated(run)
    return run
def work():
    with tempfile.TemporaryDirectory() as folder:
        while True:
            with lock:
                number = next(numbers, None)
            if number is None:
                return
            while True:
                try:
                    run = once(number, folder)
                    break
                except Exception:
                    time.sleep(0.1)
            with lock:
                print(run, number, flush=True)
threads = [threading.Thread(target=work) for _ in range(6)]
for each in threads: each.start()
for each in threads: each.join()
"""
# What is there, asked of PostgreSQL and of the bucket and not of MLflow.
LOOK = """\
import base64, json, boto3, psycopg2
cursor = psycopg2.connect("").cursor()
def rows(query):
    cursor.execute(query)
    return cursor.fetchall()
client, found = boto3.client("s3"), {}
for page in client.get_paginator("list_objects_v2").paginate(Bucket="mlflow"):
    for each in page.get("Contents", []):
        if each["Key"].endswith("notes.bin"):
            body = client.get_object(Bucket="mlflow", Key=each["Key"])["Body"].read()
            found[each["Key"].split("/")[2]] = base64.b64encode(body).decode()
print(json.dumps({
    "runs": rows("SELECT run_uuid, status FROM runs"),
    "params": rows("SELECT run_uuid, value FROM params WHERE key = 'number'"),
    "metrics": rows("SELECT run_uuid, value FROM metrics WHERE key = 'auc'"),
    "notes": found,
}))
"""


def artifact(number: str) -> str:
    """Return, in base64, the artifact of a run that RUNS logged."""
    data = random.Random(int(number)).randbytes(3000 + int(number))
    return base64.b64encode(data).decode()


@dataclass(frozen=True)
class Stack:
    """A project with a stack, and the user that calls lockstitch there."""

    root: Path
    store: Path
    user: str = ""
    python: list[str] = field(default_factory=lambda: [sys.executable])

    @property
    def folder(self) -> Path:
        return self.root / ".lockstitch" / "stack"

    @property
    def tools(self) -> Path:
        return next(self.store.glob("scratch/stack-*/bin/python"))

    def environment(self) -> dict[str, str]:
        dropped = ("AWS_", "PG", "MLFLOW_", "LOCKSTITCH_", "PYTHONDONTWRITE")
        kept = {k: v for k, v in os.environ.items() if not k.startswith(dropped)}
        more = {"LOCKSTITCH_CACHE": str(self.store), "CI": "1"}
        more["LOCKSTITCH_UV"] = str(process.find_uv())
        if self.user:
            more["HOME"] = str(self.root)
        if self.python[-1] != sys.executable:  # which has no lockstitch of its own
            more["PYTHONPATH"] = str(self.store / "site")
        return kept | more

    def start(self, *words: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [*self.python, "-m", "lockstitch", *words],
            cwd=self.root,
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def lockstitch(self, *words: str, code: int = 0) -> tuple[str, str]:
        started = self.start(*words)
        out, err = started.communicate(timeout=240)
        assert started.returncode == code, out + err
        return out, err

    def variables(self) -> dict[str, str]:
        found: dict[str, str] = json.loads(self.lockstitch("stack", "env", "--json")[0])
        return found

    def client(self, program: str, *words: str) -> subprocess.Popen[str]:
        """Start a program on the tools' Python, which has MLflow's client."""
        command = [str(self.tools), "-W", "ignore", "-c", program, *words]
        env = self.environment() | self.variables()
        return subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True)

    def log(self, count: int, experiment: str) -> dict[str, str]:
        """Log runs, and return their ids with their numbers."""
        out, _ = self.client(RUNS, str(count), experiment).communicate(timeout=120)
        return dict(line.split() for line in out.splitlines())

    def look(self) -> dict[str, dict[str, object]]:
        out, _ = self.client(LOOK).communicate(timeout=120)
        return {key: dict(value) for key, value in json.loads(out).items()}

    def check(self, runs: dict[str, str]) -> None:
        """Hold what is there against runs that were acknowledged, byte for byte."""
        found = self.look()
        assert {run: found["runs"].get(run) for run in runs} == dict.fromkeys(runs, "FINISHED")
        assert {run: found["params"].get(run) for run in runs} == runs
        metrics = {run: int(number) / 100 for run, number in runs.items()}
        assert {run: found["metrics"].get(run) for run in runs} == metrics
        notes = {run: str(found["notes"].get(run, "")) for run in runs}
        wrong = {
            f"{run}, number {number}": f"{len(base64.b64decode(notes[run]))} bytes"
            for run, number in runs.items()
            if notes[run] != artifact(number)
        }
        assert not wrong, f"artifacts that are not what was acknowledged: {wrong}"

    def services(self) -> dict[str, Any]:
        """Return what `status --json` says."""
        said = self.start("stack", "status", "--json").communicate(timeout=60)[0]
        found: dict[str, Any] = json.loads(said)["services"]
        return found

    def says(self) -> dict[str, Any]:
        """Return what the supervisor says: without the start of a program."""
        found: dict[str, Any] = json.loads((self.folder / "status.json").read_text())["services"]
        return found

    def until(self, state: str = "ready", *names: str, seconds: float = 120) -> None:
        until = time.monotonic() + seconds
        while True:
            said = self.services()
            if said and all(said[name]["state"] == state for name in names or said):
                return
            assert time.monotonic() < until, said
            time.sleep(0.2)

    def wanted(self, name: str) -> int:
        """Return the port that the project wants for a service."""
        text = (self.root / "pyproject.toml").read_text()
        ports: dict[str, int] = tomllib.loads(text)["tool"]["lockstitch"]["stack"]["ports"]
        return ports[name]

    def ports(self) -> list[int]:
        return sorted(json.loads((self.folder / "plan.json").read_text())["ports"].values())

    def left(self) -> list[int]:
        return marked(self.folder.resolve())


def shared_store(factory: pytest.TempPathFactory) -> Path:
    """Return a store for all files and workers of this run: the tools are installed once."""
    base = factory.getbasetemp()
    base = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    if os.geteuid() == 0:  # and PostgreSQL may be `nobody`, who has to get through
        for folder in (base.parent, base):
            folder.chmod(0o711)
    return base / "stack-store"


@contextlib.contextmanager
def running(store: Path, user: str = "", python: str = "") -> Iterator[Stack]:
    """Make a project in a folder that everybody can reach; stop its stack at the end."""
    root = Path(tempfile.mkdtemp(prefix="ls.", dir="/tmp"))
    # Of its own for each worker: two that start at once may both find a port free.
    first = 10_000 + os.getpid() % 2500 * 3
    (root / "pyproject.toml").write_text(PROJECT.format(first, first + 1, first + 2))
    words = [python or sys.executable]
    if user:
        shutil.chown(root, user)
        words = ["runuser", "-u", user, "--", *words]
    made = Stack(root, store, user, words)
    try:
        yield made
    finally:
        if made.folder.exists():
            made.start("stack", "down").communicate(timeout=120)
        shutil.rmtree(root, ignore_errors=True)


def copy_lockstitch(store: Path) -> None:
    """Put lockstitch and what it imports where everybody can read them."""
    import lockstitch

    for name in ("packaging", "platformdirs", "urllib3", "rich", "yaml", "tomlkit"):
        found = importlib.util.find_spec(name)
        assert found
        assert found.origin
        shutil.copytree(Path(found.origin).parent, store / "site" / name)
    shutil.copytree(Path(lockstitch.__file__).parent, store / "site" / "lockstitch")


def listening() -> dict[int, set[str]]:
    """Return the addresses that each listening port of this machine is bound to."""
    found: dict[int, set[str]] = {}
    for name in ("tcp", "tcp6"):
        for line in Path("/proc/net", name).read_text().splitlines()[1:]:
            _, local, _, state, *_ = line.split()
            if state == "0A":
                address, _, port = local.rpartition(":")
                found.setdefault(int(port, 16), set()).add(address)
    return found
