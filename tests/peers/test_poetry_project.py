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
    out, err = capfd.readouterr()
    moved = [line.split()[:4] for line in out.splitlines() if "package" in line]
    assert ["beta", "moved", "3.1", "3.2"] in moved
    assert {row[0] for row in moved} == {"beta", "only-source"}
    assert "Poetry does not lock what builds it: `only-source`" in err
