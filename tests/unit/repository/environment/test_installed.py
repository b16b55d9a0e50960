"""What stands in an environment, and which of its files are not what was installed."""

import base64
import hashlib
import os
from pathlib import Path

import pytest
from support import cases
from support.programs import git

from lockstitch.repository.environment import installed
from lockstitch.repository.environment.installed import Environment
from lockstitch.repository.environment.programs import virtual_environment

OLD, NEW = 1_700_000_000, 1_700_000_100


def environment(root: Path, files: dict[str, bytes]) -> Environment:
    site = root / "lib/python3.11/site-packages"
    info = site / "alpha-1.0.dist-info"
    info.mkdir(parents=True)
    (root / "pyvenv.cfg").write_text("version = 3.11.7\n")
    rows = []
    for name, data in files.items():
        path = site / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        os.utime(path, (OLD, OLD))
        digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode().rstrip("=")
        rows.append(f"{name},sha256={digest},{len(data)}")
    (info / "RECORD").write_text("\n".join([*rows, "alpha-1.0.dist-info/RECORD,,"]))
    os.utime(info / "RECORD", (OLD, OLD))
    found = installed.read(root)
    assert found is not None
    return found


def said(found: Environment, *, thorough: bool = False) -> list[tuple[str, str]]:
    return [
        (file.path.rpartition("/")[2], file.why)
        for file in installed.changed_files(found, thorough=thorough)
    ]


def test_packages_and_python(tmp_path: Path) -> None:
    found = environment(tmp_path, {"alpha/__init__.py": b"x = 1\n"})
    assert found.python == "3.11.7"
    assert {name: each.version for name, each in found.packages.items()} == {"alpha": "1.0"}
    assert said(found) == []
    assert said(found, thorough=True) == []


def test_an_edit_of_the_same_size_is_found_by_its_time(tmp_path: Path) -> None:
    found = environment(tmp_path, {"alpha/a.py": b"x = 1\n", "alpha/b.py": b"y = 1\n"})
    edited = next(tmp_path.rglob("b.py"))
    edited.write_bytes(b"y = 2\n")
    os.utime(edited, (NEW, NEW))
    assert said(found) == [("b.py", "has another sha256 than what was installed")]
    os.utime(edited, (OLD, OLD))
    assert said(found) == [], "the docstring says so"
    assert said(found, thorough=True) == [("b.py", "has another sha256 than what was installed")]


def test_a_file_that_was_only_touched_is_the_same(tmp_path: Path) -> None:
    found = environment(tmp_path, {"alpha/a.py": b"x = 1\n"})
    os.utime(next(tmp_path.rglob("a.py")), (NEW, NEW))
    assert said(found) == []


def test_no_more_than_a_limit_is_hashed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(installed, "_MOST_HASHED", 4)
    found = environment(tmp_path, {"alpha/a.py": b"x = 1\n"})
    edited = next(tmp_path.rglob("a.py"))
    edited.write_bytes(b"x = 2\n")
    os.utime(edited, (NEW, NEW))
    assert said(found) == []
    assert len(said(found, thorough=True)) == 1


def test_what_is_no_environment_is_none(tmp_path: Path) -> None:
    assert installed.read(tmp_path) is None


def test_an_environment_that_came_with_the_repository_is_none_of_ours(tmp_path: Path) -> None:
    environment(tmp_path / "tools", {})
    (tmp_path / ".venv").symlink_to("tools")
    assert virtual_environment(cases.repository(tmp_path)) is None
    (tmp_path / ".venv").unlink()
    environment(tmp_path / ".venv", {})
    assert virtual_environment(cases.repository(tmp_path)) == tmp_path / ".venv"
    for words in (["init", "-q"], ["add", "-f", ".venv"]):
        git(tmp_path, *words)
    assert virtual_environment(cases.repository(tmp_path)) is None
