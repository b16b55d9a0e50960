"""A Poetry project locks, builds and goes stale as a uv project does, to the same layers."""

import os
from pathlib import Path

import pytest
from support import projects, wheels
from support.world import World

from lockstitch.cli.main import main
from lockstitch.oci.layout import Layout

pytestmark = pytest.mark.network

SOURCE = """
[tool.poetry]
package-mode = true

[[tool.poetry.source]]
name = "the index"
url = "INDEX"
priority = "primary"
"""

BESIDE = """
[build-system]
requires = ["tinybuild>=1"]
build-backend = "tinybuild"

[project]
name = "beside"
version = "0.3"
requires-python = ">=3.11"
"""


def layers(root: Path, image: str) -> object:
    layout = Layout(root / ".lockstitch" / "images")
    return layout.document(layout.manifest_digest(image))["layers"]


def test_both_managers_give_one_image(
    poetry: Path,
    world: World,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("PATH", f"{os.environ['PATH']}{os.pathsep}{poetry}")
    monkeypatch.setenv("POETRY_VIRTUALENVS_CREATE", "false")
    monkeypatch.setenv("POETRY_KEYRING_ENABLED", "false")
    of_uv = projects.write(tmp_path / "uv" / "tiny")
    text = projects.PYPROJECT + SOURCE.replace("INDEX", world.index.url)
    of_poetry = projects.write(tmp_path / "poetry" / "tiny", pyproject=text)
    for root in (of_uv, of_poetry):
        for words in (["lock"], ["lock", "--check"], ["build"]):
            assert main([*words, "--quiet", "--project", str(root)]) == 0
    assert (of_poetry / "poetry.lock").exists()
    assert not (of_poetry / "uv.lock").exists()
    assert '"poetry 2.5.1"' in (of_poetry / "lockstitch.lock").read_text()
    before = {p.name: p.read_bytes() for p in of_poetry.iterdir() if p.is_file()}
    assert main(["lock", "--quiet", "--project", str(of_poetry)]) == 0
    assert {p.name: p.read_bytes() for p in of_poetry.iterdir() if p.is_file()} == before
    for image in ("serve", "train"):
        assert layers(of_poetry, image) == layers(of_uv, image)
    assert main(["run", "train", "--quiet", "--project", str(of_poetry)]) == 0
    assert capfd.readouterr().out.endswith("tiny\n")
    packages = of_poetry / ".lockstitch" / "envs" / "train"
    found = {path.name for path in packages.glob("lib/python3*/site-packages/*.dist-info")}
    assert found >= {"alpha-1.0.dist-info", "beta-3.1.dist-info", "delta-0.4.dist-info"}
    assert not [name for name in found if name.startswith(("gamma", "only"))]
    assert main(["lock", "--upgrade", "--quiet", "--project", str(of_poetry)]) == 0
    assert {p.name: p.read_bytes() for p in of_poetry.iterdir() if p.is_file()} == before
    projects.replace(of_poetry, '"alpha>=1"', '"alpha>=1", "beta"')
    assert main(["lock", "--check", "--quiet", "--project", str(of_poetry)]) == 1
    world.index.publish(wheels.wheel("alpha", "1.1"))
    world.index.publish(wheels.wheel("beta", "3.2"))
    world.index.publish(wheels.wheel("gamma", "3.0"))
    projects.replace(
        of_poetry, "[dependency-groups]\n", '[dependency-groups]\ndev = ["only-source"]\n'
    )
    capfd.readouterr()
    assert main(["lock", "--quiet", "--upgrade", "beta", "--project", str(of_poetry)]) == 0
    out = capfd.readouterr().out
    moved = [line.split()[:4] for line in out.splitlines() if "package" in line]
    assert ["beta", "moved", "3.1", "3.2"] in moved
    assert {row[0] for row in moved} == {"beta", "only-source"}


PLACES = """\
[project]
name = "tiny"
version = "0.1.0"
requires-python = ">=3.11,<4"
dependencies = ["alpha>=1", "only-source", "given", "beside"]

[tool.poetry]
package-mode = false

[tool.poetry.dependencies]
given = { path = "vendor/given-1.0-py3-none-any.whl" }
beside = { path = "beside", develop = true }

[[tool.poetry.source]]
name = "the-index"
url = "INDEX"
priority = "primary"

[tool.lockstitch]
python = "3.11"

[tool.lockstitch.images.job]
include = ["main.py"]
command = ["python", "main.py"]
"""


def test_a_source_a_wheel_by_path_and_a_folder(
    poetry: Path,
    world: World,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("PATH", f"{os.environ['PATH']}{os.pathsep}{poetry}")
    monkeypatch.setenv("POETRY_VIRTUALENVS_CREATE", "false")
    monkeypatch.setenv("POETRY_KEYRING_ENABLED", "false")
    name, data = wheels.wheel("given", "1.0")
    files = {
        "pyproject.toml": PLACES.replace("INDEX", world.index.url),
        "main.py": "import alpha, beside, given\n",
        "beside/pyproject.toml": BESIDE,
        "beside/src/beside/__init__.py": "",
    }
    root = projects.write_files(tmp_path / "p", files)
    (root / "vendor").mkdir()
    (root / "vendor" / name).write_bytes(data)
    assert main(["lock", "--quiet", "--project", str(root)]) == 0, capfd.readouterr().err
    assert main(["lock", "--check", "--quiet", "--project", str(root)]) == 0
    before = {p.name: p.read_bytes() for p in root.iterdir() if p.is_file()}
    assert main(["lock", "--quiet", "--project", str(root)]) == 0
    assert {p.name: p.read_bytes() for p in root.iterdir() if p.is_file()} == before
    assert main(["build", "--quiet", "--project", str(root)]) == 0, capfd.readouterr().err
    digest = capfd.readouterr().out
    monkeypatch.setenv("LOCKSTITCH_CACHE", str(tmp_path / "elsewhere"))
    assert main(["build", "--quiet", "--project", str(root)]) == 0, capfd.readouterr().err
    assert capfd.readouterr().out == digest
    layout = Layout(root / ".lockstitch" / "images")
    history = layout.document(layout.manifest(layout.manifest_digest("job")).config.digest)
    titles = [each["created_by"] for each in history["history"]]
    assert [title for title in titles if "given" in title or "beside" in title]


TORCH = """\
[project]
name = "tiny"
version = "0.1.0"
requires-python = ">=3.11,<4"
dependencies = ["alpha>=1"]

[project.optional-dependencies]
cpu = ["torch (>=2)"]
cu128 = ["torch (>=2)"]

[tool.poetry]
package-mode = false

[tool.poetry.dependencies]
torch = [
    { markers = "extra == 'cpu' and extra != 'cu128'", source = "pytorch-cpu" },
    { markers = "extra == 'cu128' and extra != 'cpu'", source = "pytorch-cu128" },
]

[[tool.poetry.source]]
name = "pytorch-cpu"
url = "ADDRESS/whl/cpu"
priority = "explicit"

[[tool.poetry.source]]
name = "pytorch-cu128"
url = "ADDRESS/whl/cu128"
priority = "explicit"

[[tool.poetry.source]]
name = "the-index"
url = "ADDRESS/simple"
priority = "primary"

[tool.lockstitch]
python = "3.11"

[tool.lockstitch.images.serve]
groups = ["cpu"]
include = ["main.py"]
command = ["python", "main.py"]

[tool.lockstitch.images.train]
groups = ["cu128"]
include = ["main.py"]
command = ["python", "main.py"]
"""


def test_sources_of_two_accelerators(
    poetry: Path,
    world: World,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("PATH", f"{os.environ['PATH']}{os.pathsep}{poetry}")
    monkeypatch.setenv("POETRY_VIRTUALENVS_CREATE", "false")
    monkeypatch.setenv("POETRY_KEYRING_ENABLED", "false")
    tag = "cp311-cp311-manylinux_2_28_x86_64"
    for channel, requires in (("cpu", []), ("cu128", ["nvidia-nccl-cu12==2.27.3"])):
        built = wheels.wheel("torch", f"2.9.0+{channel}", requires=requires, tag=tag)
        wheels.Index(world.server, channel=channel).publish(built)
    world.index.publish(wheels.wheel("nvidia-nccl-cu12", "2.27.3"))
    text = TORCH.replace("ADDRESS", world.server.address)
    root = projects.write_files(tmp_path / "p", {"pyproject.toml": text, "main.py": "import torch"})
    assert main(["lock", "--quiet", "--project", str(root)]) == 0, capfd.readouterr().err
    assert main(["lock", "--check", "--quiet", "--project", str(root)]) == 0
    assert main(["build", "--project", str(root)]) == 0
    assert "note: train has CUDA 12.8: 2 packages, " in capfd.readouterr().err
    assert 'version = "2.9.0+cu128"' in (root / "pylock.train.toml").read_text()
    assert 'version = "2.9.0+cpu"' in (root / "pylock.serve.toml").read_text()
    assert "nvidia" not in (root / "pylock.serve.toml").read_text()
