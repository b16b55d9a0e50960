"""The wrapper that looks at what a program imports changes nothing that the program sees."""

import math
import subprocess
from pathlib import Path

import pytest
from support import environments, wheels

from lockstitch.process import Command
from lockstitch.run import imports

LOOK = """\
import atexit, os, sys
print(__name__, __file__, sys.argv, sys.path[0], sys.modules["__main__"].__dict__ is globals())
print(sorted(k for k in globals() if k.startswith("__")), flush=True)
atexit.register(lambda: __import__("late"))
from model import extra
if "boom" in sys.argv:
    raise ValueError("boom")
sys.exit(int(sys.argv[-1]) if sys.argv[1:] else 0)
"""


@pytest.fixture
def venv(tmp_path: Path) -> Path:
    files = {"model/__init__.py": b"", "model/extra.py": b"import os\n", "model/__main__.py": b""}
    files["model/__main__.py"] = LOOK.encode()
    return environments.make(
        tmp_path / "venv",
        wheels.wheel("model", "1.0", files),
        wheels.wheel("late", "1.0", {"late.py": b""}),
        wheels.wheel("unused", "1.0"),
    )


def run(words: tuple[str, ...], folder: Path) -> tuple[int, str, str]:
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr


def command(venv: Path, *words: str) -> Command:
    return Command(words=(str(venv / "bin" / "python"), *words), cwd=venv, env={})


@pytest.mark.parametrize(
    "words",
    [
        ("look.py",),
        ("-u", "-W", "ignore", "./look.py", "-x", "7"),
        ("look.py", "boom"),
        ("-m", "model", "3"),
        ("-c", "import model.extra, late, sys; print(sys.argv, repr(sys.path[0]))", "a"),
        ("-P", "look.py"),
        ("folder",),
    ],
    ids=["script", "options", "error", "module", "code", "safe path", "folder"],
)
def test_a_program_finds_what_it_finds_without(words: tuple[str, ...], venv: Path) -> None:
    (venv / "look.py").write_text(LOOK)
    (venv / "folder").mkdir()
    (venv / "folder" / "__main__.py").write_text(LOOK)
    plain = command(venv, *words)
    target = venv / "imported.json"
    traced = imports.traced(plain, venv, target)
    assert traced is not None
    expected, found = run(plain.words, venv), run(traced.words, venv)
    assert found == expected
    assert imports.packages(target, environments.packages(venv)) == ("late", "model")


@pytest.mark.parametrize(
    "words", [(), ("-",), ("-V",), ("-im", "model"), ("-W",), ("-m",)], ids=str
)
def test_what_cannot_be_followed_is_left_alone(words: tuple[str, ...], venv: Path) -> None:
    assert imports.traced(command(venv, *words), venv, venv / "x") is None


def test_a_program_of_a_package_is_followed_and_no_other(venv: Path) -> None:
    program = venv / "bin" / "tool"
    program.write_text(f"#!{venv}/bin/python\nimport model\n")
    followed = imports.traced(
        Command(words=(str(program), "a"), cwd=venv, env={}), venv, venv / "x"
    )
    assert followed
    assert followed.words[0] == str(venv / "bin" / "python")
    assert followed.words[-3:] == ("script", str(program), "a")
    program.write_text("#!/bin/sh\n")
    for words in ((str(program),), ("/bin/sh", "-c", "true"), (str(venv / "none"),)):
        assert imports.traced(Command(words=words, cwd=venv, env={}), venv, venv / "x") is None


def test_a_forked_child_does_not_write(venv: Path) -> None:
    text = "import os, sys\npid = os.fork()\nif pid == 0:\n    import late\n    sys.exit()\n"
    (venv / "fork.py").write_text(text + "os.waitpid(pid, 0)\nimport model\n")
    traced = imports.traced(command(venv, "fork.py"), venv, venv / "x.json")
    assert traced
    assert run(traced.words, venv)[0] == 0
    assert imports.packages(venv / "x.json", environments.packages(venv)) == ("model",)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [("", None), ("[]", None), ("{", None), ('{"a": 3}', ()), ('{"a": "/elsewhere/a.py"}', ())],
)
def test_what_was_not_written_is_not_known(
    text: str, wanted: tuple[str, ...] | None, tmp_path: Path
) -> None:
    assert imports.packages(tmp_path / "none", tmp_path) is None
    (tmp_path / "x").write_text(text)
    assert imports.packages(tmp_path / "x", tmp_path) == wanted


CHILDREN = {
    "a subprocess": "import subprocess, sys; subprocess.run([sys.executable, '-c', 'import late'])",
    "spawned": """\
import multiprocessing
if __name__ == "__main__":
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        pool.map(exec, ["import late"])
""",
    "forked and killed": """\
import os, signal
pid = os.fork()
if pid == 0:
    import late
    os.kill(os.getpid(), signal.SIGKILL)
os.waitpid(pid, 0)
""",
    "itself, ending abruptly": "import os, late; os._exit(0)",
}


@pytest.mark.parametrize("kind", CHILDREN)
def test_what_a_child_imports_is_seen(kind: str, venv: Path) -> None:
    (venv / "start.py").write_text(CHILDREN[kind])
    site = environments.packages(venv)
    # The environment's own sitecustomize still runs, once in each process.
    (site / "sitecustomize.py").write_text("import model\n")
    noting = imports.with_children(command(venv, "start.py"), venv / "noted.txt")
    subprocess.run(noting.words, cwd=venv, env=noting.env, check=True)
    assert imports.noted(venv / "noted.txt", site) == {"late"}


def test_data_that_is_read_and_a_library_that_is_loaded_are_of_a_package_too(venv: Path) -> None:
    library = Path(math.__file__).read_bytes()
    for name, path, data in (("data", "rows/a.csv", b"1"), ("lib", "lib.libs/l.so", library)):
        environments.put(venv, wheels.wheel(name, "1.0", {path: data}))
    site = environments.packages(venv)
    text = f"import ctypes, importlib.metadata; site = {str(site)!r}\n"
    text += "open(site + '/rows/a.csv').close(); ctypes.CDLL(site + '/lib.libs/l.so')\n"
    text += "print(len([each.version for each in importlib.metadata.distributions()]))\n"
    (venv / "read.py").write_text(text)
    noting = imports.with_children(command(venv, "read.py"), venv / "noted.txt")
    done = subprocess.run(noting.words, cwd=venv, env=noting.env, check=True, capture_output=True)
    assert int(done.stdout) == 5
    assert imports.noted(venv / "noted.txt", site) == {"data", "lib"}


def test_a_program_that_only_looks_for_a_module_has_not_imported_it(venv: Path) -> None:
    text = "import importlib.util, sys\nprint(bool(importlib.util.find_spec('late')), sys.path[0])"
    (venv / "look.py").write_text(text)
    plain = command(venv, "look.py")
    noting = imports.with_children(plain, venv / "noted.txt")
    done = subprocess.run(noting.words, cwd=venv, env=noting.env, check=True, capture_output=True)
    assert done.stdout.decode() == run(plain.words, venv)[1]
    assert imports.noted(venv / "noted.txt", environments.packages(venv)) == frozenset()
