"""Start the local stack: PostgreSQL, an S3 store and MLflow.

Needs no Docker. The programs are installed once for all projects, from a locked list. Data, logs
and keys are in .lockstitch/stack/, which git ignores; keys are made at the first start. Every
port is on 127.0.0.1; where one is taken, the next free one is used. A service that dies is
started again.

With runner = "compose" in [tool.lockstitch.stack], the stack runs in containers: images are built
from the same list, docker-compose.yml is written from the same description, and the data is in
volumes.

examples:
  # start everything, and wait until it is healthy
  lockstitch stack up
  # also set the variables of this shell
  lockstitch stack up && eval "$(lockstitch stack env)"
"""

import argparse
import sys

from lockstitch.cli.options import COMMON
from lockstitch.cli.session import open_session, print_json, would
from lockstitch.progress import say
from lockstitch.table import table

OPTIONS = (COMMON,)


def run(options: argparse.Namespace) -> int:
    from lockstitch.cli import stacks
    from lockstitch.stack import control, imports, service

    session = open_session(options)
    if options.dry_run:
        spec = session.project.stack
        ports = f"PostgreSQL on {spec.postgres_port}, objects on {spec.objects_port}"
        own = "".join(f", {service.name} on {service.port}" for service in spec.services)
        return would(options, f"start {ports}, MLflow on {spec.mlflow_port}{own} ({spec.runner})")
    stack = stacks.ready(session)
    with session.progress.task("start the stack", 0) as task:
        started = stack.up(task.note)
    folder = control.folder_of(session.project)
    addresses = control.addresses(folder)
    if options.json:
        backups = [str(path) for path in started.backups]
        document = {"new": started.new, "addresses": addresses, "backups": backups}
        print_json({**document, "logins": control.logins(folder)})
        return 0
    for name, (wanted, port) in sorted(started.moved.items()):
        say(f"port {wanted} is taken: `{name}` is on {port}")
    for backup in started.backups:
        say(f"MLflow's tables were of an older version, and were upgraded; a backup: {backup}")
    sys.stdout.write(table(["service", "address"], sorted(addresses.items()), left=2) + "\n")
    stacks.say_logins(folder)
    login = service.login_of(service.parts_of(folder))
    if waiting := imports.waiting(session.project, addresses["mlflow"], login):
        say(f"runs logged without the stack: {waiting}; to import them: lockstitch stack import")
    say('for this shell: eval "$(lockstitch stack env)"' if started.new else "it ran already")
    return 0
