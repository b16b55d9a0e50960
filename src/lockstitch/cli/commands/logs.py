"""Show the logs of the local stack.

Without SERVICE, all of them, with the name of the service before each line. A log of 5 MB is moved
to NAME.log.1; three older ones are kept in .lockstitch/stack/logs/.

examples:
  # the end of every log
  lockstitch stack logs
  # MLflow's log, as it is written
  lockstitch stack logs -f mlflow
"""

import argparse
import difflib
import sys

from lockstitch.cli.options import COMMON, flag, operand, option
from lockstitch.cli.session import open_session, print_json
from lockstitch.errors import UsageError

OPTIONS = (
    operand("service", "SERVICE", "a service of the stack, or `supervisor`", nargs="?"),
    flag("--follow", "print new lines until Ctrl-C", short="-f"),
    option("--lines N", "last lines of each log (default: 50)", type=int, default=50),
    COMMON,
)


def run(options: argparse.Namespace) -> int:
    from lockstitch.cli import stacks

    if options.json and options.follow:
        message = "`--json` and `--follow` cannot be used together"
        raise UsageError(message, hint="lockstitch stack logs --json")
    session = open_session(options)
    known = stacks.log_names(session.project)
    if options.service and options.service not in known:
        message = f"`{options.service}` is no service of this stack; it has {', '.join(known)}"
        near = difflib.get_close_matches(options.service, known, n=1) or known[:1]
        raise UsageError(message, hint=f"lockstitch stack logs {near[0]}")
    if options.follow:
        return stacks.follow(session, options.service, options.lines)
    stack = stacks.of(session)
    names = (options.service,) if options.service else known
    logs = {name: stack.log(name, options.lines) for name in names}
    if options.json:
        print_json(logs)
        return 0
    for name, lines in logs.items():
        for line in lines:
            sys.stdout.write(f"{line}\n" if options.service else f"{name:<10} | {line}\n")
    return 0
