"""Variations: each is applied to a program before it starts."""

import datetime
import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

from lockstitch import clock
from lockstitch.prove import variations
from lockstitch.prove.variations import Variation, together

SOURCES = Path("/usr/share/i18n/locales/tr_TR")
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


def test_now_is_of_the_other_clock_and_is_still_a_datetime() -> None:
    code = (
        "import pickle, datetime as d\n"
        "now, other = d.datetime.now(), d.datetime(2020, 5, 17, 1, 2, 3)\n"
        "print(now.year > 2090, d.datetime.utcnow().year > 2090, d.datetime.today().year > 2090,\n"
        "      d.datetime.now(d.timezone.utc).utcoffset(), isinstance(other, d.date),\n"
        "      pickle.loads(pickle.dumps(other)) == other, other + d.timedelta(1) > other)\n"
        "print(pickle.dumps(other).hex())"
    )
    code = "import warnings; warnings.simplefilter('ignore')\n" + code
    said, pickled = varied(code, clock=70 * 366 * 86_400).splitlines()
    assert said == "True True True 0:00:00 True True True"
    assert pickled == pickle.dumps(datetime.datetime(2020, 5, 17, 1, 2, 3)).hex()  # noqa: DTZ001 -- of no zone


def test_what_a_machine_says_of_itself_is_other() -> None:
    code = (
        "import os, platform, socket, resource\n"
        "print(socket.gethostname(), platform.node(), os.uname().nodename, os.cpu_count(),\n"
        "      os.uname().machine == platform.machine(), os.sysconf('SC_PHYS_PAGES'),\n"
        "      resource.getrlimit(resource.RLIMIT_DATA)[0])"
    )
    found = varied(code, host="elsewhere", count=3, memory=0.5).split()
    pages, size = os.sysconf("SC_PHYS_PAGES"), os.sysconf("SC_PAGE_SIZE")
    assert found[:3] == ["elsewhere"] * 3
    assert int(found[3]) == (os.cpu_count() or 1) + 3
    assert found[4:] == ["True", str(pages // 2), str(int(pages * size * 0.5))]


def test_psutil_says_what_is_left(tmp_path: Path) -> None:
    (tmp_path / "psutil.py").write_text(
        "from typing import NamedTuple\n"
        "class M(NamedTuple):\n    total: int\n    available: int\n    free: int\n    used: int\n"
        "def virtual_memory(): return M(100, 80, 60, 40)\n"
    )
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n"
    code += "import psutil; print(*psutil.virtual_memory())"
    assert varied(code, memory=0.5) == "50 40 30 40"


def test_what_is_read_outside_is_noted_and_can_be_hidden(tmp_path: Path) -> None:
    inside = tmp_path / "inside"
    inside.mkdir()
    for path in (inside / "own", tmp_path / "rates", tmp_path / "code.py"):
        path.write_text("x")
    noted = tmp_path / "noted"
    code = (
        f"import pathlib; p = pathlib.Path({str(tmp_path)!r})\n"
        "(p / 'made').write_text('1'); (p / 'made').read_text(); (p / 'code.py').read_text()\n"
        "(p / 'inside' / 'own').read_text()\n"
        "try: print((p / 'inside' / '..' / 'rates').read_text())\n"
        "except PermissionError as error: print(error)"
    )
    folders = [f"{inside}{os.sep}", "/usr/", "/etc/", "/proc/"]
    assert varied(code, opened=str(noted), inside=folders) == "x"
    assert noted.read_text().splitlines() == [str(tmp_path / "rates")]
    hidden = str(tmp_path / "rates")
    assert varied(code, hidden=[hidden]) == f"[Errno 13] Permission denied: '{hidden}'"


def test_variables_that_no_program_needs_are_taken_away() -> None:
    env = dict.fromkeys(
        (
            "PATH",
            "LC_ALL",
            "PYTHONHASHSEED",
            "OMP_NUM_THREADS",
            "https_proxy",
            "OPENBLAS_CORETYPE",
            "SCALE",
            "MINE",
        ),
        "1",
    )
    kept = variations.needed(env, {"MINE"})
    assert sorted(env.keys() - kept.keys()) == ["SCALE"]


@pytest.mark.parametrize(("hour", "seconds"), [(0, 32_400), (14, 32_400), (15, -32_400)])
def test_another_hour_is_of_the_same_day(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, hour: int, seconds: int
) -> None:
    monkeypatch.setattr(clock, "hour", lambda: hour)
    monkeypatch.setattr(variations, "_FAKETIME", ())
    assert variations.clock_of({"hours": 9, "umask": 1}) == ({"umask": 1, "clock": seconds}, {})
    assert variations.clock_of({"umask": 1}) == ({"umask": 1}, {})
    library = tmp_path / "libfaketime.so.1"
    library.touch()
    monkeypatch.setattr(variations, "_FAKETIME", (str(library),))
    settings, env = variations.clock_of({"hours": 9, "umask": 1})
    assert settings == {"umask": 1}, "one way alone"
    assert (env["LD_PRELOAD"], env["FAKETIME"]) == (str(library), f"{seconds:+d}")


@pytest.mark.slow
@pytest.mark.skipif(not SOURCES.exists(), reason="no sources of locales here")
def test_a_locale_that_is_missing_is_made(tmp_path: Path) -> None:
    more = variations.locale("tr_TR.UTF-8", tmp_path)
    code = "import locale; locale.setlocale(locale.LC_ALL, ''); print(locale.str(0.5))"
    env = {**os.environ, "LC_ALL": "tr_TR.UTF-8", **more}
    assert subprocess.check_output([sys.executable, "-c", code], env=env, text=True) == "0,5\n"
    assert variations.locale("C.UTF-8", tmp_path) == {}
    assert variations.locale("xx_XX.UTF-8", tmp_path) == {}


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
    assert len({each.name for each in variations.of_training()}) == 24
