"""Imports are followed from where a program starts, and none is called needed that is not."""

import sys
from collections.abc import Mapping

import pytest

from lockstitch.python.commands import entry_of
from lockstitch.python.imports import Entry, Reach, Tree, follow, standard_library

SCRIPT = Entry(path="main.py", roots=("",))


def needed(files: Mapping[str, str], entry: Entry = SCRIPT, **facts: object) -> dict[str, bool]:
    tree = Tree(frozenset(files), files.get, **facts)
    answer: dict[str, bool] = {}
    for each in follow(tree, entry):
        answer[each.module] = answer.get(each.module, False) or each.reach is Reach.CERTAIN
    return answer


@pytest.mark.parametrize(
    ("text", "modules"),
    [
        ("import a, b.c\nfrom d.e import f", {"a": True, "b.c": True, "d.e": True}),
        ("try:\n import a\nexcept ImportError:\n import b\n", {"a": False, "b": False}),
        ("try:\n import a\nexcept (KeyError, ModuleNotFoundError):\n a = None", {"a": False}),
        ("try:\n import a\nexcept KeyError:\n pass", {"a": True}),
        ("try:\n x()\nfinally:\n import a", {"a": True}),
        ("import contextlib\nwith contextlib.suppress(ImportError):\n import a", {"a": False}),
        ("from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n import a", {}),
        ("import typing as t\nif t.TYPE_CHECKING:\n import a\nelse:\n import b", {"b": True}),
        ("import sys\nif sys.platform == 'win32':\n import a\nelse:\n import b", {"b": True}),
        ("import sys\nif sys.platform.startswith('win'):\n import a", {}),
        ("import os\nif os.name == 'nt':\n import a", {}),
        ("import sys\nif sys.version_info >= (3, 11):\n import a\nelse:\n import b", {"a": True}),
        ("import sys\nif sys.version_info[:2] < (3, 8):\n import a", {}),
        ("import platform\nif platform.system() == 'Darwin':\n import a", {}),
        ("if x:\n import a", {"a": False}),
        ("def f():\n import a", {"a": False}),
        ("def f():\n import a\nf()", {"a": True}),
        ("def f():\n g()\ndef g():\n import a\nx = f()", {"a": True}),
        ("def f():\n import a\nif __name__ == '__main__':\n f()", {"a": True}),
        ("def f():\n if x:\n  return\n import a\nf()", {"a": False}),
        ("def f():\n if y:\n  import a\n import b\nf()", {"a": False, "b": True}),
        ("class C:\n import a\n def f(self):\n  import b", {"a": True, "b": False}),
        (
            "import importlib\nimportlib.import_module('a.b')\nimportlib.import_module(x)",
            {"a.b": True},
        ),
        ("x = lambda: __import__('a')", {}),
        ("import uvicorn\nuvicorn.run('a.b:app')", {"uvicorn": True, "a.b": True}),
        ("y = __import__('a') if x else None", {}),
        ("for x in y:\n import a", {"a": False}),
        ("while True:\n import a", {"a": True}),
        ("import sys\nsys.exit()\nimport a", {"a": True}),
        ("raise SystemExit\nimport a", {}),
        ("with open(x) as f:\n import a", {"a": True}),
        ("import (", {}),
        ("x = '\\ud800'", {}),
    ],
)
def test_what_one_file_needs(text: str, modules: dict[str, bool]) -> None:
    library = {"sys", "os", "typing", "contextlib", "importlib", "platform"}
    found = needed({"main.py": text})
    assert {k: v for k, v in found.items() if k.partition(".")[0] not in library} == modules


def test_own_modules_are_followed() -> None:
    files = {
        "src/train.py": "from pkg.data import load\nimport helper\nfrom pkg import late\n",
        "src/helper.py": "import a",
        "src/pkg/__init__.py": "import b",
        "src/pkg/data.py": "from . import tools\nfrom .deep.er import x\nfrom .. import no",
        "src/pkg/tools.py": "def f():\n    import c\n",
        "src/pkg/deep/__init__.py": "",
        "src/pkg/deep/er.py": "import d",
        "src/pkg/late.py": "if __name__ == '__main__':\n    import e\n",
        "src/unused.py": "import z",
    }
    entry = Entry(path="src/train.py", roots=("src",))
    assert needed(files, entry) == {"a": True, "b": True, "c": False, "d": True}


def test_the_import_root_is_the_one_of_the_command() -> None:
    files = {"src/config.py": "import a", "src/train.py": "from src.config import x"}
    as_module = entry_of(["python", "-m", "src.train"], {})
    assert as_module == Entry(module="src.train", roots=("",))
    assert needed(files, as_module) == {"a": True}
    as_script = entry_of(["python", "src/train.py"], {})
    assert as_script == Entry(path="src/train.py", roots=("src",))
    assert needed(files, as_script) == {"src.config": True}, "as python says: no module `src`"
    assert needed(files, entry_of(["python", "src/train.py"], {"PYTHONPATH": "/app"})) == {
        "a": True
    }


