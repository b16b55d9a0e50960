"""Images on bases of a real registry: one of lockstitch's own, one as docker-library makes them."""

import json
import platform
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from support import projects, rootfs
from support.docker_registry import DockerRegistry, started

from .conftest import Docker, RealProject, program
from .test_dockerfile import build, config

pytestmark = pytest.mark.network  # uv fetches what the lock names, in a build

APP = """\
import json, sys
import markupsafe, markupsafe._speedups
print(json.dumps({
    "base": sys.base_prefix,
    "prefix": sys.prefix,
    "version": ".".join(map(str, sys.version_info[:3])),
    "module": markupsafe.__file__,
    "text": str(markupsafe.escape("<")),
}))
"""


@dataclass(frozen=True)
class Bases:
    """A registry with two bases."""

    registry: DockerRegistry
    debian: str  # made by lockstitch
    local: str  # made by Docker from a Dockerfile


@pytest.fixture(scope="module")
def bases(
    tmp_path_factory: pytest.TempPathFactory, environment: dict[str, str], docker: Docker
) -> Iterator[Bases]:
    folder = tmp_path_factory.mktemp("bases")
    with started(folder) as registry:
        debian, local = f"{registry.address}/debian-python:1", f"{registry.address}/python:3-slim"
        own = made(folder, "debian:bookworm", "3.11", environment)
        own.lockstitch("build", "--base-only", "--output", f"{folder}/base.tar")
        copy = [program("skopeo"), "--insecure-policy", "copy", "--dest-tls-verify=false"]
        subprocess.run(
            [*copy, f"docker-archive:{folder}/base.tar", f"docker://{debian}"],
            capture_output=True,
            check=True,
        )
        (folder / "context").mkdir()
        rootfs.make(folder / "context")
        docker.run("build", "--network", "none", "--tag", local, str(folder / "context"))
        docker.run("push", local)
        yield Bases(registry, debian, local)


def made(folder: Path, base: str, minor: str, environment: dict[str, str]) -> RealProject:
    found = RealProject(root=folder / "small", environment=environment)
    found.root.mkdir()
    text = projects.small(base, minor, "markupsafe>=3", bytecode=base.endswith("slim"))
    (found.root / "pyproject.toml").write_text(text)
    (found.root / "app.py").write_text(APP)
    found.lockstitch("lock")
    return found


def test_an_image_of_docker_librarys_kind_runs_on_its_own_python(
    bases: Bases, environment: dict[str, str], docker: Docker, tmp_path: Path
) -> None:
    small = made(tmp_path, bases.local, rootfs.MINOR, environment)
    lock = (small.root / "lockstitch.lock").read_text()
    assert f'python = "{platform.python_version()}"\n' in lock
    assert f'program = "/usr/local/bin/python{rootfs.MINOR}"\n' in lock
    assert f'glibc = "{platform.libc_ver()[1]}"\n' in lock

    before = len(bases.registry.log)
    target = f"{bases.registry.address}/small-app"
    (sent,) = json.loads(small.lockstitch("build", "--push", f"{target}:1", "--json"))
    pushed = sent["pushed"]
    assert pushed["mounted"]["blobs"] == 2  # the layers of the base: not a byte of them travelled
    read = [
        line for line in bases.registry.log[before:].splitlines() if "GET /v2/python/blobs" in line
    ]
    assert read == []
    assert sent["notes"] == []

    docker.run("pull", "--quiet", pushed["reference"])
    done = docker.run("run", "--rm", "--network", "none", "--read-only", pushed["reference"])
    found = json.loads(done.stdout)
    assert (found["base"], found["prefix"]) == ("/usr/local", "/app/.venv")
    assert (found["version"], found["text"]) == (platform.python_version(), "&lt;")
    site = f"/app/.venv/lib/python{rootfs.MINOR}/site-packages/markupsafe"
    assert found["module"].startswith(site)
    history = docker.run("history", "--format", "{{.CreatedBy}}", pushed["reference"]).stdout
    assert "ENV PATH=" in history
    assert "virtual environment" in history
    docker.run("rmi", pushed["reference"])

    # The same image in the layout, which has to be whole; skopeo and umoci agree that it is.
    small.lockstitch("build")
    assert small.digest("app") == pushed["digest"]
    words = ["unpack", "--rootless", "--image", f"{small.layout.root}:app", f"{tmp_path}/out"]
    subprocess.run([program("umoci"), *words], capture_output=True, check=True)
    root = tmp_path / "out" / "rootfs"
    assert not (root / "usr" / "local" / "lib" / f"python{rootfs.MINOR}" / "this.py").exists()
    compiled = f"{site}/__pycache__/__init__.{sys.implementation.cache_tag}.pyc"
    assert (root / compiled.lstrip("/")).exists()


