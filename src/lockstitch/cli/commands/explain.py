"""Explain a rule of `lockstitch check`: what it finds, why it hurts, a bad and a good example.

Without a code, lists all rules.

examples:
  # what the code of a finding means
  lockstitch explain IMG010
  # all rules of a family
  lockstitch explain STK
"""

import argparse
import sys

from lockstitch.cli.session import print_json
from lockstitch.errors import UsageError

__all__ = ["configure", "run"]


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("code", metavar="CODE", nargs="?", default="", help="a rule, or a family")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def run(options: argparse.Namespace) -> int:
    """Run the command."""
    from lockstitch.audit import pages, rules

    code = options.code.upper()
    found = [rule for rule in rules.RULES if rule.__name__.startswith(code)]
    if not found:
        message = f"`{options.code}` is no code of a rule"
        raise UsageError(message, hint="lockstitch explain")
    if options.json:
        print_json([pages.document(rule) for rule in found])
    elif len(found) == 1:
        sys.stdout.write(pages.text(found[0]))
    else:
        sys.stdout.write(pages.listing(found))
    return 0
