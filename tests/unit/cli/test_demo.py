"""The parts of the demo: varied builds, rows, the table."""

import json
from pathlib import Path

import pytest
from support import projects
from support.world import World

from lockstitch.cli.commands import demo
from lockstitch.cli.main import main
from lockstitch.prove import variations
from lockstitch.python.load import load
from lockstitch.table import table

pytestmark = pytest.mark.slow


def test_another_store_and_umask_give_the_same_digest(
    world: World, locked: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = load(locked)
    here = variations.timed_here(project, "serve").document
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "")
    other = variations.timed_elsewhere(project, "serve").document
    assert other["digest"] == here["digest"]
    assert other["made"] == other["layers"]


def test_a_row_says_whether_both_builds_agree() -> None:
    facts = {"unpacked": 193_000_000, "compressed": 71_700_000, "layers": 12}
    rows = [
        demo.Row(
            image="serve", cold=20.31, warm=0.125, digest="a" * 71, elsewhere="a" * 71, **facts
        ),
        demo.Row(image="train", cold=9.0, warm=2, digest="b" * 71, elsewhere="c" * 71, **facts),
    ]
    assert [row.equal for row in rows] == [True, False]
    lines = demo.shown(rows).splitlines()
    assert lines[0].split() == [
        *("image", "unpacked", "MB", "compressed", "MB", "layers"),
        *("cold", "s", "warm", "s", "digest", "equal"),
    ]
    assert lines[1].split() == [
        *("serve", "193.0", "71.7", "12", "20.3", "0.12"),
        *("sha256:aaaaaaaaaaaa…", "yes"),
    ]
    assert lines[2].endswith("no")


def test_a_table_is_aligned() -> None:
    assert table(["a", "b"], [["long", "1"], ["x", "22"]]) == "a      b\nlong   1\nx     22"


def test_the_story_compares_a_digest_once(
    world: World, locked: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The whole command on a project that is there, with a training of one line."""
    path = locked / "src" / "train.py"
    path.write_text("print('trained')\n")
    # The test's backend makes no editable install, and a changed pyproject must be locked again.
    projects.replace(
        locked, "[tool.lockstitch]\n", "[tool.uv]\npackage = false\n\n[tool.lockstitch]\n"
    )
    # Nothing installs the project's own package then, and nobody starts what is compared here.
    projects.replace(locked, 'health = "/health"\n', 'allow-missing = ["tiny"]\n')
    assert main(["self", "demo", str(locked), "--json"]) == 0
    first = json.loads(capsys.readouterr().out)
    assert [(row["image"], row["equal"]) for row in first] == [("serve", True), ("train", True)]
    assert main(["self", "demo", str(locked)]) == 0
    out, err = capsys.readouterr()
    assert "serve: this digest was compared before (--again repeats it)" in err
    assert out.splitlines()[1].split()[0] == "image"
    proofs = json.loads((locked / ".lockstitch" / "demo.json").read_text())
    assert {key.split()[1] for key in proofs} == {row["digest"] for row in first}
    assert (locked / ".venv" / "pyvenv.cfg").exists()
