"""Print the variables of the local stack, for a shell.

`lockstitch run` sets them by itself. They hold the stack's passwords.

examples:
  # this shell uses the stack
  eval "$(lockstitch env)"
  # for programs
  lockstitch env --json
"""

import argparse
import shlex
import sys

from lockstitch.cli.session import add_common, open_session, print_json
from lockstitch.errors import LockstitchError

__all__ = ["configure", "run"]


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    add_common(parser)


def run(options: argparse.Namespace) -> int:
    """Run the command."""
    from lockstitch.cli import stacks

    found = stacks.variables(open_session(options))
    if not found:
        message = "the stack of this project does not run"
        raise LockstitchError(message, hint="lockstitch up")
    if options.json:
        print_json(found)
        return 0
    for name, value in found.items():
        sys.stdout.write(f"export {name}={shlex.quote(value)}\n")
    return 0
