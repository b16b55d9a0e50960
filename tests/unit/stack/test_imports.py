"""Runs in a folder of MLflow's file store, as MLflow writes them, and damaged."""

import json
import os
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from support import projects
from support.programs import stand_in

from lockstitch.cli.main import main
from lockstitch.errors import LockstitchError
from lockstitch.python.load import load
from lockstitch.stack import control, imports, machine
from lockstitch.stack.folder import Folder
from lockstitch.stack.services.objects import PORTS
from lockstitch.stack.tools import Tools

RUN = "84468860a72c4acda895fb71935676ee"
MODEL = "m-72efbeae007144a99c571dfb015d5745"
META = f"""\
artifact_uri: file:///etc
end_time: 1795386721000
experiment_id: '12'
lifecycle_stage: active
run_id: {RUN}
run_name: upset-donkey-61
start_time: 1795386720000
status: 3
tags: []
"""


def put(root: Path, path: str, text: str) -> Path:
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_text(text)
    return root / path


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    root = tmp_path / "mlruns"
    put(root, "0/meta.yaml", "name: Default\n")
    put(root, "12/meta.yaml", "name: churn\n")
    put(root, f"12/{RUN}/meta.yaml", META)
    put(root, f"12/{RUN}/params/seed/split", "20")
    put(root, f"12/{RUN}/tags/mlflow.user", "me")
    put(root, f"12/{RUN}/metrics/loss", "5 0.5 0\n5 0.5 0\n6 -inf 1\n7 nan 2\n7 nan 2\n")
    put(root, f"12/{RUN}/artifacts/plots/roc.png", "png")
    put(root, f"12/{RUN}/outputs/{MODEL}/meta.yaml", "step: 4\n")
    meta = f"model_id: {MODEL}\nname: model\nsource_run_id: {RUN}\nstatus: 2\nmodel_type: null\n"
    put(root, f"12/models/{MODEL}/meta.yaml", meta)
    put(root, f"12/models/{MODEL}/metrics/loss", f"5 0.5 0 {RUN}\n")
    put(root, f"12/models/{MODEL}/artifacts/MLmodel", "flavors: {}\n")
    return root


def test_a_run_is_read_as_it_was_logged(runs: Path) -> None:
    found = imports.read(runs)
    assert found.problems == []
    (run,) = found.runs
    assert (run.id, run.experiment, run.name) == (RUN, "churn", "upset-donkey-61")
    assert (run.status, run.start, run.end) == ("FINISHED", 1795386720000, 1795386721000)
    assert run.params == {"seed/split": "20"}
    assert run.tags == {"mlflow.user": "me"}
    assert repr(run.metrics) == (
        "(('loss', 0.5, 5, 0), ('loss', -inf, 6, 1), ('loss', nan, 7, 2))"
    ), "each once"
    here = str(runs / "12" / RUN / "artifacts" / "plots" / "roc.png")
    assert run.artifacts == (("plots/roc.png", here),), "not where meta.yaml says"
    (model,) = run.models
    assert (model.id, model.name, model.status, model.step) == (MODEL, "model", "READY", 4)
    assert model.metrics == (("loss", 0.5, 5, 0),)
    assert model.artifacts == str(runs / "12" / "models" / MODEL / "artifacts")


def test_what_has_not_ended_or_was_deleted_is_left(runs: Path) -> None:
    for name, old, new in (("a", "status: 3", "status: 1"), ("b", "active", "deleted")):
        put(runs, f"12/{name}/meta.yaml", META.replace(RUN, name).replace(old, new))
    (runs / "12" / "c").mkdir()  # killed before it wrote anything
    found = imports.read(runs)
    assert [run.id for run in found.runs] == [RUN]
    assert found.unfinished == 2
    assert found.problems == []


def link(path: Path) -> None:
    path.unlink(missing_ok=True)
    path.symlink_to("/etc/hostname")


def fifo(path: Path) -> None:
    path.unlink(missing_ok=True)
    os.mkfifo(path)


