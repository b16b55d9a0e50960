"""Packages that are files of the repository, addresses, and members of a workspace."""

import json
import os
import subprocess
from pathlib import Path

import pytest
from support import projects, wheels
from support.images import members
from support.programs import UV
from support.server import Reply
from support.world import World

from lockstitch.cli.main import main
from lockstitch.digest import Digest
from lockstitch.oci.layout import Layout

TABLES = """\
[tool.uv]
package = false
{uv}

[tool.uv.sources]
{sources}

[tool.lockstitch]
python = "3.11"

[tool.lockstitch.images.job]
include = ["main.py"]
command = ["python", "main.py"]
"""
MEMBER = """\
[build-system]
requires = ["tinybuild>=1"]
build-backend = "tinybuild"

[project]
name = "{name}"
version = "0.1.0"
requires-python = ">=3.11"
dependencies = [{dependencies}]

"""
IMAGE = """\
[tool.uv.sources]
core = { workspace = true }

[tool.lockstitch]
python = "3.11"

[tool.lockstitch.images.serve]
command = ["python", "-m", "server"]
"""


def lockstitch(root: Path, *words: str) -> int:
    return main([*words, "--quiet", "--project", str(root)])


def titles(root: Path, image: str, capsys: pytest.CaptureFixture[str]) -> list[str]:
    """Build and return what the layers of packages hold."""
    capsys.readouterr()
    assert lockstitch(root, "build", image, "--json") == 0, capsys.readouterr().err
    plan = json.loads(capsys.readouterr().out)[0]["plan"]
    return [each["title"] for each in plan[3:-1]]


def site(root: Path, image: str) -> dict[str, bytes]:
    """Return the files of an image's packages."""
    layout = Layout(root / ".lockstitch" / "images")
    layers = layout.document(layout.manifest_digest(image))["layers"]
    found: dict[str, bytes] = {}
    for layer in layers:
        data = layout.path(Digest.parse(layer["digest"])).read_bytes()
        for path, (member, content) in members(data).items():
            place = path.partition("/site-packages/")[2]
            if place and member.isreg():
                found[place] = content
    return {path: content for path, content in found.items() if is_of_package(path)}


def synced(root: Path, folder: Path) -> dict[str, bytes]:
    """Return the files of the packages that `uv sync` installs."""
    words = [UV, "sync", "--quiet", "--frozen", "--no-editable", "--no-default-groups"]
    env = {**os.environ, "UV_PROJECT_ENVIRONMENT": str(folder)}
    subprocess.run(words, cwd=root, env=env, check=True)
    (packages,) = folder.glob("lib/python3*/site-packages")
    files = {p.relative_to(packages).as_posix(): p for p in packages.rglob("*") if p.is_file()}
    return {path: file.read_bytes() for path, file in files.items() if is_of_package(path)}


def is_of_package(path: str) -> bool:
    """Return whether a file is a package's own, and none that an installer writes."""
    written = ("INSTALLER", "REQUESTED", "RECORD", "direct_url.json", "uv_cache.json")
    written += ("uv_build.json", ".pyc")
    return not path.endswith(written) and not path.startswith(("_virtualenv", "sitecustomize"))


def project(folder: Path, dependencies: str, uv: str = "", sources: str = "") -> Path:
    tables = TABLES.format(uv=uv, sources=sources)
    text = projects.minimal(tables, dependencies=dependencies)
    files = {"pyproject.toml": text, "main.py": "import given\n"}
    return projects.write_files(folder / "tiny", files)


