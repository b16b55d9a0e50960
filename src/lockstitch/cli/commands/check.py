"""Look for what breaks an ML environment: locks, packaging, images, hooks, stack, secrets, code.

Works on any repository with Python in it, needs no network and runs nothing of the repository.
Reads what git has or would add; folders of tests, templates and vendored code are looked at for
secrets alone. A tool that is not installed is named as skipped. Exits with 1 when anything is
found. Settings are in [tool.lockstitch.check] of pyproject.toml.

A comment `# lockstitch: ignore CODE -- REASON` suppresses a finding on its line; on a line of its
own, on the next one.

examples:
  # this repository
  lockstitch check
  # change what can be changed without a doubt, and show it
  lockstitch check --fix
  # images and compose files only, as annotations of a pull request
  lockstitch check --select IMG,STK --format github
  # for code scanning
  lockstitch check --format sarif --exit-zero > lockstitch.sarif
"""

import argparse
import gc
import sys
from dataclasses import replace
from pathlib import Path

from lockstitch.audit import engine
from lockstitch.errors import LockstitchError, UsageError
from lockstitch.progress import say

__all__ = ["configure", "run"]

_FORMATS = ("text", "json", "sarif", "github")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument(
        "path",
        metavar="PATH",
        type=Path,
        nargs="?",
        default=Path(),
        help="a repository's folder, or one file of it (default: this folder)",
    )
    rules = parser.add_argument_group("which rules")
    for name, words in (
        ("select", "only these codes or families, as in IMG,LCK001 (ALL: every rule)"),
        ("extend-select", "these too, of those that are off by default"),
        ("ignore", "not these"),
    ):
        rules.add_argument(
            f"--{name}", metavar="CODES", action="append", type=_codes, default=[], help=words
        )
    more = parser.add_argument_group("what takes longer")
    more.add_argument(
        "--history",
        action="store_true",
        help="look for secrets in every commit, and with a scanner",
    )
    more.add_argument(
        "--measure", action="store_true", help="run each hook on all files and time it"
    )
    more.add_argument(
        "--verify", action="store_true", help="hash every installed file of .venv (a second)"
    )
    more.add_argument(
        "--image",
        metavar="PATH",
        action="append",
        type=Path,
        default=[],
        help="an OCI layout whose layers are looked through for secrets (always looked at: the"
        " configuration of images in .lockstitch/images)",
    )
    fixes = parser.add_argument_group("fixes").add_mutually_exclusive_group()
    fixes.add_argument("--fix", action="store_true", help="change files, and show the difference")
    fixes.add_argument("--diff", action="store_true", help="show the difference, write nothing")
    output = parser.add_argument_group("output")
    output.add_argument("--format", choices=_FORMATS, default="text", help="(default: text)")
    output.add_argument("--json", action="store_true", help="the same as --format json")
    output.add_argument("--exit-zero", action="store_true", help="exit with 0 whatever is found")
    output.add_argument("--quiet", action="store_true", help="say nothing beside what is found")


def _codes(text: str) -> list[str]:
    return [each for each in text.replace(",", " ").split() if each]


def run(options: argparse.Namespace) -> int:
    """Run the command."""
    collects = gc.isenabled()
    gc.disable()  # a check makes no garbage in circles, and looking for it is a tenth of its time
    try:
        return _run(options)
    finally:
        if collects:
            gc.enable()


def _run(options: argparse.Namespace) -> int:
    from lockstitch.audit import rules, settings
    from lockstitch.audit.formats import FORMATS, printable, summary
    from lockstitch.audit.rule import CheckOptions
    from lockstitch.repository.files import open_repository

    root, only = _root(options.path)
    form = "json" if options.json else options.format
    if options.json and options.format not in {"text", "json"}:
        message = f"--json cannot be used together with --format {options.format}"
        raise UsageError(message, hint=f"lockstitch check --format {options.format}")
    known = rules.codes()
    found = settings.load(root, known)
    chosen = settings.chosen(
        rules.RULES,
        found,
        select=_flat(options.select),
        extend_select=_flat(options.extend_select),
        ignore=_flat(options.ignore),
    )
    extras = CheckOptions(
        measure=options.measure,
        verify=options.verify,
        history=options.history,
        images=tuple(options.image),
    )
    found = replace(found, options=extras)
    repo = open_repository(root, exclude=found.exclude)
    if options.fix or options.diff:
        fixed = engine.fix(repo, chosen, found, known, only)
        report = fixed.report
        difference = "".join(
            f"{printable(x)}\n" for x in engine.diff(fixed.changes).split("\n")[:-1]
        )
        (sys.stdout if form == "text" else sys.stderr).write(difference)
        if options.fix:
            engine.write(repo, fixed.changes)
        if fixed.fixed and not options.quiet:
            say(f"{'fixed' if options.fix else 'would fix'}: {fixed.fixed}")
    else:
        report = engine.audit(repo, chosen, found, known, only)
    sys.stdout.write(FORMATS[form](report))
    sys.stdout.flush()
    if not options.quiet:
        for line in summary(report):
            say(line)
    changed = options.diff and fixed.fixed
    return 1 if (report.findings or changed) and not options.exit_zero else 0


def _flat(given: list[list[str]]) -> list[str]:
    return [code for each in given for code in each]


def _root(path: Path) -> tuple[Path, tuple[str, ...]]:
    """Return the folder to look at, and the file when one is named."""
    if path.is_dir():
        return path, ()
    if not path.exists():
        message = f"`{path}` is not there"
        raise LockstitchError(message, hint="name a folder, or a file of one")
    whole = path.absolute()
    marks = (".git", "pyproject.toml")
    above = [folder for folder in whole.parents if any((folder / mark).exists() for mark in marks)]
    root = above[0] if above else whole.parent
    return root, (whole.relative_to(root).as_posix(),)
