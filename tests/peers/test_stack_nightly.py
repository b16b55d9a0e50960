"""What the local stack does with damage: other users, kills, hangs, full disks, other versions."""

import contextlib
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
from pathlib import Path

import pytest
from support.programs import wait
from support.stack import RUNS, Stack, copy_lockstitch, running, shared_store

from lockstitch import process
from lockstitch.stack import service
from lockstitch.stack.folder import Folder
from lockstitch.stack.service import Parts, guarded
from lockstitch.stack.services import planned
from lockstitch.stack.services.postgres import Postgres

pytestmark = pytest.mark.nightly

# Makes the tables of the MLflow that it runs on, and logs a run. No server.
OLD = """\
import os, mlflow
mlflow.set_tracking_uri("postgresql+psycopg2://")  # the rest is in PG* variables
made = mlflow.MlflowClient().create_experiment("old", artifact_location="mlflow-artifacts:/1")
with mlflow.start_run(experiment_id=made) as run:
    mlflow.log_param("number", "7")
    mlflow.log_metric("auc", 0.07)
print(run.info.run_id)
"""
SQL = """\
import sys, psycopg2
connection = psycopg2.connect("")
connection.autocommit = True
connection.cursor().execute(sys.argv[1])
"""


@pytest.fixture
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with running(shared_store(tmp_path_factory)) as made:
        yield made


@pytest.mark.skipif(os.geteuid() != 0, reason="this is a plain user: the other tests show it")
def test_as_a_plain_user(stack: Stack) -> None:
    stack.lockstitch("stack", "up")  # the first user's stack keeps its ports
    store = Path(tempfile.mkdtemp(prefix="ls.", dir="/tmp"))  # a place that `nobody` can reach
    store.chmod(0o755)
    try:
        copy_lockstitch(store)
        # The system's Python, which everybody can reach; ours may be below /root.
        with running(store, python="/usr/bin/python3") as first:
            first.lockstitch("stack", "up")  # installs the tools
            first.lockstitch("stack", "down")
        with running(store, "nobody", "/usr/bin/python3") as plain:
            assert "is taken" in plain.lockstitch("stack", "up")[1]
            assert {Path(f"/proc/{pid}").stat().st_uid for pid in plain.left()} == {65534}
            plain.check(plain.log(3, "plain"))
    finally:
        shutil.rmtree(store)
    stack.until("ready")


OWN = """
[tool.lockstitch.stack.services.redis]
debian = ["redis-server"]
command = ["redis-server", "--port", "{port}", "--bind", "{host}", "--dir", "{data}"]
port = 16379
variables = { REDIS_URL = "redis://{host}:{port}/0" }

[tool.lockstitch.stack.services.cache]
debian = ["memcached"]
command = ["memcached", "-u", "root", "-p", "{port}", "-l", "{host}"]
port = 21211
"""


