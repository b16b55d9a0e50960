"""Locks of every tool as one kind of value."""

import shutil
from pathlib import Path

import pytest

from lockstitch.python.locks import Graph, Source
from lockstitch.repository.packaging.files import read_lock
from lockstitch.repository.packaging.wheels import Machine, installed

H = "sha256:" + "a" * 64
UV = f"""\
version = 1
requires-python = ">=3.11"

[[package]]
name = "app"
version = "0.1.0"
source = {{ editable = "." }}
dependencies = [
    {{ name = "numpy" }},
    {{ name = "uvicorn", extra = ["standard"] }},
]

[package.optional-dependencies]
plot = [{{ name = "matplotlib" }}]

[package.dev-dependencies]
dev = [{{ name = "pytest" }}]

[[package]]
name = "numpy"
version = "2.1.0"
source = {{ registry = "https://index.test/simple" }}
sdist = {{ url = "https://files.test/numpy-2.1.0.tar.gz", hash = "{H}", size = 5 }}
wheels = [
    {{ url = "https://f.test/numpy-2.1%2Bx-cp311-cp311-linux_x86_64.whl", hash = "{H}", size = 7 }},
]

[[package]]
name = "uvicorn"
version = "0.30.1"
source = {{ registry = "https://index.test/simple" }}

[package.optional-dependencies]
standard = [{{ name = "httptools", marker = "sys_platform == 'linux'" }}]

[[package]]
name = "httptools"
version = "0.6.4"
source = {{ git = "https://host.test/h?rev=1#2" }}

[[package]]
name = "matplotlib"
version = "3.9.2"

[[package]]
name = "pytest"
version = "8.3.3"
"""


PATHS = {"uv": "uv.lock", "poetry": "a/poetry.lock", "pylock": "pylock.a.toml"}


def read(kind: str, text: str) -> Graph:
    found = read_lock(PATHS.get(kind, "requirements.txt"), text)
    assert found is not None
    return found


def names(found: Graph, *groups: str) -> list[str]:
    return sorted(each.name for each in installed(found, Machine(python="3.11"), groups))


def test_uv() -> None:
    found = read("uv", UV)
    numpy = found.named("NumPy")[0]
    assert (numpy.version, numpy.line, numpy.source.kind) == ("2.1.0", 19, "registry")
    assert [wheel.name for wheel in numpy.wheels] == ["numpy-2.1+x-cp311-cp311-linux_x86_64.whl"]
    assert [(e.size, bool(e.sha256), e.is_wheel) for e in numpy.files] == [
        (7, True, True),
        (5, True, False),
    ]
    assert found.requires_python == ">=3.11"
    assert found.named("httptools")[0].source == Source(
        kind="git", url="https://host.test/h", revision="2", requested="1"
    )


def test_what_uv_installs_at_run_time() -> None:
    found = read("uv", UV)
    assert names(found) == ["httptools", "numpy", "uvicorn"]
    assert names(found, "plot") == ["httptools", "matplotlib", "numpy", "uvicorn"]
    assert "pytest" in names(found, "dev")


def test_poetry() -> None:
    text = (
        f'[[package]]\nname = "numpy"\nversion = "2.1.0"\ngroups = ["main", "dev"]\n'
        f'files = [{{file = "numpy-2.1.0-cp311-cp311-win32.whl", hash = "{H}"}}]\n\n'
        '[package.dependencies]\nx = "*"\n\n'
        '[[package]]\nname = "Py_Test"\nversion = "1"\ngroups = ["dev"]\nfiles = []\n'
        'markers = "python_version < \'3.12\'"\n[package.source]\ntype = "directory"\nurl = "."\n\n'
        '[metadata]\npython-versions = ">=3.11"\ncontent-hash = "x"\n'
    )
    found = read("poetry", text)
    assert [(e.name, e.line, e.source.kind) for e in found.packages] == [
        ("numpy", 1, "registry"),
        ("py-test", 10, "directory"),
    ]
    assert names(found) == ["numpy"]
    assert names(found, "dev") == ["numpy", "py-test"]
    assert (found.packages[0].dependencies[0].name, found.requires_python) == ("x", ">=3.11")


def test_pylock() -> None:
    text = (
        'lock-version = "1.0"\n[[packages]]\nname = "a"\nversion = "1"\n'
        f'[[packages.wheels]]\nname = "a-1-py3-none-any.whl"\nhashes = {{sha256 = "{H}"}}\n'
        '[[packages]]\nname = "b"\n[packages.directory]\npath = "."\neditable = true\n'
    )
    found = read("pylock", text)
    assert [
        (e.name, e.line, e.source.kind, [w.name for w in e.wheels]) for e in found.packages
    ] == [("a", 2, "registry", ["a-1-py3-none-any.whl"]), ("b", 8, "editable", [])]


def test_requirements_are_a_lock_when_they_pin_all() -> None:
    found = read("requirements", "a==1\n-e .\nb==2 ; python_version < '3.12'\n")
    assert [(e.name, e.version, e.source.kind) for e in found.packages] == [
        ("a", "1", "registry"), ("", "", "editable"), ("b", "2", "registry"),
    ]  # fmt: skip
    assert read_lock("requirements.txt", "a==1\nb>=2\n") is None
    assert read_lock("requirements.txt", "# nothing\n") is None


@pytest.mark.parametrize("kind", ["uv", "poetry", "pylock"])
@pytest.mark.parametrize(
    "text",
    ["no toml", "package = 3", "package = [3]", "[[package]]\nname = 3", "[[packages]]\nwheels = 3",
     "[[package]]\ndependencies = [3]\nsource = 3\n[package.optional-dependencies]\na = 3",
     "[metadata]\nfiles = 3", "a = " + "[" * 5000],
)  # fmt: skip
def test_nothing_raises(kind: str, text: str) -> None:
    read_lock(PATHS[kind], text)


def test_a_long_lock_is_the_same_when_it_is_remembered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = "".join(
        f'    {{ url = "https://f.test/x-{n}-py3-none-any.whl", upload-time = 2026-01-02 }},\n'
        for n in range(300)
    )
    long = f'{UV}\n[[package]]\nname = "x"\nversion = "1"\nwheels = [\n{files}]\n'
    monkeypatch.setenv("LOCKSTITCH_CACHE", str(tmp_path / "store"))
    first = read_lock("uv.lock", long)
    assert first is not None
    assert len(first.named("x")[0].files) == 300
    (record,) = (tmp_path / "store").rglob("*.json")
    monkeypatch.setattr("tomllib.loads", None)  # the second time nobody reads it as TOML
    assert read_lock("uv.lock", long) == first
    monkeypatch.undo()
    monkeypatch.setenv("LOCKSTITCH_CACHE", str(tmp_path / "store"))
    record.write_text('["not a document"]')
    assert read_lock("uv.lock", long) == first
    shutil.rmtree(tmp_path / "store")
    (tmp_path / "store").write_text("a cache that nobody can write to")
    assert read_lock("uv.lock", long) == first


def test_what_is_no_lock_is_not_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCKSTITCH_CACHE", str(tmp_path))
    assert read_lock("uv.lock", "= " * 20_000) is None
    assert not [*tmp_path.rglob("*.json")]
