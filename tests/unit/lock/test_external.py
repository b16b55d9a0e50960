"""Locks that another tool wrote become images like any other."""

import json
import subprocess
from pathlib import Path

import pytest
from support import projects
from support.world import World

from lockstitch import process
from lockstitch.cli.main import main
from lockstitch.errors import LockstitchError
from lockstitch.lock import external, file
from lockstitch.python.load import load
from lockstitch.python.locks import pylock
from lockstitch.python.target import Target

TABLES = """\
[tool.lockstitch]
lock = "requirements.txt"

[tool.lockstitch.images.serve]
command = ["python"]

[tool.lockstitch.images.train]
lock = "reqs/train.txt"
command = ["python"]
"""
PYPROJECT = projects.minimal(TABLES, '["alpha"]')
AMD = Target(platform="linux/amd64", python="3.11.2", glibc="2.36")


def pin(root: Path, name: str, *asked: str, form: str = "requirements.txt") -> None:
    """Let real uv write a lock of what is asked for."""
    words = ["pip", "compile", "-", "--universal", "--generate-hashes", "--quiet"]
    words += ["--format", form, "--output-file", str(root / name)]
    process.run([process.find_uv(), *words], stdin="\n".join(asked), cwd=root)


@pytest.fixture
def root(online: World, tmp_path: Path) -> Path:
    root = projects.write(tmp_path / "tiny", pyproject=PYPROJECT, files={"reqs/base.txt": ""})
    pin(root, "requirements.txt", "alpha", "gamma")
    pin(root, "reqs/base.txt", "alpha")
    pin(root, "reqs/train.txt", "beta")
    text = (root / "reqs" / "train.txt").read_text()
    (root / "reqs" / "train.txt").write_text(f"-r base.txt\n{text}")
    return root


def lockstitch(root: Path, *words: str) -> int:
    return main([*words, "--project", str(root)])


def names(root: Path, image: str) -> list[str]:
    text = (root / file.pylock_name(image)).read_text()
    return [wheel.name for wheel in pylock.select(text, AMD, image)]


