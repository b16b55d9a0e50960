"""Write one page of what is known of the environment, for a pull request or a release.

The page has the size of each image by layer and package, with the change since the build before;
what moved in the lock; drift between training and serving, and between `.venv` and the lock; what
`lockstitch check` finds; and the last answer of `lockstitch verify`. It is one file without scripts
or addresses.

examples:
  # report.html, of this project as it is
  lockstitch report
  # what a branch moved in the lock
  lockstitch report --since origin/main --output branch.html
"""

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lockstitch import files
from lockstitch.audit import engine
from lockstitch.cli.session import (
    Session,
    add_common,
    history_file,
    layout_folder,
    open_session,
    print_json,
    verified,
)
from lockstitch.errors import LockstitchError
from lockstitch.progress import say

if TYPE_CHECKING:
    from lockstitch.audit.engine import Report
    from lockstitch.report.page import Content, Drift
    from lockstitch.report.sizes import Sized

__all__ = ["configure", "run"]


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument(
        "--output",
        metavar="FILE",
        type=Path,
        default=Path("report.html"),
        help="where to write the page (default: report.html)",
    )
    parser.add_argument(
        "--since",
        metavar="REV",
        default="HEAD",
        help="git revision that the lock is compared with (default: HEAD)",
    )
    add_common(parser)


def run(options: argparse.Namespace) -> int:
    """Run the command."""
    from lockstitch.report import page

    session = open_session(options)
    content = _content(session, options.since)
    files.write_text(options.output, page.render(content))
    if options.json:
        print_json(page.document(content) | {"page": str(options.output)})
        return 0
    say(f"wrote {options.output}")
    sys.stdout.write(f"{options.output}\n")
    return 0


def _content(session: Session, since: str) -> "Content":
    from lockstitch.report.page import Content

    project = session.project
    images, absent = _images(session)
    with session.progress.task("compare environments", 0):
        drifts = tuple(_drifts(session, since))
    with session.progress.task("check", 0):
        checked = _checked(project.root)
    return Content(
        project=project.name,
        version=project.version,
        revision=_revision(project.root),
        images=images,
        absent=absent,
        budgets={spec.name: spec.budget for spec in project.images},
        drifts=drifts,
        checked=checked,
        verified=_verified(session),
    )


def _images(session: Session) -> "tuple[list[Sized], list[str]]":
    from lockstitch.oci.layout import Layout
    from lockstitch.report.sizes import sized

    layout = Layout(layout_folder(session.project))
    there = layout.names()
    kept = history_file(session.project)
    found = []
    for name in there:
        with session.progress.task(f"measure {name}", 0):
            found.append(sized(layout, name, session.store, kept))
    built = [name.partition("-linux-")[0] for name in there]
    return found, [spec.name for spec in session.project.images if spec.name not in built]


def _drifts(session: Session, since: str) -> "Iterator[Drift]":
    from lockstitch.drift.source import Context
    from lockstitch.lock import manager
    from lockstitch.report.page import Drift

    project = session.project
    lock = manager.of(project).locks(project)[0]
    context = Context(folder=project.root, project=project)
    yield _drift(f"Lock since {since}", f"{lock}@{since}", lock, context)
    title = "Environment .venv against the lock"
    if (project.root / ".venv").is_dir():
        yield _drift(title, lock, ".venv", context)
    else:
        yield Drift(title=title, missing="there is no .venv here")
    records = sorted(project.root.glob("models/*.run.json"))
    serving = [spec.name for spec in project.images if spec.port]
    for record in records[:1]:
        for name in serving[:1]:
            title = f"Training against the image {name}"
            yield _drift(title, str(record.relative_to(project.root)), name, context)


def _drift(title: str, before: str, after: str, context: Any) -> "Drift":
    from lockstitch.drift import compare, source
    from lockstitch.report.page import Drift

    try:
        found = compare.between(source.read(before, context), source.read(after, context))
    except LockstitchError as error:
        return Drift(title=title, missing=error.message.splitlines()[0])
    return Drift(title=title, differences=tuple(found))


def _checked(root: Path) -> "Report":
    from lockstitch.audit import rules, settings
    from lockstitch.repository.files import open_repository

    own = settings.load(root, rules.codes())
    repo = open_repository(root, exclude=own.exclude)
    return engine.audit(repo, settings.chosen(rules.RULES, own), own, rules.codes())


def _revision(root: Path) -> str:
    from lockstitch import process

    try:
        git = process.find("git", hint="install git")
    except LockstitchError:
        return ""
    done = process.run([git, "rev-parse", "--short=12", "HEAD"], cwd=root, check=False)
    return done.stdout.strip() if done.code == 0 else ""


def _verified(session: Session) -> dict[str, Any] | None:
    try:
        found = json.loads(verified(session.project).read_bytes())
    except (OSError, ValueError):
        return None
    known = isinstance(found, dict) and found.get("schema") == 1
    return found if known else None
