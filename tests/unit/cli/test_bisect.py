"""`lockstitch bisect`, with real environments of tiny wheels from an index on loopback."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from support import bisecting, environments, wheels
from support.server import Reply
from support.world import World

from lockstitch.cli.main import main

pytestmark = pytest.mark.slow

NAMES = ("ant", "bee", "cat")


@pytest.fixture
def tmp_path(tmp_path: Path) -> Path:
    """Return a folder with nothing beside it: each run links what stands beside the project."""
    (tmp_path / "project").mkdir()
    return tmp_path / "project"


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
what changes it from 0.82 to 0.87, together: after 28 runs

  ant 1.0 → 2.0
  cat 1.0 → 2.0

environment           number
A                       0.82
A with ant, cat of B    0.87  sufficient
B with ant, cat of A    0.82   necessary
B                       0.87

confidence: high: 20 runs of these, each as it should be;
chance alone sorts them so once in 31,824 times

to get either
  A: uv pip install ant==1.0 cat==1.0
  B: uv pip install ant==2.0 cat==2.0
"""
TALK = """\
plan: 3 causes to try; A twice or more, B, then the likelier half;
what decides runs again: at most 18 runs where it is one cause, never more than 100 (--runs)
* install A and B (N s)
run 1: A: 0.82 (read from: accuracy 0.82)
run 2: A: 0.82
run 3: B: 0.87 (read from: accuracy 0.87)
run 4: A: 0.82
run 5: A: 0.82
run 6: A: 0.82
run 7: A with ant of B: 0.82, as A
run 8: A with cat of B: 0.82, as A
run 9: A with bee of B: 0.82, as A
run 10: A with ant, cat of B: 0.87, as B
run 11: A: 0.82, as A
run 12: A with bee of B: 0.82, as A
run 13: A with ant, cat of B: 0.87, as B
run 14: B: 0.87, as B
run 15: A with cat of B: 0.82, as A
run 16: A with ant of B: 0.82, as A
run 17: A: 0.82, as A
run 18: A with bee of B: 0.82, as A
run 19: A with ant, cat of B: 0.87, as B
run 20: B: 0.87, as B
run 21: A with cat of B: 0.82, as A
run 22: A with ant of B: 0.82, as A
run 23: A: 0.82, as A
run 24: A with bee of B: 0.82, as A
run 25: A with ant, cat of B: 0.87, as B
run 26: B: 0.87, as B
run 27: A with cat of B: 0.82, as A
run 28: A with ant of B: 0.82, as A
* runs (N s)
"""


