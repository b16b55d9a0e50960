"""An image whose program cannot start is not made."""

import dataclasses
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest
from support import values

from lockstitch.digest import of_bytes
from lockstitch.errors import LockstitchError
from lockstitch.files import FoundFile
from lockstitch.image import imports
from lockstitch.image.imports import Modules, modules_of
from lockstitch.image.plan import Prepared
from lockstitch.python.imports import Contents
from lockstitch.python.locks.resolution import LockedWheel
from lockstitch.python.model import ImageSpec, Project
from lockstitch.store import Store

BASE = values.debian_base()


def zipped(path: Path, *names: str) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(name, "")
    return path


def test_what_a_wheel_brings(tmp_path: Path) -> None:
    path = zipped(
        tmp_path / "a.whl",
        *("demo/__init__.py", "demo/x.py", "single.py", "fast.cpython-311-x86_64-linux-gnu.so"),
        *("abi.abi3.so", "google/cloud/storage/__init__.py", "google/py.typed", "data.txt"),
        *("demo-1.data/purelib/late/__init__.py", "demo-1.data/scripts/tool"),
        *("demo-1.data/headers/x.h", "demo-1.dist-info/METADATA"),
    )
    with zipfile.ZipFile(path, "a") as archive:
        text = "[console_scripts]\ndemo = demo:main\n[other]\nno = x:y\n"
        archive.writestr("demo-1.dist-info/entry_points.txt", text)
    assert modules_of(path) == Modules(
        tops=frozenset({"demo", "single", "fast", "abi", "late"}),
        spaces={"google": frozenset({"cloud"})},
        programs={"tool": "", "demo": "demo"},
    )


