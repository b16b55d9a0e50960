"""Packages of Debian in an image: opencv with its libraries, ffmpeg, lightgbm, a shell, git."""

import json
from pathlib import Path

import pytest
from support import projects

from lockstitch.cli.main import main

pytestmark = [pytest.mark.network, pytest.mark.usefixtures("in_store")]

PYPROJECT = """\
[project]
name = "seen"
version = "0.1"
requires-python = ">=3.11"
dependencies = [{dependencies}]

[tool.uv]
package = false

[tool.lockstitch]
python = "{python}"
{base}
[tool.lockstitch.images.job]
include = ["main.py"]
command = ["python", "main.py"]
"""
PACKAGES = "\n[tool.lockstitch.base]\npackages = [{}]\n"


def project(
    folder: Path, dependencies: str, main: str, *packages: str, python: str = "3.11"
) -> Path:
    names = ", ".join(f'"{name}"' for name in packages)
    base = PACKAGES.format(names) if packages else ""
    text = PYPROJECT.format(dependencies=dependencies, base=base, python=python)
    return projects.write(folder / "seen", pyproject=text, files={"main.py": main})


def lockstitch(root: Path, *words: str) -> int:
    return main([*words, "--project", str(root)])


def started(root: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """Return what the image's program printed."""
    assert lockstitch(root, "lock", "--quiet") == 0, capsys.readouterr().err
    assert lockstitch(root, "build", "--quiet") == 0, capsys.readouterr().err
    capsys.readouterr()
    assert lockstitch(root, "try", "--json") == 0, capsys.readouterr().out
    verdict = json.loads(capsys.readouterr().out)
    assert verdict["outcome"] == "ended"
    output: str = verdict["output"]
    return output


def same_elsewhere(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Hold the image against the one that an empty store of another machine comes to."""
    assert lockstitch(root, "build", "--quiet") == 0
    digest = capsys.readouterr().out
    with monkeypatch.context() as patch:
        patch.setenv("LOCKSTITCH_CACHE", str(tmp_path / "elsewhere"))
        patch.setenv("TZ", "Pacific/Chatham")
        assert lockstitch(root, "build", "--quiet") == 0, capsys.readouterr().err
    assert capsys.readouterr().out == digest


def test_lightgbm_starts_with_libgomp_and_is_refused_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code = "import lightgbm, psycopg2, soundfile\nprint('lightgbm', lightgbm.__version__)\n"
    dependencies = '"lightgbm", "psycopg2-binary", "soundfile"'
    root = project(tmp_path, dependencies, code)
    assert lockstitch(root, "lock", "--quiet") == 0
    capsys.readouterr()
    assert lockstitch(root, "build", "--quiet") == 1
    (error, hint) = capsys.readouterr().err.splitlines()[-2:]
    assert "needs libgomp.so.1, which nothing in image `job` has" in error
    assert hint == 'hint: packages = ["libgomp1"] in [tool.lockstitch.base]'
    assert not (root / ".lockstitch" / "images" / "index.json").exists()

    root = project(tmp_path / "with", dependencies, code, "libgomp1")
    assert started(root, capsys).startswith("lightgbm ")
    same_elsewhere(root, tmp_path, monkeypatch, capsys)
    lock = (root / "lockstitch.lock").read_text()
    assert 'requested = ["libgomp1"]' in lock.replace("\n    ", "").replace(",\n]", "]")
    assert lockstitch(root, "export", "sbom", "--image", "job") == 0
    names = [each["name"] for each in json.loads(capsys.readouterr().out)["components"]]
    assert "libgomp1" in names


def test_programs_of_packages_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = (
        "import subprocess\n"
        "run = lambda *words: subprocess.run(words, capture_output=True, text=True, check=True)\n"
        "print(run('git', '--version').stdout, run('sh', '-c', 'echo shell').stdout)\n"
        "print(run('pdftotext', '-v').stderr)\n"
    )
    root = project(tmp_path, "", code, "git", "dash", "poppler-utils", python="3.13")
    output = started(root, capsys)
    assert "git version" in output
    assert "shell" in output
    assert "pdftotext version" in output


def test_what_needs_its_scripts_is_refused_by_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = project(tmp_path, "", "print(1)\n", "nginx", "libglx")
    assert lockstitch(root, "lock", "--quiet") == 1
    error = capsys.readouterr().err
    assert "error: `libglx` is not a package of this release of Debian" in error
    assert "libglx0" in error
    root = project(tmp_path / "two", "", "print(1)\n", "nginx")
    assert lockstitch(root, "lock", "--quiet") == 1
    error = capsys.readouterr().err
    assert "error: `nginx 1." in error
    assert "no script of a package is run" in error


@pytest.mark.nightly  # the packages of ffmpeg are 400 MB unpacked
def test_opencv_and_ffmpeg_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code = (
        "import subprocess\nimport cv2\nprint('cv2', cv2.__version__)\n"
        "done = subprocess.run(['ffmpeg', '-version'], capture_output=True, text=True)\n"
        "print(done.stdout.splitlines()[0])\n"
    )
    bare = project(tmp_path / "bare", '"opencv-python"', code)
    assert lockstitch(bare, "lock", "--quiet") == 0
    capsys.readouterr()
    assert lockstitch(bare, "build", "--quiet") == 1
    assert "needs libGL.so.1" in (said := capsys.readouterr().err)
    assert 'packages = ["libgl1"' in said
    packages = ("libgl1", "ffmpeg", "libglib2.0-0")
    root = project(tmp_path, '"opencv-python"', code, *packages)
    output = started(root, capsys)
    same_elsewhere(root, tmp_path, monkeypatch, capsys)
    assert output.startswith("cv2 ")
    assert "ffmpeg version" in output
