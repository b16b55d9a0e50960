"""Pin everything: packages, base, build requirements.

Writes uv.lock (through uv), requirements-lock.txt, one pylock.IMAGE.toml for each image, and
lockstep.lock with the rest. What is pinned and still fits is kept.

examples:
  # after a change of pyproject.toml
  lockstep lock
  # in CI: exit 1 and say what is stale, without network
  lockstep lock --check
  # move everything to the newest that pyproject.toml allows
  lockstep lock --upgrade
"""

import argparse

from lockstep.cli.session import Session, add_common, open_session, print_json
from lockstep.errors import LockstepError, raise_all
from lockstep.lock import file, make, manager
from lockstep.progress import say

__all__ = ["configure", "run"]


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    group = parser.add_argument_group("what to do").add_mutually_exclusive_group()
    group.add_argument(
        "--check", action="store_true", help="write nothing; exit 1 when a lock is stale"
    )
    group.add_argument(
        "--upgrade", action="store_true", help="take the newest versions (default: keep)"
    )
    add_common(parser)


def run(options: argparse.Namespace) -> int:
    """Run the command."""
    session = open_session(options)
    if options.check:
        return _check(session, as_json=options.json)
    changed = make.make(
        session.project, session.store, session.fetcher, session.progress, upgrade=options.upgrade
    )
    if options.json:
        print_json({"changed": changed})
    elif changed:
        say(f"locked: {', '.join(changed)}")
    else:
        say("nothing to do: the locks fit")
    return 0


def _check(session: Session, *, as_json: bool) -> int:
    problems = make.stale(session.project, file.read(session.project.root))
    if not problems:
        try:
            manager.of(session.project).check(session.project)
        except LockstepError as error:
            problems.append(error)
    if as_json:
        print_json({"stale": [problem.message for problem in problems]})
        return 1 if problems else 0
    raise_all(problems)
    say("the locks fit")
    return 0
