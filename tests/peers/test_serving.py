"""The churn service as it runs: schemathesis on its document, and its end under load."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.programs import UV

from .conftest import RealProject

LOAD = Path(__file__).parents[2] / "bench" / "load.py"
SECONDS = float(os.environ.get("LOAD_SECONDS", "20"))  # `make nightly` says 600
RUNS = 4.0  # seconds between the ends of the service
STARTS = 400  # looks, one each 50 ms, for a service that starts

pytestmark = pytest.mark.network


class Service:
    """The service, which can be ended and started again on its port."""

    def __init__(self, project: RealProject, log: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._root = project.root
        self._log = log
        self.start()

    def start(self) -> None:
        command = [self._root / ".venv" / "bin" / "python", "src/api.py", "--port", str(self.port)]
        with self._log.open("ab") as log:  # no HOME, and nothing else either
            self.process = subprocess.Popen(command, cwd=self._root, env={}, stdout=log, stderr=log)
        for _ in range(STARTS):
            with contextlib.suppress(OSError):
                if self.get("/ready") == {"status": "ready"}:
                    return
            assert self.process.poll() is None, self._log.read_text()[-3000:]
            time.sleep(0.05)
        pytest.fail(self._log.read_text()[-3000:])

    def get(self, path: str) -> Any:
        with urllib.request.urlopen(self.url + path, timeout=10) as answer:
            return json.load(answer)

    def end(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(30)

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self._log.read_text().splitlines()]


@pytest.fixture(scope="module")
def service(
    project: RealProject, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[], Service]]:
    running: list[Service] = []

    def start() -> Service:
        running.append(Service(project, tmp_path_factory.mktemp("service") / "log"))
        return running[-1]

    yield start
    for each in running:
        each.process.kill()
        each.process.wait()


@pytest.fixture(scope="module")
def customer(service: Callable[[], Service]) -> dict[str, Any]:
    document = service().get("/openapi.json")
    (example,) = document["components"]["schemas"]["Customer"]["examples"]
    return dict(example)


def _under_load(
    url: str, body: Path, *words: str, seconds: float = SECONDS
) -> subprocess.Popen[str]:
    command: list[str | Path] = [
        sys.executable,
        LOAD,
        url,
        "--body",
        body,
        "--seconds",
        str(seconds),
        *words,
    ]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def _report(load: subprocess.Popen[str], seconds: float = SECONDS) -> dict[str, Any]:
    output, _ = load.communicate(timeout=seconds + 60)
    assert load.returncode == 0
    return dict(json.loads(output))


def test_schemathesis_finds_nothing(service: Callable[[], Service], tmp_path: Path) -> None:
    uvx = [UV, "tool", "run", "--quiet", "--from", "schemathesis>=4.32,<5", "schemathesis"]
    checks = ["--checks", "all", "--seed", "20", "--continue-on-failure", "--no-color"]
    done = subprocess.run(
        [*uvx, "run", f"{service().url}/openapi.json", *checks],
        cwd=tmp_path,  # it keeps a cache where it is
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "6 selected / 6 total" in done.stdout


def test_no_accepted_request_is_lost(
    service: Callable[[], Service], customer: dict[str, Any], tmp_path: Path
) -> None:
    running = service()
    one, several = tmp_path / "one.json", tmp_path / "several.json"
    one.write_text(json.dumps(customer))
    several.write_text(json.dumps({"customers": [customer] * 100}))
    loads = [
        _under_load(f"{running.url}/predict", one, "--connections", "8"),
        _under_load(f"{running.url}/predict", one, "--connections", "4", "--fresh"),
        _under_load(f"{running.url}/predict/batch", several, "--connections", "3"),
    ]
    codes = []
    until = time.monotonic() + SECONDS - RUNS
    while time.monotonic() < until:
        time.sleep(RUNS)
        codes.append(running.end())
        running.start()
    reports = [_report(load) for load in loads]
    assert len(codes) >= SECONDS / RUNS / 2
    assert set(codes) == {0}
    for report in reports:
        assert report["lost"] == []
        assert report["statuses"].keys() <= {"200", "503"}
        assert report["statuses"]["200"] > SECONDS
    levels = {line["level"] for line in running.lines()}
    assert levels == {"info"}


def test_the_load_notices_a_loss(
    service: Callable[[], Service], customer: dict[str, Any], tmp_path: Path
) -> None:
    running = service()
    body = tmp_path / "several.json"
    body.write_text(json.dumps({"customers": [customer] * 1000}))
    load = _under_load(f"{running.url}/predict/batch", body, "--connections", "4", seconds=2)
    time.sleep(1.5)
    running.end(signal.SIGKILL)
    assert _report(load, 2)["lost"]


def test_chunks_over_the_limit_are_refused(service: Callable[[], Service]) -> None:
    running = service()
    head = "POST /predict HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n"
    chunk = b"10000\r\n" + b" " * 65536 + b"\r\n"
    with socket.create_connection(("127.0.0.1", running.port), 10) as connection:
        connection.sendall(f"{head}content-type: application/json\r\n\r\n".encode())
        answer = b""
        with contextlib.suppress(ConnectionError):
            for _ in range(17):
                connection.sendall(chunk)
        while part := connection.recv(65536):
            answer += part
    assert answer.startswith(b"HTTP/1.1 413 ")


def test_the_environment_is_told(service: Callable[[], Service], project: RealProject) -> None:
    info = service().get("/info")
    assert info["environment"]["python"].startswith("3.11.")
    assert [p for p in info["environment"]["packages"] if p.startswith("onnxruntime==")]
    record = project.root / "models" / "run.json"
    assert info["run"] == (json.loads(record.read_text()) if record.exists() else None)
    assert info["differences"] == {}


def test_a_wrong_path_is_not_found(service: Callable[[], Service]) -> None:
    with pytest.raises(urllib.error.HTTPError, match="404"):
        service().get("/nothing")
