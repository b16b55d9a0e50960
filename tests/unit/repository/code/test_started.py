"""Programs that code starts are told by its calls."""

import pytest

from lockstitch.repository.code.applications import code_of
from lockstitch.repository.code.started import started_by


@pytest.mark.parametrize(
    ("text", "programs"),
    [
        ("import os\nos.system('ls')\n", ["sh"]),
        ("from os import popen\npopen('ls')\n", ["sh"]),
        ("import subprocess\nsubprocess.run('ls -l', shell=True)\n", ["sh"]),
        ("import subprocess as sp\nsp.check_output(['git', 'log'])\n", ["git"]),
        ("from subprocess import Popen\nPopen(('/usr/bin/ffmpeg', '-i', x))\n", ["ffmpeg"]),
        ("import subprocess\nsubprocess.run('tesseract')\n", ["tesseract"]),
        ("import subprocess\nsubprocess.run([])\nsubprocess.run(words)\n", []),
        ("import subprocess, sys\nsubprocess.run([sys.executable, 'a.py'])\n", []),
        ("import subprocess\nsubprocess.run('a b')\n", []),  # no program has this name
        ("import mine\nmine.run(['git'])\n", []),
        ("class os:\n    pass\nshell.system('ls')\n", []),
    ],
)
def test_a_program_is_told_by_its_call(text: str, programs: list[str]) -> None:
    code = code_of("a.py", text)
    assert code is not None
    assert [name for name, _ in started_by(code)] == programs
