"""The commit that a repository's tag or branch names right now, from git."""

from collections.abc import Mapping
from pathlib import Path

from lockstitch import environ, process
from lockstitch.errors import LockstitchError
from lockstitch.patterns import regex

__all__ = ["is_commit", "names", "shown"]

_COMMIT = regex(r"[0-9a-f]{40}|[0-9a-f]{64}")
_LOGIN = regex(r"(?<=://)[^/@\s]+@")
# A server that says nothing for 20 seconds is not there.
_SLOW = ("-c", "http.lowSpeedLimit=1", "-c", "http.lowSpeedTime=20")


def is_commit(rev: str) -> bool:
    """Return whether a rev names a commit itself, which nobody can move."""
    return _COMMIT.fullmatch(rev) is not None


def shown(text: str) -> str:
    """Return a text with the logins of its addresses left out."""
    return _LOGIN.sub("", text)


def names(url: str, root: Path) -> Mapping[str, str]:
    """Return the commit of each tag and branch of a repository; a tag goes before a branch.

    Raises LockstitchError when git cannot ask it.
    """
    git = process.find("git", hint="apt-get install git")
    quiet = environ.child(GIT_TERMINAL_PROMPT="0", GIT_DIR=None, GIT_INDEX_FILE=None)
    done = process.run([git, *_SLOW, "ls-remote", "--", url], cwd=root, env=quiet, check=False)
    if done.code != 0:
        said = [line.strip() for line in done.stderr.splitlines() if line.strip()]
        tail = f": {shown(said[0])}" if said else ""
        message = f"`{shown(url)}` cannot be asked for its tags{tail}"
        raise LockstitchError(message)
    found: dict[str, str] = {}
    tags: dict[str, str] = {}
    for line in sorted(done.stdout.splitlines(), key=lambda each: each.partition("\t")[2]):
        commit, _, name = line.partition("\t")
        if not is_commit(commit):
            continue
        if name.startswith("refs/tags/"):
            # `v1^{}` follows `v1`: the commit that an annotated tag, an object of its own, means.
            tags[name.removeprefix("refs/tags/").removesuffix("^{}")] = commit
        else:
            found[name.removeprefix("refs/heads/")] = commit
    return found | tags
