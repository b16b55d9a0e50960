"""`lockstitch fingerprint`: environments, locks, revisions and files, by one word."""

import subprocess
import sys
from pathlib import Path

import pytest
from support import environments, wheels
from support.programs import git, stand_in

from lockstitch.cli.main import main
from lockstitch.fingerprint import live, model

UV_LOCK = """\
version = 1
[[package]]
name = "app"
version = "1"
source = { virtual = "." }
dependencies = [{ name = "alpha" }]
[[package]]
name = "alpha"
version = "VERSION"
source = { registry = "https://index.example.test" }
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder under git with a lock that moved, and an environment."""
    monkeypatch.chdir(tmp_path)
    git(tmp_path, "init", "--quiet")
    for version in ("1.0", "2.0"):
        Path("uv.lock").write_text(UV_LOCK.replace("VERSION", version))
        git(tmp_path, "add", "uv.lock")
        git(tmp_path, "commit", "--quiet", "-m", version)
    environments.make(tmp_path / "venv", wheels.wheel("alpha", "1.0"))
    return tmp_path


def versions(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, str]:
    capsys.readouterr()
    assert main(["fingerprint", *words, "--json"]) == 0
    found = model.of_text(capsys.readouterr().out, "stdout")
    return {package.name: package.version for package in found.packages if package.name != "app"}


@pytest.mark.parametrize(
    ("word", "version"),
    [
        ("uv.lock", "2.0"),
        ("./uv.lock", "2.0"),
        ("uv.lock@HEAD~1", "1.0"),
        ("HEAD~1:uv.lock", "1.0"),
        ("HEAD~1", "1.0"),
        ("HEAD", "2.0"),
        ("venv", "1.0"),
        ("venv/bin/python", "1.0"),
    ],
)
def test_one_word_names_a_source(
    word: str, version: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert versions(capsys, word) == {"alpha": version}


def test_what_was_written_is_read_again(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fingerprint", "venv", "--json"]) == 0
    Path("kept.json").write_text(capsys.readouterr().out)
    assert versions(capsys, "kept.json") == {"alpha": "1.0"}


def test_the_script_is_printed_for_other_machines(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["fingerprint", "--script"]) == 0
    script = capsys.readouterr().out
    assert script == live.script()
    done = subprocess.run(
        ["venv/bin/python", "-"], input=script, capture_output=True, text=True, check=True
    )
    assert model.of_text(done.stdout, "it") == live.interpreter(folder / "venv")


def test_people_see_a_summary(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (environments.packages(folder / "venv") / "alpha" / "__init__.py").write_text("edited")
    assert main(["fingerprint", "venv"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("environment  sha256:")
    assert lines[1].startswith(f"python       {sys.version.split()[0]} (cpython, ")
    assert "packages     1" in lines
    assert "edited       alpha 1.0: changed alpha/__init__.py" in lines


@pytest.mark.slow
def test_another_host_and_a_container_are_asked_in_their_interpreter(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Programs of these names that stand in for other machines: they run the words here.
    programs = folder / "programs"
    stand_in(programs / "ssh", 'echo "$3" > asked\nshift 3\nexec "$@"')
    text = 'case $1 in container) echo true;; exec) shift 3; exec "$@";; esac'
    stand_in(programs / "docker", text)
    monkeypatch.setenv("PATH", str(programs), prepend=":")
    assert versions(capsys, f"ssh:me@gpu1:{folder}/venv") == {"alpha": "1.0"}
    assert Path("asked").read_text() == "me@gpu1\n"
    assert versions(capsys, f"container:web:{folder}/venv/bin/python") == {"alpha": "1.0"}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nothing"], "error: `nothing` is no file, no folder and no git revision\n"),
        ([], "error: fingerprint takes a SOURCE, or --script\n"),
        (["venv", "--script"], "error: fingerprint takes a SOURCE, or --script\n"),
        (["venv/lib"], "error: `venv/lib` is a folder without an environment\n"),
        (["venv/pyvenv.cfg"], "error: `venv/pyvenv.cfg` is no lock, no fingerprint and "),
        (["HEAD:venv/pyvenv.cfg"], "error: `venv/pyvenv.cfg` is no lock\n"),
        (["venv", "--python", "3"], "error: --python is `3`, which is no version of Python 3\n"),
    ],
)
def test_wrong_use_is_said(
    words: list[str], said: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["fingerprint", *words]) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["HEAD:poetry.lock"], "error: `poetry.lock` is not in the commit "),
        (["container:-x"], "error: `-x` is no name of a container\n"),
        (["ssh:-oProxyCommand=x"], "error: `-oProxyCommand=x` is no name of a host\n"),
        (["ssh:host:py thon"], "error: `py thon/bin/python` is no path of an interpreter that ssh"),
        (["uv.lock", "--image", "train"], "error: no pyproject.toml in "),
    ],
)
def test_what_cannot_be_reached_is_said(
    words: list[str], said: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["fingerprint", *words]) == 1
    assert said in capsys.readouterr().err


def test_a_container_that_does_not_run(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, text in (("docker", "echo false"), ("podman", "echo no such; exit 1")):
        stand_in(folder / name, text)
    monkeypatch.setenv("PATH", str(folder), prepend=":")
    assert main(["fingerprint", "container:web"]) == 1
    said = capsys.readouterr().err
    assert "no container `web` runs here: `docker`: it is stopped; `podman`: no such" in said


def test_an_interpreter_that_is_none(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for text, wanted in (("exit 3", "failed with exit code 3"), ("echo []", "printed no finger")):
        stand_in(Path("python3"), text)
        assert main(["fingerprint", "./python3"]) == 1
        assert wanted in capsys.readouterr().err


def test_the_lock_of_an_image(locked: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert set(versions(capsys, "uv.lock", "--image", "serve")) == {
        "alpha",
        "epsilon",
        "gamma",
        "tiny",
    }
    assert main(["fingerprint", "serve"]) == 1
    said = "error: the image `serve` is not built\nhint: lockstitch build serve\n"
    assert capsys.readouterr().err == said
    (locked / "nothing.json").write_text("{}")
    assert main(["fingerprint", "nothing.json"]) == 1
    assert "`nothing.json` has schema 0" in capsys.readouterr().err
