"""Containers of pinned packages that compile wheels, with a stand-in for the engine."""

import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
from support import errors

from lockstitch.digest import of_bytes
from lockstitch.errors import LockstitchError
from lockstitch.lock import builder
from lockstitch.lock.bases.cpython import Archive, CPythonBase
from lockstitch.lock.bases.debian import DebianPackage
from lockstitch.lock.file import Builder
from lockstitch.store import Store

# What docker does here: images are tars, containers folders, and `start` runs on this machine.
ENGINE = f"""#!{sys.executable}
import json, os, shutil, subprocess, sys
from pathlib import Path
here = Path(__file__).parent / "state"
here.mkdir(exist_ok=True)
verb, *rest = sys.argv[1:]
if verb == "image":
    sys.exit(0 if (here / rest[-1].replace(":", "_")).exists() else 1)
if verb == "import":
    shutil.copy(rest[-2], here / rest[-1].replace(":", "_"))
if verb == "create":
    (here / "box").mkdir()
    (here / "box.json").write_text(json.dumps(rest))
    print("box")
if verb == "cp":
    one, two = (str(here / "box") + each[len("box:"):] if each.startswith("box:") else each
                for each in rest)
    shutil.copytree(one, two, dirs_exist_ok=True, symlinks=True)
if verb == "start":
    words = json.loads((here / "box.json").read_text())
    if not words[-1].endswith("--version"):
        place = words[words.index("--workdir") + 1].rpartition("/")[0]
        out = here / "box" / place.lstrip("/") / "out"
        if "REFUSE" in os.environ:
            sys.exit("exec /usr/bin/python3.13: exec format error")
        (out / "built.txt").write_text(json.dumps(words))
    print("gcc (Debian 14) 14.2.0")
if verb == "rm":
    shutil.rmtree(here / "box")
"""


def deb(files: dict[str, bytes]) -> bytes:
    """Return a package whose data has these files, and a hard link, a link and folders."""
    import io

    inner = io.BytesIO()
    with tarfile.open(fileobj=inner, mode="w:gz") as tar:
        folder = tarfile.TarInfo("./bin/")
        folder.type = tarfile.DIRTYPE
        tar.addfile(folder)
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
        link = tarfile.TarInfo("./bin/again")
        link.type, link.linkname = tarfile.LNKTYPE, "./bin/gcc"
        tar.addfile(link)
    parts = [("debian-binary", b"2.0\n"), ("data.tar.gz", inner.getvalue())]
    text = b"!<arch>\n"
    for name, data in parts:
        text += f"{name:<16}{0:<12}{0:<6}{0:<6}{'100644':<8}{len(data):<10}`\n".encode()
        text += data + b"\n" * (len(data) % 2)
    return text


def container(store: Store, tmp_path: Path, *, data: bytes | None = None) -> builder.Container:
    data = deb({"./bin/gcc": b"compiler", "./usr/include/Python.h": b""}) if data is None else data
    package = DebianPackage(
        name="gcc",
        version="4:14",
        architecture="amd64",
        archive="debian",
        path="pool/gcc.deb",
        digest=store.put(data),
        size=len(data),
    )
    archive = tmp_path / "python.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        header = tarfile.TarInfo("python/include/Python.h")
        tar.addfile(header)
        link = tarfile.TarInfo("python/bin/again")
        link.type, link.linkname = tarfile.LNKTYPE, "python/include/Python.h"
        tar.addfile(link)
    base = CPythonBase(
        name="cpython:3.12",
        platform="linux/amd64",
        python="3.12.1",
        glibc="2.36",
        snapshot="20260101T000000Z",
        packages=(),
        archive=Archive(
            url="https://x.test/releases/download/20240107/python.tar.gz",
            digest=store.put(archive.read_bytes()),
            size=1,
            proof="sha256",
        ),
    )
    own = Builder(
        platform="linux/amd64", release="bookworm", requested=("gcc",), packages=(package,)
    )
    return builder.Container(engine="docker", builder=own, base=base, root=tmp_path, store=store)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "engine"
    folder.mkdir()
    (folder / "docker").write_text(ENGINE)
    (folder / "docker").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    return folder / "state"


def build(made: builder.Container, folder: Path) -> tuple[int, list[str]]:
    (folder / "source").mkdir(parents=True)
    lines: list[str] = []
    variables = {"TZ": "UTC"}
    code = made.build(folder, "/b", variables, ["0o022", "backend"], (), lines.append)
    return code, lines


def test_a_build_goes_into_a_container_without_network_and_comes_back(
    engine: Path, store: Store, tmp_path: Path
) -> None:
    made = container(store, tmp_path)
    assert build(made, tmp_path / "work") == (0, ["gcc (Debian 14) 14.2.0"])
    words = (tmp_path / "work" / "out" / "built.txt").read_text()
    for each in ('"--network", "none"', '"--platform", "linux/amd64"', '"TZ=UTC"', '"CC=cc"'):
        assert each in words
    assert words.index("/usr/local/bin/python3.12") < words.index("/b/backend.py")
    assert made.compiler() == "gcc (Debian 14) 14.2.0"
    assert not (engine / "box").exists()
    (image,) = engine.glob("lockstitch-builder_*")
    with tarfile.open(image) as tar:
        there = {info.name: info for info in tar}
    assert there["bin"].linkname == "usr/bin"
    assert there["usr/bin/again"].linkname == "usr/bin/gcc"
    assert there["usr/local/bin/again"].linkname == "usr/local/include/Python.h"
    assert {"usr/bin/gcc", "usr/bin/cc", "usr/local/include/Python.h", "tmp"} <= there.keys()


def test_an_engine_that_runs_no_such_programs_says_what_to_do(
    engine: Path, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REFUSE", "1")
    ((message, hint),) = errors.problems(lambda: build(container(store, tmp_path), tmp_path / "w"))
    assert message == "`docker` here runs no programs for linux/amd64"
    assert "DOCKER_HOST" in hint
    assert not (engine / "box").exists()


def test_without_an_engine_the_hint_is_to_carry_the_wheel(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    ((message, hint),) = errors.problems(container(store, tmp_path).compiler)
    assert message == "`docker` is not installed"
    assert "lockstitch export wheels" in hint


@pytest.mark.usefixtures("engine")
def test_a_damaged_or_missing_package_is_named(store: Store, tmp_path: Path) -> None:
    broken = container(store, tmp_path, data=b"!<arch>\n")
    with pytest.raises(LockstitchError, match="gcc 4:14"):
        broken.compiler()
    gone = container(store, tmp_path)
    store.path(gone.builder.packages[0].digest).unlink()
    with pytest.raises(LockstitchError, match="is not in the store"):
        gone.compiler()
    gone = container(store, tmp_path)
    store.path(of_bytes((tmp_path / "python.tar.gz").read_bytes())).unlink()
    with pytest.raises(LockstitchError, match=r"`python\.tar\.gz` .* is not in the store"):
        gone.compiler()


def test_flags_for_this_machine_s_processor_are_left_out(tmp_path: Path) -> None:
    real = tmp_path / "real"
    real.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    real.chmod(0o755)
    builder.wrappers(tmp_path / "bin", lambda name: str(real) if name == "cc" else None)
    assert [path.name for path in (tmp_path / "bin").iterdir()] == ["cc"]
    words = ["-O2", "-march=native", "a b", "-mtune=native", "-march=x86-64-v3", "$HOME"]
    said = subprocess.run([tmp_path / "bin/cc", *words], capture_output=True, text=True, check=True)
    assert said.stdout.splitlines() == ["-O2", "a b", "-march=x86-64-v3", "$HOME"]
