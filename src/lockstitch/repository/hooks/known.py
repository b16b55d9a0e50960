"""Hooks whose program is a Python package: the table known.toml."""

from collections.abc import Mapping
from typing import Any

from lockstitch.repository import tables
from lockstitch.values import frozen


@frozen
class KnownHook:
    """A hook's package, its program with arguments, and the further keys of a local hook.

    `manager` is set instead of `package` for programs that lock the project themselves.
    """

    entry: str
    package: str
    manager: str
    keys: Mapping[str, Any]


def known(url: str, hook: str) -> KnownHook | None:
    """Return what is known of a hook of a repository, by the repository's last name."""
    repository = url.rstrip("/").removesuffix(".git").rpartition("/")[2].rpartition(":")[2].lower()
    table = tables.load("lockstitch.repository.hooks", "known.toml")
    keys = dict(table.get(repository, {}).get(hook, {"entry": ""}))
    entry, manager = keys.pop("entry", hook), keys.pop("manager", "")
    package = keys.pop("package", "" if manager else hook)
    return KnownHook(entry=entry, package=package, manager=manager, keys=keys) if entry else None
