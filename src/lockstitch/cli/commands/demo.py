"""Run the whole story on a real project and measure it.

Starts the churn project, locks it, trains it on the real data, builds its images, builds them
again from an emptied store under another umask, time zone, locale and folder, compares the
digests, starts the serving program and asks it. Ends with a table; exits 1 if a digest differs.

examples:
  # in ./demo; the second time is quick
  lockstitch demo
  # build in the other world again
  lockstitch demo --again
"""

import argparse
import dataclasses
import sys
from pathlib import Path

from lockstitch import progress
from lockstitch.cli import demo
from lockstitch.cli.session import print_json
from lockstitch.errors import LockstitchError
from lockstitch.net.credentials import Credentials
from lockstitch.net.download import Fetcher
from lockstitch.store import Store, default_root

__all__ = ["configure", "run"]


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument(
        "folder",
        metavar="FOLDER",
        nargs="?",
        type=Path,
        default=Path("demo"),
        help="where the project is or will be (default: demo)",
    )
    parser.add_argument("--again", action="store_true", help="repeat builds compared before")
    parser.add_argument("--quiet", action="store_true", help="show no progress")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def run(options: argparse.Namespace) -> int:
    """Run the command."""
    store = Store(default_root())
    reporter = progress.reporter(quiet=options.quiet or options.json)
    rows = demo.run(
        options.folder,
        store,
        Fetcher(store, credentials=Credentials()),
        reporter,
        again=options.again,
    )
    if options.json:
        print_json([{**dataclasses.asdict(row), "equal": row.equal} for row in rows])
    else:
        sys.stdout.write("\n" + demo.shown(rows) + "\n")
    for row in rows:
        if not row.equal:
            message = f"`{row.image}` is {row.digest} here and {row.elsewhere} elsewhere"
            raise LockstitchError(message, hint="this is a bug of lockstitch: please report it")
    return 0
