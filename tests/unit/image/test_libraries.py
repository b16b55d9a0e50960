"""Libraries that an image's packages need and nothing in it has."""

import dataclasses
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest
from support.errors import problems
from support.shared import shared

from lockstitch.digest import of_bytes
from lockstitch.files import FoundFile
from lockstitch.image import libraries
from lockstitch.image.plan import LayerPlan, Prepared
from lockstitch.image.wheel import Member, Wheel
from lockstitch.lock.bases.debian import DebianBase
from lockstitch.oci.entry import file, symlink
from lockstitch.python.commands import Entry
from lockstitch.python.imports import Reach, Tree, reaches
from lockstitch.python.locks.resolution import LockedWheel
from lockstitch.python.model import ImageSpec, Project
from lockstitch.store import Store

FOLDER = "usr/lib/x86_64-linux-gnu"
BASE = DebianBase(
    release="bookworm",
    platform="linux/amd64",
    python="3.11.2",
    glibc="2.36",
    snapshot="20260711T101637Z",
    packages=(),
)
SYSTEM = LayerPlan(kind="system", title="system", key="5" * 64)


class Case:
    """An image with wheels, on a base that has a C library."""

    def __init__(self, folder: Path) -> None:
        self.root = folder
        self.store = Store(folder / "store")
        self.wheels: list[LockedWheel] = []
        self.asked: list[str] = []
        entries = [
            file(f"{FOLDER}/libc.so.6", b"c"),
            file(f"{FOLDER}/libstdc++.so.6.0.30", b"\0GLIBCXX_3.4.9\0GLIBCXX_3.4.30\0CXXABI_1.3\0"),
            symlink(f"{FOLDER}/libstdc++.so.6", "libstdc++.so.6.0.30"),
            file(f"{FOLDER}/private/libprivate.so.1", b"p"),
            file("usr/bin/tool", b"#!", mode=0o755),
        ]
        assert [*libraries.noted(entries, self.store, SYSTEM.key)] == entries

    def wheel(self, name: str, files: Mapping[str, bytes | str], *, version: str = "1") -> None:
        path = self.root / f"{name}.whl"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for place, data in files.items():
                archive.writestr(place, data)
        self.wheels.append(
            LockedWheel(
                name=name,
                version=version,
                filename=f"{name}-{version}-py3-none-any.whl",
                url="",
                digest=self.store.put(path.read_bytes()),
                size=1,
                uploaded=0,
            )
        )

    def prepared(self, code: str, *, allow: tuple[str, ...] = ()) -> tuple[Project, Prepared]:
        path = self.root / "app.py"
        path.write_text(code)
        facts = path.stat()
        found = FoundFile(
            name="app.py",
            path=path,
            size=facts.st_size,
            mtime_ns=facts.st_mtime_ns,
            executable=False,
            outside=False,
        )
        spec = ImageSpec(name="serve", command=("python", "app.py"), allow_missing=allow)
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
        layers = (SYSTEM, LayerPlan(kind="app", title="app", key=of_bytes(code.encode()).hex))
        return project, Prepared(
            spec=spec,
            base=BASE,
            wheels=tuple(self.wheels),
            files=(found,),
            layers=layers,
            created=0,
            lock=of_bytes(b""),
        )

    def packages(self, names: Sequence[str]) -> dict[str, str]:
        self.asked += names
        known = {"libgomp.so.1": "libgomp1", "libxcb.so.1": "libxcb1", "libGL.so.1": "libgl1"}
        return {name: known[name] for name in names if name in known}

    def check(self, code: str, *, allow: tuple[str, ...] = ()) -> list[str]:
        project, prepared = self.prepared(code, allow=allow)
        return libraries.check(project, prepared, self.store, self.packages)


@pytest.fixture
def image(tmp_path: Path) -> Case:
    return Case(tmp_path)


LIGHTGBM = {
    "lightgbm/__init__.py": "from .basic import Booster\n",
    "lightgbm/basic.py": "import ctypes\nfrom .libpath import PATH\nctypes.CDLL(PATH)\n",
    "lightgbm/libpath.py": "PATH = 'lib/lib_lightgbm.so'\n",
    "lightgbm/lib/lib_lightgbm.so": shared("libgomp.so.1", "libc.so.6"),
}
SHOW = "import cv2\ndef show():\n    pass\n"
CV2 = {
    "cv2/__init__.py": "import importlib\nimportlib.import_module('cv2')\n",
    "cv2/cv2.abi3.so": shared("libxcb.so.1", "libavcodec-1a2b.so.59", module="cv2"),
    "opencv_python.libs/libavcodec-1a2b.so.59": shared(
        "libGL.so.1", soname="libavcodec-1a2b.so.59"
    ),
    "cv2/qt/plugins/libqgtk.so": shared("libgtk-3.so.0"),
}


