"""`lockstitch init`: a project of somebody else's gets what lockstitch needs, and then locks."""

import io
import json
from pathlib import Path

import pytest
from support import projects, wheels
from support.world import World

from lockstitch.cli.main import main

FILES = {
    "setup.py": "from setuptools import setup\nsetup(name='tiny', install_requires=['alpha'])\n",
    "requirements.txt": "beta==3.1\n-e .\n",
    "tiny/__init__.py": "",
    "train.py": "import tiny\n",
}


def other(root: Path) -> Path:
    projects.write(root, pyproject="", files=FILES)
    (root / "pyproject.toml").unlink()
    return root


def test_what_it_makes_can_be_locked(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    world.index.publish(wheels.wheel("hatchling", "99.0"))
    root = other(tmp_path / "other")
    assert main(["init", str(root)]) == 0
    out, err = capsys.readouterr()
    assert out.startswith("--- /dev/null\n+++ b/.gitignore\n")
    assert '+dependencies = ["alpha", "beta==3.1"]\n' in out
    assert err.splitlines() == [
        "found: setup.py, requirements.txt, train.py:1: a script",
        "images: train",
        "commands: train `python train.py`",
        "files: train train.py",
        "Python: 3.11 of debian:bookworm",
        "note: `setup.py`: kept; what pyproject.toml says counts from now on",
        "left out: `requirements.txt:2`: `-e .` is this project",
        "wrote: .gitignore, pyproject.toml",
        f"next: cd {root} && lockstitch lock && lockstitch build",
    ]
    assert main(["lock", "--quiet", "--project", str(root)]) == 0
    assert main(["lock", "--check", "--quiet", "--project", str(root)]) == 0
    assert 'name = "beta"' in (root / "pylock.train.toml").read_text()


def test_a_second_time_there_is_nothing_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(other(tmp_path))
    assert main(["init"]) == 0
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    capsys.readouterr()
    for words in ([], ["--yes"], ["--manager", "uv"]):
        assert main(["init", *words]) == 0
        assert capsys.readouterr() == ("", "nothing to do: the project has all of it\n")
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


def test_a_dry_run_writes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = other(tmp_path / "other")
    assert main(["init", str(root), "--dry-run"]) == 0
    out, err = capsys.readouterr()
    assert "+++ b/pyproject.toml" in out
    assert "would write: .gitignore, pyproject.toml\n" in err
    assert err.endswith(f"next: cd {root} && lockstitch init\n")
    assert main(["init", str(root), "--dry-run", "--with-tools"]) == 0
    err = capsys.readouterr().err
    assert "would write: .gitignore, .kingfisher-rules.yaml, .python-version, prek.toml, " in err
    assert err.endswith(f"next: cd {root} && lockstitch init --with-tools\n")
    assert {path.relative_to(root).as_posix() for path in root.rglob("*.*")} == set(FILES)


def test_the_answer_in_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = other(tmp_path / "other")
    assert main(["init", str(root), "--json"]) == 0
    out, err = capsys.readouterr()
    found = json.loads(out)
    assert err == ""
    assert found["changed"] == [".gitignore", "pyproject.toml"]
    assert found["written"] is True
    assert found["manager"] == "uv"
    assert len(found["notes"]) == 2
    assert main(["init", str(root), "--json"]) == 0
    again = json.loads(capsys.readouterr().out)
    assert (again["changed"], again["diff"], again["written"]) == ([], "", False)


def test_each_decision_is_explained_by_its_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    texts = {
        "requirements.txt": "fastapi\nuvicorn\n",
        "main.py": "from fastapi import FastAPI\n\napp = FastAPI()\nopen('a/b.txt')\n",
        "a/b.txt": "",
    }
    root = projects.write_files(tmp_path, texts)
    wanted = [
        "[tool.lockstitch.images.serve]",
        "    main.py:3: fastapi `app`",
        "    main.py:4: `a/b.txt`",
    ]
    for _ in range(2):  # a project that has its images is explained too
        assert main(["init", str(root), "--explain"]) == 0
        out, err = capsys.readouterr()
        assert [line for line in wanted if line not in out.splitlines()] == []
    assert err == "nothing to do: the project has all of it\n"


class Terminal(io.StringIO):
    """A terminal on which somebody has typed a line."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("typed", "words", "writes"),
    [
        ("y\n", [], True),
        ("\n", [], True),
        ("Yes\n", [], True),
        ("n\n", [], False),
        ("", [], False),  # the end of the input is no yes
        ("n\n", ["--yes"], True),
    ],
)
def test_a_terminal_is_asked(
    typed: str, words: list[str], *, writes: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = other(tmp_path)
    screen = Terminal()
    monkeypatch.setattr("sys.stdin", Terminal(typed))
    monkeypatch.setattr("sys.stderr", screen)
    assert main(["init", str(root), *words]) == (0 if writes else 1)
    assert (root / "pyproject.toml").exists() == writes
    question = "write .gitignore, pyproject.toml? [Y/n]\n"
    assert (question in screen.getvalue()) == (not words)
    # A terminal gets colour, this one too.
    assert ("error\x1b[0m: nothing was written\n" in screen.getvalue()) == (not writes)


def test_git_init_is_no_advice_in_a_repository(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    steps = []
    for name in ("outside", "repository"):
        root = other(tmp_path / name / "below")
        if name == "repository":
            (root.parent / ".git").mkdir()
        assert main(["init", str(root), "--with-tools"]) == 0
        assert main(["new", str(root.parent / "churn")]) == 0
        lines = capsys.readouterr().err.splitlines()
        steps.append([line for line in lines if "install" in line and line.startswith("next: ")])
    outside, inside = steps
    assert all("git init && uv run prek install" in step for step in outside)
    assert all("git init" not in step for step in inside)
    assert len(outside) == len(inside) == 2