def test_a_package_is_run_by_its_main() -> None:
    files = {
        "p/__init__.py": "import a",
        "p/__main__.py": "import b\nif __name__ == '__main__':\n import c",
    }
    assert needed(files, Entry(module="p", roots=("",))) == {"a": True, "b": True, "c": True}


def test_what_django_imports_by_name_is_imported() -> None:
    files = {
        "manage.py": "import os, django\nos.environ.setdefault('DJANGO_SETTINGS_MODULE', 'p.s')",
        "p/__init__.py": "",
        "p/s.py": (
            "# django\nINSTALLED_APPS = ['django.contrib.auth', 'cors', 'Api', 'shop.apps.Shop']\n"
            "if DEBUG:\n INSTALLED_APPS += ['toolbar']\nROOT_URLCONF = 'p.urls'\n"
            "MIDDLEWARE = ['white.noise.Middle', 'p.limits.limit', 'a label']\nOTHERS = ['none']\n"
            "WSGI_APPLICATION = 'p.wsgi.application'\n"
        ),
        "p/limits.py": "import e",
        "p/urls.py": "from django.urls import include\nu = [include('shop.urls'), include(x)]",
        "Api/__init__.py": "",
        "Api/models.py": "import d",
        "p/wsgi.py": "",
        "shop/__init__.py": "",
        "shop/apps.py": "import a",
        "shop/models.py": "import b",
        "shop/urls.py": "from . import views",
        "shop/views.py": "import c",
    }
    assert needed(files, Entry(path="manage.py", roots=("",))) == {
        "os": True,
        "django": True,
        "django.urls": True,
        "django.contrib": True,
        "cors": True,
        "toolbar": False,
        "white": True,
        "a": True,
        "b": True,
        "c": True,
        "d": True,
        "e": True,
    }


@pytest.mark.parametrize("name", ["f'pages.{x}'", "'pages.' + x"])
def test_of_a_name_that_a_run_makes_all_modules_may_be_imported(name: str) -> None:
    files = {
        "main.py": f"from importlib import import_module\nfor x in y:\n    import_module({name})\n",
        "pages/__init__.py": "",
        "pages/one/__init__.py": "from .parts import p",
        "pages/one/parts.py": "import a",
        "other.py": "import z",
    }
    assert needed(files) == {"importlib": True, "a": False}


@pytest.mark.parametrize(
    ("load", "loaded"),
    [
        ("st.Page('parts/one.py')", True),
        ("exec(open(f'parts/{x}.py').read())", True),
        ("run_path(str(HERE / 'parts' / f'{x}.py'))", True),
        ("run_path(os.path.join(HERE, 'web', 'parts', x + '.py', 'web/parts/one.py'))", True),
        ("import_module({'a': 'parts.one'}[x]).show()", True),
        ("print('parts/one.py', 'parts.one')", False),
    ],
)
def test_what_code_loads_by_a_path_or_a_name_may_be_imported(load: str, *, loaded: bool) -> None:
    files = {"web/app.py": load, "web/parts/one.py": "import a", "web/other.py": "import z"}
    entry = Entry(path="web/app.py", roots=("web",))
    assert needed(files, entry) == ({"a": False} if loaded else {})


def test_pages_are_imported_by_their_place() -> None:
    page = {"web/pages/one.py": "import a", "web/sub/two.py": "import b", "web/x.py": "import z"}
    dash = "import dash\ndash.Dash(__name__, use_pages=True)"
    entry = Entry(path="web/app.py", roots=("web",))
    assert needed({"web/app.py": dash, **page}, entry) == {"dash": True, "a": True}
    moved = dash.replace("True", "True, pages_folder='sub'")
    assert needed({"web/app.py": moved, **page}, entry) == {"dash": True, "b": True}
    main = "from kedro.framework.project import configure_project\nconfigure_project('k')"
    kedro = {"src/k/__main__.py": main, "src/k/__init__.py": "", "src/k/p/nodes.py": "import a"}
    assert needed(kedro, Entry(module="k", roots=("src",)))["a"] is True
    assert needed({"web/app.py": "import streamlit as st", **page}, entry) == {
        "streamlit": True,
        "a": False,
    }
    assert needed({"web/app.py": "import streamlit.x", "main.py": "", **page}) == {}


