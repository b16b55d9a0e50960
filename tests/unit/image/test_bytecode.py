"""Bytecode: what it says of the host (nothing), and that Python takes it."""

import builtins
import importlib.machinery
import importlib.util
import io
import json
import marshal
import os
import platform
import struct
import sys
import warnings
import zipfile
from collections.abc import Iterator, Sequence
from importlib import resources
from pathlib import Path
from types import CodeType

import pytest
from support import projects, values
from support.zips import FILENAME, File, wheel

from lockstitch import process
from lockstitch.digest import Digest, of_bytes
from lockstitch.errors import LockstitchError
from lockstitch.image import bytecode
from lockstitch.image.bytecode import Interpreter
from lockstitch.oci.entry import Content, file
from lockstitch.store import Store

OWN = platform.python_version()
MINOR = f"{sys.version_info.major}.{sys.version_info.minor}"
TAG = f"cpython-{MINOR.replace('.', '')}"
THIS = Interpreter(argv=(sys.executable,), root="", key=of_bytes(b"this one"), minor=MINOR)
SITE = f"app/.venv/lib/python{MINOR}/site-packages"
FILES = {
    "demo/__init__.py": b'"""Documentation stays."""\nfrom demo.a import twice\n',
    "demo/a.py": b"def twice(x):\n    def inner(y):\n        return y * 2\n    return inner(x)\n",
    "demo/broken.py": b"def (:\n",
    "demo/latin.py": b"# -*- coding: latin-1 -*-\nname = '\xe9'\n",
    "demo/nul.py": b"x = 1\0\n",
    "demo/badly_encoded.py": b"name = '\xe9'\n",
    "demo/empty.py": b"",
    "demo/warns.py": b"x = 'a' is 'b'\ny = '\\d'\nassert (x, 'never')\n",
}
COMPILES = {"__init__", "a", "latin", "empty", "warns"}


def compile_files(
    interpreter: Interpreter, root: Path, sources: Sequence[tuple[str, str]]
) -> dict[str, bytes]:
    (compiled,) = bytecode.compile_files(interpreter, [(root, sources)])
    return compiled


def of_wheel(
    interpreter: Interpreter, store: Store, wheel: Digest, sources: Sequence[tuple[str, str]]
) -> dict[str, Content]:
    (kept,) = bytecode.of_wheels(interpreter, store, [(wheel, sources)])
    return kept


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return projects.write_files(tmp_path / "root", FILES)


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("wheel") / FILENAME
    path.write_bytes(wheel(*(File(name=name, data=data) for name, data in FILES.items())))
    return path


SOURCES = [(name, f"{SITE}/{name}") for name in FILES]


@pytest.fixture(scope="module")
def found(archive: Path) -> dict[str, bytes]:
    return compile_files(THIS, archive, SOURCES)


def code_of(data: bytes) -> CodeType:
    code = marshal.loads(data[16:])  # noqa: S302 -- our own bytes
    assert isinstance(code, CodeType)
    return code


def nested(code: CodeType) -> list[CodeType]:
    inner = [const for const in code.co_consts if isinstance(const, CodeType)]
    return [code, *(each for one in inner for each in nested(one))]


def test_files_are_named_as_python_looks_for_them(found: dict[str, bytes]) -> None:
    assert set(found) == {f"{SITE}/demo/__pycache__/{name}.{TAG}.pyc" for name in COMPILES}
    for name in COMPILES:
        expected = importlib.util.cache_from_source(f"/{SITE}/demo/{name}.py")
        assert expected.removeprefix("/") in found


def test_what_does_not_compile_is_skipped(found: dict[str, bytes]) -> None:
    assert not [path for path in found if "broken" in path or "nul" in path or "badly" in path]


def test_headers_are_unchecked_hashes(found: dict[str, bytes]) -> None:
    for path, data in found.items():
        name = Path(path).name.partition(".")[0]
        magic, flags = data[:4], struct.unpack("<I", data[4:8])[0]
        assert magic == importlib.util.MAGIC_NUMBER
        assert flags == 0b01  # a hash, and nobody checks it against the source
        assert data[8:16] == importlib.util.source_hash(FILES[f"demo/{name}.py"])


def test_every_code_object_names_its_path_in_the_image(found: dict[str, bytes]) -> None:
    codes = nested(code_of(found[f"{SITE}/demo/__pycache__/a.{TAG}.pyc"]))
    assert len(codes) == 3
    assert {code.co_filename for code in codes} == {f"/{SITE}/demo/a.py"}


