"""Remove from the store what was not used for long.

The least recently used goes first, until the store is no larger than --size. Downloads, layers,
unpacked images and records are made or fetched again when a command needs them; what a bundle
brought must come from the bundle again. Nothing is removed while another command uses the store:
this one waits for it. Programs of a stack that runs stay.

examples:
  # what was not used for 30 days
  lockstitch cache prune
  # what would go, so that 20 GB stay
  lockstitch cache prune --size 20GB --dry-run
  # everything
  lockstitch cache prune --days 0
"""

import argparse

from lockstitch import cache, clock
from lockstitch.cli.options import DRY_RUN, JSON, QUIET, option
from lockstitch.cli.session import cache_size, patience, print_json, would
from lockstitch.errors import UsageError
from lockstitch.progress import say
from lockstitch.python import size
from lockstitch.store import Store, default_root
from lockstitch.table import counted

_DAY = 24 * 3600
OPTIONS = (
    option("--size SIZE", "what may stay, such as 20GB (default: LOCKSTITCH_CACHE_SIZE)"),
    option(
        "--days N",
        "remove what was not used for so many days (default: 30)",
        type=float,
        default=30.0,
    ),
    DRY_RUN,
    QUIET,
    JSON,
)


def run(options: argparse.Namespace) -> int:
    most = size.parse(options.size) if options.size else cache_size()
    if options.size and most is None:
        message = f"`--size {options.size:.40}` names no size"
        raise UsageError(message, hint="lockstitch cache prune --size 20GB")
    if not 0 <= options.days < float("inf"):
        message = f"`--days {options.days}` is no number of days"
        raise UsageError(message, hint="lockstitch cache prune --days 30")
    store = Store(default_root())
    if options.dry_run or not store.root.is_dir():
        listed = cache.items(store)
        gone = cache.chosen(listed, most=most, before=clock.now() - options.days * _DAY)
    else:
        with store.alone(wait=True), patience(options, "prune the store"):
            listed = cache.items(store)
            before = clock.now() - options.days * _DAY  # after others, which were waited for
            gone = cache.remove(cache.chosen(listed, most=most, before=before))
    freed, total = (sum(item.size for item in items) for items in (gone, listed))
    what = f"{counted(len(gone), 'item')} ({size.shown(freed)})"
    if options.dry_run:
        return would(options, f"remove {what} from `{store.root}`")
    if options.json:
        document = {"dir": str(store.root), "bytes": total - freed, "freed": freed}
        print_json({**document, "removed": len(gone)})
    elif not options.quiet:
        say(f"removed {what}; {size.shown(total - freed)} stay")
    return 0
