"""Runs the command line as `python -m lockstitch`."""

import sys

from lockstitch.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
