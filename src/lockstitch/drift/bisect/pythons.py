"""Interpreters by version: those of the environments that are compared, this one, uv's."""

import functools
import platform
import sys
from collections.abc import Mapping

from lockstitch import environ, process
from lockstitch.errors import LockstitchError

__all__ = ["Pythons", "minor"]


def minor(version: str) -> str:
    """Return a version without its patch number; a `t` at its end is free-threaded."""
    return ".".join(version.split(".")[:2]).rstrip("t") + "t" * version.endswith("t")


class Pythons:
    """Finds interpreters, each once."""

    def __init__(self, known: Mapping[str, str] | None = None) -> None:
        """Start from programs by their exact version."""
        own = platform.python_version()
        self._known = {minor(own): sys.executable, own: sys.executable, **(known or {})}

    def path(self, version: str) -> str | None:
        """Return the program of a version, or None when it cannot be had here.

        One that is not installed is fetched by uv where it may fetch.
        """
        return self._known.get(version) or _of_uv(version)

    def need(self, version: str) -> str:
        """Return the program of a version, or raise LockstitchError."""
        found = self.path(version)
        if found is None:
            message = f"Python {version} cannot be had here"
            raise LockstitchError(message, hint=f"uv python install {version}")
        return found

    def both(self, before: str, after: str) -> tuple[str, str]:
        """Return the versions to make two environments with: exactly, else the minor ones.

        A patch version that cannot be had is none that can be tried: then both are the same.
        """
        if minor(before) != minor(after):
            return self._nearest(before), self._nearest(after)
        had = [each for each in (before, after) if self.path(each)]
        if len(had) == 2:  # noqa: PLR2004 -- both
            return before, after
        same = had[0] if had else minor(before)
        return same, same

    def _nearest(self, version: str) -> str:
        return version if self.path(version) else minor(version)


@functools.cache
def _of_uv(version: str) -> str | None:
    uv, env = process.find_uv(), environ.child(VIRTUAL_ENV=None)
    for words in (["find", "--no-project"], ["install", "--quiet"], ["find", "--no-project"]):
        done = process.run([uv, "python", *words, version], env=env, check=False)
        if done.code == 0 and words[0] == "find":
            return done.stdout.strip()
        if done.code != 0 and words[0] == "install":
            return None
    return None
