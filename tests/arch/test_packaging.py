"""What a release holds: the package in the wheel, the whole repository in the sdist."""

import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from lockstitch import __version__
from lockstitch.oci import deflate

ROOT = Path(__file__).parents[2]
NAME = f"lockstitch-{__version__}"
PURE = f"{NAME}-py3-none-any.whl"
TWIN = "lockstitch/oci/deflate-twin.so"
HAS_COMPILER = sys.platform == "linux" and bool(shutil.which("cc"))
pytestmark = pytest.mark.xdist_group("release")  # one process builds it
needs_compiler = pytest.mark.skipif(not HAS_COMPILER, reason="no C compiler here")
# Kinds of files, with what each is for. A new kind is a question: does it belong into a wheel?
KINDS = {
    ".py": "code",
    ".c": "the source of the encoder's compiled twin",
    ".so": "that twin, where a compiler was",
    ".toml": "tables of words, and projects of the templates",
    ".txt": "locked lists of the stack's services",
    ".in": "what those lists are compiled from",
    ".j2": "pages, as templates",
    ".css": "their style",
    ".md": "documents of the templates",
    ".yaml": "hooks of the templates",
    ".gz": "the churn data",
    ".typed": "the marker of PEP 561",
    ".gitattributes": "the templates'",
    ".gitignore": "the templates'",
    ".python-version": "the templates'",
}


def repository() -> set[str]:
    """Return each file that git does not ignore, also where there is no git."""
    ignored = {line.strip("/\n") for line in (ROOT / ".gitignore").read_text().splitlines()}
    kept = set()
    for folder, folders, names in os.walk(ROOT):
        folders[:] = [f for f in folders if f not in ignored | {".git"}]
        kept |= {Path(folder, name).relative_to(ROOT).as_posix() for name in names}
    lost = re.compile(r"(.*/)?(uv\.lock|pylock[^/]*\.toml|\.coverage[^/]*|\.git|[^/]*\.so)")
    return {name for name in kept if not lost.fullmatch(name)}


