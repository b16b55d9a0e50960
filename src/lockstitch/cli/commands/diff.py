"""Show what changed between two environments, what can change results first.

A and B are any two of: an environment, a container, another host, a lock, a git revision, an
image, a fingerprint, a run record; the help of `lockstitch fingerprint` has the forms. They
are compared by meaning: what one side does not know is no difference, and two locks with other
bytes may be the same. Exit code 1: something differs that can change results.

examples:
  # what an upgrade changed
  lockstitch diff uv.lock@HEAD~1 uv.lock
  # what trained the model, and what serves it
  lockstitch diff models/train.run.json serve
  # does this environment match the lock, file by file
  lockstitch diff uv.lock .venv
  # for a pull request
  lockstitch diff main HEAD --markdown >> "$GITHUB_STEP_SUMMARY"
"""

import argparse
import sys

from lockstitch.cli.options import COMMON, TARGET, flag, group, operand
from lockstitch.cli.session import patience, print_json
from lockstitch.drift import compare, source, text
from lockstitch.progress import say

OPTIONS = (
    operand("before", "A", "an environment, a lock, an image, …"),
    operand("after", "B", "what it is compared with"),
    group(
        "output",
        flag("--all", "list also what is not known to change results"),
        flag("--markdown", "print tables for a pull request"),
    ),
    TARGET,
    COMMON,
)


def run(options: argparse.Namespace) -> int:
    """Run the command."""
    where = source.context(
        options.project, image=options.image, platform=options.platform, python=options.python
    )
    with patience(options, f"compare {options.before} and {options.after}"):
        before, after = (source.read_whole(word, where) for word in (options.before, options.after))
        differences = compare.between(before, after, source.graph(where))
    if options.json:
        print_json(text.document(before, after, differences))
    elif options.markdown:
        sys.stdout.write(text.markdown(options.before, options.after, differences))
    elif differences:
        sys.stdout.write(text.listing(differences, everything=options.all))
    else:
        say("no difference")
    return int(compare.matters(differences))
