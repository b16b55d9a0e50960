"""Requirements files, setup.py and setup.cfg, read without running anything."""

from pathlib import Path

import pytest

from lockstitch.errors import LockstitchError
from lockstitch.scaffold.init import facts, sources
from lockstitch.scaffold.init.folder import Folder

COMPILED = """\
# made by a resolver
anyio==4.1 \\
    --hash=sha256:aaaa \\
    --hash=sha256:bbbb
    # via starlette
fastapi==0.110 ; python_version > "3.8" \\
    --hash=sha256:cccc
    # via
    #   -r requirements.in
    #   something
six==1.0  # via -r requirements.in, other
starlette==0.36    # via fastapi
"""


def requirements_of(folder: Path, text: str, **others: str) -> sources.Requirements:
    (folder / "requirements.txt").write_text(text)
    for name, other in others.items():
        (folder / f"{name}.txt").write_text(other)
    found = sources.read_requirements(Folder(folder), "requirements.txt")
    assert found is not None
    return found


def test_what_people_asked_for_and_not_what_others_need(tmp_path: Path) -> None:
    found = requirements_of(tmp_path, COMPILED)
    assert found.lines == ('fastapi==0.110; python_version > "3.8"', "six==1.0")
    assert found.notes == ("`requirements.txt`: 2 packages that others need: left to the lock",)


def test_files_that_it_names_are_followed_once(tmp_path: Path) -> None:
    found = requirements_of(
        tmp_path, "-r more.txt\na\n", more="b>=2\n-r requirements.txt\n-rmore.txt\na\n"
    )
    assert found.lines == ("a", "b>=2")
    assert found.notes == ()


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("-e .", "`-e` is a folder of one machine"),
        ("--editable=git+https://me:secret@example.test/x", "`--editable` is a folder"),
        ("a @ file:///home/me/a", "`a` comes from an address or a folder"),
        ("a @ git+https://me:secret@example.test/x", "`a` comes from an address"),
        ("https://me:secret@example.test/x.whl", "it comes from an address"),
        ("git+ssh://secret@example.test/x", "it comes from an address"),
        ("./lib", "`./lib` is a path of one machine"),
        ("vendor/x.whl", "`vendor/x.whl` is a path"),
        ("--index-url https://me:secret@example.test/", "`--index-url` is no requirement"),
        ("-i https://me:secret@example.test/", "`-i` is no requirement"),
        ("-c secret.txt", "`-c` is no requirement"),
        ("-r ../secret.txt", "`-r` names no file of this folder"),
        ("-r /etc/secret", "`-r` names no file of this folder"),
        ("-r missing", "`-r` names no file of this folder"),
        ("not one", "`not one` is no requirement"),
        ("a==", "`a==` is no requirement"),
        ("-", "`-` is no requirement"),
    ],
)
def test_what_is_left_out_is_said_and_no_secret_with_it(
    line: str, said: str, tmp_path: Path
) -> None:
    found = requirements_of(tmp_path, f"a\n\n{line}\nb\n")
    assert found.lines == ("a", "b")
    assert len(found.notes) == 1
    assert found.notes[0].startswith(f"`requirements.txt:3`: {said}")
    assert found.notes[0].endswith(": left out")
    assert "secret" not in found.notes[0]


def test_a_link_out_of_the_folder_is_not_followed(tmp_path: Path) -> None:
    folder = tmp_path / "project"
    folder.mkdir()
    (tmp_path / "outside.txt").write_text("secret\n")
    (folder / "link.txt").symlink_to(tmp_path / "outside.txt")
    assert requirements_of(folder, "-r link.txt\n").lines == ()
    (folder / "requirements.txt").unlink()
    (folder / "requirements.txt").symlink_to(tmp_path / "outside.txt")
    with pytest.raises(LockstitchError, match="leads out of"):
        sources.read_requirements(Folder(folder), "requirements.txt")


def test_a_file_that_is_too_large_or_no_text(tmp_path: Path) -> None:
    with pytest.raises(LockstitchError, match="over the limit"):
        requirements_of(tmp_path, "#" * (1 << 20) + "#")
    (tmp_path / "requirements.txt").write_bytes("a==1\n".encode("utf-16"))
    with pytest.raises(LockstitchError, match="is not UTF-8"):
        sources.read_requirements(Folder(tmp_path), "requirements.txt")


def test_no_file(tmp_path: Path) -> None:
    assert sources.read_requirements(Folder(tmp_path), "requirements.txt") is None


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
