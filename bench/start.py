"""Start of the command line against an empty Python: `python bench/start.py`."""

import sys
from pathlib import Path

from measure import environment, machine, median, run

RUNS = 15
PROGRAM = Path(sys.executable).with_name("lockstitch")


def main() -> None:
    """Print the ratios."""
    env = environment()
    commands = {
        "python -c pass": [sys.executable, "-c", "pass"],
        "lockstitch --version": [PROGRAM, "--version"],
        "lockstitch --help": [PROGRAM, "--help"],
    }
    for words in commands.values():
        run(words, env=env)  # writes the bytecode caches
    times = {
        name: median(RUNS, lambda words=words: run(words, env=env))
        for name, words in commands.items()
    }
    print(machine())
    for name, seconds in times.items():
        ratio = seconds / times["python -c pass"]
        print(f"{name:<20} {seconds * 1000:6.1f} ms  {ratio:4.1f} x")


if __name__ == "__main__":
    main()
