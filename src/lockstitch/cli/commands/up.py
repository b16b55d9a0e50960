"""Start the local stack: PostgreSQL, an S3 store and MLflow.

No Docker. The programs are installed once for all projects, from a locked list. Data, logs and
keys are in .lockstitch/stack/, which git ignores; keys are made at the first start. Every port is
on 127.0.0.1; a taken one moves to the next free one. A service that dies is started again.

With runner = "compose" in [tool.lockstitch.stack], in containers: images are built from the same
list, docker-compose.yml is written from the same description, the data is in volumes.

examples:
  # from nothing to healthy
  lockstitch up
  # the variables for this shell
  lockstitch up && eval "$(lockstitch env)"
"""

import argparse
import sys

from lockstitch.cli.session import add_common, open_session, print_json
from lockstitch.cli.table import table
from lockstitch.progress import say

__all__ = ["configure", "run"]


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    add_common(parser)


def run(options: argparse.Namespace) -> int:
    """Run the command."""
    from lockstitch.cli import stacks
    from lockstitch.stack import control, imports

    session = open_session(options)
    stack = stacks.ready(session)
    with session.progress.task("start the stack", 0) as task:
        started = stack.up(task.note)
    folder = control.folder_of(session.project)
    places = control.addresses(folder)
    if options.json:
        backups = [str(path) for path in started.backups]
        print_json({"new": started.new, "addresses": places, "backups": backups})
        return 0
    for name, (wanted, port) in sorted(started.moved.items()):
        say(f"port {wanted} is taken: `{name}` is on {port}")
    for backup in started.backups:
        say(f"MLflow's tables were of an older version, and were upgraded; a backup: {backup}")
    sys.stdout.write(table(["service", "address"], sorted(places.items()), left=2) + "\n")
    if waiting := imports.waiting(session.project, places["mlflow"]):
        say(f"runs logged without the stack: {waiting}; to import them: lockstitch collect")
    say('for this shell: eval "$(lockstitch env)"' if started.new else "it ran already")
    return 0
