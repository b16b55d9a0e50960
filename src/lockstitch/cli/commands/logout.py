"""Forget the login to a registry.

Removes it from where `lockstitch login` and `docker login` keep it.

examples:
  # on a machine that others use too
  lockstitch logout registry.example.com
"""

import argparse

from lockstitch.oci.reference import host_of
from lockstitch.oci.registry import logins
from lockstitch.oci.registry.logins import Logins
from lockstitch.progress import say

__all__ = ["configure", "run"]


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument(
        "host", metavar="HOST", help="registry, such as docker.io or localhost:5000"
    )


def run(options: argparse.Namespace) -> int:
    """Run the command."""
    host = host_of(options.host)
    found = logins.forget(host)
    say(f"logged out of {host} ({', '.join(found)})" if found else f"not logged in to {host}")
    left = Logins().find(host, "")
    if left is not None:
        say(f"warning: {left.source} still has a login to {host}")
    return 0
