"""The local stack with the real PostgreSQL, SeaweedFS and MLflow."""

import importlib.util
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from lockstep import process
from lockstep.stack.processes import marked

pytestmark = pytest.mark.nightly

PROJECT = """\
[project]
name = "tiny"
version = "1"
requires-python = ">=3.11"

[tool.lockstep.images.train]
command = ["python"]
"""
# One run after the other; a line for each whose end was acknowledged.
RUNS = """\
import os, sys, time
os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] = "1"
os.environ["MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT"] = "true"
import mlflow
def once(number):
    try:
        mlflow.set_experiment("crash")
        with mlflow.start_run() as run:
            mlflow.log_params({"number": number})
            mlflow.log_metric("auc", number / 100)
            mlflow.log_text(f"notes of {number}\\n" * 1000, "notes.txt")
        return run.info.run_id
    except Exception:
        while mlflow.active_run():
            try: mlflow.end_run("FAILED")
            except Exception: pass
        time.sleep(0.2)
for number in range(int(sys.argv[1])):
    while not (acknowledged := once(number)):
        pass
    print(acknowledged, number, flush=True)
"""
# What is there, asked of PostgreSQL and of the bucket and not of MLflow.
LOOK = """\
import json, os, boto3, psycopg2
cursor = psycopg2.connect("").cursor()
def rows(query):
    cursor.execute(query)
    return cursor.fetchall()
client, found = boto3.client("s3"), {}
for page in client.get_paginator("list_objects_v2").paginate(Bucket="mlflow"):
    for each in page.get("Contents", []):
        if each["Key"].endswith("notes.txt"):
            body = client.get_object(Bucket="mlflow", Key=each["Key"])["Body"].read()
            found[each["Key"].split("/")[2]] = body.decode()
print(json.dumps({
    "runs": rows("SELECT run_uuid, status FROM runs"),
    "params": rows("SELECT run_uuid, value FROM params WHERE key = 'number'"),
    "metrics": rows("SELECT run_uuid, value FROM metrics WHERE key = 'auc'"),
    "notes": found,
}))
"""


@dataclass(frozen=True)
class Stack:
    """A project with a stack, and the user that calls lockstep there."""

    root: Path
    store: Path
    user: str = ""

    @property
    def folder(self) -> Path:
        return self.root / ".lockstep" / "stack"

    @property
    def python(self) -> Path:
        return next(self.store.glob("scratch/stack-*/bin/python"))

    def environment(self) -> dict[str, str]:
        dropped = ("AWS_", "PG", "MLFLOW_", "LOCKSTEP_", "PYTHONDONTWRITE")
        kept = {k: v for k, v in os.environ.items() if not k.startswith(dropped)}
        more = {"LOCKSTEP_CACHE": str(self.store), "CI": "1"}
        more["LOCKSTEP_UV"] = str(process.find_uv())
        if os.geteuid() == 0:
            more["PYTHONPATH"] = str(self.store / "site")
        if self.user:
            more["HOME"] = str(self.root)
        return kept | more

    def start(self, *words: str) -> subprocess.Popen[str]:
        # That of the system, which everybody can reach; ours may be below /root.
        python = ["/usr/bin/python3" if os.geteuid() == 0 else sys.executable]
        if self.user:
            python = ["runuser", "-u", self.user, "--", *python]
        return subprocess.Popen(
            [*python, "-m", "lockstep", *words],
            cwd=self.root,
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def lockstep(self, *words: str, code: int = 0) -> tuple[str, str]:
        running = self.start(*words)
        out, err = running.communicate(timeout=240)
        assert running.returncode == code, out + err
        return out, err

    def client(self, program: str, *words: str) -> subprocess.Popen[str]:
        own = json.loads(self.lockstep("env", "--json")[0])
        command = [str(self.python), "-W", "ignore", "-c", program, *words]
        return subprocess.Popen(
            command, env=self.environment() | own, stdout=subprocess.PIPE, text=True
        )

    def look(self) -> dict[str, dict[str, object]]:
        out, _ = self.client(LOOK).communicate(timeout=120)
        found = json.loads(out)
        return {key: dict(value) for key, value in found.items()}

    def said(self) -> dict[str, dict[str, object]]:
        found = json.loads(self.start("status", "--json").communicate(timeout=60)[0])
        services: dict[str, dict[str, object]] = found["services"]
        return services

    def until_ready(self) -> None:
        until = time.monotonic() + 120
        while True:
            said = self.said()
            if said and all(each["state"] == "ready" for each in said.values()):
                return
            assert time.monotonic() < until, said
            time.sleep(0.2)

    def ports(self) -> list[int]:
        return sorted(json.loads((self.folder / "plan.json").read_text())["ports"].values())

    def left(self) -> list[int]:
        return marked(self.folder.resolve())

    def close(self) -> None:
        if self.folder.exists():
            self.start("down").communicate(timeout=120)
        shutil.rmtree(self.root, ignore_errors=True)


@pytest.fixture(scope="module")
def store() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="ls.", dir="/tmp"))  # a place that `nobody` can reach
    folder.chmod(0o755)
    if os.geteuid() == 0:
        copy_lockstep(folder)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def stack(store: Path) -> Iterator[Stack]:
    made = make(store)
    yield made
    made.close()


