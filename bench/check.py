"""`lockstep check`: how long it takes, and how often it is right: `python bench/check.py`.

Time is that of whole processes on a made repository of 2,000 files, against ruff on the same one
and an empty Python. Precision and recall are over tests/corpus: projects that are correct, and
projects as they are taught, with their defects marked by somebody who had not seen the rules.
"""

import random
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

from measure import environment, machine, median, run

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from support import corpus  # noqa: E402 -- of the tests

RUNS = 9
FILES = 2_000
BIN = Path(sys.executable).parent


def repository(folder: Path) -> None:
    """Write a project of 2,000 files, committed: modules, notebooks, data, images, stack, locks."""
    chance = random.Random(1)  # noqa: S311 -- for files, not for keys
    words = [f"name_{number}" for number in range(400)]
    (case,) = [p for p in corpus.projects("taught") if "zoomcamp" in p.stem][:1] or [
        corpus.projects("taught")[0]
    ]
    (project,) = corpus.cases.parse(case.read_text(encoding="utf-8"))
    corpus.cases.write(project, folder)
    left = FILES - len(project.files)
    for number in range(left):
        package = folder / "src" / f"part{number % 40}"
        package.mkdir(parents=True, exist_ok=True)
        lines = [
            f"{chance.choice(words)} = {chance.choice(words)!r} + str({chance.random()})"
            for _ in range(chance.randrange(20, 160))
        ]
        if number % 20 == 0:
            text = '{"cells": [' + ", ".join(f'{{"source": ["{w}"]}}' for w in words) + "]}\n"
            (package / f"notes{number}.ipynb").write_text(text)
        elif number % 10 == 1:
            (package / f"settings{number}.yaml").write_text("".join(f"{w}: 1\n" for w in words))
        else:
            (package / f"module{number}.py").write_text("\n".join(lines) + "\n")
    for command in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "all"]):
        name = ["-c", "user.name=bench", "-c", "user.email=bench@example.test"]
        subprocess.run(["git", *name, *command], cwd=folder, check=True)  # noqa: S607 -- on PATH


def times() -> None:
    """Print how long a whole process takes."""
    env = environment()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary, "project")
        folder.mkdir()
        repository(folder)
        size = sum(
            p.stat().st_size for p in folder.rglob("*") if ".git" not in p.parts and p.is_file()
        )
        commands = {
            "python -c pass": [sys.executable, "-c", "pass"],
            "ruff check, no cache": [BIN / "ruff", "check", "--no-cache", "--exit-zero", "-q"],
            "lockstep check": [BIN / "lockstep", "check", "--exit-zero"],
        }
        for words in commands.values():
            run(words, env=env, cwd=folder)  # writes the bytecode caches
        found = {
            name: median(RUNS, lambda words=words: run(words, env=env, cwd=folder))
            for name, words in commands.items()
        }
        print(f"{FILES:,} files, {size / 1e6:.1f} MB; median of {RUNS}")
        for name, seconds in found.items():
            print(f"{name:<22} {seconds * 1000:7.1f} ms")


def rightness() -> None:
    """Print precision and recall by family, over all projects."""
    right, wrong, missed = Counter[str](), Counter[str](), Counter[str]()
    counts = {}
    for kind in ("clean", "taught"):
        counts[kind] = len(corpus.projects(kind))
        for path in corpus.projects(kind):
            with tempfile.TemporaryDirectory() as folder:
                judged = corpus.judge(path, Path(folder))
            for counter, marks in (
                (right, judged.right),
                (wrong, judged.wrong),
                (missed, judged.missed),
            ):
                counter.update(mark.code[:3] for mark in marks)
    print(f"{counts['clean']} correct projects, {counts['taught']} as they are taught")
    print(
        f"{'family':<8}{'marked':>8}{'found':>8}{'missed':>8}{'wrong':>8}{'precision':>11}{'recall':>9}"
    )
    families = sorted({*right, *wrong, *missed})
    for family in [*families, "all"]:
        names = families if family == "all" else [family]
        r, w, m = (sum(counter[name] for name in names) for counter in (right, wrong, missed))
        precision = f"{r / (r + w):.1%}" if r + w else "-"
        recall = f"{r / (r + m):.1%}" if r + m else "-"
        print(f"{family:<8}{r + m:>8}{r:>8}{m:>8}{w:>8}{precision:>11}{recall:>9}")


if __name__ == "__main__":
    print(machine())
    times()
    print()
    rightness()
