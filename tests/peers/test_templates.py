"""Templates come true: the tutorial as it is written, and Poetry on its own."""

import json
import os
import re
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from lockstitch.oci.layout import Layout
from lockstitch.python.load import load

from .conftest import Docker

TUTORIAL = Path(__file__).parents[2] / "docs" / "tutorials" / "iris.md"
FLOWER = {"sepal_length": 5.1, "sepal_width": 3.5, "petal_length": 1.4, "petal_width": 0.2}
CHECKS = ["ruff check", "black --quiet --check .", "mypy"]

pytestmark = pytest.mark.network


def environment(folder: Path) -> dict[str, str]:
    """Return this machine's variables, but with programs and caches of the test's own."""
    dropped = {"SOURCE_DATE_EPOCH", "VIRTUAL_ENV", "PYTHONDONTWRITEBYTECODE", "PYTHONPATH"}
    dropped |= {"PYTEST_ADDOPTS"}
    kept = {
        name: value
        for name, value in os.environ.items()
        if name not in dropped and not name.startswith("POETRY_")
    }
    programs = f"{Path(sys.executable).parent}{os.pathsep}{kept['PATH']}"
    return kept | {
        "PATH": programs,
        "LOCKSTITCH_CACHE": str(folder / "store"),
        "POETRY_CACHE_DIR": str(folder / "poetry"),
    }


def run(command: str, folder: Path, variables: dict[str, str]) -> str:
    """Run a command of a shell, and return what it printed."""
    done = subprocess.run(
        ["sh", "-c", command],
        cwd=folder,
        env=variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}"
    return done.stdout


@dataclass(frozen=True)
class Lab:
    """The tutorial, played: its project, and each command with what was written and printed."""

    root: Path
    variables: dict[str, str]
    played: list[tuple[str, str, str]]

    def run(self, command: str) -> str:
        return run(command, self.root, self.variables)


def told() -> Iterator[tuple[str, str]]:
    """Yield each command of the tutorial and what it is said to print."""
    for block in re.findall(r"```console\n\$ (.*?)```", TUTORIAL.read_text(), re.DOTALL):
        for part in block.split("\n$ "):
            # A command goes on in the next line while a quote is open.
            command, _, printed = part.partition("\n")
            while command.count("'") % 2:
                more, _, printed = printed.partition("\n")
                command += f"\n{more}"
            yield command, printed.rstrip("\n")


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    folder = tmp_path_factory.mktemp("lab")
    found = Lab(folder / "iris", environment(folder), [])
    here = folder
    for command, expected in told():
        if command == "cd iris":
            here = found.root
        elif command.split()[0] not in {"docker", "curl"}:  # below, on ports of the test's own
            printed = run(command, here, found.variables).rstrip("\n")
            found.played.append((command, expected, printed))
    return found


def _same(text: str) -> str:
    """Return what a text says on every day: without digests, numbers, lines of a slow machine."""
    text = re.sub(r"(?m)^\* .*: (\d+% after )?\d+ s.*\n", "", text)
    text = re.sub(r"[0-9a-f]{64}", "DIGEST", text)
    return re.sub(r"\d[\d.:TZ-]*", "N", text)


def test_the_tutorial_is_true(lab: Lab) -> None:
    assert len(lab.played) >= 12
    for command, expected, printed in lab.played:
        assert _same(printed) == _same(expected), command


def test_training_says_what_it_loaded(lab: Lab) -> None:
    (printed,) = [p for command, _, p in lab.played if command.endswith("train.py")]
    assert printed.startswith("Loaded 150 samples\n")
    assert "Wrote models/model.onnx" in printed


@pytest.mark.parametrize("check", CHECKS)
def test_the_tools_find_nothing(lab: Lab, check: str) -> None:
    lab.run(f"uv run --locked {check}")


def test_the_budgets_leave_room_for_newer_packages(lab: Lab) -> None:
    for built in json.loads(lab.run("lockstitch build --json")):
        budget = load(lab.root).image(built["name"]).budget
        assert 0.5 * budget < built["unpacked"] < 0.9 * budget


def _names(layout: Layout, image: str) -> set[str]:
    def blob(digest: str) -> Path:
        return layout.root / "blobs" / digest.replace(":", "/")

    manifest = json.loads(blob(str(layout.manifest_digest(image))).read_bytes())
    names: set[str] = set()
    for layer in manifest["layers"]:
        with tarfile.open(blob(layer["digest"])) as archive:
            names |= set(archive.getnames())
    return names


