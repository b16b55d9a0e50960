"""Images are read from the files in their layers, by the rules of the script."""

import hashlib
from pathlib import Path
from typing import Any

import pytest
from support import environments, images, wheels
from support.registry import Registry

from lockstitch.cli.main import main
from lockstitch.drift import compare
from lockstitch.fingerprint import contents, live
from lockstitch.fingerprint.model import Blas, Fingerprint
from lockstitch.oci.entry import Entry, file
from lockstitch.oci.reader import StoredImage, StoredLayer
from lockstitch.store import Store, default_root

SITE = "opt/venv/lib/python3.11/site-packages"


def entries(folder: Path, site: str = SITE) -> list[Entry]:
    """Return the packages of an environment as entries of an image."""
    root = environments.packages(folder)
    return [
        file(f"{site}/{path.relative_to(root).as_posix()}", path.read_bytes())
        for path in sorted(root.rglob("*"))
        if path.is_file()
    ]


def read(
    *layers: list[Entry], env: tuple[str, ...] = ("PATH=/opt/venv/bin:/usr/bin",)
) -> Fingerprint:
    config: dict[str, Any] = {"os": "linux", "architecture": "amd64", "config": {"Env": list(env)}}
    made = tuple(StoredLayer(read=images.layer(layer).chunks) for layer in layers)
    return contents.of_image(StoredImage(config=config, layers=made), Store(default_root()))


@pytest.fixture
def venv(tmp_path: Path) -> Path:
    return environments.make(
        tmp_path / "venv",
        wheels.wheel("model", "1.0", requires=["tool"]),
        wheels.wheel("tool", "2.0", {"tool.py": b"", "tool.libs/libopenblas-ab12.so": b"blas"}),
    )


def test_an_image_and_an_environment_of_the_same_wheels_are_the_same(venv: Path) -> None:
    found, here = read(entries(venv)), live.interpreter(venv)
    assert found.kind == "image"
    assert found.packages == here.packages
    assert [each for each in compare.between(found, here) if each.what == "package"] == []
    blas = (Blas(name="openblas", owner="tool", file="libopenblas-ab12.so"),)
    assert found.blas == here.blas == blas


def test_a_file_edited_in_a_later_layer_shows(venv: Path) -> None:
    kept = [entry for entry in entries(venv) if not entry.path.endswith("/tool.py")]
    found = read(kept, [file(f"{SITE}/model/__init__.py", b"edited")])
    assert [package.edited for package in found.packages] == [
        ("changed model/__init__.py",),
        ("missing tool.py",),
    ]


def test_the_digests_of_a_record_may_be_hexadecimal_digits(venv: Path) -> None:
    files = {entry.path: entry for entry in entries(venv)}
    record = f"{SITE}/tool-2.0.dist-info/RECORD"
    text = f"tool.py,sha256={hashlib.sha256(b'').hexdigest()},0\n"
    found = read([*files.values()], [file(record, text.encode())])
    assert [package.edited for package in found.packages] == [(), ()]


def test_the_base_is_read_from_its_own_files(venv: Path) -> None:
    base = [
        file("usr/lib/os-release", b"ID=debian\nVERSION_ID=12\n"),
        file("var/lib/dpkg/status.d/libc6", b"Package: libc6\nVersion: 2.36-9+deb12u9\n"),
        file("var/lib/dpkg/status.d/libc6.md5sums", b"Package: no\n"),
        file("var/lib/dpkg/status.d/py", b"Package: python3.11-minimal\nVersion: 3.11.2-6\n"),
    ]
    found = read(base, entries(venv), env=("PATH=/opt/venv/bin", "OMP_NUM_THREADS=1", "TOKEN=x"))
    assert found.platform
    assert found.python
    assert found.python.version == "3.11.2"
    assert (found.platform.machine, found.platform.libc) == ("x86_64", "glibc 2.36")
    assert found.platform.release == "debian 12"
    assert found.system == {"libc6": "2.36-9+deb12u9", "python3.11-minimal": "3.11.2-6"}
    assert found.variables == {"OMP_NUM_THREADS": "1"}


@pytest.mark.parametrize(
    ("header", "version"),
    [("usr/local/include/python3.11/patchlevel.h", "3.11.9"), ("nothing", "3.11")],
)
def test_python_is_what_its_headers_say(header: str, version: str, venv: Path) -> None:
    found = read(entries(venv), [file(header, b'#define PY_VERSION      "3.11.9"\n')])
    assert found.python
    assert found.python.version == version


def test_of_two_environments_the_first_on_the_path_counts(tmp_path: Path) -> None:
    one = environments.make(tmp_path / "one", wheels.wheel("model", "1.0"))
    two = environments.make(tmp_path / "two", wheels.wheel("model", "2.0"))
    usr = "usr/lib/python3/dist-packages"
    both = (entries(one), entries(two, usr))
    versions = {
        path: [package.version for package in read(*both, env=(f"PATH={path}",)).packages]
        for path in ("/opt/venv/bin:/usr/bin", "/usr/bin:/opt/venv/bin", "/sbin")
    }
    assert versions == {
        "/opt/venv/bin:/usr/bin": ["1.0"],
        "/usr/bin:/opt/venv/bin": ["2.0"],
        "/sbin": ["1.0"],
    }


def test_an_image_without_python() -> None:
    found = read([file("etc/passwd", b"")], env=())
    assert (found.packages, found.python, found.system) == ((), None, {})


@pytest.mark.slow
def test_a_built_image_is_what_was_locked(
    locked: Path, registry: Registry, capsys: pytest.CaptureFixture[str]
) -> None:
    """The image of the project, its layout, an archive, a registry: each against the lock."""
    assert main(["build", "serve", "--quiet", "--output", "serve.tar"]) == 0
    (locked / "serve").mkdir()  # an image may have the name of a folder
    for word in ("serve", ".lockstitch/images:serve", "serve.tar"):
        capsys.readouterr()
        assert main(["diff", "pylock.serve.toml", word, "--all"]) == 0
        assert capsys.readouterr() == ("", "no difference\n")
