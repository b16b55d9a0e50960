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

from lockstitch.cli.options import JSON, operand
from lockstitch.cli.session import print_json
from lockstitch.errors import UsageError

__all__ = ["OPTIONS", "run"]

OPTIONS = (operand("code", "CODE", "a rule, or a family", nargs="?", default=""), JSON)


def run(options: argparse.Namespace) -> int:
    """Run the command."""
    from lockstitch.audit import pages, rules

    code = options.code.upper()
    named = [rule for rule in rules.RULES if rule.__name__.startswith(code)]
    if not named:
        message = f"`{options.code}` is no code of a rule"
        raise UsageError(message, hint="lockstitch explain")
    if options.json:
        print_json([pages.document(rule) for rule in named])
    elif len(named) == 1:
        sys.stdout.write(pages.text(named[0]))
    else:
        sys.stdout.write(pages.listing(named))
    return 0
