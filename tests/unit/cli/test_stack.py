"""The commands of the local stack, on what a supervisor would say."""

import argparse
import dataclasses
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from support import projects
from support.programs import stand_in

from lockstitch.cli import stacks
from lockstitch.cli.main import main
from lockstitch.cli.session import open_session
from lockstitch.dockerfile import engines
from lockstitch.python.load import load
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
    assert main(["stack", "logs", "nginx"]) == 2


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


def test_env_of_a_file(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = pretend(root)
    folder.keys()
    keys = json.loads(folder.keys_file.read_text())
    odd = "a b'\"\\$(id)"
    folder.write(folder.keys_file, keys | {"secret_key": odd}, mode=0o600)
    assert main(["stack", "env", "--dotenv"]) == 0
    (root / "file").write_text(capsys.readouterr().out)
    lines = (root / "file").read_text().splitlines()
    plain = f"DATABASE_URL=postgresql://mlflow:{keys['password']}@127.0.0.1:5433/app"
    assert plain in lines, "no quotes, which Docker would take as part of it"
    shell = ["sh", "-c", '. ./file; printf %s "$AWS_SECRET_ACCESS_KEY"']
    assert subprocess.check_output(shell, text=True) == odd
    assert main(["stack", "env", "--dotenv", "--json"]) == 2


def test_the_pages_and_their_logins(
    root: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = pretend(root)
    keys = folder.keys()
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(sys, "platform", "linux")
    assert main(["stack", "open", "console"]) == 0
    out, err = capsys.readouterr()
    assert out == "http://127.0.0.1:23646\n"
    assert err == f"user `lockstitch`, password: `admin` in {folder.keys_file}\n"
    assert main(["stack", "open", "mlflow"]) == 0
    assert capsys.readouterr() == ("http://127.0.0.1:5000\n", "")
    seen = root / "seen"
    browser = stand_in(root / "browser", f'echo "$1" > {seen}')
    monkeypatch.setenv("BROWSER", f"{browser} %s")
    plan = folder.read(folder.plan)
    folder.write(folder.plan, plan | {"login": True})
    assert main(["stack", "open", "mlflow", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["opened"] is True
    assert seen.read_text() == "http://127.0.0.1:5000\n"
    assert said["login"] == {
        "user": "lockstitch", "password": "mlflow", "file": str(folder.keys_file)
    }  # fmt: skip
    assert main(["stack", "status"]) == 0
    out, err = capsys.readouterr()
    assert f"login of mlflow: user `lockstitch`, password: `mlflow` in {folder.keys_file}" in err
    assert "console of the object store: http://127.0.0.1:23646" in err
    assert not {keys.admin, keys.mlflow, keys.password} & set(re.split(r"[\s`]", out + err))
    assert main(["stack", "status", "--json"]) == 0
    assert sorted(json.loads(capsys.readouterr().out)["logins"]) == ["console", "mlflow"]
    folder.write(folder.plan, plan | {"endpoint": "https://minio.example.test"})
    assert main(["stack", "open", "console"]) == 1
    assert "is your own: it has no console here" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("port", [0, 8000])
def test_a_container_gets_the_variables(
    locked: Path, capsys: pytest.CaptureFixture[str], port: int
) -> None:
    pretend(locked)
    spec = dataclasses.replace(load(locked).image("serve"), port=port or None, env={"PGPORT": "1"})
    session = open_session(argparse.Namespace(project=locked, quiet=True))
    network = stacks.network(session, spec)
    said = capsys.readouterr().err
    if port:
        assert network is None
        assert 'runner = "compose"' in said
        return
    assert network is not None
    engine = engines.Engine(program=Path("/usr/bin/docker"), platform="linux/amd64")
    command = engines.command(engine, session.project, spec, "tag", network=network)
    words = " ".join(command.words)
    assert "--network host" in words
    assert "--env DATABASE_URL --env" in words
    assert "--env PGPORT" not in words, "the image's own goes first"
    assert command.env["DATABASE_URL"] == network.variables["DATABASE_URL"]
    assert network.variables["PGPASSWORD"] not in words
