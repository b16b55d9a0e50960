"""What moves is said by meaning; a rehearsal writes nothing; an upgrade may name names."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support import archive, projects, wheels
from support.world import World

from lockstitch.cli.main import main
from lockstitch.lock import changes, file
from lockstitch.python.load import load


@pytest.fixture
def world(online: World) -> Iterator[World]:
    """The world that the project was locked in, for a test to change: a lock takes 0.5 s."""
    with online.kept():
        yield online


@pytest.fixture
def root(world: World, locked: Path) -> Path:
    return locked


def lockstitch(root: Path, *words: str) -> int:
    return main(["lock", *words, "--quiet", "--project", str(root)])


def moved(root: Path, capsys: pytest.CaptureFixture[str], *words: str) -> list[tuple[Any, ...]]:
    """Return what `lockstitch lock --json` says that moved."""
    capsys.readouterr()
    assert lockstitch(root, "--json", *words) == 0
    found = json.loads(capsys.readouterr().out)["moved"]
    return [(m["name"], m["kind"], m["before"], m["after"], m["images"]) for m in found]


def contents(root: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in root.iterdir() if path.is_file()}


def publish(world: World) -> None:
    for built in (
        wheels.wheel("alpha", "1.1"),  # no longer needs epsilon
        wheels.wheel("beta", "3.2", requires=["zeta"]),
        wheels.wheel("zeta", "1.0"),
        wheels.backend("1.1"),
    ):
        world.index.publish(built)
    archive.publish(world.server, security={"zlib1g": "1:1.2.13.dfsg-1+deb12u1"})


ALPHA = [
    ("alpha", "moved", "1.0", "1.1", ["serve", "train"]),
    ("epsilon", "removed", "5.0", "", ["serve", "train"]),
]
BETA = [("beta", "moved", "3.1", "3.2", ["train"]), ("zeta", "added", "", "1.0", ["train"])]
BUILD = [("tinybuild", "moved", "1.0", "1.1", [])]
BASE = [(*("zlib1g", "moved", "1:1.2.13.dfsg-1", "1:1.2.13.dfsg-1+deb12u1"), ["serve", "train"])]


@pytest.mark.slow
def test_an_upgrade_of_everything_is_rehearsed_and_then_done(
    world: World, root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    publish(world)
    before = contents(root)
    assert moved(root, capsys) == []
    wanted = [ALPHA[0], BETA[0], ALPHA[1], BETA[1], *BUILD, *BASE]
    assert moved(root, capsys, "--upgrade", "--dry-run") == wanted
    assert contents(root) == before
    assert moved(root, capsys, "--upgrade") == wanted
    assert contents(root) != before


@pytest.mark.parametrize(
    ("names", "wanted"),
    [
        (["alpha"], ALPHA),
        (["Beta"], BETA),
        (["tinybuild"], BUILD),
        (["debian:bookworm"], BASE),
        (["beta", "debian:bookworm"], BETA + BASE),
    ],
)
def test_an_upgrade_of_some_leaves_the_rest(
    world: World,
    root: Path,
    capsys: pytest.CaptureFixture[str],
    names: list[str],
    wanted: list[tuple[Any, ...]],
) -> None:
    publish(world)
    assert moved(root, capsys, "--upgrade", *names) == wanted


def test_a_name_that_nothing_has(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = contents(root)
    assert lockstitch(root, "--upgrade", "alpa", "none-like-it") == 2
    said = capsys.readouterr().err
    assert "error: `alpa` is not locked, so it has no upgrade\nhint: did you mean `alpha`?" in said
    assert "error: `none-like-it` is not locked" in said
    assert contents(root) == before


def test_a_table_for_people(world: World, root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    publish(world)
    assert lockstitch(root, "--upgrade", "beta", "--dry-run") == 0
    out, err = capsys.readouterr()
    assert out.splitlines() == [
        "name  change  from  to   what     images",
        "beta  moved   3.1   3.2  package  train",
        "zeta  added   -     1.0  package  train",
    ]
    assert err.startswith("would lock: uv.lock, ")


def test_a_file_that_is_replaced_under_its_version(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = changes.state(load(root))
    path = root / "pylock.serve.toml"
    digest = next(iter(before.images["serve"]["gamma"][1]))
    path.write_text(path.read_text().replace(digest, "0" * 64))
    (change,) = changes.between(before, changes.state(load(root)))
    assert (change.name, change.kind, change.before) == ("gamma", "other files", "2.0")
    assert change.images == ("serve",)


def test_a_base_that_comes_is_one_change(root: Path) -> None:
    after = changes.state(load(root))
    (root / "lockstitch.lock").unlink()
    (root / "pylock.serve.toml").write_text("broken [")
    before = changes.state(load(root))
    found = {change.name: change for change in changes.between(before, after)}
    assert found["linux/amd64"].kind == "added"
    assert found["linux/amd64"].after == f"{len(archive.PACKAGES)} packages"
    assert found["gamma"].images == ("serve",)


def test_check_and_dry_run_are_two_questions(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert lockstitch(root, "--check", "--dry-run") == 2
    assert "two questions" in capsys.readouterr().err


@pytest.mark.slow
def test_rendered_files_are_in_the_lock(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", "dockerfile", "--project", str(root)]) == 0
    names = [each.path for each in file.read(root).rendered]
    assert names == [
        *(".dockerignore", "Dockerfile.serve", "Dockerfile.train", "requirements-build.txt")
    ]
    before = contents(root)
    assert lockstitch(root) == 0
    assert contents(root) == before, "locking keeps what was rendered"
    assert lockstitch(root, "--check") == 0
    with (root / "Dockerfile.serve").open("a") as handle:
        handle.write("# by hand\n")
    (root / "Dockerfile.train").unlink()
    capsys.readouterr()
    assert lockstitch(root, "--check") == 1
    said = capsys.readouterr().err
    assert "`Dockerfile.serve` is not the file that was rendered" in said
    assert "`Dockerfile.train` is missing: it was rendered" in said
    assert main(["build", "serve", "--quiet", "--project", str(root)]) == 0


@pytest.mark.slow
def test_a_changed_lock_names_the_rendered_files_that_are_stale(
    world: World, root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["export", "dockerfile", "--project", str(root)]) == 0
    world.index.publish(wheels.wheel("beta", "3.2"))
    capsys.readouterr()
    assert lockstitch(root, "--upgrade", "beta") == 0
    assert capsys.readouterr().err.endswith("next: lockstitch export dockerfile\n")
    assert main(["export", "dockerfile", "--project", str(root)]) == 0
    assert lockstitch(root, "--check") == 0


def test_a_version_for_another_python_is_in_no_image(
    root: Path, world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    publish(world)
    two = """["alpha==1.0; python_version < '3.12'", "alpha==1.1; python_version >= '3.12'"]"""
    projects.replace(root, '["alpha>=1"]', two)
    capsys.readouterr()
    assert lockstitch(root, "--json") == 0
    rows = [m for m in json.loads(capsys.readouterr().out)["moved"] if m["name"] == "alpha"]
    assert [(m["what"], m["after"], m["images"]) for m in rows] == [
        ("package, other Pythons", "1.1", [])
    ]
