"""Programs are taken from an environment only when it did not come with the repository."""

from pathlib import Path

from support import cases
from support.programs import git

from lockstitch.repository.environment.programs import program


def test_an_environment_that_git_has_is_not_trusted(tmp_path: Path) -> None:
    path = tmp_path / ".venv" / "bin" / "hadolint-of-test"
    path.parent.mkdir(parents=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    git(tmp_path, "init", "-q")
    assert program(cases.repository(tmp_path), "hadolint-of-test") == path
    git(tmp_path, "add", "-f", ".")
    assert program(cases.repository(tmp_path), "hadolint-of-test") is None
