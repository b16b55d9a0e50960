"""The project's own wheel: what decides it, and when it is built again."""

import dataclasses
import os
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from support import projects, values

from lockstitch import git
from lockstitch.errors import LockstitchError
from lockstitch.image import project_wheel
from lockstitch.image.own_files import OwnFiles
from lockstitch.python.model import Project
from lockstitch.store import Store

# A backend in the project that reads git and the environment, as plugins for versions do.
BACKEND = """\
import os, pathlib, subprocess, zipfile

def build_wheel(folder, config_settings=None, metadata_directory=None):
    said = subprocess.run(["git", "describe", "--tags"], capture_output=True, text=True).stdout
    version = os.environ.get("SETUPTOOLS_SCM_PRETEND_VERSION") or said.strip() or "0"
    info = f"tiny-{version}.dist-info"
    name = f"tiny-{version}-py3-none-any.whl"
    with zipfile.ZipFile(pathlib.Path(folder, name), "w") as made:
        for file in ("METADATA", "WHEEL", "RECORD"):
            made.writestr(f"{info}/{file}", f"Name: tiny\\nVersion: {version}\\n")
    return name
"""
PLAIN = {"requires": ["hatchling"], "build-backend": "hatchling.build"}
SCM = {"requires": ["hatchling", "hatch-vcs"], "build-backend": "hatchling.build"}


