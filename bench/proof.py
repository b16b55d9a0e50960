"""Plants fifteen causes of other results and counts how many are named: `python bench/proof.py`."""

import sys
import tempfile
import textwrap
from pathlib import Path

from measure import machine

WIDTH = 90  # of what was said
ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from support import proof  # noqa: E402 -- of the tests


def main() -> None:
    """Print a line for each cause, and the score."""
    with tempfile.TemporaryDirectory() as folder:
        found = list(proof.score(proof.prepare(Path(folder).resolve())))
    print(machine())
    for each in found:
        state = "named" if each.caught else "MISSED"
        said = textwrap.shorten(each.said, WIDTH, placeholder=" …")
        print(f"{each.number:>2}  {state:<7} {each.planted:<48} {said}")
    print(f"{sum(each.caught for each in found)} of {len(found)} named")


if __name__ == "__main__":
    main()
