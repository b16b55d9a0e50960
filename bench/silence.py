"""The longest silence of each command: `python bench/silence.py`.

Each command runs without a terminal on the churn template, with an empty store, as in CI. What a
line of a table says: how long the command took, and the longest time in which it wrote nothing.
"""

import os
import select
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from measure import environment, machine

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from support import registry as registries  # noqa: E402 -- of the tests

PROGRAM = Path(sys.executable).with_name("lockstitch")
LIMIT = 35.0  # s, and nobody believes that a program still works


def silence(words: list[str], cwd: Path, env: dict[str, str]) -> tuple[int, float, float]:
    """Run a command; return its exit code, its seconds, and its longest silence in seconds."""
    start = last = time.monotonic()
    longest = 0.0
    with subprocess.Popen(
        [PROGRAM, *words], cwd=cwd, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as process:
        number = process.stdout.fileno() if process.stdout else -1
        while True:
            select.select([number], [], [])
            text = os.read(number, 1 << 16)
            now = time.monotonic()
            longest, last = max(longest, now - last), now
            if not text:
                return process.wait(), now - start, longest


def main() -> int:
    """Print the table; return 1 when a command fails or is silent for too long."""
    print(machine())
    wrong = 0
    with tempfile.TemporaryDirectory() as folder, registries.run() as registry:
        env = {**environment(), "LOCKSTITCH_CACHE_DIR": f"{folder}/store"}
        root = Path(folder) / "churn"
        name = f"{registry.address}/churn/{{image}}"
        for words in (
            ["new", str(root), "--template", "churn"],
            ["lock"],
            ["run", "train"],
            ["build"],
            ["try", "serve"],
            ["image", "push", name],
            ["image", "verify", "serve"],
            ["check"],
            ["diff", "train", "serve"],
            ["verify", "serve", "--build"],
            ["pack", "--output", f"{folder}/churn.tar"],
            ["report"],
            ["init"],
        ):
            code, seconds, longest = silence(words, root if root.exists() else Path(folder), env)
            bad = code != 0 and words[0] not in {"check", "diff"}
            wrong += bad or longest > LIMIT
            note = f"  exit code {code}" if bad else ""
            print(f"{' '.join(words[:2]):<18} {seconds:7.1f} s  silent {longest:5.1f} s{note}")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
