"""`lockstitch hooks migrate`: what it prints, as words and as JSON."""

import json
from pathlib import Path

import pytest

from lockstitch.cli.main import main

COMMIT = "0123456789abcdef0123456789abcdef01234567"
TEXT = f"""\
repos:
  - repo: https://me:pass@example.test/mirrors-mypy
    rev: {COMMIT}
    hooks:
      - id: mypy
        additional_dependencies: [types-b, types-a, mypy]
"""
LOCK = '[[package]]\nname = "mypy"\nversion = "2.0"\n'


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "poetry.lock").write_text(LOCK)
    path = tmp_path / ".pre-commit-config.yml"
    path.write_text(TEXT)
    monkeypatch.chdir(tmp_path)
    return path


def test_a_dry_run_writes_nothing(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["hooks", "migrate", "--dry-run"]) == 0
    out, err = capsys.readouterr()
    assert config.read_text() == TEXT
    head, row, *diff = out.splitlines()
    assert head.split() == ["hook", "was", "is", "now", "version", "why"]
    assert row.split() == [
        "mypy",
        COMMIT[:12],
        "local",
        "mypy",
        "2.0",
        *("poetry.lock", "has", "it"),
    ]
    assert "+        entry: poetry run mypy" in diff
    assert "pass" not in out
    add = "poetry add --group dev 'types-a' 'types-b'"
    assert err.splitlines() == [
        "`mypy` installs nothing of its own any more: `types-b`, `types-a`, `mypy`",
        f"poetry.lock lacks some of that; if it is needed: {add}",
        "`.pre-commit-config.yml` was not written; leave --dry-run out to write it",
    ]


def test_the_answer_in_json(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for written in (True, False):  # there is nothing left for the second one
        assert main(["hooks", "migrate", "--json"]) == 0
        out, err = capsys.readouterr()
        found = json.loads(out)
        assert err == ""
        assert found["written"] is written
        assert set(found) == {"diff", "file", "hooks", "lacking", "lock", "written"}
        assert (found["lock"], Path(found["file"])) == ("poetry.lock", config)
        assert bool(found["diff"]) is bool(found["hooks"]) is bool(found["lacking"]) is written
        assert "pass" not in out
    assert "repo: local" in config.read_text()


def test_a_configuration_without_remote_hooks(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config.write_text("repos: []\n")
    assert main(["hooks", "migrate"]) == 0
    out, err = capsys.readouterr()
    assert (out, err) == ("", "`.pre-commit-config.yml` needs no change\n")


def test_another_action_is_wrong_use(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["hooks", "install"])
    assert "invalid choice: 'install'" in capsys.readouterr().err
