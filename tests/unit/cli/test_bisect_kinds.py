"""Two recorded runs that differ in one thing of each kind: bisect names it, or says it cannot."""

import platform
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support import bisecting
from support.programs import git
from support.world import World

from lockstitch.cli.main import main
from lockstitch.digest import of_bytes
from lockstitch.fingerprint.model import Fingerprint, Package, Python
from lockstitch.run import record
from lockstitch.run.record import RunRecord

SCORE = {
    "hash seed": "print(hash('a word') % 99991 / 7)",
    "threads": "import os\nprint(1 / 3 + 1e-9 * int(os.environ['OMP_NUM_THREADS']))",
    "locale": "import os\nprint(len(os.environ.get('LC_ALL', '')) / 7)",
    "time zone": "import time\nprint(time.localtime(0).tm_hour / 7)",
    "data": "print(sum(map(float, open('data/rows.csv'))) / 7)",
    "code": "import part\nprint(part.rate / 7)",
    "only in B": "import os\nprint(os.path.exists('new.txt') / 7)",
}
NAMED = {
    "hash seed": "variable PYTHONHASHSEED 0 → 1",
    "threads": "variable OMP_NUM_THREADS 8 → 1",
    "locale": "variable LC_ALL C.UTF-8 → unset",
    "time zone": "variable TZ UTC → Asia/Tokyo",
    "data": f"input data/rows.csv {of_bytes(b'1').hex[:12]} → {of_bytes(b'2').hex[:12]}",
    "code": f"input part.py {of_bytes(b'rate = 1').hex[:12]} → {of_bytes(b'rate = 2').hex[:12]}",
    "only in B": f"input new.txt - → {of_bytes(b'x').hex[:12]}",
}
VARIABLES = {
    "hash seed": ({"PYTHONHASHSEED": "0"}, {"PYTHONHASHSEED": "1"}),
    "threads": ({"OMP_NUM_THREADS": "8"}, {"OMP_NUM_THREADS": "1"}),
    "locale": ({"LC_ALL": "C.UTF-8"}, {}),
    "time zone": ({"TZ": "UTC"}, {"TZ": "Asia/Tokyo"}),
}
FILES = {
    "data": ("data/rows.csv", b"1", b"2"),
    "code": ("part.py", b"rate = 1", b"rate = 2"),
    "only in B": ("new.txt", None, b"x"),
}


@pytest.fixture
def tmp_path(tmp_path: Path) -> Path:
    """Return a folder with nothing beside it: each run links what stands beside the project."""
    (tmp_path / "project").mkdir()
    return tmp_path / "project"


@pytest.fixture
def folder(online: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    with online.kept():
        bisecting.package(online, "ant", ("1.0",))
        for name in ("PYTHONHASHSEED", "OMP_NUM_THREADS", "LC_ALL", "LANG", "TZ"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.chdir(tmp_path)
        git(tmp_path, "init", "--quiet")
        yield tmp_path


def write(name: str, fingerprint: dict[str, Any], **members: Any) -> None:
    python = Python(version=platform.python_version())
    made = Fingerprint(
        kind="environment",
        packages=(Package(name="ant", version="1.0"),),
        python=fingerprint.pop("python", python),
        **fingerprint,
    )
    run = RunRecord(task="train", command=("python", "score.py"), fingerprint=made, **members)
    record.write(run, Path(name))


def found(*words: str) -> int:
    return main(["bisect", "a.run.json", "b.run.json", "--quiet", *words, "--", "python", "s.py"])


@pytest.mark.slow
@pytest.mark.parametrize("kind", VARIABLES)
def test_a_variable(kind: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "s.py").write_text(SCORE[kind])
    for name, variables in zip(("a.run.json", "b.run.json"), VARIABLES[kind], strict=True):
        write(name, {"variables": variables})
    assert found() == 0
    assert f"\n  {NAMED[kind]}\n" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.parametrize("kind", FILES)
def test_a_file_that_git_or_the_folder_has(
    kind: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, before, after = FILES[kind]
    (folder / "s.py").write_text(SCORE[kind])
    (folder / path).parent.mkdir(exist_ok=True)
    if before is not None:
        (folder / path).write_bytes(before)
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "-m", "x")
    head = git(folder, "rev-parse", "HEAD")
    (folder / path).write_bytes(after)
    same = of_bytes(b"the same")
    old = {} if before is None else {path: of_bytes(before)}
    write("a.run.json", {}, inputs={**old, "x": same}, commit=head)
    write("b.run.json", {}, inputs={path: of_bytes(after), "x": same}, commit=head)
    assert found() == 0
    said = capsys.readouterr().out
    assert f"\n  {NAMED[kind]}\n" in said
    back = f"git checkout {head[:12]} -- {path}" if before is not None else f"without {path}"
    assert back in said
    assert (folder / path).read_bytes() == after, "the user's own file stays as it is"


def test_another_python(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "s.py").write_text("print(0.5)")
    write("a.run.json", {})
    write("b.run.json", {"python": Python(version="3.99.1")})
    assert found() == 1
    own = platform.python_version()
    assert f"python version (changed) {own} → 3.99.1; uv python install" in capsys.readouterr().err


CANNOT = {
    "variable ALPHA (changed) 1 → 2; try --setting ALPHA=1,2": {"settings": ("1", "2")},
    "input data/x.csv (changed) ": {"inputs": (of_bytes(b"1"), of_bytes(b"2"))},
    "system package libgomp1 (changed) 12 → 13; try it in an image": {"libgomp1": ("12", "13")},
    "system package libsndfile1 (changed) 1.2 → 1.3": {"libsndfile1": ("1.2", "1.3")},
    "ant (edited) as installed → changed ant/x.py": {"edited": ((), ("changed ant/x.py",))},
}


@pytest.mark.slow
@pytest.mark.parametrize("text", CANNOT)
def test_what_cannot_be_tried_is_said(
    text: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ((kind, both),) = CANNOT[text].items()
    for name, value in zip(("a.run.json", "b.run.json"), both, strict=True):
        if kind == "settings":
            write(name, {}, settings={"ALPHA": value})
        elif kind == "inputs":
            write(name, {}, inputs={"data/x.csv": value})
        elif kind == "edited":
            write(name, {})
            run = record.read(Path(name))
            packages = [replace(p, edited=value) for p in run.fingerprint.packages]
            made = run.fingerprint.with_packages(packages)
            record.write(replace(run, fingerprint=made), Path(name))
        else:
            write(name, {"system": {kind: value}})
    assert found() == 1
    assert text in capsys.readouterr().err
    # Beside something that can be tried and changes nothing, it is said with the answer.
    for name, seed in (("a.run.json", "0"), ("b.run.json", "1")):
        run = record.read(Path(name))
        seeded = replace(run.fingerprint, variables={"PYTHONHASHSEED": seed})
        record.write(replace(run, fingerprint=seeded), Path(name))
    (folder / "s.py").write_text("print(0.5)")
    assert found() == 1
    assert text in capsys.readouterr().out


@pytest.mark.slow
def test_a_variable_of_the_code_is_tried_as_a_setting(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "s.py").write_text("import os\nprint(int(os.environ['ALPHA']) / 7)")
    for name, value in (("a.run.json", "1"), ("b.run.json", "2")):
        write(name, {}, settings={"ALPHA": value})
    assert found("--setting", "ALPHA=1,2") == 0
    assert "\n  variable ALPHA 1 → 2\n" in capsys.readouterr().out
