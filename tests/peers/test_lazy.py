"""Lazy layers as containerd's own library reads them, and in engines that know nothing of them."""

import hashlib
import json
import re
import shutil
import stat
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from support import stargz as library
from support.docker_registry import DockerRegistry, started
from support.stargz import Reader

from lockstitch.image.inspect import inspect
from lockstitch.oci import stargz
from lockstitch.oci.rootfs import entries
from lockstitch.store import Store

from .conftest import Docker, RealProject, program

LAZY = "[tool.lockstitch.images.serve]\nlazy = true\n"
TORCH = f"""\
[project]
name = "big"
version = "0.1"
requires-python = ">=3.11,<3.12"
dependencies = ["torch"]

[tool.uv]
package = false

[tool.lockstitch]
platforms = ["linux/amd64"]

{LAZY}command = ["python", "-c", "import torch"]
"""


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Reader:
    return library.build(tmp_path_factory.mktemp("estargz"))


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DockerRegistry]:
    with started(tmp_path_factory.mktemp("registry")) as running:
        yield running


@pytest.fixture(scope="module")
def lazy(project: RealProject, tmp_path_factory: pytest.TempPathFactory) -> RealProject:
    """The churn project with a lazy image."""
    root = tmp_path_factory.mktemp("lazy") / "churn"
    shutil.copytree(project.root, root, ignore=shutil.ignore_patterns(".venv", ".lockstitch"))
    text = (root / "pyproject.toml").read_text()
    changed = text.replace("[tool.lockstitch.images.serve]\n", LAZY)
    assert changed != text
    (root / "pyproject.toml").write_text(changed)
    made = replace(project, root=root)
    made.lockstitch("build", "serve")
    return made