def test_a_module_that_its_folder_lacks_is_told_with_its_place() -> None:
    files = {
        "main.py": (
            "import app.gone\nfrom app.here import x\nfrom app import name\nimport space.gone\n"
            "from app.fast import y\nimport app.native.deep\nimport other.gone\nimport one.two"
        ),
        "app/__init__.py": "",
        "app/here.py": "from .model.loader import load\nfrom . import name\nfrom .. import up",
        "app/fast.cpython-311-x86_64-linux-gnu.so": "",
        "app/native/deep.py": "",
        "space/a.py": "",
        "one.py": "",
    }
    lacks = follow(Tree(frozenset(files), files.get), SCRIPT)
    assert {lack.module: lack.file for lack in lacks} == {
        "app.gone": "app/gone.py",
        "app.model.loader": "app/model/loader.py",
        "space.gone": "space/gone.py",
        "other.gone": "",
        "one.two": "one/two.py",
    }
    compiled = {"main.py": "import app.fast", "app/__init__.py": ""}
    tree = Tree(frozenset(compiled), {**compiled, "app/fast.pyx": ""}.get)
    assert follow(tree, SCRIPT) == ()


def test_circles_end() -> None:
    files = {"main.py": "import a", "a.py": "import b", "b.py": "import a\nimport main\nimport z"}
    assert needed(files) == {"z": True}


def test_installed_own_packages_are_read_where_they_stand() -> None:
    files = {
        "main.py": "from own.x import y",
        "src/own/__init__.py": "",
        "src/own/x.py": "import a",
    }
    assert needed(files, installed={"own": "src"}) == {"a": True}


@pytest.mark.parametrize(
    ("command", "entry"),
    [
        ("python app.py", Entry(path="app.py", roots=("",))),
        ("python -u -W ignore src/app.py --x", Entry(path="src/app.py", roots=("src",))),
        ("/usr/bin/python3.11 -m pkg.train", Entry(module="pkg.train", roots=("",))),
        ("uvicorn api:app --app-dir src --port 1", Entry(module="api", roots=("src",))),
        ("uvicorn --host 0.0.0.0 app.main:app", Entry(module="app.main", roots=("",))),
        ("python -m uvicorn app.main:app", Entry(module="app.main", roots=("",))),
        ("gunicorn -w 2 --chdir web wsgi:app", Entry(module="wsgi", roots=("web",))),
        ("gunicorn -k x.Y a:create()", Entry(module="a", roots=("",))),
        ("gunicorn shop.wsgi --log-file -", Entry(module="shop.wsgi", roots=("",))),
        ("gunicorn -b 0.0.0.0:80 shop.wsgi", Entry(module="shop.wsgi", roots=("",))),
        ("gunicorn --workers 2", None),
        # A program's own file sees the script's folder, `python -m` this one as well.
        ("streamlit run ui/app.py --server.port 1", Entry(path="ui/app.py", roots=("ui",))),
        ("python -m streamlit run ui/app.py", Entry(path="ui/app.py", roots=("ui", ""))),
        (
            "fastapi run --host 0.0.0.0 src/own",
            Entry(path="src/own/__init__.py", roots=("src/own", "")),
        ),
        ("fastapi run api.py", Entry(path="api.py", roots=("", ""))),
        ("flask --app server run", Entry(module="server", roots=("",))),
        ("flask run", Entry(module="app", roots=("",))),
        ("celery -A tasks worker", Entry(module="tasks", roots=("",))),
        ("torchrun --nproc 2 train.py", Entry(path="train.py", roots=("",))),
        ("accelerate launch train.py", Entry(path="train.py", roots=("",))),
        ("python -m awslambdaric api.main.handler", Entry(module="api.main", roots=("",))),
        ("python -c pass", None),
        ("python ../x.py", None),
        ("mlflow server", None),
    ],
)
def test_where_a_command_begins(command: str, entry: Entry | None) -> None:
    assert entry_of(command.split(), {}) == entry


def test_the_standard_library_of_other_pythons() -> None:
    known = sys.stdlib_module_names
    assert {"distutils", "imp", "telnetlib"} <= standard_library(11, known)
    assert not {"distutils", "imp"} & standard_library(12, known)
    assert "telnetlib" in standard_library(12, known)
    assert "cgi" not in standard_library(13, known)
    assert "tomllib" not in standard_library(10, known)


@pytest.mark.parametrize(
    ("text", "reach"),
    [
        ("try:\n import a\nexcept ImportError:\n pass", Reach.OPTIONAL),
        ("try:\n import x\nexcept ImportError:\n import a", Reach.OPTIONAL),
        ("from importlib.util import find_spec\nif find_spec('a'):\n import a", Reach.OPTIONAL),
        ("if HAS_GPU:\n import a", Reach.OPTIONAL),
        ("def f():\n try:\n  import a\n except ImportError:\n  pass", Reach.OPTIONAL),
        ("def f():\n import a", Reach.POSSIBLE),
        ("if flag:\n import a", Reach.POSSIBLE),
        ("import a", Reach.CERTAIN),
    ],
)
def test_how_sure_it_is(text: str, reach: Reach) -> None:
    tree = Tree(frozenset({"main.py"}), {"main.py": text}.get)
    assert {each.reach for each in follow(tree, SCRIPT) if each.module == "a"} == {reach}
