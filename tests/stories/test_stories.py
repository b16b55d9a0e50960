"""Every *.story beside this file comes out as it is written."""

from pathlib import Path

import pytest
from support.story import parse, play
from support.world import World

STORIES = sorted(Path(__file__).parent.glob("*.story"))


@pytest.mark.parametrize("path", STORIES, ids=lambda path: path.stem)
def test_story(path: Path, online: World, tmp_path: Path, pytestconfig: pytest.Config) -> None:
    text = path.read_text(encoding="utf-8")
    head, line, files = text.partition("\n-- ")
    played = play(parse(text), tmp_path).rstrip("\n")
    if pytestconfig.getoption("golden"):
        path.write_text(f"{played}\n{line}{files}", encoding="utf-8")
    assert played == head.rstrip("\n")


def test_there_are_stories() -> None:
    assert len(STORIES) >= 5
