"""The shapes of tests/gauntlet from `init` to a started image: `python bench/gauntlet.py [NAME…]`.

For each shape: whether its image starts as `init` wrote it, whether the command was the right one,
seconds, megabytes. Nothing is edited on the way; four commands are typed.
"""

import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from measure import machine
from support import gauntlet


def main() -> None:
    """Print a row for each shape as it ends, and the totals."""
    wanted = sys.argv[1:]
    shapes = [gauntlet.read(path) for path in sorted(gauntlet.SHAPES.glob("*.shape"))]
    shapes = [s for s in shapes if not wanted or any(s.name.startswith(w) for w in wanted)]
    print(machine())
    print(f"{'shape':<34} {'starts':<7} {'command':<8} {'s':>6} {'MB':>7}  said")
    results = []
    for shape in shapes:
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as temporary:
            found = gauntlet.play(shape, Path(temporary) / shape.name)
        results.append(found)
        starts = "yes" if found.starts else "NO"
        command = "yes" if found.guessed else "NO"
        text = found.problem or found.command
        size = found.size / 1e6
        row = f"{found.name:<34} {starts:<7} {command:<8} {found.seconds:6.1f} {size:7.1f}"
        print(f"{row}  {text[:160]}", flush=True)
    starts = sum(r.starts for r in results)
    right = sum(r.guessed for r in results)
    seconds = sum(r.seconds for r in results)
    print(
        f"{len(results)} shapes: {starts} start as init wrote them, {right} with the right command"
    )
    print(f"4 commands each, {seconds:.0f} s in all, {sum(r.size for r in results) / 1e6:.0f} MB")


if __name__ == "__main__":
    main()
