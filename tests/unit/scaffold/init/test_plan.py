"""What `lockstitch init` decides, and that it writes all of it or nothing."""

import os
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
from support.projects import write_files

from lockstitch import clock, files
from lockstitch.errors import LockstitchError, UsageError
from lockstitch.python import load
from lockstitch.scaffold import new
from lockstitch.scaffold.init import plan

API = """\
from fastapi import FastAPI
app = FastAPI()
@app.get("/health")
def health(): ...
"""
CLASSIC = """\
[tool.poetry]
name = "old"
version = "1.0"
[tool.poetry.dependencies]
python = "^3.13"
[tool.poetry.group.dev.dependencies]
pytest = "*"
"""


def decided(
    root: Path, texts: dict[str, str], manager: str = "", tools: plan.Tools = "add"
) -> dict[str, Any]:
    """Return pyproject.toml as it becomes, and check that a second time changes nothing."""
    found = plan.plan(write_files(root, texts), manager, tools=tools)
    plan.write(found)
    assert plan.plan(root, manager, tools=tools).changes == ()
    return tomllib.loads((root / "pyproject.toml").read_text())


FLAT = {
    "requirements.txt": "numpy\nMy_Project\n",
    "requirements-dev.txt": "-r requirements.txt\npytest<9\nhttpx\n",
    "src/train.py": "save('models/x')",
    "src/api.py": API,
    "data/x.csv": "",
    "models/m.onnx": "",
    "tests/test_a.py": "",
}


def test_a_flat_project(tmp_path: Path) -> None:
    document = decided(tmp_path / "my project", FLAT)
    assert document["project"] == {
        "name": "my-project-app",  # a project cannot need itself
        "version": "0.1.0",
        "requires-python": ">=3.11",
        "dependencies": ["numpy", "My_Project"],
    }
    assert "build-system" not in document
    assert document["dependency-groups"] == {
        "dev": ["black", "httpx", "kingfisher-bin", "mypy", "prek", "pytest<9", "ruff"],
        "serve": ["fastapi>=0.110", "uvicorn>=0.30"],
    }
    tool = document["tool"]
    assert tool["uv"] == {"default-groups": ["dev", "serve"]}
    assert tool["black"] == {"line-length": 100}
    assert {"E", "F", "I"} <= set(tool["ruff"]["lint"]["select"])
    assert tool["mypy"]["files"] == ["src", "tests"]
    assert tool["pytest"]["ini_options"] == {"testpaths": ["tests"], "pythonpath": ["src"]}
    assert (tmp_path / "my project" / ".python-version").read_text() == "3.11\n"


def test_without_tools_a_project_gets_what_a_build_needs(tmp_path: Path) -> None:
    root = tmp_path / "plain"
    document = decided(root, FLAT | {".pre-commit-config.yaml": "repos: []\n"}, tools="none")
    assert document.keys() == {"project", "dependency-groups", "tool"}
    assert document["dependency-groups"] == {  # what the project's own list names, and no more
        "dev": ["httpx", "pytest<9"],
        "serve": ["fastapi>=0.110", "uvicorn>=0.30"],
    }
    assert document["tool"].keys() == {"lockstitch"}
    assert (root / ".gitignore").read_text() == ".lockstitch/\n"
    assert {path.name for path in root.iterdir() if path.is_file()} == {
        *(".gitignore", ".pre-commit-config.yaml", "pyproject.toml"),
        *(name for name in FLAT if "/" not in name),
    }
    plan.write(plan.plan(root, tools="add"))
    assert plan.plan(root).changes == ()  # what --with-tools added stays


def test_the_images_of_a_flat_project(tmp_path: Path) -> None:
    assert decided(tmp_path / "my project", FLAT)["tool"]["lockstitch"] == {
        "python": "3.11",
        "base": "debian:bookworm",
        "platforms": ["linux/amd64"],
        "images": {
            "train": {
                "include": ["data/**", "src/*.py"],
                "outputs": ["models"],
                "command": ["python", "src/train.py"],
            },
            "serve": {
                "groups": ["serve"],
                "include": ["models/**", "src/*.py"],
                "command": [
                    *("uvicorn", "api:app", "--app-dir", "src"),
                    *("--host", "0.0.0.0", "--port", "8000"),  # noqa: S104 -- in a container
                ],
                "port": 8000,
                "health": "/health",
            },
        },
    }


