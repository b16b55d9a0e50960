"""One project, locked by real Poetry and by real uv: the same wheels, digest for digest."""

import platform
import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from support import programs

from lockstitch.lock import urls, uv
from lockstitch.python.load import load
from lockstitch.python.locks import poetry as poetry_lock
from lockstitch.python.locks import pylock, requirements
from lockstitch.python.locks.resolution import LockedWheel
from lockstitch.python.target import Target

pytestmark = pytest.mark.network

TARGETS = [
    Target(platform="linux/amd64", python="3.11.2", glibc="2.36"),
    Target(platform="linux/arm64", python="3.11.2", glibc="2.36"),
]
PYPROJECT = """\
[project]
name = "both"
version = "0.1"
requires-python = ">=3.11,<3.14"
dependencies = ["requests[socks]>=2.31", "tomli; python_version < '3.12'"]

[project.optional-dependencies]
plot = ["cycler>=0.12"]
fast = ["orjson", "uvloop; sys_platform != 'win32'"]

[dependency-groups]
train = ["numpy>=2,<2.2", "joblib"]
dev = ["pytest"]

[tool.poetry]
package-mode = false

[[tool.poetry.source]]
name = "the index"
url = "INDEX"
priority = "primary"

[tool.uv]
constraint-dependencies = []

[tool.lockstitch.images.plain]
[tool.lockstitch.images.train]
groups = ["train", "plot", "fast"]
"""


def run(*words: str | Path, cwd: Path) -> str:
    poetry = {"POETRY_VIRTUALENVS_CREATE": "false", "POETRY_KEYRING_ENABLED": "false"}
    return programs.run(*words, cwd=cwd, env=programs.without("VIRTUAL_ENV", **poetry))


@dataclass(frozen=True)
class Both:
    """A project with both locks, and the Poetry that made one of them."""

    root: Path
    program: Path

    @property
    def lock(self) -> str:
        return (self.root / "poetry.lock").read_text()


@pytest.fixture(scope="module")
def both(poetry: Path, tmp_path_factory: pytest.TempPathFactory) -> Both:
    folder = tmp_path_factory.mktemp("both")
    root = folder / "project"
    root.mkdir()
    (root / "pyproject.toml").write_text(PYPROJECT.replace("INDEX", programs.index_url(folder)))
    made = Both(root, poetry / "poetry")
    programs.venv(root / ".venv")
    run(made.program, "lock", cwd=root)
    run(made.program, "check", "--lock", cwd=root)
    pins = [f"{p['name']}=={p['version']}" for p in tomllib.loads(made.lock)["package"]]
    text = (root / "pyproject.toml").read_text()
    (root / "pyproject.toml").write_text(
        text.replace("constraint-dependencies = []", f"constraint-dependencies = {pins!r}")
    )
    run(programs.UV, "lock", "--quiet", cwd=root)
    return made


def by_uv(both: Both, image: str, target: Target) -> list[LockedWheel]:
    path = both.root / f"pylock.{image}.toml"
    project = load(both.root)
    uv.export_image(project, project.image(image), path)
    return pylock.select(path.read_text(), target, path.name)


CASES: list[tuple[str, Sequence[str], Sequence[str]]] = [
    ("plain", [], []),
    ("train", ["train"], ["plot", "fast"]),
]


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.machine)
@pytest.mark.parametrize(("image", "groups", "extras"), CASES, ids=["plain", "train"])
def test_both_locks_are_the_same_wheels(
    both: Both, image: str, groups: Sequence[str], extras: Sequence[str], target: Target
) -> None:
    pins = poetry_lock.select(both.lock, target, groups, extras)
    found = urls.resolve(pins, target, both.root)
    wanted = by_uv(both, image, target)
    assert found == wanted
    assert len(found) >= 6
    written = urls.dumps({target.platform: found}, "3.11")
    assert pylock.select(written, target, "pylock.toml") == wanted


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.machine)
def test_requirements_of_either_are_the_same_wheels(both: Both, target: Target) -> None:
    path = both.root / "requirements-lock.txt"
    uv.export_requirements(load(both.root), path)
    of_uv = requirements.pins(both.root, path.name, target)
    of_poetry = requirements.select(poetry_lock.requirements(both.lock), target)
    # uv leaves out the hashes of wheels that no Python of the project can use.
    assert [(pin.name, pin.version) for pin in of_uv] == [(p.name, p.version) for p in of_poetry]
    assert all(one.hashes <= two.hashes for one, two in zip(of_uv, of_poetry, strict=True))
    whole = poetry_lock.select(both.lock, target, ["train", "dev"], ["plot", "fast"])
    wanted = urls.resolve(whole, target, both.root)
    assert urls.resolve(of_uv, target, both.root) == wanted
    assert urls.resolve(of_poetry, target, both.root) == wanted


@pytest.mark.parametrize(("image", "groups", "extras"), CASES, ids=["plain", "train"])
def test_poetry_would_install_what_we_chose(
    both: Both, image: str, groups: Sequence[str], extras: Sequence[str]
) -> None:
    machine = {"x86_64": "amd64", "aarch64": "arm64"}[platform.machine()]
    here = Target(
        platform=f"linux/{machine}", python=platform.python_version(), glibc=platform.libc_ver()[1]
    )
    words = ["install", "--dry-run", "--no-ansi", "--only", ",".join(["main", *groups])]
    words += [word for extra in extras for word in ("--extras", extra)]
    said = run(both.program, *words, cwd=both.root)
    installed = re.findall(r"^  - Installing (\S+) \((\S+)\)$", said, re.MULTILINE)
    found = poetry_lock.select(both.lock, here, groups, extras)
    assert {(pin.name, pin.version) for pin in found} == {*installed}