def build(folder: Path, *targets: str, **env: str) -> str:
    """Build the targets into a folder, and return what the backend says."""
    words = [sys.executable, "-m", "hatchling", "build", "-d", str(folder)]
    words += [word for target in targets for word in ("-t", target)]
    done = subprocess.run(
        words, cwd=ROOT, env={**os.environ, **env}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("release")
    build(folder, "sdist", "wheel", HATCH_BUILD_NO_HOOKS="true")
    assert {path.name for path in folder.iterdir()} == {f"{NAME}.tar.gz", PURE}
    return folder


@pytest.fixture(scope="module")
def wheel(release: Path) -> set[str]:
    with zipfile.ZipFile(release / PURE) as archive:
        return set(archive.namelist())


def test_the_wheel_holds_the_package_and_nothing_else(wheel: set[str]) -> None:
    package = {name.removeprefix("src/") for name in repository() if name.startswith("src/")}
    info = ("METADATA", "RECORD", "WHEEL", "entry_points.txt", "licenses/LICENSE")
    assert wheel == package | {f"{NAME}.dist-info/{name}" for name in info}


def test_the_wheel_holds_known_kinds_of_files(wheel: set[str]) -> None:
    files = [Path(name) for name in wheel if not name.startswith(NAME)]
    assert {path.suffix or path.name for path in files} == set(KINDS) - {".so"}
    assert "lockstitch/py.typed" in wheel


def test_the_wheel_holds_no_test(wheel: set[str]) -> None:
    templates = {name for name in wheel if "/scaffold/templates/" in name}
    assert [name for name in wheel - templates if re.search(r"(^|/)(tests?/|test_)", name)] == []


def test_the_sdist_holds_the_repository(release: Path) -> None:
    with tarfile.open(release / f"{NAME}.tar.gz") as archive:
        names = {name.removeprefix(f"{NAME}/") for name in archive.getnames()}
    assert names == repository() | {"PKG-INFO"}


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("compiled")
    build(folder, "wheel")
    (path,) = folder.iterdir()
    return path


@needs_compiler
def test_a_wheel_with_the_twin_is_one_for_all_pythons_of_a_platform(
    wheel: set[str], compiled: Path, tmp_path: Path
) -> None:
    machine = os.uname().machine
    tags = f"manylinux_2_17_{machine}.musllinux_1_1_{machine}"
    assert compiled.name == f"{NAME}-py3-none-{tags}.whl"
    with zipfile.ZipFile(compiled) as archive:
        assert set(archive.namelist()) == wheel | {TWIN}
        library = archive.read(TWIN)
        about = archive.read(f"{NAME}.dist-info/WHEEL").decode()
    assert "Root-Is-Purelib: false" in about
    assert f"Tag: py3-none-musllinux_1_1_{machine}\n" in about
    (tmp_path / "twin.so").write_bytes(library)
    twin = deflate.load(tmp_path / "twin.so")
    assert twin
    assert twin(b"abc" * 999) == deflate.in_python(b"abc" * 999)


@needs_compiler
def test_the_twin_needs_no_library_at_all(compiled: Path, tmp_path: Path) -> None:
    """Its tags promise each C library, so that it may need none, and no symbol of one."""
    with zipfile.ZipFile(compiled) as archive:
        archive.extract(TWIN, tmp_path)
    out = subprocess.check_output(
        ["readelf", "--wide", "-d", "--dyn-syms", tmp_path / TWIN], text=True
    )
    assert "NEEDED" not in out
    undefined = [line.split()[7:] for line in out.splitlines() if " UND" in line]
    assert undefined == [[]]  # the first symbol of every table
    assert "lockstitch_compress" in out


@pytest.mark.parametrize(
    ("compiler", "why"),
    [
        ("", "No such file or directory"),
        ("echo 'cc: out of order' >&2; exit 1", "cc: out of order"),
        ('while [ "$1" != -o ]; do shift; done; echo > "$2"', "does not load here"),
    ],
    ids=["none", "failing", "garbage"],
)
def test_without_a_working_compiler_the_wheel_is_pure(
    compiler: str, why: str, tmp_path: Path
) -> None:
    program = tmp_path / "compiler"
    if compiler:
        program.write_text(f"#!/bin/sh\n{compiler}\n")
        program.chmod(0o755)
    output = build(tmp_path / "dist", "wheel", CC=str(program))
    assert [path.name for path in (tmp_path / "dist").iterdir()] == [PURE]
    assert "without the compiled twin of the encoder: " in output
    assert why in output


@needs_compiler
def test_a_library_that_gives_other_bytes_is_no_twin(tmp_path: Path) -> None:
    program = tmp_path / "compiler"  # one that is wrong in one number
    source = (ROOT / "src/lockstitch/oci/deflate.c").read_text()
    assert "DEPTH = 16" in source
    (tmp_path / "wrong.c").write_text(source.replace("DEPTH = 16", "DEPTH = 15"))
    words = f"for word; do shift; case $word in *.c) word={tmp_path}/wrong.c;; esac"
    program.write_text(f'#!/bin/sh\n{words}; set -- "$@" "$word"; done; exec cc "$@"\n')
    program.chmod(0o755)
    output = build(tmp_path / "dist", "wheel", CC=str(program))
    assert [path.name for path in (tmp_path / "dist").iterdir()] == [PURE]
    assert "does not compress deflate.py to the bytes" in output


def test_the_encoder_loads_without_the_package() -> None:
    """The build of the wheel loads it alone, to hold its compiled twin against it."""
    code = "import runpy, sys; runpy.run_path(sys.argv[1])"
    words = [sys.executable, "-I", "-S", "-c", code, str(ROOT / "src/lockstitch/oci/deflate.py")]
    subprocess.run(words, check=True)
