"""Show what moved between two environments, what can change results first.

A and B are any two of: an environment, a container, another host, a lock, a git revision, an
image, a fingerprint, the record of a run; the help of `lockstitch fingerprint` has the forms. They
are compared by meaning: what one side does not know is no difference, and two locks with other
bytes may be the same. Exit code 1: something differs that can change results.

examples:
  # what an upgrade moved
  lockstitch diff uv.lock@HEAD~1 uv.lock
  # what trained the model, and what serves it
  lockstitch diff models/train.run.json serve
  # is this environment what the lock says, file by file
  lockstitch diff uv.lock .venv
  # for a pull request
  lockstitch diff main HEAD --markdown >> "$GITHUB_STEP_SUMMARY"
"""

import argparse
import sys

from lockstitch.cli import differences, drifting
from lockstitch.cli.session import add_common, print_json
from lockstitch.drift import compare, source
from lockstitch.fingerprint import wheels
from lockstitch.fingerprint.model import Fingerprint
from lockstitch.progress import say
from lockstitch.store import Store, default_root

__all__ = ["configure", "run"]


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("before", metavar="A", help="an environment, a lock, an image, a record")
    parser.add_argument("after", metavar="B", help="what it is compared with")
    group = parser.add_argument_group("output")
    group.add_argument(
        "--all", action="store_true", help="list also what is not known to change results"
    )
    group.add_argument("--markdown", action="store_true", help="print tables for a pull request")
    drifting.add_target(parser)
    add_common(parser, progress_output=False)


def run(options: argparse.Namespace) -> int:
    """Run the command."""
    where = drifting.context(options)
    before, after = (_read(word, where) for word in (options.before, options.after))
    found = compare.between(before, after, source.graph(where))
    if options.json:
        print_json(differences.document(before, after, found))
    elif options.markdown:
        sys.stdout.write(differences.markdown(options.before, options.after, found))
    elif found:
        sys.stdout.write(differences.text(found, everything=options.all))
    else:
        say("no difference")
    return int(compare.matters(found))


def _read(word: str, where: source.Context) -> Fingerprint:
    """Return a source, a lock with what its wheels would install as far as they are here."""
    found = source.read(word, where)
    if found.kind != "lock":
        return found
    store = Store(default_root())
    return found.with_packages(wheels.known(each, store) for each in found.packages)
