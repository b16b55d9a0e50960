"""Runs of a command: what is kept of them, and for which code."""

import sys
from pathlib import Path

import pytest
from support.programs import git

from lockstitch.drift.bisect import metric
from lockstitch.drift.bisect.environments import Environments
from lockstitch.drift.bisect.experiment import CommandBench, Outcomes, code, key
from lockstitch.drift.bisect.model import Fails, Metric
from lockstitch.drift.bisect.sides import Ends, Requirements, Side
from lockstitch.errors import LockstitchError
from lockstitch.fingerprint.model import Fingerprint


class Here(Environments):
    """The environment of the tests, or none."""

    def __init__(self, problem: str) -> None:
        super().__init__(Path())
        self.problem = problem

    def make(self, wanted: Requirements) -> Path:
        assert wanted.pins == ()
        if self.problem:
            raise LockstitchError(self.problem)
        return Path(sys.prefix)

    def variables(self, folder: Path) -> dict[str, str | None]:
        return {"VIRTUAL_ENV": str(folder)}


def bench(folder: Path, text: str, problem: str = "") -> CommandBench:
    side = Side(
        word="x", fingerprint=Fingerprint(kind="lock"), read=lambda _: side.fingerprint, python="3"
    )
    ends = Ends(before=side, after=side, causes=(), beside=(), given=frozenset())
    return CommandBench(
        ends=ends,
        environments=Here(problem),
        command=[sys.executable, "-c", text],
        folder=folder,
        metric=metric.parse("", ""),
        outcomes=Outcomes(folder / "outcomes.json"),
    )


@pytest.mark.slow
def test_an_outcome_is_kept_unless_it_may_be_otherwise_next_time(tmp_path: Path) -> None:
    kill = "import os, signal; print(1); os.kill(os.getpid(), signal.SIGKILL)"
    stopped = bench(tmp_path, kill).run(frozenset())
    assert stopped == Fails(reason="signal 9", detail="signal 9", passing=True)
    away = bench(tmp_path, "", "it cannot be installed\nno route to host\n").run(frozenset())
    assert isinstance(away, Fails)
    assert (away.reason, away.passing) == ("no route to host", True)
    assert not (tmp_path / "outcomes.json").exists()
    made = bench(tmp_path, "print(0.5)")
    assert made.run(frozenset()) == Metric(value=0.5)
    assert bench(tmp_path, kill).run(frozenset()) == Metric(value=0.5)
    assert isinstance(bench(tmp_path, "import nowhere_at_all").run(frozenset(), 1), Fails)
    assert bench(tmp_path, "print(1)").run(frozenset(), 1) != Metric(value=1.0)
    assert made.runs == 1


@pytest.mark.slow
def test_a_run_that_fails_once_is_tried_again(tmp_path: Path) -> None:
    marker = tmp_path / "tried"
    text = f"import os, sys; m = {str(marker)!r}\n"
    text += "if not os.path.exists(m): open(m, 'w').close(); sys.exit('ConnectionResetError: x')\n"
    text += "print('accuracy 0.5')"
    made = bench(tmp_path, text)
    outcome = made.run(frozenset())
    assert outcome == Metric(value=0.5)
    assert isinstance(outcome, Metric)
    assert outcome.line == "accuracy 0.5"
    again = bench(tmp_path, text).outcomes.get(frozenset(), 0)
    assert isinstance(again, Metric)
    assert again.line == "accuracy 0.5"


def test_a_run_is_in_a_copy_beside_what_stands_beside_the_project(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "x.csv").write_text("3")
    project = tmp_path / "mine"
    (project / "models").mkdir(parents=True)
    (project / "models" / "model.bin").write_text("the user's own")
    script = project / "run.sh"
    script.write_text("#!/bin/sh\nexec cat models/model.bin ../data/x.csv\n")
    script.chmod(0o755)
    git(project, "init", "--quiet")
    text = "import os, subprocess\nprint(subprocess.check_output('./run.sh', text=True))\n"
    text += "assert os.path.exists('.git'), os.listdir()\n"
    text += "open('models/model.bin', 'w').write('other'); open('new', 'w')\nprint(7)"
    assert bench(project, text).run(frozenset()) == Metric(value=7.0)
    assert (project / "models" / "model.bin").read_text() == "the user's own"
    assert sorted(path.name for path in project.iterdir()) == [
        *(".git", "models", "outcomes.json", "run.sh")
    ]
    named = bench(project, "")
    named.command = [sys.executable, str(project / "where.py")]
    (project / "where.py").write_text("print(len(__file__.split('lockstitch-bisect-')))")
    assert named.run(frozenset({"x"})) == Metric(value=2.0)


def test_code_is_what_is_imported_and_what_is_named(tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet")
    (tmp_path / "a.py").write_text("1")
    (tmp_path / "notes.md").write_text("1")
    (tmp_path / "run.sh").write_text("1")
    before = code(tmp_path, ["sh", "run.sh"])
    assert [name for name, _ in before] == ["a.py", "run.sh"]
    (tmp_path / "notes.md").write_text("2")
    assert code(tmp_path, ["sh", "run.sh"]) == before
    (tmp_path / "run.sh").write_text("2")
    assert code(tmp_path, ["sh", "run.sh"]) != before
    packages = tmp_path / "env" / "lib" / "python3.11" / "site-packages"
    packages.mkdir(parents=True)
    (packages / "b.py").write_text("1")
    assert [name for name, _ in code(tmp_path, ["sh", "run.sh"])] == ["a.py", "run.sh"]


def test_outcomes_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "x" / "key.json"
    first = Outcomes(path)
    first.put(frozenset({"b", "a"}), 0, Metric(value=0.1 + 0.2))
    first.put(frozenset(), 1, Metric(value=float("inf")))
    first.put(frozenset({"a"}), 0, Fails(reason="r", detail="d"))
    again = Outcomes(path)
    assert again.before == 3
    assert again.get(frozenset({"a", "b"}), 0) == Metric(value=0.1 + 0.2)
    assert again.get(frozenset(), 1) == Metric(value=float("inf"))
    assert again.get(frozenset({"a"}), 0) == Fails(reason="r", detail="d")
    assert again.get(frozenset({"a"}), 1) is None
    assert Outcomes(path, forget=True).before == 0


@pytest.mark.parametrize("text", ["", "[]", '{"#0": 1}', '{"#0": {"metric": "x"}}', '{"#0": {}}'])
def test_damaged_outcomes_count_as_none(text: str, tmp_path: Path) -> None:
    path = tmp_path / "key.json"
    path.write_text(text)
    assert Outcomes(path).before == 0


def test_a_key_is_of_all_that_decides() -> None:
    assert key({"a": 1, "b": 2}) == key({"b": 2, "a": 1}) != key({"a": 1})
