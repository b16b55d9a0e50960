"""Shared by commands: the project, the store, the fetcher, the places of results, printing."""

import argparse
import contextlib
import json
import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

from lockstitch import environ, progress
from lockstitch.errors import LockstitchError, raise_all
from lockstitch.net.credentials import Credentials
from lockstitch.net.download import Fetcher
from lockstitch.progress import Reporter
from lockstitch.python import size
from lockstitch.python.load import find_root, load
from lockstitch.python.model import Project
from lockstitch.store import Store, default_root
from lockstitch.values import frozen

if TYPE_CHECKING:
    from lockstitch.image.build import Builder
    from lockstitch.lock.file import Lock
    from lockstitch.oci.registry.cache import LayerCache
    from lockstitch.oci.registry.client import Client


@frozen
class Session:
    """One run of a command inside a project."""

    project: Project
    store: Store
    fetcher: Fetcher
    progress: Reporter

    def builder(
        self, lock: "Lock", *, client: "Client | None" = None, cache: "LayerCache | None" = None
    ) -> "Builder":
        """Return a builder of the project's images."""
        from lockstitch.image.build import Builder

        store, fetcher = self.store, self.fetcher
        return Builder(
            self.project, lock, store, fetcher, self.progress, client=client, cache=cache
        )

    def trim(self) -> None:
        """Keep the store as small as LOCKSTITCH_CACHE_SIZE says; for who needs it no more now."""
        most = cache_size()
        if most is not None:
            from lockstitch import cache

            with contextlib.suppress(OSError):
                cache.trim(self.store, most)


def cache_size() -> int | None:
    """Return the bytes of LOCKSTITCH_CACHE_SIZE or None; raises LockstitchError for no size."""
    text = environ.get("LOCKSTITCH_CACHE_SIZE")
    if not text:
        return None
    parsed = size.parse(text)
    if parsed is None:
        message = f"`LOCKSTITCH_CACHE_SIZE` is `{text:.40}`, not a size such as `20GB`"
        raise LockstitchError(message, hint="export LOCKSTITCH_CACHE_SIZE=20GB")
    return parsed


def open_session(options: argparse.Namespace) -> Session:
    """Return the session of a command's options; raises LockstitchError outside of a project."""
    store = Store(default_root())
    store.hold()
    store.sweep()
    cache_size()  # a wrong one is told before anything is done
    quiet = bool(options.quiet or getattr(options, "json", False))
    project = load(options.project)
    credentials = Credentials(project.document, project.root)
    return Session(
        project=project,
        store=store,
        fetcher=Fetcher(store, credentials=credentials),
        progress=progress.reporter(quiet=quiet),
    )


def project_here(options: argparse.Namespace) -> Project | None:
    """Return the project that a command runs in, or None outside of any."""
    try:
        find_root(options.project)
    except LockstitchError:
        return None
    return load(options.project)


def layout_folder(project: Project) -> Path:
    """Return the OCI layout of a project's images, which git ignores."""
    return project.root / ".lockstitch" / "images"


def history_file(project: Project) -> Path:
    """Return the file in which `lockstitch build` keeps the images of earlier builds."""
    return project.root / ".lockstitch" / "history.json"


def verified(project: Project) -> Path:
    """Return the file in which `lockstitch verify` keeps its last answer."""
    return project.root / ".lockstitch" / "verify.json"


def answer_stale(problems: Sequence[LockstitchError], fits: str, *, as_json: bool) -> int:
    """Answer a `--check`, and return its exit code; raises the problems unless `as_json`."""
    if as_json:
        print_json({"stale": [problem.message for problem in problems]})
        return 1 if problems else 0
    raise_all(problems)
    progress.say(fits)
    return 0


def patience(options: argparse.Namespace, what: str) -> AbstractContextManager[object]:
    """Return a context that shows a command's work where it takes long."""
    return progress.reporter(quiet=bool(options.quiet or options.json), ends=False).task(what, 0)


def would(options: argparse.Namespace, *steps: str) -> int:
    """Answer a `--dry-run` with the steps of the command, and return its exit code."""
    if options.json:
        print_json({"would": list(steps)})
    else:
        for step in steps:
            progress.say(f"would {step}")
    return 0


def print_json(value: object) -> None:
    """Print a result as JSON, for programs and for jq."""
    sys.stdout.write(as_text(value))


def as_text(value: object) -> str:
    """Return a result as JSON."""
    return json.dumps(value, indent=2, sort_keys=True) + "\n"
