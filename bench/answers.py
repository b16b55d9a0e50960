"""How far answers of `bisect` and `diff` can be trusted: `python bench/answers.py [SEEDS]`.

First searches in simulations: each has no, one or two true causes among 1 to 40, a step of 0.05 to
0.2 and noise of one kind (tests/support/noisy.py). Prints how many names were wrong, how many were
said, runs. With `--causes [NAME]` twelve real causes (tests/support/causes.toml): packages of an
index are resolved for two days, installed and searched; prints what was named, the place of the
package in `lockstitch diff`, runs and seconds.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from support import noisy

ROOT = Path(__file__).parents[1]


def simulations(seeds: int) -> None:
    """Print a table of searches with noise of each kind."""
    print("| noise | searches | wrong names | names | runs (mean) | runs (most) |")
    print("|---|---:|---:|---:|---:|---:|")
    started, wrong = time.monotonic(), 0
    for kind in noisy.KINDS:
        found = [noisy.simulate(kind, seed) for seed in range(seeds)]
        runs = [each.explanation.runs for each in found]
        wrong += sum(each.wrong for each in found)
        numbers = (seeds, sum(e.wrong for e in found), sum(e.named for e in found))
        mean = sum(runs) / seeds
        print(f"| {kind} | {' | '.join(map(str, numbers))} | {mean:.1f} | {max(runs)} |")
    total = seeds * len(noisy.KINDS)
    print(f"{wrong} of {total} wrong, in {time.monotonic() - started:.1f} s")


def causes(wanted: str) -> None:
    """Print a table of searches for real causes, or the one of a name."""
    rows = tomllib.loads((ROOT / "tests/support/causes.toml").read_text())["cause"]
    print("| cause | changed | named | right | place in diff | runs | seconds |")
    print("|---|---:|---|---|---:|---:|---:|")
    for row in rows:
        if wanted in {"", row["name"]}:
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


if __name__ == "__main__":
    if sys.argv[1:2] == ["--causes"]:
        causes(sys.argv[2] if len(sys.argv) > 2 else "")
    else:
        simulations(int(sys.argv[1]) if len(sys.argv) > 1 else 100)
