"""Open the page of MLflow or of the object store in a browser.

`mlflow` shows runs and models, `console` the object store's buckets and files. Prints the address
with the user and where the password is; on a machine without a display that is all it does.

examples:
  # the runs
  lockstitch stack open mlflow
  # the buckets
  lockstitch stack open console
  # for programs
  lockstitch stack open console --json
"""

import argparse
import sys

from lockstitch import process
from lockstitch.cli.options import COMMON, operand
from lockstitch.cli.session import open_session, print_json, would
from lockstitch.errors import LockstitchError
from lockstitch.progress import say

_PAGES = ("mlflow", "console")
OPTIONS = (operand("page", "PAGE", f"one of: {', '.join(_PAGES)}", choices=_PAGES), COMMON)


def run(options: argparse.Namespace) -> int:
    from lockstitch.cli import stacks
    from lockstitch.stack import control

    session = open_session(options)
    stacks.running(session)
    folder = control.folder_of(session.project)
    address = control.addresses(folder).get(options.page)
    if address is None:
        message = "the object store of this project is your own: it has no console here"
        raise LockstitchError(message, hint="lockstitch stack open mlflow")
    login = control.logins(folder).get(options.page)
    if options.dry_run:
        return would(options, f"open {address}")
    opened = process.browse(address)
    if options.json:
        print_json({"address": address, "login": login, "opened": opened})
        return 0
    sys.stdout.write(f"{address}\n")
    if login:
        say(f"user `{login['user']}`, password: `{login['password']}` in {login['file']}")
    return 0
