"""Files as git keeps them: a lock of another revision is read without a checkout."""

from dataclasses import dataclass
from pathlib import Path

from lockstitch import process
from lockstitch.errors import LockstitchError

__all__ = ["Revision", "dirty", "revision"]

_HINT = "git log --oneline"


@dataclass(frozen=True, slots=True, kw_only=True)
class Revision:
    """A commit, seen from a folder of its repository."""

    folder: Path
    commit: str

    def names(self) -> frozenset[str]:
        """Return the names of what stands in the folder."""
        words = ["ls-tree", "--name-only", "-z", self.commit, "./"]
        return frozenset(_git(self.folder, *words).stdout.split("\0")) - {""}

    def text(self, path: str) -> str:
        """Return a file by its path from the folder, or raise LockstitchError."""
        done = _git(self.folder, "show", f"{self.commit}:./{path}", check=False)
        if done.code != 0:
            message = f"`{path}` is not in the commit {self.commit[:12]}"
            raise LockstitchError(message, hint=f"git ls-tree --name-only {self.commit[:12]}")
        return done.stdout


def revision(folder: Path, name: str) -> Revision | None:
    """Return the commit that git knows by a name such as `HEAD~5`, or None."""
    words = ["rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}"]
    try:
        done = _git(folder, *words, check=False)
    except LockstitchError:
        return None  # no git here: no revision either
    found = done.stdout.strip()
    return Revision(folder=folder, commit=found) if done.code == 0 and found else None


def dirty(folder: Path) -> tuple[str, ...]:
    """Return the files below a folder that differ from the commit or are new to git, sorted."""
    words = ["status", "--porcelain=v1", "-z", "--no-renames", "--untracked-files=all", "--", "."]
    done = _git(folder, *words, check=False)
    return tuple(sorted(line[3:] for line in done.stdout.split("\0") if line))


def _git(folder: Path, *words: str, check: bool = True) -> process.Finished:
    program = process.find("git", hint="install git")
    # A repository's own settings must not start a pager or a file system monitor.
    safe = ["--no-pager", "-c", "core.fsmonitor=false"]
    return process.run([program, *safe, "-C", folder, *words], check=check, hint=_HINT)
