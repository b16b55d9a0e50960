"""Docker's file, its helpers, and the file of Podman, Buildah and skopeo."""

import base64
import json
import os
from pathlib import Path

import pytest
from support.programs import stand_in

from lockstitch.errors import LockstitchError
from lockstitch.oci.registry.logins import Known, Logins, docker_file

HELPER = """#!/bin/sh
read -r server
test "$1" = get || exit 3
case $server in
  https://index.docker.io/v1/) echo '{"ServerURL": "x", "Username": "hub", "Secret": "s3"}';;
  token.test) echo '{"ServerURL": "x", "Username": "<token>", "Secret": "identity"}';;
  broken.test) echo 'not JSON';;
  *) echo 'credentials not found in native keychain'; exit 1;;
esac
"""


def pair(user: str, password: str) -> dict[str, str]:
    return {"auth": base64.b64encode(f"{user}:{password}".encode()).decode()}


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    for name in ("DOCKER_CONFIG", "REGISTRY_AUTH_FILE", "XDG_RUNTIME_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    programs = tmp_path / "programs"
    stand_in(programs / "docker-credential-test", HELPER)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    return tmp_path


def write(path: Path, document: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document))


def user(host: str, repository: str = "team/app") -> str:
    found = Logins().find(host, repository)
    return f"{found.login.user}:{found.login.password}" if found and found.login else ""


def test_without_files_nothing_is_known(home: Path) -> None:
    assert Logins().find("docker.io", "library/python") is None
    assert docker_file() == home / ".docker" / "config.json"


def test_the_longest_name_that_fits_wins(home: Path) -> None:
    auths = {
        "example.test": pair("host", "1"),
        "example.test/team": pair("team", "2"),
        "example.test/team/app": pair("app", "a:b"),
        "example.test/te": pair("no", "3"),
        "https://old.test/v2/": pair("old", "4"),
    }
    write(home / ".docker/config.json", {"auths": auths})
    assert user("example.test") == "app:a:b"
    assert user("example.test", "team/other") == "team:2"
    assert user("example.test", "teams/app") == "host:1"
    assert user("old.test") == "old:4"
    assert user("example.test.evil.test") == user("test") == ""


@pytest.mark.parametrize("key", ["https://index.docker.io/v1/", "docker.io", "index.docker.io"])
def test_docker_s_own_registry_has_several_names(home: Path, key: str) -> None:
    write(home / ".docker/config.json", {"auths": {key: pair("hub", "1")}})
    assert user("docker.io", "library/python") == "hub:1"


def test_the_files_are_asked_in_order(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(home / ".config/containers/auth.json", {"auths": {"example.test": pair("podman", "1")}})
    assert user("example.test") == "podman:1"
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(home / "run"))
    write(home / "run/containers/auth.json", {"auths": {"example.test": pair("runtime", "1")}})
    assert user("example.test") == "runtime:1"
    monkeypatch.setenv("REGISTRY_AUTH_FILE", str(home / "named.json"))
    assert user("example.test") == ""
    write(home / "named.json", {"auths": {"example.test": pair("named", "1")}})
    assert user("example.test") == "named:1"
    monkeypatch.setenv("DOCKER_CONFIG", str(home / "docker"))
    write(home / "docker/config.json", {"auths": {"example.test": pair("docker", "1")}})
    assert user("example.test") == "docker:1"


def test_helpers_come_before_what_stands_in_the_file(home: Path) -> None:
    auths = {"docker.io": pair("file", "1"), "example.test": pair("file", "2")}
    write(home / ".docker/config.json", {"auths": auths, "credsStore": "test"})
    assert user("docker.io", "library/python") == "hub:s3"
    assert user("example.test") == "file:2"
    document = {"auths": auths, "credHelpers": {"token.test": "test", "docker.io": "missing"}}
    write(home / ".docker/config.json", document)
    assert Logins().find("token.test", "app") == Known(
        source="docker-credential-test", identity="identity"
    )
    assert user("docker.io", "library/python") == "file:1"


@pytest.mark.parametrize("name", ["missing", "../test", "a b", ""])
def test_a_helper_that_cannot_be_asked_is_remembered(home: Path, name: str) -> None:
    write(home / ".docker/config.json", {"credHelpers": {"example.test": name}})
    logins = Logins()
    assert logins.find("example.test", "app") is None
    assert len(logins.troubles) == 1
    assert "which is not installed" in logins.troubles[0]


def test_a_helper_that_answers_nonsense_is_remembered(home: Path) -> None:
    write(home / ".docker/config.json", {"credsStore": "test"})
    logins = Logins()
    assert logins.find("broken.test", "app") is None
    assert logins.troubles == ["docker-credential-test answered with what is not a login"]


def test_tokens_of_the_file_are_known_and_not_shown(home: Path) -> None:
    tokens = {"a.test": {"identitytoken": "s3cret1"}, "b.test": {"registrytoken": "s3cret2"}}
    auths = tokens | {"c.test": {}}
    write(home / ".docker/config.json", {"auths": auths})
    one, two = Logins().find("a.test", "app"), Logins().find("b.test", "app")
    assert one is not None
    assert two is not None
    assert (one.identity, two.bearer) == ("s3cret1", "s3cret2")
    assert "s3cret1" not in repr(one)
    assert "s3cret2" not in repr(two)
    assert Logins().find("c.test", "app") is None


@pytest.mark.parametrize("text", ["", "[]", "{", "[" * 100_000, "\0", "x" * (2 << 20)])
def test_a_broken_file_is_named_and_not_quoted(home: Path, text: str) -> None:
    write(home / ".docker/config.json", {})
    (home / ".docker/config.json").write_text(text)
    with pytest.raises(LockstitchError, match=r"config\.json` (is not|has more)") as info:
        Logins().find("example.test", "app")
    assert "xxx" not in info.value.message


@pytest.mark.parametrize("auths", [[], {"example.test": []}, {"example.test": {"auth": 1}}])
def test_entries_that_are_none_know_nothing(home: Path, auths: object) -> None:
    write(home / ".docker/config.json", {"auths": auths, "credHelpers": [], "credsStore": 1})
    assert Logins().find("example.test", "app") is None


def test_an_entry_that_is_not_base64_is_named(home: Path) -> None:
    write(home / ".docker/config.json", {"auths": {"example.test": {"auth": "s3cret!"}}})
    with pytest.raises(LockstitchError, match="not base64") as info:
        Logins().find("example.test", "app")
    assert "s3cret" not in info.value.message
