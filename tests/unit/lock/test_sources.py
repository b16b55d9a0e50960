"""Packages without a wheel: built once from what the lock names, with real uv, and pinned."""

import io
import json
import re
import shutil
import sys
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest
from support import projects, wheels
from support.registry import Registry
from support.world import World

from lockstitch.cli.main import main
from lockstitch.digest import of_bytes
from lockstitch.errors import LockstitchError
from lockstitch.lock import file as lock_file
from lockstitch.lock import sources
from lockstitch.lock.elf import needs
from lockstitch.oci.layout import Layout
from lockstitch.oci.model import MANIFEST_TYPE, Artifact
from lockstitch.oci.reference import Reference
from lockstitch.oci.registry.client import Client
from lockstitch.oci.registry.push import RepositoryWriter
from lockstitch.store import Store, default_root

PYPROJECT = """\
[project]
name = "tiny"
version = "0.1.0"
requires-python = ">=3.11"
dependencies = ["alpha", "{name}"]

[tool.uv]
package = false

[tool.lockstitch.images.serve]
include = ["main.py"]
command = ["python", "main.py"]
"""


def lockstitch(root: Path, *words: str) -> int:
    return main([*words, "--quiet", "--project", str(root)])


def project(folder: Path, name: str = "only-source", **files: str) -> Path:
    texts = {"main.py": f"import alpha, {name.replace('-', '_')}\n", **files}
    return projects.write(folder / "tiny", pyproject=PYPROJECT.format(name=name), files=texts)


def publish(world: World, name: str, files: Mapping[str, str]) -> None:
    """Put a source distribution into the index whose files are these."""
    filename, data = wheels.sdist(name, "1.0")
    output = io.BytesIO()
    with (
        tarfile.open(fileobj=io.BytesIO(data), mode="r:gz") as before,
        tarfile.open(fileobj=output, mode="w:gz", format=tarfile.PAX_FORMAT) as after,
    ):
        for member in before:
            content = before.extractfile(member)
            if member.name.removeprefix(f"{name}-1.0/") not in files:
                after.addfile(member, content)
        for path, text in files.items():
            entry = tarfile.TarInfo(f"{name}-1.0/{path}")
            entry.size = len(text.encode())
            after.addfile(entry, io.BytesIO(text.encode()))
    world.index.publish((filename, output.getvalue()))


def module(name: str, text: str = "x = 1\n") -> dict[str, str]:
    return {f"src/{name}/__init__.py": text}


def backend(text: str, name: str) -> dict[str, str]:
    """Return the files of a package that builds itself with this code before its wheel."""
    pyproject = (
        '[build-system]\nrequires = ["tinybuild"]\nbuild-backend = "own"\nbackend-path = ["."]\n'
        f'[project]\nname = "{name}"\nversion = "1.0"\n'
    )
    code = f"import os, sys, time, pathlib\nfrom tinybuild import *\nimport tinybuild\n{text}\n"
    return {"pyproject.toml": pyproject, "own.py": code}


@pytest.fixture
def root(world: World, tmp_path: Path) -> Path:
    publish(world, "odd", module("odd"))
    return project(tmp_path, "odd")


def built(root: Path) -> lock_file.BuiltWheel:
    (wheel,) = lock_file.read(root).built
    return wheel


@pytest.mark.slow
def test_it_is_built_once_and_pinned(world: World, root: Path) -> None:
    text = (root / "pyproject.toml").read_text()
    assert lockstitch(root, "lock") == 0
    wheel = built(root)
    assert (wheel.filename, wheel.platform, wheel.compiler) == (
        "odd-1.0-py3-none-any.whl",
        "any",
        "",
    )
    assert [line.partition(" --hash")[0] for line in wheel.requires] == ["tinybuild==1.0"]
    assert (root / "pyproject.toml").read_text() == text, "uv's own commands stay quiet"
    first = (root / "lockstitch.lock").read_bytes()
    world.index.publish(wheels.backend("1.1"))
    assert lockstitch(root, "lock") == 0
    assert (root / "lockstitch.lock").read_bytes() == first
    assert lockstitch(root, "lock", "--check") == 0
    assert lockstitch(root, "build") == 0


