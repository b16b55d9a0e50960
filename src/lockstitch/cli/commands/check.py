"""Find problems that break ML environments: locks, packaging, images, hooks, stack, secrets, code.

Works on any repository with Python in it, needs no network and runs no code of the repository.
Reads the files that git tracks or would add; folders of tests, templates and vendored code are
searched for secrets only. Names each tool that is not installed as skipped. Exits with 1 when
there is a finding. Settings are in [tool.lockstitch.check] of pyproject.toml.

A comment `# lockstitch: ignore CODE -- REASON` suppresses a finding on its line; on a line of its
own, on the next one.

examples:
  # this repository
  lockstitch check
  # fix what has a safe fix, and show the difference
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
from itertools import chain
from pathlib import Path

from lockstitch.audit import engine
from lockstitch.cli.options import exclusive, flag, group, operand, option, repeatable
from lockstitch.errors import LockstitchError, UsageError
from lockstitch.progress import say

__all__ = ["OPTIONS", "run"]


def _codes(text: str) -> list[str]:
    return [code for code in text.replace(",", " ").split() if code]


OPTIONS = (
    operand(
        "path",
        "PATH",
        "folder of a repository, or a file in it (default: this folder)",
        type=Path,
        nargs="?",
        default=Path(),
    ),
    group(
        "rules",
        repeatable(
            "--select",
            "CODES",
            "only these codes or families, as in IMG,LCK001 (ALL: every rule)",
            type=_codes,
        ),
        repeatable(
            "--extend-select", "CODES", "also these, of those that are off by default", type=_codes
        ),
        repeatable("--ignore", "CODES", "not these codes or families", type=_codes),
    ),
    group(
        "slower checks",
        flag("--history", "search every commit for secrets, also with a scanner"),
        flag("--measure", "run each hook on all files and time it"),
        flag("--verify", "hash every installed file of .venv (takes a second)"),
        repeatable(
            "--image",
            "PATH",
            "OCI layout whose layers are searched for secrets (always searched: the configuration "
            "of the images in .lockstitch/images)",
            type=Path,
        ),
    ),
    group(
        "fixes",
        exclusive(
            flag("--fix", "change files, and show the difference"),
            flag("--diff", "show the difference, write nothing"),
        ),
    ),
    group(
        "output",
        option(
            "--format",
            "",
            "output format (default: text)",
            choices=("text", "json", "sarif", "github"),
            default="text",
        ),
        flag("--json", "the same as --format json"),
        flag("--exit-zero", "exit with 0 also when there are findings"),
        flag("--quiet", "print findings only"),
    ),
)


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
        select=[*chain(*options.select)],
        extend_select=[*chain(*options.extend_select)],
        ignore=[*chain(*options.ignore)],
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
