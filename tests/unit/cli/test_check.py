"""The check command: roots, forms, exit codes, fixes."""

import json
import os
from pathlib import Path

import pytest
from support.programs import git

from lockstitch.cli.main import main

OLD = 'version: "3"\nservices:\n  db:\n    image: postgres:17.2\n'
NEW = "services:\n  db:\n    image: postgres:17.2\n"
ONLY = ("--select", "STK011,CHK")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "compose.yaml").write_text(OLD)
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "docker-compose.yaml").write_text(OLD)
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "a"\n')
    return tmp_path


def test_findings_are_data_and_counts_are_talk(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", str(folder), *ONLY]) == 1
    out, err = capsys.readouterr()
    assert out.splitlines()[:2] == [
        "compose.yaml:1:1: warning STK011 `version:` is obsolete: Compose ignores it and warns",
        "    hint: take the line out",
    ]
    assert "2 findings (0 errors, 2 warnings) by 3 rules in 3 files" in err
    assert "hint: lockstitch check --fix  # 2 of them" in err


def test_quiet_says_only_what_is_found(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(folder), *ONLY, "--quiet"]) == 1
    assert capsys.readouterr().err == ""


def test_hints_are_shown_on_demand(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = "numpy==2.1.3\npandas==2.2.3\n"  # pinned, and without hashes
    (tmp_path / "requirements.txt").write_text(text)
    assert main(["check", str(tmp_path)]) == 0
    out, err = capsys.readouterr()
    assert "LCK003" not in out
    assert "not shown: 1 of a lower level; all: --level hint" in err
    assert main(["check", str(tmp_path), "--level", "hint"]) == 1
    out, err = capsys.readouterr()
    assert out.startswith("requirements.txt:1:1: hint LCK003 ")
    assert "1 finding (0 errors, 0 warnings, 1 hint)" in err
    # Who asks for a rule sees what it finds.
    assert main(["check", str(tmp_path), "--select", "LCK003"]) == 1
    assert main(["check", str(tmp_path), "--select", "LCK003", "--level", "error"]) == 0
    capsys.readouterr()
    assert main(["check", str(tmp_path), "--level", "hint", "--format", "sarif"]) == 1
    (result,) = json.loads(capsys.readouterr().out)["runs"][0]["results"]
    assert result["level"] == "note"
    assert main(["check", str(tmp_path), "--level", "hint", "--format", "github"]) == 1
    assert capsys.readouterr().out.startswith("::notice file=requirements.txt,line=1")


def test_exit_zero(folder: Path) -> None:
    assert main(["check", str(folder), *ONLY, "--exit-zero"]) == 0


def test_a_clean_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(tmp_path), *ONLY]) == 0
    assert capsys.readouterr() == ("", "nothing found by 3 rules in 0 files\n")


def test_one_file_of_a_project(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(folder / "sub" / "docker-compose.yaml"), *ONLY]) == 1
    assert capsys.readouterr().out.splitlines()[0].startswith("sub/docker-compose.yaml:1:1: ")


def test_fix_writes_and_shows_and_a_second_run_finds_nothing(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", str(folder), *ONLY, "--fix"]) == 0
    out, err = capsys.readouterr()
    assert out.splitlines()[:4] == [
        "--- a/compose.yaml", "+++ b/compose.yaml", "@@ -1,4 +1,3 @@", '-version: "3"',
    ]  # fmt: skip
    assert "fixed: 2" in err
    assert (folder / "compose.yaml").read_text() == NEW
    assert main(["check", str(folder), *ONLY, "--fix"]) == 0
    assert capsys.readouterr().out == ""


def test_diff_writes_nothing_and_says_no(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(folder), *ONLY, "--diff"]) == 1
    assert "would fix: 2" in capsys.readouterr().err
    assert (folder / "compose.yaml").read_text() == OLD


