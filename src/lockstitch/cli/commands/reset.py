"""Delete the local stack's data.

Asks first. Stops the stack and deletes its runs, artifacts, keys and logs. Nothing else of the
project changes, and an object store of your own keeps what is in it.

examples:
  # asks first
  lockstitch stack reset
  # in a script
  lockstitch stack reset --yes
"""

import argparse
import sys

from lockstitch.cli.options import COMMON, flag
from lockstitch.cli.session import open_session, print_json, would
from lockstitch.errors import LockstitchError, UsageError
from lockstitch.progress import say

OPTIONS = (flag("--yes", "do not ask"), COMMON)


def run(options: argparse.Namespace) -> int:
    from lockstitch.cli import stacks
    from lockstitch.stack import control

    session = open_session(options)
    folder = control.folder_of(session.project)
    if options.dry_run:
        return would(options, f"stop the stack and delete `{folder.root}`")
    if not options.yes:
        _ask(f"delete all runs and artifacts of the stack in `{folder.root}`? type yes: ")
    with session.progress.task("delete the stack's data", 0):
        stacks.reset(session)
    if options.json:
        print_json({"deleted": str(folder.root)})
    return 0


def _ask(question: str) -> None:
    if not sys.stdin.isatty():
        message = "`lockstitch stack reset` deletes data, and there is no terminal to ask on"
        raise UsageError(message, hint="lockstitch stack reset --yes")
    say(question)
    if sys.stdin.readline().strip().lower() != "yes":
        raise LockstitchError("nothing was deleted")
