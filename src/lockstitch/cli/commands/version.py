"""Print the version.

examples:
  # the version, for people and for a script
  lockstitch self version
  lockstitch self version --json | jq -r .version
"""

import argparse
import sys

from lockstitch import __version__
from lockstitch.cli.options import JSON
from lockstitch.cli.session import print_json

OPTIONS = (JSON,)


def run(options: argparse.Namespace) -> int:
    """Run the command."""
    if options.json:
        print_json({"version": __version__})
    else:
        sys.stdout.write(f"lockstitch {__version__}\n")
    return 0
