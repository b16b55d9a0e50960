"""Real pip and uv install what `lockstitch export` writes, and a wrong digit stops them."""

import json
import platform
import sys
from pathlib import Path

import pytest
from support import programs

pytestmark = pytest.mark.network

PLATFORM = {"x86_64": "linux/amd64", "aarch64": "linux/arm64"}[platform.machine()]
PYPROJECT = """\
[project]
name = "exported"
version = "0.1"
requires-python = ">=3.11"
dependencies = [
    "requests[socks]>=2.31", "tomli; python_version < '3.12'", "colorama; os_name == 'nt'"
]

[dependency-groups]
train = ["numpy>=2"]
dev = ["pytest"]

[tool.lockstitch]
python = "3.11"
platforms = ["linux/amd64", "linux/arm64"]

[tool.lockstitch.images.plain]
[tool.lockstitch.images.train]
groups = ["train"]
"""


def run(*words: str | Path, cwd: Path, code: int = 0) -> str:
    env = programs.without("VIRTUAL_ENV", "SOURCE_DATE_EPOCH")
    return programs.run(*words, cwd=cwd, env=env, code=code, stderr=code != 0)


@pytest.fixture(scope="module")
def root(in_store: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("exported") / "project"
    made.mkdir()
    (made / "pyproject.toml").write_text(PYPROJECT)
    run(sys.executable, "-m", "lockstitch", "lock", "--quiet", cwd=made)
    return made


def export(root: Path, *words: str) -> str:
    return run(sys.executable, "-m", "lockstitch", "export", *words, cwd=root)


def environment(root: Path, folder: Path) -> Path:
    run(programs.UV, "venv", "--quiet", "--seed", "--python", sys.executable, folder, cwd=root)
    return folder / "bin" / "python"


def installed(root: Path, python: Path) -> dict[str, str]:
    text = run(programs.UV, "pip", "list", "--format", "json", "--python", python, cwd=root)
    names = {load["name"]: load["version"] for load in json.loads(text)}
    seeds = {"pip", "setuptools", "wheel", "packaging"}
    return {name: version for name, version in names.items() if name not in seeds}


@pytest.mark.parametrize("chosen", [[], ["--platform", PLATFORM]], ids=["universal", "platform"])
def test_pip_and_uv_install_requirements(chosen: list[str], root: Path, tmp_path: Path) -> None:
    file = tmp_path / "requirements.txt"
    export(root, "requirements", "--image", "train", *chosen, "-o", str(file))
    of_pip, of_uv = (environment(root, tmp_path / name) for name in ("pip", "uv"))
    run(of_pip, "-m", "pip", "install", "-q", "--require-hashes", "-r", file, cwd=root)
    words = ["pip", "sync", "--quiet", "--require-hashes", "--python", str(of_uv)]
    run(programs.UV, *words, file, cwd=root)
    found = installed(root, of_pip)
    assert found == installed(root, of_uv)
    assert {"numpy", "requests", "pysocks", "tomli"} <= set(found)
    assert not {"colorama", "pytest"} & set(found)
    # What is installed is what the bill of materials says, for this very platform.
    bill = json.loads(export(root, "sbom", "--image", "train", "--platform", PLATFORM))
    python = [each for each in bill["components"] if each["purl"].startswith("pkg:pypi/")]
    said = {each["name"]: each["version"] for each in python}
    assert said == found


def test_a_wrong_digit_stops_pip(root: Path, tmp_path: Path) -> None:
    text = export(root, "requirements", "--image", "plain", "--platform", PLATFORM)
    first, digit = text.index("sha256:") + 7, text[text.index("sha256:") + 7]
    file = tmp_path / "requirements.txt"
    file.write_text(text[:first] + ("1" if digit == "0" else "0") + text[first + 1 :])
    python = environment(root, tmp_path / "venv")
    words = ["-m", "pip", "install", "-q", "--require-hashes", "-r"]
    assert "DO NOT MATCH THE HASHES" in run(python, *words, file, cwd=root, code=1)


@pytest.mark.parametrize("chosen", [[], ["--platform", PLATFORM]], ids=["universal", "platform"])
def test_uv_installs_a_pylock(chosen: list[str], root: Path, tmp_path: Path) -> None:
    file = tmp_path / "pylock.toml"
    export(root, "pylock", "--image", "train", *chosen, "-o", str(file))
    python = environment(root, tmp_path / "venv")
    run(programs.UV, "pip", "sync", "--quiet", "--python", python, file, cwd=root)
    assert {"numpy", "requests", "pysocks", "tomli"} <= set(installed(root, python))


def test_the_whole_lock_has_every_group(root: Path, tmp_path: Path) -> None:
    file = tmp_path / "requirements.txt"
    export(root, "requirements", "-o", str(file))
    python = environment(root, tmp_path / "venv")
    run(python, "-m", "pip", "install", "-q", "--require-hashes", "-r", file, cwd=root)
    assert {"numpy", "requests", "pytest"} <= set(installed(root, python))


def test_two_platforms_have_two_bills(root: Path) -> None:
    bills = {
        name: export(root, "sbom", "--image", "train", "--platform", name)
        for name in ("linux/amd64", "linux/arm64")
    }
    assert bills["linux/amd64"] != bills["linux/arm64"]
    for name, text in bills.items():
        assert export(root, "sbom", "--image", "train", "--platform", name) == text
        found = json.loads(text)
        graph = {each["ref"]: each["dependsOn"] for each in found["dependencies"]}
        requests = next(ref for ref in graph if ref.startswith("pkg:pypi/requests@"))
        assert any(ref.startswith("pkg:pypi/pysocks@") for ref in graph[requests])
        assert requests in graph["image:train"]
