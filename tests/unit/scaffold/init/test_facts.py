"""Packages and programs are found in syntax trees; nothing is imported."""

from pathlib import Path

import pytest
from support import projects

from lockstitch.scaffold.init import facts
from lockstitch.scaffold.init.folder import Folder

API = """\
from fastapi import FastAPI
raise SystemExit("imported")
service = FastAPI()
@service.get("/healthz")
async def health(): ...
"""


def write_all(root: Path, texts: dict[str, str]) -> Folder:
    return Folder(projects.write_files(root, texts))


@pytest.mark.parametrize(
    ("names", "packages", "loose"),
    [
        (["src/a/__init__.py", "src/a/b.py", "src/train.py"], {"a": "src/a"}, ["src/*.py"]),
        (["a/__init__.py", "tests/__init__.py", "setup.py"], {"a": "a"}, []),
        (["a/__init__.py", "train.py", "conftest.py"], {"a": "a"}, ["train.py"]),
        (["src/__init__.py", "src/train.py", "src/x/y.py"], {"src": "src"}, []),
        (["src/train.py", "src/util/x.py"], {}, ["src/*.py", "src/util/**/*.py"]),
        (["app/main.py", ".hidden/x.py", ".venv/x/__init__.py"], {}, ["app/**/*.py"]),
        (["b-c/__init__.py"], {}, ["b-c/**/*.py"]),
        ([], {}, []),
    ],
)
def test_packages_and_what_is_in_none(
    names: list[str], packages: dict[str, str], loose: list[str], tmp_path: Path
) -> None:
    folder = write_all(tmp_path, dict.fromkeys(names, ""))
    assert facts.packages_of(folder) == packages
    assert facts.loose_modules(folder, packages) == loose


@pytest.mark.parametrize("path", ["train.py", "src/train.py", "pkg/train.py"])
def test_a_trainer(path: str, tmp_path: Path) -> None:
    folder = write_all(tmp_path, {path: "", "pkg/__init__.py": ""})
    assert facts.trainer_of(folder, facts.packages_of(folder)) == path


def test_a_program_that_cannot_be_read_is_none(tmp_path: Path) -> None:
    folder = write_all(tmp_path, {"train.py": "print 'two'", "api.py": "\0"})
    assert facts.trainer_of(folder, {}) == ""
    assert facts.server_of(folder, {}) is None


def test_a_server_and_its_route(tmp_path: Path) -> None:
    found = facts.server_of(write_all(tmp_path, {"src/api.py": API}), {})
    assert found == facts.Server(
        path="src/api.py", attribute="service", factory=False, health="/healthz"
    )


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("import fastapi\nx: fastapi.FastAPI = fastapi.FastAPI()", ("x", False, "")),
        ("import fastapi\nfrom .web import make\napp = make()", ("app", False, "")),
        (
            (
                "from fastapi import FastAPI\ndef create_app(*, a=1):\n  app = FastAPI()\n"
                "  @app.get('/health')\n  def ok(): ...\n  return app"
            ),
            ("create_app", True, "/health"),
        ),
        ("from fastapi import FastAPI\ndef create_app(a): ...", None),
        ("app = make()", None),
        ("import flask\napp = flask.Flask(__name__)", None),
        (
            (
                "from fastapi import *\napp = FastAPI()\nr = APIRouter(prefix='/v1')\n"
                "@r.get('/health')\ndef ok(): ..."
            ),
            ("app", False, ""),
        ),
        (
            (
                "from fastapi import *\napp = FastAPI()\n@app.post('/health')\ndef ok(): ...\n"
                "@app.get\ndef no(): ...\n@app.get()\ndef never(): ..."
            ),
            ("app", False, ""),
        ),
    ],
)
def test_what_is_an_application(
    text: str, wanted: tuple[str, bool, str] | None, tmp_path: Path
) -> None:
    found = facts.server_of(write_all(tmp_path, {"main.py": text}), {})
    assert (found and (found.attribute, found.factory, found.health)) == wanted


def test_links_that_lead_out_are_not_there(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    write_all(outside, {"api.py": API, "pkg/__init__.py": ""})
    root = tmp_path / "project"
    root.mkdir()
    (root / "api.py").symlink_to(outside / "api.py")
    (root / "pkg").symlink_to(outside / "pkg")
    folder = Folder(root)
    assert facts.packages_of(folder) == {}
    assert facts.server_of(folder, {}) is None
    assert facts.loose_modules(folder, {}) == []
