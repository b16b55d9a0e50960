"""What is built is built with what a project's indexes have, whatever the project constrains."""

import tomllib
from pathlib import Path

from support.projects import write_files

from lockstitch.lock import uv
from lockstitch.lock.uv import indexes_of

INDEXES = """
find-links = ["wheels", "https://example.test/flat"]
index-url = "https://example.test/simple"
no-index = false
index = [{name = "own", url = "indexes/own", default = true}, {url = "https://example.test/2"}]
"""


def test_a_project_without_constraints_is_asked_itself(tmp_path: Path) -> None:
    write_files(tmp_path, {"pyproject.toml": "[tool.uv]\nno-index = true\n"})
    with indexes_of(tmp_path) as where:
        assert where == tmp_path
    with indexes_of(tmp_path / "none") as where:
        assert where == tmp_path / "none"


def test_constraints_stay_behind_and_indexes_do_not(tmp_path: Path) -> None:
    text = f"[tool.uv]\nconstraint-dependencies = ['numpy<2']\n{INDEXES}"
    write_files(tmp_path, {"pyproject.toml": text})
    with indexes_of(tmp_path) as where:
        document = tomllib.loads((where / "uv.toml").read_text())
    assert document == {
        "find-links": [str(tmp_path / "wheels"), "https://example.test/flat"],
        "index-url": "https://example.test/simple",
        "no-index": False,
        "index": [
            {"name": "own", "url": str(tmp_path / "indexes/own"), "default": True},
            {"url": "https://example.test/2"},
        ],
    }
    assert not where.exists()


def test_a_file_of_uv_counts_before_pyproject(tmp_path: Path) -> None:
    ours = "override-dependencies = ['six']\nindex-url = 'https://example.test/a'\n"
    other = "[tool.uv]\nindex-url = 'https://example.test/b'\n"
    write_files(tmp_path, {"uv.toml": ours, "pyproject.toml": other})
    with indexes_of(tmp_path) as where:
        text = (where / "uv.toml").read_text()
    assert text == 'index-url = "https://example.test/a"\n'


def test_a_python_that_no_version_has_is_told_from_a_conflict() -> None:
    output = (
        "  × No solution found when resolving dependencies for split\n"
        "  ╰─▶ Because the requested Python version (>=3.8) does not satisfy Python>=3.9 and\n"
        "      bokeh>=3.2.1 depends on Python>=3.9, bokeh cannot be used.\n"
    )
    assert uv.unsolved("it cannot be locked", output).hint == (
        'requires-python = ">=3.9" or higher in [project]'
    )
    other = output.replace("the requested Python version (>=3.8) does not satisfy", "a needs")
    assert "exclude each other" in uv.unsolved("it cannot be locked", other).hint
