"""The tutorials of existing projects, typed as they stand: files, commands, and what they print.

`--golden` writes the output of each command into the page.
"""

import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from support import programs

pytestmark = [pytest.mark.peers, pytest.mark.network, pytest.mark.usefixtures("in_store")]

PAGE = Path(__file__).parents[2] / "docs" / "tutorials" / "existing-projects.md"
_FENCE = re.compile(
    r"```(?P<kind>\w+)(?: title=\"(?P<name>[^\"]+)\")?\n(?P<text>.*?)```", re.DOTALL
)
_FOLDER = re.compile(r"[Aa] folder `(\w+)`|in a folder `(\w+)`")
# What differs from day to day and from machine to machine.
_MOVES = (
    (re.compile(r"\x1b\[[0-9;]*m"), ""),
    (re.compile(r"\d+(\.\d+)? (s|ms)\b"), "N s"),
    (re.compile(r"\d+\.\d+ (kB|MB|GB)"), r"N \1"),
    (re.compile(r"sha256:[0-9a-f]{64}"), "sha256:DIGEST"),
    (re.compile(r"\b\d+ (packages?|layers?|files?|wheels?|made)\b"), r"N \1"),
    (re.compile(r"layers, (none|N) made"), "layers, N made"),
    (re.compile(r"^\* .*\n", re.MULTILINE), ""),  # progress: what is in the store is not fetched
    (re.compile(r"^< .*\n", re.MULTILINE), ""),  # a server's own words have addresses and times
    (re.compile(r"^(built|up to date) in .*\n", re.MULTILINE), ""),
)


@dataclass
class Project:
    """The blocks of one section: files, and commands in their order."""

    folder: str
    blocks: list[re.Match[str]] = field(default_factory=list)


def projects(text: str) -> Iterator[Project]:
    """Yield the sections that begin with a folder."""
    for section in re.split(r"(?m)^(?=## )", text):
        named = _FOLDER.search(section)
        if named:
            yield Project(named[1] or named[2], [*_FENCE.finditer(section)])


def plain(text: str) -> str:
    for pattern, word in _MOVES:
        text = pattern.sub(word, text)
    return text


def written(text: str) -> str:
    """Return output as a page shows it: no colours, and none of the lines of a slow machine."""
    text = re.sub(r"\x1b\[[0-9;]*m", "", text)
    return re.sub(
        r"(?m)^(\* .*: (\d+% after )?\d+ s.*|<  \* Running on http://(?!127).*)\n", "", text
    )


def typed(command: str, folder: Path) -> str:
    script = Path(programs.UV).with_name("lockstitch")
    line = command.replace("lockstitch", str(script), 1)
    done = subprocess.run(
        ["sh", "-c", f"{line} 2>&1"], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}"
    return done.stdout.replace(str(folder), folder.name)


def test_what_is_typed_gives_what_is_shown(tmp_path: Path, pytestconfig: pytest.Config) -> None:
    text = PAGE.read_text(encoding="utf-8")
    told = [*projects(text)]
    assert [project.folder for project in told] == ["hello", "score", "legacy"]
    for project in told:
        folder = tmp_path / project.folder
        folder.mkdir()
        subprocess.run(["git", "init", "-q"], cwd=folder, check=True)
        for block in project.blocks:
            if block["name"]:
                path = folder / block["name"]
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(block["text"], encoding="utf-8")
                continue
            commands = re.findall(r"^\$ (.*)$", block["text"], re.MULTILINE)
            played = "".join(f"$ {line}\n{typed(line, folder)}" for line in commands)
            if pytestconfig.getoption("golden"):
                text = text.replace(block[0], f"```console\n{written(played)}```", 1)
                PAGE.write_text(text, encoding="utf-8")
            else:
                assert plain(played) == plain(block["text"])
