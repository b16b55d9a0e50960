"""Find by experiment which differences between A and B change a number.

Mixtures of A and B are installed by uv, and COMMAND runs in each, in a copy of this folder: A twice
or more, to see how much the number varies by itself; B; then mixtures with the likelier half of
the causes, until the smallest set is found that changes the number from A's to B's, and without
which it stays. What A and B never import comes last. What decides is run again before a name is
said. A run that fails is tried again; a mixture that cannot be installed or does not import is
passed over. Packages that require each other's exact versions change together, and so does a
package that one side lacks with the one that needs it.

A and B are any two of what `lockstitch fingerprint` takes. Packages come from your own indexes, by
hash where a lock has one. COMMAND gets the mixture's `python` first on PATH.
The number is the last one in its last line. Each outcome is kept in .lockstitch/bisect: a search
that was stopped goes on.

Exit code 0: explained. 1: not explained, or it cannot be told: what is known is printed.

examples:
  # accuracy fell with the last upgrade
  lockstitch bisect uv.lock@HEAD~1 uv.lock -- python train.py
  # what would be tried, and how often
  lockstitch bisect uv.lock@HEAD~1 uv.lock --dry-run -- python train.py
  # the number is in a file
  lockstitch bisect old.lock.txt new.lock.txt --metric-file metrics.json:test.auc -- python train.py
  # is it the threads, or the processor's kernels
  lockstitch bisect .venv .venv --setting OPENBLAS_CORETYPE=SkylakeX,Haswell -- python train.py
"""

import argparse
import dataclasses
import sys
from pathlib import Path
from typing import Any

from lockstitch.cli.options import COMMON, flag, group, operand, option, repeatable
from lockstitch.cli.session import print_json
from lockstitch.progress import reporter, say

USAGE = "%(prog)s [options] A B -- COMMAND"
REST = "the command that prints the number"  # after `--`

OPTIONS = (
    operand("before", "A", "an environment, a lock, a git revision, …"),
    operand("after", "B", "the one with the other number"),
    group(
        "the number (default: the last one of the last line)",
        option(
            "--metric-file FILE[:PATH]",
            "a JSON file that the command writes, and where in it",
            default="",
        ),
        option(
            "--metric-regex RE",
            "the last match in the command's output; its group when it has one",
            default="",
        ),
        option(
            "--tolerance NUMBER",
            "numbers that differ by this are the same (default: twice what repeats differ by)",
            type=float,
            default=0.0,
        ),
        option(
            "--repeats N",
            "runs of A at first (default: 2 where they are alike in all of many digits, else 5)",
            type=int,
            default=0,
        ),
    ),
    group(
        "what is tried",
        repeatable(
            "--setting NAME=A,B",
            "also a variable with two values, one of which may be empty for unset",
        ),
        repeatable(
            "--with WHEEL",
            "install this in every mixture: a wheel, or NAME @ its address",
            dest="extra",
        ),
        option("--image NAME", "the groups and extras of this image, of locks"),
        option(
            "--python X.Y[,X.Y]",
            "Python of locks, or one for A and one for B (default: the project's)",
            default="",
        ),
    ),
    group(
        "how",
        option("--jobs N", "runs at a time (default: 1)", type=int, default=1),
        option("--runs N", "runs at most (default: 100)", type=int, default=100),
        flag("--dry-run", "print the plan and the ranking, and run nothing"),
        flag("--again", "forget the kept outcomes"),
    ),
    COMMON,
)


def run(options: argparse.Namespace) -> int:
    from lockstitch.drift.bisect import report, setup

    names = [field.name for field in dataclasses.fields(setup.Options)]
    prepared = setup.prepare(setup.Options(**{name: getattr(options, name) for name in names}))
    talk = not (options.quiet or options.json)
    if options.dry_run:
        _print(options, report.planned(prepared), report.ranking(prepared))
        return 0
    if talk:
        say(report.plan(prepared).rstrip("\n"))
    result = setup.explained(prepared, reporter(quiet=not talk), talk=talk)
    known = (prepared, result, _unseeded(options.project) if result.doubt else [])
    _print(options, report.document(*known), report.text(*known))
    return 0 if result.found else 1


def _unseeded(folder: Path) -> list[str]:
    """Return the places of a folder's code that draw at random without a seed."""
    from lockstitch.audit.rule import Finding
    from lockstitch.audit.rules.run import RUN001
    from lockstitch.repository.files import open_repository

    findings = RUN001().find(open_repository(folder))
    return [f"{item.place}: {item.message}" for item in findings if isinstance(item, Finding)]


def _print(options: argparse.Namespace, document: dict[str, Any], text: str) -> None:
    if options.json:
        print_json(document)
    else:
        sys.stdout.write(text)
