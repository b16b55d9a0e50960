"""Colour on terminals, and nowhere else."""

import io
import sys

import pytest

from lockstitch import colour
from lockstitch.cli.main import main

DIFFERENCE = "--- a/x\n+++ b/x\n@@ -1 +1 @@\n-old\n+new\n same\n"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("variables", "on_terminal", "in_pipe"),
    [
        ({}, True, False),
        ({"NO_COLOR": "1"}, False, False),
        ({"FORCE_COLOR": "1"}, True, True),
        ({"FORCE_COLOR": "0"}, True, False),
        ({"NO_COLOR": "1", "FORCE_COLOR": "1"}, False, False),
    ],
)
def test_where_colour_is_wanted(
    variables: dict[str, str], *, on_terminal: bool, in_pipe: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    for stream, wanted in ((Terminal(), on_terminal), (io.StringIO(), in_pipe)):
        assert colour.is_wanted(stream) == wanted
        assert ("\x1b[" in colour.line("error: no", stream)) == wanted
        assert ("\x1b[" in colour.difference(DIFFERENCE, stream)) == wanted
        assert ("\x1b[" in colour.findings("a.py:1:2: error IMG001 no\n", stream)) == wanted


def test_the_first_word_of_talk_is_painted() -> None:
    assert colour.line("error: `x`: no", Terminal()) == "\x1b[1;31merror\x1b[0m: `x`: no"
    assert colour.line("    hint: y", Terminal()) == "    \x1b[1;36mhint\x1b[0m: y"
    assert colour.line("serve: hint: y", Terminal()) == "serve: hint: y"


def test_a_finding_is_painted_as_ruff_does() -> None:
    found = colour.findings("a b.py:12:3: warning IMG012 error: no\n    hint: do\n", Terminal())
    assert found == (
        "\x1b[1ma b.py\x1b[0m\x1b[1;36m:\x1b[0m12\x1b[1;36m:\x1b[0m3\x1b[1;36m:\x1b[0m "
        "\x1b[1;33mwarning\x1b[0m \x1b[1;31mIMG012\x1b[0m error: no\n"
        "    \x1b[1;36mhint\x1b[0m: do\n"
    )
    whole = colour.findings("uv.lock: error LCK001 no\n", Terminal())
    assert whole.startswith("\x1b[1muv.lock\x1b[0m: \x1b[1;31merror")


def test_a_difference_loses_nothing() -> None:
    painted = colour.difference(DIFFERENCE, Terminal())
    for code in ("\x1b[1m", "\x1b[36m", "\x1b[1;36m", "\x1b[32m", "\x1b[31m", "\x1b[0m"):
        painted = painted.replace(code, "")
    assert painted == DIFFERENCE


def test_errors_on_a_terminal_are_red(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    assert main(["check", "--select", "NOPE"]) == 2
    assert "\x1b[1;31merror\x1b[0m: " in screen.getvalue()
    assert "\x1b[1;36mhint\x1b[0m: " in screen.getvalue()
