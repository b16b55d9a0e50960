"""Find by experiment which of what moved between A and B moves a number.

Mixtures of A and B are installed by uv, and COMMAND runs in each: A twice, to see how much the
number moves by itself; B; then the likeliest causes alone; then halves of the rest, until the
smallest set is found that moves the number from A's to B's, and without which it stays. A mixture
that cannot be installed or does not import is passed over. Packages that ask for each other's
exact versions move together.

A and B are any two of what `lockstitch fingerprint` takes. Packages come from your own indexes, by
hash where a lock has one. COMMAND runs in this folder, with the mixture's `python` first on PATH.
The number is the last one in its last line. Each outcome is kept in .lockstitch/bisect: a search
that was stopped goes on.

Exit code 0: found. 1: not explained, and what is known is said.

examples:
  # accuracy fell with the last upgrade
  lockstitch bisect uv.lock@HEAD~1 uv.lock -- python train.py
  # what would be tried, and how often
  lockstitch bisect uv.lock@HEAD~1 uv.lock --dry-run -- python train.py
  # the number stands in a file
  lockstitch bisect old.lock.txt new.lock.txt --metric-file metrics.json:test.auc -- python train.py
  # is it the threads, or the processor's kernels
  lockstitch bisect .venv .venv --setting OPENBLAS_CORETYPE=SkylakeX,Haswell -- python train.py
"""

import argparse
import sys
from typing import Any

from lockstitch.cli.session import add_common, print_json
from lockstitch.progress import reporter, say

__all__ = ["configure", "run"]

REST = "the command that gives the number"  # what stands after `--`


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.usage = "%(prog)s [options] A B -- COMMAND"
    parser.add_argument("before", metavar="A", help="an environment, a lock, a git revision, …")
    parser.add_argument("after", metavar="B", help="the one with the other number")
    _add_number(parser)
    _add_tried(parser)
    group = parser.add_argument_group("how")
    group.add_argument(
        "--jobs", metavar="N", type=int, default=1, help="runs at a time (default: 1)"
    )
    group.add_argument(
        "--runs", metavar="N", type=int, default=100, help="runs at most (default: 100)"
    )
    group.add_argument(
        "--dry-run", action="store_true", help="print the plan and the ranking, and run nothing"
    )
    group.add_argument("--again", action="store_true", help="forget the outcomes of before")
    parser.set_defaults(platform="")
    add_common(parser)


def _add_number(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("the number (default: the last one of the last line)")
    group.add_argument(
        "--metric-file",
        metavar="FILE[:PATH]",
        default="",
        help="a JSON file that the command writes, and where in it",
    )
    group.add_argument(
        "--metric-regex",
        metavar="RE",
        default="",
        help="the last match in what the command prints; its group when it has one",
    )
    group.add_argument(
        "--tolerance",
        metavar="NUMBER",
        type=float,
        default=0.0,
        help="numbers that differ by this are the same (default: twice what repeats differ by)",
    )
    group.add_argument(
        "--repeats", metavar="N", type=int, default=2, help="runs of A at first (default: 2)"
    )


def _add_tried(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("what is tried")
    group.add_argument(
        "--setting",
        metavar="NAME=A,B",
        action="append",
        default=[],
        help="also a variable with two values, one of which may be empty for unset",
    )
    group.add_argument(
        "--with",
        metavar="WHEEL",
        dest="extra",
        action="append",
        default=[],
        help="install this in every mixture: a wheel, or NAME @ its address",
    )
    group.add_argument("--image", metavar="NAME", help="of locks: what this image has of them")
    group.add_argument(
        "--python",
        metavar="X.Y[,X.Y]",
        default="",
        help="Python of locks, or one for A and one for B (default: the project's)",
    )


def run(options: argparse.Namespace) -> int:
    """Run the command."""
    from lockstitch.cli import bisected, bisecting

    made = bisecting.prepare(options)
    talk = not (options.quiet or options.json)
    if options.dry_run:
        _print(options, bisected.planned(made), bisected.ranking(made))
        return 0
    if talk:
        say(bisected.plan(made).rstrip("\n"))
    found = bisecting.explained(made, reporter(quiet=not talk), talk=talk)
    _print(options, bisected.document(made, found), bisected.text(made, found))
    return 0 if found.found else 1


def _print(options: argparse.Namespace, document: dict[str, Any], text: str) -> None:
    if options.json:
        print_json(document)
    else:
        sys.stdout.write(text)
