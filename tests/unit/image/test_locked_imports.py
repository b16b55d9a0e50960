"""What an image's program imports is held against the lock before anything is downloaded."""

from pathlib import Path

import pytest
from support import projects, wheels
from support.server import Reply
from support.world import World

from lockstitch.cli.main import main

TABLES = """\
[tool.uv]
package = false

[tool.lockstitch]
python = "3.11"

[tool.lockstitch.images.serve]
include = ["main.py"]
command = ["python", "main.py"]
"""


@pytest.fixture
def project(world: World, tmp_path: Path) -> Path:
    """Return a project with a package whose modules have other names than it has."""
    files = {"odd_name/__init__.py": b"", "second.py": b""}
    world.index.publish(wheels.wheel("other", "1.0", files))
    text = projects.minimal(TABLES, dependencies='["alpha", "other"]')
    return projects.write_files(tmp_path / "tiny", {"pyproject.toml": text, "main.py": ""})


def lock(root: Path, capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    code = main(["lock", "--quiet", "--project", str(root), *words])
    return code, capsys.readouterr().err


def ends(world: World) -> list[str]:
    """Return the wheels of which the end was asked for."""
    asked = [each.path for each in world.server.asked if each.range.startswith("bytes=-")]
    return sorted(path.rpartition("/")[2].partition("-")[0] for path in asked)


def test_names_that_tell_enough_need_no_request(
    project: Path, world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    (project / "main.py").write_text("import json\nimport alpha.sub\n")
    assert lock(project, capsys)[0] == 0
    assert not ends(world)


def test_a_package_is_asked_for_its_files_not_downloaded(
    project: Path, world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    (project / "main.py").write_text("import odd_name\nimport second\n")
    assert lock(project, capsys)[0] == 0
    assert ends(world) == ["alpha", "epsilon", "other"]
    world.server.asked.clear()
    assert lock(project, capsys)[0] == 0
    assert not ends(world), "the lists are remembered"


@pytest.mark.slow
def test_what_no_package_has_is_an_error_and_the_locks_are_written(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (project / "main.py").write_text("import odd_name\nimport sklearn.svm\n")
    code, error = lock(project, capsys)
    assert code == 1
    assert "error: main.py:2: `sklearn.svm` is in no package of image `serve`\n" in error
    assert (
        'hint: uv add --frozen scikit-learn && lockstitch lock; or allow-missing = ["sklearn"]'
        in error
    )
    assert "locked: uv.lock" in error
    assert "Traceback" not in error
    assert (project / "lockstitch.lock").exists()
    assert lock(project, capsys, "--check")[0] == 0
    code, error = lock(project, capsys)
    assert (code, error.count("sklearn.svm")) == (1, 1)
    projects.replace(project, "[tool.lockstitch.images.serve]\n", _ALLOWED)
    assert lock(project, capsys)[0] == 0


_ALLOWED = '[tool.lockstitch.images.serve]\nallow-missing = ["sklearn"]\n'


def test_a_server_that_gives_no_parts_makes_no_false_alarm(
    project: Path, world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    (project / "main.py").write_text("import odd_name\nimport sklearn\n")
    for file in world.index.files.values():
        world.server.on(file.path, Reply(body=file.data, ranges=False))
    assert lock(project, capsys)[0] == 0


@pytest.mark.slow
def test_what_packages_import_is_told_once_they_are_here(
    project: Path, world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    texts = {"late/__init__.py": b"import pkg_resources\n"}
    world.index.publish(wheels.wheel("late", "1.0", texts))
    projects.replace(project, '"other"', '"late"')
    (project / "main.py").write_text("import late\n")
    assert lock(project, capsys)[0] == 0
    assert main(["build", "--quiet", "--project", str(project)]) == 1
    message = "late/__init__.py:1 of `late 1.0`: `pkg_resources` is in no package of image `serve`"
    assert f"error: {message}\n" in capsys.readouterr().err
    projects.replace(project, '"late"', '"late", "epsilon"')
    code, error = lock(project, capsys)
    assert code == 1
    assert f"error: {message}\n" in error


@pytest.mark.slow
def test_an_image_without_a_command(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    projects.replace(project, 'command = ["python", "main.py"]\n', "")
    code, error = lock(project, capsys)
    assert code == 0
    assert "warning: image `serve` has no command, and no build without one\n" in error
    assert main(["build", "--quiet", "--project", str(project)]) == 1
    error = capsys.readouterr().err
    assert "error: image `serve` has no command: a container of it has nothing to run\n" in error
    assert 'hint: command = ["python", "FILE.py"] in [tool.lockstitch.images.serve]; or' in error
    projects.replace(project, 'include = ["main.py"]\n', 'include = ["main.py"]\ncommand = []\n')
    assert "warning" not in lock(project, capsys)[1]
    assert main(["build", "--quiet", "--project", str(project)]) == 0
