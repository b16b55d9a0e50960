"""Builds after which little or nothing has changed: lockstitch against `docker build`, in pairs.

A project of no package, with 100 and with 50,000 files of 400 bytes, and on request one file of
some GiB. Its base and its engine are at hand. *nothing* is the second build of the same files,
*one line* is a build after an edit of `main.py`, *first* makes all app files anew. Docker's image
is `FROM scratch` with one COPY, the least that it can do: an image in the engine, no compressed
layer. Each time is the least of some runs, which take turns.
Run `python bench/edits.py [--files N ...] [--large GIB]`.
"""

import argparse
import random
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from engine import answering, client
from measure import environment, machine, run

LOCKSTITCH = [sys.executable, "-m", "lockstitch"]
PYPROJECT = """\
[project]
name = "edits"
version = "0.1"
requires-python = ">=3.11,<3.12"

[tool.uv]
package = false

[tool.lockstitch]
python = "3.11"
base = "debian:bookworm"
platforms = ["linux/amd64"]

[tool.lockstitch.images.app]
include = ["main.py", "data/**"]
command = ["python", "main.py"]
"""
DOCKERFILE = "FROM scratch\nCOPY main.py /app/\nCOPY data /app/data\n"
IGNORED = "*\n!main.py\n!data\n"


def write(root: Path, count: int, large: int) -> None:
    """Write the project."""
    words = random.Random(1)  # noqa: S311 -- the same files each time
    root.mkdir()
    (root / "pyproject.toml").write_text(PYPROJECT)
    (root / "Dockerfile").write_text(DOCKERFILE)
    (root / ".dockerignore").write_text(IGNORED)
    (root / "main.py").write_text("print(1)\n")
    for number in range(count):
        path = root / "data" / f"{number % 200:03}" / f"{number}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(" ".join(f"{words.random():.6f}" for _ in range(45)))
    if large:
        with (root / "data" / "weights.bin").open("wb") as handle:
            for _ in range(large << 6):
                handle.write(words.randbytes(16 << 20))


def edit(root: Path) -> None:
    """Add one line to a program."""
    path = root / "main.py"
    path.write_text(path.read_text() + "print(2)\n")


def least(times: int, *builds: Callable[[], float]) -> list[float]:
    """Return the least seconds of each build, which take turns."""
    rows = [[build() for build in builds] for _ in range(times)]
    return [min(column) for column in zip(*rows, strict=True)]


def measure(folder: Path, count: int, large: int, *, docker: bool) -> None:
    """Print the rows of one project."""
    root = folder / f"{count}-{large}"
    write(root, count, large)
    env = environment()
    run([*LOCKSTITCH, "lock"], cwd=root, env=env)

    def native() -> float:
        return run([*LOCKSTITCH, "build"], cwd=root, env=env)

    def engine() -> float:
        words = [client(), "build", "--quiet", "--tag", "lockstitch-bench-edits", root]
        return run(words, env=environment(DOCKER_BUILDKIT="1"))

    def edited(build: Callable[[], float]) -> Callable[[], float]:
        def measured() -> float:
            edit(root)
            return build()

        return measured

    builds = [native, engine] if docker else [native]
    what = f"{count:,} files" + (f" and {large} GiB" if large else "")
    show(f"first, {what}", [build() for build in builds])
    times = 9 if count < 10_000 and not large else 3
    native()
    show(f"nothing, {what}", least(times, *builds))
    show(f"one line, {what}", least(times, *map(edited, builds)))


def show(name: str, seconds: list[float]) -> None:
    """Print one row with its ratio."""
    ours, *others = seconds
    rest = "".join(f"{each:>8.2f}s{each / ours:>7.1f}x" for each in others)
    print(f"{name:<34}{ours:>8.2f}s{rest}", flush=True)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, nargs="*", default=[100, 50_000])
    parser.add_argument("--large", type=int, default=0, help="GiB of one more file")
    options = parser.parse_args()
    print(machine())
    with answering() as docker, tempfile.TemporaryDirectory(prefix="lockstitch-bench-") as name:
        print(f"{'':<34}{'native':>9}" + (f"{'docker':>9}{'ratio':>8}" if docker else ""))
        for count in options.files:
            measure(Path(name), count, 0, docker=docker)
        if options.large:
            measure(Path(name), 100, options.large, docker=docker)


if __name__ == "__main__":
    try:
        main()
    except subprocess.CalledProcessError as error:
        sys.exit(str(error))
