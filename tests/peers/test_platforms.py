"""An image for another processor, made here: each program in it is for that one, and it runs."""

import json
import os
import shutil
import struct
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from .conftest import RealProject, program

MACHINES = {62: "amd64", 183: "arm64"}  # EM_X86_64, EM_AARCH64
PYPROJECT = """\
[build-system]
requires = ["hatchling>=1.27"]
build-backend = "hatchling.build"

[project]
name = "both"
version = "0.1"
requires-python = ">=3.11"
dependencies = ["numpy>=2", "fastapi>=0.160"]

[tool.hatch.build.targets.wheel]
packages = ["src/both"]

[tool.lockstitch]
python = "3.11"
platforms = ["linux/amd64", "linux/arm64"]

[tool.lockstitch.images.app]
include = ["app.py"]
command = ["python", "app.py"]
"""
APP = """\
import json, platform
import fastapi, numpy, pydantic_core
import both
solved = numpy.linalg.solve(numpy.diag([2.0, 4.0]), numpy.array([2.0, 8.0])).tolist()
print(json.dumps([platform.machine(), solved, both.NAME, fastapi.FastAPI(title="x").title]))
"""


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory, environment: dict[str, str]) -> RealProject:
    """A small real project, built for two platforms: wheels with C, Rust and Fortran in them."""
    root = tmp_path_factory.mktemp("both")
    found = RealProject(root=root, environment=environment)
    (root / "src" / "both").mkdir(parents=True)
    (root / "src" / "both" / "__init__.py").write_text('NAME = "both"\n')
    (root / "app.py").write_text(APP)
    (root / "pyproject.toml").write_text(PYPROJECT)
    found.lockstitch("lock")
    found.lockstitch("build")
    return found


def machines(path: Path) -> Iterator[tuple[str, str]]:
    """Yield (path, processor) of the ELF files of a layer, as the standard library reads it."""
    with tarfile.open(path) as archive:
        for member in archive:
            content = archive.extractfile(member) if member.isreg() else None
            head = content.read(20) if content else b""
            if head.startswith(b"\x7fELF"):
                (machine,) = struct.unpack_from("<H", head, 18)
                yield member.name, MACHINES.get(machine, str(machine))


@pytest.mark.parametrize("architecture", ["amd64", "arm64"])
def test_every_program_is_for_the_platform(architecture: str, both: RealProject) -> None:
    layout = both.layout
    manifest = layout.document(layout.manifest_digest(f"app-{architecture}"))
    blobs = layout.root / "blobs" / "sha256"
    found = [
        machine for layer in manifest["layers"] for machine in machines(blobs / layer["digest"][7:])
    ]
    assert {machine for _, machine in found} == {architecture}
    names = " ".join(name for name, _ in found)
    for part in ("usr/bin/python3.11", "libc.so.6", "numpy/_core/_multiarray", "pydantic_core/"):
        assert part in names


def test_readers_choose_their_platform_from_the_index(both: RealProject) -> None:
    digests = {}
    for architecture in ("amd64", "arm64"):
        words = ["--override-arch", architecture, "inspect", "--raw", "--config"]
        said = subprocess.check_output(
            [program("skopeo"), *words, f"oci:{both.layout.root}:app"], text=True
        )
        digests[architecture] = json.loads(said)["architecture"]
    assert digests == {"amd64": "amd64", "arm64": "arm64"}


def test_the_other_platforms_image_runs_under_qemu(both: RealProject, tmp_path: Path) -> None:
    emulator = shutil.which("qemu-aarch64-static")
    assert emulator, "qemu-aarch64-static is not installed: apt-get install -y qemu-user-static"
    words = ["unpack", "--image", f"{both.layout.root}:app-arm64", f"{tmp_path}/out"]
    subprocess.run([program("umoci"), *words], capture_output=True, check=True)
    root = tmp_path / "out" / "rootfs"
    shutil.copy(emulator, root / "qemu")
    done = subprocess.run(
        [program("chroot"), root, "/qemu", "/app/.venv/bin/python", "/app/app.py"],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": f"/app/.venv/bin:/usr/bin:{os.defpath}", "LANG": "C.UTF-8"},
    )
    assert json.loads(done.stdout) == ["aarch64", [1.0, 2.0], "both", "x"], done.stderr