def says(text: str) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    return write


BOMB = "a0: &a0 {x: 1}\n" + "".join(
    f"a{n}: &a{n}\n  <<: [*a{n - 1}, *a{n - 1}]\n" for n in range(1, 60)
)
HOSTILE = {
    "a parameter that is a link": (f"{RUN}/params/p", link, "is a link, or no file"),
    "an artifact that is a link": (f"{RUN}/artifacts/p", link, "is a link, or no file"),
    "an artifact of a model": (f"models/{MODEL}/artifacts/p", link, "is a link, or no file"),
    "a meta.yaml that is a link": (f"{RUN}/meta.yaml", link, "cannot be read"),
    "a meta.yaml that never answers": (f"{RUN}/meta.yaml", fifo, "does not hold"),
    "a device among the tags": (f"{RUN}/tags/t", fifo, "is a link, or no file"),
    "a run that is a link": ("other", link, "is a link"),
    "a tag of this": (f"{RUN}/meta.yaml", says("!!python/object/apply:os.abort []"), "is not YAML"),
    "merges without end": (f"{RUN}/meta.yaml", says(BOMB), "repeats parts of itself"),
    "lists without end": (f"{RUN}/meta.yaml", says("[" * 9000), "nests what"),
    "lists in lists": (f"{RUN}/meta.yaml", says("- " * 9000), "nests what"),
    "another's id": (f"{RUN}/meta.yaml", says(META.replace(RUN, "../x")), "is of `../x`"),
    "no number": (f"{RUN}/meta.yaml", says(META.replace("1795386720000", "soon")), "has `soon`"),
    "a parameter of 1 MB": (f"{RUN}/params/p", says("x" * 10**6), "more than 100000 bytes"),
    "a metric that is text": (f"{RUN}/metrics/m", says("1 2 three\n"), "has the line `1 2 three`"),
    "a metric with a long number": (f"{RUN}/metrics/m", says(f"{'9' * 99} 2 3"), "has the line"),
    "a name that moves the cursor": (f"{RUN}/params/\x1b[2J", says("x"), r"named '\\x1b\[2J'"),
    "a name with a backslash": (rf"{RUN}/params/..\p", says("x"), "has a file named"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_folder_is_a_problem_that_names_the_file(runs: Path, case: str) -> None:
    path, change, why = HOSTILE[case]
    good = put(runs, "13/meta.yaml", "name: good\n").parent
    put(good, "abc/meta.yaml", META.replace(RUN, "abc"))
    change(runs / "12" / path)
    found = imports.read(runs)
    (problem,) = found.problems
    with pytest.raises(LockstitchError, match=why):
        raise problem
    assert str(runs) in problem.message
    assert "abc" in [run.id for run in found.runs], "the others are read"


def test_where_trainings_leave_runs(isolated: None, tmp_path: Path) -> None:
    projects.write(tmp_path)
    assert imports.folders(load(tmp_path)) == []
    (tmp_path / "mlruns").mkdir()
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "mlruns").symlink_to("/etc")
    assert imports.folders(load(tmp_path)) == [tmp_path / "mlruns"]


class _Server(BaseHTTPRequestHandler):
    """Answers as MLflow does: two pages of experiments, one run that was imported."""

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        answer: dict[str, Any] = {"experiments": [{"experiment_id": "1"}], "next_page_token": "t"}
        if body["page_token"]:
            answer = {"experiments": [{"experiment_id": "2"}]}
        if self.path.endswith("/runs/search"):
            assert body["experiment_ids"] == ["1", "2"]
            tag = {"key": "lockstitch.imported_from", "value": RUN}
            answer = {"runs": [{"data": {"tags": [tag]}}, {"data": {}}]}
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(answer).encode())

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[str]:
    made = HTTPServer(("127.0.0.1", 0), _Server)
    thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{made.server_port}"
    made.shutdown()
    thread.join()
    made.server_close()


