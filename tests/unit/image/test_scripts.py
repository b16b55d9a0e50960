"""Console scripts, as text and as programs."""

import ast

import pytest

from lockstitch.errors import LockstitchError
from lockstitch.image.scripts import console_scripts, with_shebang


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
