"""Add lockstitch to an existing project.

Reads pyproject.toml, requirements files, setup.py, packages, Dockerfiles and the programs that
train and serve; runs none of them. Adds metadata, the build backend, a group `dev`, settings of
black, ruff, mypy and pytest, images, .python-version and lines of .gitignore. Shows the
difference. Keeps existing values; --force replaces settings of black, ruff and mypy, and
.python-version.

examples:
  # what would change in the project of this folder
  lockstitch init --dry-run
  # change it, then pin and build
  lockstitch init && lockstitch lock && lockstitch build
  # images on another Python
  lockstitch init --python 3.12
  # why each image has its command and files: files and lines of the project
  lockstitch init --dry-run --explain
  # for a team that uses Poetry
  lockstitch init --manager poetry
"""

import argparse
import sys
from pathlib import Path

from lockstitch import process
from lockstitch.cli.options import JSON, flag, operand, option
from lockstitch.cli.session import print_json
from lockstitch.progress import say
from lockstitch.python import load
from lockstitch.scaffold.init import plan

OPTIONS = (
    operand(
        "folder",
        "FOLDER",
        "folder of the project (default: this one)",
        type=Path,
        nargs="?",
        default=Path(),
    ),
    option(
        "--manager",
        "MANAGER",
        "package manager: uv or poetry (default: the one whose files are there, or uv)",
        default="",
    ),
    option(
        "--python",
        "VERSION",
        f"Python of the images: {', '.join(load.PYTHONS)} (default: the one that fits)",
        default="",
    ),
    flag(
        "--force",
        "replace settings of black, ruff and mypy, and .python-version (default: keep)",
    ),
    flag("--dry-run", "show the difference, write nothing"),
    flag("--explain", "print each decision about images with the file and line that it comes from"),
    JSON,
)
_INSTALL = {"uv": "uv sync", "poetry": "poetry install"}


def run(options: argparse.Namespace) -> int:
    """Run the command."""
    found = plan.plan(
        options.folder,
        options.manager,
        options.python,
        force=options.force,
        has_poetry=process.is_there("poetry"),
        explain=options.explain,
        can_fetch=_can_fetch,
    )
    names = [change.name for change in found.changes]
    if not options.dry_run:
        plan.write(found)
    if options.json:
        document = {"folder": str(options.folder), "manager": found.manager, "changed": names}
        document |= {"diff": plan.diff(found), "notes": list(found.notes)}
        print_json(document | {"written": bool(names) and not options.dry_run})
        return 0
    sys.stdout.write(plan.diff(found))
    for line in plan.explained(found) if options.explain else ():
        sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
    for note in found.notes:
        if not note.startswith("left out: "):  # of which the last lines are
            say(f"note: {note}")
    if not names:
        say("nothing to do: the project has all of it")
        return 0
    say(f"{'would write' if options.dry_run else 'wrote'}: {', '.join(names)}")
    for line in plan.summary(found):
        say(line)
    go = "" if options.folder == Path() else f"cd {options.folder} && "
    say(f"next: {go}{'lockstitch init' if options.dry_run else _INSTALL[found.manager]}")
    if not options.dry_run:
        say(f"next: {go}lockstitch lock && lockstitch build")
        if any(change.name == "prek.toml" for change in found.changes):
            say(f"next: {go}git init && {found.manager} run prek install")
    return 0


def _can_fetch(python: str) -> bool:
    """Return whether this machine reaches the archive of a Python that Debian lacks."""
    from lockstitch.lock.bases import cpython
    from lockstitch.net.download import Fetcher
    from lockstitch.store import Store, default_root

    return cpython.can_fetch(python, Fetcher(Store(default_root()), first_wait=0.1))