def make(store: Path, user: str = "") -> Stack:
    root = Path(tempfile.mkdtemp(prefix="ls.", dir="/tmp"))
    (root / "pyproject.toml").write_text(PROJECT)
    if user:
        shutil.chown(root, user)
    return Stack(root, store, user)


def copy_lockstep(store: Path) -> None:
    """Put lockstep and what it imports where everybody can read them."""
    import lockstep

    for name in ("filelock", "packaging", "platformdirs", "urllib3", "rich", "yaml"):
        found = importlib.util.find_spec(name)
        assert found
        assert found.origin
        shutil.copytree(Path(found.origin).parent, store / "site" / name)
    shutil.copytree(Path(lockstep.__file__).parent, store / "site" / "lockstep")


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


def test_from_nothing_to_rows_and_bytes(stack: Stack) -> None:
    taken = socket.create_server(("127.0.0.1", 5000))
    with closing(taken):
        out, err = stack.lockstep("up")
    assert "port 5000 is taken: `mlflow` is on 5001" in err
    assert "http://127.0.0.1:5001" in out
    check_story(stack)


def test_as_a_plain_user(store: Path, stack: Stack) -> None:
    if os.geteuid() != 0:
        pytest.skip("this is a plain user already: the other test shows it")
    stack.lockstep("up")  # the first user's stack keeps its ports; it also installs the tools
    plain = make(store, "nobody")
    try:
        assert "is taken" in plain.lockstep("up")[1]
        assert {Path(f"/proc/{pid}").stat().st_uid for pid in plain.left()} == {65534}
        check_story(plain)
    finally:
        plain.close()
    stack.until_ready()


def check_story(stack: Stack) -> None:
    out, _ = stack.client(RUNS, "3").communicate(timeout=120)
    ids = dict(line.split() for line in out.splitlines())
    assert sorted(ids.values()) == ["0", "1", "2"]
    found = stack.look()
    assert found["runs"] == dict.fromkeys(ids, "FINISHED")
    assert found["params"] == ids
    assert found["metrics"] == {run: int(number) / 100 for run, number in ids.items()}
    assert found["notes"] == {run: f"notes of {number}\n" * 1000 for run, number in ids.items()}
    check_secrets(stack)
    here = {port: listening()[port] for port in stack.ports()}
    assert set().union(*here.values()) == {"0100007F"}, "on loopback, and nowhere else"
    stack.lockstep("down")
    assert stack.left() == []
    assert [port for port in stack.ports() if port in listening()] == []
    assert stack.lockstep("status", code=1)[1] == "nothing runs; to start it: lockstep up\n"


