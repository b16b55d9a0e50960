"""Wrong names of `lockstitch bisect` in noisy searches: `python bench/answers.py [SEEDS]`.

Each is simulated, has no, one or two true causes among 1 to 40, a step of 0.05 to 0.2 and noise of
one kind (tests/support/noisy.py). Prints how many names were wrong, how many were said, runs.
"""

import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from support import noisy

seeds = int(sys.argv[1]) if len(sys.argv) > 1 else 100
print("| noise | searches | wrong names | names | runs (mean) | runs (most) |")
print("|---|---:|---:|---:|---:|---:|")
started, wrong = time.monotonic(), 0
for kind in noisy.KINDS:
    found = [noisy.simulate(kind, seed) for seed in range(seeds)]
    runs = [each.explanation.runs for each in found]
    wrong += sum(each.wrong for each in found)
    numbers = (seeds, sum(e.wrong for e in found), sum(e.named for e in found))
    print(f"| {kind} | {' | '.join(map(str, numbers))} | {sum(runs) / seeds:.1f} | {max(runs)} |")
total = seeds * len(noisy.KINDS)
print(f"{wrong} of {total} wrong, in {time.monotonic() - started:.1f} s")
