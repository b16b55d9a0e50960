"""Which commit a project's folder is at, and whether its files are those of the commit."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from lockstitch import environ, process

__all__ = ["Commit", "of"]

_HEAD = "# branch.oid "


@dataclass(frozen=True, slots=True, kw_only=True)
class Commit:
    """The state of the project's repository."""

    digest: str = ""  # hex; empty outside of a repository, before a commit, and without git
    dirty: bool = False  # whether a file of the project is changed, or not in the commit

    @property
    def state(self) -> str:
        """`clean`, `dirty`, or `none` where there is no commit."""
        return "none" if not self.digest else "dirty" if self.dirty else "clean"


def of(root: Path) -> Commit:
    """Return the commit that a folder is at; what git ignores does not make it dirty."""
    git = shutil.which("git")
    if git is None:
        return Commit()
    # A repository may name a program as its monitor, which nobody needs for one look.
    words: list[str | Path] = [git, "-C", root, "-c", "core.fsmonitor=false", "status"]
    words += ["--porcelain=v2", "--branch", "--untracked-files=normal", "--", "."]
    done = process.run(words, env=environ.child(GIT_OPTIONAL_LOCKS="0"), check=False)
    lines = done.stdout.splitlines() if done.code == 0 else []
    heads = [line.removeprefix(_HEAD) for line in lines if line.startswith(_HEAD)]
    digest = heads[0] if heads and heads[0].isalnum() else ""  # `(initial)` before the first
    return Commit(digest=digest, dirty=any(not line.startswith("#") for line in lines))