def test_nothing_of_the_host_is_inside(found: dict[str, bytes], archive: Path) -> None:
    for data in found.values():
        assert str(archive.parent).encode() not in data
        assert sys.prefix.encode() not in data


def test_assertions_and_documentation_stay(found: dict[str, bytes]) -> None:
    init = code_of(found[f"{SITE}/demo/__pycache__/__init__.{TAG}.pyc"])
    assert "Documentation stays." in init.co_consts
    warns = code_of(found[f"{SITE}/demo/__pycache__/warns.{TAG}.pyc"])
    assert "never" in str(warns.co_consts)


def test_twice_the_same_bytes_in_any_order_of_asking(
    found: dict[str, bytes], archive: Path
) -> None:
    assert compile_files(THIS, archive, SOURCES[::-1]) == found


def test_a_folder_gives_what_a_wheel_gives(found: dict[str, bytes], folder: Path) -> None:
    assert compile_files(THIS, folder, SOURCES) == found


def test_the_environment_does_not_show(
    found: dict[str, bytes], archive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONHASHSEED", "1")
    monkeypatch.setenv("PYTHONOPTIMIZE", "2")
    monkeypatch.setenv("PYTHONPATH", str(archive.parent))
    monkeypatch.setenv("PYTHONWARNINGS", "error")
    monkeypatch.chdir(archive.parent)
    assert compile_files(THIS, archive, SOURCES) == found


def test_python_imports_it_even_without_looking_at_the_source(
    found: dict[str, bytes], folder: Path
) -> None:
    cached = folder / "demo" / "__pycache__" / f"a.{TAG}.pyc"
    cached.parent.mkdir()
    cached.write_bytes(found[f"{SITE}/demo/__pycache__/a.{TAG}.pyc"])
    (folder / "demo" / "a.py").write_text("raise RuntimeError('the source was compiled')\n")
    loader = importlib.machinery.SourceFileLoader("demo.a", str(folder / "demo" / "a.py"))
    spec = importlib.util.spec_from_loader("demo.a", loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    assert module.twice(21) == 42


def test_python_alone_would_compile_the_same_code(found: dict[str, bytes]) -> None:
    source = FILES["demo/a.py"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        code = compile(source, f"/{SITE}/demo/a.py", "exec", dont_inherit=True)
    assert code_of(found[f"{SITE}/demo/__pycache__/a.{TAG}.pyc"]) == code


def test_members_of_sets_have_one_order_before_3_11(tmp_path: Path) -> None:
    seeds = tmp_path / "seeds"
    script = tmp_path / "python.py"
    script.write_text(
        f"import os, sys\nopen({str(seeds)!r}, 'a').write(sys.argv[1] + str(hash('a')) + '\\n')\n"
        f"os.execv({sys.executable!r}, [{sys.executable!r}, *sys.argv[1:]])\n"
    )
    (tmp_path / "a.py").write_text("def f(x): return x in {'a', 'bb', 'ccc'}\n")
    for minor in ("3.10", MINOR):
        argv = (sys.executable, str(script))
        made = Interpreter(argv=argv, root="", key=of_bytes(b""), minor=minor)
        once, other = [compile_files(made, tmp_path, [("a.py", "app/a.py")]) for _ in range(2)]
        assert once
        assert other == once
    one, two, three, four = seeds.read_text().splitlines()
    assert one == two  # the variable counts, and it is not isolated from it
    assert one.startswith("-s")
    assert three.startswith("-I")
    assert four.startswith("-I")


def test_no_sources_start_no_program(tmp_path: Path) -> None:
    absent = Interpreter(argv=("/no/such/python",), root="", key=of_bytes(b""), minor="3.11")
    assert compile_files(absent, tmp_path, []) == {}


def test_a_program_that_is_missing_or_fails_is_an_error(tmp_path: Path) -> None:
    absent = Interpreter(argv=("/no/such/python",), root="", key=of_bytes(b""), minor="3.11")
    with pytest.raises(LockstitchError, match="`/no/such/python` could not be started"):
        compile_files(absent, tmp_path, SOURCES)
    with pytest.raises(LockstitchError, match="failed with exit code 1"):
        compile_files(THIS, tmp_path, SOURCES)  # none of the sources is there


def test_files_are_compiled_in_the_order_of_their_path_bytes(tmp_path: Path) -> None:
    # From 3.13 on the bytes depend on the order: here every file's "bytecode" is its turn.
    script = """
import json, struct, sys
for turn, _ in enumerate(json.loads(sys.stdin.readline())[0]["files"]):
    sys.stdout.buffer.write(struct.pack("<I", 1) + bytes([turn]))
sys.stdout.buffer.write(bytes(4 * [255]))
"""
    counting = Interpreter(argv=(sys.executable, "-c", script), root="", key=THIS.key, minor="3.13")
    paths = ["z.py", "a/b.py", "a-b.py", "B.py", "zo\u00eb.py"]
    turns = compile_files(counting, tmp_path, [(path, path) for path in paths])
    assert sorted(turns, key=turns.__getitem__) == [
        "__pycache__/B.cpython-313.pyc",
        "__pycache__/a-b.cpython-313.pyc",
        "a/__pycache__/b.cpython-313.pyc",
        "__pycache__/z.cpython-313.pyc",
        "__pycache__/zo\u00eb.cpython-313.pyc",
    ]


def test_output_of_another_length_is_refused(tmp_path: Path) -> None:
    script = "import struct, sys; sys.stdout.buffer.write(struct.pack('<I', 1) + b'too much')"
    chatty = Interpreter(argv=(sys.executable, "-c", script), root="", key=THIS.key, minor=MINOR)
    with pytest.raises(LockstitchError, match="wrote 6f6f206d where its answer ends"):
        compile_files(chatty, tmp_path, SOURCES[:1])


def test_trees_do_not_know_of_each_other(archive: Path, folder: Path) -> None:
    """CPython marks a string as shared when another code object of the process has it too."""
    (folder / "demo/b.py").write_text("def twice(x):\n    return {'twice': x, 'inner': 1}\n")
    sources = [("demo/b.py", f"{SITE}/demo/b.py")]
    trees = [(archive, SOURCES), (folder, sources), (folder, []), (archive, SOURCES[1:2])]
    together = bytecode.compile_files(THIS, trees)
    assert together == [compile_files(THIS, *tree) for tree in trees]
    assert len(together[0]) == len(COMPILES)


def test_a_compiler_that_is_kept_makes_the_same(
    archive: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bytecode, "_keeps", [])
    monkeypatch.setattr(bytecode, "_kept", {})
    (folder / "demo/b.py").write_text("def twice(x):\n    return {'twice': x, 'inner': 1}\n")
    sources = [("demo/b.py", f"{SITE}/demo/b.py")]
    trees = [(archive, SOURCES), (folder, sources), (archive, SOURCES[1:2])]
    anew = [compile_files(THIS, *tree) for tree in trees]
    bytecode.keep_compilers()
    started = []
    for tree, alone in zip(trees, anew, strict=True):
        assert compile_files(THIS, *tree) == alone
        started += bytecode._kept.values()
    assert len({*map(id, started)}) == 1
    with pytest.raises(LockstitchError, match="failed with exit code 1"):
        compile_files(THIS, folder, [("gone.py", "gone.py")])
    assert not bytecode._kept  # the next layer starts another one
    assert compile_files(THIS, *trees[0]) == anew[0]
    bytecode.end_compilers()
    assert not bytecode._kept


def test_the_compiler_knows_no_name_that_its_imports_lack() -> None:
    """Else modules that have the name would get other bytecode (cpython#129724)."""
    runtime = Path(str(resources.files("lockstitch.runtime")))
    own = compile((runtime / "bytecode.py").read_text(), "bytecode.py", "exec")
    names = {name for code in nested(own) for name in (*code.co_names, *code.co_varnames)}
    known = {"job", "read", "name", "path", "data", "source", "code", "head", "handle", "main"}
    known |= {"compiled", "_UNCHECKED_HASH", "__annotations__"}  # of its first version
    for module in (importlib.util, json, marshal, os, struct, sys, zipfile, builtins, io.BytesIO):
        known |= {*dir(module)}
    known |= {*dir(sys.stdout), *dir(zipfile.ZipFile), *dir(os.path), *sys.modules, "util"}
    assert names <= known


# --- kept in the store ------------------------------------------------------------------


def test_kept_bytecode_is_what_was_compiled(
    found: dict[str, bytes], archive: Path, tmp_path: Path
) -> None:
    store = Store(tmp_path / "store")
    digest = store.put(archive.read_bytes())
    kept = of_wheel(THIS, store, digest, SOURCES)
    assert {path: b"".join(content.plain()) for path, content in kept.items()} == found
    # The second time no program runs: this one is not even there.
    absent = Interpreter(argv=("/no/such/python",), root="", key=THIS.key, minor=MINOR)
    assert of_wheel(absent, store, digest, SOURCES) == kept
    # Other sources are another request, since CPython's output depends on all of them.
    with pytest.raises(LockstitchError, match="could not be started"):
        of_wheel(absent, store, digest, SOURCES[:1])
    other = Interpreter(argv=("/no/such/python",), root="", key=of_bytes(b"other"), minor=MINOR)
    with pytest.raises(LockstitchError, match="could not be started"):
        of_wheel(other, store, digest, SOURCES)


@pytest.mark.parametrize("at", [2, -1])
def test_a_damaged_blob_is_an_error_of_ours(at: int, archive: Path, tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    kept = of_wheel(THIS, store, store.put(archive.read_bytes()), SOURCES[:2])
    content = next(iter(kept.values()))
    assert isinstance(content, bytecode.StoredBytecode)
    data = bytearray(content.blob.read_bytes())
    data[content.start + at % content.packed] ^= 0xFF
    content.blob.unlink()
    content.blob.write_bytes(data)
    with pytest.raises(LockstitchError, match="is damaged"):
        list(content.plain())


def test_a_lost_blob_is_made_again(archive: Path, tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    digest = store.put(archive.read_bytes())
    kept = of_wheel(THIS, store, digest, SOURCES[:2])
    first = next(iter(kept.values()))
    assert isinstance(first, bytecode.StoredBytecode)
    first.blob.unlink()
    again = of_wheel(THIS, store, digest, SOURCES[:2])
    assert again == kept
    assert first.blob.exists()


# --- which CPython of this machine compiles for a base that is not run here


@pytest.fixture
def fresh() -> Iterator[None]:
    bytecode.find_local.cache_clear()
    yield
    bytecode.find_local.cache_clear()


@pytest.mark.usefixtures("fresh")
def test_this_python_compiles_for_its_own_version_without_a_word() -> None:
    found, note = bytecode.find_local(OWN)
    assert found is not None
    assert (found.argv, found.minor, note) == ((sys.executable,), MINOR, "")


@pytest.mark.usefixtures("fresh")
def test_another_patch_version_is_said_and_has_another_key() -> None:
    same, _ = bytecode.find_local(OWN)
    found, note = bytecode.find_local(f"{MINOR}.999")
    assert found is not None
    assert same is not None
    # What the compiler is decides, and not for whom it works.
    assert found.key == same.key
    assert f"CPython {OWN} of this machine, the base has {MINOR}.999" in note


@pytest.mark.usefixtures("fresh")
def test_no_python_means_no_bytecode() -> None:
    found, note = bytecode.find_local("3.99.1")
    assert (found, note) == (
        None,
        "no bytecode: this machine has no CPython 3.99 to make it (uv python install 3.99.1)",
    )


def test_the_compiler_of_a_base_starts_once_so_that_what_it_imports_is_kept_compiled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base, store = values.debian_base(), Store(tmp_path)
    started: list[list[str]] = []

    def pipe(words: list[str | Path], data: bytes, *, env: dict[str, str]) -> bytes:
        started.append([str(word) for word in words])
        kept = store.scratch(f"base-{base.plain.digest.hex[:24]}") / "json.pyc"
        kept.write_bytes(b"compiled")
        return data[:0]

    monkeypatch.setattr(bytecode, "root_files", lambda *_: [file("usr/bin/python3.11", b"")])
    monkeypatch.setattr(bytecode, "runnable", lambda base, _: base)
    monkeypatch.setattr(process, "pipe", pipe)
    for _ in range(2):
        root = bytecode.unpacked(base, store)
        assert (root / "json.pyc").exists()
    assert len(started) == 1  # what it left behind is part of what is known of the folder
    assert "-B" not in started[0]
    monkeypatch.setattr(bytecode, "runnable", lambda *_: None)  # another processor's
    (root / "json.pyc").unlink()
    bytecode.unpacked(base, store)
    assert len(started) == 1
