"""Packages are found by their files; nothing is imported."""

from pathlib import Path

import pytest
from support import projects

from lockstitch.scaffold.init import facts
from lockstitch.scaffold.init.folder import Folder


def write_all(root: Path, texts: dict[str, str]) -> Folder:
    return Folder(projects.write_files(root, texts))


@pytest.mark.parametrize(
    ("names", "packages", "loose"),
    [
        (["src/a/__init__.py", "src/a/b.py", "src/train.py"], {"a": "src/a"}, ["src/*.py"]),
        (["a/__init__.py", "tests/__init__.py", "setup.py"], {"a": "a"}, []),
        (["a/__init__.py", "train.py", "conftest.py"], {"a": "a"}, ["train.py"]),
        (["src/__init__.py", "src/train.py", "src/x/y.py"], {"src": "src"}, []),
        (["src/train.py", "src/util/x.py"], {}, ["src/*.py", "src/util/**/*.py"]),
        (["app/main.py", ".hidden/x.py", ".venv/x/__init__.py"], {}, ["app/**/*.py"]),
        (["b-c/__init__.py"], {}, ["b-c/**/*.py"]),
        ([], {}, []),
    ],
)
def test_packages_and_what_is_in_none(
    names: list[str], packages: dict[str, str], loose: list[str], tmp_path: Path
) -> None:
    folder = write_all(tmp_path, dict.fromkeys(names, ""))
    assert facts.packages_of(folder) == packages
    assert facts.loose_modules(folder, packages) == loose


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("setup.py", 'setup(packages=find_packages("src"), package_dir={"": "src"})'),
        ("setup.py", 'setup(packages=find_packages(where="src"))'),
        ("setup.cfg", "[options.packages.find]\nwhere = src\n"),
        ("pyproject.toml", '[tool.setuptools.packages.find]\nwhere = ["src"]\n'),
        ("pyproject.toml", '[tool.setuptools]\npackage-dir = {"" = "src"}\n'),
    ],
)
def test_a_folder_of_packages_may_hold_an_init_file(name: str, text: str, tmp_path: Path) -> None:
    folder = write_all(tmp_path, {"src/__init__.py": "", "src/a/__init__.py": "", name: text})
    assert facts.packages_of(folder) == {"a": "src/a"}


def test_a_folder_that_a_program_is_in_is_a_package_without_an_init_file(tmp_path: Path) -> None:
    folder = write_all(tmp_path, {"tool/cli.py": "def main(): ...\n", "other/x.py": ""})
    assert facts.packages_of(folder, {"tool"}) == {"tool": "tool"}
    assert facts.packages_of(folder) == {}


def test_links_that_lead_out_are_not_there(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    write_all(outside, {"api.py": "", "pkg/__init__.py": ""})
    root = tmp_path / "project"
    root.mkdir()
    (root / "api.py").symlink_to(outside / "api.py")
    (root / "pkg").symlink_to(outside / "pkg")
    folder = Folder(root)
    assert facts.packages_of(folder) == {}
    assert facts.loose_modules(folder, {}) == []
