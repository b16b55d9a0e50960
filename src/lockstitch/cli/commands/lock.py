"""Pin packages, base image and build requirements.

Writes uv.lock or poetry.lock (through uv or Poetry), requirements-lock.txt, one
pylock.IMAGE.toml for each image, and lockstitch.lock with the rest. Keeps pins that still fit.
A package that exists only as source is built, and its wheel pinned in lockstitch.lock. A module
that an image's program imports at its start and no locked package has is an error, after the locks
are written. Code that a package newly runs at each start of Python, by a .pth file, is a warning.

examples:
  # after a change of pyproject.toml
  lockstitch lock
  # in CI: exit with 1 and name what is stale, without network
  lockstitch lock --check
  # upgrade two packages and the base to the newest that pyproject.toml allows
  lockstitch lock --upgrade numpy pandas debian:bookworm
  # show what an upgrade of everything would change, and in which images
  lockstitch lock --upgrade --dry-run
"""

import argparse
import sys
from collections import Counter
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path

from lockstitch.cli.options import COMMON, INSECURE, exclusive, flag, group, option
from lockstitch.cli.session import Session, answer_stale, open_session, print_json
from lockstitch.digest import of_bytes
from lockstitch.errors import LockstitchError, UsageError, collected, raise_all
from lockstitch.lock import changes, file, make, manager
from lockstitch.oci.registry.client import Client
from lockstitch.progress import say
from lockstitch.python.load import load
from lockstitch.table import counted, table

OPTIONS = (
    group(
        "what to do",
        exclusive(
            flag("--check", "write nothing; exit with 1 when a lock is stale"),
            option(
                "--upgrade NAME",
                "take the newest versions, of these names only when any is given (default: keep)",
                nargs="*",
            ),
        ),
        flag("--dry-run", "write nothing; show what would change"),
    ),
    group("registry of the base", INSECURE),
    COMMON,
)


def run(options: argparse.Namespace) -> int:
    if options.check and options.dry_run:
        raise UsageError("--check and --dry-run are two questions", hint="lockstitch lock --check")
    session = open_session(options)
    if options.check:
        return _check(session, as_json=options.json)
    from lockstitch.image import startup

    where = make.rehearsal(session.project) if options.dry_run else nullcontext(session.project)
    with where as project:
        before, wheels = changes.state(project), startup.wheels(project)
        changed = make.make(
            project,
            session.store,
            session.fetcher,
            session.progress,
            upgrade=options.upgrade,
            client=Client(insecure=options.insecure_registry),
        )
        moved = changes.between(before, changes.state(project)) if changed else []
        started: dict[str, list[str]] = {}
        if changed and wheels:
            after = startup.wheels(project)
            started = startup.new(wheels, after, session.store, session.fetcher)
    problems = [] if options.dry_run else _lacking(session, is_new=bool(changed))
    if options.json:
        told = {"problems": [problem.message for problem in problems]} if problems else {}
        document = {"changed": changed, "moved": [change.document() for change in moved]}
        print_json(document | ({"startup": started} if started else {}) | told)
        return 1 if problems else 0
    _show(moved, is_first=not before.packages and not before.debian)
    for sentence in startup.sentences(started):
        say(f"warning: {sentence}")
    if changed:
        say(f"{'would lock' if options.dry_run else 'locked'}: {', '.join(changed)}")
    else:
        say("nothing to do: the locks fit")
    if not options.dry_run and _has_stale_files(session.project.root):
        say("next: lockstitch export dockerfile")
    for spec in session.project.images:
        if not spec.command and not spec.bare:
            say(f"warning: image `{spec.name}` has no command, and no build without one")
    raise_all(problems)
    return 0


def _lacking(session: Session, *, is_new: bool) -> list[LockstitchError]:
    """Return an error for each module that an image's program imports and no locked package has."""
    from lockstitch.image import locked_imports

    lock = file.read(session.project.root)
    try:
        locked_imports.check(session.project, lock, session.store, session.fetcher, is_new=is_new)
    except LockstitchError as error:
        return [*error.everything()]
    return []


def _has_stale_files(root: Path) -> bool:
    """Return whether a rendered file would have other content now."""
    from lockstitch.cli import stacks

    lock = file.read(root)
    if not lock.rendered:
        return False
    try:
        wanted = stacks.rendered(load(root), lock)
    except LockstitchError:  # the services have other images now
        return True
    return {written.path: written.digest for written in lock.rendered} != {
        name: of_bytes(text.encode()) for name, text in wanted.items()
    }


def _show(moved: Sequence[changes.Change], *, is_first: bool) -> None:
    """Print what changed; of a first lock, in which all is new, only how much it is."""
    if is_first:
        whats = (change.what for change in moved if change.what != changes.ELSEWHERE)
        counts = Counter(what.partition(",")[0] for what in whats)
        kinds = [counted(number, what) for what, number in counts.items()]
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
        with collected(problems):
            manager.of(session.project).check(session.project)
    return answer_stale(problems, "the locks fit", as_json=as_json)
