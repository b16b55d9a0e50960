"""What commands share: the project, the store, the fetcher, the places of results."""

import argparse
import json
import sys
from dataclasses import dataclass
from pathlib import Path

from lockstitch import progress
from lockstitch.net.credentials import Credentials
from lockstitch.net.download import Fetcher
from lockstitch.progress import Reporter
from lockstitch.python.load import load
from lockstitch.python.model import Project
from lockstitch.store import Store, default_root

__all__ = [
    "Session",
    "add_common",
    "history_file",
    "layout_folder",
    "open_session",
    "print_json",
    "verified",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """One run of a command inside a project."""

    project: Project
    store: Store
    fetcher: Fetcher
    progress: Reporter


def add_common(
    parser: argparse.ArgumentParser, *, json_output: bool = True, progress_output: bool = True
) -> None:
    """Add the options of every command that works on a project."""
    group = parser.add_argument_group("common options")
    group.add_argument(
        "--project",
        metavar="PATH",
        type=Path,
        default=Path(),
        help="folder to find the project from (default: this one)",
    )
    if progress_output:
        group.add_argument("--quiet", action="store_true", help="show no progress")
    if json_output:
        group.add_argument("--json", action="store_true", help="print the result as JSON")


def open_session(options: argparse.Namespace) -> Session:
    """Return the session of a command's options."""
    store = Store(default_root())
    store.sweep()
    quiet = bool(options.quiet or getattr(options, "json", False))
    project = load(options.project)
    credentials = Credentials(project.document, project.root)
    return Session(
        project=project,
        store=store,
        fetcher=Fetcher(store, credentials=credentials),
        progress=progress.reporter(quiet=quiet),
    )


def layout_folder(project: Project) -> Path:
    """Return where a project's images are kept: an OCI layout that git ignores."""
    return project.root / ".lockstitch" / "images"


def history_file(project: Project) -> Path:
    """Return where `lockstitch build` keeps what images were before."""
    return project.root / ".lockstitch" / "history.json"


def verified(project: Project) -> Path:
    """Return where the last answer of `lockstitch verify` is kept."""
    return project.root / ".lockstitch" / "verify.json"


def print_json(value: object) -> None:
    """Print a result as JSON, for programs and for jq."""
    json.dump(value, sys.stdout, indent=2, sort_keys=True)
    sys.stdout.write("\n")
