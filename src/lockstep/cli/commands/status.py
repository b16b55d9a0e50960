"""Show the local stack: service, state, address, restarts.

Exits with 1 unless every service is ready.

examples:
  # what runs here
  lockstep status
  # for programs
  lockstep status --json | jq -r .services.mlflow.state
"""

import argparse
import sys

from lockstep.cli.session import add_common, open_session, print_json
from lockstep.cli.table import table
from lockstep.progress import say

__all__ = ["configure", "run"]


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    add_common(parser)


def run(options: argparse.Namespace) -> int:
    """Run the command."""
    from lockstep.cli import stacks
    from lockstep.stack import control
    from lockstep.stack.keeper import READY

    session = open_session(options)
    folder = control.folder_of(session.project)
    services = stacks.of(session).status()
    places = control.addresses(folder) if services else {}
    ready = bool(services) and all(each["state"] == READY for each in services.values())
    if options.json:
        print_json(
            {
                "data": str(folder.root),
                "ready": ready,
                "services": {
                    name: {**each, "address": places.get(name, "")}
                    for name, each in services.items()
                },
            }
        )
    elif services:
        rows = [
            [name, each["state"], places.get(name, ""), str(each["restarts"])]
            for name, each in services.items()
        ]
        sys.stdout.write(table(["service", "state", "address", "restarts"], rows, left=3) + "\n")
        for name, each in services.items():
            if each["problem"]:
                say(f"{name}: {each['problem']}")
    else:
        say("nothing runs; to start it: lockstep up")
    return 0 if ready else 1
