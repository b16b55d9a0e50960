"""Packages that the index has as source only, git, and workspaces: locked, built, started."""

import io
import json
import os
import subprocess
import tarfile
from collections.abc import Mapping
from pathlib import Path

import pytest
from support import projects, wheels
from support.registry import Registry
from support.server import Reply, serve

from lockstitch import process
from lockstitch.cli.main import main
from lockstitch.lock import file as lock_file

from .conftest import Docker

pytestmark = [pytest.mark.network, pytest.mark.usefixtures("in_store")]

PYPROJECT = """\
[project]
name = "pipe"
version = "0.1"
requires-python = ">=3.11,<3.12"
dependencies = [{dependencies}]

[tool.uv]
package = false

[tool.lockstitch]
python = "3.11"

[tool.lockstitch.images.job]
include = ["main.py"]
command = ["python", "main.py"]
{more}"""
COMPILED = """\
import annoy
t = annoy.AnnoyIndex(2, 'euclidean')
t.add_item(0, [1, 2])
t.build(1)
print(t.get_nns_by_item(0, 1))
"""
PIPELINE = """\
from kfp import compiler, dsl


@dsl.component(base_image="python:3.11")
def say(text: str) -> str:
    return text


@dsl.pipeline(name="p")
def pipeline(text: str = "x"):
    say(text=text)


compiler.Compiler().compile(pipeline, "/tmp/p.yaml")
print(open("/tmp/p.yaml").read().count("comp-say"))
"""
NEIGHBOURS = """\
import hnswlib
import numpy as np

index = hnswlib.Index(space="l2", dim=2)
index.init_index(max_elements=4, M=4, ef_construction=8)
index.add_items(np.eye(2, dtype="float32"))
print(index.knn_query(np.array([[1, 0]], dtype="float32"), k=1)[0][0][0])
"""
TRACKED = """\
import os
from dvc.repo import Repo

os.environ["DVC_SITE_CACHE_DIR"] = "/tmp/site"  # /var/tmp is read-only, as `try` says
os.makedirs("/tmp/data")
os.chdir("/tmp/data")
repo = Repo.init(no_scm=True)
open("data.csv", "w").write("a,b")
repo.add("data.csv")
print(*(name for name in os.listdir() if name.endswith(".dvc") and name != ".dvc"))
"""
NO_PACKAGE = """\
[build-system]
requires = ["{requires}"]
build-backend = "{backend}"

[project]
name = "my-thing"
description = "an application"
version = "0.1"
requires-python = ">=3.11,<3.12"
dependencies = ["docopt"]

[tool.lockstitch]
python = "3.11"

[tool.lockstitch.images.job]
include = ["app/**"]
command = ["python", "app/main.py"]
"""
MEMBER = """\
[project]
name = "{name}"
version = "0.3.0"
requires-python = ">=3.11"
dependencies = [{dependencies}]

[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"
"""


def project(
    folder: Path,
    dependencies: str,
    main: str,
    more: str = "",
    files: Mapping[str, str] | None = None,
) -> Path:
    text = PYPROJECT.format(dependencies=dependencies, more=more)
    return projects.write(folder / "pipe", pyproject=text, files={"main.py": main, **(files or {})})


def lockstitch(root: Path, *words: str) -> int:
    return main([*words, "--project", str(root)])


def starts(root: Path, capsys: pytest.CaptureFixture[str]) -> tuple[str, str]:
    """Return what the image's program printed, and the image's digest."""
    assert lockstitch(root, "lock", "--quiet") == 0, capsys.readouterr().err
    capsys.readouterr()
    assert lockstitch(root, "build", "--quiet") == 0, capsys.readouterr().err
    digest = capsys.readouterr().out
    assert lockstitch(root, "try", "--json") == 0, capsys.readouterr().out
    verdict = json.loads(capsys.readouterr().out)
    assert verdict["outcome"] == "ended"
    return verdict["output"], digest


