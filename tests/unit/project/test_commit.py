"""The commit of a project's folder."""

import subprocess
from pathlib import Path

import pytest

from lockstitch.project import commit


def git(folder: Path, *words: str) -> str:
    return subprocess.check_output(["git", "-C", folder, *words], text=True).strip()


def test_a_folder_is_clean_dirty_or_in_no_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert commit.of(tmp_path).state == "none"
    project = tmp_path / "project"
    project.mkdir()
    git(tmp_path, "init", "--quiet")
    assert commit.of(project) == commit.Commit()
    (project / "a").write_text("1")
    (tmp_path / ".gitignore").write_text("ignored\n")
    git(tmp_path, "add", "-A")
    git(tmp_path, "commit", "--quiet", "-m", "one")
    (project / "ignored").write_text("1")
    (tmp_path / "beside").write_text("1")
    found = commit.of(project)
    assert (found.state, found.digest) == ("clean", git(tmp_path, "rev-parse", "HEAD"))
    (project / "new").write_text("1")
    assert commit.of(project).state == "dirty"
    (project / "new").unlink()
    (project / "a").write_text("2")
    assert commit.of(project).state == "dirty"
    monkeypatch.setenv("PATH", str(tmp_path))
    assert commit.of(project).state == "none", "without git nobody knows"
