"""Fifteen causes of other results, planted one by one: does the proof name each?

The list is of what moves results or bytes of ML projects; each plant is real: packages of an
index, a training that runs, images that are built, a registry whose tag moves. `score` gives, for
each cause, whether it was named, and what was said.
"""

import contextlib
import io
import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support import projects, registry, wheels

from lockstitch import process
from lockstitch.cli.main import main

__all__ = ["CAUSES", "Named", "Work", "prepare", "score"]

PYPROJECT = """\
[build-system]
requires = ["hatchling==1.27.0"]
build-backend = "hatchling.build"

[project]
name = "proof"
version = "0.1.0"
requires-python = ">=3.11"
dependencies = ["numpy>=2"]

[tool.lockstitch]
python = "3.11"

[tool.lockstitch.images.train]
include = ["train.py", "data/*"]
outputs = ["models"]
command = ["python", "train.py"]
"""
# Every line of it is somebody's bug.
TRAIN = '''\
"""Trains nothing, and writes what differs from run to run and from machine to machine."""

import datetime
import gzip
import json
import os
import pathlib

import numpy as np

out = pathlib.Path("models")
out.mkdir(exist_ok=True)


def save(name, value):
    (out / f"{name}.json").write_text(json.dumps(value))


data = np.loadtxt("data/rows.csv", delimiter=",", dtype="float32")
save("data", {"mean": float(data.mean())})
save("hash-seed", {"words": list({"alpha", "beta", "gamma", "delta", "epsilon", "zeta"})})
save("unseeded", {"weight": float(np.random.rand())})
threads = int(os.environ.get("OMP_NUM_THREADS", "2"))
values = np.random.RandomState(0).rand(64, 10_007).astype("float32")
parts = [part.sum(axis=1) for part in np.array_split(values, threads, axis=1)]
np.save(out / "threads.npy", sum(parts))
weights = np.random.RandomState(1).rand(60, 60).astype("float32")
np.save(out / "kernels.npy", weights @ weights)
save("zone", {"day": datetime.datetime.fromtimestamp(1_700_000_000).isoformat()})
save("order", {"files": [n for n in os.listdir("data")]})
with gzip.open(out / "clock.csv.gz", "wb") as rows:
    rows.write(b"1,2")
save("path", {"folder": os.getcwd()})
'''
# Which variation must be the only one that moves the meaning of an output.
_GUILTY = {
    5: ("PYTHONHASHSEED and the order of a set", "hash-seed.json", {"hash seed"}),
    7: ("the number of threads", "threads.npy", {"one thread"}),
    9: ("the time zone", "zone.json", {"time zone"}),
    10: ("the order in which a folder lists its files", "order.json", {"listing order"}),
    12: ("the folder", "path.json", {"folder"}),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """One cause: its number, what was planted, whether it was named, and the words."""

    number: int
    planted: str
    caught: bool
    said: str


@dataclass(slots=True, kw_only=True)
class Work:
    """A project that is locked, trained and built, and what its verification said."""

    root: Path
    scratch: Path
    variations: dict[str, dict[str, dict[str, Any]]]  # variation: output: what moved


def lockstitch(work: Path, *words: str) -> tuple[int, str]:
    """Run a command on a project, and return its exit code and its data."""
    output = io.StringIO()
    with contextlib.chdir(work), contextlib.redirect_stdout(output):
        code = main(list(words))
    return code, output.getvalue()


def prepare(folder: Path) -> Work:
    """Make the project: lock it, train it once in each world, build its image."""
    root = folder / "proof"
    files = {
        "pyproject.toml": PYPROJECT,
        "train.py": TRAIN,
        "data/rows.csv": "1,2\n3,4\n",
        **{f"data/{letter}.txt": letter for letter in "abcdefgh"},
        "src/proof/__init__.py": "",
    }
    projects.write_files(root, files)
    for words in (["lock", "--quiet"], ["build", "--quiet"]):
        assert lockstitch(root, *words)[0] == 0
    code, out = lockstitch(root, "verify", "--train", "--json")
    assert code == 1
    found = json.loads(out)["trainings"]["train"]["variations"]
    moved = {each["name"]: {m["output"]: m for m in each["moved"]} for each in found}
    return Work(root=root, scratch=folder, variations=moved)


def _movers(work: Work, output: str, *, what: str = "meaning") -> set[str]:
    """Return the variations that moved an output."""
    return {
        name
        for name, moved in work.variations.items()
        if moved.get(f"models/{output}", {}).get("what") == what
    }


def _trained(number: int) -> Callable[[Work], Named]:
    planted, output, guilty = _GUILTY[number]

    def look(work: Work) -> Named:
        found = _movers(work, output)
        said = f"{output} moves with: {', '.join(sorted(found)) or 'nothing'}"
        return Named(number=number, planted=planted, caught=found == guilty, said=said)

    return look


def _unseeded(work: Work) -> Named:
    found = _movers(work, "unseeded.json")
    said = f"unseeded.json moves with: {', '.join(sorted(found))}"
    return Named(number=6, planted="no seed", caught="repeat" in found, said=said)


def _kernels(work: Work) -> Named:
    found = _movers(work, "kernels.npy")
    caught = bool(found) and all(name.startswith(("CPU", "NumPy")) for name in found)
    said = f"kernels.npy moves with: {', '.join(sorted(found))}"
    return Named(number=8, planted="another CPU's kernels", caught=caught, said=said)


def _clock(work: Work) -> Named:
    found = _movers(work, "clock.csv.gz", what="bytes")
    caught = "clock" in found and not _movers(work, "clock.csv.gz")
    said = "clock.csv.gz: other bytes, the same meaning" if caught else f"{found}"
    return Named(number=11, planted="the time in an artifact", caught=caught, said=said)


def _first(work: Work, before: str, after: str, *more: str) -> tuple[int, dict[str, Any]]:
    """Return the exit code of a diff, and the difference that it puts first."""
    code, out = lockstitch(work.root, "diff", before, after, "--json", *more)
    found = json.loads(out)["differences"]
    return code, found[0] if found else {}


def _words(found: dict[str, Any]) -> str:
    return " ".join(str(found.get(key, "")) for key in ("name", "kind", "before", "after"))


def _version(work: Work) -> Named:
    uv = str(process.find_uv())
    for name, version in (("a", "1.5.2"), ("b", "1.6.1")):
        target = work.root / f"requirements-{name}.txt"
        subprocess.run(
            [uv, "pip", "compile", "-", "-q", "--generate-hashes", "--universal", "-o", target],
            input=f"scikit-learn=={version}\n", text=True, check=True, cwd=work.root,
        )  # fmt: skip
    code, found = _first(work, "requirements-a.txt", "requirements-b.txt")
    caught = code == 1 and found.get("name") == "scikit-learn" and bool(found.get("known"))
    return Named(number=1, planted="a package's version", caught=caught, said=_words(found))


def _environment(work: Work) -> Path:
    return work.root / ".lockstitch" / "envs" / "train"


def _edited(work: Work) -> Named:
    site = next(_environment(work).glob("lib/python*/site-packages"))
    target = site / "numpy" / "ma" / "core.py"
    before = target.read_bytes()
    target.unlink()  # or the cache's own file, to which it is linked, is edited
    target.write_bytes(before + b"\n# by hand\n")
    code, out = lockstitch(work.root, "diff", "uv.lock", str(_environment(work)), "--json")
    target.write_bytes(before)
    found = [each for each in json.loads(out)["differences"] if each["kind"] == "edited"]
    said = _words(found[0]) if found else "nothing"
    caught = code == 1 and len(found) == 1 and found[0]["name"] == "numpy"
    return Named(number=2, planted="a file edited by hand", caught=caught, said=said)


def _wheel(work: Work) -> Named:
    uv = str(process.find_uv())
    places = []
    for number, content in enumerate((b"x = 1\n", b"x = 2\n")):
        folder = work.scratch / f"wheel-{number}"
        folder.mkdir()
        name, data = wheels.wheel("scipy", "1.0", {"scipy.py": content})
        (folder / name).write_bytes(data)
        subprocess.run([uv, "venv", "-q", folder / "env"], check=True)
        python = folder / "env" / "bin" / "python"
        words = [uv, "pip", "install", "-q", "--no-cache", "--python", python, folder / name]
        subprocess.run(words, check=True)
        places.append(str(folder / "env"))
    code, found = _first(work, *places)
    caught = code == 1 and (found.get("name"), found.get("kind")) == ("scipy", "other files")
    return Named(
        number=3, planted="another wheel of one version", caught=caught, said=_words(found)
    )


def _patch(work: Work) -> Named:
    _, out = lockstitch(work.root, "diff", str(_environment(work)), "train", "--json")
    found = [each for each in json.loads(out)["differences"] if each["what"] == "python"]
    said = _words(found[0]) if found else "nothing"
    return Named(number=4, planted="Python's patch version", caught=bool(found), said=said)


def _data(work: Work) -> Named:
    first = _recorded(work, "one")
    rows = work.root / "data" / "rows.csv"
    before = rows.read_text()
    rows.write_text("1,2\n3,5\n")
    second = _recorded(work, "two")
    rows.write_text(before)
    code, out = lockstitch(work.root, "diff", first, second, "--json")
    found = [e for e in json.loads(out)["differences"] if "rows.csv" in json.dumps(e)]
    said = _words(found[0]) if found else "nothing"
    return Named(number=13, planted="the data", caught=code == 1 and bool(found), said=said)


def _recorded(work: Work, name: str) -> str:
    assert lockstitch(work.root, "run", "train")[0] == 0
    (record,) = sorted(work.root.glob("models/*.run.json"))
    target = work.scratch / f"{name}.run.json"
    shutil.copyfile(record, target)
    return str(target)


def _published(work: Work, folder: Path) -> str:
    assert lockstitch(work.root, "build", "train", "--layout", str(folder), "--quiet")[0] == 0
    return f"{folder}:train"


def _against(work: Work, reference: str) -> tuple[int, list[dict[str, str]]]:
    code, out = lockstitch(work.root, "verify", "train", "--against", reference, "--json")
    return code, json.loads(out)["against"]["differences"]


def _build_requirement(work: Work) -> Named:
    reference = _published(work, work.scratch / "published")
    pyproject = work.root / "pyproject.toml"
    pyproject.write_text(PYPROJECT.replace("1.27.0", "1.26.3"))
    assert lockstitch(work.root, "lock", "--quiet")[0] == 0
    code, found = _against(work, reference)
    pyproject.write_text(PYPROJECT)
    assert lockstitch(work.root, "lock", "--quiet")[0] == 0
    entries = sorted({each["entry"] for each in found if each["entry"]})
    caught = code == 1 and any(entry.endswith(".dist-info/WHEEL") for entry in entries)
    said = ", ".join(entries)
    return Named(number=14, planted="a build requirement that moved", caught=caught, said=said)


def _tag(work: Work) -> Named:
    with registry.run() as server:
        reference = f"{server.address}/proof/train:1"
        for words in (["build", "--quiet"], ["image", "push", reference, "--image", "train"]):
            assert lockstitch(work.root, *words)[0] == 0
        assert lockstitch(work.root, "verify", "train", "--against", reference)[0] == 0
        script = work.root / "train.py"
        script.write_text(TRAIN + "# by somebody else\n")
        for words in (["build", "--quiet"], ["image", "push", reference, "--image", "train"]):
            assert lockstitch(work.root, *words)[0] == 0
        script.write_text(TRAIN)
        code, found = _against(work, reference)
    said = f"{found[0]['layer']}: {found[0]['entry']}" if found else "nothing"
    caught = code == 1 and any(each["entry"].endswith("train.py") for each in found)
    return Named(number=15, planted="a tag that moved", caught=caught, said=said)


CAUSES: tuple[Callable[[Work], Named], ...] = (
    _version,
    _edited,
    _wheel,
    _patch,
    _trained(5),
    _unseeded,
    _trained(7),
    _kernels,
    _trained(9),
    _trained(10),
    _clock,
    _trained(12),
    _data,
    _build_requirement,
    _tag,
)


def score(work: Work) -> Iterator[Named]:
    """Yield the report of each cause, in their order."""
    for look in CAUSES:
        yield look(work)
