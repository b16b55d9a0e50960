"""Show what the store holds, by kind.

A file that is in the layout of a project's images too counts as nothing: it would stay on the disk.

examples:
  # in bytes, for a script
  lockstitch cache size --json | jq .bytes
"""

import argparse
import sys

from lockstitch import cache
from lockstitch.cli.options import JSON
from lockstitch.cli.session import cache_size, print_json
from lockstitch.python import size
from lockstitch.store import Store, default_root
from lockstitch.table import table

OPTIONS = (JSON,)


def run(options: argparse.Namespace) -> int:
    items = cache.items(Store(default_root()))
    limit, total = cache_size(), sum(item.size for item in items)
    kinds = {
        kind: {
            "items": sum(item.kind == kind for item in items),
            "bytes": sum(item.size for item in items if item.kind == kind),
        }
        for kind in sorted({item.kind for item in items})
    }
    if options.json:
        print_json({"dir": str(default_root()), "bytes": total, "limit": limit, "kinds": kinds})
        return 0
    rows = [[kind, str(part["items"]), size.shown(part["bytes"])] for kind, part in kinds.items()]
    rows.append(["all", str(len(items)), size.shown(total)])
    sys.stdout.write(table(["kind", "items", "size"], rows) + "\n")
    return 0