@pytest.mark.slow
def test_requirements_files_are_locked_and_built(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert lockstitch(root, "lock", "--quiet") == 0
    assert names(root, "serve") == ["alpha", "epsilon", "gamma"]
    assert names(root, "train") == ["alpha", "beta", "epsilon"]
    locked = [each.path for each in file.read(root).files]
    ours = ["pylock.serve.toml", "pylock.train.toml"]
    assert locked == sorted([*ours, "reqs/base.txt", "reqs/train.txt", "requirements.txt"])
    assert not (root / "requirements-lock.txt").exists()
    assert lockstitch(root, "lock", "--check", "--quiet") == 0
    assert lockstitch(root, "build", "--quiet", "--json") == 0
    capsys.readouterr()
    # The same packages from uv's own lock are the same layers.
    of_uv = projects.write(root.parent / "uv" / "tiny", pyproject=PYPROJECT, files={})
    projects.replace(of_uv, '[tool.lockstitch]\nlock = "requirements.txt"\n', "")
    projects.replace(of_uv, 'lock = "reqs/train.txt"\n', 'groups = ["train"]\n')
    projects.replace(of_uv, "[tool.lockstitch.images.serve]\n", _UV)
    assert lockstitch(of_uv, "lock", "--quiet") == 0
    for image in ("serve", "train"):
        assert built(root, image, capsys) == built(of_uv, image, capsys)


_UV = """\
[dependency-groups]
serve = ["gamma"]
train = ["beta"]

[tool.lockstitch.images.serve]
groups = ["serve"]
"""


def built(root: Path, image: str, capsys: pytest.CaptureFixture[str]) -> list[object]:
    capsys.readouterr()
    assert lockstitch(root, "build", image, "--quiet", "--json") == 0
    capsys.readouterr()
    assert lockstitch(root, "image", "inspect", image, "--json") == 0
    layers: list[object] = [
        each["digest"] for each in json.loads(capsys.readouterr().out)["layers"]
    ]
    return layers


@pytest.mark.slow
def test_a_file_that_moved_makes_the_lock_stale(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert lockstitch(root, "lock", "--quiet") == 0
    with (root / "reqs" / "base.txt").open("a") as handle:
        handle.write("# a note\n")
    assert lockstitch(root, "lock", "--check") == 1
    assert "`reqs/base.txt` is not the file that was locked" in capsys.readouterr().err
    assert lockstitch(root, "lock", "--quiet") == 0
    (root / "requirements.txt").unlink()
    assert lockstitch(root, "lock", "--check") == 1
    assert "`requirements.txt` is missing" in capsys.readouterr().err


def test_what_pins_nothing_is_named_by_its_line(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = "alpha==1.0\n-e .\n./beta-3.1-py3-none-any.whl\ngamma @ https://x.test/gamma.tar.gz\n"
    (root / "requirements.txt").write_text(text)
    assert lockstitch(root, "lock", "--quiet") == 1
    said = capsys.readouterr().err
    compile_it = "uv pip compile --universal --generate-hashes requirements.txt"
    export_it = "uv export --no-emit-local --format requirements.txt -o requirements.txt"
    for number, hint in enumerate((compile_it, export_it, export_it, "uv build --wheel"), 1):
        assert f"error: `requirements.txt:{number}`: " in said
        assert hint in said
    assert not (root / "lockstitch.lock").exists()


def test_a_pylock_with_groups(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    of_uv = projects.write(root.parent / "source")
    assert subprocess.run([process.find_uv(), "lock", "-q"], cwd=of_uv, check=False).returncode == 0
    words = ["export", "--quiet", "--no-emit-project", "--locked", "--format", "pylock.toml"]
    process.run([process.find_uv(), *words, "-o", "pylock.toml"], cwd=of_uv)
    text = (of_uv / "pylock.toml").read_text()
    text = text.replace(
        'created-by = "uv"', 'created-by = "uv"\ndependency-groups = ["train", "serve"]'
    ).replace('name = "epsilon"', 'name = "epsilon"\nmarker = "\'train\' in dependency_groups"')
    assert "dependency_groups" in text
    (root / "pylock.team.toml").write_text(text)
    projects.replace(root, '"requirements.txt"', '"pylock.team.toml"')
    projects.replace(root, 'lock = "reqs/train.txt"', 'groups = ["train"]')
    projects.replace(
        root, "[tool.lockstitch]\n", "[dependency-groups]\ntrain = []\n[tool.lockstitch]\n"
    )
    assert lockstitch(root, "lock", "--quiet") == 0
    assert names(root, "serve") == ["alpha"]
    assert names(root, "train") == ["alpha", "epsilon"]
    projects.replace(root, 'groups = ["train"]', 'groups = ["other"]')
    projects.replace(root, "train = []", "other = []")
    assert lockstitch(root, "lock", "--quiet") == 1
    said = capsys.readouterr().err
    assert "error: `pylock.team.toml` has no group `other`\nhint: it has: serve, train\n" in said


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"requirements.txt"', '"../other.txt"', "leads out of the project"),
        ('"requirements.txt"', '"setup.cfg"', "neither requirements nor a PEP 751 lock"),
        ('"requirements.txt"', '"pylock.serve.toml"', "is the file that lockstitch writes"),
        ('"requirements.txt"', '"none.txt"', "locked by `none.txt`, which is not there"),
        ('lock = "requirements.txt"\n', "", "`tool.lockstitch.images.serve` names no lock"),
        ('lock = "reqs/train.txt"', 'groups = ["serve"]', "has groups, and `requirements.txt`"),
    ],
)
def test_wrong_settings(
    root: Path, old: str, new: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (root / "pylock.serve.toml").touch()
    projects.replace(root, old, new)
    projects.replace(
        root,
        "[tool.lockstitch.images.serve]",
        "[dependency-groups]\nserve = []\n[tool.lockstitch.images.serve]",
    )
    assert lockstitch(root, "lock", "--quiet") == 1
    assert message in capsys.readouterr().err


def test_only_the_tool_that_wrote_them_upgrades(root: Path) -> None:
    project = load(root)
    with pytest.raises(LockstitchError, match="written by another tool") as caught:
        external.lock(project, upgrade=())
    assert "--upgrade" in caught.value.hint
    external.lock(project, upgrade=None)
    external.check(project)
    assert external.version() == ""
