"""Variations: each is applied to a program before it starts."""

import json
import os
import subprocess
import sys
from pathlib import Path

from lockstitch.prove import variations
from lockstitch.prove.variations import Variation, together

PROGRAM = Path(variations.__file__).parents[1] / "runtime" / "varied.py"


def varied(code: str, **settings: object) -> str:
    """Run code after a variation is applied, as a worker process that reads the file does."""
    setup = f"import runpy; runpy.run_path({str(PROGRAM)!r}, run_name='worker')\n"
    env = {**os.environ, "LOCKSTITCH_VARIED": json.dumps(settings)}
    return subprocess.check_output([sys.executable, "-c", setup + code], env=env, text=True).strip()


def test_folders_are_listed_backwards(tmp_path: Path) -> None:
    for name in "abc":
        (tmp_path / name).touch()
    code = (
        f"import os, pathlib; p = {str(tmp_path)!r}\n"
        "with os.scandir(p) as found: one = [e.name for e in found]\n"
        "print(one, os.listdir(p), [x.name for x in pathlib.Path(p).iterdir()])"
    )
    assert varied(code, backwards=True) == " ".join(["['c', 'b', 'a']"] * 3)
    walked = f"import os; print([n for _, _, names in os.walk({str(tmp_path)!r}) for n in names])"
    assert varied(walked, backwards=True) == "['c', 'b', 'a']"


def test_the_clock_and_the_umask_are_others() -> None:
    code = "import os, time; print(time.time() > 4e9, time.time_ns() > 4e18, os.umask(0))"
    assert varied(code, clock=3_000_000_000, umask=0o077) == "True True 63"


def test_dates_without_a_given_time_are_those_of_the_other_clock() -> None:
    code = (
        "import datetime, time\n"
        "years = [time.gmtime()[0], time.localtime()[0], datetime.date.today().year,\n"
        "         int(time.strftime('%Y')), int(time.ctime()[-4:]), int(time.asctime()[-4:])]\n"
        "print(min(years) >= 2090, time.gmtime(0)[0], time.strftime('%Y', time.gmtime(0)),\n"
        "      time.ctime(100_000_000)[-4:], time.asctime(time.gmtime(0))[-4:])"
    )
    assert varied(code, clock=70 * 366 * 86_400) == "True 1970 1970 1973 1970"


def test_one_processor() -> None:
    assert varied("import os; print(len(os.sched_getaffinity(0)))", cpus=1) == "1"


def test_a_training_lists_folders_backwards_too(tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / name).touch()
    env = {**os.environ, "PYTHONPATH": str(PROGRAM.parent / "site")}
    env[variations.VARIABLE] = json.dumps({"backwards": True})
    code = f"import os; print(os.listdir({str(tmp_path)!r}))"
    assert subprocess.check_output([sys.executable, "-c", code], env=env) == b"['b', 'a']\n"


def test_it_is_lockstitch_that_runs() -> None:
    here = variations.here(Path.cwd())
    done = subprocess.run(
        [sys.executable, PROGRAM, "lockstitch", "--version"],
        env=dict(here.env),
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.startswith("lockstitch ")


def test_all_variations_at_once() -> None:
    one = Variation(name="a", env={"X": "1"}, process={"umask": 1})
    two = Variation(name="b", unset=["Y"], process={"cpus": 1}, store=True)
    both = together((one, two), "both")
    assert (both.env, both.unset, both.process) == ({"X": "1"}, ["Y"], {"umask": 1, "cpus": 1})
    assert (both.folder, both.home, both.store) == (False, False, True)
    assert len({each.name for each in variations.of_build()}) == 11
    assert len({each.name for each in variations.of_training()}) == 11
