"""A serving image's command, started from its environment and asked."""

import sys
from pathlib import Path

import pytest
from support import projects

from lockstitch.errors import LockstitchError
from lockstitch.python.load import load
from lockstitch.run import serving

pytestmark = pytest.mark.slow

SERVER = """\
import http.server, json, sys

SCHEMAS = {"Row": {"examples": [{"x": 2}]}}
BODY = {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Row"}}}}
OPENAPI = {
    "paths": {"/predict": {"post": {"requestBody": BODY}}},
    "components": {"schemas": SCHEMAS},
}

class Handler(http.server.BaseHTTPRequestHandler):
    def answer(self, document, status=200):
        self.send_response(status)
        self.end_headers()
        self.wfile.write(json.dumps(document).encode())

    def do_GET(self):
        self.answer(OPENAPI if self.path == "/openapi.json" else {"status": "healthy"})

    def do_POST(self):
        sent = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.answer({"twice": sent["x"] * 2}, 500 if "broken" in sys.argv else 200)

http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""


@pytest.fixture
def served(tmp_path: Path) -> Path:
    """A project whose environment holds this Python, and whose server is real."""
    command = '["python", "app/main.py", "8000"]'
    pyproject = projects.PYPROJECT.replace('["python", "app/main.py"]', command)
    files = dict(projects.FILES) | {"app/main.py": SERVER}
    root = projects.write(tmp_path / "tiny", pyproject=pyproject, files=files)
    programs = root / ".venv" / "bin"
    programs.mkdir(parents=True)
    (programs / "python").write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    (programs / "python").chmod(0o755)
    return root


def test_the_serving_program_is_started_asked_and_stopped(served: Path) -> None:
    project = load(served)
    with serving.running(project, project.image("serve"), served / "log") as address:
        assert serving.ask_health(address, "/health") == '{"status": "healthy"}'
        assert serving.ask_prediction(address) == '{"twice": 4}'
    with pytest.raises(LockstitchError, match="does not answer"):
        serving.ask_health(address, "/health")


def test_a_program_that_ends_is_named_with_its_last_words(served: Path) -> None:
    (served / "app" / "main.py").write_text("raise SystemExit('no model here')\n")
    project = load(served)
    with (
        pytest.raises(LockstitchError, match=r"ended with exit code 1\nno model here") as caught,
        serving.running(project, project.image("serve"), served / "log"),
    ):
        pass
    assert caught.value.hint == f"read {served / 'log'}"


def test_an_answer_that_is_an_error_is_shown(served: Path) -> None:
    projects.replace(served, '"8000"]', '"8000", "broken"]')
    project = load(served)
    with (
        serving.running(project, project.image("serve"), served / "log") as address,
        pytest.raises(LockstitchError, match="HTTP 500"),
    ):
        serving.ask_prediction(address)