@pytest.mark.parametrize(
    ("manager", "backend", "key"),
    [("uv", "hatchling.build", "hatch"), ("poetry", "poetry.core.masonry.api", "poetry")],
)
def test_a_package_gets_a_backend(manager: str, backend: str, key: str, tmp_path: Path) -> None:
    document = decided(
        tmp_path,
        {
            "src/pkg/__init__.py": "__version__ = '2.0'",
            "src/pkg/api.py": API,
            "requirements.txt": "fastapi[all]",
        },
        manager,
    )
    assert document["build-system"]["build-backend"] == backend
    assert document["project"]["version"] == "2.0"
    serve = document["tool"]["lockstitch"]["images"]["serve"]
    assert serve["command"][:2] == ["uvicorn", "pkg.api:app"]
    assert "include" not in serve
    assert "groups" not in serve  # fastapi[all] has uvicorn
    wanted = {
        "hatch": {"build": {"targets": {"wheel": {"packages": ["src/pkg"]}}}},
        "poetry": {"requires-poetry": ">=2.2", "packages": [{"include": "pkg", "from": "src"}]},
    }
    assert document["tool"][key] == wanted[key]


def test_a_description_of_setup_cfg_is_left_to_setuptools(tmp_path: Path) -> None:
    setup = "[metadata]\nname = c\nlong_description = file: README.md\n"
    build = '[build-system]\nrequires = ["setuptools"]\nbuild-backend = "setuptools.build_meta"\n'
    texts = {"setup.cfg": setup, "c/__init__.py": "", "README.md": "C\n"}
    assert "dynamic" not in decided(tmp_path / "hatch", texts)["project"]
    document = decided(tmp_path / "own", texts | {"pyproject.toml": build})
    assert document["project"]["dynamic"] == ["readme"]


def test_a_setup_py_project_that_compiles(tmp_path: Path) -> None:
    setup = "setup(name='c', ext_modules=e, install_requires=['numpy'], python_requires='>=3.8')"
    texts = {"setup.py": setup, "c/__init__.py": "", "requirements.txt": "numpy==1\nclick==8"}
    document = decided(tmp_path, texts)
    assert document["build-system"]["build-backend"] == "setuptools.build_meta"
    assert document["project"]["dependencies"] == ["numpy==1.19.*", "click==8"]
    assert document["project"]["requires-python"] == ">=3.9"
    assert "hatch" not in document["tool"]


def test_a_poetry_project_of_the_old_kind_keeps_its_metadata(tmp_path: Path) -> None:
    document = decided(tmp_path, {"pyproject.toml": CLASSIC, "main.py": API})
    assert "project" not in document
    poetry = document["tool"]["poetry"]
    assert list(poetry["dependencies"]) == ["python"]
    assert poetry["group"]["dev"]["dependencies"] == {
        "pytest": "*",
        "black": "*",
        "mypy": "*",
        "kingfisher-bin": "*",
        "prek": "*",
        "ruff": "*",
    }
    assert poetry["group"]["serve"]["dependencies"]["uvicorn"] == ">=0.30"
    assert document["tool"]["lockstitch"]["base"] == "debian:trixie"
    assert document["tool"]["lockstitch"]["images"]["serve"]["groups"] == ["serve"]


@pytest.mark.parametrize(
    ("more", "text", "mode"),
    [
        ({}, CLASSIC, False),
        ({"old.py": ""}, CLASSIC, None),
        ({}, CLASSIC.replace("[tool.poetry]", "[tool.poetry]\npackages = []", 1), None),
        ({}, "", False),
    ],
)
def test_a_poetry_project_without_a_package_says_so(
    more: dict[str, str], text: str, *, mode: bool | None, tmp_path: Path
) -> None:
    document = decided(tmp_path, {"pyproject.toml": text, **more}, "poetry")
    assert document["tool"]["poetry"].get("package-mode") is mode


