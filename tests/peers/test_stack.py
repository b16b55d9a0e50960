"""The local stack with the real PostgreSQL, SeaweedFS and MLflow: one, for all tests here."""

import json
import os
import random
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import closing

import pytest
from support.programs import wait
from support.stack import RUNS, Stack, listening, running, shared_store

KILLS = 20
SEED = 5  # of which service is killed, and when
LOGGED = 200


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with running(shared_store(tmp_path_factory)) as made:
        yield made


def test_from_nothing_to_rows_and_bytes(stack: Stack) -> None:
    port = stack.wanted("mlflow")
    with closing(socket.create_server(("127.0.0.1", port))):
        out, err = stack.lockstitch("stack", "up")
    assert f"port {port} is taken: `mlflow` is on {port + 1}" in err
    assert f"http://127.0.0.1:{port + 1}" in out
    ids = stack.log(3, "story")
    assert sorted(ids.values()) == ["0", "1", "2"]
    stack.check(ids)
    here = {port: listening()[port] for port in stack.ports()}
    assert set().union(*here.values()) == {"0100007F"}, "on loopback, and nowhere else"


def test_no_secret_is_shown(stack: Stack) -> None:
    keys = stack.folder / "keys.json"
    assert keys.stat().st_mode & 0o777 == 0o600
    found = json.loads(keys.read_text())
    names = ("password", "secret_key", "admin", "mlflow", "session")
    secrets = [*(found[name] for name in names), *found["signing"]]
    shown = subprocess.check_output(["ps", "-eo", "args"], text=True)
    shown += "".join(path.read_text(errors="replace") for path in stack.folder.glob("logs/*"))
    shown += (
        stack.lockstitch("stack", "status", "--json")[0]
        + stack.lockstitch("stack", "logs", "--lines", "9999")[0]
    )
    assert [secret for secret in secrets if secret in shown] == []
    for path in stack.folder.iterdir():
        if path.is_file() and path.stat().st_mode & 0o077:
            assert not any(secret in path.read_text() for secret in secrets), path


def test_mlflow_answers_to_no_foreign_name(stack: Stack) -> None:
    # What keeps a page in a browser from reading it, through a name that leads to 127.0.0.1.
    import urllib3

    address = stack.variables()["MLFLOW_TRACKING_URI"]
    answer = urllib3.request("GET", address, headers={"Host": "evil.example.test"}, retries=False)
    assert answer.status == 403


@pytest.mark.nightly
def test_killed_at_random_and_nothing_acknowledged_is_lost(stack: Stack) -> None:
    chance = random.Random(SEED)
    stack.lockstitch("stack", "up")
    before = sum(service["restarts"] for service in stack.services().values())
    kept: dict[str, str] = {}
    with stack.client(RUNS, str(LOGGED), "crash") as client:
        reader = threading.Thread(target=read, args=(client, kept))
        reader.start()
        try:
            for number in range(KILLS):
                # In pairs: of each, the second may find the first still starting.
                wait(lambda: len(kept) > number // 2 * (LOGGED - 10) // (KILLS // 2), 60)  # noqa: B023 -- called at once
                kill(stack, chance.choice(["mlflow", "objects", "postgres"]), chance.random() / 2)
            reader.join(120)
        finally:
            client.kill()
            reader.join()
    assert sorted(map(int, kept.values())) == list(range(LOGGED))
    stack.until("ready")
    assert sum(service["restarts"] for service in stack.services().values()) >= before + KILLS
    stack.check(kept)


def read(client: subprocess.Popen[str], kept: dict[str, str]) -> None:
    """Keep each run that the client says has ended, with its number."""
    assert client.stdout
    for line in client.stdout:
        run, number = line.split()
        kept[run] = number


def kill(stack: Stack, name: str, after: float) -> None:
    """Kill a service in the midst of what it does."""
    wait(lambda: stack.says()[name]["state"] == "ready", 60)
    time.sleep(after)
    os.kill(stack.says()[name]["pid"], signal.SIGKILL)
    wait(lambda: stack.says()[name]["state"] != "ready", 60)


def test_down_leaves_nothing(stack: Stack) -> None:
    stack.lockstitch("stack", "down")
    assert stack.left() == []
    assert [port for port in stack.ports() if port in listening()] == []
    assert (
        stack.lockstitch("stack", "status", code=1)[1]
        == "nothing runs; to start it: lockstitch stack up\n"
    )
