"""setup.py and setup.cfg, read without running anything."""

from pathlib import Path

import pytest

from lockstitch.scaffold.init import facts, sources
from lockstitch.scaffold.init.folder import Folder

SETUP = """\
import os, setuptools
os.mkdir("it-ran")
VERSION = "1.2"
NEEDS = ["numpy>=1", "x @ file:///a"]
setuptools.setup(
    name="Old_Thing",
    version=VERSION,
    description="An old\\n  thing",
    install_requires=NEEDS,
    python_requires=">=3.9",
    extras_require={"plot": ["matplotlib", "b a d"]},
    entry_points={"console_scripts": ["old=pkg.cli:main [x]"]},
    long_description=open("README").read(),
    packages=setuptools.find_packages(),
)
"""
CFG = """\
[metadata]
name = from-cfg
version = attr: pkg.__version__
description = 100% config

[options]
python-requires = >=3.8
install_requires =
    # the first
    requests>=2
    click

[options.extras_require]
test = pytest

[options.entry_points]
console_scripts =
    run = pkg.run:main
"""


def setup_of(folder: Path, **texts: str) -> sources.SetupMetadata:
    for name, text in texts.items():
        (folder / name.replace("_", ".")).write_text(text)
    return sources.read_setup(Folder(folder))


def test_a_setup_py(tmp_path: Path) -> None:
    found = setup_of(tmp_path, setup_py=SETUP)
    assert found.texts == {
        "name": "Old_Thing",
        "version": "1.2",
        "description": "An old thing",
        "requires-python": ">=3.9",
    }
    assert found.dependencies == ["numpy>=1"]
    assert found.extras == {"plot": ["matplotlib"]}
    assert found.scripts == {"old": "pkg.cli:main"}
    assert found.notes == [
        "`setup.py`: `long_description`: left out, add to [project] what is missed",
        "`setup.py`: `x` is no requirement from an index: left out",
        "`setup.py`: `b a d` is no requirement from an index: left out",
    ]
    assert not found.compiled
    assert not (tmp_path / "it-ran").exists()


def test_a_setup_cfg_below_a_setup_py(tmp_path: Path) -> None:
    found = setup_of(
        tmp_path, setup_cfg=CFG, setup_py="from setuptools import setup\nsetup(name='x')"
    )
    assert found.texts == {
        "name": "x",
        "description": "100% config",
        "requires-python": ">=3.8",
    }
    assert found.dependencies == ["requests>=2", "click"]
    assert found.extras == {"test": ["pytest"]}
    assert found.scripts == {"run": "pkg.run:main"}
    assert found.sources == ["setup.cfg", "setup.py"]
    assert found.notes == ["`setup.cfg`: `version` cannot be read without running it: left out"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("setup(version=get())", "`version` cannot be read"),
        ("setup(version='one')", "`version` cannot be read"),
        ("setup(name='-x')", "`name` cannot be read"),
        ("setup(name=['x'])", "`name` cannot be read"),
        ("setup(python_requires='3.9')", "`python_requires` cannot be read"),
        ("setup(install_requires=open('r').read())", "`install_requires` cannot be read"),
        ("setup(install_requires=[1])", "`install_requires` cannot be read"),
        ("setup(extras_require={1: ['a']})", "`extras_require` cannot be read"),
        ("setup(entry_points={'console_scripts': ['x']})", "`entry_points` cannot be read"),
        ("setup(**settings)", "`**` cannot be read"),
        ("setup(", "no call of setup() that can be read"),
        ("setup(); setup()", "no call of setup() that can be read"),
        ("x = 1", "no call of setup() that can be read"),
        ("x" + ".y" * 20000, "no call of setup() that can be read"),
        ("setup(name=" + "(" * 500 + ")" * 500 + ")", "no call of setup() that can be read"),
    ],
)
def test_what_cannot_be_read_is_said(text: str, said: str, tmp_path: Path) -> None:
    found = setup_of(tmp_path, setup_py=text)
    assert found.texts == {}
    assert found.dependencies is None
    assert len(found.notes) == 1
    assert said in found.notes[0]


def test_what_compiles_needs_setuptools(tmp_path: Path) -> None:
    assert setup_of(tmp_path, setup_py="setup(name='a', ext_modules=[])").compiled


def test_a_setup_cfg_that_cannot_be_read(tmp_path: Path) -> None:
    assert setup_of(tmp_path, setup_cfg="name = 1\n").notes == [
        "`setup.cfg` cannot be read: left out"
    ]


@pytest.mark.parametrize(
    ("text", "version"),
    [('__version__ = "2.0"\n', "2.0"), ("__version__ = v()\n", ""), ('__version__ = "x"', "")],
)
def test_the_version_of_a_package(text: str, version: str, tmp_path: Path) -> None:
    (tmp_path / "__init__.py").write_text(text)
    assert facts.version_of(Folder(tmp_path), {"pkg": "."}) == version
