"""`lockstitch diff`: a table for people, Markdown for pull requests, JSON for programs."""

import json
from pathlib import Path

import pytest
from support import environments, wheels

from lockstitch.cli.main import main
from lockstitch.drift import compare, text
from lockstitch.fingerprint.model import Fingerprint, Package


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two environments whose NumPy differs, and a package beside it."""
    monkeypatch.chdir(tmp_path)
    for name, version in (("a", "1.26.4"), ("b", "2.0.1")):
        built = (wheels.wheel("numpy", version), wheels.wheel("rich", version))
        environments.make(tmp_path / name, *built)
    return tmp_path


@pytest.mark.slow
def test_people_see_what_matters_first(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["diff", "a", "b"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[:4] == [
        "what can change results",
        "name   change   from    to     imported  required by",
        "numpy  changed  1.26.4  2.0.1",
        "",
    ]
    assert lines[4] == "known changes of results between these versions"
    assert lines[5].startswith("  numpy 2.0: type promotion no longer looks at values (NEP 50)")
    assert lines[5].endswith("(NumPy 2.0.0 release notes, Highlights)")
    assert lines[-1] == "and 1 difference not known to change results (--all)"
    assert main(["diff", "a", "b", "--all"]) == 1
    assert capsys.readouterr().out.splitlines()[-3:] == [
        "the rest",
        "name  change   from    to     imported  required by",
        "rich  changed  1.26.4  2.0.1",
    ]


@pytest.mark.slow
def test_nothing_is_exit_code_0(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["diff", "a", "a"]) == 0
    assert capsys.readouterr() == ("", "no difference\n")
    environments.put(folder / "a", wheels.wheel("click", "8.0"))
    assert main(["fingerprint", "a", "--json"]) == 0
    Path("a.json").write_text(capsys.readouterr().out.replace('"8.0"', '"8.1"'))
    assert main(["diff", "a", "a.json"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("nothing that is known to change results\n")


@pytest.mark.slow
def test_programs_get_json(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["diff", "a", "b", "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert found["matters"]
    assert [each["name"] for each in found["differences"]] == ["numpy", "rich"]
    assert found["differences"][0]["known"][0]["package"] == "numpy"


@pytest.mark.slow
def test_a_pull_request_gets_tables(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["diff", "a", "b", "--markdown"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "### `a` → `b`"
    assert "| `numpy` | changed | 1.26.4 | 2.0.1 |  |  |" in lines
    assert "<details><summary>1 difference not known to change results</summary>" in lines
    assert lines[-1] == "</details>"


def test_markdown_cannot_be_hidden_in_a_version() -> None:
    before = Fingerprint(kind="lock", packages=(Package(name="numpy", version="1.0"),))
    version = "<img src=x>|[a](b)`"
    after = Fingerprint(kind="lock", packages=(Package(name="numpy", version=version),))
    page = text.markdown("a`|b", "b", compare.between(before, after))
    assert r"\<img src=x\>\|\[a\](b)\`" in page
    assert "### `a\\|b` → `b`" in page
    assert text.markdown("a", "b", []).splitlines() == [
        "### `a` → `b`",
        "",
        "Nothing that is known to change results.",
    ]


@pytest.mark.slow
def test_an_artifact_that_is_not_the_locked_one_shows(
    locked: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The store has the wheels of the lock: one rebuilt by hand is known by its files."""
    scripts = {"alpha": "alpha:main"}
    same = wheels.wheel("alpha", "1.0", requires=["epsilon"], scripts=scripts)
    files = {"alpha/__init__.py": b"version = 'rebuilt'\n"}
    other = wheels.wheel("alpha", "1.0", files, requires=["epsilon"], scripts=scripts)
    rest = (wheels.wheel("epsilon", "5.0"), wheels.wheel("gamma", "2.0"))
    for name, alpha in (("same", same), ("other", other)):
        environments.make(tmp_path / name, alpha, *rest)
    assert main(["build", "serve", "--quiet"]) == 0
    capsys.readouterr()
    assert main(["diff", "pylock.serve.toml", str(tmp_path / "same"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["differences"] == []
    assert main(["diff", "pylock.serve.toml", str(tmp_path / "other"), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["differences"]
    assert [(each["name"], each["kind"]) for each in found] == [("alpha", "other files")]
