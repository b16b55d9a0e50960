"""Print the environment variables of the local stack.

`lockstitch run` sets them by itself. They contain the stack's passwords.

examples:
  # this shell uses the stack
  eval "$(lockstitch stack env)"
  # for programs
  lockstitch stack env --json
"""

import argparse
import shlex
import sys

from lockstitch.cli.options import COMMON
from lockstitch.cli.session import open_session, print_json

OPTIONS = (COMMON,)


def run(options: argparse.Namespace) -> int:
    """Run the command."""
    from lockstitch.cli import stacks

    variables = stacks.running(open_session(options))
    if options.json:
        print_json(variables)
        return 0
    for name, value in variables.items():
        sys.stdout.write(f"export {name}={shlex.quote(value)}\n")
    return 0
