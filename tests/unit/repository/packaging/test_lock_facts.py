"""Whether a lock fits, who runs a folder: what the case files do not reach."""

import hashlib
import json
import tomllib
from pathlib import Path

import pytest
from support import cases
from support.programs import stand_in

from lockstitch.audit.rules.pkg import PKG001
from lockstitch.repository.packaging import pyproject, stale


def digest(value: object) -> dict[str, dict[str, str]]:
    text = json.dumps(value, sort_keys=True)
    return {"metadata": {"content-hash": hashlib.sha256(text.encode()).hexdigest()}}


BOTH = tomllib.loads(
    '[project]\nname = "a"\ndependencies = ["x"]\n[dependency-groups]\ndev = ["y"]\n'
    "[tool.poetry]\npackage-mode = false\n"
)
PROJECT = {"project": {"dependencies": ["x"]}, "tool": {"poetry": {}}}


def test_poetrys_hash_by_its_version() -> None:
    new = digest({**PROJECT, "dependency-groups": {"dev": ["y"]}})
    assert stale.fits_poetry(BOTH, new, "# by Poetry 2.5.1") is True
    assert stale.fits_poetry(BOTH, digest(PROJECT), "# by Poetry 2.5.1") is False
    assert stale.fits_poetry(BOTH, digest(PROJECT), "# by Poetry 2.1.0") is True
    legacy = dict.fromkeys(("dependencies", "dev-dependencies", "extras", "source"))
    assert stale.fits_poetry(BOTH, digest(legacy), "# by Poetry 2.1.0") is False
    assert stale.fits_poetry(BOTH, digest(legacy), "# by Poetry 1.8.3") is True
    assert stale.fits_poetry(BOTH, {}, "") is None


@pytest.mark.parametrize(
    ("text", "line"), [("a = \n", 1), ("[a]\nb = 1\nb = 2\n", 3), ('a = "', 1), ("x", 1)]
)
def test_where_a_text_is_no_toml(text: str, line: int) -> None:
    found = pyproject.broken(text)
    assert found is not None
    assert found[0] == line


def test_validate_pyproject_is_asked_once_for_a_text(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = tmp_path / "project"
    # It says what the real one says of this text, and only where the network is forbidden to it.
    stand_in(
        tmp_path / "bin/validate-pyproject",
        f'[ "$VALIDATE_PYPROJECT_NO_NETWORK" ] || exit 3\necho asked >> {tmp_path}/log\n'
        "cat > /dev/null\n"
        "echo '[ERROR] `tool.setuptools.packages` must be valid:' >&2\nexit 1",
    )
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    project.mkdir()
    text = '[project]\nname = "a"\nversion = "1"\n[tool.setuptools]\npackages = "x"\n'
    (project / "pyproject.toml").write_text(text)
    for _ in range(2):
        (found,) = cases.check(project, PKG001)
        assert (found.line, found.message) == (
            5,
            "validate-pyproject: `tool.setuptools.packages` must be valid",
        )
    assert (tmp_path / "log").read_text() == "asked\n"
