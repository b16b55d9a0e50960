"""An image whose program cannot start is not made."""

import dataclasses
import zipfile
from pathlib import Path

import pytest

from lockstitch.digest import of_bytes
from lockstitch.errors import LockstitchError
from lockstitch.files import FoundFile
from lockstitch.image import imports
from lockstitch.image.imports import Modules, modules_of
from lockstitch.image.plan import Prepared
from lockstitch.lock.bases.debian import DebianBase
from lockstitch.python.locks.resolution import LockedWheel
from lockstitch.python.model import ImageSpec, Project
from lockstitch.store import Store

BASE = DebianBase(
    release="bookworm",
    platform="linux/amd64",
    python="3.11.2",
    glibc="2.36",
    snapshot="20260711T101637Z",
    packages=(),
)


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
        programs=frozenset({"tool", "demo"}),
    )


class Case:
    """A project with one image, and the wheels that it has."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "project"
        self.root.mkdir()
        self.store = Store(folder / "store")
        self.wheels: list[LockedWheel] = []

    def wheel(self, name: str, *names: str, programs: str = "") -> None:
        path = zipped(self.root.parent / f"{name}.whl", *names)
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

    def check(self, command: str, allow: tuple[str, ...] = (), **texts: str) -> list[str]:
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
        spec = ImageSpec(name="serve", command=tuple(command.split()), allow_missing=allow)
        project = Project(
            root=self.root,
            name="p",
            version="1",
            python="3.11",
            base="debian:bookworm",
            platforms=("linux/amd64",),
            images=(spec,),
            is_package=False,
            build_requires=(),
            document={},
        )
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
        return imports.check(project, prepared, self.store)


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
            'uv add scikit-learn, in a group of the image; or allow-missing = ["sklearn"]',
        ),
        (
            "main.py:3: `a_b.c` is in no package of image `serve`",
            'uv add a-b, in a group of the image; or allow-missing = ["a_b"]',
        ),
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


def test_nothing_is_said_of_wheels_that_are_not_known_any_more(project: Case) -> None:
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
