"""Listings of folders by names and stat: quick to take, and another text after each change.

Imports little, since a command that finds nothing to do has nothing else to load.
"""

import os
import stat

# Never part of a project's files: version control, environments, caches, our own state. A folder
# named `venv`, `env` or `build` may be a package: it is an environment when it has a pyvenv.cfg.
SKIPPED_FOLDERS = frozenset(
    {".git", ".hg", ".svn", ".venv", ".lockstitch", "__pycache__", "node_modules"}
    | {".mypy_cache", ".ruff_cache", ".pytest_cache", ".ipynb_checkpoints", ".tox", ".nox"}
)
# What environments have at their top: PEP 405, those of conda, an installation for Windows.
OF_ENVIRONMENTS = frozenset({"pyvenv.cfg", "conda-meta", "LICENSE_PYTHON.txt", "python.exe"})
STEP = 2_000_000_000  # nanoseconds between two times of a file: FAT's; none has longer steps


class Listing:
    """Names and stat of files, in the order in which they are added."""

    def __init__(self, since: int) -> None:
        """Note what was written later than `since`, in nanoseconds since 1970."""
        self.lines: list[str] = []
        self.recent: list[str] = []  # which a second write in the same step would not show
        self._since = since

    def add(self, path: str) -> None:
        """Add one path, where something may be or not."""
        try:
            facts = os.lstat(path)
        except OSError:
            self.lines.append(f"{path}\0-")
            return
        self._add(path, path, facts)

    def add_tree(self, root: str) -> None:
        """Add all below a folder but environments, caches and version control; raises OSError."""
        waiting = [root]
        while waiting:
            folder = waiting.pop()
            with os.scandir(folder) as scanned:
                entries = sorted(scanned, key=lambda entry: entry.name)
            self.lines.append(f"{folder}\0/")
            if folder != root and not OF_ENVIRONMENTS.isdisjoint(entry.name for entry in entries):
                continue
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    if entry.name not in SKIPPED_FOLDERS:
                        waiting.append(entry.path)
                else:
                    self._add(entry.name, entry.path, entry.stat(follow_symlinks=False))

    def _add(self, name: str, path: str, facts: os.stat_result) -> None:
        link = ""
        if stat.S_ISLNK(facts.st_mode):
            try:
                target = os.stat(path)
                link = f"{os.readlink(path)}\0{_text(target)}"
                facts = max(facts, target, key=_changed)
            except OSError:  # to nothing, or to itself
                link = "-"
        elif facts.st_size and not stat.S_ISREG(facts.st_mode):
            link = f"{facts.st_mode}"
        self.lines.append(f"{name}\0{_text(facts)}{link}")
        if _changed(facts) > self._since:
            self.recent.append(path)


def _text(facts: os.stat_result) -> str:
    times = f"{facts.st_mtime_ns} {facts.st_ctime_ns}"
    return f"{facts.st_mode} {facts.st_size} {times} {facts.st_ino}"


def _changed(facts: os.stat_result) -> int:
    return max(facts.st_mtime_ns, facts.st_ctime_ns)
