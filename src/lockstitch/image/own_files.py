"""The project's own files as one build sees them: listed once, and read only when they are new.

What a file had in it is remembered with its size, mtime, ctime and inode, as git's index does.
A file that was written just before it was read is read again: a clock that ticks in steps would
not show a second write in the same step.
"""

import os
from collections.abc import Sequence
from typing import Any

from lockstitch import clock, files, git
from lockstitch.digest import Digest, Hasher, canonical_json, of_bytes
from lockstitch.files import FoundFile, matches
from lockstitch.listing import STEP
from lockstitch.patterns import regex
from lockstitch.python.model import Project
from lockstitch.store import Store
from lockstitch.values import frozen

_KIND, _FORM = "read files", 1  # of store records; the number changes with what is remembered
_POINTER = 1024  # bytes that a pointer of Git LFS has at most
_LFS = b"version https://git-lfs.github.com/spec/"
_CODING = regex(rb"[ \t\f]*#.*?coding[:=][ \t]*([-\w.]+)")  # PEP 263
# What editors and tools leave beside the code, whether or not git is told of it.
_DROPPING = regex(
    r"(?:^|/)(?:[^/]*~|\.[^/]*\.sw[a-p]|#[^/]*#|\.coverage(?:\.[^/]*)?|(?:\.idea|[^/]*\.egg-info)/.*)$"
)


@frozen
class FileFacts:
    """The facts of a file that was read."""

    digest: Digest
    crlf: bool = False  # Python or a shell script with CRLF
    unreadable: bool = False  # Python that is not UTF-8 and does not say what it is
    pointer: bool = False  # what Git LFS leaves in place of a large file


class OwnFiles:
    """The files of one project during one build."""

    def __init__(self, project: Project, store: Store | None = None) -> None:
        """Without a store nothing is remembered."""
        self._root = project.root
        self._store = store
        self._key = of_bytes(canonical_json([_FORM, os.fspath(project.root)])).hex
        self._listed: dict[tuple[str, ...], list[FoundFile]] = {}
        self._matched: dict[tuple[tuple[str, ...], bool], dict[str, list[FoundFile]]] = {}
        self._rows: dict[str, list[Any]] | None = None
        self._facts: dict[str, tuple[tuple[int, ...], FileFacts]] = {}
        self._read: dict[str, list[Any]] = {}

    def listed(self, patterns: Sequence[str] = ("**",)) -> list[FoundFile]:
        """Return the files in folders in which one of some globs may match."""
        key = tuple(patterns)
        if key not in self._listed:
            walked = files.walk(
                self._root, enters=lambda folder: files.may_match_below(folder, patterns)
            )
            self._listed[key] = list(walked)
        return self._listed[key]

    def matched(
        self, patterns: Sequence[str], *, all_files: bool = False
    ) -> dict[str, list[FoundFile]]:
        """Return the files that each glob matches.

        What git ignores is left out beside files that it does not ignore: a pattern that names a
        file, or that matches nothing else, means it.
        """
        key = (tuple(patterns), all_files)
        if key in self._matched:
            return self._matched[key]
        if all_files:
            listed = self.listed(patterns) if patterns else []
            by_glob = {p: [file for file in listed if matches(file.name, p)] for p in patterns}
        else:
            by_glob = self._not_ignored(self.matched(patterns, all_files=True))
        self._matched[key] = by_glob
        return by_glob

    def _not_ignored(self, matched: dict[str, list[FoundFile]]) -> dict[str, list[FoundFile]]:
        names = {hit.name for hits in matched.values() for hit in hits} - matched.keys()
        ignored = git.ignored(self._root, sorted(names))
        ignored |= {name for name in names if _DROPPING.search(name)}
        wanted = {}
        for pattern, hits in matched.items():
            rest = [hit for hit in hits if hit.name not in ignored]
            wanted[pattern] = rest or hits
        return wanted

    def facts(self, file: FoundFile) -> FileFacts:
        """Return a file's facts, reading it only where it differs from the last file read."""
        known = self._facts.get(file.name)
        if known and known[0] == file.mark:
            return known[1]
        row = self._remembered().get(file.name)
        same = row is not None and tuple(row[:4]) == file.mark
        facts = _of_row(row) if row and same else self._read_now(file)
        self._facts[file.name] = (file.mark, facts)
        return facts

    def keep(self) -> None:
        """Record the facts that were read since."""
        if not self._read or self._store is None:
            return
        rows = self._remembered()
        if len(rows) > 2 * len(self._facts) + 1000:  # most of them are gone by now
            rows = {name: row for name, row in rows.items() if name in self._facts}
        self._store.remember(_KIND, self._key, rows | self._read)
        self._rows, self._read = rows | self._read, {}

    def _remembered(self) -> dict[str, list[Any]]:
        if self._rows is None:
            self._rows = (self._store.record(_KIND, self._key) if self._store else None) or {}
        return self._rows

    def _read_now(self, file: FoundFile) -> FileFacts:
        before = int(clock.now() * 1e9)
        facts = _in_file(file)
        settled = file.changed < before - STEP
        if settled and file.is_as_it_was(file.path.stat()) and _is_utf8(file.name):
            flags = [int(count) for count in (facts.crlf, facts.unreadable, facts.pointer)]
            self._read[file.name] = [*file.mark, facts.digest.hex, *flags]
        return facts


def _of_row(row: list[Any]) -> FileFacts:
    digest, crlf, unreadable, pointer = row[4:]
    return FileFacts(
        digest=Digest(f"sha256:{digest}"),
        crlf=bool(crlf),
        unreadable=bool(unreadable),
        pointer=bool(pointer),
    )


def _is_utf8(name: str) -> bool:
    return not any("\ud800" <= letter <= "\udfff" for letter in name)


def _in_file(file: FoundFile) -> FileFacts:
    if file.name.endswith((".py", ".sh")) or file.size <= _POINTER:
        data = file.path.read_bytes()
        return FileFacts(
            digest=of_bytes(data),
            crlf=b"\r\n" in data and file.name.endswith((".py", ".sh")),
            unreadable=file.name.endswith(".py") and not _is_python_text(data),
            pointer=data.startswith(_LFS) and len(data) <= _POINTER,
        )
    hasher = Hasher()
    for chunk in files.chunks(file.path):
        hasher.update(chunk)
    return FileFacts(digest=hasher.digest())


def _is_python_text(data: bytes) -> bool:
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return any(_CODING.match(line) for line in data.split(b"\n", 2)[:2])
    return True
