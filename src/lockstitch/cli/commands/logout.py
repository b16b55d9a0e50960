"""Log out of a registry.

Removes the login from where `lockstitch image login` and `docker login` keep it.

examples:
  # on a machine that others use too
  lockstitch image logout registry.example.com
"""

import argparse

from lockstitch.cli.options import HOST, JSON
from lockstitch.cli.session import print_json, would
from lockstitch.oci.reference import host_of
from lockstitch.oci.registry import logins
from lockstitch.progress import say

OPTIONS = (HOST, JSON)


def run(options: argparse.Namespace) -> int:
    host = host_of(options.host)
    if options.dry_run:
        return would(options, f"log out of {host}")
    places = logins.forget(host)
    left = logins.Logins().find(host, "")
    if options.json:
        print_json({"host": host, "removed": places, "left": left.source if left else None})
        return 0
    say(f"logged out of {host} ({', '.join(places)})" if places else f"not logged in to {host}")
    if left is not None:
        say(f"warning: {left.source} still has a login to {host}")
    return 0
