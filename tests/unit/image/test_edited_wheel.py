"""A wheel with an edit put into it is, byte for byte, the one that its backend makes."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from support import projects, values
from support.programs import UV

from lockstitch import files
from lockstitch.image import edited_wheel, project_wheel
from lockstitch.python.model import Project
from lockstitch.python.tables import toml

HEAD = """\
[project]
name = "demo"
version = "1.2"
description = "A demo, with a comma"
readme = "README.md"
requires-python = ">=3.11"
dependencies = ["numpy>=2"]
scripts = { demo = "demo.main:main" }
"""
HATCHLING = '[build-system]\nrequires = ["hatchling"]\nbuild-backend = "hatchling.build"\n'
SETUPTOOLS = '[build-system]\nrequires = ["setuptools>=61"]\n'
SETUPTOOLS += 'build-backend = "setuptools.build_meta"\n'
FLIT = '[build-system]\nrequires = ["flit-core<4"]\nbuild-backend = "flit_core.buildapi"\n'
POETRY = '[build-system]\nrequires = ["poetry-core<3"]\n'
POETRY += 'build-backend = "poetry.core.masonry.api"\n'
PDM = '[build-system]\nrequires = ["pdm-backend"]\nbuild-backend = "pdm.backend"\n'
UV_BUILD = '[build-system]\nrequires = ["uv-build<1"]\nbuild-backend = "uv_build"\n'
MODULES = {
    "__init__.py": '"""A demo."""\n',
    "main.py": "def main() -> int:\n    return 0\n",
    "data.json": '{"a": 1}\n',
    "empty.py": "",
    "deep/er/__init__.py": "",
    "deep/er/same.py": "x = 1\n",
    "deep/same.py": "x = 1\n",
    "deep/__init__.py": "",
}
AROUND = {
    "README.md": "# demo\n",
    "LICENSE": "all rights\n",
    "tests/test_demo.py": "def test():\n    pass\n",
    "train.py": "print(1)\n",
    "data/rows.csv": "a,b\n",
}
SOURCE = {f"src/demo/{name}": text for name, text in MODULES.items()} | AROUND
FLAT = {f"demo/{name}": text for name, text in MODULES.items()} | AROUND
WHEEL = '\n[tool.hatch.build.targets.wheel]\npackages = ["src/demo"]\n'
CORPUS: dict[str, tuple[str, Mapping[str, str]]] = {
    "hatchling src": (HATCHLING + HEAD, SOURCE),
    "hatchling packages": (HATCHLING + HEAD + WHEEL, SOURCE),
    "hatchling flat": (HATCHLING + HEAD, FLAT),
    "hatchling only-include": (
        HATCHLING + HEAD + WHEEL.replace("packages", "only-include") + 'sources = ["src"]\n',
        SOURCE,
    ),
}
OTHERS: dict[str, tuple[str, Mapping[str, str]]] = {
    "setuptools src": (SETUPTOOLS + HEAD, SOURCE),
    "setuptools data": (
        SETUPTOOLS + HEAD + '\n[tool.setuptools.package-data]\ndemo = ["*.json"]\n',
        SOURCE | {"setup.py": "from setuptools import setup\nsetup()\n"},
    ),
    "flit src": (FLIT + HEAD, SOURCE),
    "flit flat": (FLIT + HEAD, FLAT),
    "poetry src": (POETRY + HEAD, SOURCE),
    "pdm src": (PDM + HEAD, SOURCE),
    "uv_build": (UV_BUILD + HEAD, SOURCE),
}
EDITS = ("main.py", "empty.py", "deep/er/same.py", "data.json")


def backends_wheel(root: Path, out: Path, *, isolated: bool) -> Path:
    words: list[str | Path] = [UV, "build", "--wheel", "--quiet", "--out-dir", out, root]
    if not isolated:
        words += ["--no-build-isolation", "--offline", "--python", sys.executable]
    environment = {**os.environ, "SOURCE_DATE_EPOCH": "315619200"}
    subprocess.run(words, check=True, env=environment, capture_output=True)
    (wheel,) = out.glob("*.whl")
    return wheel


IMAGE = '\n[tool.lockstitch.images.x]\ninclude = ["train.py"]\n'


def project(root: Path) -> Project:
    document = toml((root / "pyproject.toml").read_text())
    return values.project(root=root, name="demo", version="1.2", is_package=True, document=document)


def check(folder: Path, pyproject: str, tree: Mapping[str, str], *, isolated: bool) -> None:
    root = projects.write_files(folder / "demo", {"pyproject.toml": pyproject + IMAGE, **tree})
    one = project(root)
    assert project_wheel._keeps_last(one)
    first = backends_wheel(root, folder / "first", isolated=isolated)
    known = edited_wheel.last(first, list(files.walk(root)), 1 << 62)
    place = "src/demo" if "src/demo/main.py" in tree else "demo"
    for name in EDITS:
        (root / place / name).write_text((root / place / name).read_text() + "\n")
    (root / "train.py").write_text("print(2)\n")
    (root / "data/rows.csv").write_text("a,b\n1,2\n")
    made = edited_wheel.of(first.read_bytes(), known, list(files.walk(root)), one)
    wanted = backends_wheel(root, folder / "second", isolated=isolated)
    assert made is not None
    if "uv_build" in pyproject:  # whose zips are not those of Python's zlib
        (folder / wanted.name).write_bytes(made)
        contents = [project_wheel._contents(p, wanted.name) for p in (wanted, folder / wanted.name)]
        assert contents[0] == contents[1]
    else:
        assert made == wanted.read_bytes()
    assert made != first.read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("name", CORPUS)
def test_an_edit_gives_the_backend_s_own_wheel(name: str, tmp_path: Path) -> None:
    check(tmp_path, *CORPUS[name], isolated=False)


@pytest.mark.network
@pytest.mark.parametrize("name", OTHERS)
def test_an_edit_gives_the_wheel_of_other_backends(name: str, tmp_path: Path) -> None:
    check(tmp_path, *OTHERS[name], isolated=True)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Return a project and its wheel."""
    folder = tmp_path_factory.mktemp("built")
    tree = {"pyproject.toml": HATCHLING + HEAD + WHEEL, **SOURCE}
    root = projects.write_files(folder / "demo", tree)
    return root, backends_wheel(root, folder / "out", isolated=False)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        *("README.md", "LICENSE", "pyproject.toml", ".gitignore", "src/demo/new.py", "setup.cfg"),
        *("src/demo/empty.pyx", "MANIFEST.in", "VERSION", "docs/notes.md"),
    ],
)
def test_what_may_decide_more_than_a_copy_is_the_backend_s(
    name: str, built: tuple[Path, Path], tmp_path: Path
) -> None:
    # In each case with the file there before: what is new or gone is asked of the backend.
    root, wheel = built
    copy = files.copied(root, tmp_path / "demo")
    if name not in {"src/demo/new.py", "docs/notes.md"}:
        projects.write_files(copy, {name: "before\n"} if not (copy / name).exists() else {})
    text = (copy / "pyproject.toml").read_text()
    if name == "docs/notes.md":
        projects.write_files(copy, {name: "before\n"})
        (copy / "pyproject.toml").write_text(text + '# docs\n[tool.other]\nx = "docs/notes.md"\n')
    known = edited_wheel.last(wheel, list(files.walk(copy)), 1 << 62)
    projects.write_files(copy, {name: (text if name == "pyproject.toml" else "") + "# after\n"})
    listing = list(files.walk(copy))
    assert edited_wheel.of(wheel.read_bytes(), known, listing, project(copy)) is None


