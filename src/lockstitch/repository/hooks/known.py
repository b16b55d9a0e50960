"""Hooks whose program is a Python package: the table known.toml."""

from collections.abc import Mapping
from typing import Any

from lockstitch.resources import load_table
from lockstitch.values import frozen

# What a hook against large files should let through.
EXCEPT_LOCKS = r"(^|/)([^/]+\.lock|pylock\.([^/]+\.)?toml|requirements[^/]*\.txt)$"


@frozen
class KnownHook:
    """A hook's package, its program with arguments, and the further keys of a local hook.

    `manager` is set instead of `package` for programs that lock the project themselves. A
    counterpart is another program for the same purpose; a pattern stands for a program.
    """

    entry: str
    package: str
    manager: str
    counterpart: bool
    pattern: str
    keys: Mapping[str, Any]


def package_of(program: str) -> str:
    """Return the package that has a hook's program, as far as the table knows it, else ""."""
    for hooks in load_table("lockstitch.repository.hooks", "known.toml").values():
        for name, keys in hooks.items():
            if "manager" not in keys and keys.get("entry", name).split()[0] == program:
                return str(keys.get("package", name))
    return ""


def known(url: str, hook: str) -> KnownHook | None:
    """Return the facts of a repository's hook, by the repository's last name."""
    repository = url.rstrip("/").removesuffix(".git").rpartition("/")[2].rpartition(":")[2].lower()
    table = load_table("lockstitch.repository.hooks", "known.toml")
    keys = dict(table.get(repository, {}).get(hook, {"entry": ""}))
    entry, manager = keys.pop("entry", hook), keys.pop("manager", "")
    package = keys.pop("package", "" if manager else hook)
    if not entry:
        return None
    return KnownHook(
        entry=entry,
        package=package,
        manager=manager,
        counterpart=keys.pop("counterpart", False),
        pattern=keys.pop("pattern", ""),
        keys=keys,
    )