@pytest.mark.parametrize("form", ["json", "sarif", "github"])
def test_other_forms_are_all_of_stdout(
    folder: Path, form: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", str(folder), *ONLY, "--format", form, "--fix"]) == 0
    out, err = capsys.readouterr()
    assert "--- a/compose.yaml" in err
    if form == "github":
        assert out == ""
    else:
        assert json.loads(out)


def test_json_is_short_for_its_form(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(folder), *ONLY, "--json"]) == 1
    found = json.loads(capsys.readouterr().out)["findings"]
    assert [each["path"] for each in found] == ["compose.yaml", "sub/docker-compose.yaml"]


def test_settings_of_the_folder_count(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = '[tool.lockstitch.check]\nselect = ["STK011"]\nexclude = ["sub/**"]\n'
    (folder / "pyproject.toml").write_text(text)
    assert main(["check", str(folder)]) == 1
    assert "1 finding (0 errors, 1 warning) by 1 rule in 2 files" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["--select", "XYZ"], 2, "error: `XYZ` is no code of a rule"),
        (["--json", "--format", "sarif"], 2, "error: --json cannot be used together with"),
        (["missing"], 2, "error: `missing` is not there"),
    ],
)
def test_wrong_use(
    words: list[str], code: int, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", *words]) == code
    assert capsys.readouterr().err.startswith(message)


def test_names_that_a_terminal_would_obey(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = "a\x1b[2Jb"
    (tmp_path / name).mkdir()
    (tmp_path / name / "compose.yaml").write_text(OLD)
    assert main(["check", str(tmp_path), *ONLY, "--diff"]) == 1
    assert "\x1b" not in capsys.readouterr().out


def test_explain(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--explain", "stk011"]) == 0
    assert capsys.readouterr().out.startswith("STK011: A compose file has the obsolete")
    assert main(["check", "--explain", "CHK"]) == 0
    assert [line[:6] for line in capsys.readouterr().out.splitlines()] == ["CHK001", "CHK002"]
    assert main(["check", "--explain", "CHK001", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["code"] == "CHK001"
    assert main(["check", "--explain", "NOPE"]) == 2
    assert capsys.readouterr().err == (
        "error: `NOPE` is no code of a rule\nhint: lockstitch check --explain\n"
    )


def test_a_folder_below_is_looked_at_with_the_settings_of_the_root(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "pyproject.toml").write_text(
        '[tool.lockstitch.check.per-file-ignores]\n"sub/**" = ["STK011"]\n'
    )
    assert main(["check", str(folder / "sub"), *ONLY]) == 0
    (folder / "pyproject.toml").write_text("[tool.lockstitch.check]\n")
    assert main(["check", str(folder / "sub"), *ONLY]) == 1
    found = capsys.readouterr().out.splitlines()
    assert [line for line in found if "STK011" in line] == [
        (
            "sub/docker-compose.yaml:1:1: warning STK011 "
            "`version:` is obsolete: Compose ignores it and warns"
        )
    ]


def test_what_a_fix_would_damage_is_left_and_named(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = OLD.encode() + b"# caf\xe9\n"
    (folder / "compose.yaml").write_bytes(text)
    assert main(["check", str(folder), *ONLY, "--fix"]) == 1
    assert "left as it is: `compose.yaml`: it is not UTF-8\n" in capsys.readouterr().err
    assert (folder / "compose.yaml").read_bytes() == text


@pytest.mark.parametrize("tracked", [True, False])
@pytest.mark.parametrize("form", ["text", "json", "sarif", "github"])
def test_a_name_that_is_not_utf8_is_no_crash(
    folder: Path, capsys: pytest.CaptureFixture[str], form: str, *, tracked: bool
) -> None:
    where = os.fsencode(folder) + b"/caf\xe9"
    os.mkdir(where)  # noqa: PTH102 -- a name of bytes
    for name, text in (
        (b"compose.yaml", OLD),
        (b"main.py", "a = 1\n"),
        (b"Dockerfile", "FROM a\n"),
    ):
        Path(os.fsdecode(where + b"/" + name)).write_text(text)
    if tracked:
        git(folder, "init", "-q")
    assert main(["check", str(folder), "--format", form]) == 1
    out = capsys.readouterr().out
    assert "STK011" in out
    assert "crashed" not in out
    out.encode()  # what is printed is UTF-8
