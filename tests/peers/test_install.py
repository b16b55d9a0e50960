"""README's ways to install, each typed as it stands in an empty HOME."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.peers, pytest.mark.network]

ROOT = Path(__file__).parents[2]
_BLOCK = re.compile(r"```\n(.*?)```", re.DOTALL)
_README = (ROOT / "README.md").read_text(encoding="utf-8")
LINES = [
    line
    for block in _BLOCK.findall(_README.partition("<!-- install -->")[2].partition("<!-- /")[0])
    for line in block.splitlines()
]


@pytest.fixture(scope="module")
def tools(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of programs with uv, pipx and a pip of its own."""
    venv = tmp_path_factory.mktemp("tools")
    subprocess.run([sys.executable, "-m", "venv", venv], check=True)
    subprocess.run([venv / "bin" / "pip", "install", "--quiet", "uv", "pipx"], check=True)
    return venv / "bin"


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """Return a copy of what git has of this repository."""
    names = subprocess.check_output(["git", "ls-files", "-z"], cwd=ROOT, text=True).split("\0")
    for name in filter(None, names):
        target = tmp_path / "clone" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / name).is_file():
            shutil.copy2(ROOT / name, target)
    return tmp_path / "clone"


def test_readme_has_the_lines() -> None:
    assert len(LINES) == 4


@pytest.mark.parametrize("line", LINES, ids=lambda line: line.split()[0])
def test_a_line_of_readme_installs_the_tool(
    line: str, tools: Path, clone: Path, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    path = os.pathsep.join([str(home / ".local" / "bin"), str(tools), "/usr/bin", "/bin"])
    env = {**os.environ, "HOME": str(home), "PATH": path, "XDG_DATA_HOME": "", "PYTHONPATH": ""}
    env = {k: v for k, v in env.items() if v and not k.startswith(("PIPX_", "VIRTUAL_ENV"))}
    if "dist/" in line:
        build = ["uv", "build", "--quiet", "--wheel"]
        for more in ({}, {"HATCH_BUILD_NO_HOOKS": "true"}):  # as `make release` leaves them
            subprocess.run(build, cwd=clone, env=env | more, check=True)
    done = subprocess.run(
        ["sh", "-c", line], cwd=clone, env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    version = ["lockstitch", "--version"]
    if line.startswith("uvx"):
        assert done.stdout.startswith("lockstitch ")
    else:
        program = shutil.which("lockstitch", path=path)
        assert program, path
        out = subprocess.check_output(version, executable=program, env=env, text=True)
        assert out.startswith("lockstitch ")
