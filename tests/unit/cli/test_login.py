"""`lockstitch image login` and `logout`: what Docker and skopeo find afterwards."""

import io
import json
import os
import sys
from pathlib import Path

import pytest
from support.programs import stand_in
from support.registry import Registry

from lockstitch.cli.main import main
from lockstitch.oci.registry.logins import Logins

HELPER = """#!/bin/sh
file={folder}/kept-$(cat | sha256sum | cut -c1-8)
case $1 in
  store) echo yes > {folder}/stored;;
  get) test -e {folder}/stored && echo '{{"Username": "ada", "Secret": "secret"}}';;
  erase) rm {folder}/stored;;
esac
"""


@pytest.fixture(autouse=True)
def folder(registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    registry.users = {"ada": "secret"}
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))
    return tmp_path


RIGHT, WRONG = "secret\n", "wrong\n"


def log_in(monkeypatch: pytest.MonkeyPatch, host: str, typed: str = RIGHT) -> int:
    monkeypatch.setattr(sys, "stdin", io.StringIO(typed))
    return main(["image", "login", host, "--username", "ada", "--password-stdin"])


def test_a_login_is_kept_as_docker_keeps_it(
    registry: Registry,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = folder / "docker" / "config.json"
    assert log_in(monkeypatch, registry.address) == 0
    assert json.loads(path.read_text()) == {
        "auths": {registry.address: {"auth": "YWRhOnNlY3JldA=="}}
    }
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    out, err = capsys.readouterr()
    assert out == ""
    assert "in plain text" in err
    assert "secret" not in err
    found = Logins().find(registry.address, "app")
    assert found is not None
    assert found.login is not None
    assert found.login.password == RIGHT.strip()


def test_what_else_is_in_the_file_stays(
    registry: Registry, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = folder / "docker" / "config.json"
    path.parent.mkdir()
    other = {"auths": {"other.test": {"auth": "x"}}, "psFormat": "{{.ID}}"}
    (folder / "real.json").write_text(json.dumps(other))
    path.symlink_to(folder / "real.json")
    assert log_in(monkeypatch, registry.address) == 0
    assert path.is_symlink()
    kept = json.loads(path.read_text())
    assert kept["psFormat"] == "{{.ID}}"
    assert sorted(kept["auths"]) == sorted([registry.address, "other.test"])
    assert main(["image", "logout", registry.address]) == 0
    assert json.loads(path.read_text()) == other


def test_a_wrong_login_is_not_kept(
    registry: Registry,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert log_in(monkeypatch, registry.address, WRONG) == 1
    err = capsys.readouterr().err
    assert f"the login to `{registry.address}`: HTTP 401, UNAUTHORIZED" in err
    assert "wrong" not in err
    assert not (folder / "docker").exists()


def test_a_token_server_is_asked_too(
    registry: Registry, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    registry.token_life = 300
    assert log_in(monkeypatch, registry.address, WRONG) == 1
    assert "gives the login from what was typed no token: HTTP 401" in capsys.readouterr().err
    assert log_in(monkeypatch, registry.address) == 0


def test_a_registry_that_needs_no_login_is_named(
    registry: Registry, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    registry.users = {}
    assert log_in(monkeypatch, registry.address) == 0
    assert "did not ask for a login, so this one was not checked" in capsys.readouterr().err


def test_a_helper_keeps_it_and_the_file_does_not(
    registry: Registry,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    stand_in(folder / "docker-credential-test", HELPER.format(folder=folder))
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    path = folder / "docker" / "config.json"
    path.parent.mkdir()
    path.write_text('{"credsStore": "test"}')
    assert log_in(monkeypatch, registry.address) == 0
    assert path.read_text() == '{"credsStore": "test"}'
    assert "(docker-credential-test)" in capsys.readouterr().err
    assert main(["image", "logout", registry.address]) == 0
    assert capsys.readouterr().err == f"logged out of {registry.address} (docker-credential-test)\n"
    assert main(["image", "logout", registry.address]) == 0
    assert capsys.readouterr().err == f"not logged in to {registry.address}\n"


def test_a_helper_that_is_missing_or_fails_is_an_error(
    registry: Registry,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = folder / "docker" / "config.json"
    path.parent.mkdir()
    path.write_text(json.dumps({"credHelpers": {registry.address: "test"}}))
    assert log_in(monkeypatch, registry.address) == 1
    assert "docker-credential-test, which is not installed" in capsys.readouterr().err
    stand_in(folder / "docker-credential-test", "cat\nexit 4")
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    assert log_in(monkeypatch, registry.address) == 1
    err = capsys.readouterr().err
    assert "docker-credential-test store failed with exit code 4" in err
    assert "secret" not in err


def test_a_login_that_another_file_has_is_said(
    registry: Registry,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    other = folder / "auth.json"
    other.write_text(json.dumps({"auths": {registry.address: {"auth": "YWRhOnNlY3JldA=="}}}))
    monkeypatch.setenv("REGISTRY_AUTH_FILE", str(other))
    assert main(["image", "logout", registry.address]) == 0
    assert capsys.readouterr().err == (
        f"not logged in to {registry.address}\n"
        f"warning: {other} still has a login to {registry.address}\n"
    )


def test_on_a_terminal_both_are_asked_for(
    registry: Registry, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    asked: list[str] = []

    def unseen(question: str) -> str:
        asked.append(question)
        return RIGHT.strip()

    monkeypatch.setattr(sys, "stdin", Terminal("ada\n"))
    monkeypatch.setattr("getpass.getpass", unseen)
    assert main(["image", "login", registry.address]) == 0
    assert asked == ["password of ada: "]
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"user of {registry.address}: ")


@pytest.mark.parametrize(
    ("words", "password", "message"),
    [
        (["localhost:5000", "--password-stdin"], "x", "the user for `localhost:5000` is empty"),
        (["localhost:5000", "--username", "a"], "", "and there is no terminal"),
        (
            ["localhost:5000", "--username", "a", "--password-stdin"],
            "\n",
            "the password for `localhost:5000` is empty",
        ),
        (["localhost:5000", "--username", "a:b", "--password-stdin"], "x", "has a colon"),
        (["https://localhost:5000"], "x", "is not the host of a registry"),
    ],
)
def test_a_wrong_call_says_what_is_missing(
    words: list[str],
    password: str,
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(password))
    assert main(["image", "login", *words]) in {1, 2}
    assert message in capsys.readouterr().err
