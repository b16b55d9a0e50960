"""What is built is built with what a project's indexes have, whatever the project constrains."""

import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import wheels
from support.projects import write_files
from support.server import serve

from lockstitch.errors import LockstitchError
from lockstitch.lock import uv
from lockstitch.lock.uv import indexes_of
from lockstitch.python import load
from lockstitch.python.locks.pylock import Unbuilt
from lockstitch.python.model import Project

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
    mac = "No solution found\n because a{sys_platform == 'darwin'}>=1 has no wheels\n"
    wanted = "environments = [\"sys_platform == 'linux'\"] in [tool.uv]"
    assert uv.unsolved("it cannot be locked", mac).hint == wanted


@pytest.fixture
def index(monkeypatch: pytest.MonkeyPatch) -> Iterator[wheels.Index]:
    """Return an index that uv asks alone."""
    with serve() as server:
        served = wheels.Index(server)
        monkeypatch.setenv("UV_DEFAULT_INDEX", served.url)
        yield served


def project_of(folder: Path, *dependencies: str, settings: str = "") -> Project:
    text = f"""\
[project]
name = "own"
version = "1"
requires-python = "==3.11.*"
dependencies = {[*dependencies]}
[tool.uv]
{settings}
[tool.lockstitch.images.app]
command = ["python"]
"""
    return load.load(write_files(folder, {"pyproject.toml": text}))


@pytest.mark.parametrize(
    ("asked", "older", "version"),
    [
        ("fast", "cp311-cp311-manylinux_2_17_x86_64", "1.0"),
        ("fast==2.0", "cp311-cp311-manylinux_2_17_x86_64", "2.0"),
        ("fast", "cp310-cp310-manylinux_2_17_x86_64", "2.0"),
        ("fast beside", "cp311-cp311-manylinux_2_17_x86_64", "3.0"),
        ("fast", "py3-none-any", "2.0"),
    ],
)
def test_a_version_with_a_wheel_is_taken_before_a_newer_source(
    asked: str, older: str, version: str, index: wheels.Index, tmp_path: Path
) -> None:
    index.publish(wheels.sdist("fast", "2.0"))
    if asked == "fast beside":  # an old version that uv took since it bounds nothing
        asked = "beside"
        index.publish(wheels.wheel("fast", "3.0", requires=["base<2"], tag=older))
        index.publish(wheels.wheel("base", "1.0"))
        index.publish(wheels.wheel("base", "2.0"))
        index.publish(wheels.wheel("beside", "1.0", requires=["base", "fast"]))
    else:
        index.publish(wheels.wheel("fast", "1.0", tag=older))
    project = project_of(tmp_path, *asked.split(), *(["base"] if asked == "beside" else []))
    uv.lock(project, upgrade=None)
    newest = Unbuilt(name="fast", version="2.0", kind="sdist", artifact="")
    assert uv.take_wheels(project, [newest]) == (version != "2.0")
    packages = tomllib.loads((tmp_path / "uv.lock").read_text())["package"]
    assert {p["name"]: p["version"] for p in packages}["fast"] == version
    uv.check(project)


def test_what_builds_keeps_the_bounds_that_uv_has_for_it(
    index: wheels.Index, tmp_path: Path
) -> None:
    for number in ("80.0", "82.0"):
        index.publish(wheels.wheel("setuptools", number))
    project = project_of(tmp_path, settings='build-constraint-dependencies = ["setuptools<81"]\n')
    (pin,) = uv.of_build(["setuptools>=40.8.0"], project)
    assert pin.startswith("setuptools==80.0 ")
    (pin,) = uv.compile_requirements(["setuptools>=40.8.0"], project)
    assert pin.startswith("setuptools==82.0 ")


_UNREACHED = """\
error: Git operation failed
  cause: process didn't exit successfully: `git fetch 'https://git.test/a' '+HEAD:refs/x'` (128)
         --- stderr
         fatal: unable to access 'https://git.test/a/': Could not resolve host: git.test
"""
_UNWRITTEN = """\
error: Failed to write to the client cache
  cause: failed to write to file `/c/x`: No space left on device (os error 28)
"""


@pytest.mark.parametrize(
    ("output", "message", "hint"),
    [
        (
            _UNREACHED,
            "git does not get `https://git.test/a`: Could not resolve host: git.test",
            "git ls-remote https://git.test/a",
        ),
        (_UNWRITTEN, "no space left on the disk for `/c/x`", "UV_CACHE_DIR"),
    ],
)
def test_a_host_of_git_and_a_full_disk(output: str, message: str, hint: str) -> None:
    error = uv.unsolved("it cannot be locked", output)
    assert error.message == f"it cannot be locked: {message}"
    assert hint in error.hint


def test_an_error_of_a_build_ends_with_what_its_traceback_ends_with() -> None:
    frames = "".join(
        f'      File "setup{n}.py", line 1, in x\n        run()\n        ^^^\n' for n in range(30)
    )
    output = (
        f"error: Failed to build `a`\n    Traceback (most recent call last):\n{frames}"
        "    error: Multiple top-level packages discovered\n"
    )
    message = uv.unsolved("it cannot be locked", output).message
    assert message.splitlines()[-1].strip() == "error: Multiple top-level packages discovered"
    assert "setup0.py" not in message


def test_a_day_before_which_the_index_has_nothing(index: wheels.Index, tmp_path: Path) -> None:
    index.publish(wheels.wheel("late", "1.0"))
    project = project_of(tmp_path, "late", settings='exclude-newer = "2020-01-01T00:00:00Z"\n')
    with pytest.raises(LockstitchError) as caught:
        uv.lock(project, upgrade=None)
    assert caught.value.hint == "delete `exclude-newer` from [tool.uv], then: lockstitch lock"
    assert not (tmp_path / "uv.lock").exists()
    project = project_of(tmp_path, "gone", settings='exclude-newer = "2020-01-01T00:00:00Z"\n')
    with pytest.raises(LockstitchError) as caught:
        uv.lock(project, upgrade=None)
    assert "exclude-newer" not in caught.value.hint