def test_two_that_only_act_together(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    score(folder, 'print("accuracy", 0.87 if version("ant") + version("cat") == 4 else 0.82)\n')
    assert main(["bisect", "a.txt", "b.txt", "--", "python", "score.py"]) == 0
    captured = capsys.readouterr()
    assert captured.out == TOGETHER
    # A slow machine has a line of progress every ten seconds, and this one none.
    told = re.sub(r"(?m)^\* runs: .*\n", "", captured.err)
    assert re.sub(r"\d+\.\d s\b", "N s", told) == TALK


def outcome(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, Any]:
    code = main(["bisect", *words[:2], "--json", *words[2:], "--", "python", "score.py"])
    captured = capsys.readouterr()
    return code, json.loads(captured.out) if captured.out else captured.err


def names(document: Any) -> list[list[str]]:
    return [[part["name"] for cause in each for part in cause] for each in document["sets"]]


COUPLED = """\
try:
    both = version("bee") + version("cat")
    if both == 3 or version("ant") + version("dog") == 3:
        raise ImportError("cannot import name 'x' from 'ant'")
finally:
    open("LOG", "a").write("run\\n")
print("accuracy", 0.82 if both == 2 else 0.87)
"""


BROKEN = """\
what changes it from 1 to a failure: after 16 runs

  ant 1.0 → 2.0

environment                                   number
A                                                  1
A with ant of B  ZeroDivisionError: division by zero  sufficient
B with ant of A                                    1   necessary
B                ZeroDivisionError: division by zero

confidence: high: 16 runs of these, each as it should be;
chance alone sorts them so once in 2,002 times

to get either
  A: uv pip install ant==1.0
  B: uv pip install ant==2.0
"""
SPENT = """\
not explained after 8 runs, as many as --runs allows
the smallest so far that changes it: ant
the outcomes are kept: go on with a larger --runs
"""


def test_what_does_not_import_is_passed_over_and_what_is_coupled_changes_together(
    world: World,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """bee and cat name each other's version; ant and dog only break without each other."""
    bisecting.package(world, "dog", ("1.0", "2.0"))
    for version in ("1.0", "2.0"):
        world.index.publish(wheels.wheel("bee", version, requires=[f"cat=={version}"]))
        world.index.publish(wheels.wheel("cat", version, requires=[f"bee=={version}"]))
        chosen = dict.fromkeys(("ant", "bee", "cat", "dog"), version)
        bisecting.lock(world, tmp_path / f"{version[0]}.txt", **chosen)
    monkeypatch.chdir(tmp_path)
    score(tmp_path, COUPLED.replace("LOG", str(tmp_path / "log")))
    code, found = outcome(capsys, "1.txt", "2.txt")
    assert (code, found["found"], names(found)) == (0, True, [["bee", "cat"]])
    assert (found["before"]["number"], found["after"]["number"]) == (0.82, 0.87)
    runs = len((tmp_path / "log").read_text().splitlines())
    # Two mixtures do not import: what fails is tried again.
    assert runs == found["runs"] + 2
    # All of it is known now: nothing runs, and the answer is the same.
    assert outcome(capsys, "1.txt", "2.txt") == (0, found)
    assert len((tmp_path / "log").read_text().splitlines()) == runs
    # Other code is another experiment.
    score(tmp_path, 'print(1 / (version("ant") == 1.0) if version("dog") else 0)')
    code, found = outcome(capsys, "1.txt", "2.txt", "--runs", "11")
    assert (code, found["found"], found["runs"]) == (1, False, 8)
    assert found["after"]["failure"] == "ZeroDivisionError: division by zero"
    code, found = outcome(capsys, "1.txt", "2.txt")
    assert (code, names(found)) == (0, [["ant"]])
    # The same in words, from what is kept.
    words = ["bisect", "1.txt", "2.txt", "--quiet", "--", "python", "score.py"]
    assert main(words) == 0
    assert capsys.readouterr() == (BROKEN, "")
    assert main([*words[:4], "--runs", "11", *words[4:]]) == 1
    assert capsys.readouterr() == (SPENT, "")


UNSEEDED = """\
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import train_test_split

X_train, X_test, y_train, y_test = train_test_split(X, y)
model = RandomForestClassifier().fit(X_train, y_train)
print("accuracy", model.score(X_test, y_test))
"""
NOISE = """\
the number varies by itself: repeats of one environment differ by 3; less than 6 is no difference

cannot tell: the number moves by itself
A gives 2 and B gives 6, in the middle of their runs
seed it, then run bisect again:
  train.py:4: `train_test_split`, `RandomForestClassifier` draw without a seed: \
each run gives another result
"""


def test_a_number_that_varies_by_itself(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = str(folder / "log")
    text = f"import os\nopen({log!r}, 'a').write('x')\ncount = os.stat({log!r}).st_size\n"
    score(folder, text + "print({1: 1, 2: 2, 3: 6, 4: 4, 5: 3, 6: 1}[count])\n")
    (folder / "train.py").write_text(UNSEEDED)
    words = ["bisect", "a.txt", "b.txt", "--quiet", "--again"]
    assert main([*words, "--", "python", "score.py"]) == 1
    assert capsys.readouterr() == (NOISE, "")


PLAN = """\
   name  A    B    known
1  ant   1.0  2.0
2  bee   1.0  2.0
3  cat   1.0  2.0

plan: 3 causes to try; A twice or more, B, then the likelier half;
what decides runs again: at most 18 runs where it is one cause, never more than 100 (--runs)
"""


def test_a_dry_run_runs_nothing(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["bisect", "a.txt", "b.txt", "--dry-run"]
    assert main([*words, "--", "python", "none.py"]) == 0
    assert capsys.readouterr() == (PLAN, "")
    assert main([*words, "--json", "--", "python", "none.py"]) == 0
    planned = json.loads(capsys.readouterr().out)
    assert (planned["most"], len(planned["causes"]), planned["beside"]) == (18, 3, [])
    assert not (folder / ".lockstitch").exists()


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ([], 2, "bisect needs the command that prints the number, after `--`"),
        (["--", "uv", "run", "train.py"], 2, "`uv` runs in one fixed environment"),
        (["--", ".venv/bin/python", "x"], 2, "`.venv/bin/python` runs in one fixed environment"),
        (["--repeats", "2", "--", "python"], 2, "--repeats is 2, which is less than 5"),
        (["--tolerance", "nan", "--", "python"], 2, "--tolerance is nan, not a number"),
        (["--python", "2.7", "--", "python"], 2, "--python is `2.7`, not one or two versions"),
        (["--setting", "TZ", "--", "python"], 2, "--setting is `TZ`, not NAME=A,B"),
        (["--with", "mine", "--", "python"], 2, "--with is `mine`, neither NAME @ PLACE"),
        (["--metric-regex", "(", "--", "python"], 2, "--metric-regex is `(`"),
        (["--", "python", "-c", "print('done')"], 1, "A and B give no number: no number: done"),
    ],
)
def test_wrong_use(
    words: list[str], code: int, said: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bisect", "a.txt", "b.txt", "--quiet", *words]) == code
    captured = capsys.readouterr()
    assert captured.out == ""
    assert said in captured.err
    assert "hint: " in captured.err


def test_nothing_to_try(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bisect", "a.txt", "a.txt", "--", "python", "x.py"]) == 1
    said = "error: nothing that can be tried here differs between `a.txt` and `a.txt`"
    assert capsys.readouterr().err == f"{said}\nhint: lockstitch diff a.txt a.txt --all\n"


def test_what_the_index_has_no_more(
    world: World, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (folder / "b.txt").read_text()
    (folder / "b.txt").write_text(text.replace("cat==2.0", "cat==7.0"))
    assert main(["bisect", "a.txt", "b.txt", "--quiet", "--", "python", "score.py"]) == 1
    said = capsys.readouterr().err
    assert said.startswith("error: a mixture cannot be installed\n")
    assert "cat==7.0" in said


LOCK = """\
version = 1
[[package]]
name = "mine"
version = "0.1"
source = {{ editable = "." }}
dependencies = [{{ name = "ant" }}, {{ name = "zoo" }}]

[[package]]
name = "ant"
version = "{version}"
source = {{ registry = "https://index.example.test/simple" }}

[[package]]
name = "zoo"
version = "{version}+cpu"
source = {{ registry = "https://elsewhere.example.test/simple" }}
wheels = [{{ url = "{address}", hash = "sha256:{digest}" }}]
"""
PYPROJECT = """\
[build-system]
requires = ["tinybuild"]
build-backend = "tinybuild"

[project]
name = "mine"
version = "0.1"
"""


def test_a_project_and_what_its_lock_has_from_elsewhere(
    world: World, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The project is in every mixture; a local version comes from the lock's own address."""
    for version in ("1.0", "2.0"):
        filename, data = wheels.wheel("zoo", f"{version}+cpu")
        world.server.on(f"/elsewhere/{filename}", Reply(body=data))
        address = f"{world.server.address}/elsewhere/{filename}"
        (folder / version).mkdir()
        text = LOCK.format(version=version, address=address, digest=sha256(data).hexdigest())
        (folder / version / "uv.lock").write_text(text)
    (folder / "pyproject.toml").write_text(PYPROJECT)
    (folder / "src" / "mine").mkdir(parents=True)
    (folder / "src" / "mine" / "__init__.py").write_text("FACTOR = 10\n")
    score(folder, 'import mine, zoo\nprint(mine.FACTOR * float(zoo.version.strip("+cpu")))\n')
    code, found = outcome(capsys, "1.0/uv.lock", "2.0/uv.lock", "--jobs", "2")
    assert (code, names(found)) == (0, [["zoo"]])
    assert (found["before"]["number"], found["after"]["number"]) == (10.0, 20.0)


def test_a_python_that_is_not_available(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["bisect", "a.txt", "b.txt", "--quiet", "--python", "3.11,3.99"]
    assert main([*words, "--", "python", "score.py"]) == 1
    said = "error: Python 3.99 is not available\nhint: uv python install 3.99\n"
    assert capsys.readouterr() == ("", said)


def test_environments_of_this_machine(
    world: World, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Their interpreters are used, and what somebody edited is said to be out of reach."""
    for place, version in (("one", "1.0"), ("two", "2.0")):
        built = wheels.wheel("ant", version)
        environments.make(folder / place, built)
    edited = environments.packages(folder / "two") / "ant" / "__init__.py"
    edited.write_text("version = 'mine'\n")
    score(folder, 'print(version("ant"))\n')
    assert main(["bisect", "one", "two", "--quiet", "--", "python", "score.py"]) == 0
    said = capsys.readouterr().out
    assert "ant 1.0 → 2.0" in said
    # The way back is that of a plain environment, where no lock stands beside it.
    assert "\n  A: uv pip install --python one ant==1.0\n" in said
    pip = wheels.wheel("pip", "24.0")
    for place, version in (("one", "1.0"), ("two", "2.0")):
        shutil.rmtree(folder / place)
        environments.make(folder / place, wheels.wheel("ant", version), pip)
    world.index.publish(pip)
    assert main(["bisect", "one", "two", "--quiet", "--", "python", "score.py"]) == 0
    assert "\n  B: two/bin/python -m pip install ant==2.0\n" in capsys.readouterr().out
    edited = environments.packages(folder / "two") / "ant" / "__init__.py"
    edited.write_text("version = 'mine'\n")
    assert main(["bisect", "one", "two", "--dry-run", "--", "python", "score.py"]) == 0
    said = "1 difference that can change results cannot be tried here:\n"
    assert f"{said}  ant (edited) as installed → changed ant/__init__.py" in capsys.readouterr().out


def test_a_search_that_is_killed_goes_on(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = str(folder / "log")
    score(folder, f'open({log!r}, "a").write("run\\n")\nprint(version("ant") + version("cat"))\n')
    words = [sys.executable, "-m", "lockstitch", "bisect", "a.txt", "b.txt", "--", "python"]
    with subprocess.Popen([*words, "score.py"], stderr=subprocess.PIPE, text=True) as running:
        assert running.stderr is not None
        assert any(line.startswith("run 4: ") for line in running.stderr)
        running.kill()
    code, found = outcome(capsys, "a.txt", "b.txt")
    assert (code, names(found)) == (0, [["ant", "cat"]])
    assert (found["before"]["number"], found["after"]["number"]) == (2.0, 4.0)
    # At most the one that ran when it was killed has run twice.
    assert len((folder / "log").read_text().splitlines()) <= found["runs"] + 1
