"""uv is asked whether its lock fits, and not again while nothing that it looks at has changed."""

from pathlib import Path

import pytest
from support import cases, projects
from support.programs import UV, stand_in

from lockstitch.audit.rules.lck_stale import LCK002

PYPROJECT = projects.minimal("")
LOCK = """\
version = 1
requires-python = ">=3.11"

[[package]]
name = "tiny"
version = "1"
source = { virtual = "." }
"""


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a file with a line for each time that uv was asked."""
    log = tmp_path / "asked"
    log.touch()
    uv = stand_in(tmp_path / "uv", f'echo "$@" >> {log}\nexec {UV} "$@"')
    monkeypatch.setenv("LOCKSTITCH_UV", str(uv))
    monkeypatch.setenv("LOCKSTITCH_CACHE", str(tmp_path / "store"))
    return log


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "root"
    folder.mkdir()
    (folder / "pyproject.toml").write_text(PYPROJECT)
    (folder / "uv.lock").write_text(LOCK)
    return folder


@pytest.mark.slow
def test_what_fits_is_remembered(asked: Path, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def count() -> int:
        assert cases.check(root, LCK002) == []
        return len(asked.read_text().splitlines())

    assert [count(), count()] == [1, 1]
    monkeypatch.setenv("UV_HTTP_TIMEOUT", "7")
    assert [count(), count()] == [2, 2]
    (root / "uv.toml").write_text('resolution = "highest"\n')
    assert [count(), count()] == [3, 3]
    (root / "uv.lock").write_text(f"# again\n{LOCK}")
    assert [count(), count()] == [4, 4]


def test_what_does_not_fit_is_asked_each_time(
    asked: Path, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cases.check(root, LCK002) == []
    monkeypatch.setenv("UV_PRERELEASE", "disallow")
    first = cases.check(root, LCK002)
    assert [each.code for each in first] == ["LCK002"]
    assert cases.check(root, LCK002) == first
    assert len(asked.read_text().splitlines()) == 3
