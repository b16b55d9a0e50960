"""Stop the local stack and keep its data.

Ends every process that `lockstitch stack up` started in this project, also those of a supervisor
that was killed.

examples:
  # stop it; `lockstitch stack up` goes on with the same data, keys and ports
  lockstitch stack down
"""

import argparse

from lockstitch.cli.options import COMMON
from lockstitch.cli.session import open_session, print_json, would
from lockstitch.progress import say

OPTIONS = (COMMON,)


def run(options: argparse.Namespace) -> int:
    from lockstitch.cli import stacks

    session = open_session(options)
    if options.dry_run:
        return would(options, "stop the stack, and keep its data")
    with session.progress.task("stop the stack", 0):
        ran = stacks.of(session).down()
    if options.json:
        print_json({"ran": ran})
    elif not ran:
        say("nothing ran")
    return 0
