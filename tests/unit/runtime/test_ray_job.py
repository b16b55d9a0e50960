"""A job of Ray by a stand-in for its client; tests/peers/test_ray.py has the real one."""

import argparse
import http.server
import io
import logging
import subprocess
import sys
import tarfile
import threading
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType

import pytest

from lockstitch.runtime import ray_job

RANKS = """\
import os, sys
def facts():
    return {"facts": {"python.version": "3.11.7"}}
if __name__ == "__main__":
    open(sys.argv[sys.argv.index("--report") + 1], "w").write("{}")
    words = sys.argv[sys.argv.index("--") + 1:]
    os.execvp(words[0], words)
"""


def packed(*names: str, link: str = "") -> bytes:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as archive:
        for name in names:
            member = tarfile.TarInfo(name)
            member.size = 5
            archive.addfile(member, io.BytesIO(b"bytes"))
        if link:
            member = tarfile.TarInfo("models/link")
            member.type, member.linkname = tarfile.SYMTYPE, link
            archive.addfile(member)
        report = tarfile.TarInfo(ray_job.REPORT)
        archive.addfile(report, io.BytesIO())
    return data.getvalue()


@dataclass
class Info:
    status: str
    message: str = "no node has 64 CPUs"
    driver_exit_code: int | None = None
    driver_node_id: str = "node1"
    submission_id: str = "job1"


class Status(str):
    __slots__ = ()

    def is_terminal(self) -> bool:
        return self in {"SUCCEEDED", "FAILED", "STOPPED"}


@dataclass
class Client:
    """The job goes through `infos`, and stays at the last one."""

    infos: list[Info]
    interrupted: bool = False
    stopped: list[str] = field(default_factory=list)
    submitted: dict[str, object] = field(default_factory=dict)
    _headers: dict[str, str] = field(default_factory=dict)

    def submit_job(self, **words: object) -> str:
        self.submitted = words
        return "job1"

    def get_job_info(self, job: str) -> Info:
        info = self.infos.pop(0) if len(self.infos) > 1 else self.infos[0]
        info.status = Status(info.status)
        assert job == info.submission_id
        return info

    def stop_job(self, job: str) -> None:
        self.stopped.append(job)

    async def tail_job_logs(self, job: str) -> AsyncIterator[str]:
        yield f"{job} works\n"
        if self.interrupted:
            raise KeyboardInterrupt


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    own = tmp_path / "files" / ray_job.HERE
    own.mkdir(parents=True)
    (own / "ranks.py").write_text(RANKS)
    (own / "env.json").write_text('{"DATA": "./data:/etc", "PLAIN": "1"}')
    (tmp_path / "project").mkdir()
    monkeypatch.setattr(ray_job, "POLL", 0.01)
    return tmp_path


@pytest.fixture
def answers() -> Iterator[dict[str, bytes]]:
    """Serve Ray's logs on this machine, by the names of files."""
    files: dict[str, bytes] = {}

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            files["asked"] = self.path.encode()
            data = files.get("data")
            self.send_response(200 if data is not None else 500)
            self.end_headers()
            self.wfile.write(data or b"")

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        files["address"] = f"http://127.0.0.1:{server.server_port}".encode()
        yield files
        server.shutdown()


def submit(folder: Path, client: Client, monkeypatch: pytest.MonkeyPatch, *more: str) -> int:
    module = ModuleType("ray.job_submission")
    vars(module)["JobSubmissionClient"] = lambda _: client
    monkeypatch.setitem(sys.modules, "ray", ModuleType("ray"))
    monkeypatch.setitem(sys.modules, "ray.job_submission", module)
    words = ["--folder", str(folder / "files"), "--into", str(folder / "project"), *more]
    return ray_job.main([*words, "--output", "models", "--", "python", "train.py", "--lr", "1"])


