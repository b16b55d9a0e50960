"""How far answers of `bisect`, `diff` and `verify` can be trusted: `python bench/answers.py`.

Prints four tables, or those that are named (`python bench/answers.py searches causes`):

searches   simulated searches of `bisect`, with a number that moves by itself in thirteen ways
           (tests/support/noisy.py): how many names were said, and how many were wrong.
trainings  simulated trainings of `verify` of which two outputs and a metric flip now and then.
plants     causes of other results, planted in trainings and builds that run: fifteen of
           tests/support/proof.py and two dozen of plants.py. Is each named, and nothing else?
causes     twelve real causes (tests/support/causes.toml): packages of an index, resolved for two
           days, installed and searched; the place of the guilty one in `lockstitch diff`.

SEEDS=1000 simulates so many searches of each kind, instead of 200.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from measure import machine

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from support import noisy, plants, proof  # noqa: E402 -- of the tests

SEEDS = int(os.environ.get("SEEDS", "200"))
PYPROJECT = """\
[project]
name = "planted"
version = "0.1.0"
requires-python = ">=3.11"
dependencies = []

[tool.lockstitch.images.train]
include = ["plants.py", "data/*"]
outputs = ["models"]
command = ["python", "plants.py"]
"""


def searches() -> None:
    """Print a table of searches with noise of each kind."""
    print("| noise | searches | wrong names | names | runs (mean) | runs (most) |")
    print("|---|---:|---:|---:|---:|---:|")
    wrong = 0
    for kind in noisy.KINDS:
        found = [noisy.simulate(kind, seed) for seed in range(SEEDS)]
        runs = [each.explanation.runs for each in found]
        wrong += sum(each.wrong for each in found)
        numbers = (SEEDS, sum(e.wrong for e in found), sum(e.named for e in found))
        mean = sum(runs) / SEEDS
        print(f"| {kind} | {' | '.join(map(str, numbers))} | {mean:.1f} | {max(runs)} |")
    print(f"{wrong} wrong names in {SEEDS * len(noisy.KINDS)} searches")


def trainings() -> None:
    """Print a table of trainings that flip, by the probability of a flip."""
    print("| flips | trainings varied | with a wrong name | causes | missed | runs (mean) |")
    print("|---:|---:|---:|---:|---:|---:|")
    for probability in (0.02, 0.05, 0.1, 0.2, 0.3, 0.5):
        found = [noisy.verify(probability, seed) for seed in range(SEEDS)]
        numbers = (SEEDS, sum(e.wrong > 0 for e in found), SEEDS // 2, sum(e.missed for e in found))
        mean = sum(each.runs for each in found) / SEEDS
        print(f"| {probability} | {' | '.join(map(str, numbers))} | {mean:.1f} |")


def planted() -> None:
    """Print what was named for each plant that was not named rightly, and the score."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name).resolve()
        scored = [*_of_proof(folder / "proof"), *_of_training(folder)]
    for plant, right, told in scored:
        if not right:
            print(f"WRONG {plant}: {told}")
    print(f"{sum(right for _, right, _ in scored)} of {len(scored)} plants named rightly")


def _of_proof(folder: Path) -> Iterator[tuple[str, bool, str]]:
    for each in proof.score(proof.prepare(folder)):
        yield each.planted, each.caught, each.said


def _of_training(folder: Path) -> Iterator[tuple[str, bool, str]]:
    root, home = folder / "planted", folder / "home"
    root.mkdir()
    home.mkdir()
    (root / "pyproject.toml").write_text(PYPROJECT)
    plants.write(root, folder / "rates.json")
    _run([*_tool(), "lock", "--quiet"], root)
    for each in plants.score(root, home):
        yield each.plant.output, each.is_right, ", ".join(sorted(each.named)) or "nothing"


def causes() -> None:
    """Print a table of searches for real causes."""
    rows = tomllib.loads((ROOT / "tests/support/causes.toml").read_text())["cause"]
    print("| cause | changed | named | right | place in diff | runs | seconds |")
    print("|---|---:|---|---|---:|---:|---:|")
    for row in rows:
        with tempfile.TemporaryDirectory() as folder:
            print(f"| {row['name']} | {_searched(row, Path(folder))} |", flush=True)


