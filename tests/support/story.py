"""Runs *.story files: commands, what they print, and the files they need, in one text.

`$ command  # exits 1` runs a command, `> ` lines are what it prints, `-- path --` starts a
file that stands in the folder from the beginning. Other lines are for the reader. Whatever
differs from run to run is filtered. `make golden` rewrites the expected lines.
"""

import contextlib
import io
import os
import re
import shlex
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from support import projects

from lockstitch import process
from lockstitch.cli.main import main

__all__ = ["Story", "parse", "play"]

_COMMAND = re.compile(r"\$ (?P<command>.*?)(?:  # exits (?P<code>\d+))?")
_FILE = re.compile(r"-- (\S+) --")
_FILTERS = (
    (re.compile(r"\b[0-9a-f]{64}\b"), "DIGEST"),
    (re.compile(r"\b[0-9a-f]{12}\b"), "SHORT"),
    (re.compile(r"127\.0\.0\.1:\d+"), "127.0.0.1:PORT"),
    (re.compile(r"\b\d+\.\d+ s\b"), "N s"),
    (re.compile(r"with \d+ files"), "with N files"),
    # The wheels of the tests are packed by this machine's zlib.
    (re.compile(r"(SHORT +|, )\d+\.\d kB(?= compressed|  )"), r"\1N kB"),
)


@dataclass(frozen=True, slots=True)
class Story:
    """The lines of a story up to its first file, and the files."""

    lines: tuple[str, ...]
    files: dict[str, str]


def parse(text: str) -> Story:
    """Return the story that a text tells."""
    lines: list[str] = []
    files: dict[str, list[str]] = {}
    current = lines
    for line in text.splitlines():
        if match := _FILE.fullmatch(line):
            current = files.setdefault(match[1], [])
        else:
            current.append(line)
    return Story(tuple(lines), {name: "".join(f"{x}\n" for x in f) for name, f in files.items()})


def play(story: Story, folder: Path) -> str:
    """Run the commands in a folder and return the lines with what really was printed."""
    projects.write_files(folder, story.files)
    with contextlib.chdir(folder):
        return "".join(f"{line}\n" for line in _lines(story, folder))


def _lines(story: Story, folder: Path) -> Iterator[str]:
    for line in story.lines:
        match = _COMMAND.fullmatch(line)
        if match:
            code, output = _run(match["command"])
            yield f"$ {match['command']}" + (f"  # exits {code}" if code else "")
            for printed in _filtered(output, folder).splitlines():
                yield f"> {printed}".rstrip()
        elif not line.startswith(">"):
            yield line


def _run(command: str) -> tuple[int, str]:
    words = shlex.split(command)
    if words[0] == "lockstitch":
        return _lockstitch(words[1:])
    if words[0] == "uv":
        command = command.replace("uv", shlex.quote(str(process.find_uv())), 1)
    if words[0] == "cd":
        os.chdir(words[1])
        return 0, ""
    done = subprocess.run(
        ["sh", "-c", command],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout


def _lockstitch(words: list[str]) -> tuple[int, str]:
    # In this process, since starting one takes longer than most commands.
    output = io.StringIO()
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
        try:
            code = main(words)
        except SystemExit as left:
            code = int(left.code or 0)
    return code, output.getvalue()


def _filtered(output: str, folder: Path) -> str:
    output = output.replace(str(folder), "FOLDER")
    for pattern, name in _FILTERS:
        output = pattern.sub(name, output)
    return output
