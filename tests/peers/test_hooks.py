"""The hooks of a new project at work: real git, prek, pre-commit, and every tool they call."""

import base64
import json
import os
import re
import secrets
import string
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from support.programs import index_url

from .conftest import program

pytestmark = pytest.mark.network

KINDS = [("uv", "prek"), ("uv", "pre-commit"), ("poetry", "prek")]
# Poetry's file differs from uv's in its first hook only, and nothing but that hook and what runs in
# the environment that Poetry makes can differ in what it does.
OF_UV = pytest.mark.parametrize(
    "repository",
    [*KINDS[:2], pytest.param(KINDS[2], marks=pytest.mark.nightly)],
    ids="-".join,
    indirect=True,
    scope="module",
)
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"


@dataclass(frozen=True)
class Repository:
    """A project of `lockstitch new`, locked, installed and committed once, with its hooks."""

    root: Path
    variables: dict[str, str]
    manager: str
    runner: str

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            words, cwd=self.root, env=self.variables, capture_output=True, text=True, check=False
        )

    def git(self, *words: str) -> str:
        done = self.run("git", *words)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def commit(self) -> tuple[bool, str]:
        """Stage all, and return whether the commit was made, and all that was printed."""
        self.git("add", "--all")
        before = self.run("git", "rev-parse", "HEAD").stdout
        done = self.run("git", "commit", "--message", "change")
        made = self.run("git", "rev-parse", "HEAD").stdout != before
        assert made is (done.returncode == 0)
        return made, done.stdout + done.stderr

    def reset(self) -> None:
        self.run("git", "merge", "--abort")
        self.git("reset", "--hard", "--quiet")
        self.git("clean", "-d", "--force", "--quiet")


def environment(folder: Path, store: Path, tools: dict[str, Path]) -> dict[str, str]:
    """Return the variables of an editor: no virtual environment, few programs, no network."""
    (folder / "bin").mkdir()
    for name, path in tools.items():
        (folder / "bin" / name).symlink_to(path)
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("GIT_", "POETRY_", "PYTHON", "VIRTUAL_", "PREK_", "PRE_COMMIT_"))
    }
    people = ("GIT_AUTHOR", "GIT_COMMITTER")
    return kept | {
        "PATH": f"{folder / 'bin'}{os.pathsep}{Path(program('git')).parent}{os.pathsep}/bin",
        "LOCKSTITCH_CACHE": str(store),
        "POETRY_CACHE_DIR": str(folder / "poetry"),
        "PREK_HOME": str(folder / "prek"),
        "PRE_COMMIT_HOME": str(folder / "pre-commit"),
        **{f"{role}_NAME": "A. Tester" for role in people},
        **{f"{role}_EMAIL": "tester@example.test" for role in people},
    }


def without_network(variables: dict[str, str]) -> dict[str, str]:
    """Return the variables with a proxy that does not answer."""
    names = [f"{kind}_proxy" for kind in ("http", "https", "all")]
    names += [name.upper() for name in names]
    return variables | dict.fromkeys(names, "http://127.0.0.1:9") | {"no_proxy": "", "NO_PROXY": ""}


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The address of uv's index, which Poetry gets by its address."""
    return index_url(tmp_path_factory.mktemp("index"))


