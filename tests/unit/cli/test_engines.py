"""`lockstitch build --load` and `--engine`: what an engine is asked, and what it may get wrong."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from support import engine, projects

from lockstitch.cli.main import main

pytestmark = pytest.mark.slow


@pytest.fixture
def programs(locked: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The first folder of PATH, where no engine is but those that a test installs."""
    folder = tmp_path / "engines"
    folder.mkdir()
    kept = [
        place
        for place in os.environ["PATH"].split(os.pathsep)
        if not any((Path(place) / name).exists() for name in ("docker", "podman", "buildah"))
    ]
    for name in ("cat", "git"):  # where such a folder went
        (folder / name).symlink_to(f"/usr/bin/{name}")
    monkeypatch.setenv("LOCKSTITCH_UV", str(Path(os.environ["UV_PYTHON"]).with_name("uv")))
    monkeypatch.setenv("PATH", os.pathsep.join([str(folder), *kept]))
    return folder


def state(path: Path, **changes: object) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text()) | changes
    path.write_text(json.dumps(found))
    return found


def test_an_image_is_loaded_and_its_id_is_the_configs_digest(
    programs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    docker = engine.install(programs, "docker")
    assert main(["build", "serve", "--json"]) == 0
    config = json.loads(capsys.readouterr().out)[0]["config"].removeprefix("sha256:")
    assert main(["build", "--load", "serve", "--quiet"]) == 0, "an image's name after --load"
    assert state(docker)["images"] == {"tiny-serve:latest": config}
    assert f"serve: tiny-serve:latest in docker, image ID {config[:12]}" in capsys.readouterr().err
    state(docker, asked=[])
    assert main(["build", "serve", "--load", "docker", "--quiet"]) == 0
    assert [words[0] for words in state(docker)["asked"]] == ["info", "image"], "it was there"
    assert main(["build", "serve", "--load", "--tag", "own:1", "--quiet"]) == 0
    assert state(docker)["images"]["own:1"] == config


def test_an_engine_that_loads_something_else_is_found_out(
    programs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    state(engine.install(programs, "podman"), wrong="c" * 64)
    assert main(["build", "serve", "--load", "podman", "--quiet"]) == 1
    said = capsys.readouterr().err
    assert "`podman` loaded `tiny-serve:latest` as cccccccccccc, the config's digest is" in said
    assert "hint: look at what it has: podman images --no-trunc" in said


@pytest.mark.parametrize("words", [["--load", "podman"], ["--engine", "podman"]])
def test_engines_that_cannot_be_used(
    programs: Path, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["export", "dockerfile", "--quiet"]) == 0
    asked = ["build", "serve", "--quiet", *words]
    assert main(asked) == 1
    said = capsys.readouterr().err
    assert "no engine answers here: `podman` is not installed" in said
    assert f"hint: install or start podman, or leave out {words[0]}" in said
    podman = engine.install(programs, "podman")
    state(podman, architecture="arm64")
    assert main(asked) == 1
    said = capsys.readouterr().err
    assert "`podman` here is for linux/arm64, the project has linux/amd64" in said
    assert 'hint: platforms = ["linux/arm64"] in [tool.lockstitch]' in said
    state(podman, architecture="")
    assert main(asked) == 1
    assert "`podman` does not answer" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["docker", "podman", "buildah"])
def test_an_engine_builds_the_rendered_files_from_our_base(
    programs: Path, locked: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["export", "dockerfile", "--quiet"]) == 0
    known = engine.install(programs, name)
    capsys.readouterr()
    assert main(["build", "serve", "--engine", name, "--", "--build-arg", "TOKEN=secret"]) == 0
    out, err = capsys.readouterr()
    assert out == "serve tiny-serve:latest\n"
    assert "< step one\n< step two\n" in err
    assert "< of stderr" in err
    assert "secret" not in err, "an argument may be one"
    assert "serve: tiny-serve:latest in " in err
    assert f"the digest is not promised: {name} writes the time of the build into it" in err
    found = state(known)
    assert sorted(found["images"]) == ["tiny-base:latest", "tiny-serve:latest"]
    form = [] if name == "docker" else ["--format", "docker"]
    build = ["build", "--file", "Dockerfile.serve", "--tag", "tiny-serve:latest", *form]
    assert [*build, "--build-arg", "TOKEN=secret", "."] in found["asked"]
    assert main(["build", "serve", "--engine", name, "--tag", "own:1", "--json"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    answer = {"name": "serve", "tag": "own:1", "id": "b" * 64, "engine": name, "promised": False}
    assert json.loads(out) == [answer]


def test_a_build_that_fails_shows_the_end_of_what_the_engine_said(
    programs: Path, locked: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["export", "dockerfile", "--quiet"]) == 0
    state(engine.install(programs, "docker"), code=3)
    assert main(["build", "serve", "--engine", "docker", "--quiet"]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert "error: `docker build` of `Dockerfile.serve` failed with exit code 3\nstep one" in err
    assert "hint: add options of docker after --, such as --network host" in err


def test_every_file_that_is_stale_is_named(
    programs: Path, locked: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    engine.install(programs, "docker")
    assert main(["export", "dockerfile", "--quiet"]) == 0
    (locked / ".dockerignore").unlink()
    projects.replace(locked, "CMD", "CMD ", "Dockerfile.serve")
    projects.replace(locked, "CMD", "CMD ", "Dockerfile.train")
    capsys.readouterr()
    assert main(["build", "serve", "--engine", "docker", "--quiet"]) == 1
    said = capsys.readouterr().err
    assert "`.dockerignore` is not what pyproject.toml and the lock give" in said
    assert "`Dockerfile.serve` is not what pyproject.toml and the lock give" in said
    assert "Dockerfile.train" not in said, "nobody asked for that image"
    assert said.count("hint: lockstitch export dockerfile") == 2


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--engine", "docker", "--output", "x.tar"], "keeps what it builds itself: no --output"),
        (["--engine", "docker", "--load", "--base-only"], "no --base-only, --load"),
        (["--engine", "docker", "--compression", "zstd"], "no --compression"),
        (["--", "--network", "host"], "words after `--` are for an engine's build"),
        (["--load", "--tag", "x"], "--tag names one image, not 2"),
        (["--tag", "x"], "--tag names an image in an archive or engine, and there is none"),
    ],
)
def test_options_that_exclude_each_other(
    locked: Path, words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["build", *words]) == 2
    assert said in capsys.readouterr().err