def test_what_is_there_is_kept_byte_for_byte(tmp_path: Path) -> None:
    text = (
        '# mine\r\n[project]\r\nname = "a" # b\r\ndynamic = ["version"]\r\n'
        "dependencies = []\r\n[tool.black]\r\nline-length = 88\r\n"
        '[tool.lockstitch.images.x]\r\ncommand = ["y"]\r\n'
    )
    texts = {"pyproject.toml": text, ".gitignore": "/.venv\n*.log", ".python-version": "3.12\n"}
    root = write_files(tmp_path, texts)
    found = plan.plan(root, tools="add")
    message = (
        "`.python-version` names Python 3.12, the images get 3.11, which `debian:bookworm` has"
    )
    assert message in found.notes
    plan.write(found)
    after = (root / "pyproject.toml").read_bytes().decode()
    assert [line for line in text.split("\r\n") if line not in after.split("\r\n")] == []
    assert "\n" not in after.replace("\r\n", "")
    document = tomllib.loads(after)
    assert document["project"]["requires-python"] == ">=3.11"
    assert "version" not in document["project"]
    assert document["tool"]["ruff"]["line-length"] == 88  # as black has it
    assert document["tool"]["lockstitch"] == {"images": {"x": {"command": ["y"]}}}
    assert (root / ".gitignore").read_text().startswith("/.venv\n*.log\n.lockstitch/\n")
    assert (root / ".python-version").read_text() == "3.12\n"
    forced = plan.plan(root, tools="replace")
    assert {change.name for change in forced.changes} == {".python-version", "pyproject.toml"}


def test_a_project_of_ours_has_all_of_it(tmp_path: Path) -> None:
    for template in new.TEMPLATES:
        for manager in new.MANAGERS:
            new.create(tmp_path / manager / template, template, manager)
            found = plan.plan(tmp_path / manager / template)
            assert (plan.diff(found), found.manager) == ("", manager)


def test_tables_of_an_author_are_left_alone(tmp_path: Path) -> None:
    text = """\
[tool.black]
line-length = 90
[tool.ruff.lint]
ignore = ["E1"]
[tool.mypy]
packages = ["x"]
[tool.pytest.ini_options]
addopts = "-q"
"""
    root = write_files(tmp_path, {"pyproject.toml": text, "x/__init__.py": ""})
    forced = plan.plan(root, tools="replace").changes[-1].after.decode()
    tool = tomllib.loads(forced)["tool"]
    assert (tool["black"], tool["ruff"]["line-length"]) == ({"line-length": 100}, 100)
    assert tool["ruff"]["lint"].keys() == {"ignore", "select"}
    assert tool["mypy"] == {"packages": ["x"], "strict": True}
    tool = decided(root, {})["tool"]
    assert (tool["black"], tool["ruff"]["line-length"]) == ({"line-length": 90}, 90)
    assert tool["ruff"]["lint"] == {"ignore": ["E1"]}
    assert tool["mypy"] == {"packages": ["x"]}
    assert tool["pytest"] == {"ini_options": {"addopts": "-q"}}


def test_settings_in_files_of_their_own_stay_there(tmp_path: Path) -> None:
    texts = {
        "ruff.toml": "",
        "setup.cfg": "[mypy]\n[metadata]\nname = x\n",
        "tox.ini": "[pytest]\n",
        "pyproject.toml": '[project]\nname = "x"\n',
    }
    document = decided(tmp_path, texts)
    assert sorted(document["tool"]) == ["black", "lockstitch"]


@pytest.mark.parametrize(
    ("listed", "wanted"),
    [("six==1.15.0\nidna==3.4\n", "==3.11.*"), ("six\nidna==3.4\ncertifi\n", ">=3.11")],
)
def test_versions_of_one_time_fit_one_python(listed: str, wanted: str, tmp_path: Path) -> None:
    texts = {"requirements.txt": listed, "train.py": "print(1)\n"}
    assert decided(tmp_path, texts)["project"]["requires-python"] == wanted


def test_the_list_of_a_folder_is_the_group_of_its_image(tmp_path: Path) -> None:
    texts = {
        "alpha/requirements.txt": "flask==3.0.0\n",
        "alpha/app.py": "from flask import Flask\napp = Flask(__name__)\n",
        "beta/requirements.txt": "flask==3.1.0\nidna==3.4\n",
        "beta/train.py": "import idna\nif __name__ == '__main__':\n    print(idna.__version__)\n",
        "gamma/requirements.txt": "flask==2.3.3\n",
        "gamma/README.md": "later\n",
    }
    document = decided(tmp_path, texts)
    images = document["tool"]["lockstitch"]["images"]
    assert {name: image["groups"] for name, image in images.items()} == {
        "serve": ["alpha"],
        "train": ["beta"],
    }
    assert sorted(document["dependency-groups"].keys() - {"dev"}) == ["alpha", "beta"]
    assert document["tool"]["uv"]["conflicts"] == [[{"group": "alpha"}, {"group": "beta"}]]


