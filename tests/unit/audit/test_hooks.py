"""Hooks: the manifest for others, and configurations of any quality."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import cases
from support.programs import git

from lockstitch.audit.rule import CheckOptions
from lockstitch.audit.rules import hok
from lockstitch.audit.rules.hok import HOK001, HOK002, HOK008
from lockstitch.repository.files import Repository, open_repository
from lockstitch.repository.hooks import configuration

ROOT = Path(__file__).parents[3]


def repository(tmp_path: Path, **texts: str) -> Repository:
    named = {name.replace("_", "."): text for name, text in texts.items()}
    return Repository(tmp_path, [*named], tracked=None, changed=named)


def test_the_manifest_for_other_repositories_is_one(tmp_path: Path) -> None:
    program = Path(sys.executable).with_name("pre-commit")
    env = {**os.environ, "PRE_COMMIT_HOME": str(tmp_path)}
    words = [program, "validate-manifest", ROOT / ".pre-commit-hooks.yaml"]
    done = subprocess.run(words, env=env, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_who_only_looks_at_a_clone_needs_no_hooks(tmp_path: Path) -> None:
    text = "repos:\n  - repo: meta\n    hooks:\n      - id: identity\n"
    origin = tmp_path / "origin"
    (origin).mkdir()
    (origin / ".pre-commit-config.yaml").write_text(text)
    git(origin, "init", "--quiet")
    git(origin, "add", ".")
    git(origin, "commit", "--quiet", "--message", "a")
    git(tmp_path, "clone", "--quiet", str(origin), "clone")
    clone = tmp_path / "clone"
    assert [*HOK002().find(open_repository(clone))] == []
    assert [*HOK002().find(open_repository(origin))] != []
    (clone / "a").write_text("")
    git(clone, "add", ".")
    git(clone, "commit", "--quiet", "--message", "b")
    assert [*HOK002().find(open_repository(clone))] != []


def test_prek_has_the_lines_of_its_hooks(tmp_path: Path) -> None:
    text = (
        "[[repos]]\nrepo = 'builtin'\nhooks = [\n  { id = 'a' },\n  { id = 'b' },\n]\n\n"
        "[[repos]]\nrepo = 'local'\n[[repos.hooks]]\nid = 'a'\nname = 'a'\nentry = 'a'\n"
        "language = 'system'\nstages = ['push']\n"
    )
    (file,) = configuration.hook_files(repository(tmp_path, prek_toml=text))
    assert [(repo.line, hook.id, hook.line) for repo, hook in file.hooks()] == [
        (2, "a", 4),
        (2, "b", 5),
        (9, "a", 11),
    ]
    assert file.problems == ()


@pytest.mark.slow
@given(st.text(max_size=200) | st.builds(lambda x: f"repos:\n{x}", st.text(max_size=80)))
def test_any_text_gives_a_value(text: str) -> None:
    for name in (".pre-commit-config.yaml", "prek.toml"):
        repo = Repository(Path("/nowhere"), [name], tracked=None, changed={name: text})
        (file,) = configuration.hook_files(repo)
        assert file.problems or file.repos is not None


def test_a_clone_of_ci_needs_no_hooks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "repos:\n  - repo: meta\n    hooks: [{id: identity}]\n"
    case = cases.Case(files={".pre-commit-config.yaml": text}, git=True)
    cases.write(case, tmp_path)
    assert [each.code for each in cases.check(tmp_path, HOK002)] == ["HOK002"]
    monkeypatch.setenv("CI", "true")
    assert cases.check(tmp_path, HOK002) == []


def test_a_worktree_has_the_hooks_of_its_repository(tmp_path: Path) -> None:
    text = "repos:\n  - repo: meta\n    hooks: [{id: identity}]\n"
    main, other = tmp_path / "main", tmp_path / "other"
    main.mkdir()
    cases.write(cases.Case(files={".pre-commit-config.yaml": text}, git=True), main)
    git(main, "worktree", "add", "-q", other)
    assert [each.code for each in cases.check(other, HOK002)] == ["HOK002"]
    hook = main / ".git" / "hooks" / "pre-commit"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\n")
    assert cases.check(other, HOK002) == []


def test_a_folder_of_a_repository_is_no_place_for_hooks(tmp_path: Path) -> None:
    files = {"sub/pyproject.toml": "[project]\nname = 'a'\n", "sub/a.py": "a = 1\n"}
    cases.write(cases.Case(files=files, git=True), tmp_path)
    assert cases.check(tmp_path / "sub", HOK001) == []


def test_without_a_runner_nothing_is_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repo = cases.repository(
        cases.write(
            cases.Case(files={"prek.toml": "repos = [{repo='meta',hooks=[{id='a'}]}]\n"}), tmp_path
        )
    )
    monkeypatch.setattr(hok, "program", lambda repo, name: None)
    (skip,) = HOK008(CheckOptions(measure=True)).find(repo)
    assert skip.reason == "`prek` is not installed"
