"""Print the environment variables of the local stack.

`lockstitch run` sets them by itself. They contain the stack's passwords. DATABASE_URL is of a
database for the project's own tables, beside MLflow's.

examples:
  # this shell uses the stack
  eval "$(lockstitch stack env)"
  # a file for an editor, `docker run --env-file` or a service of systemd; git must ignore it
  (umask 077; lockstitch stack env --dotenv > .env)
  # for programs
  lockstitch stack env --json
"""

import argparse
import re
import shlex
import sys

from lockstitch.cli.options import COMMON, flag
from lockstitch.cli.session import open_session, print_json
from lockstitch.errors import UsageError

_PLAIN = re.compile(r"[\w@%+=:,./-]*", re.ASCII)
OPTIONS = (flag("--dotenv", "print lines NAME=VALUE, as files called .env have them"), COMMON)


def run(options: argparse.Namespace) -> int:
    from lockstitch.cli import stacks

    if options.json and options.dotenv:
        message = "`--json` and `--dotenv` cannot be used together"
        raise UsageError(message, hint="lockstitch stack env --dotenv")
    variables = stacks.running(open_session(options))
    if options.json:
        print_json(variables)
        return 0
    for name, value in variables.items():
        if options.dotenv:
            # Docker takes quotes as part of a value: there are none where none are needed.
            plain = _PLAIN.fullmatch(value)
            sys.stdout.write(f"{name}={value if plain else _quoted(value)}\n")
        else:
            sys.stdout.write(f"export {name}={shlex.quote(value)}\n")
    return 0


def _quoted(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("$", "\\$")
    return f'"{escaped}"'