def test_code_of_another_language_is_no_project(tmp_path: Path) -> None:
    root = write_files(tmp_path, {"main.go": "package main\n", "b.go": "", "web.js": ""})
    with pytest.raises(LockstitchError, match=r"no Python code: 2 of its files end with `\.go`"):
        plan.plan(root)
    write_files(tmp_path, {"train.py": "print(1)\n"})
    assert plan.plan(root).project.images[0].name == "train"


def test_a_gitignore_that_is_no_text_stays(tmp_path: Path) -> None:
    root = write_files(tmp_path, {"train.py": "print(1)\n"})
    (root / ".gitignore").write_bytes("*.log\r\n".encode("utf-16"))  # as PowerShell writes it
    found = plan.plan(root)
    assert [change.name for change in found.changes] == ["pyproject.toml"]
    assert any(note.startswith("`.gitignore` is not UTF-8") for note in found.notes)


def test_an_old_place_of_rules_is_kept_and_said(tmp_path: Path) -> None:
    texts = {"pyproject.toml": '[tool.ruff]\nselect = ["E"]\n[tool.pytest]\naddopts = ["-q"]\n'}
    found = plan.plan(write_files(tmp_path, texts), tools="add")
    assert any("`tool.ruff.select` is in its old place" in note for note in found.notes)
    assert any("`[tool.pytest]` has the settings" in note for note in found.notes)
    document = decided(tmp_path, {})
    assert "select" not in document["tool"]["ruff"]["lint"]
    assert document["tool"]["pytest"] == {"addopts": ["-q"]}


@pytest.mark.parametrize(
    ("texts", "manager", "message"),
    [
        ({"uv.lock": "", "poetry.lock": ""}, "", "has a `poetry.lock` and a `uv.lock`"),
        ({"uv.lock": ""}, "poetry", "has a `uv.lock`, and `--manager poetry`"),
        ({}, "conda", "`conda` is not a manager"),
        ({"pyproject.toml": "["}, "", "`pyproject.toml` is not valid TOML"),
        (
            {"pyproject.toml": "[tool.lockstitch]\npyhton = '3'\n"},
            "",
            "is not a setting of lockstitch",
        ),
        ({"pyproject.toml": "project = 1\n"}, "", "`project` must be a table"),
    ],
)
def test_what_cannot_be_worked_with(
    texts: dict[str, str], manager: str, message: str, tmp_path: Path
) -> None:
    with pytest.raises(LockstitchError, match=message.replace("[", r"\[")) as caught:
        plan.plan(write_files(tmp_path, texts), manager)
    assert all(each.message for each in caught.value.everything())
    assert {path.name for path in tmp_path.iterdir()} == set(texts)