def test_what_the_start_loads_is_an_error_with_the_package_that_has_it(image: Case) -> None:
    image.wheel("lightgbm", LIGHTGBM, version="4.6.0")
    ((message, hint),) = problems(lambda: image.check("import lightgbm"))
    assert message == (
        "`lightgbm` (lightgbm 4.6.0) needs libgomp.so.1, which nothing in image `serve` has"
    )
    assert hint == 'packages = ["libgomp1"] in [tool.lockstitch.base]'


def test_a_module_needs_what_the_libraries_of_its_wheel_need(image: Case) -> None:
    image.wheel("opencv-python", CV2)
    ((message, hint),) = problems(lambda: image.check("import cv2"))
    assert "`cv2` (opencv-python 1) needs libGL.so.1, libxcb.so.1, which" in message
    assert hint.startswith('packages = ["libgl1", "libxcb1"] in [tool.lockstitch.base]; or opencv')


def test_what_the_program_does_not_import_is_a_note(image: Case) -> None:
    image.wheel("lightgbm", LIGHTGBM)
    (note,) = image.check("print(1)")
    assert note.startswith("`lightgbm` (lightgbm 1) needs libgomp.so.1")
    assert image.check("def later():\n    import lightgbm\n") == [note]
    image.asked.clear()
    assert image.check("print(1)") == [note]
    assert image.asked == []  # what was found is remembered


def test_what_a_package_imports_at_once_is_an_error_too(image: Case) -> None:
    image.wheel("opencv-python", CV2)
    package = {"yolo/__init__.py": "from .plots import show\n", "yolo/plots.py": "show = 1\n"}
    image.wheel("yolo", package)
    (note,) = image.check("import yolo")
    image.wheels.pop()
    image.wheel("yolo", {**package, "yolo/plots.py": SHOW})
    ((message, _),) = problems(lambda: image.check("import yolo  # with another one"))
    assert note.startswith(message)
    image.wheels.pop()
    late = SHOW.replace("import cv2\n", "").replace("pass", "import cv2")
    image.wheel("yolo", {**package, "yolo/plots.py": late})
    assert image.check("import yolo  # which imports it in a function") == [note]


def test_a_program_may_do_without(image: Case) -> None:
    image.wheel("lightgbm", LIGHTGBM)
    assert image.check("import lightgbm", allow=("lightgbm",)) == []


def test_plugins_that_no_code_names_are_left_alone(image: Case) -> None:
    image.wheel("nvshmem", {"nvidia/lib/transport_ib.so.3": shared("libmlx5.so.1")})
    assert image.check("print(1)") == []


def test_what_a_package_goes_on_without_is_left_alone(image: Case) -> None:
    code = "def pool():\n    try:\n        from fast.np import tbbpool\n"
    code += "    except ImportError:\n        pass\n"
    image.wheel(
        "fast",
        {
            "fast/__init__.py": "",
            "fast/np/__init__.py": "",
            "fast/np/parallel.py": code,
            "fast/np/tbbpool.cpython-311-x86_64-linux-gnu.so": shared(
                "libtbb.so.12", module="tbbpool"
            ),
        },
    )
    assert image.check("import fast") == []


@pytest.mark.parametrize(
    "files",
    [
        {"a.libs/libgomp-1234.so.1": shared(soname="libgomp-1234.so.1")},  # auditwheel's
        {"other/libgomp-1234.so.1": shared()},
        {"other/libx.so": shared(soname="libgomp-1234.so.1")},
        {"other-1.data/data/lib/libgomp-1234.so.1": shared()},
    ],
)
def test_what_a_wheel_brings_is_there(image: Case, files: Mapping[str, bytes]) -> None:
    image.wheel("a", {"a.abi3.so": shared("libgomp-1234.so.1", "libc.so.6", module="a")})
    image.wheel("other", files)
    assert image.check("import a") == []


