"""Start a project that locks, trains, serves and builds.

Writes into a new folder: pyproject.toml, sources, data, tests, and the checks of each commit.
What it writes works with uv or Poetry alone; nothing in it needs lockstitch at run time.

examples:
  # the churn project in ./churn
  lockstitch new churn
  # then
  cd churn && lockstitch lock && uv run python src/train.py && lockstitch build
  # the ten-minute lab, for people who use Poetry
  lockstitch new flowers --template iris --manager poetry
  # for a team on pre-commit: local hooks only, on the versions of the lock
  lockstitch new churn --hooks pre-commit
"""

import argparse
from pathlib import Path

from lockstitch.cli.session import print_json
from lockstitch.progress import say
from lockstitch.scaffold import new

__all__ = ["configure", "run"]

_NEXT = {
    "uv": ("cd {folder} && lockstitch lock", "git init && uv run {hooks} install"),
    "poetry": (
        "cd {folder}",
        "poetry install",
        "poetry run python src/train.py",
        "lockstitch lock && lockstitch build",
        "git init && poetry run {hooks} install",
    ),
}


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("folder", metavar="NAME", type=Path, help="folder and name of the project")
    parser.add_argument(
        "--template",
        metavar="TEMPLATE",
        default="churn",
        help="; ".join(f"{name}: {what}" for name, what in new.TEMPLATES.items())
        + " (default: churn)",
    )
    parser.add_argument(
        "--manager",
        metavar="MANAGER",
        default="uv",
        help=f"who locks and installs: {' or '.join(new.MANAGERS)} (default: uv)",
    )
    parser.add_argument(
        "--hooks",
        metavar="RUNNER",
        default="prek",
        help=f"who checks each commit: {' or '.join(new.HOOKS)} (default: prek)",
    )
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def run(options: argparse.Namespace) -> int:
    """Run the command."""
    written = new.create(options.folder, options.template, options.manager, options.hooks)
    if options.json:
        print_json({"folder": str(options.folder), "files": written})
        return 0
    say(f"made `{options.folder}` with {len(written)} files")
    for step in _NEXT[options.manager]:
        say(f"next: {step.format(folder=options.folder, hooks=options.hooks)}")
    return 0
