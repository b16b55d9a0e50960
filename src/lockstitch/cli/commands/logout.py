"""Log out of a registry.

Removes the login from where `lockstitch image login` and `docker login` keep it.

examples:
  # on a machine that others use too
  lockstitch image logout registry.example.com
"""

import argparse

from lockstitch.cli.options import HOST
from lockstitch.oci.reference import host_of
from lockstitch.oci.registry import logins
from lockstitch.progress import say

OPTIONS = (HOST,)


def run(options: argparse.Namespace) -> int:
    """Run the command."""
    host = host_of(options.host)
    places = logins.forget(host)
    say(f"logged out of {host} ({', '.join(places)})" if places else f"not logged in to {host}")
    left = logins.Logins().find(host, "")
    if left is not None:
        say(f"warning: {left.source} still has a login to {host}")
    return 0