def asked(port: int, request: bytes) -> bytes:
    """Return what a service answers to a line, as far as it comes at once."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as opened:
        opened.sendall(request)
        return opened.recv(4096)


@pytest.mark.network
def test_programs_of_debian_run_beside_ours(stack: Stack) -> None:
    pyproject = stack.root / "pyproject.toml"
    pyproject.write_text(pyproject.read_text() + OWN)
    stack.lockstitch("lock", "--quiet")
    stack.lockstitch("stack", "up")
    ports = json.loads((stack.folder / "plan.json").read_text())["ports"]
    assert stack.variables()["REDIS_URL"] == f"redis://127.0.0.1:{ports['redis']}/0"
    assert asked(ports["redis"], b"SET model 7\r\n") == b"+OK\r\n"
    assert asked(ports["cache"], b"version\r\n").startswith(b"VERSION 1.6")
    pid = stack.services()["redis"]["pid"]
    maps = Path(f"/proc/{pid}/maps").read_text() if Path(f"/proc/{pid}/maps").exists() else ""
    others = {line.split()[5] for line in maps.splitlines() if ".so" in line}
    assert all(str(stack.store) in other for other in others), "no library of this machine"
    assert asked(ports["redis"], b"SAVE\r\n") == b"+OK\r\n"
    os.kill(pid, signal.SIGKILL)
    wait(lambda: stack.services()["redis"]["pid"] not in {0, pid}, about=stack.services)
    stack.until("ready")
    assert asked(ports["redis"], b"GET model\r\n") == b"$1\r\n7\r\n"
    stack.lockstitch("stack", "down")
    assert stack.left() == []


def test_a_killed_supervisor_leaves_nothing(stack: Stack) -> None:
    first, second = stack.start("stack", "up"), stack.start("stack", "up")  # at once
    for each in (first, second):
        err = each.communicate(timeout=240)[1]
        assert each.returncode == 0, err
    said = json.loads((stack.folder / "status.json").read_text())
    os.kill(said["pid"], signal.SIGKILL)
    wait(lambda: not stack.left(), about=stack.left)
    again = stack.start("stack", "up")
    time.sleep(1.5)
    again.send_signal(signal.SIGINT)  # Ctrl-C before it is healthy
    again.communicate(timeout=60)
    assert again.returncode == 130
    assert stack.left() == []


def test_data_that_cannot_be_used_is_refused_and_kept(stack: Stack) -> None:
    stack.lockstitch("stack", "up")
    ids = stack.log(1, "kept")
    stack.lockstitch("stack", "down")
    version = stack.folder / "postgres" / "PG_VERSION"
    right = version.read_text()
    version.write_text("14\n")
    _, err = stack.lockstitch("stack", "up", code=1)
    assert f"is of PostgreSQL `14`, this lockstitch runs `{right.strip()}`" in err
    assert err.count("error: ") == 1
    version.write_text(right)
    control = stack.folder / "postgres" / "global" / "pg_control"
    control.rename(control.with_suffix(".away"))
    _, err = stack.lockstitch("stack", "up", code=1)
    assert err.count("error: ") == 1
    assert "`postgres` does not start: ended with exit code" in err
    assert "could not open" in err
    assert stack.left() == []
    control.with_suffix(".away").rename(control)
    stack.lockstitch("stack", "up")
    stack.check(ids)
    assert "there is no terminal to ask on" in stack.lockstitch("stack", "reset", code=2)[1]
    stack.lockstitch("stack", "reset", "--yes")
    assert sorted(path.name for path in stack.folder.iterdir()) == [
        ".gitignore",
        "supervisor.lock",
        "up.lock",
    ]


@pytest.mark.parametrize("name", ["postgres", "objects", "mlflow"])
def test_what_hangs_is_started_again(stack: Stack, name: str) -> None:
    stack.lockstitch("stack", "up")
    pid = stack.services()[name]["pid"]
    os.kill(pid, signal.SIGSTOP)
    stack.until("not answering", name)
    stack.until("ready")
    assert stack.services()[name]["pid"] != pid
    stack.check(stack.log(2, "after"))


def test_tables_of_an_older_mlflow_are_upgraded_after_a_backup(
    stack: Stack, tmp_path: Path
) -> None:
    stack.lockstitch("stack", "up")
    stack.lockstitch("stack", "down")
    python = tmp_path / "bin" / "python"
    uv = process.find_uv()
    subprocess.check_call([uv, "venv", "--quiet", "--python", sys.executable, tmp_path])
    words = [uv, "pip", "install", "--quiet", "--python", python]
    old = ["mlflow-skinny==2.22.0", "sqlalchemy<2.1", "alembic", "sqlparse", "psycopg2-binary"]
    subprocess.check_call([*words, *old, "numpy", "pandas", "setuptools<80"])
    # Beside a server that runs, its own tables may come back at any time.
    with postgres_alone(stack) as parts:
        assert service.sql(parts, "DROP SCHEMA public CASCADE; CREATE SCHEMA public").code == 0
        env = stack.environment() | service.variables(parts)
        words = [python, "-W", "ignore", "-c", OLD]
        run = subprocess.check_output(words, env=env, text=True).strip()
    stack.lockstitch("stack", "up")
    log = (stack.folder / "logs" / "mlflow.log").read_text()
    (backup,) = (stack.folder / "backups").iterdir()
    assert f"are kept in {backup.resolve()}, and move to" in log
    assert (backup.parent.stat().st_mode & 0o777, backup.stat().st_mode & 0o777) == (0o700, 0o600)
    found = stack.look()
    assert (found["runs"][run], found["params"][run]) == ("FINISHED", "7")
    stack.check(stack.log(2, "new"))
    restored = [*stack.tools.parents[1].rglob("pginstall/bin/pg_restore")]
    assert run in subprocess.check_output([restored[0], "--file=-", backup], text=True)
    stack.lockstitch("stack", "down")
    stack.lockstitch("stack", "up")
    assert [*backup.parent.iterdir()] == [backup], "once"


def test_tables_of_a_newer_mlflow_are_refused_and_kept(stack: Stack) -> None:
    stack.lockstitch("stack", "up")
    ids = stack.log(2, "kept")
    revision = "(SELECT version_num FROM alembic_version)"
    sql(stack, f"CREATE TABLE mine AS {revision}")
    sql(stack, "UPDATE alembic_version SET version_num = 'fedcba987654'")
    stack.lockstitch("stack", "down")
    _, err = stack.lockstitch("stack", "up", code=1)
    assert err.count("error: ") == 1
    assert "MLflow's tables are of schema `fedcba987654`" in err
    assert "a newer one made them" in err
    assert "lockstitch stack reset" in err
    assert stack.left() == []
    assert not (stack.folder / "backups").exists()
    with postgres_alone(stack) as parts:
        back = "UPDATE alembic_version SET version_num = (SELECT version_num FROM mine)"
        assert service.sql(parts, back).code == 0
    stack.lockstitch("stack", "up")
    stack.check(ids)


def test_a_full_disk_is_said_and_nothing_is_lost(stack: Stack, disk: Path) -> None:
    (stack.root / ".lockstitch").symlink_to(disk)
    filler = disk / "filler"
    fill(filler, leave=200_000_000)
    _, err = stack.lockstitch("stack", "up", code=1)
    assert err.count("error: ") == 1
    assert "MB free, a stack needs 300 MB" in err
    filler.unlink()
    stack.lockstitch("stack", "up")
    ids = stack.log(3, "before")
    fill(filler, leave=0)
    said = json.loads(stack.start("stack", "status", "--json").communicate(timeout=60)[0])
    assert not said["ready"]
    assert {said["services"][name]["state"] for name in ("objects", "postgres")} == {"disk full"}
    assert "0 MB free, a stack needs 64 MB" in said["services"]["objects"]["problem"]
    client = stack.client(RUNS, "40", "full")  # which tries until it can
    time.sleep(20)
    filler.unlink()
    out, _ = client.communicate(timeout=120)
    ids |= (more := dict(line.split() for line in out.splitlines()))
    assert len(more) == 40
    stack.until("ready")
    stack.check(ids)
    stack.lockstitch("stack", "down")
    fill(filler, leave=10_000_000)
    _, err = stack.lockstitch("stack", "up", code=1)
    assert "10 MB free, a stack needs 64 MB" in err
    assert err.count("error: ") == 1
    filler.unlink()
    stack.lockstitch("stack", "up")
    stack.check(ids)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """Mount a disk of 600 MB in memory."""
    folder = tmp_path / "disk"
    folder.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", "size=600m,mode=755", "tmpfs", folder]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"no disk can be mounted here: {done.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


def fill(filler: Path, leave: int) -> None:
    """Write a file that leaves so many bytes free."""
    free = shutil.disk_usage(filler.parent).free
    with contextlib.suppress(OSError), filler.open("wb") as handle:
        for _ in range(max(0, free - leave) // 1_000_000 + (leave == 0)):
            handle.write(bytes(1_000_000))


def sql(stack: Stack, text: str) -> None:
    with stack.client(SQL, text) as client:
        assert client.wait(60) == 0


@contextlib.contextmanager
def postgres_alone(stack: Stack) -> Iterator[Parts]:
    """Run the stack's PostgreSQL without the rest."""
    folder = Folder(stack.folder)
    found = next(each for each in planned(folder) if isinstance(each, Postgres))
    launch = found.launch()
    log = folder.log("postgres")
    started = process.start(guarded(launch), cwd=launch.cwd, env=launch.env, log=log, append=True)
    try:
        wait(lambda: not found.ready(), 30, about=log.read_text)
        yield found.parts
    finally:
        started.send_signal(launch.end)
        started.wait(30)
