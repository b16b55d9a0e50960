"""The commands of the local stack, on what a supervisor would say."""

import json
import os
import subprocess
from pathlib import Path

import pytest
from support import projects

from lockstitch.cli.main import main
from lockstitch.stack import control, machine
from lockstitch.stack.folder import Folder
from lockstitch.stack.services.objects import PORTS

PYPROJECT = projects.minimal('[tool.lockstitch.images.train]\ncommand = ["python"]\n')


@pytest.fixture
def root(isolated: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "pyproject.toml").write_text(PYPROJECT)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def pretend(root: Path, state: str = "ready") -> Folder:
    """Write what `up` and the supervisor write; this process is the supervisor."""
    folder = Folder(root / ".lockstitch" / "stack")
    folder.make()
    ports = PORTS | {"postgres": 5433, "objects": 9000, "mlflow": 5000}
    plan = {"tools": str(root), "ports": ports, "endpoint": "", "bucket": "b", "region": "r"}
    folder.write(folder.plan, plan)
    each = {"pid": 7, "restarts": 2, "problem": "", "state": state}
    services = {name: {"name": name, **each} for name in control.NAMES}
    pid = os.getpid()
    said = {"pid": pid, "identity": machine.identity(pid), "services": services}
    folder.write(folder.status, said)
    return folder


def test_nothing_runs(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["stack", "status"]) == 1
    assert capsys.readouterr().err == "nothing runs; to start it: lockstitch stack up\n"
    assert main(["stack", "env"]) == 1
    assert "hint: lockstitch stack up" in capsys.readouterr().err
    assert main(["stack", "down"]) == 0
    assert "nothing ran" in capsys.readouterr().err
    assert main(["stack", "logs"]) == 0
    assert main(["stack", "status", "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["services"] == {}
    assert not (root / ".lockstitch").exists(), "looking makes nothing"


def test_status(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = pretend(root)
    assert main(["stack", "status"]) == 0
    assert capsys.readouterr().out.splitlines()[1] == (
        "mlflow    ready  http://127.0.0.1:5000                             2"
    )
    assert main(["stack", "status", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["ready"] is True
    assert said["data"] == str(folder.root)
    assert said["services"]["objects"]["address"] == "http://127.0.0.1:9000"
    pretend(root, "restarting")
    assert main(["stack", "status"]) == 1


def test_env_is_for_eval(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = pretend(root)
    keys = folder.read(folder.keys_file) or {}
    assert main(["stack", "env"]) == 0
    out = capsys.readouterr().out
    keys = json.loads(folder.keys_file.read_text())
    folder.write(folder.keys_file, keys | {"password": "a b'; echo $(id) #"}, mode=0o600)
    assert main(["stack", "env"]) == 0
    out = capsys.readouterr().out
    shell = ["sh", "-c", 'eval "$1"; printf %s "$PGPASSWORD|$PGPORT"', "sh", out]
    assert subprocess.check_output(shell, text=True) == "a b'; echo $(id) #|5433"
    assert main(["stack", "env", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["PGPORT"] == "5433"


def test_logs(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = pretend(root)
    folder.log("mlflow").write_text("one\ntwo\n")
    folder.log("postgres").write_text("three\n")
    assert main(["stack", "logs", "mlflow", "--lines", "1"]) == 0
    assert capsys.readouterr().out == "two\n"
    assert main(["stack", "logs"]) == 0
    assert capsys.readouterr().out == "postgres   | three\nmlflow     | one\nmlflow     | two\n"
    assert main(["stack", "logs", "--json", "mlflow"]) == 0
    assert json.loads(capsys.readouterr().out) == {"mlflow": ["one", "two"]}
    assert main(["stack", "logs", "--json", "-f"]) == 2
    with pytest.raises(SystemExit):
        main(["stack", "logs", "nginx"])


def test_reset_asks(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = pretend(root)
    folder.status.unlink()
    (folder.root / "postgres").mkdir()
    (folder.root / "mine").write_text("kept")
    assert main(["stack", "reset"]) == 2
    assert "hint: lockstitch stack reset --yes" in capsys.readouterr().err
    assert (folder.root / "postgres").exists()
    assert main(["stack", "reset", "--yes", "--quiet"]) == 0
    left = sorted(path.name for path in folder.root.iterdir())
    assert left == [".gitignore", "mine", "up.lock"]


@pytest.mark.parametrize(
    ("table", "said"),
    [
        (
            "data = '../elsewhere'",
            "`tool.lockstitch.stack.data` must be a folder inside the project",
        ),
        ("data = '/'", "`tool.lockstitch.stack.data` must be a folder inside the project"),
        ("ports = {mlflow = 80}", "`tool.lockstitch.stack.ports.mlflow` must be a whole number"),
        ("ports = {mlfow = 8000}", "did you mean `mlflow`?"),
        ("object-store = {endpoint = 'http://u:p@x'}", "is no http or https address"),
        ("object-store = {bucket = 'B/../C'}", "not the name of a bucket"),
        ("object-store = {region = 'a b'}", "not the name of a region"),
    ],
)
def test_settings(root: Path, capsys: pytest.CaptureFixture[str], table: str, said: str) -> None:
    text = PYPROJECT + f"\n[tool.lockstitch.stack]\n{table}\n"
    (root / "pyproject.toml").write_text(text)
    assert main(["stack", "status"]) == 1
    assert said in capsys.readouterr().err


@pytest.mark.slow
def test_run_gets_the_variables(
    locked: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "of-the-shell")
    program = "import os; print(os.environ['MLFLOW_TRACKING_URI'], os.environ.get('PGPORT'))\n"
    (locked / "app" / "main.py").write_text(program)
    assert main(["run", "serve", "--quiet"]) == 0
    assert capfd.readouterr().out == "of-the-shell None\n"
    pretend(locked)
    assert main(["run", "serve", "--quiet"]) == 0
    assert capfd.readouterr().out == "http://127.0.0.1:5000 5433\n"
    table = "[tool.lockstitch.images.serve]\n"
    projects.replace(locked, table, table + 'env = { MLFLOW_TRACKING_URI = "of-the-image" }\n')
    assert main(["run", "serve", "--quiet"]) == 0
    assert capfd.readouterr().out == "of-the-image 5433\n"
