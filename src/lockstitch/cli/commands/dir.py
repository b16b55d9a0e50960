"""Print the folder of the store.

LOCKSTITCH_CACHE names another one.

examples:
  # where it is
  lockstitch cache dir
"""

import argparse
import sys

from lockstitch.cli.options import JSON
from lockstitch.cli.session import print_json
from lockstitch.store import default_root

OPTIONS = (JSON,)


def run(options: argparse.Namespace) -> int:
    if options.json:
        print_json({"dir": str(default_root())})
    else:
        sys.stdout.write(f"{default_root()}\n")
    return 0