@pytest.mark.slow
def test_another_store_builds_the_same_wheel(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert lockstitch(root, "lock") == 0
    assert lockstitch(root, "build") == 0
    first = capsys.readouterr().out
    monkeypatch.setenv("LOCKSTITCH_CACHE", str(tmp_path / "elsewhere"))
    shutil.rmtree(root / ".lockstitch")
    assert lockstitch(root, "build") == 0
    assert capsys.readouterr().out == first


@pytest.mark.slow
def test_another_hash_than_the_lock_names_is_an_error_and_a_carried_wheel_is_taken(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert lockstitch(root, "lock") == 0
    wheel = built(root)
    name, data = wheels.wheel("odd", "1.0")
    text = (root / "lockstitch.lock").read_text()
    (root / "lockstitch.lock").write_text(text.replace(wheel.digest.hex, of_bytes(data).hex))
    monkeypatch.setenv("LOCKSTITCH_CACHE", str(tmp_path / "elsewhere"))
    assert lockstitch(root, "build") == 1
    said = capsys.readouterr().err
    assert f"`odd 1.0` built here is {wheel.filename}, {wheel.digest.short}…" in said
    assert f"the lock names {wheel.filename}, {of_bytes(data).short}…\n" in said
    assert "carry the wheel that was locked, with lockstitch export wheels" in said
    assert f"wheels/{wheel.filename} beside the lock" in said
    (root / "wheels").mkdir()
    (root / "wheels" / name).write_bytes(data)
    assert lockstitch(root, "build") == 0


@pytest.mark.slow
def test_a_file_that_comes_out_another_is_named(
    world: World,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    made = tmp_path / "machine"
    made.write_text("one")
    code = f"pathlib.Path('src/odd/stamp.py').write_text(repr(open({str(made)!r}).read()))"
    publish(world, "odd", module("odd") | backend(code, "odd"))
    root = project(tmp_path, "odd")
    assert lockstitch(root, "lock") == 0
    made.write_text("another")
    monkeypatch.setenv("LOCKSTITCH_CACHE", str(tmp_path / "elsewhere"))
    assert lockstitch(root, "build") == 1
    assert "…: `odd/stamp.py` differs\n" in capsys.readouterr().err


@pytest.mark.slow
def test_a_built_wheel_is_carried_by_a_registry(
    root: Path,
    registry: Registry,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert lockstitch(root, "export", "wheels", "--push") == 1
    assert "lockstitch lock" in capsys.readouterr().err
    assert lockstitch(root, "lock") == 0
    assert lockstitch(root, "export", "wheels", "--push") == 2
    assert "`wheels` in [tool.lockstitch] names none" in capsys.readouterr().err
    place = f"{registry.address}/team/wheels"
    own = f'[tool.lockstitch]\nwheels = "{place}"\n\n[tool.lockstitch.images'
    projects.replace(root, "[tool.lockstitch.images", own)
    wheel = built(root)
    for sent in ([wheel.filename], []):
        assert lockstitch(root, "export", "wheels", "--push", "--json") == 0
        found = json.loads(capsys.readouterr().out)
        assert found == {"form": "wheels", "place": place, "written": sent}
    assert lockstitch(root, "export", "wheels") == 0
    assert of_bytes((root / "wheels" / wheel.filename).read_bytes()) == wheel.digest
    shutil.rmtree(root / "wheels")
    assert lockstitch(root, "build") == 0
    digest = capsys.readouterr().out
    monkeypatch.setenv("LOCKSTITCH_CACHE", str(tmp_path / "elsewhere"))
    shutil.rmtree(root / ".lockstitch")
    with monkeypatch.context() as patch:
        patch.setattr(sources, "_built", pytest.fail)
        assert lockstitch(root, "build") == 0
    assert capsys.readouterr().out == digest
    # Somebody moves the tag to a wheel with another file in it.
    name, data = wheels.wheel("odd", "1.0")
    artifact = Artifact(kind="application/vnd.lockstitch.wheel.v1+zip", data=data)
    target = RepositoryWriter(Client(), Reference.parse(place))
    for blob, content in artifact.blobs():
        target.send_bytes(blob, content)
    target.put(artifact.manifest_bytes(), MANIFEST_TYPE, tag=wheel.digest.hex)
    monkeypatch.setenv("LOCKSTITCH_CACHE", str(tmp_path / "third"))
    assert lockstitch(root, "build") == 1
    said = capsys.readouterr().err
    assert f"`{place}` has another `{name}` under the hash of the locked one" in said
    assert "…: files of its source differ\n" in said


@pytest.mark.slow
@pytest.mark.parametrize(
    "code",
    [
        "tinybuild.STAMP = os.environ['PYTHONHASHSEED']",
        "tinybuild.STAMP = time.strftime('%Z')",
        "os.umask(m := os.umask(0)); tinybuild.STAMP = oct(m)",
        "tinybuild.STAMP = os.getcwd()",
        "tinybuild.STAMP = sys.prefix",
    ],
    ids=["hash seed", "time zone", "umask", "folder", "environment"],
)
def test_what_does_not_build_the_same_twice_is_refused_by_name(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str], code: str
) -> None:
    write = "pathlib.Path('src/odd/stamp.py').write_text(repr(tinybuild.STAMP))"
    publish(world, "odd", module("odd") | backend(f"{code}\n{write}", "odd"))
    root = project(tmp_path, "odd")
    assert lockstitch(root, "lock") == 1
    said = capsys.readouterr().err
    assert "`odd 1.0` does not build the same twice: `odd/stamp.py` differ" in said
    assert not (root / "lockstitch.lock").exists()


@pytest.mark.slow
def test_requirements_in_the_order_of_the_hash_seed_are_sorted(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = """
import zipfile
def build_wheel(folder, *rest):
    name = tinybuild.build_wheel(folder, *rest)
    with zipfile.ZipFile(pathlib.Path(folder, name)) as archive:
        members = {member: archive.read(member).decode() for member in archive.namelist()}
    for extra in {'alpha', 'beta', 'gamma', 'delta', 'epsilon'}:
        members['odd-1.0.dist-info/METADATA'] += f'Provides-Extra: {extra}\\n'
    with zipfile.ZipFile(pathlib.Path(folder, name), 'w') as archive:
        for member, text in members.items():
            archive.writestr(member, text)
    return name
"""
    publish(world, "odd", module("odd") | backend(code, "odd"))
    root = project(tmp_path, "odd")
    assert lockstitch(root, "lock") == 0
    data = Store(default_root()).path(built(root).digest).read_bytes()
    metadata = zipfile.ZipFile(io.BytesIO(data)).read("odd-1.0.dist-info/METADATA").decode()
    extras = re.findall(r"Provides-Extra: (\w+)", metadata)
    assert extras == ["alpha", "beta", "delta", "epsilon", "gamma"]
    monkeypatch.setenv("LOCKSTITCH_CACHE", str(tmp_path / "elsewhere"))
    assert lockstitch(root, "build") == 0  # RECORD is held against it


@pytest.mark.slow
def test_a_build_that_fails_ends_with_its_last_lines(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = "for n in range(40): print('line', n)\nsys.exit('error: no luck')"
    publish(world, "odd", module("odd") | backend(code, "odd"))
    root = project(tmp_path, "odd")
    assert lockstitch(root, "lock") == 1
    said = capsys.readouterr().err
    assert "`odd 1.0` has no wheel for this target and its build failed:" in said
    assert "no luck" in said
    assert "  line 3\n" not in said
    log = Path(said.partition("hint: read ")[2].partition(",")[0])
    assert "line 3\n" in log.read_text()


@pytest.mark.slow
def test_a_build_that_lacks_headers_ends_with_their_package(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = "sys.exit('a.c:1: fatal error: portaudio.h: No such file or directory')"
    publish(world, "odd", module("odd") | backend(code, "odd"))
    assert lockstitch(project(tmp_path, "odd"), "lock") == 1
    said = capsys.readouterr().err
    assert "hint: apt-get install portaudio19-dev && lockstitch lock; or " in said
    assert 'build-packages = ["portaudio19-dev"]' in said


@pytest.mark.slow
def test_it_has_no_network_and_no_home(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = (
        "import socket\n"
        "s = socket.socket(); s.settimeout(1)\n"
        f"port = {world.index.url.rpartition(':')[2].partition('/')[0]}\n"
        "assert s.connect_ex(('127.0.0.1', port)) != 0, 'network'\n"
        "assert not list(pathlib.Path.home().iterdir()), 'home'"
    )
    publish(world, "odd", module("odd") | backend(code, "odd"))
    assert lockstitch(project(tmp_path, "odd"), "lock") == 0, capsys.readouterr().err


def test_a_build_whose_environment_was_damaged_meanwhile_runs_once_more(
    tmp_path: Path, store: Store
) -> None:
    calls: list[Path] = []

    def build(python: Path) -> str:
        calls.append(python)
        if len(calls) == 1:
            python.unlink()
        if not python.exists():
            message = "no such program"
            raise LockstitchError(message)
        return "built"

    def fails(python: Path) -> str:
        calls.append(python)
        message = "the backend says no"
        raise LockstitchError(message)

    minor = f"{sys.version_info.major}.{sys.version_info.minor}"
    assert sources.in_environment((), minor, tmp_path, store, build) == "built"
    assert len(calls) == 2
    with pytest.raises(LockstitchError, match="the backend says no"):
        sources.in_environment((), minor, tmp_path, store, fails)
    assert len(calls) == 3


@pytest.mark.slow
def test_a_compiler_that_is_missing_is_named_before_the_build(
    world: World,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    publish(world, "odd", module("odd") | {"kernel.cu": "x"})
    which = shutil.which
    monkeypatch.setattr(
        shutil, "which", lambda name, **more: None if name == "nvcc" else which(name, **more)
    )
    assert lockstitch(project(tmp_path, "odd"), "lock") == 1
    said = capsys.readouterr().err
    assert "`odd 1.0` has CUDA sources and no wheel, and `nvcc` is not here" in said


@pytest.mark.slow
def test_members_of_a_workspace_have_a_layer_each(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pyproject = PYPROJECT.format(name="core") + (
        '\n[tool.uv.workspace]\nmembers = ["packages/*"]\n'
        "[tool.uv.sources]\ncore = { workspace = true }\n"
    )
    member = (
        '[project]\nname = "core"\nversion = "0.3"\n[build-system]\nrequires = ["tinybuild"]\n'
        'build-backend = "tinybuild"\n'
    )
    root = projects.write(
        tmp_path / "tiny",
        pyproject=pyproject,
        files={
            "main.py": "import alpha, core\n",
            "packages/core/pyproject.toml": member,
            "packages/core/src/core/__init__.py": "x = 1\n",
        },
    )
    assert lockstitch(root, "lock") == 0
    assert [(folder.name, folder.path) for folder in lock_file.read(root).folders] == [
        ("core", "packages/core")
    ]
    assert lockstitch(root, "build") == 0
    first = capsys.readouterr().out
    assert lockstitch(root, "build") == 0
    assert capsys.readouterr().out == first
    (root / "packages/core/src/core/__init__.py").write_text("x = 2\n")
    assert main(["build", "--project", str(root)]) == 0
    out, err = capsys.readouterr()
    assert out != first
    assert ", 1 made" in err
    (root / "packages/core/pyproject.toml").write_text(member.replace("0.3", "0.4"))
    assert lockstitch(root, "lock", "--check") == 1


@pytest.mark.slow
def test_a_folder_s_wheel_depends_on_what_its_build_sees_and_on_nothing_else(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = (
        "seen = sorted(str(p) for p in pathlib.Path().rglob('*') if p.is_file())\n"
        "seen += [os.environ.get('SETUPTOOLS_SCM_PRETEND_VERSION', '')]\n"
        "seen += [pathlib.Path('.env').read_text(), pathlib.Path('linked/x.txt').read_text()]\n"
        "pathlib.Path('src/odd/seen.py').write_text(f'seen = {seen}')"
    )
    table = '[tool.uv.sources]\nodd = { path = "odd" }\n'
    root = projects.write(
        tmp_path / "tiny",
        pyproject=PYPROJECT.format(name="odd") + table,
        files={
            "main.py": "import alpha, odd\n",
            "beside/x.txt": "one",
            "odd/.env": "two",
            **{f"odd/{name}": text for name, text in backend(code, "odd").items()},
            **{f"odd/{name}": text for name, text in module("odd").items()},
        },
    )
    (root / "odd" / "linked").symlink_to(root / "beside")
    (root / "odd" / "round").symlink_to(root / "odd")
    (root / "odd" / "nothing").symlink_to("missing")
    assert lockstitch(root, "lock") == 0

    def digest() -> str:
        assert lockstitch(root, "build") == 0
        layout = Layout(root / ".lockstitch" / "images")
        return str(layout.manifest("serve").digest)

    first = digest()
    monkeypatch.setenv("SETUPTOOLS_SCM_PRETEND_VERSION", "9.9")
    projects.write_files(root, {"odd/.git/HEAD": "ref: refs/heads/main\n"})
    assert digest() == first
    (root / "beside" / "x.txt").write_text("three")
    second = digest()
    (root / "odd" / ".env").write_text("four")
    assert len({first, second, digest()}) == 3


def test_what_a_shared_object_needs() -> None:
    program = Path("/bin/sh").resolve()
    wanted = needs(program.read_bytes())
    assert "libc.so.6" in wanted.libraries
    assert any(version.startswith("GLIBC_2.") for version in wanted.versions)
    assert needs(b"\x7fELF\x02\x01" + b"\xff" * 200) == needs(b"") == needs(b"MZ")
