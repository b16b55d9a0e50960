"""`lockstitch bisect --setting`: one environment, and variables with two values."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from support import bisecting
from support.world import World

from lockstitch.cli.main import main


@pytest.fixture
def tmp_path(tmp_path: Path) -> Path:
    """Return a folder with nothing beside it: each run links what stands beside the project."""
    (tmp_path / "project").mkdir()
    return tmp_path / "project"


@pytest.fixture
def folder(online: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    with online.kept():
        bisecting.package(online, "ant", ("1.0",))
        bisecting.lock(online, tmp_path / "a.txt", ant="1.0")
        monkeypatch.chdir(tmp_path)
        yield tmp_path


SETTING = """\
what changes it from 0.5 to 0.75: after 14 runs

  variable MINE unset → on

environment        number
A                     0.5
A with $MINE of B    0.75  sufficient
B                    0.75

confidence: high: 14 runs of these, each as it should be;
chance alone sorts them so once in 2,002 times

to get either
  A: unset MINE
  B: export MINE=on
"""


@pytest.mark.slow
def test_a_setting(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MINE", "of the shell")
    monkeypatch.setenv("PYTHONPATH", "nowhere")
    text = """\
import json, os, sys
assert "nowhere" not in sys.path and os.environ["VIRTUAL_ENV"] == sys.prefix
number = {"test": {"auc": 0.75 if os.environ.get("MINE") == "on" else 0.5}}
open("metrics.json", "w").write(json.dumps(number))
"""
    (folder / "score.py").write_text(text)
    words = ["bisect", "a.txt", "a.txt", "--setting", "MINE=,on", "--quiet"]
    words += ["--metric-file", "metrics.json:test.auc"]
    assert main([*words, "--", "python", "score.py"]) == 0
    assert capsys.readouterr() == (SETTING, "")


REST = """\
what changes it from 0 to 1: after 16 runs

  variable X 0 → 1

environment     number
A                    0
A with $X of B       1  sufficient
B with $X of A     0.5     neither
B                    1

it is sufficient and not all: without it the number is neither A's nor B's

to get either
  A: export X=0
  B: export X=1
"""
EITHER = """\
what changes it from 0 to 1, each of these alone: after 23 runs

  variable X 0 → 1

  variable Y 0 → 1

environment     number
A                    0
A with $X of B       1  sufficient
A with $Y of B       1  sufficient
B                    1

confidence: high: 23 runs of these, each as it should be;
chance alone sorts them so once in 352,716 times

to get either
  A: export X=0
  A: export Y=0
  B: export X=1
  B: export Y=1
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("rule", "code", "said"), [("1 if x else 0.5 if y else 0", 1, REST), ("int(x or y)", 0, EITHER)]
)
def test_more_than_one_thing_changes_it(
    rule: str, code: int, said: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = f"import os\nx, y = (os.environ[name] == '1' for name in 'XY')\nprint({rule})\n"
    (folder / "score.py").write_text(text)
    words = ["bisect", "a.txt", "a.txt", "--setting", "X=0,1", "--setting", "Y=0,1", "--quiet"]
    assert main([*words, "--", "python", "score.py"]) == code
    assert capsys.readouterr() == (said, "")