@pytest.mark.slow
def test_wheels_that_are_files(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """By `path`, of `find-links`, and by an address: named from the project, by their hashes."""
    by_path, by_folder = wheels.wheel("given", "1.0"), wheels.wheel("linked", "2.0+local")
    by_url = wheels.wheel("addressed", "3.0")
    url = world.server.on(f"/{by_url[0]}", Reply(body=by_url[1]))
    sources = f'given = {{ path = "vendor/{by_path[0]}" }}\naddressed = {{ url = "{url}" }}'
    root = project(
        tmp_path, '["given", "linked", "addressed", "alpha"]', 'find-links = ["links"]', sources
    )
    files = {f"vendor/{by_path[0]}": by_path[1], f"links/{by_folder[0]}": by_folder[1]}
    projects.write_files(root, files)
    assert lockstitch(root, "lock") == 0
    text = (root / "pylock.job.toml").read_text()
    assert str(tmp_path) not in text
    assert f'path = "links/{by_folder[0]}"' in text
    assert titles(root, "job", capsys) == [
        "given 1.0",
        "linked 2.0+local",
        "addressed 3.0",
        "alpha 1.0, epsilon 5.0",
    ]
    assert lockstitch(root, "lock", "--check") == 0
    assert site(root, "job") == synced(root, tmp_path / "venv")
    moved = root.rename(tmp_path / "elsewhere")
    before = (moved / "lockstitch.lock").read_bytes()
    assert lockstitch(moved, "lock") == 0
    assert (moved / "lockstitch.lock").read_bytes() == before
    capsys.readouterr()
    (moved / "vendor" / by_path[0]).write_bytes(wheels.wheel("given", "1.0", {"given.py": b""})[1])
    assert lockstitch(moved, "build") == 1
    error = capsys.readouterr().err
    assert f"error: `vendor/{by_path[0]}` is not the file that was locked for `given 1.0`" in error
    (moved / "vendor" / by_path[0]).unlink()
    assert lockstitch(moved, "build") == 1
    assert "cannot be read" in capsys.readouterr().err


@pytest.mark.slow
def test_a_source_that_is_a_file(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name, data = wheels.sdist("given", "1.0", {"src/given/__init__.py": b"x = 1\n"})
    root = project(tmp_path, '["given"]', sources=f'given = {{ path = "vendor/{name}" }}')
    projects.write_files(root, {f"vendor/{name}": data})
    assert lockstitch(root, "lock") == 0, capsys.readouterr().err
    assert titles(root, "job", capsys) == ["given 1.0"]
    assert f'url = "vendor/{name}"' in (root / "lockstitch.lock").read_text()


@pytest.mark.slow
def test_a_member_of_a_workspace_has_the_workspaces_lock(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    top = tmp_path / "work"
    workspace = '[tool.uv]\npackage = false\n[tool.uv.workspace]\nmembers = ["packages/*"]\n'
    files = {
        "pyproject.toml": projects.minimal(workspace),
        "packages/core/pyproject.toml": MEMBER.format(name="core", dependencies='"beta"'),
        "packages/core/src/core/__init__.py": "import beta\n",
        "packages/server/pyproject.toml": MEMBER.format(name="server", dependencies='"core"')
        + IMAGE,
        "packages/server/src/server/__init__.py": "import core\n",
        "packages/server/src/server/__main__.py": "print('served')\n",
    }
    projects.write_files(top, files)
    root = top / "packages" / "server"
    assert lockstitch(root, "lock", "--dry-run") == 0, capsys.readouterr().err
    assert not (top / "uv.lock").exists()
    assert lockstitch(root, "lock") == 0, capsys.readouterr().err
    assert (top / "uv.lock").exists()
    assert not (root / "uv.lock").exists()
    assert 'path = "../../uv.lock"' in (root / "lockstitch.lock").read_text()
    assert titles(root, "serve", capsys) == ["core 0.1.0", "beta 3.1", "server 0.1.0"]
    assert site(root, "serve") == synced(root, tmp_path / "venv")
    assert "server/__main__.py" in site(root, "serve")
    assert lockstitch(root, "lock", "--check") == 0
    assert main(["check", str(root)]) == 0
    world.index.publish(wheels.wheel("beta", "3.2"))
    projects.replace(root, 'dependencies = ["core"]', 'dependencies = ["core", "beta>3.1"]')
    capsys.readouterr()
    assert lockstitch(root, "lock", "--check") == 1
    assert lockstitch(root, "lock") == 0
    assert "beta 3.2" in titles(root, "serve", capsys)
    (top / "uv.lock").write_text((top / "uv.lock").read_text() + "\n# changed\n")
    capsys.readouterr()
    assert lockstitch(root, "build") == 1
    assert "`../../uv.lock` is not the file that was locked" in capsys.readouterr().err