def test_how_many_wait(isolated: None, runs: Path, server: str) -> None:
    projects.write(runs.parent)
    project = load(runs.parent)
    assert imports.waiting(project, server) == 0
    put(runs, "12/abc/meta.yaml", META.replace(RUN, "abc"))
    assert imports.waiting(project, server) == 1
    assert imports.waiting(project, "http://127.0.0.1:1") == 0, "who does not answer is not asked"


def tools(folder: Path, script: str) -> Tools:
    made = Tools(folder=folder)
    stand_in(folder / "bin" / "python", script)
    return made


def test_writing_says_what_was_done(runs: Path, tmp_path: Path) -> None:
    stack = Folder(tmp_path / "stack")
    found = imports.read(runs).runs
    assert imports.write(stack, Tools(folder=tmp_path), {}, []) == {"imported": [], "skipped": []}
    said = '{"imported": ["a"], "skipped": ["b"], "problem": ""}'
    script = f"cat > {tmp_path}/asked; env > {tmp_path}/env; echo '{said}'"
    done = imports.write(stack, tools(tmp_path, script), {"MLFLOW_TRACKING_URI": "u"}, found)
    assert done == {"imported": ["a"], "skipped": ["b"]}
    assert json.loads((tmp_path / "asked").read_text())["runs"][0]["id"] == RUN
    assert "MLFLOW_TRACKING_URI=u\n" in (tmp_path / "env").read_text()
    script = """echo '{"imported": [], "skipped": [], "problem": "it went away"}'; exit 1"""
    with pytest.raises(LockstitchError, match="imported 0 of 1 runs, then: it went away"):
        imports.write(stack, tools(tmp_path, script), {}, found)
    with pytest.raises(LockstitchError, match="then: Killed"):
        imports.write(stack, tools(tmp_path, "echo Killed >&2; exit 137"), {}, found)


def test_without_a_stack_it_says_so(
    isolated: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    projects.write(tmp_path)
    assert main(["stack", "import", "--project", str(tmp_path)]) == 1
    assert capsys.readouterr().err.endswith("hint: lockstitch stack up\n")


@pytest.fixture
def stack(isolated: None, runs: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a project with a stack whose supervisor is this process, and whose MLflow says yes."""
    root = projects.write(runs.parent)
    folder = control.folder_of(load(root))
    folder.make()
    ports = PORTS | {"postgres": 5433, "objects": 9000, "mlflow": 5000}
    plan = {"tools": str(root), "ports": ports, "endpoint": "", "bucket": "b", "region": "r"}
    folder.write(folder.plan, plan)
    pid = os.getpid()
    said = {"pid": pid, "identity": machine.identity(pid), "services": {}}
    folder.write(folder.status, said)
    done = json.dumps({"imported": [RUN], "skipped": [], "problem": ""})
    made = tools(root / "tools", f"echo '{done}'")
    monkeypatch.setattr("lockstitch.stack.tools.install", lambda *_: made)
    return root


def test_collecting(stack: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["stack", "import", "--project", str(stack)]
    (stack / "mlruns" / "12" / "killed").mkdir()
    assert main([*words, "--dry-run"]) == 0
    assert capsys.readouterr().err == f"would import 1 runs of {stack / 'mlruns'}\n"
    assert main([*words, "--quiet"]) == 0
    assert capsys.readouterr().err == "runs imported: 1, there already: 0, not ended: 1\n"
    assert main([*words, "--json", str(stack / "mlruns")]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "folders": [str(stack / "mlruns")],
        "imported": [RUN],
        "skipped": [],
        "unfinished": 1,
    }
    link(stack / "mlruns" / "12" / "evil")
    assert main([*words, "--quiet"]) == 1, "the good ones are imported all the same"
    out = capsys.readouterr().err.splitlines()
    assert out[0].startswith("runs imported: 1")
    assert out[1].startswith("error: ")
    assert out[1].endswith("evil` is a link")
    assert main([*words, str(stack / "nowhere")]) == 1
    assert "is not a folder" in capsys.readouterr().err