def read_whole(project: RealProject, reader: Reader) -> None:
    """Read every layer with containerd's library, and count what our reader counts."""
    store = Store(Path(project.environment["LOCKSTITCH_CACHE"]))
    shown = inspect(project.layout, "serve", store).layers
    for layer, (path, descriptor) in zip(
        shown, library.layers(project.layout, "serve"), strict=True
    ):
        sizes = [member.size for member, _ in entries(layer) if member.isreg()]
        read = reader.read(path, descriptor)
        assert (read["files"], read["size"]) == (len(sizes), sum(sizes))
        filled = sum(size > 0 for size in sizes) + 1  # and the landmark
        most = sum(-(-size // stargz.CHUNK) for size in sizes) + 1
        assert filled <= read["chunks"] <= most


def test_containerd_reads_every_file_and_pieces_at_random(
    lazy: RealProject, reader: Reader
) -> None:
    read_whole(lazy, reader)


@pytest.mark.network
@pytest.mark.nightly  # 3 GB of wheels
def test_containerd_reads_an_image_with_torch(
    tmp_path: Path, store: Path, environment: dict[str, str], reader: Reader
) -> None:
    (tmp_path / "pyproject.toml").write_text(TORCH)
    big = RealProject(root=tmp_path, environment=environment)
    big.lockstitch("lock")
    big.lockstitch("build")
    read_whole(big, reader)


def test_one_file_of_a_registry_is_read_by_range(
    lazy: RealProject, reader: Reader, registry: DockerRegistry, tmp_path: Path
) -> None:
    name = f"{registry.address}/lazy/churn"
    lazy.lockstitch("image", "push", f"{name}:1", "--image", "serve", "--quiet")
    largest = max(lazy.layout.manifest("serve").layers, key=lambda layer: layer.size)
    site = "app/.venv/lib/python3.11/site-packages"
    (tmp_path / "reads").write_text(
        f"0 -1 {site}/numpy/__init__.py\n0 10 {site}/numpy/version.py\n"
    )
    address = f"http://{registry.address}/v2/lazy/churn/blobs/{largest.digest}"
    before = len(registry.log)
    read = reader.read(address, largest, tmp_path / "reads")
    assert read["chunks"] == 2
    assert 0 < read["fetched"] < largest.size / 20
    # The registry counts the same bytes, a moment later.
    written: list[int] = []
    for _ in range(100):
        lines = registry.log[before:].splitlines()
        gets = [line for line in lines if "http.request.method=GET" in line]
        written = [int(n) for g in gets for n in re.findall(r"http\.response\.written=(\d+)", g)]
        if len(written) == read["requests"]:
            break
        time.sleep(0.1)
    assert (len(written), sum(written)) == (read["requests"], read["fetched"])


def test_the_registry_has_the_annotations_that_engines_look_for(
    lazy: RealProject, registry: DockerRegistry
) -> None:
    name = f"{registry.address}/lazy/annotated:1"
    lazy.lockstitch("image", "push", name, "--image", "serve", "--quiet")
    words = [program("skopeo"), "inspect", "--raw", "--tls-verify=false", f"docker://{name}"]
    manifest = json.loads(subprocess.check_output(words))
    for layer in manifest["layers"]:
        assert re.fullmatch(r"sha256:[0-9a-f]{64}", layer["annotations"][stargz.TABLE_DIGEST])
        assert int(layer["annotations"]["io.containers.estargz.uncompressed-size"]) > 0


# --- engines that know nothing of it


def test_docker_runs_the_same_program(lazy: RealProject, docker: Docker, tmp_path: Path) -> None:
    archive = tmp_path / "serve.tar"
    lazy.lockstitch("build", "serve", "--output", str(archive), "--tag", "lazy:1")
    docker.run("load", "--input", str(archive))
    words = ["--rm", "--network", "none", "--read-only", "lazy:1"]
    done = docker.run("run", *words, "python", "-c", "import onnxruntime, churn; print('runs')")
    assert done.stdout == "runs\n"


def unpacked(project: RealProject, bundle: Path) -> dict[str, tuple[int, str]]:
    """Return the files of an image as umoci unpacks them."""
    words = [program("umoci"), "unpack", "--image", f"{project.layout.root}:serve", str(bundle)]
    subprocess.run(words, check=True, capture_output=True)
    root = bundle / "rootfs"
    found = {}
    for path in root.rglob("*"):
        kept = str(path.readlink()) if path.is_symlink() else ""
        if path.is_file() and not path.is_symlink():
            kept = hashlib.sha256(path.read_bytes()).hexdigest()
        found[str(path.relative_to(root))] = (path.lstat().st_mode, kept)
    return found


def test_umoci_unpacks_the_same_files(
    lazy: RealProject, project: RealProject, tmp_path: Path
) -> None:
    plain, made = unpacked(project, tmp_path / "plain"), unpacked(lazy, tmp_path / "lazy")
    extra = {path: made.pop(path) for path in sorted(made.keys() - plain.keys())}
    assert extra.keys() == stargz.NAMES
    assert all(stat.S_IMODE(mode) == 0o644 for mode, _ in extra.values())
    assert made == plain


def test_skopeo_unpacks_to_the_diff_ids(lazy: RealProject, tmp_path: Path) -> None:
    source = f"oci:{lazy.layout.root}:serve"
    words = ["--insecure-policy", "copy", "--dest-decompress", source, f"dir:{tmp_path}/plain"]
    subprocess.run([program("skopeo"), *words], check=True, capture_output=True)
    manifest = json.loads((tmp_path / "plain" / "manifest.json").read_bytes())
    config = json.loads((tmp_path / "plain" / manifest["config"]["digest"][7:]).read_bytes())
    assert [layer["digest"] for layer in manifest["layers"]] == config["rootfs"]["diff_ids"]


def test_our_own_commands_see_no_difference(lazy: RealProject, project: RealProject) -> None:
    both = [f"{each.layout.root}:serve" for each in (lazy, project)]
    assert lazy.lockstitch("diff", *both, "--all") == ""
    shown = lazy.lockstitch("image", "verify", "serve")
    assert shown == f"serve@{lazy.digest('serve')}\n"
    lazy.lockstitch("try", "serve")
