"""Add lockstitch to an existing project.

Reads pyproject.toml, requirements files, setup.py, packages, Dockerfiles and the programs that
train and serve; runs none of them. Adds [tool.lockstitch], and where pyproject.toml lacks them
the metadata, dependencies and build backend that a lock needs; keeps existing values. Prints what
was found, then the difference, and asks before it writes where there is a terminal.

examples:
  # what would change in the project of this folder
  lockstitch init --dry-run
  # change it, then pin and build
  lockstitch init && lockstitch lock && lockstitch build
  # black, mypy, pytest, ruff and commit hooks as well, without a question
  lockstitch init --with-tools --yes
  # images on another Python
  lockstitch init --python 3.12
  # why each image has its command and files: files and lines of the project
  lockstitch init --dry-run --explain
  # for a team that uses Poetry
  lockstitch init --manager poetry
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from lockstitch import colour, files, git, process
from lockstitch.cli.options import JSON, flag, operand, option
from lockstitch.cli.session import print_json
from lockstitch.errors import LockstitchError
from lockstitch.progress import say
from lockstitch.python import load
from lockstitch.scaffold.init import plan

OPTIONS = (
    operand("folder", "FOLDER", "folder of the project (default: this one)", type=Path, nargs="?"),
    option(
        "--manager MANAGER",
        "package manager: uv or poetry (default: the one whose files are there, or uv)",
        default="",
    ),
    option(
        "--python VERSION",
        f"Python of the images: {', '.join(load.PYTHONS)} (default: what the project allows)",
        default="",
    ),
    flag(
        "--with-tools",
        "add black, mypy, pytest and ruff with settings, commit hooks and .python-version",
    ),
    flag("--force", "like --with-tools, and replace settings and a .python-version that differ"),
    flag(
        "--split", "list what only one of several images imports in a dependency group of its name"
    ),
    flag("--yes", "write without asking (default: ask on a terminal)"),
    flag("--dry-run", "show the difference, write nothing"),
    flag("--explain", "print each decision about images with the file and line that it comes from"),
    JSON,
)
_INSTALL = {"uv": "uv sync", "poetry": "poetry install"}
_LEFT_OUT = "left out"


def run(options: argparse.Namespace) -> int:
    if options.folder is None:
        options.folder = options.project
    planned = plan.plan(
        options.folder,
        options.manager,
        options.python,
        tools="replace" if options.force else "add" if options.with_tools else "none",
        has_poetry=process.is_there("poetry"),
        explain=options.explain,
        split=options.split,
        can_fetch=_can_fetch,
    )
    names = [change.name for change in planned.changes]
    if options.json:
        if not options.dry_run:
            plan.write(planned)
        document = {"folder": str(options.folder), "manager": planned.manager, "changed": names}
        document |= {"diff": plan.diff(planned), "notes": list(planned.notes)}
        print_json(document | {"written": bool(names) and not options.dry_run})
        return 0
    for line in plan.summary(planned) if names else ():
        say(line)
    sys.stdout.write(colour.difference(plan.diff(planned), sys.stdout))
    for line in plan.explained(planned) if options.explain else ():
        sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
    for note in planned.notes:
        say(_shown(note))
    if not names:
        say("nothing to do: the project has all of it")
        return 0
    if not options.dry_run:
        _ask(options, names)
        plan.write(planned)
    say(f"{'would write' if options.dry_run else 'wrote'}: {', '.join(names)}")
    for step in _next(options, planned):
        say(f"next: {step}")
    return 0


def _shown(note: str) -> str:
    """Return a line for a note; what is left out begins with that."""
    what = note.removesuffix(f": {_LEFT_OUT}")
    return (
        note
        if note.startswith(_LEFT_OUT)
        else (f"note: {note}" if what == note else f"{_LEFT_OUT}: {what}")
    )


def _ask(options: argparse.Namespace, names: Sequence[str]) -> None:
    """Ask on a terminal whether to write; raises LockstitchError for a no.

    Without a terminal there is no answer, and nothing that exists is lost:
    it is written, as uv does.
    """
    if options.yes or not (sys.stdin.isatty() and sys.stderr.isatty()):
        return
    say(f"write {', '.join(names)}? [Y/n]")
    answer = sys.stdin.readline()
    if not answer or answer.strip().lower() not in {"", "y", "yes"}:
        raise LockstitchError("nothing was written")


def _next(options: argparse.Namespace, planned: plan.Plan) -> Iterator[str]:
    """Yield the commands to type next."""
    go = "" if options.folder == Path() else f"cd {options.folder} && "
    if options.dry_run:
        tools = " --force" if options.force else " --with-tools" if options.with_tools else ""
        yield f"{go}lockstitch init{tools}"
        return
    if options.with_tools or options.force:
        yield f"{go}{_INSTALL[planned.manager]}"
    for image in planned.project.images:
        if not image.command:
            yield f'write command = ["python", "FILE.py"] to [tool.lockstitch.images.{image.name}]'
    first = "".join(f"{command} && " for command in _made_first(planned))
    images = planned.project.images
    starts = all(image.command or image.bare for image in images)  # else no build ends well
    yield f"{go}lockstitch lock && {first}lockstitch build" if starts else f"{go}lockstitch lock"
    if any(change.name == "prek.toml" for change in planned.changes):
        make = "" if git.is_in_repository(planned.root) else "git init && "
        yield f"{go}{make}{planned.manager} run prek install"


def _made_first(planned: plan.Plan) -> list[str]:
    """Return the commands that write what images include and the folder does not have."""
    from lockstitch.image.contents import how_to_get

    names = [file.name for file in files.walk(planned.root)]
    hints = [
        how_to_get(planned.project, image, pattern)
        for image in planned.project.images
        for pattern in image.include
        if not any(files.matches(name, pattern) for name in names)
    ]
    return [*dict.fromkeys(hint for hint in hints if hint.startswith("lockstitch run "))]


def _can_fetch(python: str) -> bool:
    """Return whether this machine reaches the archive of a Python that Debian lacks."""
    from lockstitch.lock.bases.cpython.pin import can_fetch
    from lockstitch.net.download import Fetcher
    from lockstitch.store import Store, default_root

    return can_fetch(python, Fetcher(Store(default_root()), first_wait=0.1))