def project(root: Path, build: Mapping[str, Any], **tables: Any) -> Project:
    return values.project(
        root=root, name="tiny", is_package=True, document={"build-system": build, **tables}
    )


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return a folder with one commit and one tag."""
    folder = projects.write_files(tmp_path / "tiny", {"src/tiny/__init__.py": ""})
    git.run(folder, "init", "--quiet")
    commit(folder)
    git.run(folder, "tag", "1.0")
    return folder


def commit(folder: Path) -> None:
    git.run(folder, "add", "--all")
    git.run(folder, "commit", "--quiet", "--allow-empty", "--message", "more")


def key(one: Project) -> str:
    return project_wheel._signature(one, ("backend==1",), OwnFiles(one).listed())


def test_what_reads_only_files_is_built_again_for_files_only(root: Path) -> None:
    one = project(root, PLAIN)
    before = key(one)
    assert before
    git.run(root, "tag", "2.0")
    commit(root)
    assert key(one) == before
    (root / "src" / "tiny" / "__init__.py").write_text("x = 1\n")
    assert key(one) not in {before, ""}


@pytest.mark.parametrize(
    "build",
    [
        SCM,
        {"requires": ["setuptools>=61", "setuptools_scm[toml]"]},
        {"requires": ["setuptools", "pbr"], "build-backend": "pbr.build"},
        {"requires": ["poetry-core", "poetry-dynamic-versioning"], "build-backend": "p.backend"},
        {"requires": ["pdm-backend"], "build-backend": "pdm.backend"},
        {"requires": ["unheard-of"], "build-backend": "unheard_of"},
    ],
)
def test_what_may_read_git_is_built_again_for_each_tag_and_commit(
    build: Mapping[str, Any], root: Path
) -> None:
    one = project(root, build, tool={"pdm": {"version": {"source": "scm"}}})
    seen = {key(one)}
    git.run(root, "tag", "2.0")
    seen.add(key(one))
    commit(root)
    seen.add(key(one))
    git.run(root, "checkout", "--quiet", "-b", "other")
    seen.add(key(one))
    assert len(seen) == 4
    assert "" not in seen
    (root / "new").touch()  # now such a version may hold the time
    assert key(one) == ""


@pytest.mark.parametrize(
    "name",
    [
        *("SETUPTOOLS_SCM_PRETEND_VERSION", "SETUPTOOLS_SCM_PRETEND_VERSION_FOR_TINY"),
        *("HATCH_BUILD_NO_HOOKS", "PBR_VERSION", "PDM_BUILD_SCM_VERSION"),
        *("POETRY_DYNAMIC_VERSIONING_BYPASS", "UV_DYNAMIC_VERSIONING_BYPASS"),
    ],
)
def test_variables_of_backends_belong_to_the_key(
    name: str, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for build in (PLAIN, SCM):
        monkeypatch.delenv(name, raising=False)
        before = key(project(root, build))
        monkeypatch.setenv(name, "9.9")
        assert key(project(root, build)) not in {before, ""}


@pytest.mark.parametrize(
    ("files", "tables"),
    [
        ({"setup.py": "import os\nfrom setuptools import setup\nsetup()\n"}, {}),
        ({"setup.py": "from setuptools import setup\nsetup(version=version())\n"}, {}),
        ({"setup.py": "def (\n"}, {}),
        ({"hatch_build.py": ""}, {}),
        ({}, {"tool": {"hatch": {"build": {"hooks": {"custom": {}}}}}}),
        ({}, {"tool": {"hatch": {"build": {"targets": {"wheel": {"hooks": {"x": 1}}}}}}}),
        ({}, {"tool": {"hatch": {"build": {"force-include": {"../shared/a.py": "a.py"}}}}}),
        ({}, {"tool": {"hatch": {"version": {"source": "env"}}}}),
        ({}, {"tool": {"poetry": {"build": "make.py"}}}),
        ({}, {"tool": {"poetry": {"packages": [{"include": "a", "from": "../lib"}]}}}),
        ({}, {"project": {"readme": "../README.md"}}),
    ],
)
def test_what_may_read_anything_has_no_key(
    files: Mapping[str, str], tables: Mapping[str, Any], root: Path
) -> None:
    projects.write_files(root, files)
    assert key(project(root, PLAIN, **tables)) == ""


@pytest.mark.parametrize(
    "text",
    [
        '"""Of old."""\nfrom setuptools import setup\n\nsetup()\n',
        'import setuptools\nsetuptools.setup(name="tiny", zip_safe=False)\n',
    ],
)
def test_a_setup_script_that_only_calls_setup_reads_nothing(text: str, root: Path) -> None:
    projects.write_files(root, {"setup.py": text})
    assert key(project(root, PLAIN))


@pytest.mark.slow
def test_a_moved_tag_and_a_pretended_version_make_another_wheel(
    root: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    projects.write_files(
        root,
        {
            "own.py": BACKEND,
            "pyproject.toml": '[build-system]\nrequires = []\nbuild-backend = "own"\n'
            'backend-path = ["."]\n\n[project]\nname = "tiny"\ndynamic = ["version"]\n',
        },
    )
    commit(root)
    git.run(root, "tag", "--force", "1.0")
    build = {"requires": [], "build-backend": "own", "backend-path": ["."]}
    one = project(root, build)
    first = project_wheel.build(one, (), store)
    assert first.filename == "tiny-1.0-py3-none-any.whl"
    git.run(root, "tag", "--delete", "1.0")
    git.run(root, "tag", "2.0")
    assert project_wheel.build(one, (), store).filename == "tiny-2.0-py3-none-any.whl"
    monkeypatch.setenv("SETUPTOOLS_SCM_PRETEND_VERSION", "3.0")
    third = project_wheel.build(one, (), store)
    assert third.filename == "tiny-3.0-py3-none-any.whl"
    # The same with a key, as for a plugin that is no code of the project.
    other = dataclasses.replace(one, document={"build-system": SCM})
    again = project_wheel.build(other, (), store)
    # The zip of this backend bears the time.
    assert (again.filename, again.contents) == (third.filename, third.contents)
    recorded = sorted((store.root / "records" / "own").rglob("*.json"))
    assert len(recorded) == 1
    monkeypatch.delenv("SETUPTOOLS_SCM_PRETEND_VERSION")
    assert project_wheel.build(other, (), store).filename == "tiny-2.0-py3-none-any.whl"


@pytest.mark.slow
def test_a_damaged_wheel_is_built_again(root: Path, store: Store) -> None:
    projects.write_files(
        root,
        {
            "own.py": BACKEND,
            "pyproject.toml": '[build-system]\nrequires = []\nbuild-backend = "own"\n'
            'backend-path = ["."]\n\n[project]\nname = "tiny"\ndynamic = ["version"]\n',
        },
    )
    commit(root)
    one = project(root, SCM)
    first = project_wheel.build(one, (), store)
    path = store.path(first.digest)
    facts, data = path.stat(), bytearray(path.read_bytes())
    data[data.index(b"PK\x01\x02") + 40] ^= 0x40  # an x bit in its directory
    path.chmod(0o644)
    path.write_bytes(data)
    os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns))
    again = project_wheel.build(one, (), store)
    assert again.contents == first.contents
    with zipfile.ZipFile(store.path(again.digest)) as archive:
        assert archive.testzip() is None


def test_a_backend_that_finds_no_package_gives_no_wheel(root: Path, store: Store) -> None:
    text = "def build_wheel(*_, **__):\n    raise ValueError('{}')\n"
    projects.write_files(
        root,
        {
            "own.py": text.format("No file/folder found for package tiny"),
            "pyproject.toml": '[build-system]\nrequires = []\nbuild-backend = "own"\n'
            'backend-path = ["."]\n\n[project]\nname = "tiny"\nversion = "1"\n',
        },
    )
    one = project(root, PLAIN)  # whose key is kept, as of a backend that only reads
    assert project_wheel.build(one, (), store) is None
    projects.replace(root, "No file", "Any other file", "own.py")
    with pytest.raises(LockstitchError, match="Any other file"):
        project_wheel.build(one, (), store)
    projects.replace(root, "Any other file", "No file", "own.py")
    assert project_wheel.build(one, (), store) is None
    assert len(sorted((store.root / "records" / "own").rglob("*.json"))) >= 1
