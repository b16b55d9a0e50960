"""The physical lines of a Dockerfile joined to the lines that instructions stand on.

As BuildKit does it (frontend/dockerfile/parser/parser.go, directives.go): comments and blank lines
between continuations are skipped, a continuation is the escape character at the end of a line
unless another stands before it, and parser directives count only before everything else.
"""

from dataclasses import dataclass

from lockstitch.patterns import regex
from lockstitch.repository.dockerfile.words import SPACES
from lockstitch.repository.text.problem import Problem
from lockstitch.values import frozen

__all__ = ["Comment", "Directive", "Joined", "Lines"]

_DIRECTIVE = regex(r"#\s*([a-zA-Z][a-zA-Z0-9]*)\s*=(.*)")
_KNOWN = {"syntax", "escape", "check"}
_LONGEST = 65_535  # bytes: the buffer of BuildKit's scanner


@frozen
class Comment:
    """One comment of a Dockerfile, without its `#`."""

    line: int
    text: str


@frozen
class Directive:
    """One parser directive; its name is in small letters."""

    line: int
    name: str
    value: str


@dataclass(frozen=True, slots=True)
class Joined:
    """An instruction's line: its text, and at which offsets of it which file lines begin."""

    text: str
    first: int
    last: int
    starts: tuple[tuple[int, int], ...]


class Lines:
    """Goes through a text once; `problems`, `comments` and `directives` fill on the way."""

    def __init__(self, text: str) -> None:
        """Start before the first line; a byte order mark is skipped."""
        self._lines = text.removeprefix("\ufeff").split("\n")
        if not self._lines[-1]:
            self._lines.pop()  # the end of the last line, and not a line
        self._at = 0
        self._head = True
        self.escape = "\\"
        self.comments: list[Comment] = []
        self.directives: dict[str, Directive] = {}
        self.problems: list[Problem] = []
        if len(text) > _LONGEST // 4:
            self._measure()

    @property
    def line(self) -> int:
        """Return the number of the line that was read last."""
        return self._at

    def instruction(self) -> Joined | None:
        """Return the next line that is no comment and not blank, or None at the end."""
        while self._at < len(self._lines):
            line = self._lines[self._at].rstrip("\r").lstrip(SPACES)
            self._at += 1
            if line.startswith("#"):
                self._comment(line)
                continue
            self._head = False
            if line:
                return self._joined(line)
        return None

    def body(self, name: str, *, chomp: bool) -> tuple[str, bool]:
        """Return the lines before one that is `name`, which is skipped, and whether it came."""
        start = self._at
        while self._at < len(self._lines):
            line = self._lines[self._at].rstrip("\r")
            self._at += 1
            if (line.lstrip("\t") if chomp else line) == name:
                return "".join(f"{each}\n" for each in self._lines[start : self._at - 1]), True
        return "".join(f"{each}\n" for each in self._lines[start:]), False

    def _joined(self, line: str) -> Joined:
        first = self._at
        line, goes_on = self._cut(line)
        if not goes_on:
            return Joined(line, first, first, ((0, first),))
        parts, starts, length, blank = [line], [(0, first)], len(line), 0
        while goes_on and self._at < len(self._lines):
            line = self._lines[self._at].rstrip("\r")
            self._at += 1
            stripped = line.lstrip(SPACES)
            if stripped.startswith("#"):
                self._comment(stripped)
            elif not stripped:
                blank = blank or self._at
            else:
                line, goes_on = self._cut(line)
                starts.append((length, self._at))
                parts.append(line)
                length += len(line)
        if blank:
            message = "a blank line stands inside a continued instruction"
            self.problems.append(Problem(line=blank, message=message, fatal=False))
        return Joined("".join(parts), first, self._at, tuple(starts))

    def _cut(self, line: str) -> tuple[str, bool]:
        body = line.rstrip(" \t")
        if body.endswith(self.escape) and not body.endswith(self.escape * 2):
            return body[:-1], True
        return line, False

    def _comment(self, line: str) -> None:
        directive = _DIRECTIVE.fullmatch(line) if self._head else None
        name = directive[1].lower() if directive else ""
        value = directive[2].strip() if directive else ""
        if not value or name not in _KNOWN:
            self._head = False
            self.comments.append(Comment(line=self._at, text=line[1:].strip()))
        elif name in self.directives:
            self._complain(f"only one `{name}` parser directive may stand in a file")
        else:
            self.directives[name] = Directive(line=self._at, name=name, value=value)
            if name == "escape" and value not in {"\\", "`"}:
                self._complain(f"`escape` must be a backslash or a backtick, found `{value:.20}`")
            elif name == "escape":
                self.escape = value

    def _complain(self, message: str) -> None:
        self.problems.append(Problem(line=self._at, message=message))

    def _measure(self) -> None:
        for number, line in enumerate(self._lines, 1):
            if len(line.encode(errors="surrogatepass")) > _LONGEST:
                message = f"a line is longer than {_LONGEST:,} bytes, which BuildKit refuses"
                self.problems.append(Problem(line=number, message=message))