def test_a_job_ends_with_its_outputs(
    folder: Path,
    answers: dict[str, bytes],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    answers["data"] = packed("models/a/weights.bin")
    client = Client([Info("PENDING"), Info("RUNNING"), Info("SUCCEEDED", driver_exit_code=0)])
    code = submit(folder, client, monkeypatch, "--address", answers["address"].decode())
    assert (code, capsys.readouterr().out) == (0, "job1 works\n")
    assert (folder / "project/models/a/weights.bin").read_bytes() == b"bytes"
    assert (folder / "files" / ray_job.REPORT).exists()
    assert b"node_id=node1&filename=lockstitch-job1.tar&lines=-1" in answers["asked"]
    assert str(client.submitted["entrypoint"]).endswith(
        "--inside --workdir . --output models -- python train.py --lr 1"
    )
    variables = {"DATA": "./data:/etc", "PLAIN": "1"}
    files = {"working_dir": str(folder / "files"), "env_vars": variables}
    assert client.submitted["runtime_env"] == files
    assert logging.getLogger("ray").level == logging.WARNING


@pytest.mark.parametrize("data", [None, packed("models/a")[:700], b"no archive"])
def test_outputs_that_did_not_come_whole_are_an_error(
    folder: Path,
    answers: dict[str, bytes],
    data: bytes | None,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if data is not None:
        answers["data"] = data
    client = Client([Info("SUCCEEDED", driver_exit_code=0)])
    assert submit(folder, client, monkeypatch, "--address", answers["address"].decode()) == 1
    assert "the outputs of job job1 did not come whole" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("info", "code"),
    [
        (Info("FAILED", driver_exit_code=3), 3),
        (Info("FAILED", driver_exit_code=-9), 137),
        (Info("FAILED", message="its node is lost"), 1),
        (Info("STOPPED", message="by another"), 1),
    ],
)
def test_the_exit_code_is_the_programs(
    folder: Path,
    info: Info,
    code: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert submit(folder, Client([info]), monkeypatch) == code
    assert (info.message in capsys.readouterr().err) == (info.driver_exit_code is None)


def test_a_job_that_waits_too_long_is_stopped(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    client = Client([Info("PENDING")])
    assert submit(folder, client, monkeypatch, "--max-wait", "0.05") == 1
    assert client.stopped == ["job1"]
    message = "job job1 was stopped: it waited 0.05 s for: no node has 64 CPUs"
    assert message in capsys.readouterr().err


def test_ctrl_c_stops_the_job(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    client = Client([Info("RUNNING"), Info("RUNNING"), Info("STOPPED")], interrupted=True)
    assert submit(folder, client, monkeypatch) == 130
    assert client.stopped == ["job1"]


def test_a_cluster_that_is_gone_is_said(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    client = Client([Info("RUNNING")])
    monkeypatch.setattr(client, "get_job_info", lambda _: (_ for _ in ()).throw(RuntimeError("x")))
    assert submit(folder, client, monkeypatch) == 1
    assert capsys.readouterr().err.endswith("error: x\n")


def test_an_archive_writes_below_the_outputs_alone(folder: Path) -> None:
    data = packed("models/a", "models/../../b", "/c", "other/d", "modelse", link="/etc/passwd")
    into = folder / "project"
    options = argparse.Namespace(output=["models/"], into=str(into), folder=str(folder / "files"))
    assert ray_job.unpack(io.BytesIO(data), options)
    assert [str(path.relative_to(into)) for path in into.rglob("*") if not path.is_dir()] == [
        "models/a"
    ]
    assert not (folder / "b").exists()


@pytest.mark.parametrize(("code", "ends"), [("", 0), ("sys.exit(4)", 4)])
def test_in_the_job_outputs_are_packed_beside_the_log(folder: Path, code: str, ends: int) -> None:
    log = folder / "job-driver-job1.log"
    text = "import os, sys; open('models/data', 'w').write(os.environ['DATA']); " + code
    words = ["--inside", "--output", "models", "--", sys.executable, "-c", text]
    with log.open("wb") as output:
        done = subprocess.run(
            [sys.executable, ray_job.__file__, *words],
            cwd=folder / "files",
            stdout=output,
            check=False,
        )
    assert (done.returncode, log.read_text()) == (ends, "")
    assert (folder / "files/models/data").read_text() == f"{folder}/files/data:/etc"
    archive = folder / "lockstitch-job1.tar"
    assert archive.exists() == (ends == 0)
    if ends == 0:
        with tarfile.open(archive) as there:
            assert there.getnames() == ["models", "models/data", ray_job.REPORT]
