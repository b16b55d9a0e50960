"""Migrate commit hooks to the versions of the lock.

`migrate` reads .pre-commit-config.yaml. A remote hook whose program the project's lock has
becomes a local one: no second set of versions, no network. Any other is pinned to the commit of
its tag, because a tag can be moved. The rest of the file stays as it is, comments too. Either all
of it is written or nothing.

examples:
  # see what would become of each hook
  lockstitch hooks migrate --dry-run
  # do it
  lockstitch hooks migrate
  # leave remote hooks remote, but pin each to a commit
  lockstitch hooks migrate --freeze
"""

import argparse
import dataclasses
import sys

from lockstitch import colour
from lockstitch.cli.options import COMMON, flag, operand
from lockstitch.cli.session import print_json
from lockstitch.git import is_commit
from lockstitch.progress import say
from lockstitch.scaffold.hooks import migrate
from lockstitch.scaffold.hooks.migrate import Migration
from lockstitch.table import table

OPTIONS = (
    operand("action", "ACTION", "what to do: migrate", choices=["migrate"]),
    flag("--freeze", "pin revs only; make no hook local"),
    flag("--dry-run", "show the changes, write nothing"),
    COMMON,
)


def run(options: argparse.Namespace) -> int:
    migration = migrate.plan(options.project, freeze=options.freeze)
    if not options.dry_run:
        migrate.write(migration)
    changed = migration.new != migration.old
    if options.json:
        print_json(
            {
                "file": str(migration.path),
                "lock": migration.lock,
                "written": changed and not options.dry_run,
                "hooks": [dataclasses.asdict(decision) for decision in migration.decisions],
                "lacking": migrate.lacking(migration),
                "diff": migration.diff(),
            }
        )
        return 0
    if migration.decisions:
        sys.stdout.write(f"{_table(migration)}\n")
    if changed:
        sys.stdout.write(f"\n{colour.difference(migration.diff(), sys.stdout)}")
    _say_rest(migration, dry=options.dry_run)
    return 0


def _table(migration: Migration) -> str:
    rows = [
        [decision.hook, _short(decision.was), decision.becomes, _short(decision.now), decision.why]
        for decision in migration.decisions
    ]
    return table(["hook", "was", "is now", "version", "why"], rows, left=5)


def _short(version: str) -> str:
    return version[:12] if is_commit(version) else version  # characters of a commit that are shown


def _say_rest(migration: Migration, *, dry: bool) -> None:
    for sentence in migrate.unused(migration):
        say(sentence)
    lacking = migrate.lacking(migration)
    if lacking:
        names = " ".join(f"'{name}'" for name in lacking)
        add = "poetry add --group dev" if migration.lock == "poetry.lock" else "uv add --dev"
        say(f"{migration.lock} lacks some of that; if it is needed: {add} {names}")
    if migration.new == migration.old:
        say(f"`{migration.path.name}` needs no change")
    elif dry:
        say(f"`{migration.path.name}` was not written; leave --dry-run out to write it")
    else:
        say(f"wrote `{migration.path.name}`")
