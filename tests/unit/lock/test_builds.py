"""Build requirements of packages that exist only as source, with real uv."""

import io
import tarfile
import tomllib
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from support import projects, wheels
from support.world import World

from lockstitch import process
from lockstitch.cli.main import main
from lockstitch.errors import LockstitchError
from lockstitch.lock import builds
from lockstitch.lock.bases.debian import DebianBase
from lockstitch.python.load import load

PYPROJECT = projects.PYPROJECT.replace('["alpha>=1"]', '["alpha>=1"] # what both need').replace(
    "[dependency-groups]\n", '[dependency-groups]\ndev = ["only-source"] # no wheel\n'
)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return projects.write(tmp_path / "tiny", pyproject=PYPROJECT)


def lockstitch(root: Path, *words: str) -> int:
    return main([*words, "--quiet", "--project", str(root)])


def settings(root: Path) -> dict[str, Any]:
    found: dict[str, Any] = tomllib.loads((root / "pyproject.toml").read_text())["tool"]["uv"]
    return found


def test_they_are_written_for_uv_and_kept(world: World, root: Path) -> None:
    assert lockstitch(root, "lock") == 0
    published = world.index.files["tinybuild-1.0-py3-none-any.whl"]
    table = {"requirement": "tinybuild==1.0", "hashes": [f"sha256:{published.sha256}"]}
    assert settings(root) == {
        "build-constraint-dependencies": [table],
        "require-build-hashes": True,
    }
    text = (root / "pyproject.toml").read_text()
    assert "# what both need" in text
    assert "# no wheel" in text
    assert "build-constraints" in (root / "uv.lock").read_text()
    world.index.publish(wheels.backend("1.1"))
    assert lockstitch(root, "lock") == 0
    assert (root / "pyproject.toml").read_text() == text
    assert lockstitch(root, "lock", "--check") == 0


