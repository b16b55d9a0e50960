"""`lockstitch check`: how long it takes, and how often it is right: `python bench/check.py`.

Time is that of whole processes on a repository of 2,000 files, the churn project among them,
against ruff on the same one and an empty Python. Precision and recall are over tests/corpus:
projects that are correct, and projects as they are taught, with their defects marked by somebody
who had not seen the rules.
"""

import random
import statistics
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

from measure import environment, machine, run

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from support import corpus  # noqa: E402 -- of the tests

RUNS = 9
_TRAINS = "generated-docker-answer-train"
FILES = 2_000
BIN = Path(sys.executable).parent


def repository(folder: Path) -> None:
    """Write a project of 2,000 files, committed: churn as `new` makes it, locked, and more beside.

    That is a stack and a Dockerfile as courses have them, modules, notebooks and settings.
    """
    run([BIN / "lockstitch", "new", folder], env=environment())
    run([BIN / "lockstitch", "lock", "--quiet"], env=environment(), cwd=folder)
    for kind, name in (("airflow-quick-start", "docker-compose.yml"), (_TRAINS, "Dockerfile")):
        (path,) = (each for each in corpus.projects("taught") if each.stem == kind)
        (project,) = corpus.cases.parse(path.read_text(encoding="utf-8"))
        (folder / name).write_text(project.files[name])
    chance = random.Random(1)  # noqa: S311 -- for files, not for keys
    words = [f"name_{number}" for number in range(400)]
    left = FILES - sum(1 for path in folder.rglob("*") if path.is_file())
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
    """Print how long a whole process takes, without and with the project's environment."""
    with tempfile.TemporaryDirectory() as temporary:
        env = environment(LOCKSTITCH_CACHE=f"{temporary}/store")
        folder = Path(temporary, "project")
        repository(folder)
        first = run([BIN / "lockstitch", "check", "--exit-zero"], env=env, cwd=folder)
        print(
            f"{FILES:,} files; median of {RUNS}; the first check of it took {first * 1000:.0f} ms"
        )
        _table(folder, env)
        run([BIN / "uv", "sync", "--locked", "--quiet"], env=env, cwd=folder)
        installed = sum(1 for path in (folder / ".venv").rglob("*") if path.is_file())
        print(f"and with its .venv, {installed:,} files more, each held against its RECORD")
        _table(folder, env)


def _table(folder: Path, env: dict[str, str]) -> None:
    commands: dict[str, list[str | Path]] = {
        "python -c pass": [sys.executable, "-c", "pass"],
        "ruff check, no cache": [BIN / "ruff", "check", "--no-cache", "--exit-zero", "-q"],
        "lockstitch check": [BIN / "lockstitch", "check", "--exit-zero"],
    }
    for words in commands.values():
        run(words, env=env, cwd=folder)  # writes the bytecode caches
    found: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(RUNS):
        for name, words in commands.items():  # in turn, so that a busy moment is everybody's
            found[name].append(run(words, env=env, cwd=folder))
    for name, seconds in found.items():
        print(f"  {name:<22} {statistics.median(seconds) * 1000:7.1f} ms")


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
