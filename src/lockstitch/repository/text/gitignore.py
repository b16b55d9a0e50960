"""Whether .gitignore files pass a file by, told by its name alone."""

import fnmatch
import posixpath

from lockstitch.repository.files import Repository

__all__ = ["by_name"]


def by_name(repo: Repository, path: str) -> bool:
    """Return whether a pattern fits a file's name, in the .gitignore at the root or beside it.

    Where git can be asked, it is asked instead: what it ignores is no name of a repository.
    """
    folder, name = posixpath.split(path)
    for place in {"", folder}:
        for line in repo.lines(posixpath.join(place, ".gitignore")):
            pattern = line.strip().rpartition("/")[2] or line.strip().rstrip("/")
            if pattern and not pattern.startswith("#") and fnmatch.fnmatchcase(name, pattern):
                return True
    return False
