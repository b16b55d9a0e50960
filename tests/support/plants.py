"""Two dozen causes of other results that are not in proof.py, planted in one training.

Each plant is a part of a training that somebody has written: it writes one output, and is named
rightly when exactly the variation that is its cause changes that output. `score` verifies a
project that has them all.
"""

import contextlib
import datetime
import io
import json
import zoneinfo
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from lockstitch.cli.main import main

__all__ = ["PLANTS", "Plant", "Scored", "score", "write"]


@dataclass(frozen=True, slots=True)
class Plant:
    """A cause: the output that it moves, the variations that are right, and its code."""

    output: str
    right: frozenset[str]
    code: str  # an expression of Python, or statements that set `value`


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """What was named for a plant."""

    plant: Plant
    named: frozenset[str]

    @property
    def is_right(self) -> bool:
        """Whether the cause was named, and nothing else.

        What takes the local date moves with the zone, too, in the hours in which the date there is
        another one.
        """
        now = datetime.datetime.now(datetime.UTC)
        there = now.astimezone(zoneinfo.ZoneInfo("Asia/Kathmandu")).date()
        by_date = self.plant.output in {"weekday", "seed-of-date"}
        moves = by_date and there != now.astimezone().date()
        return self.named == self.plant.right | ({"time zone"} if moves else set())


def _plant(output: str, right: str, code: str) -> Plant:
    return Plant(output, frozenset({right}), code)


PLANTS = (
    _plant("age", "clock", "datetime.date.today().year - 1980"),
    _plant("deadline", "clock", "datetime.datetime.now() < datetime.datetime(2028, 6, 1)"),
    _plant("weekday", "clock", "time.strftime('%A')"),
    _plant("seed-of-date", "clock", "random.Random(datetime.date.today().toordinal()).random()"),
    _plant("newest-rows", "clock", "[y for y in range(2020, 2040) if y < time.gmtime().tm_year]"),
    _plant("night", "time of day", "datetime.datetime.now(datetime.timezone.utc).hour // 2"),
    _plant("chunks", "CPU count", "[100 // os.cpu_count()] * os.cpu_count()"),
    _plant("folds", "CPU count", "multiprocessing.cpu_count() + 2"),
    _plant("workers", "CPU affinity", "len(os.sched_getaffinity(0))"),
    _plant("newest", "file times", "max(rows, key=os.path.getmtime).name"),
    _plant("by-time", "file times", "[p.name for p in sorted(rows, key=os.path.getmtime)]"),
    _plant("cache", "HOME", "os.path.join(os.path.expanduser('~'), '.cache')"),
    _plant("settings-in-home", "HOME", "(pathlib.Path.home() / '.plants').exists()"),
    _plant("author", "user", "getpass.getuser()"),
    _plant("seed-of-user", "user", "random.Random(os.environ.get('USER', '')).random()"),
    _plant("machine", "host name", "socket.gethostname()"),
    _plant("card", "host name", "f'trained on {platform.node()}'"),
    _plant("report", "terminal", "textwrap.wrap('word ' * 40, shutil.get_terminal_size().columns)"),
    _plant("marks", "terminal", "os.environ.get('TERM', 'dumb') != 'dumb'"),
    _plant("scale", "other variables", "float(os.environ.get('PLANTED_SCALE', '1'))"),
    _plant("mode", "umask", "oct((out / 'age.json').stat().st_mode & 0o777)"),
    _plant(
        "rates",
        "files outside the project",
        """
        try:
            value = json.loads(pathlib.Path(OUTSIDE).read_text())
        except OSError:
            value = [0.1]
        """,
    ),
    _plant(
        "decimal",
        "locale",
        """
        import locale
        with contextlib.suppress(locale.Error):
            locale.setlocale(locale.LC_ALL, "")
        value = locale.str(0.5)
        locale.setlocale(locale.LC_ALL, "C")
        """,
    ),
    _plant(
        "epochs",
        "existing outputs",
        """
        before = out / "epochs.json"
        value = (json.loads(before.read_text()) if before.exists() else 0) + 10
        """,
    ),
    _plant("batch", "memory", "os.sysconf('SC_PHYS_PAGES') // 1000"),
    _plant("limit", "memory", "resource.getrlimit(resource.RLIMIT_DATA)[0]"),
)
_HEAD = """\
import contextlib, datetime, getpass, json, multiprocessing, os, pathlib, platform, random
import resource, shutil, socket, textwrap, time

OUTSIDE = {outside!r}
out = pathlib.Path("models")
out.mkdir(exist_ok=True)
rows = sorted(pathlib.Path("data").iterdir())
"""


def write(root: Path, outside: Path) -> None:
    """Write the training and its data into a project; `outside` is a file that is not of it."""
    outside.write_text("[0.25, 0.75]")
    (root / "data").mkdir(exist_ok=True)
    for name in "abcd":
        (root / "data" / f"{name}.csv").write_text(name)
    parts = [_HEAD.format(outside=str(outside))]
    for plant in PLANTS:
        lines = plant.code.strip("\n").splitlines()
        if len(lines) == 1:
            parts.append(f"value = {plant.code}")
        else:
            parts += [line.removeprefix("        ") for line in lines]
        parts.append(f'(out / "{plant.output}.json").write_text(json.dumps(value))')
    (root / "plants.py").write_text("\n".join(parts) + "\n")


def score(root: Path, home: Path) -> Iterator[Scored]:
    """Verify a locked project whose command runs plants.py, and yield what was named for each."""
    (home / ".plants").touch()
    told = {"HOME": str(home), "PLANTED_SCALE": "2", "TERM": "xterm", "COLUMNS": "100"}
    output = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.chdir(root):
        for name, value in {**told, "USER": "ana", "LOGNAME": "ana"}.items():
            patch.setenv(name, value)
        with contextlib.redirect_stdout(output):
            main(["verify", "--train", "--json", "--quiet"])
    found = json.loads(output.getvalue())["trainings"]["train"]["variations"]
    for plant in PLANTS:
        path = f"models/{plant.output}.json"
        named = {each["name"] for each in found if path in [m["output"] for m in each["moved"]]}
        yield Scored(plant=plant, named=frozenset(named))
