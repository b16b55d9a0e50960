"""Locks are made with real uv against a tiny index, kept, moved, and found stale."""

import json
import tomllib
from collections.abc import Sequence
from pathlib import Path

import pytest
from support import archive, projects, wheels
from support.world import World

from lockstitch.errors import LockstitchError
from lockstitch.lock import file, make, uv
from lockstitch.net.download import Fetcher
from lockstitch.progress import Quiet
from lockstitch.python.load import load
from lockstitch.store import Store

FILES = [
    *("lockstitch.lock", "pylock.serve.toml", "pylock.train.toml", "requirements-lock.txt"),
    "uv.lock",
]


def lock(root: Path, *, upgrade: Sequence[str] | None = None) -> list[str]:
    store = Store(root.parent / "store")
    fetcher = Fetcher(store, first_wait=0.001)
    return sorted(make.make(load(root), store, fetcher, Quiet(), upgrade=upgrade))


def pins(root: Path, name: str) -> dict[str, str]:
    document = tomllib.loads((root / name).read_text())
    return {package["name"]: package["version"] for package in document["packages"]}


def stale(root: Path) -> list[str]:
    found = make.stale(load(root), file.read(root))
    assert all(error.hint == "lockstitch lock" for error in found)
    return [error.message for error in found]


def contents(root: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in root.iterdir() if path.is_file()}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return projects.write(tmp_path / "tiny")


def test_all_locks_are_written(online: World, root: Path) -> None:
    assert lock(root) == FILES
    assert pins(root, "pylock.serve.toml") == {"alpha": "1.0", "epsilon": "5.0", "gamma": "2.0"}
    assert pins(root, "pylock.train.toml") == {
        "alpha": "1.0",
        "epsilon": "5.0",
        "beta": "3.1",
        "delta": "0.4",
    }
    entry = tomllib.loads((root / "pylock.serve.toml").read_text())["packages"][0]["wheels"][0]
    published = online.index.files["alpha-1.0-py3-none-any.whl"]
    assert entry["hashes"] == {"sha256": published.sha256}
    assert (entry["size"], str(entry["upload-time"])) == (
        len(published.data),
        "2026-01-02 03:04:05+00:00",
    )


def test_the_lock_names_everything(online: World, root: Path) -> None:
    lock(root)
    found = file.read(root)
    assert (found.python, found.base) == ("3.11", "debian:bookworm")
    assert found.tools == (uv.version(),)
    assert found.tools[0].startswith("uv ")
    assert [each.path for each in found.files] == sorted(set(FILES) - {"lockstitch.lock"})
    published = online.index.files["tinybuild-1.0-py3-none-any.whl"]
    assert found.build == (f"tinybuild==1.0 --hash=sha256:{published.sha256}",)
    (base,) = found.bases
    assert (base.python, base.glibc, base.snapshot) == ("3.11.2", "2.36", "20260712T101637Z")
    assert [package.name for package in base.packages] == sorted(archive.PACKAGES)


def test_requirements_hold_all_with_hashes_and_nothing_of_the_project(
    online: World, root: Path
) -> None:
    lock(root)
    text = (root / "requirements-lock.txt").read_text()
    names = [line.split("==")[0] for line in text.splitlines() if "==" in line]
    assert names == ["alpha", "beta", "delta", "epsilon", "gamma"]
    assert text.count("--hash=sha256:") == 5
    assert "tiny==" not in text
    assert "-e " not in text


@pytest.mark.slow
def test_a_second_run_changes_nothing(online: World, root: Path) -> None:
    lock(root)
    before = contents(root)
    facts = {name: (root / name).stat() for name in FILES}
    assert lock(root) == []
    assert contents(root) == before
    for name in FILES:
        assert (root / name).stat().st_ino == facts[name].st_ino, f"{name} was written again"


@pytest.mark.slow
def test_what_is_pinned_is_kept_until_an_upgrade(world: World, root: Path) -> None:
    lock(root)
    for built in (
        wheels.wheel("alpha", "1.1"),
        wheels.wheel("epsilon", "6.0"),
        wheels.backend("1.1"),
    ):
        world.index.publish(built)
    archive.publish(world.server, security={"zlib1g": "1:1.2.13.dfsg-1+deb12u1"})
    assert lock(root) == []
    assert lock(root, upgrade=()) == FILES
    assert pins(root, "pylock.serve.toml") == {"alpha": "1.1", "gamma": "2.0"}
    found = file.read(root)
    assert found.build[0].startswith("tinybuild==1.1 ")
    versions = {package.name: package.version for package in found.bases[0].packages}
    assert versions["zlib1g"] == "1:1.2.13.dfsg-1+deb12u1"


@pytest.mark.slow
def test_a_new_dependency_changes_no_other_pin(world: World, root: Path) -> None:
    lock(root)
    world.index.publish(wheels.wheel("alpha", "1.1"))
    archive.publish(world.server, security={"zlib1g": "1:1.2.13.dfsg-1+deb12u1"})
    before = file.read(root)
    projects.replace(root, 'serve = ["gamma>=2"]', 'serve = ["gamma>=2", "delta"]')
    assert lock(root) == ["lockstitch.lock", "pylock.serve.toml", "uv.lock"]
    assert pins(root, "pylock.serve.toml")["alpha"] == "1.0"
    assert pins(root, "pylock.serve.toml")["delta"] == "0.4"
    assert file.read(root).bases == before.bases
    assert file.read(root).inputs != before.inputs


@pytest.mark.slow
def test_an_image_that_is_not_asked_for_any_more_leaves_the_lock(online: World, root: Path) -> None:
    lock(root)
    text = (root / "pyproject.toml").read_text()
    (root / "pyproject.toml").write_text(text.partition("[tool.lockstitch.images.train]")[0])
    lock(root)
    assert "pylock.train.toml" not in [each.path for each in file.read(root).files]


