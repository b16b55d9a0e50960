"""Secrets that commits have added, whether they are still there or not."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

from lockstitch import git
from lockstitch.patterns import regex
from lockstitch.repository.file_cache import is_installed
from lockstitch.repository.secrets.search import patterns_for
from lockstitch.secrets.patterns import may_have
from lockstitch.secrets.text import Secret, find
from lockstitch.values import frozen, replace

_HUNK = regex(rb"@@ -\d+(?:,(\d+))? \+(\d+)(?:,(\d+))? @@")
_LONGEST = 1 << 20  # bytes of a line that are looked at in one piece
_MOST = 5 << 20  # bytes that a commit adds to one file above which the rest is not looked at


@frozen
class CommittedSecret:
    """One secret, with the commit that added it first."""

    commit: str
    secret: Secret  # its line is that of the file in the commit


def in_history(root: Path) -> Iterator[CommittedSecret]:
    """Yield the secrets that commits of all branches and tags added below a folder, oldest first.

    What a merge itself changes is not looked at. Raises LockstitchError when git cannot tell.
    """
    # No program that the repository's attributes name is run, and none of its settings changes
    # the form of what is read.
    words = ["-c", "diff.suppressBlankEmpty=false", "log", "--all", "--reverse", "--patch"]
    words += ["--unified=0", "--no-color", "--no-ext-diff", "--no-textconv", "--no-renames"]
    words += ["--src-prefix=a/", "--dst-prefix=b/", "--no-show-signature", "--relative"]
    words += ["--inter-hunk-context=0", "--diff-merges=off", "--format=%x00%H", "--"]
    seen: set[bytes] = set()
    for commit, path, lines in _files(git.stream(root, *words, longest=_LONGEST)):
        for secret, key in _secrets(path, lines):
            if key not in seen:
                seen.add(key)
                yield CommittedSecret(commit=commit, secret=secret)


class _Patch:
    """Reads `git log --patch`: which lines each commit adds to each file."""

    def __init__(self) -> None:
        self.commit = ""
        self.path = ""
        self.lines: list[tuple[int, bytes]] = []  # with their numbers
        self._size = 0
        self._removed = self._added = self._number = 0  # what is left of a hunk

    def take(self, line: bytes) -> None:
        """Take one line of the output."""
        if self._removed or self._added:  # of a hunk, whatever it looks like
            self._changed(line)
        elif hunk := _HUNK.match(line):
            self._removed, self._number = int(hunk[1] or 1), int(hunk[2])
            self._added = int(hunk[3] or 1)
        elif line.startswith(b"+++ b/"):
            self.path = line[6:].rstrip(b"\r\n\t").decode("utf-8", "replace")
        elif line.startswith(b"\0"):
            self.commit = line[1:].strip().decode("ascii", "replace")

    def _changed(self, line: bytes) -> None:
        if line.startswith(b"+"):
            self._size += len(line)
            if self._size <= _MOST:
                self.lines.append((self._number, line[1:]))
            self._number, self._added = self._number + 1, self._added - 1
        elif line.startswith(b"-"):
            self._removed -= 1

    def ends(self, line: bytes) -> bool:
        """Return whether a line begins another file or commit."""
        return not (self._removed or self._added) and line.startswith((b"\0", b"diff --git "))

    def clear(self) -> None:
        """Begin with another file."""
        self.lines, self._size, self.path = [], 0, ""


def _files(output: Iterator[bytes]) -> Iterator[tuple[str, str, list[tuple[int, bytes]]]]:
    """Yield commit, path and added lines with their numbers, file by file."""
    patch = _Patch()
    for line in output:
        if patch.ends(line):
            if patch.lines:
                yield patch.commit, patch.path, patch.lines
            patch.clear()
        patch.take(line)
    if patch.lines:
        yield patch.commit, patch.path, patch.lines


def _secrets(path: str, lines: list[tuple[int, bytes]]) -> Iterator[tuple[Secret, bytes]]:
    data = b"".join(line for _, line in lines)
    if is_installed(path) or b"\0" in data[:8192] or not may_have(data, path):
        return
    text = data.decode("utf-8", "replace")
    texts = text.split("\n")
    for secret in find(text, path, patterns_for(path)):
        rest = texts[secret.line - 1][secret.column - 1 :]
        key = hashlib.sha256(
            f"{path}\0{secret.rule}\0{rest}".encode("utf-8", "surrogateescape")
        ).digest()
        yield replace(secret, line=lines[min(secret.line, len(lines)) - 1][0]), key
