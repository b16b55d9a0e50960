"""Search for what a reader does not survive: `python bench/fuzz.py --seconds 600 --seed 1`.

Each reader of tests/support/fuzz.py takes its turn with mutations of its corpus. With atheris
installed, `--guided READER` lets coverage choose them. What goes wrong is written to
tests/fuzz/READER/, where the tests try it for ever. Exit code 1 when there is any.
"""

import argparse
import itertools
import random
import resource
import sys
import tempfile
import time
from collections import Counter
from hashlib import sha256
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "tests"))

if "--guided" in sys.argv:
    import atheris  # which no lock has: pip install atheris

    with atheris.instrument_imports(include=["lockstitch"]):
        from support import fuzz
else:
    from support import fuzz

_MEMORY = 4 << 30  # bytes that a reader may take


def keep(name: str, data: bytes, wrong: str) -> None:
    """Write an input that went wrong into the corpus."""
    folder = fuzz.folder(name)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"wrong-{sha256(data).hexdigest()[:12]}"
    path.write_bytes(data)
    print(f"{name}: {wrong}\n  {path}", flush=True)


def search(names: list[str], seconds: float, seed: int) -> int:
    """Try mutations of each reader in turn; return how many kinds went wrong."""
    end = time.monotonic() + seconds
    tried: Counter[str] = Counter()
    seen: set[tuple[str, str]] = set()
    for number in itertools.count():
        for name in names:
            if time.monotonic() > end:
                print({"seed": seed, "wrong": len(seen), **tried})
                return len(seen)
            data = fuzz.mutated(name, random.Random(f"{seed} {number} {name}"))  # noqa: S311 -- to be found again
            tried[name] += 1
            wrong = fuzz.attempt(name, data)
            if wrong and (name, wrong[:60]) not in seen:
                seen.add((name, wrong[:60]))
                keep(name, data, wrong)
    return len(seen)


def guided(name: str, seconds: float) -> None:
    """Let atheris choose what one reader is given."""

    def one(data: bytes) -> None:
        wrong = fuzz.attempt(name, data)
        if wrong:
            keep(name, data, wrong)
            raise AssertionError(wrong)

    with tempfile.TemporaryDirectory() as fresh:  # what it makes; the seeds are only read
        given = Path(fresh) / "seeds"
        given.mkdir()
        for number, data in enumerate(fuzz.seeds(name)):
            (given / str(number)).write_bytes(data)
        words = [sys.argv[0], f"-max_total_time={int(seconds)}", "-rss_limit_mb=4096"]
        atheris.Setup([*words, fresh, str(given)], one)
        atheris.Fuzz()


def main() -> None:
    """Search, and exit with 1 when something went wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--guided", choices=fuzz.READERS, metavar="READER")
    parser.add_argument("reader", nargs="*", help="of these only")
    options = parser.parse_args()
    if options.guided:
        guided(options.guided, options.seconds)
        return
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    sys.exit(bool(search(options.reader or [*fuzz.READERS], options.seconds, options.seed)))


if __name__ == "__main__":
    main()