def test_uv_installs_with_them_and_refuses_one_wrong_digit(
    world: World, root: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert lockstitch(root, "lock") == 0
    sync = [process.find_uv(), "sync", "--locked", "--no-cache", "--no-install-project"]
    process.run(sync, cwd=root)
    (digest,) = settings(root)["build-constraint-dependencies"][0]["hashes"]
    wrong = digest[:-1] + ("0" if digest[-1] != "0" else "1")
    projects.replace(root, digest, wrong)
    assert lockstitch(root, "lock", "--check") == 1
    assert "the lock is stale" in capfd.readouterr().err
    process.run([process.find_uv(), "lock"], cwd=root)  # as somebody would who wants it to fit
    (root / ".venv").rename(root / "old")
    done = process.run(sync, cwd=root, check=False)
    assert done.code != 0
    assert "Hash mismatch" in done.stderr
    assert digest in done.stderr
    # Our own lock compares with the index too; only an upgrade takes what is there.
    assert lockstitch(root, "lock") == 1
    said = capfd.readouterr().err
    assert f"`tinybuild==1.0`: the lock names {wrong}, the index has {digest}" in said
    assert lockstitch(root, "lock", "--upgrade", "tinybuild") == 0
    assert settings(root)["build-constraint-dependencies"][0]["hashes"] == [digest]


def test_what_a_backend_asks_for_later_is_added(
    world: World, root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (root / "pyproject.toml").read_text()
    plain = '[tool.uv]\nbuild-constraint-dependencies = ["gamma<3"]\n'
    (root / "pyproject.toml").write_text(text + plain)
    assert lockstitch(root, "lock") == 1
    said = capsys.readouterr().err
    assert "has `gamma<3` without a hash, which uv refuses" in said
    setting = 'build-requires = ["gamma<3"]'
    assert f"hint: move it to [tool.lockstitch]: {setting}\n" in said
    world.index.publish(wheels.wheel("gamma", "3.0"))
    (root / "pyproject.toml").write_text(text)
    projects.replace(root, "[tool.lockstitch]\n", f"[tool.lockstitch]\n{setting}\n")
    assert lockstitch(root, "lock") == 0
    found = settings(root)["build-constraint-dependencies"]
    assert [each["requirement"] for each in found] == ["gamma==2.0", "tinybuild==1.0"]


def test_a_project_of_wheels_is_left_alone(online: World, root: Path) -> None:
    projects.replace(root, 'dev = ["only-source"] # no wheel\n', "")
    before = (root / "pyproject.toml").read_text()
    assert lockstitch(root, "lock") == 0
    assert (root / "pyproject.toml").read_text() == before


def test_hatchling_needs_editables_for_an_editable_install(tmp_path: Path) -> None:
    text = '[build-system]\nrequires = ["hatchling"]\nbuild-backend = "hatchling.build"\n'
    root = projects.write(tmp_path / "a", pyproject=text + projects.PYPROJECT.partition("\n\n")[2])
    assert builds._own(load(root)) == {"hatchling", "editables"}


def test_only_wheels_of_the_version_that_a_base_takes_count() -> None:
    base = DebianBase(
        platform="linux/amd64",
        release="bookworm",
        snapshot="20260102T030405Z",
        python="3.11.2",
        glibc="2.36",
        packages=(),
    )

    def package(name: str, marker: str, tag: str) -> str:
        hashes = f'hashes = {{ sha256 = "{"a" * 64}" }} }}'
        wheel = f'{{ url = "https://x.test/{name}-1-{tag}.whl", {hashes}'
        sdist = f'sdist = {{ url = "https://x.test/{name}-1.tar.gz", {hashes}'
        head = f'[[packages]]\nname = "{name}"\nversion = "1"\nmarker = "{marker}"\n{sdist}\n'
        return head + (f"wheels = [{wheel}]\n" if tag else "")

    text = 'lock-version = "1.0"\ncreated-by = "uv"\n'
    text += package("fits", "python_version >= '3'", "cp311-cp311-manylinux_2_28_x86_64")
    text += package("later", "python_version >= '3.12'", "cp312-cp312-manylinux_2_28_x86_64")
    text += package("newer", "python_version >= '3'", "cp311-cp311-manylinux_2_39_x86_64")
    text += package("nowhere", "sys_platform == 'win32'", "")
    found = builds.sources(text, [base])
    assert [source.name for source in found] == ["newer", "nowhere"]


# --- source distributions


def tar(members: Mapping[str, bytes]) -> bytes:
    output = io.BytesIO()
    with tarfile.open(fileobj=output, mode="w:gz") as made:
        for name, data in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            made.addfile(entry, io.BytesIO(data))
    return output.getvalue()


def zipped(members: Mapping[str, bytes]) -> bytes:
    output = io.BytesIO()
    with zipfile.ZipFile(output, "w") as made:
        for name, data in members.items():
            made.writestr(name, data)
    return output.getvalue()


def read(folder: Path, data: bytes, name: str = "a-1.tar.gz") -> tuple[str, ...]:
    path = folder / name
    path.write_bytes(data)
    return builds.requirements(path, name)


BUILD = b'[build-system]\nrequires = ["meson-python>=0.15", "cython"]\n'


def test_what_a_source_distribution_needs(tmp_path: Path) -> None:
    members = {"a-1/sub/pyproject.toml": b"no", "a-1/setup.py": b"", "a-1/pyproject.toml": BUILD}
    wanted = ("meson-python>=0.15", "cython")
    assert read(tmp_path, tar(members)) == wanted
    assert read(tmp_path, zipped(members), "a-1.zip") == wanted
    assert read(tmp_path, tar({"a-1/setup.py": b""})) == builds.LEGACY
    assert read(tmp_path, tar({"a-1/pyproject.toml": b""})) == builds.LEGACY


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"no archive", "`a-1.tar.gz` cannot be read"),
        (b"\x1f\x8b\x08", "`a-1.tar.gz` cannot be read"),
        (tar({"a-1/pyproject.toml": b"["}), "pyproject.toml of `a-1.tar.gz` is not valid TOML"),
        (tar({"a-1/pyproject.toml": b"\xff"}), "`a-1.tar.gz` cannot be read"),
        (tar({"a-1/pyproject.toml": b" " * (1 << 20) + b"\n"}), "has 1048577 bytes"),
        (
            tar({"a-1/pyproject.toml": b"[build-system]\nrequires = [1]\n"}),
            "requires` must be a list of texts",
        ),
    ],
)
def test_a_source_distribution_that_cannot_be_read(
    tmp_path: Path, data: bytes, message: str
) -> None:
    with pytest.raises(LockstitchError) as caught:
        read(tmp_path, data)
    assert message in caught.value.message


def test_a_link_named_like_a_pyproject_is_not_followed(tmp_path: Path) -> None:
    output = io.BytesIO()
    with tarfile.open(fileobj=output, mode="w:gz") as made:
        entry = tarfile.TarInfo("a-1/pyproject.toml")
        entry.type, entry.linkname = tarfile.SYMTYPE, "/etc/hostname"
        made.addfile(entry)
    assert read(tmp_path, output.getvalue()) == builds.LEGACY
