"""The virtual environment's own layer, console scripts as text, and what trimming leaves out."""

import ast

import pytest
from support.images import check_golden, layer, listing, members

from lockstitch.errors import LockstitchError
from lockstitch.image import contents
from lockstitch.image.contents import console_scripts, folded, is_trimmed, with_shebang


def test_layer_golden(pytestconfig: pytest.Config) -> None:
    made = layer(contents.venv("3.11.2", "/usr/bin/python3.11"))
    config = members(made.data)["app/.venv/pyvenv.cfg"][1].decode()
    check_golden(pytestconfig, "venv/layer.txt", f"{listing(made)}\n{config}")


def test_programs_lead_to_the_base_s_python() -> None:
    found = members(layer(contents.venv("3.13.1", "/usr/local/bin/python3.13")).data)
    links = {path: member.linkname for path, (member, _) in found.items() if member.issym()}
    assert links == {
        f"app/.venv/bin/{name}": "/usr/local/bin/python3.13"
        for name in ("python", "python3", "python3.13")
    }
    assert found["app/.venv/lib/python3.13/site-packages"][0].isdir()
    assert found["app/.venv/pyvenv.cfg"][1] == (
        b"home = /usr/local/bin\ninclude-system-site-packages = false\nversion = 3.13.1\n"
    )


def names(text: str) -> list[str]:
    return [name for name, _ in console_scripts(text.encode(), "demo.whl")]


def test_text_of_a_script() -> None:
    ((name, data),) = console_scripts(b"[console_scripts]\ntool = pkg.mod:Cli.run\n", "demo.whl")
    assert name == "tool"
    assert data.decode() == (
        "#!/app/.venv/bin/python\n"
        "import sys\n"
        "\n"
        "from pkg.mod import Cli\n"
        "\n"
        'if __name__ == "__main__":\n'
        "    sys.exit(Cli.run())\n"
    )
    ast.parse(data)


def test_scripts_of_both_kinds_are_sorted_by_name() -> None:
    text = "[gui_scripts]\nb = m:f\n[console_scripts]\nc = m:f\na = m:f\nB = m:f\n"
    assert names(text) == ["B", "a", "b", "c"]


@pytest.mark.parametrize("text", ["", "[other]\na = b\n", "[console_scripts]\n", "# nothing\n"])
def test_none(text: str) -> None:
    assert names(text) == []


@pytest.mark.parametrize("name", ["a", "pip3.11", "my-tool", "my_tool", "2to3", "X", "a.b-c_d"])
def test_names_that_packages_use(name: str) -> None:
    assert names(f"[console_scripts]\n{name} = m:f\n") == [name]


@pytest.mark.parametrize(
    "reference", ["m:f", "a.b.c:d.e", "m : f", "  m:f  ", "m:f [extra]", "m:f[a,b]", "_m:_f"]
)
def test_references_that_packages_use(reference: str) -> None:
    ((_, data),) = console_scripts(f"[console_scripts]\na = {reference}\n".encode(), "demo.whl")
    ast.parse(data)


def test_comments_and_interpolation_are_nothing_special() -> None:
    text = "# 50% off\n[console_scripts]\n; nothing\na = m:f\n[other]\nb = %(missing)s\n"
    assert names(text) == ["a"]


def test_the_last_of_two_lines_counts() -> None:
    text = b"[console_scripts]\na = m:first\na = m:second\n"
    ((_, data),) = console_scripts(text, "demo.whl")
    assert b"second" in data


@pytest.mark.parametrize("data", [b"\xff\xfe", b"a = b", b"[x\n", b"[console_scripts]\n= m:f\n"])
def test_what_cannot_be_read_is_refused(data: bytes) -> None:
    with pytest.raises(LockstitchError, match=r"the entry points of `demo\.whl` cannot be read"):
        list(console_scripts(data, "demo.whl"))


def test_the_error_shows_what_is_declared() -> None:
    with pytest.raises(LockstitchError) as caught:
        list(console_scripts(b"[console_scripts]\ntool = os; x\n", "demo.whl"))
    assert caught.value.message == ("`demo.whl` declares the script `tool = os; x`, which is none")


def test_shebang() -> None:
    assert with_shebang(b"#!python3\nx") == b"#!/app/.venv/bin/python\nx"
    assert with_shebang(b"#!/usr/bin/python\nx") == b"#!/usr/bin/python\nx"


@pytest.mark.parametrize(
    "path",
    [
        "numpy/tests/test_x.py",
        "numpy/_core/tests/data/x.csv",
        "numpy/_core/include/numpy/ndarrayobject.h",
        "numpy/__init__.pyi",
        "numpy/random/lib/libnpyrandom.a",
        "torch/include/ATen/ATen.hpp",
        "sklearn/utils/_x.pyx",
        "sklearn/datasets/data/iris.csv",
        "onnxruntime/tools/check.py",
        "onnx/backend/test/data/model.onnx",
    ],
)
def test_is_trimmed(path: str) -> None:
    assert is_trimmed(path) is True


@pytest.mark.parametrize(
    "path",
    [
        "numpy/__init__.py",
        "numpy/testing/__init__.py",
        "numpy/_core/tests/_natype.py",
        "tests/__init__.py",
        "tests/sub/x.py",
        "demo/tests",
        "demo/tests.py",
        "demo/contests/a.py",
        "demo/py.typed",
        "demo/lib.so",
        "demo/lib.so.1",
        "demo/a.H5",
        "sklearn/datasets/__init__.py",
        "onnxruntime/capi/x.py",
        "other/sklearn/datasets/data/iris.csv",
    ],
)
def test_kept(path: str) -> None:
    assert is_trimmed(path) is False


def test_a_folder_of_which_nothing_is_kept_is_one_entry() -> None:
    kept = ["a/__init__.py", "a/b/c.py"]
    left = ["a/tests/one.py", "a/tests/deep/two.py", "a/b/c.pyi", "include/x.h", "top.pyi"]
    assert folded(kept, left) == ("a/b/c.pyi", "a/tests/", "include/", "top.pyi")
    assert folded([], ["a/b.py", "c.py"]) == ("a/", "c.py")
    assert folded(kept, []) == ()