def check_secrets(stack: Stack) -> None:
    keys = stack.folder / "keys.json"
    assert keys.stat().st_mode & 0o777 == 0o600
    found = json.loads(keys.read_text())
    secrets = [found["password"], found["secret_key"], found["admin"], *found["signing"]]
    shown = subprocess.check_output(["ps", "-eo", "args"], text=True)
    shown += "".join(path.read_text(errors="replace") for path in stack.folder.glob("logs/*"))
    shown += stack.lockstep("status", "--json")[0] + stack.lockstep("logs", "--lines", "9999")[0]
    assert [secret for secret in secrets if secret in shown] == []
    for path in stack.folder.iterdir():
        if path.is_file() and path.stat().st_mode & 0o077:
            assert not any(secret in path.read_text() for secret in secrets), path


def test_killed_in_mid_write_and_nothing_acknowledged_is_lost(stack: Stack) -> None:
    stack.lockstep("up")
    client = stack.client(RUNS, "60")
    assert client.stdout
    kept = dict([client.stdout.readline().split()])
    for name in ("postgres", "objects", "mlflow"):
        os.kill(int(str(stack.said()[name]["pid"])), signal.SIGKILL)
        time.sleep(0.5)
        stack.until_ready()
        kept |= dict([client.stdout.readline().split()])  # it goes on after each
    kept |= dict(line.split() for line in client.communicate(timeout=240)[0].splitlines())
    assert len(kept) > 20
    assert all(int(str(each["restarts"])) >= 1 for each in stack.said().values())
    found = stack.look()
    assert {run: found["runs"].get(run) for run in kept} == dict.fromkeys(kept, "FINISHED")
    assert {run: found["params"].get(run) for run in kept} == kept
    wanted = {run: f"notes of {number}\n" * 1000 for run, number in kept.items()}
    assert {run: found["notes"].get(run) for run in kept} == wanted


def test_a_killed_supervisor_leaves_nothing(stack: Stack) -> None:
    first, second = stack.start("up"), stack.start("up")  # at once
    for each in (first, second):
        err = each.communicate(timeout=240)[1]
        assert each.returncode == 0, err
    said = json.loads((stack.folder / "status.json").read_text())
    os.kill(said["pid"], signal.SIGKILL)
    until = time.monotonic() + 20
    while stack.left():
        assert time.monotonic() < until, stack.left()
        time.sleep(0.1)
    again = stack.start("up")
    time.sleep(1.5)
    again.send_signal(signal.SIGINT)  # Ctrl-C before it is healthy
    again.communicate(timeout=60)
    assert again.returncode == 130
    assert stack.left() == []


def test_data_that_cannot_be_used_is_refused_and_kept(stack: Stack) -> None:
    stack.lockstep("up")
    stack.client(RUNS, "1").communicate(timeout=120)
    stack.lockstep("down")
    version = stack.folder / "postgres" / "PG_VERSION"
    right = version.read_text()
    version.write_text("14\n")
    _, err = stack.lockstep("up", code=1)
    assert f"is of PostgreSQL `14`, this lockstep runs `{right.strip()}`" in err
    assert err.count("error: ") == 1
    version.write_text(right)
    control = stack.folder / "postgres" / "global" / "pg_control"
    control.rename(control.with_suffix(".away"))
    _, err = stack.lockstep("up", code=1)
    assert err.count("error: ") == 1
    assert "`postgres` does not start: ended with exit code" in err
    assert "could not open" in err
    assert stack.left() == []
    control.with_suffix(".away").rename(control)
    stack.lockstep("up")
    assert list(stack.look()["runs"].values()) == ["FINISHED"]
    assert "nobody is here to be asked" in stack.lockstep("reset", code=2)[1]
    stack.lockstep("reset", "--yes")
    assert sorted(path.name for path in stack.folder.iterdir()) == [
        ".gitignore",
        "supervisor.lock",
        "up.lock",
    ]