def test_no_folder(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is no folder") as caught:
        plan.plan(tmp_path / "none")
    assert caught.value.hint.startswith("lockstitch new NAME")


def test_nothing_is_written_when_one_file_cannot_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = {"pyproject.toml": '[project]\nname = "x"\n', ".gitignore": "mine\n"}
    root = write_files(tmp_path, texts)
    (root / ".gitignore").chmod(0o600)
    found = plan.plan(root)
    real = files.write_bytes

    def full(path: Path, data: bytes, *, mode: int = 0o644) -> None:
        if path.name == "pyproject.toml":
            raise OSError(28, os.strerror(28), str(path))
        real(path, data, mode=mode)

    monkeypatch.setattr(files, "write_bytes", full)
    with pytest.raises(OSError, match="No space"):
        plan.write(found)
    assert {path.name: path.read_text() for path in root.iterdir()} == texts
    assert (root / ".gitignore").stat().st_mode & 0o777 == 0o600


def test_links_inside_the_folder_stay_links(tmp_path: Path) -> None:
    root = write_files(tmp_path, {"conf/real.toml": '[project]\nname = "x"\n'})
    (root / "pyproject.toml").symlink_to("conf/real.toml")
    plan.write(plan.plan(root))
    assert (root / "pyproject.toml").is_symlink()
    assert "[tool.lockstitch]" in (root / "conf" / "real.toml").read_text()


def test_hooks_that_are_there_are_kept(tmp_path: Path) -> None:
    remote = "repos:\n  - repo: https://example.com/hooks\n    rev: v1\n"
    config = ".pre-commit-config.yaml"
    found = plan.plan(write_files(tmp_path / "a", {config: remote}), tools="add")
    names = {change.name for change in found.changes}
    assert not names & {"prek.toml", ".kingfisher-rules.yaml", config}
    assert f"`{config}`: kept; `lockstitch hooks migrate` makes its hooks those of the lock" in (
        found.notes
    )
    found = plan.plan(
        write_files(tmp_path / "b", {config: "repos:\n  - repo: local\n    hooks: []\n"}),
        tools="add",
    )
    assert not [note for note in found.notes if "hooks" in note]


@pytest.mark.parametrize("name", ["pyproject.toml", ".gitignore", ".python-version"])
def test_nothing_outside_of_the_folder_is_touched(name: str, tmp_path: Path) -> None:
    root = write_files(tmp_path / "project", {"main.py": ""})
    (tmp_path / "outside").write_text("")
    (root / name).symlink_to(tmp_path / "outside")
    with pytest.raises(LockstitchError, match="leads out of"):
        plan.plan(root)
    assert (tmp_path / "outside").read_text() == ""


@pytest.mark.parametrize("kind", ["folder", "pipe", "link to nothing"])
def test_what_is_no_file_is_refused(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "requirements.txt"
    {"folder": path.mkdir, "pipe": lambda: os.mkfifo(path)}.get(
        kind, lambda: path.symlink_to("nothing")
    )()
    with pytest.raises(LockstitchError, match="is there and no file"):
        plan.plan(tmp_path)


def test_a_link_to_nothing_outside_is_not_made_something(tmp_path: Path) -> None:
    root = write_files(tmp_path / "project", {})
    root.mkdir()
    (root / "pyproject.toml").symlink_to("../new.toml")
    with pytest.raises(LockstitchError, match="leads out of"):
        plan.plan(root)


@pytest.mark.parametrize(
    "text",
    [
        "project.optional-dependencies = {x = 1}",
        "dependency-groups = [1]",
        "dependency-groups = {dev = 1, x = [1, {include-group = 'dev'}]}",
        "tool.poetry = {group = 1, name = 'x'}",
        "tool.poetry = {name = 'x', group = {a = 1}, dependencies = {python = 3}}",
        "tool.uv = {dev-dependencies = 1, package = 1}",
        "tool.lockstitch = {python = 3}",
        "tool = {ruff = 1, mypy = [], pytest = 'x', black = false}",
        "build-system = {build-backend = 1}",
        "project = {dynamic = 1, dependencies = [1], requires-python = 'x'}",
    ],
)
def test_strange_values_are_no_crash(text: str, tmp_path: Path) -> None:
    root = write_files(tmp_path, {"pyproject.toml": text, "pkg/__init__.py": "", "api.py": API})
    try:
        plan.write(plan.plan(root))
    except LockstitchError as error:
        assert error.message  # noqa: PT017 -- either is right
        assert (root / "pyproject.toml").read_text() == text


def test_the_difference_shows_no_password(tmp_path: Path) -> None:
    text = '[[tool.uv.index]]\nurl = "https://me:hunter2@example.test/simple"\n'
    shown = plan.diff(plan.plan(write_files(tmp_path, {"pyproject.toml": text})))
    assert "hunter2" not in shown
    assert "https://***@example.test" in shown


@pytest.mark.parametrize(
    ("python", "base"),
    [
        ("3.8", "cpython:3.8"),
        ("3.9", "debian:bullseye"),
        ("3.10", "cpython:3.10"),
        ("3.12", "cpython:3.12"),
        ("3.13", "debian:trixie"),
    ],
)
def test_a_named_python_has_its_base(python: str, base: str, tmp_path: Path) -> None:
    root = write_files(tmp_path / "a", {"api.py": API})
    plan.write(plan.plan(root, python=python, tools="add"))
    project = load.load(root)
    assert (project.python, project.base) == (python, base)
    assert (root / ".python-version").read_text() == f"{python}\n"
    for template in new.TEMPLATES if python in new.PYTHONS else ():
        new.create(tmp_path / template, template, python=python)
        project = load.load(tmp_path / template)
        assert (project.python, project.base) == (python, base)
        assert project.document["project"]["requires-python"].startswith(f">={python},<3.")
        assert (tmp_path / template / ".python-version").read_text() == f"{python}\n"


def test_the_group_dev_has_what_an_extra_dev_has(tmp_path: Path) -> None:
    text = """\
[project]
name = "lab"
version = "1"
dependencies = []
[project.optional-dependencies]
dev = ["black>=23", "lab[test]", "types-requests", "ruff>=0.1"]
test = ["pytest>=7", "pytest-cov"]
[dependency-groups]
lint = ["mypy>=1.7"]
"""
    document = decided(tmp_path, {"pyproject.toml": text, "prek.toml": ""})
    assert document["dependency-groups"]["dev"] == [
        *("black>=23", "mypy>=1.7", "prek", "pytest>=7", "ruff>=0.1", "types-requests")
    ]
    every = text + '[tool.uv]\ndefault-groups = "all"\n'
    document = decided(tmp_path / "all", {"pyproject.toml": every, "prek.toml": ""})
    assert "mypy>=1.7" not in document["dependency-groups"]["dev"]


def test_tools_added_later_find_the_groups_of_the_images(tmp_path: Path) -> None:
    decided(tmp_path, FLAT, tools="none")
    assert "uv" not in tomllib.loads((tmp_path / "pyproject.toml").read_text())["tool"]
    document = decided(tmp_path, {}, tools="add")
    assert document["tool"]["uv"] == {"default-groups": ["dev", "serve"]}
    own = (tmp_path / "pyproject.toml").read_text().replace('["dev", "serve"]', '["serve"]')
    (tmp_path / "pyproject.toml").write_text(own)
    assert decided(tmp_path, {}, tools="add")["tool"]["uv"] == {"default-groups": ["serve"]}


def test_mypy_is_told_where_to_look(tmp_path: Path) -> None:
    text = '[project]\nname = "lab"\nversion = "1"\n[tool.mypy]\nwarn_return_any = true\n'
    document = decided(tmp_path, {"pyproject.toml": text, "train.py": "", "src/a.py": ""})
    assert document["tool"]["mypy"] == {"warn_return_any": True, "files": ["src", "train.py"]}
    pattern = r"files = '(\.pyi?|^pyproject\.toml|^(uv|poetry)\.lock)$'"
    assert pattern in (tmp_path / "prek.toml").read_text()
    # Without code there is nothing to check until the first is committed.
    document = decided(tmp_path / "bare", {"pyproject.toml": text})
    assert document["tool"]["mypy"]["files"] == ["."]
    assert r"files = '\.pyi?$'" in (tmp_path / "bare" / "prek.toml").read_text()


def test_poetry_is_told_to_make_the_environment_that_the_hooks_are_of(tmp_path: Path) -> None:
    project = {"pyproject.toml": CLASSIC, "poetry.lock": ""}
    decided(tmp_path, project, "poetry")
    assert (tmp_path / "poetry.toml").read_text() == "[virtualenvs]\nin-project = true\n"
    assert 'entry = ".venv/bin/mypy"' in (tmp_path / "prek.toml").read_text()
    elsewhere = "[virtualenvs]\nin-project = false\n"
    decided(tmp_path / "elsewhere", project | {"poetry.toml": elsewhere}, "poetry")
    assert (tmp_path / "elsewhere" / "poetry.toml").read_text() == elsewhere
    assert 'entry = "poetry run -- mypy"' in (tmp_path / "elsewhere" / "prek.toml").read_text()


def test_a_python_that_no_base_has_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LockstitchError, match=r"`3\.7` is not a Python of a base"):
        plan.plan(tmp_path, python="3.7")
    with pytest.raises(LockstitchError, match=r"templates run on .*, not on `3\.10`"):
        new.create(tmp_path / "a", "iris", python="3.10")
    text = '[tool.lockstitch]\npython = "3.11"\n[tool.lockstitch.images.a]\ncommand = ["x"]\n'
    root = write_files(tmp_path / "b", {"pyproject.toml": text})
    assert any("`--python 3.12` is not used" in n for n in plan.plan(root, python="3.12").notes)


def test_the_python_that_a_file_names_decides_the_base(tmp_path: Path) -> None:
    root = write_files(tmp_path, {"api.py": API, ".python-version": "3.12.4\n"})
    plan.write(plan.plan(root))
    assert load.load(root).base == "cpython:3.12"


def test_a_folder_named_like_what_it_needs_is_no_dependency_of_itself(tmp_path: Path) -> None:
    texts = {"requirements.txt": "Flask>=3\n", "requirements-dev.txt": "pytest\n"}
    assert decided(tmp_path / "flask", texts)["project"]["name"] == "flask-app"
    assert decided(tmp_path / "pytest", texts)["project"]["name"] == "pytest-app"
    assert decided(tmp_path / "web", texts)["project"]["name"] == "web"


@pytest.mark.parametrize(
    ("requires", "named", "keeps"), [(">=3.11", "3.12", True), (">=3.13.99", "3.13", False)]
)
def test_how_a_python_is_kept_is_said_where_a_base_has_it(
    requires: str, named: str, *, keeps: bool, tmp_path: Path
) -> None:
    text = f'[project]\nname = "a"\nversion = "1"\nrequires-python = "{requires}"\n'
    root = write_files(tmp_path, {"pyproject.toml": text, ".python-version": f"{named}\n"})
    found = plan.plan(root, can_fetch=lambda _: False)
    (note,) = [note for note in found.notes if f"names Python {named}, the images get" in note]
    assert note.endswith(f"; `lockstitch init --python {named}` keeps it") is keeps


@pytest.mark.parametrize(
    ("asked", "pins", "written"),
    [
        (">=3.6", "a==1\nb==2\n", "==3.11.*"),
        (">=3.6,<3.13,!=3.9.*", "a\nb==2\n", ">=3.11,<3.13,!=3.9.*"),
        ("==3.8.*", "a==1\nb==2\n", "==3.8.*"),
    ],
)
def test_what_no_image_has_need_not_be_locked(
    tmp_path: Path, asked: str, pins: str, written: str
) -> None:
    setup = f"[metadata]\nname = c\n[options]\npython_requires = {asked}\n"
    texts = {"setup.cfg": setup, "c/__init__.py": "", "requirements.txt": pins}
    assert decided(tmp_path, texts)["project"]["requires-python"] == written


def commit_on(day: str, root: Path) -> Path:
    """Commit all files of a folder as of a day."""
    when = f"{day}T12:00:00Z"
    env = {**os.environ, "GIT_COMMITTER_DATE": when, "GIT_AUTHOR_DATE": when}
    who = ("-c", "user.name=a", "-c", "user.email=a@example.test", "-c", "commit.gpgsign=false")
    for words in (("init", "-q"), ("add", "-A"), (*who, "commit", "-qm", "a", "--allow-empty")):
        subprocess.run(["git", *words], cwd=root, env=env, check=True)
    return root


OPEN = {"requirements.txt": "pandas\n", "train.py": "import pandas\n"}


@pytest.mark.parametrize(
    ("day", "base", "newest"),
    [
        ("2021-11-03", "debian:bullseye", "2021-11-10"),
        ("2019-02-01", "debian:bullseye", "2021-07-01"),  # when 3.9 had wheels
        ("2023-01-01", "debian:bullseye", "2023-01-08"),
        ("2024-02-27", "debian:bookworm", "2024-03-05"),
        ("1970-01-01", "debian:bookworm", ""),  # no day of a clock
    ],
)
def test_a_repository_of_another_time_gets_the_versions_of_its_time(
    day: str, base: str, newest: str, tmp_path: Path
) -> None:
    root = commit_on(day, write_files(tmp_path, OPEN))
    commit_on("2026-01-01", write_files(root, {"README.md": "Hello\n", "docs/a.txt": "A\n"}))
    found = plan.plan(root)
    plan.write(found)
    assert load.load(root).base == base
    settings = load.load(root).document["tool"].get("uv", {})
    assert settings.get("exclude-newer", "") == (f"{newest}T00:00:00Z" if newest else "")
    said = f"the code last changed on {day}: versions as of {newest} are locked"
    assert any(said in note for note in found.notes) == bool(newest)


def test_one_that_is_looked_after_gets_the_newest_versions(tmp_path: Path) -> None:
    root = commit_on(clock.today(), write_files(tmp_path, OPEN))
    assert "exclude-newer" not in plan.diff(plan.plan(root))


@pytest.mark.parametrize(
    "texts",
    [
        {"requirements.txt": "--extra-index-url https://example.test/cpu\ntorch==2.0.1+cpu\n"},
        {"pyproject.toml": '[project]\nname = "a"\n[tool.uv]\nexclude-newer = "2022-01-01"\n'},
        {"pyproject.toml": '[[tool.uv.index]]\nurl = "https://example.test"\n'},
        {"uv.lock": "version = 1\n"},
    ],
)
def test_where_the_time_of_versions_is_decided_or_not_known(
    texts: dict[str, str], tmp_path: Path
) -> None:
    root = commit_on("2022-05-01", write_files(tmp_path, {**OPEN, **texts}))
    assert not any("versions as of" in note for note in plan.plan(root).notes)


def test_the_backend_of_a_package_is_of_today(tmp_path: Path) -> None:
    texts = {"setup.py": "setup(name='a')", "a/__init__.py": "", "requirements.txt": "pandas\n"}
    texts["requirements.txt"] += "shap==0.35.0\n"  # moves to one that may be younger than the day
    root = commit_on("2020-05-01", write_files(tmp_path, texts))
    plan.write(plan.plan(root))
    document = load.load(root).document
    settings = document["tool"]["uv"]
    assert "setuptools<81" in document["project"]["dependencies"]
    assert settings["exclude-newer-package"].keys() >= {"atomicwrites", "hatchling", "setuptools"}
    assert settings["exclude-newer"] == "2022-05-01T00:00:00Z"


@pytest.mark.parametrize(
    ("code", "python"),
    [
        ("import pandas\n", "3.9"),
        ("from functools import cache\ndef f(x: list[int]): ...\n", "3.9"),
        ("def f(x: int | None = None): ...\n", "3.11"),
        ("class A:\n    x: 'int'\n    def f(self) -> str | None: ...\n", "3.11"),
        ("match 1:\n    case 1:\n        pass\n", "3.11"),
        ("from typing import Self\n", "3.11"),
        ("import tomllib\n", "3.11"),
        ("for a in zip([], [], strict=True): ...\n", "3.11"),
    ],
)
def test_no_python_is_too_old_for_the_code(code: str, python: str, tmp_path: Path) -> None:
    root = commit_on("2022-11-03", write_files(tmp_path, {**OPEN, "train.py": code}))
    write_files(root, {"tests/test_a.py": "import tomllib\n"})  # no program imports it
    plan.write(plan.plan(root))
    assert load.load(root).python == python


def test_a_named_python_that_the_pins_are_too_new_for(tmp_path: Path) -> None:
    texts = {**OPEN, "requirements.txt": "pandas==3.0.1\n", "runtime.txt": "python-3.9.13\n"}
    plan.write(plan.plan(write_files(tmp_path, texts)))
    assert load.load(tmp_path).python == "3.11"


def test_a_pre_release_does_not_need_a_newer_python(tmp_path: Path) -> None:
    texts = {"requirements.txt": "aiohttp==4.0.0a1\nnumpy==1.20.3\n", "train.py": "import numpy\n"}
    plan.write(plan.plan(write_files(tmp_path, texts)))
    assert load.load(tmp_path).python == "3.9"


def test_what_moves_for_python_3_9_needs_little(tmp_path: Path) -> None:
    listed = "pandas==0.22.0\npython-dateutil==2.7.0\npytz==2018.3\n"
    texts = {"requirements.txt": listed, "train.py": "import pandas\n"}
    plan.write(plan.plan(write_files(tmp_path, texts)))
    dependencies = load.load(tmp_path).document["project"]["dependencies"]
    assert dependencies == ["pandas==1.1.*", "python-dateutil==2.7.3", "pytz==2018.3"]


@pytest.mark.parametrize(("day", "program"), [("2022-04-18", "gunicorn"), ("2025-04-18", "flask")])
def test_a_server_of_its_time(day: str, program: str, tmp_path: Path) -> None:
    texts = {"requirements.txt": "flask\n", "app.py": "from flask import Flask\napp = Flask('a')\n"}
    plan.write(plan.plan(commit_on(day, write_files(tmp_path, texts))))
    assert load.load(tmp_path).images[0].command[0] == program
