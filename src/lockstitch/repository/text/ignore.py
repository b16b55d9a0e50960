"""Matches paths against .dockerignore and .gitignore.

A .dockerignore is read as moby/patternmatcher does it: one pattern a line, matched with the whole
path from the context's folder, `*` and `?` stay in one part, `**` crosses parts, a pattern that
matches a folder covers what is below it, `!` lets in again, and the last line that matches counts.
A pattern of .gitignore is turned into one that says the same there.
"""

import functools
import posixpath
import re

from lockstitch.repository.files import Repository
from lockstitch.values import frozen

_LONGEST = 1_000  # characters of one pattern
_MOST = 5_000  # patterns
_MOST_CROSSING = 2  # `**` inside of a part, as in `**.pyc`, in one pattern


@frozen
class Pattern:
    """One line; `allows` when it begins with `!`."""

    text: str
    allows: bool
    line: int

    def matches(self, path: str) -> bool:
        """Return whether it matches a path itself or a folder above it."""
        compiled = _compiled(self.text)
        parts = path.split("/")
        return any(compiled.fullmatch("/".join(parts[:n])) for n in range(1, len(parts) + 1))


@frozen
class Ignore:
    """The patterns of a .dockerignore; without lines it keeps nothing out."""

    path: str
    patterns: tuple[Pattern, ...] = ()

    def excludes(self, path: str) -> bool:
        """Return whether a path, from the context's folder, is kept out."""
        excluded = False
        for pattern in self.patterns:
            if pattern.allows == excluded and pattern.matches(path):
                excluded = not pattern.allows
        return excluded

    def excludes_all(self, folder: str) -> bool:
        """Return whether a folder is kept out with all that is in it."""
        if not self.excludes(folder):
            return False
        inside = f"{folder}/"
        return not any(
            pattern.allows
            and (pattern.text.startswith((inside, "**", "*/")) or "*" in pattern.text)
            for pattern in self.patterns
        )


def read(path: str, text: str) -> Ignore:
    """Return the patterns of a .dockerignore's text; it never raises."""
    patterns = []
    for number, line in enumerate(text.removeprefix("\ufeff").splitlines()[:_MOST], 1):
        if line.startswith("#"):
            continue
        bare = line.strip()
        allows = bare.startswith("!")
        bare = bare[1:].strip() if allows else bare
        if not bare or len(bare) > _LONGEST:
            continue
        clean = posixpath.normpath(bare).lstrip("/")
        if clean not in {"", "."}:
            patterns.append(Pattern(text=clean, allows=allows, line=number))
    return Ignore(path=path, patterns=tuple(patterns))


@functools.lru_cache(maxsize=2048)
def _compiled(pattern: str) -> re.Pattern[str]:
    """Return a pattern as an expression that takes quadratic time at most."""
    segments = [part for part in re.sub(r"(\*\*/)+", "**/", pattern).split("/") if part]
    if sum("**" in segment and segment != "**" for segment in segments) > _MOST_CROSSING:
        return re.compile(r"(?!)")
    runs: list[list[str]] = [[]]
    for segment in segments:
        if segment == "**":
            runs.append([])
        else:
            runs[-1].append(_segment(segment))
    parts = ["/".join(runs[0])]
    for number, run in enumerate(runs[1:], 1):
        lead = "/" if number == 1 and runs[0] else ""
        text = "/".join(run)
        if number == len(runs) - 1:
            parts.append(f"{lead}(?:.*/)?{text}" if run else f"{lead}.*")
        else:  # the first place where a run fits is as good as any later one
            parts.append(f"{lead}(?>(?:[^/]+/)*?{text}/)")
    try:
        return re.compile("".join(parts), re.DOTALL)
    except re.error:
        return re.compile(r"(?!)")


def _segment(text: str) -> str:
    pieces = [_plain(part) for part in re.split(r"(?<!\\)(\*+)", text)]
    stars = list(range(1, len(pieces), 2))
    parts = [pieces[0]]
    for n in stars:
        any_text = "." if len(pieces[n].replace("\\", "")) > 1 else "[^/]"
        if n == stars[-1]:
            parts.append(f"{any_text}*{pieces[n + 1]}")
        else:
            parts.append(f"(?>{any_text}*?{pieces[n + 1]})")
    return "".join(parts)


def _plain(text: str) -> str:
    """Return a piece without stars as an expression."""
    parts, at = [], 0
    while at < len(text):
        character = text[at]
        end = text.find("]", at + 2) if character == "[" else -1
        if character == "?":
            parts.append("[^/]")
        elif end > 0:
            inside = text[at + 1 : end].replace("\\", "\\\\").replace("[", "\\[")
            parts.append(f"[{inside}]")
            at = end
        elif character == "\\" and at + 1 < len(text):
            at += 1
            parts.append(re.escape(text[at]))
        else:
            parts.append(re.escape(character))
        at += 1
    return "".join(parts)


def is_git_ignored(repo: Repository, path: str) -> bool:
    """Return whether a .gitignore at or above a path names it.

    Where git can be asked, it is asked instead: what it ignores is no name of a repository.
    """
    folder = posixpath.dirname(path)
    while True:
        name = posixpath.join(folder, ".gitignore")
        patterns = "\n".join(_as_docker(line) for line in repo.lines(name))
        if read(name, patterns).excludes(path[len(folder) + 1 :] if folder else path):
            return True
        if not folder:
            return False
        folder = posixpath.dirname(folder)


def _as_docker(line: str) -> str:
    """Return a line of .gitignore as a .dockerignore has it, in which nothing recurses."""
    bare = line.strip()
    if not bare or bare.startswith("#"):
        return ""
    sign = "!" if bare.startswith("!") else ""
    bare = bare.removeprefix("!")
    inside = "/*" if bare.endswith(".env/") else ""  # a folder: a file of that name is not meant
    return f"{sign}{bare}" if "/" in bare.rstrip("/") else f"{sign}**/{bare.rstrip('/')}{inside}"