class Case:
    """A project with one image, and the wheels that it has."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "project"
        self.root.mkdir()
        self.store = Store(folder / "store")
        self.wheels: list[LockedWheel] = []
        self.programs: set[str] = set()  # of the base

    def wheel(
        self, name: str, *names: str, programs: str = "", texts: Mapping[str, str] | None = None
    ) -> None:
        path = zipped(self.root.parent / f"{name}.whl", *names)
        with zipfile.ZipFile(path, "a") as archive:
            for each, text in (texts or {}).items():
                archive.writestr(each, text)
        if programs:
            with zipfile.ZipFile(path, "a") as archive:
                archive.writestr(f"{name}-1.dist-info/entry_points.txt", programs)
        digest = self.store.put(path.read_bytes())
        self.wheels.append(
            LockedWheel(
                name=name,
                version="1",
                filename=f"{name}-1-py3-none-any.whl",
                url="",
                digest=digest,
                size=1,
                uploaded=0,
            )
        )

    def check(
        self, command: str, allow: tuple[str, ...] = (), before: tuple[str, ...] = (), **texts: str
    ) -> list[str]:
        project, prepared = self.prepared(command, allow, before, **texts)
        return imports.check(project, prepared, self.store, lambda: self.programs)

    def prepared(
        self, command: str, allow: tuple[str, ...] = (), before: tuple[str, ...] = (), **texts: str
    ) -> tuple[Project, Prepared]:
        found = []
        for name, text in texts.items():
            path = self.root / f"{name.replace('__', '/')}.py"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
            facts = path.stat()
            found.append(
                FoundFile(
                    name=path.relative_to(self.root).as_posix(),
                    path=path,
                    size=facts.st_size,
                    mtime_ns=facts.st_mtime_ns,
                    executable=False,
                    outside=False,
                )
            )
        words = tuple(command.split())
        spec = ImageSpec(name="serve", before=before, command=words, allow_missing=allow)
        project = values.project(root=self.root, name="p", version="1", images=(spec,))
        prepared = Prepared(
            spec=spec,
            base=BASE,
            wheels=tuple(self.wheels),
            files=tuple(found),
            project_wheel=None,
            layers=(),
            created=0,
            lock=of_bytes(b""),
        )
        return project, prepared


@pytest.fixture
def project(tmp_path: Path) -> Case:
    return Case(tmp_path)


def test_what_the_start_needs_and_nothing_has_is_an_error(project: Case) -> None:
    project.wheel("numpy", "numpy/__init__.py")
    with pytest.raises(LockstitchError) as caught:
        project.check(
            "python main.py", main="import numpy.linalg, json\nimport sklearn\nimport a_b.c"
        )
    errors = [(each.message, each.hint) for each in caught.value.everything()]
    assert errors == [
        (
            "main.py:2: `sklearn` is in no package of image `serve`",
            'uv add --frozen scikit-learn && lockstitch lock; or allow-missing = ["sklearn"]',
        ),
        (
            "main.py:3: `a_b.c` is in no package of image `serve`",
            'uv add --frozen a-b && lockstitch lock; or allow-missing = ["a_b"]',
        ),
    ]


def test_only_a_module_that_changed_is_read_again(
    project: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.wheel("numpy", "numpy/__init__.py")
    parsed: list[str] = []
    read = imports.read

    def counted(text: str, python: tuple[int, int], *, is_main: bool) -> Contents:
        parsed.append(text)
        return read(text, python, is_main=is_main)

    monkeypatch.setattr(imports, "read", counted)
    main = "import other\n\ntry:\n    import absent\nexcept ImportError:\n    pass\n"
    assert project.check("python main.py", main=main, other="import numpy\n") == []
    assert {*parsed} == {main, "import numpy\n"}
    parsed.clear()
    # Another answer each time: it is of the bytes of all layers, and of what may be missing.
    assert project.check("python main.py", ("x",), main=main, other="import numpy, os\n") == []
    assert parsed == ["import numpy, os\n"]
    with pytest.raises(LockstitchError, match=r"other\.py:1: `gone` is in no package"):
        project.check("python main.py", ("y",), main=main, other="import gone\n")


def test_a_module_of_grpc_is_made_or_included(project: Case) -> None:
    def hint() -> str:
        with pytest.raises(LockstitchError) as caught:
            project.check("python main.py", main="import score_pb2\n")
        return caught.value.hint

    wanted = 'uv add --frozen score-pb2 && lockstitch lock; or allow-missing = ["score_pb2"]'
    assert hint() == wanted
    (project.root / "protos").mkdir()
    (project.root / "protos" / "score.proto").write_text('syntax = "proto3";\n')
    assert hint() == (
        "uv run --with grpcio-tools python -m grpc_tools.protoc -I protos --python_out=. "
        "--grpc_python_out=. protos/score.proto"
    )
    (project.root / "score_pb2.py").write_text("")
    assert hint() == 'include = ["score_pb2.py"] in [tool.lockstitch.images.serve]'


def test_a_program_of_the_project_s_own_wheel_is_followed(project: Case) -> None:
    """A module beside the packages is not installed with them, whatever the image includes."""
    texts = {"src__tool__cli": "import common, sklearn\n", "src__common": ""}
    (project.root / "src" / "tool").mkdir(parents=True)
    (project.root / "src" / "tool" / "__init__.py").write_text("")
    own = Modules(tops=frozenset({"tool"}), spaces={}, programs={"tool": "tool.cli"})
    start = imports.Start.of(*project.prepared("tool", **texts), own)
    assert [(each.module, each.path) for each in start.lacking([])] == [
        ("common", "src/tool/cli.py"),
        ("sklearn", "src/tool/cli.py"),
    ]
    with pytest.raises(LockstitchError) as caught:
        start.check([], project.store)
    assert [each.hint for each in caught.value.everything()] == [
        'env = {PYTHONPATH = "/app/src"} in [tool.lockstitch.images.serve]',
        'uv add --frozen scikit-learn && lockstitch lock; or allow-missing = ["sklearn"]',
    ]


def test_what_is_allowed_to_be_missing_is_not_said(project: Case) -> None:
    assert project.check("python main.py", ("torch",), main="import torch.cuda") == []


def test_what_may_be_imported_later_is_a_note(project: Case) -> None:
    text = "def f():\n    import torch\ntry:\n    import ujson\nexcept ImportError:\n    pass\n"
    assert project.check("python main.py", main=text) == [
        "not in the image, and imported in functions or branches: `torch` (main.py:2)"
    ]


def test_a_namespace_is_looked_into(project: Case) -> None:
    project.wheel("google-cloud-storage", "google/cloud/storage/__init__.py")
    project.wheel("protobuf", "google/protobuf/__init__.py")
    assert (
        project.check("python main.py", main="import google.protobuf, google.cloud.storage") == []
    )
    with pytest.raises(LockstitchError, match=r"`google\.auth\.x` is in no package"):
        project.check("python other.py", other="import google.auth.x")


def test_the_library_is_that_of_the_base(project: Case) -> None:
    assert project.check("python main.py", main="import tomllib, distutils, sqlite3") == []
    with pytest.raises(LockstitchError, match="`tkinter`, a part of Python, is not in the base"):
        project.check("python other.py", other="import tkinter")


def test_a_program_that_no_package_has_is_an_error(project: Case) -> None:
    project.wheel("uvicorn", "uvicorn/__init__.py", programs="[console_scripts]\nuvicorn = u:m\n")
    assert project.check("uvicorn api:app", api="app = 1") == []
    with pytest.raises(
        LockstitchError, match="`gunicorn`, the command of `serve`, is in no package"
    ):
        project.check("gunicorn api:app", api="app = 1")
    with pytest.raises(LockstitchError, match="the base has no shell"):
        project.check("sh start.sh")
    project.programs = {"sh", "ffmpeg"}
    assert project.check("sh start.sh") == []
    assert project.check("ffmpeg -version") == []


def test_wheels_that_are_not_known_any_more_give_no_note(project: Case) -> None:
    project.wheel("numpy", "numpy/__init__.py")
    (wheel,) = project.wheels
    project.wheels = [dataclasses.replace(wheel, digest=of_bytes(b"gone"))]
    assert project.check("python main.py", main="import numpy, sklearn") == []


def test_what_a_wheel_brings_is_remembered_without_it(project: Case) -> None:
    project.wheel("numpy", "numpy/__init__.py")
    assert project.check("python main.py", main="import numpy") == []
    project.store.path(project.wheels[0].digest).unlink()
    with pytest.raises(LockstitchError, match="`sklearn`"):
        project.check("python other.py", other="import numpy, sklearn")


# --- what packages import without asking for it


def undeclared(project: Case, command: str = "python main.py", **texts: str) -> list[str]:
    with pytest.raises(LockstitchError) as caught:
        project.check(command, **texts)
    return [each.message for each in caught.value.everything()]


def test_what_a_package_imports_and_no_package_has(project: Case) -> None:
    project.wheel("front", texts={"front/__init__.py": "from back.deep import (\n    tool,\n)\n"})
    project.wheel(
        "back",
        texts={
            "back/__init__.py": "",
            "back/deep/__init__.py": "",
            "back/deep/tool.py": "from ..utils import names\n",
            "back/utils/names.py": "import os\nimport pkg_resources as p\n",
            "back/other.py": "import setuptools\n",
        },
    )
    with pytest.raises(LockstitchError) as caught:
        project.check("python main.py", main="import front")
    assert caught.value.message == (
        "back/utils/names.py:2 of `back 1`: `pkg_resources` is in no package of image `serve`"
    )
    assert caught.value.hint == (
        "uv add --frozen 'setuptools<81' && lockstitch lock; or allow-missing = [\"pkg_resources\"]"
    )
    assert project.check("python main.py", ("pkg_resources",), main="import front") == []
    project.wheel("setuptools", "pkg_resources/__init__.py", "setuptools/__init__.py")
    assert project.check("python main.py", main="import front") == []


@pytest.mark.parametrize(
    "text",
    [
        "try:\n    import pkg_resources\nexcept ImportError:\n    pkg_resources = None\n",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import pkg_resources\n",
        "def late():\n    import pkg_resources\n",
        "class A:\n    def late(self):\n        import pkg_resources\n",
        '"""An example:\n\nimport pkg_resources\n"""\n',
        "with try_import() as found:\n    import pkg_resources\n",
        "import contextlib\nwith contextlib.suppress(ImportError):\n    import pkg_resources\n",
        "import sys\nif sys.version_info < (3, 8):\n    import pkg_resources\n",
        "import sys\nif sys.platform == 'win32':\n    import pkg_resources\n",
        "def __getattr__(name):\n    import pkg_resources\n",
        "try:\n    from . import inner\nexcept ImportError:\n    pass\n",
        "def f():\n    from . import inner\n",
        "from . import broken\n",
        "from .nothing import inner\n",
        "import sys\nif sys.version_info < (3, 11, 3):\n    import pkg_resources\n",
        "import sys\nif sys.version_info[:3] >= (3, 11, 3):\n    x = 1\nelse:\n    import imp\n",
        "import __main__\n",
        "def inner(): pass\nfrom lib import inner\n",
        "from .two import inner\nfrom lib import inner\n",
        "inner: int = 3\nfrom . import inner\n",
    ],
)
def test_what_a_package_starts_without(text: str, project: Case) -> None:
    files = {"lib/inner.py": "import pkg_resources\n", "lib/broken.py": "import pkg_resources\n]"}
    project.wheel("lib", texts={"lib/__init__.py": text, **files})
    assert project.check("python main.py", main="import lib") == []


@pytest.mark.parametrize(
    "text",
    [
        "def _check():\n    from pkg_resources import parse_version\n\n_check()\n",
        "import sys\nif sys.version_info < (3, 8):\n    raise RuntimeError\nimport pkg_resources\n",
        "class A:\n    import pkg_resources\n",
        "if True:\n    import pkg_resources\n",
        "import os, pkg_resources  # both\n",
        "from .inner import (  # a comment\n    a,\n)\n",
        "from . import inner\n",
        "import lib.inner as i\n",
    ],
)
def test_what_a_package_certainly_imports(text: str, project: Case) -> None:
    project.wheel("lib", texts={"lib/__init__.py": text, "lib/inner.py": "import pkg_resources\n"})
    (message,) = undeclared(project, main="import lib")
    assert message.endswith("of `lib 1`: `pkg_resources` is in no package of image `serve`")


def test_programs_of_packages_are_followed(project: Case) -> None:
    project.wheel(
        "served",
        programs="[console_scripts]\nserved = served.cli:main\n",
        texts={
            "served/__init__.py": "",
            "served/cli.py": "import six\n",
            "served/__main__.py": "import pkg_resources\n",
        },
    )
    six = "served/cli.py:1 of `served 1`: `six` is in no package of image `serve`"
    assert undeclared(project, "served main.py", main="") == [six]
    main = "served/__main__.py:1 of `served 1`: `pkg_resources` is in no package of image `serve`"
    assert undeclared(project, "python -m served", main="") == [main]


def test_a_package_that_changes_how_modules_are_found(project: Case) -> None:
    texts = {"odd/__init__.py": "import sys\nsys.modules['made'] = sys\nfrom . import user\n"}
    project.wheel("odd", texts={**texts, "odd/user.py": "import made\nimport six\n"})
    (message,) = undeclared(project, main="import odd")
    assert "`six`" in message


def test_what_a_package_has_in_a_folder_that_it_adds_to_the_path(project: Case) -> None:
    """pkg_resources of setuptools 71 to 80 imports `packaging` out of `setuptools/_vendor`."""
    front = "import sys\nsys.path.extend(['_vendor'])\nimport packaging.markers\nimport six\n"
    vendored = {"tools/_vendor/packaging/__init__.py": "", "tools/_vendor/packaging/markers.py": ""}
    project.wheel("tools", texts={"tools/__init__.py": front, **vendored})
    (message,) = undeclared(project, main="import tools")
    assert "`six`" in message


def test_what_was_read_of_a_wheel_is_remembered(project: Case) -> None:
    project.wheel("lib", texts={"lib/__init__.py": "import six\n"})
    undeclared(project, main="import lib")
    (digest,) = [wheel.digest for wheel in project.wheels]
    assert project.store.record("imported", f"{digest.hex}-1") == {
        "lib/__init__.py": [[1, True, 0, "six", []]]
    }


def test_what_runs_before_the_command_is_followed_too(project: Case) -> None:
    texts = {"main": "import json\n", "first": "import polars\n"}
    assert project.check("python main.py", **texts) == []
    with pytest.raises(LockstitchError, match=r"first\.py:1: `polars` is in no package"):
        project.check("python main.py", before=("python first.py",), **texts)
    with pytest.raises(LockstitchError, match="`dvc`, the command of `serve`, is in no package"):
        project.check("python main.py", before=("dvc repro",), **texts)
