"""The programs that run in other worlds and on other interpreters."""

import gzip
import json
import os
import pickle
import struct
import subprocess
import sys
import zipfile
import zlib
from pathlib import Path

from lockstitch.prove import environments
from lockstitch.prove.variation import BUILD, TRAINING, Variation, together
from lockstitch.runtime import meaning

PROGRAM = Path(environments.__file__).parents[1] / "runtime" / "varied.py"


def varied(code: str, **world: object) -> str:
    """Run code after the world is set up, as a worker process that reads the file does."""
    setup = f"import runpy; runpy.run_path({str(PROGRAM)!r}, run_name='worker')\n"
    env = {**os.environ, "LOCKSTITCH_VARIED": json.dumps(world)}
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


def test_dates_that_nobody_gives_a_time_are_those_of_the_other_clock() -> None:
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
    env[environments.VARIABLE] = json.dumps({"backwards": True})
    code = f"import os; print(os.listdir({str(tmp_path)!r}))"
    assert subprocess.check_output([sys.executable, "-c", code], env=env) == b"['b', 'a']\n"


def test_it_is_lockstitch_that_runs() -> None:
    world = environments.World(root=Path.cwd(), env=environments.environment())
    done = subprocess.run(
        [sys.executable, PROGRAM, "lockstitch", "--version"],
        env=dict(world.env),
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.startswith("lockstitch ")


def test_all_variations_at_once() -> None:
    one = Variation(name="a", env={"X": "1"}, world={"umask": 1})
    two = Variation(name="b", env={"Y": None}, world={"cpus": 1}, store=True)
    both = together((one, two), "both")
    assert (both.env, both.world) == ({"X": "1", "Y": None}, {"umask": 1, "cpus": 1})
    assert (both.folder, both.home, both.store) == (False, False, True)
    assert len({each.name for each in BUILD}) == len(BUILD)
    assert len({each.name for each in TRAINING}) == len(TRAINING)


def parts(path: Path) -> dict[str, str]:
    found = meaning.read(str(path))
    assert not found["problem"]
    return {name: digest for name, (digest, _) in found["parts"].items()}


def test_gzip_means_its_content(tmp_path: Path) -> None:
    one, two = tmp_path / "a.csv.gz", tmp_path / "b.csv.gz"
    one.write_bytes(gzip.compress(b"1,2\n", mtime=1))
    two.write_bytes(gzip.compress(b"1,2\n", mtime=2))
    assert one.read_bytes() != two.read_bytes()
    assert parts(one) == parts(two)


def test_json_means_its_values(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"b": [1, 2.5], "a": {"x": null}}')
    (tmp_path / "b.json").write_text('{"a": {"x": null},\n "b": [1, 2.6]}')
    one, two = parts(tmp_path / "a.json"), parts(tmp_path / "b.json")
    assert [name for name in one if one[name] != two[name]] == ["b[1]"]


class Model:
    """Keeps an address beside what it knows, as CountVectorizer does."""

    def __init__(self, knows: object) -> None:
        self.knows = knows
        self._stop_words_id = id(self)
        self.me = self


def test_a_pickle_means_its_parts_and_not_its_addresses(tmp_path: Path) -> None:
    for name, knows in (("a", {"z", "y"}), ("b", {"y", "z"}), ("c", {"y", "x"})):
        (tmp_path / f"{name}.pkl").write_bytes(pickle.dumps(Model({"words": knows})))
    one, two, other = (parts(tmp_path / f"{name}.pkl") for name in "abc")
    assert one == two
    assert [name for name in one if one[name] != other[name]] == ["knows.words"]


def test_members_of_an_archive(tmp_path: Path) -> None:
    for name, year in (("a", 1990), ("b", 2020)):
        with zipfile.ZipFile(tmp_path / f"{name}.pt", "w") as archive:
            archive.writestr(zipfile.ZipInfo("data", (year, 1, 1, 0, 0, 0)), b"x")
    assert parts(tmp_path / "a.pt") == parts(tmp_path / "b.pt")


def test_a_picture_means_its_pixels(tmp_path: Path) -> None:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I4s", len(data), kind) + data + struct.pack(">I", zlib.crc32(data))

    for name, word, level in (("a", b"Software\0one", 1), ("b", b"Software\0two", 9)):
        body = chunk(b"IHDR", b"head") + chunk(b"tEXt", word)
        body += chunk(b"IDAT", zlib.compress(b"pixels" * 99, level)) + chunk(b"IEND", b"")
        (tmp_path / f"{name}.png").write_bytes(b"\x89PNG\r\n\x1a\n" + body)
    assert parts(tmp_path / "a.png") == parts(tmp_path / "b.png")


def test_what_cannot_be_read_is_its_bytes(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("{")
    found = meaning.read(str(tmp_path / "a.json"))
    assert found["how"] == "bytes"
    assert found["problem"].startswith("JSONDecodeError")
    assert list(found["parts"]) == ["."]
