"""`lockstitch init`: a project of somebody else's gets what lockstitch needs, and then locks."""

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
TOOLS = ("black", "kingfisher-bin", "mypy", "prek", "pytest", "ruff")


def other(root: Path) -> Path:
    projects.write(root, pyproject="", files=FILES)
    (root / "pyproject.toml").unlink()
    return root


def test_what_it_makes_can_be_locked(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for built in [wheels.wheel(name, "99.0") for name in (*TOOLS, "hatchling")]:
        world.index.publish(built)
    root = other(tmp_path / "other")
    assert main(["init", str(root)]) == 0
    out, err = capsys.readouterr()
    assert out.startswith("--- /dev/null\n+++ b/.gitignore\n")
    assert '+dependencies = ["alpha", "beta==3.1"]\n' in out
    assert err.splitlines() == [
        "note: `setup.py`: kept; what pyproject.toml says counts from now on",
        "note: `requirements.txt:2`: `-e .` is this project: left out",
        "wrote: .gitignore, .kingfisher-rules.yaml, .python-version, prek.toml, pyproject.toml",
        "images: train",
        "commands: train `python train.py`",
        "files: train train.py",
        "Python: 3.11 of debian:bookworm",
        "left out: nothing",
        f"next: cd {root} && uv sync",
        f"next: cd {root} && lockstitch lock && lockstitch build",
        f"next: cd {root} && git init && uv run prek install",
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
    for words in ([], ["--force"], ["--manager", "uv"]):
        assert main(["init", *words]) == 0
        assert capsys.readouterr() == ("", "nothing to do: the project has all of it\n")
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


def test_a_dry_run_writes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = other(tmp_path / "other")
    assert main(["init", str(root), "--dry-run"]) == 0
    out, err = capsys.readouterr()
    assert "+++ b/pyproject.toml" in out
    assert "would write: .gitignore, .kingfisher-rules.yaml, .python-version, prek.toml, " in err
    assert {path.relative_to(root).as_posix() for path in root.rglob("*.*")} == set(FILES)


def test_the_answer_in_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = other(tmp_path / "other")
    assert main(["init", str(root), "--json"]) == 0
    out, err = capsys.readouterr()
    found = json.loads(out)
    assert err == ""
    ours = [".kingfisher-rules.yaml", ".python-version", "prek.toml"]
    assert found["changed"] == [".gitignore", *ours, "pyproject.toml"]
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
