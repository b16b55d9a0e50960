"""skopeo and umoci read, copy and unpack what we write, and find what we say."""

import hashlib
import json
import stat
import subprocess
from pathlib import Path

import pytest

from lockstitch.image.inspect import inspect
from lockstitch.oci.rootfs import entries
from lockstitch.oci.validate import problems
from lockstitch.store import Store

from .conftest import RealProject, program


def _run(*words: str | Path) -> str:
    done = subprocess.run([str(w) for w in words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("image", ["serve", "train"])
def test_skopeo_copies_the_image_and_keeps_its_digest(
    project: RealProject, tmp_path: Path, image: str
) -> None:
    skopeo = program("skopeo")
    source = f"oci:{project.layout.root}:{image}"
    raw = _run(skopeo, "inspect", "--raw", source)
    assert "sha256:" + hashlib.sha256(raw.encode()).hexdigest() == project.digest(image)
    _run(skopeo, "--insecure-policy", "copy", source, f"oci:{tmp_path}/copy:{image}")
    index = json.loads((tmp_path / "copy" / "index.json").read_bytes())
    assert index["manifests"][0]["digest"] == project.digest(image)
    config = json.loads(_run(skopeo, "inspect", "--config", source))
    assert config["architecture"] == "amd64"


def test_skopeo_unpacks_to_the_diff_ids(project: RealProject, tmp_path: Path) -> None:
    source = f"oci:{project.layout.root}:serve"
    words = ["--insecure-policy", "copy", "--dest-decompress", source, f"dir:{tmp_path}/plain"]
    _run(program("skopeo"), *words)
    manifest = json.loads((tmp_path / "plain" / "manifest.json").read_bytes())
    unpacked = [layer["digest"] for layer in manifest["layers"]]
    config = json.loads((tmp_path / "plain" / manifest["config"]["digest"][7:]).read_bytes())
    assert unpacked == config["rootfs"]["diff_ids"]


def test_skopeo_reads_the_docker_archive(project: RealProject, tmp_path: Path) -> None:
    archive = tmp_path / "serve.tar"
    project.lockstitch("build", "serve", "--output", str(archive), "--tag", "a.test/x:1")
    words = ["--insecure-policy", "copy", f"docker-archive:{archive}:a.test/x:1"]
    _run(program("skopeo"), *words, f"oci:{tmp_path}/back:x")
    config = json.loads(_run(program("skopeo"), "inspect", "--config", f"oci:{tmp_path}/back:x"))
    layers = inspect(project.layout, "serve", _store(project)).layers
    assert config["rootfs"]["diff_ids"] == [layer.facts.diff_id for layer in layers]


def _store(project: RealProject) -> Store:
    return Store(Path(project.environment["LOCKSTITCH_CACHE"]))


def test_umoci_unpacks_what_our_reader_reads(project: RealProject, tmp_path: Path) -> None:
    bundle = tmp_path / "bundle"
    _run(program("umoci"), "unpack", "--image", f"{project.layout.root}:serve", bundle)
    root = bundle / "rootfs"
    expected: dict[str, tuple[str, int, str]] = {}
    for layer in inspect(project.layout, "serve", _store(project)).layers:
        for member, content in entries(layer, lambda _: True):
            what = member.linkname if member.issym() else hashlib.sha256(content).hexdigest()
            expected[member.name] = (member.type.decode(), member.mode, what)
    found = {}
    for path in root.rglob("*"):
        facts = path.lstat()
        kind = "2" if path.is_symlink() else "5" if path.is_dir() else "0"
        plain = path.read_bytes() if kind == "0" else b""
        what = str(path.readlink()) if kind == "2" else hashlib.sha256(plain).hexdigest()
        found[str(path.relative_to(root))] = (kind, stat.S_IMODE(facts.st_mode), what)
        assert (facts.st_uid, facts.st_gid, facts.st_mtime) == (0, 0, 315619200), path
    assert found == expected
    assert len(found) > 2000


@pytest.mark.parametrize("image", ["serve", "train"])
def test_validate_finds_nothing(project: RealProject, image: str) -> None:
    from dataclasses import replace

    from lockstitch.oci.model import Config, Image, Platform

    found = inspect(project.layout, image, _store(project))
    platform = Platform.parse("linux/amd64")
    layers = tuple(replace(layer) for layer in found.layers)
    made = Image(platform=platform, config=Config(), layers=layers, created=0)
    assert problems(made) == []


def test_site_packages_are_what_uv_installs(project: RealProject) -> None:
    """Every file of every wheel is in the image as uv put it into the environment."""
    site = project.root / ".venv" / "lib" / "python3.11" / "site-packages"
    prefix = "app/.venv/lib/python3.11/site-packages/"
    own = ("RECORD", "INSTALLER", "METADATA", "WHEEL", "direct_url.json")
    compared = 0
    for layer in inspect(project.layout, "serve", _store(project)).layers:
        for member, content in entries(layer, lambda name: name.startswith(prefix)):
            name = member.name.removeprefix(prefix)
            skipped = not member.isreg() or name.endswith((".pyc", *own)) or "churn" in name
            if skipped or not member.name.startswith(prefix):
                continue
            assert content == (site / name).read_bytes(), name
            compared += 1
    assert compared > 800


@pytest.mark.parametrize(
    "check",
    [
        *("-m pytest -q", "-m ruff check", "-m black -q --check ."),
        pytest.param("-m mypy", marks=pytest.mark.nightly),
    ],
)
def test_the_project_passes_its_own_checks(project: RealProject, check: str) -> None:
    python = project.root / ".venv" / "bin" / "python"
    words = [python, *check.split()]
    done = subprocess.run(words, cwd=project.root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