def elsewhere(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> str:
    """Return the digest that another machine's empty store comes to."""
    monkeypatch.setenv("LOCKSTITCH_CACHE", str(tmp_path / "elsewhere"))
    monkeypatch.setenv("TZ", "Pacific/Chatham")
    assert lockstitch(root, "build", "--quiet") == 0, capsys.readouterr().err
    return capsys.readouterr().out


@pytest.mark.parametrize(
    ("dependencies", "text", "printed"),
    [
        (
            '"hydra-core>=1.3", "docopt", "wget"',
            "import antlr4, docopt, hydra, wget\nprint(hydra.__version__[:3], docopt.__version__)",
            "1.3 0.6.2\n",
        ),
        ('"annoy>=1.17"', COMPILED, "[0]\n"),
        ('"kfp>=2"', PIPELINE, "2\n"),
        pytest.param('"hnswlib", "numpy"', NEIGHBOURS, "0\n", marks=pytest.mark.nightly),
        pytest.param(
            '"dvc>=3"',
            TRACKED,
            "Initialized DVC repository.\n\ndata.csv.dvc\n",
            marks=pytest.mark.nightly,
        ),
    ],
    ids=["pure", "compiled", "kfp", "hnswlib", "dvc"],
)
def test_a_source_is_built_started_and_the_same_elsewhere(
    dependencies: str,
    text: str,
    printed: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    root = project(tmp_path, dependencies, text)
    output, digest = starts(root, capsys)
    assert output == printed
    assert elsewhere(root, tmp_path, monkeypatch, capsys) == digest


SETUP = """\
from setuptools import Extension, setup

module = Extension("ours", ["ours.c"], extra_compile_args=["-march=native", "-O2"])
setup(name="ours", version="1.0", ext_modules=[module])
"""
SOURCE = """\
#include <Python.h>
static PyObject *where(PyObject *s, PyObject *a) { return PyUnicode_FromString(__FILE__); }
static PyMethodDef methods[] = {{"where", where, METH_NOARGS, ""}, {NULL}};
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "ours", "", -1, methods};
PyMODINIT_FUNC PyInit_ours(void) { return PyModule_Create(&module); }
"""


@pytest.mark.parametrize(
    ("python", "compiler"),
    [
        ("3.13", "gcc (Debian 14."),
        pytest.param("3.11", "gcc (Debian 12.", marks=pytest.mark.nightly),
    ],
)
def test_a_container_compiles_what_this_machine_does_not_fit(
    python: str,
    compiler: str,
    docker: Docker,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("DOCKER_HOST", docker.host)
    more = '\n[tool.uv.sources]\nours = { path = "ours-1.0.tar.gz" }\n'
    root = project(tmp_path, '"ours"', "import ours\nprint(ours.where())", more)
    text = (root / "pyproject.toml").read_text()
    text = text.replace('python = "3.11"', f'python = "{python}"\nbuilder = "docker"')
    (root / "pyproject.toml").write_text(text.replace(",<3.12", ""))
    with tarfile.open(root / "ours-1.0.tar.gz", "w:gz") as tar:
        for name, content in {"setup.py": SETUP, "ours.c": SOURCE}.items():
            entry = tarfile.TarInfo(f"ours-1.0/{name}")
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content.encode()))
    output, digest = starts(root, capsys)
    assert output == "ours.c\n"
    (wheel,) = lock_file.read(root).built
    assert (wheel.builder, wheel.platform) == ("docker", "linux/amd64")
    assert wheel.compiler.startswith(compiler)
    assert elsewhere(root, tmp_path, monkeypatch, capsys) == digest
    assert lockstitch(root, "lock", "--check") == 0


def test_an_image_that_does_not_start_is_not_pushed(
    tmp_path: Path, registry: Registry, capsys: pytest.CaptureFixture[str]
) -> None:
    root = project(tmp_path, '"docopt"', "import docopt\nprint(docopt.__version__)")
    target = f"{registry.address}/pipe:1"
    assert lockstitch(root, "lock", "--quiet") == 0
    capsys.readouterr()
    words = ["build", "--try", "--push", target]
    assert lockstitch(root, *words, "--json") == 0
    document = json.loads(capsys.readouterr().out)[0]
    assert document["trial"]["outcome"] == "ended"
    assert document["trial"]["output"] == "0.6.2\n"
    pushed = registry.count("PUT")
    (root / "main.py").write_text("import docopt\nopen('nothing.csv')")
    assert lockstitch(root, *words) == 1
    output = capsys.readouterr()
    assert "file `nothing.csv` is missing: the project has no such file" in output.err
    assert "error: image `job` is built, and does not start: `FileNotFoundError: " in output.err
    assert "hint: the project has no such file: put it there, with include = " in output.err
    assert output.out == ""
    assert registry.count("PUT") == pushed > 0


@pytest.mark.parametrize(
    ("requires", "backend"),
    [
        ("hatchling", "hatchling.build"),
        ("poetry-core", "poetry.core.masonry.api"),
        ("setuptools", "setuptools.build_meta"),
        ("flit_core", "flit_core.buildapi"),
    ],
)
def test_code_that_its_backend_does_not_find_stays_in_the_tree(
    requires: str, backend: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = {
        "pyproject.toml": NO_PACKAGE.format(requires=requires, backend=backend),
        "app/main.py": "import docopt, helper\nprint(helper.name)",
        "app/helper.py": "name = 'in the tree'\n",
        "app/__init__.py": "",
        "data/__init__.py": "",
    }
    root = projects.write_files(tmp_path / "thing", files)
    assert starts(root, capsys)[0] == "in the tree\n"
    assert lockstitch(root, "build") == 0
    assert "warning: the build backend finds no package" in capsys.readouterr().err


def test_uv_says_nothing_of_experiments_afterwards(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = project(tmp_path, '"docopt"', "import docopt")
    starts(root, capsys)
    done = process.run([process.find_uv(), "lock", "--check"], cwd=root)
    assert "experimental" not in done.stderr
    assert "warning" not in done.stderr


def test_a_folder_of_a_git_repository(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    origin = tmp_path / "origin"
    for name, text in {
        "sub/pyproject.toml": MEMBER.format(name="inner", dependencies=""),
        "sub/inner/__init__.py": "x = 'from git'\n",
    }.items():
        (origin / name).parent.mkdir(parents=True, exist_ok=True)
        (origin / name).write_text(text)
    for words in (["init", "--quiet"], ["add", "-A"], ["commit", "--quiet", "-m", "one"]):
        who = ["-c", "user.name=tests", "-c", "user.email=tests@example.test"]
        subprocess.run(["git", *who, "-C", origin, *words], check=True)
    more = f'\n[tool.uv.sources]\ninner = {{ git = "file://{origin}", subdirectory = "sub" }}\n'
    root = project(tmp_path, '"inner"', "import inner\nprint(inner.x)", more)
    output, digest = starts(root, capsys)
    assert output == "from git\n"
    assert elsewhere(root, tmp_path, monkeypatch, capsys) == digest


def test_files_folders_addresses_and_find_links(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    built = {name: wheels.wheel(name, "1.0") for name in ("given", "linked", "addressed")}
    with serve() as server:
        filename, data = built["addressed"]
        url = server.on(f"/files/{filename}", Reply(body=data))
        more = (
            f'\n[tool.uv.sources]\ngiven = {{ path = "vendor/{built["given"][0]}" }}\n'
            f'beside = {{ path = "beside" }}\naddressed = {{ url = "{url}" }}\n'
        )
        names = '"given", "linked", "addressed", "beside"'
        text = "import addressed, beside, given, linked\nprint(beside.x)\n"
        files = {
            "beside/pyproject.toml": MEMBER.format(name="beside", dependencies=""),
            "beside/src/beside/__init__.py": "x = 'beside'\n",
        }
        root = project(tmp_path, names, text, more, files)
        projects.replace(root, "package = false", 'package = false\nfind-links = ["links"]')
        for folder, name in (("vendor", "given"), ("links", "linked")):
            (root / folder).mkdir()
            (root / folder / built[name][0]).write_bytes(built[name][1])
        output, digest = starts(root, capsys)
        assert output == "beside\n"
        assert elsewhere(root, tmp_path, monkeypatch, capsys) == digest


def test_a_project_of_poetry_without_a_package(
    poetry: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("PATH", f"{os.environ['PATH']}{os.pathsep}{poetry}")
    monkeypatch.setenv("POETRY_VIRTUALENVS_CREATE", "false")
    monkeypatch.setenv("POETRY_KEYRING_ENABLED", "false")
    filename, data = wheels.wheel("given", "1.0")
    places = (
        f'\n[tool.poetry.dependencies]\ngiven = {{ path = "vendor/{filename}" }}\n'
        'beside = { path = "beside", develop = true }\n'
    )
    text = PYPROJECT.format(dependencies='"given", "beside"', more=places)
    files = {
        "pyproject.toml": text.replace("[tool.uv]\npackage", "[tool.poetry]\npackage-mode"),
        "main.py": "import beside, given\nprint(beside.x)\n",
        "beside/pyproject.toml": MEMBER.format(name="beside", dependencies=""),
        "beside/src/beside/__init__.py": "x = 'beside'\n",
        f"vendor/{filename}": data,
    }
    root = projects.write_files(tmp_path / "pipe", files)
    output, digest = starts(root, capsys)
    assert output == "beside\n"
    assert (root / "poetry.lock").exists()
    assert elsewhere(root, tmp_path, monkeypatch, capsys) == digest


def test_a_workspace_of_three(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    more = (
        '\n[tool.uv.workspace]\nmembers = ["packages/*"]\n'
        "[tool.uv.sources]\ncore = { workspace = true }\napi = { workspace = true }\n"
    )
    own = "[tool.uv.sources]\ncore = { workspace = true }\n"
    api = MEMBER.format(name="api", dependencies='"core", "docopt"') + own
    files = {
        "packages/core/pyproject.toml": MEMBER.format(name="core", dependencies=""),
        "packages/core/src/core/__init__.py": "name = 'core'\n",
        "packages/api/pyproject.toml": api,
        "packages/api/src/api/__init__.py": "import core, docopt\nname = 'api+' + core.name\n",
        "packages/unused/pyproject.toml": MEMBER.format(name="unused", dependencies=""),
        "packages/unused/src/unused/__init__.py": "",
    }
    text = "import api, importlib.util\nprint(api.name, importlib.util.find_spec('unused'))"
    root = project(tmp_path, '"api"', text, more, files)
    output, digest = starts(root, capsys)
    assert output == "api+core None\n"
    (root / "packages/core/src/core/__init__.py").write_text("name = 'CORE'\n")
    assert lockstitch(root, "build") == 0
    out, err = capsys.readouterr()
    assert out != digest
    assert ", 1 made" in err
    assert elsewhere(root, tmp_path, monkeypatch, capsys) == out