@pytest.mark.slow
def test_a_lock_that_cannot_be_read_is_made_again(online: World, root: Path) -> None:
    lock(root)
    good = contents(root)
    (root / "lockstitch.lock").write_text("<<<<<<< ours\n")
    assert lock(root) == ["lockstitch.lock"]
    assert contents(root) == good


def test_a_project_of_scripts_has_no_build_requirements(online: World, root: Path) -> None:
    projects.replace(root, '[build-system]\nrequires = ["tinybuild>=1"]\n', "")
    projects.replace(root, 'build-backend = "tinybuild"\n', "")
    lock(root)
    assert file.read(root).build == ()


def test_a_lock_for_other_systems_alone_is_one_error(online: World, root: Path) -> None:
    text = (root / "pyproject.toml").read_text()
    added = "[tool.uv]\nenvironments = [\"sys_platform == 'win32'\"]\n"
    (root / "pyproject.toml").write_text(
        text.replace("[tool.uv]\n", added) if "[tool.uv]\n" in text else f"{text}\n{added}"
    )
    with pytest.raises(LockstitchError) as caught:
        lock(root)
    assert caught.value.message == "`environments` of [tool.uv] leaves out linux/amd64"
    text = (root / "pyproject.toml").read_text()
    wider = "[\"sys_platform == 'linux'\", \"sys_platform == 'win32'\"]"
    (root / "pyproject.toml").write_text(text.replace("[\"sys_platform == 'win32'\"]", wider))
    assert "uv.lock" in lock(root)


def test_a_resolution_that_fails_says_what_uv_says(online: World, root: Path) -> None:
    projects.replace(root, "gamma>=2", "gamma>=99")
    with pytest.raises(LockstitchError, match=r"no versions fit together\n(.|\n)*gamma"):
        lock(root)
    assert not (root / "lockstitch.lock").exists()


@pytest.mark.slow
def test_a_failure_leaves_the_old_locks(online: World, root: Path) -> None:
    lock(root)
    before = contents(root)
    projects.replace(root, "gamma>=2", "gamma>=99")
    with pytest.raises(LockstitchError):
        lock(root)
    assert contents(root) == {**before, "pyproject.toml": (root / "pyproject.toml").read_bytes()}


@pytest.mark.parametrize(
    "base", ["debian", "debian:", "debian:Noble", "registry.example.test/Python:1"]
)
def test_another_base_is_refused_before_anything_is_written(
    base: str, online: World, root: Path
) -> None:
    projects.replace(root, 'python = "3.11"\n', f'python = "3.11"\nbase = "{base}"\n')
    with pytest.raises(
        LockstitchError, match=r"is not a Debian release|is not the name of an image"
    ) as caught:
        lock(root)
    assert caught.value.hint.startswith("write ")
    assert not (root / "uv.lock").exists()


def test_a_fresh_lock_is_not_stale(locked: Path) -> None:
    assert stale(locked) == []


def test_a_change_of_what_is_wanted_makes_it_stale(locked: Path) -> None:
    projects.replace(locked, "alpha>=1", "alpha>=1.0")
    assert stale(locked) == ["the lock is stale: pyproject.toml has changed since it was made"]


def test_a_change_of_a_lock_by_hand_makes_it_stale(locked: Path) -> None:
    projects.replace(locked, "gamma", "gamme", "pylock.serve.toml")
    (message,) = stale(locked)
    assert message.startswith("`pylock.serve.toml` is not the file that was locked: wanted sha256 ")


def test_every_file_that_is_gone_makes_it_stale(locked: Path) -> None:
    (locked / "uv.lock").unlink()
    (locked / "pylock.train.toml").unlink()
    assert stale(locked) == ["`pylock.train.toml` is missing", "`uv.lock` is missing"]


def test_a_lock_that_does_not_name_the_other_locks_is_stale(locked: Path) -> None:
    head, _, rest = (locked / "lockstitch.lock").read_text().partition("[[file]]")
    (locked / "lockstitch.lock").write_text(head + "[build]" + rest.partition("[build]")[2])
    projects.replace(locked, "gamma", "gamme", "pylock.serve.toml")
    assert stale(locked)


def test_uv_finds_its_own_lock_stale_without_a_network(
    locked: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UV_DEFAULT_INDEX", "http://127.0.0.1:1/simple")
    (locked / "uv.lock").unlink()
    with pytest.raises(LockstitchError, match="does not fit") as caught:
        uv.check(load(locked))
    assert caught.value.hint == "lockstitch lock"


def test_build_requirements_come_with_all_they_need(world: World, root: Path) -> None:
    project = load(root)
    world.index.publish(wheels.wheel("helper", "2.0", requires=["epsilon"]))
    found = uv.compile_requirements(["helper"], project)
    assert [each.split("==")[0] for each in found] == ["epsilon", "helper"]
    assert all(" --hash=sha256:" in each for each in found)
    assert uv.compile_requirements([], project) == ()
    world.index.publish(wheels.wheel("epsilon", "6.0"))
    assert uv.compile_requirements(["helper"], project, found) == found
    assert uv.compile_requirements(["helper"], project)[0].startswith("epsilon==6.0 ")


def test_nothing_is_asked_but_loopback(online: World, root: Path) -> None:
    lock(root)
    text = json.dumps({name: data.decode() for name, data in contents(root).items()})
    hosts = {part.split("/")[0].split(":")[0] for part in text.split("://")[1:]}
    assert hosts == {"127.0.0.1"}