def test_the_code_of_a_wheel_is_read_once(image: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each file that names a library would be followed through the whole wheel."""
    files = {f"big/m{n}.py": f"from big import m{n + 1}  # tbbpool\n" for n in range(30)}
    files["big/m30.py"] = "try:\n    from big import tbbpool\nexcept ImportError:\n    pass\n"
    library = {"big/tbbpool.abi3.so": shared("libtbb.so.12", module="tbbpool")}
    image.wheel("big", {"big/__init__.py": "", **files, **library})
    read: list[str] = []

    def counted(tree: Tree, entry: Entry) -> dict[str, Reach]:
        def text(name: str) -> str | None:
            found = tree.text(name)
            read.extend([name] if found and "/big/" in name else [])
            return found

        return reaches(dataclasses.replace(tree, text=text), entry)

    monkeypatch.setattr(libraries, "reaches", counted)
    assert image.check("print(1)") == []
    assert len(read) == len(files)


def test_what_passes_into_a_layer_is_not_read_again(
    image: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Members that the layer does not have are read when it is made."""
    image.wheel("lightgbm", {**LIGHTGBM, "lightgbm/lib/lib_trimmed.so": shared("libz.so.1")})
    (wheel,) = image.wheels
    wanted = libraries.objects(wheel.digest, wheel.filename, image.store)
    (image.store.root / "records").rename(image.root / "before")
    opened = Wheel(image.store.path(wheel.digest), wheel.filename)
    watch = libraries.Watch(opened, wheel.digest, image.store)
    read = [m for name, m in opened.members.items() if "trimmed" not in name]
    assert [b"".join(member.plain()) for member in read]
    again: list[str] = []

    def counted(member: Member) -> Iterator[bytes]:
        again.append(member.name)
        return plain(member)

    plain = Member.plain
    monkeypatch.setattr(Member, "plain", counted)
    watch.keep()
    opened.close()
    assert again == ["lightgbm/lib/lib_trimmed.so"]
    assert libraries.objects(wheel.digest, wheel.filename, image.store) == wanted
    assert wanted is not None
    assert [each.libraries for each in wanted] == [("libgomp.so.1", "libc.so.6"), ("libz.so.1",)]


def test_the_driver_is_the_hosts(image: Case) -> None:
    image.wheel("torch", {"torch/_C.abi3.so": shared("libcuda.so.1", module="_C")})
    assert image.check("import torch._C") == []


def test_a_library_outside_of_the_loaders_folders_needs_a_path_to_it(image: Case) -> None:
    own = {"a/__init__.py": "from . import _a\n"}
    image.wheel("a", {**own, "a/_a.abi3.so": shared("libprivate.so.1", module="_a")})
    ((message, hint),) = problems(lambda: image.check("import a"))
    assert "needs libprivate.so.1" in message
    assert hint == "no package of `debian:bookworm` has libprivate.so.1"
    image.wheels.clear()
    found = shared("libprivate.so.1", runpath=f"/{FOLDER}/private", module="_a")
    image.wheel("a", {**own, "a/_a.abi3.so": found})
    assert image.check("import a  # again") == []


@pytest.mark.parametrize(
    ("versions", "lacks"),
    [
        ({"libc.so.6": ["GLIBC_2.2.5", "GLIBC_2.38"]}, "GLIBC_2.38"),
        ({"libc.so.6": ["GLIBC_2.36"]}, ""),
        ({"libstdc++.so.6": ["GLIBCXX_3.4.30", "CXXABI_1.3"]}, ""),
        ({"libstdc++.so.6": ["GLIBCXX_3.4.32"]}, "GLIBCXX_3.4.32"),
        ({"libstdc++-12ab.so.6": ["GLIBCXX_3.4.32"]}, ""),  # of a wheel
    ],
)
def test_symbols_must_not_be_newer_than_the_base(
    image: Case, versions: Mapping[str, Sequence[str]], lacks: str
) -> None:
    image.wheel("a", {"a.abi3.so": shared(versions=versions, module="a")})
    if not lacks:
        assert image.check("import a") == []
        return
    ((message, hint),) = problems(lambda: image.check("import a"))
    assert f"`a` (a 1) needs {lacks}, which" in message
    assert hint == "a newer base than `debian:bookworm`, or an older version of a"


def test_nothing_is_said_where_a_base_or_a_wheel_is_not_known(image: Case) -> None:
    image.wheel("lightgbm", LIGHTGBM)
    project, prepared = image.prepared("import lightgbm")
    other = dataclasses.replace(SYSTEM, key="6" * 64)
    assert libraries.system_files(dataclasses.replace(prepared, layers=()), image.store) is None
    gone = dataclasses.replace(image.wheels[0], digest=of_bytes(b"gone"))
    prepared = dataclasses.replace(prepared, wheels=(gone,), layers=(SYSTEM, other))
    assert libraries.check(project, prepared, image.store, image.packages) == []


def test_the_programs_of_a_base_are_known(image: Case) -> None:
    found = libraries.system_files(image.prepared("")[1], image.store)
    assert found is not None
    assert found.programs == {"tool"}
