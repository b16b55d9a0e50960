"""`lockstep bisect`, with real environments of tiny wheels from an index on loopback."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import bisecting
from support.world import World

from lockstep.cli.main import main

NAMES = ("ant", "bee", "cat", "dog", "elk")


@pytest.fixture
def world(online: World) -> Iterator[World]:
    with online.kept():
        for name in NAMES:
            bisecting.package(online, name, ("1.0", "2.0"))
        yield online


@pytest.fixture
def folder(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    bisecting.lock(world, tmp_path / "a.txt", **dict.fromkeys(NAMES, "1.0"))
    bisecting.lock(world, tmp_path / "b.txt", **dict.fromkeys(NAMES, "2.0"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def score(folder: Path, text: str) -> None:
    (folder / "score.py").write_text(bisecting.SCORE + text)


TOGETHER = """\
what moves it from 0.82 to 0.87 together: after 12 runs

  bee 1.0 → 2.0
  dog 1.0 → 2.0

environment           number
A                       0.82
A with bee, dog of B    0.87  sufficient
B with bee, dog of A    0.82   necessary
B                       0.87

to get either
  A: uv pip install bee==1.0 dog==1.0
  B: uv pip install bee==2.0 dog==2.0
"""
TALK = """\
plan: 5 causes to try; A 2 times, B once, then halves:
at most 8 runs where it is one cause, never more than 100 (--runs)
* install A and B (N s)
run 1: A: 0.82
run 2: A: 0.82
run 3: B: 0.87
run 4: A with ant, bee of B: 0.82, as A
run 5: A with ant, bee, cat of B: 0.82, as A
run 6: B with elk of A: 0.87, as B
run 7: A with dog of B: 0.82, as A
run 8: A with ant, dog of B: 0.82, as A
run 9: A with ant, bee, dog of B: 0.87, as B
run 10: A with bee, dog of B: 0.87, as B
run 11: A with bee of B: 0.82, as A
run 12: A with ant, cat, elk of B: 0.82, as A
* runs (N s)
"""


def test_two_that_only_act_together(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    score(folder, 'print("accuracy", 0.87 if version("bee") + version("dog") == 4 else 0.82)\n')
    assert main(["bisect", "a.txt", "b.txt", "--", "python", "score.py"]) == 0
    captured = capsys.readouterr()
    assert captured.out == TOGETHER
    assert re.sub(r"\d+\.\d s\b", "N s", captured.err) == TALK
