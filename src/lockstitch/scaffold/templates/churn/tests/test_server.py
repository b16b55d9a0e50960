"""The service as a process: what it logs and counts, and how it ends."""

import contextlib
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import api
from churn import schema, server

HEADERS = {"content-type": "application/json"}
BODY = json.dumps(schema.example())


class Service:
    """A running service, and a kept connection to it."""

    def __init__(self, model: Path, **variables: str) -> None:
        """Start it and wait until it is ready."""
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port = probe.getsockname()[1]
        self.process = subprocess.Popen(  # noqa: S603 - our own program
            [sys.executable, str(api.__file__), "--port", str(self.port)],
            env=os.environ | {"MODEL_PATH": str(model)} | variables,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.connection = self.connect()
        for _ in range(200):
            with contextlib.suppress(OSError):
                if self.ask("GET", "/ready")[0] == 200:
                    return
            self.connection.close()
            time.sleep(0.05)
        pytest.fail("the service does not start")

    def connect(self) -> http.client.HTTPConnection:
        """Return a connection of its own."""
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)

    def ask(self, method: str, path: str, body: str | None = None, **headers: str) -> Any:
        """Return status, text and headers of an answer."""
        self.connection.request(method, path, body, HEADERS | headers)
        answer = self.connection.getresponse()
        return answer.status, answer.read().decode(), dict(answer.getheaders())

    def end(self) -> tuple[int, list[dict[str, Any]]]:
        """Ask it to end, and return its status and what it logged."""
        self.process.send_signal(signal.SIGTERM)
        output, _ = self.process.communicate(timeout=20)
        return self.process.returncode, [json.loads(line) for line in output.splitlines()]


@pytest.fixture
def service(models: Path) -> Iterator[Service]:
    """Start a service with the trained model."""
    running = Service(models / "model.onnx")
    yield running
    running.connection.close()
    running.process.kill()
    running.process.wait()


def test_log_and_metrics(service: Service) -> None:
    """Each request has an id, one line of JSON and a place in the numbers; no customer has."""
    status, _, headers = service.ask("POST", "/predict", BODY, **{"x-request-id": "mine-1"})
    assert (status, headers["x-request-id"]) == (200, "mine-1")
    _, _, headers = service.ask("POST", "/predict", '{"gender": "Zz"}', **{"x-request-id": "a b"})
    assert re.fullmatch(r"[0-9a-f]{32}", headers["x-request-id"])
    assert service.ask("GET", "/customers/Zz?name=Zz")[0] == 404
    numbers = service.ask("GET", "/metrics")[1]
    code, lines = service.end()
    assert code == 0
    assert 'http_requests_total{path="/predict",status="200"} 1.0' in numbers
    assert 'http_requests_total{path="/predict",status="422"} 1.0' in numbers
    assert 'http_requests_total{path="other",status="404"} 1.0' in numbers
    assert 'predictions_total{churn="true"} 1.0' in numbers
    assert re.search(r'model_info\{sha256="[0-9a-f]{64}"\} 1\.0', numbers)
    asked = [line for line in lines if line["message"] == "request" and line["path"] != "/ready"]
    assert [(line["method"], line["path"], line["status"]) for line in asked] == [
        ("POST", "/predict", 200),
        ("POST", "/predict", 422),
        ("GET", "other", 404),
        ("GET", "/metrics", 200),
    ]
    assert asked[0]["request_id"] == "mine-1"
    assert all(line["ms"] > 0 for line in asked)
    assert "Zz" not in json.dumps(lines) + numbers


def test_the_end_loses_no_request(service: Service) -> None:
    """What was begun is answered, a kept connection has one more, and a new one is refused."""
    slow = socket.create_connection(("127.0.0.1", service.port), 10)
    head = f"POST /predict HTTP/1.1\r\nhost: x\r\ncontent-length: {len(BODY)}\r\n"
    slow.sendall(f"{head}content-type: application/json\r\n\r\n{BODY[:100]}".encode())
    time.sleep(0.2)
    service.process.send_signal(signal.SIGTERM)
    with pytest.raises(ConnectionRefusedError):
        for _ in range(200):  # uvicorn looks for the signal ten times a second
            socket.create_connection(("127.0.0.1", service.port), 10).close()
            time.sleep(0.02)
    status, text, headers = service.ask("GET", "/ready")
    assert (status, json.loads(text)) == (503, {"detail": "the service is stopping"})
    assert headers["connection"] == "close"
    slow.sendall(BODY[100:].encode())
    answer = b"".join(iter(lambda: slow.recv(65536), b""))
    slow.close()
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["churn"] is True
    assert service.process.wait(10) == 0


def test_a_drain_keeps_the_door_open(models: Path) -> None:
    """With DRAIN_SECONDS, new connections are served for a while, and told to go elsewhere."""
    service = Service(models / "model.onnx", DRAIN_SECONDS="1")
    service.process.send_signal(signal.SIGTERM)
    time.sleep(0.3)  # without a drain it would be over by now
    late = service.connect()
    late.request("GET", "/ready")
    assert late.getresponse().status == 503
    late.close()
    service.connection.close()
    assert service.process.wait(10) == 0


def test_wrong_model_is_one_line(tmp_path: Path) -> None:
    """The program ends with the reason."""
    done = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, str(api.__file__)],
        env=os.environ | {"MODEL_PATH": str(tmp_path / "model.onnx")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr == f"api.py: cannot read {tmp_path}/model.onnx: No such file or directory\n"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux filters what a listener gets")
def test_nobody_begins_at_a_closing_door() -> None:
    """A connection made before goes on; a new one waits, and is not reset."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        place = listener.getsockname()
        with socket.create_connection(place) as before:
            server._drop_new(listener)
            before.sendall(b"a request")
            with pytest.raises(TimeoutError):
                socket.create_connection(place, timeout=0.2)
            accepted, _ = listener.accept()
            with accepted:
                assert accepted.recv(100) == b"a request"
