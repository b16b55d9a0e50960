"""Secrets in a repository's files and commits, by our own patterns."""

import os
import re
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from posixpath import basename
from typing import TYPE_CHECKING, Any, NamedTuple

from lockstep import clock
from lockstep.check.facts import secret_files
from lockstep.digest import of_bytes
from lockstep.secrets import patterns
from lockstep.secrets.finding import Finding
from lockstep.secrets.text import decoded, find, may_have
from lockstep.store import Store, default_root

if TYPE_CHECKING:
    from lockstep.check.repository import Repository

__all__ = ["LARGEST", "in_files", "in_text", "is_skipped", "rules_for"]

LARGEST = 5 << 20  # bytes of a file above which it is not read
_KIND = "checked-secrets"
_FRESH = 2.0  # seconds: a file as young as that may change again within one tick of its clock
_NOT_OURS = frozenset({"node_modules", "site-packages", ".venv", "venv", "dist-packages"})
_TESTS = frozenset({"test", "tests", "testing", "testdata", "fixtures", "vendor", "vendored"}) | {
    "third_party",
    "third-party",
    "templates",
    "examples",
    "docs",
}
_PROSE = re.compile(r"(?i).+\.(?:md|rst|adoc|ipynb|html|svg)")
# Of these other rules speak, with the variable's name.
_OTHERS = frozenset({"compose-secret-literal", "docker-secret-literal", "env-secret-literal"})


class _Stamp(NamedTuple):
    """What changes with a file."""

    size: int
    modified: int
    changed: int


def rules_for(path: str) -> tuple[patterns.Rule, ...]:
    """Return the rules for a file: in tests and prose, only what is a secret by its form.

    Private keys that a test made for itself are no secret, nor is an address in a document.
    """
    parts = {part.lower() for part in path.split("/")[:-1]}
    apart = parts & _TESTS or re.match(r"test_|.*_test\.|conftest\.py", basename(path))
    loose = apart or _PROSE.fullmatch(basename(path)) or secret_files.is_template(path)
    found = (rule for rule in patterns.RULES if rule.name not in _OTHERS)
    return tuple(r for r in found if not loose or (r.high and r.name != "private-key"))


def is_skipped(path: str) -> bool:
    """Return whether a file is somebody else's: of an installed package."""
    return bool(_NOT_OURS & {*path.split("/")[:-1]})


def in_text(data: bytes, path: str) -> list[Finding]:
    """Return the secrets in a file's bytes; a binary file has none."""
    if not may_have(data, path):
        return []
    text = decoded(data)
    return [] if text is None else find(text, path, rules=rules_for(path))


def in_files(repo: "Repository") -> Iterator[Finding]:
    """Yield the secrets of a repository's files, those apart from the project included.

    Which files were clean is recorded in the store with what changes when a file does, so that
    the next run reads only what is new.
    """
    store = Store(default_root())
    key = of_bytes(f"{patterns.version()}\n{repo.root.absolute()}".encode()).hex
    before = _record(store, key)
    clean: dict[str, list[int]] = {}
    now = clock.now()
    for name, stamp in _regular(repo):
        known = [*stamp]
        if before.get(name) == known:
            clean[name] = known
            continue
        found = in_text(_data(repo, name), name)
        yield from found
        if not found and name not in repo.changed and now - stamp.changed / 1e9 > _FRESH:
            clean[name] = known
    if clean != before:
        _put(store, key, clean)


def _record(store: Store, key: str) -> Mapping[str, Any]:
    found = store.record(_KIND, key)
    return found if isinstance(found, dict) else {}


def _put(store: Store, key: str, clean: Mapping[str, list[int]]) -> None:
    try:
        store.put_record(_KIND, key, dict(clean))
    except OSError:  # a cache folder that nobody may write to: the next run reads all again
        return


def _regular(repo: "Repository") -> Iterator[tuple[str, _Stamp]]:
    """Yield regular files that are not too large and not behind a link."""
    linked: dict[str, bool] = {"": False}
    root = os.fspath(repo.root)
    for name in repo.every_name:
        if is_skipped(name) or _is_linked(root, name.rpartition("/")[0], linked):
            continue
        try:
            facts = os.lstat(f"{root}/{name}")
        except (OSError, ValueError):
            continue
        if stat.S_ISREG(facts.st_mode) and 0 < facts.st_size <= LARGEST:
            yield name, _Stamp(facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns)


def _is_linked(root: str, folder: str, known: dict[str, bool]) -> bool:
    """Return whether a folder or one above is a link; `known` is what was asked before."""
    if folder not in known:
        above = _is_linked(root, folder.rpartition("/")[0], known)
        known[folder] = above or os.path.islink(f"{root}/{folder}")  # noqa: PTH114 -- 2,000 times
    return known[folder]


def _data(repo: "Repository", name: str) -> bytes:
    if name in repo.changed:
        return repo.changed[name].encode()
    try:
        return Path(repo.root, name).read_bytes()
    except OSError:
        return b""
