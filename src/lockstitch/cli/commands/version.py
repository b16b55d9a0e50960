"""Print the version, and which encoder makes layers.

The encoder is compiled where a C compiler was found when lockstitch was installed, else Python code
that gives the same bytes.

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
from lockstitch.oci import deflate

OPTIONS = (JSON,)


def run(options: argparse.Namespace) -> int:
    if options.json:
        kind = "compiled" if deflate.compiled() else "python"
        print_json({"version": __version__, "encoder": kind})
    else:
        sys.stdout.write(f"lockstitch {__version__}\nencoder: {deflate.described()}\n")
    return 0
