"""The supervisor keeps services: started in order, started again, ended with it."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support.programs import wait

from lockstitch.errors import LockstitchError
from lockstitch.stack import machine, supervisor
from lockstitch.stack.folder import Folder
from lockstitch.stack.service import Launch
from lockstitch.stack.supervisor import FAILED, FULL, NEEDS, READY, SILENT, STOPPED, Keeper, rotate

from .stand_in import QUICK, StandIn


@contextmanager
def supervised(root: Path) -> Iterator[tuple[subprocess.Popen[bytes], Folder]]:
    folder = Folder(root)
    folder.make()
    env = os.environ | {machine.MARK: str(root)}
    running = subprocess.Popen(
        [sys.executable, Path(__file__).with_name("stand_in.py"), root], env=env
    )
    try:
        yield running, folder
    finally:
        running.kill()
        running.wait()
        machine.end(machine.marked(root), patience=1)


def states(folder: Folder) -> dict[str, str]:
    found = folder.read(folder.status).get("services", {})
    return {name: each["state"] for name, each in found.items()}


@pytest.mark.slow
def test_it_keeps_them_and_ends_them(tmp_path: Path) -> None:
    with supervised(tmp_path) as (running, folder):
        wait(lambda: states(folder) == {"first": READY, "second": READY})
        assert folder.supervisor() == running.pid
        first = folder.read(folder.status)["services"]["first"]
        assert os.getpgid(first["pid"]) == first["pid"] != os.getpgid(running.pid)
        os.kill(first["pid"], signal.SIGKILL)
        wait(lambda: folder.read(folder.status)["services"]["first"]["restarts"] == 1)
        wait(lambda: states(folder)["first"] == READY)
        assert folder.log("first").read_text() == "first starts\n" * 2
        running.send_signal(signal.SIGTERM)
        assert running.wait(10) == 0
        assert machine.marked(tmp_path) == []
        assert folder.supervisor() == 0
        assert not folder.status.exists()


def test_killed_it_takes_them_with_it(tmp_path: Path) -> None:
    with supervised(tmp_path) as (running, folder):
        wait(lambda: states(folder) == {"first": READY, "second": READY})
        assert len(machine.marked(tmp_path)) == 3
        running.kill()
        running.wait()
        wait(lambda: machine.marked(tmp_path) == [])
        assert folder.status.exists(), "nobody was there to remove it"
        assert folder.supervisor() == 0, "and it is not believed"


def keep(tmp_path: Path, *services: StandIn) -> dict[str, Keeper]:
    keepers: dict[str, Keeper] = {}
    for service in services:
        log = tmp_path / f"{service.name}.log"
        keepers[service.name] = Keeper(service, log, keepers, lambda: None, QUICK)
    for keeper in keepers.values():
        keeper.start()
    return keepers


def test_what_never_answers_fails_after_three_tries(tmp_path: Path) -> None:
    bad = StandIn(root=tmp_path, name="bad", program="echo no >&2; exit 3")
    after = StandIn(root=tmp_path, name="after", needs=("bad",))
    keepers = keep(tmp_path, bad, after)
    for keeper in keepers.values():
        keeper.join(10)
    status = keepers["bad"].status
    assert (status.state, status.problem) == (FAILED, "ended with exit code 3")
    assert (tmp_path / "bad.log").read_text() == "no\n" * 3
    assert (keepers["after"].status.state, keepers["after"].status.problem) == (FAILED, NEEDS)


def test_what_cannot_be_started_says_why(tmp_path: Path) -> None:
    class Refuses(StandIn):
        def launch(self) -> Launch:
            message = "of another version"
            raise LockstitchError(message, hint="move it away")

    keeper = keep(tmp_path, Refuses(root=tmp_path, name="old"))["old"]
    keeper.join(10)
    assert keeper.status.state == FAILED
    assert keeper.status.problem == "of another version\nhint: move it away"


def test_what_does_not_listen_is_killed_with_all_its_children(tmp_path: Path) -> None:
    deaf = "trap '' TERM; sleep 61 & echo $! > child; echo $$ > $NAME.up; wait; sleep 62"
    keeper = keep(tmp_path, StandIn(root=tmp_path, name="deaf", program=deaf))["deaf"]
    wait(lambda: keeper.status.state == READY)
    assert len(machine.marked(tmp_path)) == 2
    keeper.stop()
    keeper.join(10)
    assert keeper.status.state == STOPPED
    wait(lambda: machine.marked(tmp_path) == [])


def test_what_hangs_is_killed_and_started_again(tmp_path: Path) -> None:
    deaf = "trap '' TERM; echo $$ > $NAME.up; while :; do sleep 60; done"
    keeper = keep(tmp_path, StandIn(root=tmp_path, name="deaf", program=deaf))["deaf"]
    wait(lambda: keeper.status.state == READY)
    first = keeper.status.pid
    hangs = tmp_path / "deaf.hangs"
    hangs.touch()
    wait(lambda: keeper.status.restarts == 1)
    hangs.unlink()
    wait(lambda: keeper.status.state == READY)
    assert keeper.status.pid != first
    assert machine.identity(first) == ""
    keeper.stop()
    keeper.join(10)


@pytest.mark.parametrize("why", ["the disk is full", "what it needs is not ready"])
def test_what_is_not_its_own_fault_is_said_and_no_reason_to_kill_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, why: str
) -> None:
    first, second = (
        StandIn(root=tmp_path, name="first"),
        StandIn(root=tmp_path, name="second", needs=("first",)),
    )
    keepers = keep(tmp_path, first, second)
    wait(lambda: keepers["second"].status.state == READY)
    if "disk" in why:
        monkeypatch.setattr(supervisor, "full", lambda folder, wanted: "no room")
    else:
        keepers["first"].stop()
        keepers["first"].join(10)
    hangs = tmp_path / "second.hangs"
    hangs.touch()
    wait(lambda: keepers["second"].status.state == SILENT)
    assert keepers["second"].status.problem == "it hangs"
    time.sleep(0.2)  # ten looks
    assert keepers["second"].status.restarts == 0
    hangs.unlink()
    wait(lambda: keepers["second"].status.state == READY)
    assert keepers["second"].status.problem == ""
    for keeper in keepers.values():
        keeper.stop()
        keeper.join(10)


def test_what_goes_wrong_on_a_full_disk_rests_until_there_is_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = 10**9

    def full(folder: Path, wanted: int) -> str:
        assert folder == tmp_path
        return "" if free >= wanted else f"{free} of {wanted}"

    monkeypatch.setattr(supervisor, "full", full)
    deaf = "trap '' TERM; echo $$ > $NAME.up; while :; do sleep 60; done"
    keeper = keep(tmp_path, StandIn(root=tmp_path, name="store", program=deaf, rests=True))["store"]
    wait(lambda: keeper.status.state == READY)
    first = keeper.status.pid
    free = 63_000_000
    wait(lambda: keeper.status.state == FULL)
    assert (keeper.status.pid, keeper.status.problem) == (0, "63000000 of 128000000")
    assert machine.identity(first) == ""
    free = 100_000_000  # enough to run, and not to begin again
    wait(lambda: keeper.status.problem == "100000000 of 128000000")
    time.sleep(0.1)  # ten looks
    assert keeper.status.state == FULL
    free = 130_000_000
    wait(lambda: keeper.status.state == READY)
    assert keeper.status.restarts == 0
    free = 0
    wait(lambda: keeper.status.state == FULL)
    keeper.stop()
    keeper.join(10)
    assert keeper.status.state == STOPPED


def test_a_pid_that_is_used_again_is_not_the_supervisor(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    me = {"pid": os.getpid(), "identity": machine.identity(os.getpid()), "services": {}}
    folder.write(folder.status, me)
    assert folder.supervisor() == os.getpid()
    folder.write(folder.status, me | {"identity": "another boot:1"})
    assert folder.supervisor() == 0
    folder.write(folder.status, me | {"pid": 2**22 + 1, "identity": ""})
    assert folder.supervisor() == 0
    for broken in ("", "{", "[]", '{"pid": "1"}'):
        folder.status.write_text(broken)
        assert folder.supervisor() == 0


def test_a_long_log_moves_away_and_its_writer_goes_on(tmp_path: Path) -> None:
    log = tmp_path / "x.log"
    rotate(log, 10)  # none yet
    with log.open("ab", buffering=0) as writer:
        for number in range(6):
            writer.write(b"%d" % number * 10)
            rotate(log, 10)
    assert log.read_bytes() == b""
    texts = [log.with_name(f"x.log.{n}").read_bytes() for n in (1, 2, 3)]
    assert texts == [b"5" * 10, b"4" * 10, b"3" * 10]
    assert not log.with_name("x.log.4").exists()
    assert log.with_name("x.log.1").stat().st_mode & 0o777 == 0o600


@pytest.mark.skipif(os.geteuid() != 0, reason="only root is refused by PostgreSQL")
def test_root_becomes_nobody_in_a_namespace(tmp_path: Path) -> None:
    launch = Launch(
        words=["sh", "-c", "id -u; touch made"], cwd=tmp_path, env=dict(os.environ), who="namespace"
    )
    from lockstitch import process
    from lockstitch.stack.service import guarded

    done = process.run(guarded(launch), cwd=tmp_path, check=False)
    if "no user namespace" in done.stderr:
        pytest.skip("no user namespaces here")
    assert done.stdout == "65534\n"
    assert (tmp_path / "made").stat().st_uid == 0
