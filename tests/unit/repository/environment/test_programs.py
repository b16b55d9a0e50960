"""Programs are taken from an environment only when it did not come with the repository."""

from pathlib import Path

from support import cases
from support.programs import git, stand_in

from lockstitch.repository.environment.programs import program


def test_an_environment_that_git_has_is_not_trusted(tmp_path: Path) -> None:
    path = stand_in(tmp_path / ".venv" / "bin" / "hadolint-of-test", "")
    git(tmp_path, "init", "-q")
    assert program(cases.repository(tmp_path), "hadolint-of-test") == path
    git(tmp_path, "add", "-f", ".")
    assert program(cases.repository(tmp_path), "hadolint-of-test") is None
