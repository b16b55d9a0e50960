"""What the user wrote, as values."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from lockstitch.errors import LockstitchError
from lockstitch.python.load import read
from lockstitch.python.model import ImageSpec

DOCUMENT = {
    "project": {"name": "a"},
    "tool": {"lockstitch": {"images": {"train": {}, "serve": {"port": 80}}}},
}


def test_an_image_is_found_by_its_name() -> None:
    project = read(DOCUMENT, Path("/p"))
    assert [image.name for image in project.images] == ["serve", "train"]
    assert project.image("serve").port == 80


def test_another_image_is_refused_with_the_ones_there_are() -> None:
    with pytest.raises(LockstitchError) as caught:
        read(DOCUMENT, Path("/p")).image("srve")
    assert caught.value.message == "`srve` is not an image of this project (it has: serve, train)"
    assert caught.value.hint == "did you mean `serve`?"


def run(folder: Path, *before: str) -> tuple[int, str]:
    spec = ImageSpec(name="a", before=before, command=("python", "last.py", "one word"))
    (folder / "last.py").write_text("import sys\nprint('last', sys.argv[1:])\n")
    (folder / "first.py").write_text("import sys\nprint('first', sys.argv[1:])\n")
    (folder / "ends.py").write_text("import sys\nsys.exit(7)\n")
    words = [sys.executable, *spec.started[1:]]
    words += ["added"]
    env = {**os.environ, "PATH": str(Path(sys.executable).parent)}
    done = subprocess.run(words, cwd=folder, env=env, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout


def test_commands_before_the_one_run_in_turn(tmp_path: Path) -> None:
    code, out = run(tmp_path, "python first.py 'a b'", "python first.py")
    assert (code, out) == (0, "first ['a b']\nfirst []\nlast ['one word', 'added']\n")


def test_the_first_one_that_fails_ends_it_with_its_code(tmp_path: Path) -> None:
    assert run(tmp_path, "python ends.py", "python first.py") == (7, "")


def test_a_command_alone_is_started_as_it_is() -> None:
    spec = ImageSpec(name="a", command=("python", "a.py"))
    assert spec.started == ("python", "a.py")
    assert spec.steps == (("python", "a.py"),)


def test_a_record_is_in_the_first_folder_of_outputs() -> None:
    assert ImageSpec(name="a", outputs=(".", "logs")).record == "logs/a.run.json"
    assert ImageSpec(name="a", outputs=(".",)).record == ""
