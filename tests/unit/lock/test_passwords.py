"""A password that uv would leave in a lock is refused, and the lock is as it was."""

from pathlib import Path

import pytest
from support import projects
from support.world import World

from lockstitch.cli.main import main

PASSWORD = "s3cr3t" + "-word"


@pytest.mark.parametrize("was_locked", [False, True])
def test_a_password_in_a_dependencys_address_gets_into_no_lock(
    was_locked: bool,
    online: World,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    project = projects.write(tmp_path / "tiny")
    monkeypatch.chdir(project)
    if was_locked:
        assert main(["lock", "--quiet"]) == 0
    before = {path.name: path.read_bytes() for path in project.iterdir() if path.is_file()}
    file = next(file for file in online.index.files.values() if file.name == "alpha")
    host = online.server.address.removeprefix("http://")
    address = f"http://bob:{PASSWORD}@{host}{file.path}"
    projects.replace(project, '"alpha>=1"', f'"alpha @ {address}"')
    assert main(["lock", "--quiet"]) == 1
    err = capsys.readouterr().err
    assert f"`uv.lock` would hold a password of `{host}`" in err
    assert PASSWORD not in err
    left = {path.name: path.read_bytes() for path in project.iterdir() if path.is_file()}
    assert {name for name, data in left.items() if PASSWORD.encode() in data} == {"pyproject.toml"}
    assert left | {"pyproject.toml": before["pyproject.toml"]} == before
