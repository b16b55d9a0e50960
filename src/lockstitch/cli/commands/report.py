"""Write one page: image sizes, changes of the lock, findings, proofs.

The page has the size of each image by layer and package, with the change since the build before;
what changed in the lock; drift between training and serving, and between `.venv` and the lock; what
`lockstitch check` finds; and the last answer of `lockstitch verify`. It is one file without scripts
or addresses.

examples:
  # report.html, of this project as it is
  lockstitch report
  # what a branch changed in the lock
  lockstitch report --since origin/main --output branch.html
"""

import argparse
import sys
from pathlib import Path

from lockstitch import files
from lockstitch.cli.options import COMMON, option
from lockstitch.cli.session import open_session, print_json, would
from lockstitch.progress import say

OPTIONS = (
    option(
        "--output FILE",
        "where to write the page (default: report.html)",
        type=Path,
        default=Path("report.html"),
    ),
    option(
        "--since REV", "git revision that the lock is compared with (default: HEAD)", default="HEAD"
    ),
    COMMON,
)


def run(options: argparse.Namespace) -> int:
    from lockstitch.report import page

    session = open_session(options)
    if options.dry_run:
        return would(options, f"write {options.output}")
    content = page.gather(session.project, session.store, session.progress, options.since)
    files.write_text(options.output, page.render(content))
    if options.json:
        print_json(page.document(content) | {"page": str(options.output)})
        return 0
    say(f"wrote {options.output}")
    sys.stdout.write(f"{options.output}\n")
    return 0
