"""Show the services of the local stack: state, address, restarts.

Exits with 1 unless every service is ready.

examples:
  # what runs here
  lockstitch stack status
  # for programs
  lockstitch stack status --json | jq -r .services.mlflow.state
"""

import argparse
import sys

from lockstitch.cli.options import COMMON
from lockstitch.cli.session import open_session, print_json
from lockstitch.progress import say
from lockstitch.table import table

OPTIONS = (COMMON,)


def run(options: argparse.Namespace) -> int:
    from lockstitch.cli import stacks
    from lockstitch.stack import control
    from lockstitch.stack.supervisor import READY

    session = open_session(options)
    folder = control.folder_of(session.project)
    services = stacks.of(session).status()
    addresses = control.addresses(folder) if services else {}
    ready = bool(services) and all(service["state"] == READY for service in services.values())
    if options.json:
        state = {n: {**service, "address": addresses.get(n, "")} for n, service in services.items()}
        logins = control.logins(folder) if services else {}
        pages = {name: {"address": addresses[name], **logins[name]} for name in logins}
        document = {"data": str(folder.root), "ready": ready, "services": state}
        print_json(document | ({"logins": pages} if pages else {}))
    elif services:
        rows = [
            [name, service["state"], addresses.get(name, ""), str(service["restarts"])]
            for name, service in services.items()
        ]
        sys.stdout.write(table(["service", "state", "address", "restarts"], rows, left=3) + "\n")
        if "console" in addresses:
            say(f"console of the object store: {addresses['console']}")
        stacks.say_logins(folder)
        for name, facts in services.items():
            if facts["problem"]:
                say(f"{name}: {facts['problem']}")
    else:
        say("nothing runs; to start it: lockstitch stack up")
    return 0 if ready else 1