def test_the_rendered_dockerfile_makes_the_same_of_that_base(
    bases: Bases, environment: dict[str, str], docker: Docker, tmp_path: Path
) -> None:
    small = made(tmp_path, bases.local, rootfs.MINOR, environment)
    small.lockstitch("export", "dockerfile")
    assert "\nARG BASE=127.0.0.1:" in (small.root / "Dockerfile.app").read_text()
    uv = Path(sys.executable).parent
    subprocess.run(["tar", "-cf", tmp_path / "uv.tar", "-C", uv, "uv"], check=True)
    docker.run("import", str(tmp_path / "uv.tar"), "uv:local")
    done = build(docker, small.root, "app", "rendered:1")
    assert done.returncode == 0, done.stderr[-3000:]
    small.lockstitch("build", "--output", f"{tmp_path}/app.tar", "--tag", "native:1")
    docker.run("load", "--input", f"{tmp_path}/app.tar")
    assert config(docker, "rendered:1") == config(docker, "native:1")
    said = [
        docker.run("run", "--rm", "--network", "none", f"{n}:1") for n in ("rendered", "native")
    ]
    assert said[0].stdout == said[1].stdout
    docker.run("rmi", "rendered:1", "native:1", "uv:local")


def test_an_image_on_lockstitch_s_own_base_from_a_registry(
    bases: Bases, environment: dict[str, str], docker: Docker, tmp_path: Path
) -> None:
    small = made(tmp_path, bases.debian, "3.11", environment)
    lock = (small.root / "lockstitch.lock").read_text()
    assert 'program = "/usr/bin/python3.11"\n' in lock
    assert 'name = "libc6"\n' in lock
    tag = "small-on-debian:1"
    small.lockstitch("build", "--output", f"{tmp_path}/app.tar", "--tag", tag)
    docker.run("load", "--input", f"{tmp_path}/app.tar")
    found = json.loads(docker.run("run", "--rm", "--network", "none", tag).stdout)
    assert (found["base"], found["prefix"], found["text"]) == ("/usr", "/app/.venv", "&lt;")
    docker.run("rmi", tag)


def test_libraries_that_a_base_of_a_registry_lacks_are_named(
    bases: Bases, environment: dict[str, str], tmp_path: Path
) -> None:
    for number, base in enumerate((bases.debian, bases.local)):
        root = tmp_path / str(number)
        root.mkdir()
        small = RealProject(root=root, environment=environment)
        (root / "pyproject.toml").write_text(projects.small(base, rootfs.MINOR, "lightgbm"))
        (root / "app.py").write_text("import lightgbm\n")
        small.lockstitch("lock")
        words = [sys.executable, "-m", "lockstitch", "build"]
        done = subprocess.run(
            words, cwd=root, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 1
        assert "needs libgomp.so.1, which nothing in image `app` has" in done.stderr
        # Nothing is added to what a registry has.
        assert "hint: packages" not in done.stderr, done.stderr
        assert "\nhint: " in done.stderr