@pytest.mark.slow
def test_names_and_modes_are_the_backend_s(built: tuple[Path, Path], tmp_path: Path) -> None:
    root, wheel = built
    copy = files.copied(root, tmp_path / "demo")
    known = edited_wheel.last(wheel, list(files.walk(copy)), 1 << 62)

    def again() -> bytes | None:
        return edited_wheel.of(wheel.read_bytes(), known, list(files.walk(copy)), project(copy))

    assert again() == wheel.read_bytes()
    (copy / "src/demo/main.py").chmod(0o755)
    assert again() is None
    (copy / "src/demo/main.py").chmod(0o644)
    assert again() == wheel.read_bytes()
    (copy / "train.py").rename(copy / "fit.py")
    assert again() is None


@pytest.mark.slow
def test_a_file_of_just_now_counts_as_edited(built: tuple[Path, Path], tmp_path: Path) -> None:
    root, wheel = built
    copy = files.copied(root, tmp_path / "demo")
    known = edited_wheel.last(wheel, list(files.walk(copy)), 0)
    assert all(len(row) == 1 for row in known.files.values())
    # A readme that may be another one since.
    listing = list(files.walk(copy))
    assert edited_wheel.of(wheel.read_bytes(), known, listing, project(copy)) is None


def test_metadata_that_is_read_from_code_is_the_backend_s(tmp_path: Path) -> None:
    text = HATCHLING + HEAD.replace('version = "1.2"', 'dynamic = ["version"]')
    text += '\n[tool.hatch.version]\npath = "src/demo/__init__.py"\n'
    root = projects.write_files(tmp_path / "demo", {"pyproject.toml": text, **SOURCE})
    assert not project_wheel._keeps_last(project(root))
