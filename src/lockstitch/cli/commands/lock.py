"""Pin everything: packages, base, build requirements.

Writes uv.lock or poetry.lock (through uv or Poetry), requirements-lock.txt, one
pylock.IMAGE.toml for each image, and lockstitch.lock with the rest. What is pinned and still
fits is kept. A package that exists only as source gets its build requirements locked with
hashes in pyproject.toml, where uv finds them.

examples:
  # after a change of pyproject.toml
  lockstitch lock
  # in CI: exit 1 and say what is stale, without network
  lockstitch lock --check
  # move two packages and the base to the newest that pyproject.toml allows
  lockstitch lock --upgrade numpy pandas debian:bookworm
  # what would move if everything did, and which images does it touch?
  lockstitch lock --upgrade --dry-run
"""

import argparse
import sys
from collections import Counter
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path

from lockstitch.cli import pushing, rendering
from lockstitch.cli.session import Session, add_common, open_session, print_json
from lockstitch.cli.table import table
from lockstitch.digest import of_bytes
from lockstitch.errors import LockstitchError, UsageError, raise_all
from lockstitch.lock import changes, file, make, manager
from lockstitch.lock.rehearse import rehearsal
from lockstitch.oci.registry.client import Client
from lockstitch.progress import say
from lockstitch.python.load import load

__all__ = ["configure", "run"]


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    what = parser.add_argument_group("what to do")
    group = what.add_mutually_exclusive_group()
    group.add_argument(
        "--check", action="store_true", help="write nothing; exit 1 when a lock is stale"
    )
    group.add_argument(
        "--upgrade",
        nargs="*",
        metavar="NAME",
        help="take the newest versions, of these names only when any is given (default: keep)",
    )
    what.add_argument("--dry-run", action="store_true", help="write nothing; show what would move")
    pushing.add_insecure(parser.add_argument_group("registry of the base"))
    add_common(parser)


def run(options: argparse.Namespace) -> int:
    """Run the command."""
    if options.check and options.dry_run:
        message = "--check and --dry-run are two questions"
        raise UsageError(message, hint="lockstitch lock --check")
    session = open_session(options)
    if options.check:
        return _check(session, as_json=options.json)
    where = rehearsal(session.project) if options.dry_run else nullcontext(session.project)
    with where as project:
        before = changes.state(project)
        changed = make.make(
            project,
            session.store,
            session.fetcher,
            session.progress,
            upgrade=options.upgrade,
            client=Client(insecure=options.insecure_registry),
        )
        moved = changes.between(before, changes.state(project)) if changed else []
    if options.json:
        print_json({"changed": changed, "moved": [change.document() for change in moved]})
        return 0
    _show(moved, is_first=not before.packages and not before.debian)
    if changed:
        say(f"{'would lock' if options.dry_run else 'locked'}: {', '.join(changed)}")
    else:
        say("nothing to do: the locks fit")
    if not options.dry_run and _has_stale_files(session.project.root):
        say("next: lockstitch render")
    return 0


def _has_stale_files(root: Path) -> bool:
    """Return whether a file that was rendered would be another one now."""
    lock = file.read(root)
    if not lock.rendered:
        return False
    try:
        wanted = rendering.everything(load(root), lock)
    except LockstitchError:  # the services have other images now
        return True
    return {each.path: each.digest for each in lock.rendered} != {
        name: of_bytes(text.encode()) for name, text in wanted.items()
    }


def _show(moved: Sequence[changes.Change], *, is_first: bool) -> None:
    """Print what moved; of a first lock, in which all is new, only how much it is."""
    if is_first:
        counts = Counter(change.what.partition(",")[0] for change in moved)
        kinds = [f"{number} {what}{'s' if number > 1 else ''}" for what, number in counts.items()]
        say(f"pinned for the first time: {', '.join(kinds)}" if kinds else "nothing to pin")
    elif moved:
        rows = [
            (c.name, c.kind, c.before or "-", c.after or "-", c.what, ", ".join(c.images) or "-")
            for c in moved
        ]
        head = ("name", "change", "from", "to", "what", "images")
        sys.stdout.write(table(head, rows, left=len(head)) + "\n")


def _check(session: Session, *, as_json: bool) -> int:
    lock = file.read(session.project.root)
    problems = make.stale(session.project, lock) + make.stale_rendered(session.project, lock)
    if not problems:
        try:
            manager.of(session.project).check(session.project)
        except LockstitchError as error:
            problems.append(error)
    if as_json:
        print_json({"stale": [problem.message for problem in problems]})
        return 1 if problems else 0
    raise_all(problems)
    say("the locks fit")
    return 0
