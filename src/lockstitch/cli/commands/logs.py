"""Show the logs of the local stack.

Without SERVICE, all of them, each line with its service before it. A log of 5 MB moves to
NAME.log.1; three older ones are kept in .lockstitch/stack/logs/.

examples:
  # the end of every log
  lockstitch logs
  # what MLflow says, as it says it
  lockstitch logs -f mlflow
"""

import argparse
import sys

from lockstitch.cli.session import add_common, open_session, print_json
from lockstitch.errors import UsageError

__all__ = ["configure", "run"]

_NAMES = ("postgres", "objects", "mlflow", "supervisor")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    names = ", ".join(_NAMES)
    parser.add_argument(
        "service", metavar="SERVICE", nargs="?", choices=_NAMES, help=f"one of: {names}"
    )
    parser.add_argument("-f", "--follow", action="store_true", help="go on until Ctrl-C")
    parser.add_argument(
        "--lines", metavar="N", type=int, default=50, help="last lines of each log (default: 50)"
    )
    add_common(parser)


def run(options: argparse.Namespace) -> int:
    """Run the command."""
    from lockstitch.cli import stacks

    if options.json and options.follow:
        message = "`--json` and `--follow` cannot be used together"
        raise UsageError(message, hint="lockstitch logs --json")
    stack = stacks.of(open_session(options))
    if options.follow:
        return stack.follow(options.service, options.lines)
    names = (options.service,) if options.service else _NAMES
    found = {name: stack.log(name, options.lines) for name in names}
    if options.json:
        print_json(found)
        return 0
    for name, lines in found.items():
        for line in lines:
            sys.stdout.write(f"{line}\n" if options.service else f"{name:<10} | {line}\n")
    return 0
