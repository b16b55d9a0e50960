"""The parts of the demo: other worlds, the serving program, the table."""

import json
import sys
from pathlib import Path

import pytest
from support import projects
from support.world import World

from lockstitch.cli import demo, serving, worlds
from lockstitch.cli.main import main
from lockstitch.cli.table import table
from lockstitch.errors import LockstitchError
from lockstitch.python.load import load

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


def test_another_world_gives_the_same_digest_from_nothing(
    world: World, locked: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = load(locked)
    here = worlds.here(project, "serve").document
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "")
    other = worlds.elsewhere(project, "serve").document
    assert other["digest"] == here["digest"]
    assert other["made"] == other["layers"]


def test_a_row_says_whether_both_worlds_agree() -> None:
    facts = {"unpacked": 193_000_000, "compressed": 71_700_000, "layers": 12}
    rows = [
        demo.Row(
            image="serve", cold=20.31, warm=0.125, digest="a" * 71, elsewhere="a" * 71, **facts
        ),
        demo.Row(image="train", cold=9.0, warm=2, digest="b" * 71, elsewhere="c" * 71, **facts),
    ]
    assert [row.equal for row in rows] == [True, False]
    lines = demo.shown(rows).splitlines()
    assert lines[0].split() == [
        *("image", "unpacked", "MB", "compressed", "MB", "layers"),
        *("cold", "s", "warm", "s", "digest", "equal"),
    ]
    assert lines[1].split() == [
        *("serve", "193.0", "71.7", "12", "20.3", "0.12"),
        *("sha256:aaaaaaaaaaaa…", "yes"),
    ]
    assert lines[2].endswith("no")


def test_a_table_is_aligned() -> None:
    assert table(["a", "b"], [["long", "1"], ["x", "22"]]) == "a      b\nlong   1\nx     22"


def test_the_story_compares_a_digest_once(
    world: World, locked: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The whole command on a project that is there, with a training of one line."""
    path = locked / "src" / "train.py"
    path.write_text("print('trained')\n")
    # The test's backend makes no editable install, and a changed pyproject must be locked again.
    projects.replace(
        locked, "[tool.lockstitch]\n", "[tool.uv]\npackage = false\n\n[tool.lockstitch]\n"
    )
    projects.replace(locked, 'health = "/health"\n', "")
    assert main(["demo", str(locked), "--json"]) == 0
    first = json.loads(capsys.readouterr().out)
    assert [(row["image"], row["equal"]) for row in first] == [("serve", True), ("train", True)]
    assert main(["demo", str(locked)]) == 0
    out, err = capsys.readouterr()
    assert "serve: this digest was compared before (--again repeats it)" in err
    assert out.splitlines()[1].split()[0] == "image"
    proofs = json.loads((locked / ".lockstitch" / "demo.json").read_text())
    assert {key.split()[1] for key in proofs} == {row["digest"] for row in first}
    assert (locked / ".venv" / "pyvenv.cfg").exists()
