"""Programs of installed wheels: entry points and scripts with a first line of their own."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from support.images import MadeLayer, check_golden
from support.zips import FILENAME, SITE, VENV, File, check_record, contents, wheel

from lockstitch.errors import LockstitchError

MakeLayer = Callable[..., MadeLayer]
CODE = File(name="demo/__init__.py", data=b"def main():\n    return 'demo'\n")


def test_scripts_golden(made: MakeLayer, pytestconfig: pytest.Config) -> None:
    sources = [
        File(name="demo-1.0.data/scripts/tool", data=b"#!python\nimport demo\n"),
        File(name="demo-1.0.data/scripts/tool.sh", data=b"#!/bin/sh\necho\n"),
    ]
    points = "[console_scripts]\ndemo = demo:main\nDemo-Admin = demo.admin : Cli.run [extra]\n"
    points += "[gui_scripts]\ndemo-gui=demo.gui:start\n[demo.plugins]\nno-script = demo:plugin\n"
    found = contents(made(wheel(*sources, entry_points=points)))
    text = ""
    for name in ("Demo-Admin", "demo", "demo-gui", "tool", "tool.sh"):
        text += f"-- {name} --\n{found[f'{VENV}/bin/{name}'].decode()}"
    check_golden(pytestconfig, "wheel/scripts.txt", text)


def test_a_console_script_runs(made: MakeLayer, tmp_path: Path) -> None:
    code = b"class App:\n    def run():\n        print('it runs')\n        return 3\n"
    points = "[console_scripts]\ndemo = demo:App.run\n"
    layer = made(wheel(File(name="demo/__init__.py", data=code), entry_points=points))
    for path, data in contents(layer).items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(data)
    script = tmp_path / VENV / "bin" / "demo"
    assert script.read_bytes().startswith(b"#!/app/.venv/bin/python\n")
    done = subprocess.run(
        [sys.executable, script],
        env={"PYTHONPATH": str(tmp_path / SITE)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (3, "it runs\n", "")


def test_the_line_of_a_script_is_rewritten_and_nothing_else(made: MakeLayer) -> None:
    files = {
        "plain": (b"#!python\nx\n", b"#!/app/.venv/bin/python\nx\n"),
        "gui": (b"#!pythonw\r\nx\r\n", b"#!/app/.venv/bin/python\nx\r\n"),
        "flags": (b"#!python -E\nx", b"#!/app/.venv/bin/python\nx"),
        "only": (b"#!python", b"#!/app/.venv/bin/python\n"),
        "shell": (b"#!/bin/sh\n#!python\n", b"#!/bin/sh\n#!python\n"),
        "binary": (b"\x7fELF\0#!python", b"\x7fELF\0#!python"),
        "empty": (b"", b""),
    }
    sources = [File(name=f"demo-1.0.data/scripts/{n}", data=d) for n, (d, _) in files.items()]
    layer = made(wheel(*sources))
    found = contents(layer)
    assert {n: found[f"{VENV}/bin/{n}"] for n in files} == {n: d for n, (_, d) in files.items()}
    check_record(layer)


@pytest.mark.parametrize(
    "line",
    [
        "demo = demo",
        "demo = demo:",
        "demo = :main",
        "demo =",
        "demo = demo main:run",
        "demo = demo:main()",
        "demo = demo:main; import os",
        "demo = demo:main\n  import os",
        "demo = 1demo:main",
        "demo = demo.:main",
        "../evil = demo:main",
        "bin/evil = demo:main",
        "/evil = demo:main",
        ".hidden = demo:main",
        ".. = demo:main",
        "a b = demo:main",
        "a\\b = demo:main",
    ],
)
def test_what_is_no_entry_point_is_refused(line: str, made: MakeLayer) -> None:
    with pytest.raises(LockstitchError, match=FILENAME):
        made(wheel(CODE, entry_points=f"[console_scripts]\n{line}\n"))


@pytest.mark.parametrize("text", ["demo = demo:main\n", "[console_scripts\n", "[a]\nno value\n"])
def test_entry_points_that_cannot_be_read_are_refused(text: str, made: MakeLayer) -> None:
    with pytest.raises(LockstitchError, match=f"the entry points of `{FILENAME}` cannot be read"):
        made(wheel(CODE, entry_points=text))


def test_an_entry_point_wins_over_a_script_of_its_name(made: MakeLayer) -> None:
    # As pip has it. A layer cannot hold both, and RECORD must not list both.
    twice = File(name="demo-1.0.data/scripts/demo", data=b"#!python\nold\n")
    layer = made(wheel(CODE, twice, entry_points="[console_scripts]\ndemo = demo:main\n"))
    assert b"from demo import main" in contents(layer)[f"{VENV}/bin/demo"]
    check_record(layer)


def test_defaults_of_a_configuration_file_are_no_scripts(made: MakeLayer) -> None:
    # [DEFAULT] is ConfigParser's; to importlib.metadata it is one more group of entry points.
    points = "[DEFAULT]\nghost = demo:main\n[console_scripts]\ndemo = demo:main\n"
    found = contents(made(wheel(CODE, entry_points=points)))
    assert [path for path in found if path.startswith(f"{VENV}/bin/")] == [f"{VENV}/bin/demo"]


@pytest.mark.parametrize("name", ["smc++", "f2py@3", "naïve", "a,b"])
def test_a_program_need_not_be_an_identifier(name: str, made: MakeLayer) -> None:
    layer = made(wheel(CODE, entry_points=f"[console_scripts]\n{name} = demo:main\n"))
    assert f"app/.venv/bin/{name}" in contents(layer)