def test_the_flowers_are_in_the_image_that_trains_only(lab: Lab) -> None:
    layout = Layout(lab.root / ".lockstitch" / "images")
    data = "/sklearn/datasets/data/iris.csv"
    assert [name for name in _names(layout, "train") if name.endswith(data)]
    served = _names(layout, "serve")
    assert [name for name in served if "/sklearn/" in name] == []
    assert {"app/src/api.py", "app/models/model.onnx"} <= served
    assert "app/src/train.py" not in served


def test_the_images_run(lab: Lab, docker: Docker) -> None:
    for image in ("train", "serve"):
        docker.run("load", "--input", str(lab.root.parent / f"{image}.tar"))
    printed = docker.run("run", "--rm", "--network", "none", "iris-train").stdout
    assert printed.startswith("Loaded 150 samples\n")
    name = docker.run("run", "--detach", "--network", "none", "iris-serve").stdout.strip()
    try:
        for _ in range(100):
            if "Uvicorn running" in docker.run("logs", name).stderr:
                break
            time.sleep(0.1)
        code = (  # asked inside, so that no port of this machine is taken
            "import sys, urllib.request as u;"
            "a, b = sys.argv[1:]; h = {'content-type': 'application/json'};"
            "print(u.urlopen(u.Request(a, b.encode() or None, h)).read().decode())"
        )
        asked = [
            docker.run("exec", name, "python", "-c", code, f"http://127.0.0.1:8000/{path}", body)
            for path, body in (("health", ""), ("predict", json.dumps(FLOWER)))
        ]
        health, answer = (json.loads(each.stdout) for each in asked)
        assert health == {"status": "healthy"}
        assert answer["species"] == "setosa"
        assert sum(answer["probabilities"].values()) == pytest.approx(1, abs=1e-6)
    finally:
        docker.run("rm", "--force", name)


@pytest.fixture(scope="module", params=[pytest.param("churn", marks=pytest.mark.nightly), "iris"])
def poetic(
    request: pytest.FixtureRequest, lab: Lab, poetry: Path, tmp_path_factory: pytest.TempPathFactory
) -> Lab:
    """Return a project that Poetry alone has locked and installed."""
    template = str(request.param)
    folder = tmp_path_factory.mktemp("poetic")
    # What the other project's Poetry has fetched: the same wheels, for the most part.
    shared = {name: lab.variables[name] for name in ("LOCKSTITCH_CACHE", "POETRY_CACHE_DIR")}
    variables = environment(folder) | shared
    found = Lab(folder / template, variables, [])
    found.variables["PATH"] = f"{poetry}{os.pathsep}{found.variables['PATH']}"
    run(
        f"lockstitch new {template} --template {template} --manager poetry", folder, found.variables
    )
    found.run("poetry check --strict")
    # Poetry asks PyPI's own interface, which mirrors lack; so it gets uv's index by its address.
    match = re.search(r'registry = "([^"]+)"', (lab.root / "uv.lock").read_text())
    assert match
    source = {"name": "index", "url": match[1], "priority": "primary"}
    with (found.root / "pyproject.toml").open("a") as pyproject:
        pyproject.write("\n[[tool.poetry.source]]\n")
        pyproject.writelines(f"{key} = {json.dumps(value)}\n" for key, value in source.items())
    found.run("poetry lock --no-interaction --quiet")
    found.run("poetry install --no-interaction --quiet")
    return found


def test_poetry_alone_trains_and_tests(poetic: Lab) -> None:
    printed = poetic.run("poetry run python src/train.py")
    assert printed.startswith("Loaded ")
    assert (poetic.root / "models" / "model.onnx").is_file()
    # The sources are those of uv's projects, which run all of it: of churn, what serves will do.
    parts = "" if poetic.root.name == "iris" else " tests/test_api.py tests/test_predict.py"
    poetic.run(f"poetry run pytest --quiet{parts}")
    for check in CHECKS if not parts else ():
        poetic.run(f"poetry run {check}")
    poetic.run("poetry check --lock")


def test_poetrys_install_is_editable(poetic: Lab) -> None:
    package = poetic.root.name
    python = poetic.root / ".venv" / "bin" / "python"
    code = f"import {package}; print({package}.__file__)"
    printed = run(f'{python} -I -c "{code}"', poetic.root.parent, poetic.variables)
    assert Path(printed.strip()) == poetic.root / "src" / package / "__init__.py"


def test_lockstitch_builds_what_poetry_manages(poetic: Lab) -> None:
    if not (poetic.root / "models" / "model.onnx").exists():
        poetic.run("poetry run python src/train.py")
    poetic.run("lockstitch lock && lockstitch build")
    package = poetic.root.name
    names = _names(Layout(poetic.root / ".lockstitch" / "images"), "serve")
    assert [name for name in names if name.endswith(f"/site-packages/{package}/__init__.py")]