@pytest.fixture(scope="module", params=KINDS, ids="-".join)
def repository(
    request: pytest.FixtureRequest,
    index: str,
    store: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Repository:
    manager, runner = request.param
    folder = tmp_path_factory.mktemp("hooks")
    uv = Path(sys.executable).with_name("uv")
    tools = {"uv": uv}
    if manager == "poetry":
        tools["poetry"] = request.getfixturevalue("poetry") / "poetry"
    online = environment(folder, store, tools)
    root = folder / "churn"
    made = Repository(root, online, manager, runner)
    lockstitch = [sys.executable, "-m", "lockstitch"]
    words = [*lockstitch, "new", str(root), "--manager", manager, "--hooks", runner]
    subprocess.run(words, env=online, check=True)
    setup = [["poetry", "lock", "--quiet"], ["poetry", "install", "--quiet"]]
    if manager == "uv":
        setup = [[*lockstitch, "lock", "--quiet"], ["uv", "sync", "--locked", "--quiet"]]
    else:
        source = {"name": "index", "url": index, "priority": "primary"}
        with (root / "pyproject.toml").open("a") as pyproject:
            pyproject.write("\n[[tool.poetry.source]]\n")
            pyproject.writelines(f"{key} = {json.dumps(value)}\n" for key, value in source.items())
    setup += [["git", "init", "--quiet", "--initial-branch", "main"]]
    setup += [[manager, "run", runner, "install"]]
    for command in setup:
        done = made.run(*command)
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    offline = Repository(root, without_network(online), manager, runner)
    assert offline.commit()[0], offline.commit()[1]
    return offline


@pytest.fixture(autouse=True)
def clean(repository: Repository) -> None:
    repository.reset()


def random(alphabet: str, length: int) -> str:
    return "".join(secrets.choice(alphabet) for _ in range(length))


@dataclass(frozen=True)
class Planted:
    """Secrets that are made now and open nothing, so that no file of ours has one."""

    key: str
    secret: str
    private: str
    token: str

    def files(self) -> dict[str, str]:
        one, other = (f"AWS_{name}=" for name in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY"))
        pair = f"{one}{self.key}\n{other}{self.secret}\n"
        call = f"client(aws_access_key_id='{self.key}', aws_secret_access_key='{self.secret}')\n"
        cell = {"cell_type": "code", "source": ["import boto3\n", call]}
        head, foot = (f"-----{word} PRIVATE " + "KEY-----\n" for word in ("BEGIN", "END"))
        return {
            ".env": pair,
            "notes.md": f"# Notes\n\n{pair}",
            "look.ipynb": json.dumps({"cells": [cell]}) + "\n",
            "src/one.py": f'KEY = "{self.key}"\n',
            "src/other.py": f'AWS_SECRET_ACCESS_KEY = "{self.secret}"\n',
            "ci.yaml": f"env:\n  GITHUB_TOKEN: {self.token}\n",
            "deploy.pem": f"{head}{self.private}\n{foot}",
        }

    def in_(self, printed: str) -> list[str]:
        values = {"key": self.key, "secret": self.secret, "token": self.token}
        values |= {"private": self.private}
        return [name for name, value in values.items() if value in printed]


def planted() -> Planted:
    letters = string.ascii_letters + string.digits
    der = bytes.fromhex("302e020100300506032b657004220420") + secrets.token_bytes(32)
    return Planted(
        key="AK" + "IA" + random(ALPHABET, 16),
        secret=random(letters + "/+", 40),
        private=base64.b64encode(der).decode(),
        token="gh" + "p_" + random(letters, 36),
    )


def failed(printed: str) -> set[str]:
    return set(re.findall(r"- hook id: ([\w-]+)", printed))


def test_what_lockstitch_writes_passes_its_hooks(repository: Repository) -> None:
    bin_ = repository.root / ".venv" / "bin"
    done = repository.run(str(bin_ / repository.runner), "run", "--all-files", "--verbose")
    assert done.returncode == 0, done.stdout
    named = set(re.findall(r"- hook id: ([\w-]+)", done.stdout))
    assert {"lock", "ruff", "black", "mypy", "secrets", "trailing-whitespace"} <= named


@OF_UV
def test_a_wrong_commit_is_stopped_and_corrected(repository: Repository) -> None:
    path = repository.root / "src" / "churn" / "new.py"
    path.write_text('"""Something new."""\n\nimport os\nx=1')
    made, printed = repository.commit()
    assert not made
    assert {"end-of-file-fixer", "ruff"} <= failed(printed)
    # prek says it of the hooks that ran beside black, too.
    assert "black" in failed(printed) or "Files were modified by following hooks" in printed
    assert path.read_text() == '"""Something new."""\n\nx = 1\n'
    made, printed = repository.commit()
    assert made, printed


def test_what_mypy_sees_in_the_project_stops_a_commit(repository: Repository) -> None:
    # numpy's types are known only because mypy runs in the project's own environment.
    path = repository.root / "src" / "churn" / "typed.py"
    path.write_text("import numpy as np\n\n\ndef mean() -> str:\n    return np.zeros(3).shape\n")
    made, printed = repository.commit()
    assert (made, failed(printed)) == (False, {"mypy"})
    assert "tuple[int" in printed


@OF_UV
def test_a_secret_stops_a_commit_and_is_not_printed(repository: Repository) -> None:
    made = planted()
    for name, text in made.files().items():
        (repository.root / name).write_text(text)
        done, printed = repository.commit()
        assert not done
        assert {"secrets"} <= failed(printed) <= {"secrets", "ruff"}, f"{name}\n{printed}"
        assert name in printed
        assert made.in_(printed) == []
        (repository.root / name).unlink()


@OF_UV
def test_a_secret_that_was_committed_is_found_in_all_files(repository: Repository) -> None:
    made = planted()  # as CI runs it, which has nothing staged
    (repository.root / "deploy.pem").write_text(made.files()["deploy.pem"])
    repository.git("add", "--all")
    repository.git("commit", "--quiet", "--no-verify", "--message", "past the hooks")
    done = repository.run(f".venv/bin/{repository.runner}", "run", "--all-files")
    repository.git("reset", "--quiet", "--hard", "HEAD~1")
    assert (done.returncode, failed(done.stdout)) == (1, {"secrets"})
    assert made.in_(done.stdout) == []


@OF_UV
def test_a_file_cannot_pass_as_an_option_of_the_scanner(repository: Repository) -> None:
    (repository.root / "--exclude=creds").write_text("nothing\n")
    (repository.root / "creds").write_text(planted().files()[".env"])
    done, printed = repository.commit()
    assert (done, failed(printed)) == (False, {"secrets"})


@OF_UV
def test_what_documents_use_as_an_example_is_no_secret(repository: Repository) -> None:
    example = "AK" + "IA" + "IOSFODNN7" + "EXAMPLE"
    (repository.root / "aws.md").write_text(f"Set `AWS_ACCESS_KEY_ID={example}`.\n")
    done, printed = repository.commit()
    assert done, printed


def test_a_stale_lock_stops_a_commit(repository: Repository) -> None:
    path = repository.root / "pyproject.toml"
    path.write_text(path.read_text().replace('["numpy>=2.4"]', '["numpy>=2.4", "idna"]'))
    made, printed = repository.commit()
    assert (made, failed(printed)) == (False, {"lock"}), printed
    advice = "`uv lock`" if repository.manager == "uv" else "`poetry lock`"
    assert advice in printed


@OF_UV
@pytest.mark.parametrize(
    ("name", "text", "hook"),
    [
        ("a.yaml", "a: [1\n", "check-yaml"),
        ("a.toml", "a = \n", "check-toml"),
        ("a.txt", "a  \n", "trailing-whitespace"),
        ("a.csv", "0123456789\n" * 50_000, "check-added-large-files"),
    ],
)
def test_each_check_of_files(name: str, text: str, hook: str, repository: Repository) -> None:
    (repository.root / name).write_text(text)
    made, printed = repository.commit()
    assert not made
    assert hook in failed(printed)


@OF_UV
def test_a_conflict_that_is_left_stops_a_commit(repository: Repository) -> None:
    path = repository.root / "a.txt"
    path.write_text("a\n")
    assert repository.commit()[0]
    repository.git("checkout", "--quiet", "-b", "other")
    path.write_text("b\n")
    assert repository.commit()[0]
    repository.git("checkout", "--quiet", "main")
    path.write_text("c\n")
    assert repository.commit()[0]
    assert repository.run("git", "merge", "other").returncode == 1
    made, printed = repository.commit()
    repository.reset()
    repository.git("branch", "--quiet", "--delete", "--force", "other")
    assert (made, failed(printed)) == (False, {"check-merge-conflict"})