def _searched(row: dict[str, Any], folder: Path) -> str:
    (folder / "train.py").write_text(row["code"])
    package = row.get("package", "")
    for side in (0, 1):
        lines = [each for each in row["wanted"] if each != package]
        lines += [f"{package}=={row['versions'][side]}"] if package else []
        (folder / "wanted.in").write_text("\n".join(lines) + "\n")
        words = ["pip", "compile", "wanted.in", "--exclude-newer", row["days"][side], "--quiet"]
        words += ["--python-version", "3.11", "--only-binary", ":all:", "--generate-hashes"]
        _run([_uv(), *words, "--output-file", f"{'ab'[side]}.txt"], folder)
    words, guilty = ["a.txt", "b.txt"], package
    options = ["--python", "3.11"]
    if "variable" in row:
        name, before, after = row["variable"]
        options += ["--setting", f"{name}={before},{after}"]
        guilty = name
    if "file" in row:
        words, options, guilty = _records(row, folder), [], row["file"][0]
    listed = json.loads(_run([*_tool(), "diff", *words, "--json"], folder, fails=True))
    order = [each["name"] for each in listed["differences"] if each["what"] in {"package", "input"}]
    place = order.index(guilty) + 1 if guilty in order else "-"
    started = time.monotonic()
    told = _run(
        [*_tool(), "bisect", *words, *options, "--json", "--", "python", "train.py"],
        folder,
        fails=True,
    )
    found = json.loads(told) if told else {"sets": [], "runs": 0}
    # What one side alone has goes with the package that needs it.
    named = [cause[0]["name"] for some in found["sets"] for cause in some]
    right = "yes" if named == [guilty] else "NO"
    seconds = time.monotonic() - started
    text = ", ".join(named) or "nothing"
    return f"{len(order)} | {text} | {right} | {place} | {found['runs']} | {seconds:.0f}"


def _records(row: dict[str, Any], folder: Path) -> list[str]:
    """Write records of two runs that read another file, with the packages of both days."""
    from lockstitch.digest import of_bytes
    from lockstitch.drift import source
    from lockstitch.run import record
    from lockstitch.run.record import RunRecord

    name, *contents = row["file"]
    _run(["git", "init", "--quiet"], folder)
    commits = []
    for text in contents:
        (folder / name).write_text(text)
        _run(["git", "add", name], folder)
        identity = ["-c", "user.name=x", "-c", "user.email=x@example.test"]
        _run(["git", *identity, "commit", "--quiet", "-m", "x"], folder)
        commits.append(_run(["git", "rev-parse", "HEAD"], folder).strip())
    for side, text in enumerate(contents):
        made = source.read(f"{'ab'[side]}.txt", source.context(folder, python="3.11"))
        run = RunRecord(
            task="train",
            command=("python", "train.py"),
            fingerprint=made,
            commit=commits[side],
            inputs={name: of_bytes(text.encode())},
        )
        record.write(run, folder / f"{'ab'[side]}.run.json")
    return ["a.run.json", "b.run.json"]


def _uv() -> str:
    own = Path(sys.executable).with_name("uv")
    return str(own) if own.exists() else shutil.which("uv") or "uv"


def _tool() -> list[str]:
    return [sys.executable, "-m", "lockstitch"]


def _run(words: list[str], folder: Path, *, fails: bool = False) -> str:
    done = subprocess.run(
        words, cwd=folder, env=os.environ, capture_output=True, text=True, check=False
    )
    if done.returncode and not fails:
        sys.exit(f"{' '.join(words)}\n{done.stderr}")
    if fails and not done.stdout:
        print(done.stderr, file=sys.stderr)
    return done.stdout


TABLES = {"searches": searches, "trainings": trainings, "plants": planted, "causes": causes}


def main() -> None:
    """Print the tables that are named, or all."""
    print(machine())
    for name in sys.argv[1:] or TABLES:
        started = time.monotonic()
        print(f"\n{name}")
        TABLES[name]()
        print(f"in {time.monotonic() - started:.0f} s", flush=True)


if __name__ == "__main__":
    main()
