"""What a release holds: the package in the wheel, the whole repository in the sdist."""

import os
import re
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from lockstitch import __version__

ROOT = Path(__file__).parents[2]
NAME = f"lockstitch-{__version__}"
# Kinds of files, with what each is for. A new kind is a question: does it belong into a wheel?
KINDS = {
    ".py": "code",
    ".toml": "tables of words, and projects of the templates",
    ".txt": "locked lists of the stack's services",
    ".in": "what those lists are compiled from",
    ".j2": "pages, as templates",
    ".css": "their style",
    ".md": "documents of the templates",
    ".yaml": "hooks of the templates",
    ".gz": "the churn data",
    ".typed": "the marker of PEP 561",
    ".gitattributes": "the templates'",
    ".gitignore": "the templates'",
    ".python-version": "the templates'",
}


def repository() -> set[str]:
    """Return each file that git does not ignore, also where there is no git."""
    ignored = {line.strip("/\n") for line in (ROOT / ".gitignore").read_text().splitlines()}
    kept = set()
    for folder, folders, names in os.walk(ROOT):
        folders[:] = [f for f in folders if f not in ignored | {".git"}]
        kept |= {Path(folder, name).relative_to(ROOT).as_posix() for name in names}
    lost = re.compile(r"(.*/)?(uv\.lock|pylock[^/]*\.toml|\.coverage[^/]*|\.git)")
    return {name for name in kept if not lost.fullmatch(name)}


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("release")
    words = [sys.executable, "-m", "hatchling", "build", "-t", "sdist", "-t", "wheel", "-d", folder]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert {path.name for path in folder.iterdir()} == {
        f"{NAME}.tar.gz",
        f"{NAME}-py3-none-any.whl",
    }
    return folder


@pytest.fixture(scope="module")
def wheel(release: Path) -> set[str]:
    with zipfile.ZipFile(release / f"{NAME}-py3-none-any.whl") as archive:
        return set(archive.namelist())


def test_the_wheel_holds_the_package_and_nothing_else(wheel: set[str]) -> None:
    package = {name.removeprefix("src/") for name in repository() if name.startswith("src/")}
    info = ("METADATA", "RECORD", "WHEEL", "entry_points.txt", "licenses/LICENSE")
    assert wheel == package | {f"{NAME}.dist-info/{name}" for name in info}


def test_the_wheel_holds_known_kinds_of_files(wheel: set[str]) -> None:
    files = [Path(name) for name in wheel if not name.startswith(NAME)]
    assert {path.suffix or path.name for path in files} == set(KINDS)
    assert "lockstitch/py.typed" in wheel


def test_the_wheel_holds_no_test(wheel: set[str]) -> None:
    templates = {name for name in wheel if "/scaffold/templates/" in name}
    assert [name for name in wheel - templates if re.search(r"(^|/)(tests?/|test_)", name)] == []


def test_the_sdist_holds_the_repository(release: Path) -> None:
    with tarfile.open(release / f"{NAME}.tar.gz") as archive:
        names = {name.removeprefix(f"{NAME}/") for name in archive.getnames()}
    assert names == repository() | {"PKG-INFO"}
