"""Reports the shape of the code, beside what the redesign of 0.2 started from: `make shape`.

It forbids nothing: a length is worth a look, not a cut. Templates are projects of their own and
are left out.
"""

import ast
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "lockstitch"
SMALL = 60  # lines of a file that may be better off in its neighbour
SHOWN = 10
# Of src/lockstitch before the redesign.
START = {
    "files of Python": 414,
    "lines of Python": 52_290,
    f"files of {SMALL} lines or fewer": 99,
    "lines of tables and pages": 303,  # what leaves Python for TOML or Jinja counts here
}


def main() -> None:
    """Print the report."""
    lengths = measure(PACKAGE)
    small = sum(length <= SMALL for length in lengths.values())
    beside = sum(measure(PACKAGE, ".toml", ".j2", ".css").values())
    now = (len(lengths), sum(lengths.values()), small, beside)
    print(f"{'src/lockstitch, without templates':<36}{'now':>9}{'start':>9}")
    for (name, start), number in zip(START.items(), now, strict=True):
        print(f"{name:<36}{number:>9,}{start:>9,}")
    tests = measure(ROOT / "tests")
    print(f"{f'lines of tests, in {len(tests):,} files':<36}{sum(tests.values()):>9,}")
    rooms(lengths)
    longest("files", [(length, name_of(path)) for path, length in lengths.items()])
    longest("functions", [row for path in lengths for row in functions(path)])


def measure(folder: Path, *suffixes: str) -> dict[Path, int]:
    """Return the number of lines of each file below a folder, of modules unless told otherwise."""
    paths = [path for path in sorted(folder.rglob("*")) if path.suffix in (suffixes or {".py"})]
    paths = [path for path in paths if "templates" not in path.parts]
    return {path: len(path.read_text(encoding="utf-8").splitlines()) for path in paths}


def name_of(path: Path) -> str:
    """Return a path below the package."""
    return path.relative_to(PACKAGE).as_posix()


def rooms(lengths: dict[Path, int]) -> None:
    """Print files and lines of each folder of the package, and of its own modules."""
    files: Counter[str] = Counter()
    lines: Counter[str] = Counter()
    for path, length in lengths.items():
        folder = path.relative_to(PACKAGE).parts[:-1]
        room = folder[0] if folder else "(modules)"
        files[room] += 1
        lines[room] += length
    print(f"\n{'room':<18}{'files':>9}{'lines':>9}{'mean':>9}")
    for room, total in lines.most_common():
        print(f"{room:<18}{files[room]:>9,}{total:>9,}{total / files[room]:>9.0f}")


def functions(path: Path) -> Iterable[tuple[int, str]]:
    """Yield length and name of each function of a module."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield (node.end_lineno or 0) - node.lineno + 1, f"{name_of(path)}: {node.name}"


def longest(what: str, rows: list[tuple[int, str]]) -> None:
    """Print the longest of some named lengths."""
    print(f"\nlongest {what}")
    for length, name in sorted(rows, reverse=True)[:SHOWN]:
        print(f"{length:>6}  {name}")


if __name__ == "__main__":
    main()
