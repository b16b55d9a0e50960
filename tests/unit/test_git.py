"""The commit of a project's folder."""

from pathlib import Path

import pytest
from support import programs

from lockstitch import git


def test_a_folder_is_clean_dirty_or_in_no_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert git.commit(tmp_path).state == "none"
    project = tmp_path / "project"
    project.mkdir()
    programs.git(tmp_path, "init", "--quiet")
    assert git.commit(project) == git.Commit()
    (project / "a").write_text("1")
    (tmp_path / ".gitignore").write_text("ignored\n")
    programs.git(tmp_path, "add", "-A")
    programs.git(tmp_path, "commit", "--quiet", "-m", "one")
    (project / "ignored").write_text("1")
    (tmp_path / "beside").write_text("1")
    found = git.commit(project)
    assert (found.state, found.digest) == ("clean", programs.git(tmp_path, "rev-parse", "HEAD"))
    (project / "new").write_text("1")
    assert git.commit(project).state == "dirty"
    (project / "new").unlink()
    (project / "a").write_text("2")
    assert git.commit(project).state == "dirty"
    monkeypatch.setenv("PATH", str(tmp_path))
    assert git.commit(project).state == "none", "without git nobody knows"


def test_git_is_asked_where_there_may_be_a_repository_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository, link, outside = tmp_path / "repository", tmp_path / "link", tmp_path / "outside"
    (repository / "below").mkdir(parents=True)
    outside.mkdir()
    programs.git(repository, "init", "--quiet")
    (repository / "below/a").write_text("1")
    link.symlink_to(repository / "below")  # git looks from where it leads
    assert git.listed(link) == git.listed(repository / "below") == ([], ["a"])
    monkeypatch.setenv("GIT_DIR", str(repository / ".git"))
    assert git.listed(outside) == ([], [])
    monkeypatch.delenv("GIT_DIR")
    monkeypatch.setattr(git, "run", None)
    assert git.listed(outside) is None
    assert git.ignored(outside, ["a"]) == set()
    assert git.last_change(outside) == ""
