"""Looks for secrets in a project's files, by our own patterns and by the scanner that is there."""

import contextlib
import os
import stat
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

from lockstitch import files, git
from lockstitch.errors import LockstitchError
from lockstitch.repository.secrets.scanners import Scanner
from lockstitch.secrets.finding import Finding, Seen, merged
from lockstitch.secrets.text import decoded, find
from lockstitch.suppressions import allowed_lines

__all__ = ["LARGEST", "names", "search", "staged"]

LARGEST = 5 << 20  # bytes of a file above which it is not read


def search(root: Path, wanted: Sequence[str], scanner: Scanner | None) -> Seen:
    """Return what is found in files below a root, one finding a line, sorted."""
    found: list[Finding] = []
    read: list[str] = []
    allowed: dict[str, set[int]] = {}
    binary = large = 0
    for name in wanted:
        data = _read(root / name)
        if data is None:
            continue
        if len(data) > LARGEST:
            large += 1
            continue
        read.append(name)
        text = decoded(data)
        if text is None:
            binary += 1
            continue
        found += find(text, name)
        allowed[name] = allowed_lines(text)
    for each in scanner.find(root, read) if scanner and read else []:
        if each.line not in allowed.get(each.path, ()):
            found.append(each)
    return Seen(findings=tuple(merged(found)), files=len(read) - binary, binary=binary, large=large)


def _read(path: Path) -> bytes | None:
    """Return the bytes of a regular file up to one more than may be; a link's target is not it."""
    try:
        if not stat.S_ISREG(path.lstat().st_mode):
            return None
        with path.open("rb") as handle:
            return handle.read(LARGEST + 1)
    except OSError:  # deleted, and git does not know yet
        return None


def names(root: Path, paths: Sequence[Path]) -> list[str]:
    """Return the files of a project, or those below some paths: what git has or would add.

    Where git knows nothing of the folder, all files but caches and environments. A file that
    is named itself is always among them.
    """
    chosen = [_below(root, path) for path in paths]
    known = git.listed(root)
    listed = [*known[0], *known[1]] if known else _walked(root)
    folders = [PurePosixPath(each) for each in chosen]
    found = {n for n in listed if not folders or any(_inside(n, folder) for folder in folders)}
    found |= {each for each in chosen if (root / each).is_file()}
    return sorted(found, key=str.encode)


def _below(root: Path, path: Path) -> str:
    if not path.exists():
        message = f"`{path}` is not there"
        raise LockstitchError(message, hint="name files or folders of the project")
    try:
        return path.resolve().relative_to(root.resolve()).as_posix()
    except ValueError as error:
        message = f"`{path}` is not below `{root}`"
        raise LockstitchError(message, hint="use --project for another project") from error


def _inside(name: str, folder: PurePosixPath) -> bool:
    return PurePosixPath(name).is_relative_to(folder)


@contextlib.contextmanager
def staged(root: Path) -> Iterator[tuple[Path, list[str]]]:
    """Yield a folder with what the next commit changes below a root, and the names in it.

    The files are as git has them staged, whatever the working tree has by now.
    """
    if not _in_git(root):
        message = f"`{root}` is in no git repository, so nothing is staged"
        raise LockstitchError(message, hint="git init, or leave out --staged")
    listed = ["diff", "--cached", "--no-ext-diff", "--name-only", "-z", "--diff-filter=ACMRT"]
    found = [name for name in git.run(root, *listed, "--relative").stdout.split("\0") if name]
    prefix = git.run(root, "rev-parse", "--show-prefix").stdout.removesuffix("\n")
    with tempfile.TemporaryDirectory() as folder:
        copy = ["checkout-index", "--force", "-z", "--stdin", f"--prefix={folder}{os.sep}"]
        git.run(root, *copy, stdin="".join(f"{name}\0" for name in found))
        yield Path(folder, prefix), sorted(found, key=str.encode)


def _walked(root: Path) -> list[str]:
    return [file.name for file in files.walk(root) if not file.outside]


def _in_git(root: Path) -> bool:
    try:
        return git.run(root, "rev-parse", "--is-inside-work-tree", check=False).code == 0
    except LockstitchError:
        return False
