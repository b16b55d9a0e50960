"""Ranks compare their environments before the program starts, over a real socket."""

import json
import os
import re
import socket
import subprocess
import sys
import threading
import venv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lockstitch import ranks
from lockstitch.net.transport import free_port

FILE = Path(ranks.__file__)
STARTED = ["python", "-c", "import os; print('rank', os.environ['RANK'], 'works')"]


@pytest.fixture(autouse=True, scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """An environment without packages, first on PATH: its fingerprint is quick to read."""
    folder = tmp_path_factory.mktemp("ranks")
    venv.create(folder, symlinks=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", f"{folder / 'bin'}:{os.environ['PATH']}")
        yield folder


def run(
    size: int, changes: dict[int, dict[str, str]] | None = None, *options: str, started: int = 0
) -> list[subprocess.CompletedProcess[str]]:
    """Run ranks at the same time, each with its own variables, and return them by rank."""
    common = {
        **{name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"},
        "WORLD_SIZE": str(size),
        "MASTER_ADDR": "127.0.0.1",
        "LOCKSTITCH_RANKS_PORT": str(free_port()),
    }
    running = [
        subprocess.Popen(
            ["python", FILE, *options, "--", *STARTED],
            env={**common, "RANK": str(rank), **(changes or {}).get(rank, {})},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(started or size)
    ]
    done = []
    for process in running:
        out, err = process.communicate(timeout=60)
        done.append(subprocess.CompletedProcess(process.args, process.returncode, out, err))
    return done


def site(folder: Path, version: str, text: str = "") -> str:
    """Install a package of one module by hand, and return its folder."""
    info = folder / f"thing-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: thing\nVersion: {version}\n")
    import base64
    import hashlib

    content = b"VALUE = 1\n"
    digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
    (info / "RECORD").write_text(f"thing.py,sha256={digest},{len(content)}\n")
    (folder / "thing.py").write_text(text or content.decode())
    return str(folder)


@pytest.mark.slow
def test_ranks_with_one_environment_start_and_rank_0_leaves_a_report(tmp_path: Path) -> None:
    done = run(3, None, "--report", str(tmp_path / "ranks.json"))
    assert [each.returncode for each in done] == [0, 0, 0]
    assert [each.stdout.strip() for each in done] == [f"rank {n} works" for n in range(3)]
    assert "3 ranks, one environment" in done[0].stderr
    report = json.loads((tmp_path / "ranks.json").read_text())
    assert [each["rank"] for each in report["ranks"]] == [0, 1, 2]
    assert report["fingerprint"]["python"]["version"] == ".".join(map(str, sys.version_info[:3]))


@pytest.mark.slow
def test_another_setting_of_threads_ends_every_rank_with_a_table() -> None:
    done = run(3, {2: {"OMP_NUM_THREADS": "1"}})
    assert [each.returncode for each in done] == [ranks.DIFFER] * 3
    assert all("works" not in each.stdout for each in done)
    assert "differ in 1 thing that can change results" in done[0].stderr
    row = next(line for line in done[0].stderr.splitlines() if "OMP_NUM_THREADS" in line)
    assert row.split()[:2] == ["variable.OMP_NUM_THREADS", "missing"]
    assert "1 (rank 2 (" in row


@pytest.mark.slow
def test_a_difference_that_is_allowed_is_noted() -> None:
    done = run(2, {1: {"OMP_NUM_THREADS": "1"}}, "--allow", "variable.OMP_NUM_THREADS")
    assert [each.returncode for each in done] == [0, 0]
    assert "noted: variable.OMP_NUM_THREADS" in done[0].stderr


@pytest.mark.slow
def test_one_package_of_another_version_is_named(tmp_path: Path) -> None:
    paths = [site(tmp_path / name, name) for name in ("1.0", "1.1")]
    done = run(2, {rank: {"PYTHONPATH": path} for rank, path in enumerate(paths)})
    assert [each.returncode for each in done] == [ranks.DIFFER] * 2
    row = next(line for line in done[0].stderr.splitlines() if "package.thing " in line)
    assert row.split()[:2] == ["package.thing", "1.0"]
    assert "1.1 (rank 1" in row


@pytest.mark.slow
def test_an_edited_file_is_named(tmp_path: Path) -> None:
    paths = [site(tmp_path / "a", "1.0"), site(tmp_path / "b", "1.0", "VALUE = 2\n")]
    done = run(2, {rank: {"PYTHONPATH": path} for rank, path in enumerate(paths)})
    assert re.search(r"changed thing\.py [0-9a-f]{12} \(rank 1", done[0].stderr)


def test_two_edits_of_one_file_are_a_difference(tmp_path: Path) -> None:
    paths = [site(tmp_path / name, "1.0", f"VALUE = '{name}'\n") for name in ("a", "b")]
    done = run(2, {rank: {"PYTHONPATH": path} for rank, path in enumerate(paths)})
    assert [each.returncode for each in done] == [ranks.DIFFER] * 2
    assert "package.thing.edited" in done[0].stderr


@pytest.mark.slow
def test_a_rank_that_never_comes_is_named_after_the_time() -> None:
    done = run(3, None, "--timeout", "2", started=2)
    assert [each.returncode for each in done] == [ranks.SILENT] * 2
    assert "no answer within 2 s from rank 2" in done[0].stderr


@pytest.mark.slow
def test_a_rank_that_dies_before_it_answers_is_named_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    number = free_port()
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("LOCKSTITCH_RANKS_PORT", str(number))
    ended: list[str] = []

    def listen() -> None:
        try:
            ranks.check(timeout=50)
        except ranks.RankSilent as error:
            ended.append(str(error))

    rank_0 = threading.Thread(target=listen)
    rank_0.start()
    while True:
        try:
            connection = socket.create_connection(("127.0.0.1", number))
            break
        except OSError:
            continue
    hello = json.dumps({"key": "", "rank": 1, "node": "node42"}).encode()
    connection.sendall(len(hello).to_bytes(8, "big") + hello)
    connection.close()
    rank_0.join(20)
    assert ended == ["rank 1 (node42) ended before it answered: the connection ended"]


@pytest.mark.slow
def test_a_stranger_without_the_jobs_key_is_not_heard() -> None:
    done = run(2, {1: {"LOCKSTITCH_RANKS_KEY": "other"}}, "--timeout", "3")
    assert done[0].returncode == ranks.SILENT
    assert "no answer within 3 s from rank 1" in done[0].stderr


@pytest.mark.slow
def test_a_communicator_of_the_program_gathers_in_place_of_a_socket() -> None:
    class Communicator:  # what mpi4py's has
        def allgather(self, text: str) -> list[str]:
            return [text, text]

    assert ranks.check(Communicator()).severe == []

    def other(text: str) -> list[str]:
        document = json.loads(text)
        document["facts"]["package.numpy"] = "1.26.4"
        return [text, json.dumps(document)]

    with pytest.raises(ranks.RanksDiffer, match=r"package\.numpy"):
        ranks.check(other)


def test_facts_that_were_gathered_by_a_caller_are_compared() -> None:
    def worker(cpu: str, version: str) -> dict[str, Any]:
        return {"rank": 0, "node": "n", "facts": {"cpu.model": cpu, "package.numpy": version}}

    report = ranks.compare([worker("a", "2.0"), worker("b", "2.0")])
    assert [*report.differences] == ["cpu.model"]
    assert [each["rank"] for each in report.document()["ranks"]] == [0, 1]
    with pytest.raises(ranks.RanksDiffer, match=r"rank 1 \(n\)"):
        ranks.compare([worker("a", "2.0"), worker("a", "2.1")])


def test_a_program_alone_needs_no_connection() -> None:
    done = run(1)
    assert done[0].returncode == 0
    assert "rank 0 works" in done[0].stdout


def test_a_cluster_of_ray_that_does_not_answer_is_one_line(tmp_path: Path) -> None:
    # As Ray says it: the last line has the reason.
    util = tmp_path / "ray" / "util"
    util.mkdir(parents=True)
    (util / "__init__.py").write_text("")
    (util / "scheduling_strategies.py").write_text("NodeAffinitySchedulingStrategy = None\n")
    (tmp_path / "ray" / "__init__.py").write_text(
        "def init(**_):\n    raise ConnectionAbortedError('of a server:\\n\\nno such port\\n')\n"
    )
    done = subprocess.run(
        ["python", FILE, "--ray", "--", *STARTED],
        env={**os.environ, "PYTHONPATH": str(tmp_path), "RAY_ADDRESS": "ray://head:10001"},
        check=False,
        capture_output=True,
        text=True,
    )
    message = "error: Ray at ray://head:10001 did not answer: no such port\n"
    assert (done.returncode, done.stdout, done.stderr) == (88, "", message)


def test_packages_that_ray_brings_in_its_own_folder_are_rays_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in ("thirdparty_files", "other"):
        info = tmp_path / folder / f"of_{folder}-1.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: of-{folder}\nVersion: 1\n")
        (info / "RECORD").write_text("")
        monkeypatch.syspath_prepend(tmp_path / folder)
    before = sys.path[:]
    names = {name for name in ranks.facts()["facts"] if name.startswith("package.of-")}
    assert names == {"package.of-other"}
    assert sys.path == before
