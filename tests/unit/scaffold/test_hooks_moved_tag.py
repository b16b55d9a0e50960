"""A tag that moves must not change what runs: real git, prek and pre-commit, on this machine."""

import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from support.programs import git

from lockstitch.cli.main import main
from lockstitch.errors import LockstitchError
from lockstitch.scaffold.hooks import migrate

BIN = Path(sys.executable).parent
MANIFEST = "- id: say\n  name: say\n  entry: say.sh\n  language: script\n  verbose: true\n"


def commit(folder: Path, files: dict[str, str]) -> str:
    folder.mkdir(exist_ok=True)
    if not (folder / ".git").exists():
        git(folder, "init", "--quiet", "--initial-branch", "main")
    for name, text in files.items():
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", "change")
    return git(folder, "rev-parse", "HEAD")


@dataclass(frozen=True)
class Scene:
    hooks: Path
    project: Path
    good: str

    def move_tag(self) -> None:
        commit(self.hooks, {"say.sh": "#!/bin/sh\necho EVIL\n"})
        git(self.hooks, "tag", "--force", "--annotate", "--message", "v1", "v1")

    def in_a_fresh_clone(self, runner: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
        """Return what the hooks say to somebody who has nothing of this in a cache."""
        home = folder.with_name(f"{folder.name}-home")
        monkeypatch.setenv("PREK_HOME", str(home))
        monkeypatch.setenv("PRE_COMMIT_HOME", str(home))
        git(folder.parent, "clone", "--quiet", str(self.project), str(folder))
        done = subprocess.run(
            [BIN / runner, "run", "--all-files"],
            cwd=folder,
            check=False,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        said = {word for word in ("GOOD", "EVIL") if word in done.stdout}
        assert len(said) == 1, done.stdout
        return said.pop()


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    hooks, project = tmp_path / "hooks", tmp_path / "project"
    files = {".pre-commit-hooks.yaml": MANIFEST, "say.sh": "#!/bin/sh\necho GOOD\n"}
    good = commit(hooks, files)
    git(hooks, "tag", "--annotate", "--message", "v1", "v1")
    text = f"repos:\n- repo: {hooks}\n  rev: v1\n  hooks:\n  - id: say\n"
    commit(project, {".pre-commit-config.yaml": text})
    return Scene(hooks, project, good)


@pytest.mark.slow
@pytest.mark.parametrize("runner", ["prek", "pre-commit"])
def test_a_moved_tag_does_not_change_what_runs(
    runner: str, scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (scene.project / ".pre-commit-config.yaml").read_text()
    assert main(["hooks", "migrate", "--project", str(scene.project)]) == 0
    after = (scene.project / ".pre-commit-config.yaml").read_text()
    # The commit that the tag means, not the tag's own object.
    assert after == text.replace("rev: v1", f"rev: {scene.good}  # frozen: v1")
    scene.move_tag()
    assert scene.in_a_fresh_clone(runner, tmp_path / "with-tag", monkeypatch) == "EVIL"
    commit(scene.project, {".pre-commit-config.yaml": after})
    assert scene.in_a_fresh_clone(runner, tmp_path / "with-commit", monkeypatch) == "GOOD"


def test_a_branch_and_a_light_tag_are_frozen_too(scene: Scene) -> None:
    path = scene.project / ".pre-commit-config.yaml"
    git(scene.hooks, "tag", "light")
    git(scene.hooks, "branch", "light-er")
    for name in ("light", "light-er", "main"):
        path.write_text(
            f"repos:\n- repo: {scene.hooks}\n  rev: {name} # why\n  hooks: [{{id: say}}]\n"
        )
        line = f"  rev: {scene.good}  # frozen: {name}  # why\n"
        assert line in migrate.plan(scene.project).new
    path.write_text(
        f"repos:\n- repo: {scene.hooks}\n  rev: v2  # frozen: v1\n  hooks: [{{id: say}}]\n"
    )
    git(scene.hooks, "tag", "v2")
    assert f"  rev: {scene.good}  # frozen: v2\n" in migrate.plan(scene.project).new


def test_with_freeze_no_hook_becomes_local(scene: Scene, tmp_path: Path) -> None:
    shutil.copytree(scene.hooks, tmp_path / "black")
    path = scene.project / ".pre-commit-config.yaml"
    path.write_text(f"repos:\n- repo: {tmp_path}/black\n  rev: v1\n  hooks:\n  - id: black\n")
    (scene.project / "requirements.txt").write_text("black==26.1.0\n")
    (hook,) = migrate.plan(scene.project).decisions
    assert (hook.becomes, hook.now) == ("local", "black 26.1.0")
    (hook,) = migrate.plan(scene.project, freeze=True).decisions
    assert (hook.becomes, hook.now, hook.why) == ("frozen", scene.good, "as --freeze asks")


def test_what_cannot_be_asked_is_named_all_of_it_and_nothing_is_written(scene: Scene) -> None:
    path = scene.project / ".pre-commit-config.yaml"
    text = f"""repos:
- repo: {scene.hooks}
  rev: v1
  hooks: [{{id: say}}]
- repo: https://me:pass@127.0.0.1:9/hooks
  rev: v1
  hooks: [{{id: a}}, {{id: b}}]
- repo: {scene.hooks}
  rev: gone
  hooks: [{{id: say}}]
- repo: --upload-pack=touch /tmp/never
  rev: v1
  hooks: [{{id: c}}]
"""
    path.write_text(text)
    with pytest.raises(LockstitchError) as caught:
        migrate.plan(scene.project)
    first, second, third = caught.value.everything()
    assert first.message.startswith("`a`, `b` in line 5: `https://127.0.0.1:9/hooks` cannot be")
    assert "pass" not in first.message
    assert second.message == f"`say` in line 8: `{scene.hooks}` has no `gone`"
    assert third.message.startswith("`c` in line 11: `--upload-pack=touch /tmp/never` cannot be")
    assert all(each.hint for each in (first, second, third))
    assert path.read_text() == text
