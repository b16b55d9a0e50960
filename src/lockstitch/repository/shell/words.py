"""The words and operators of a shell's text, with the line of each.

What a word is made of stays apart: plain text, and parts whose value only a run can tell
(variables, `$(...)`, backticks, arithmetic, process substitution, `$'...'`).
"""

import re
from bisect import bisect_right
from dataclasses import dataclass

from lockstitch.patterns import regex
from lockstitch.repository.text.problem import Problem

__all__ = ["Operator", "Part", "Token", "Tokens", "Word"]

_OPERATORS = regex(r"&&|\|\||;;&|;;|;&|\|&|&>>|&>|<<<|<<-|<<|<&|<>|>>|>&|>\||[;&|()<>\n]")
_BLANK = regex(r"(?:[ \t\r]|\\\r?\n)+")
_COMMENT = regex(r"#[^\n]*")
_PLAIN = regex(r"[^ \t\r\n;&|()<>\\'\"`$]+")
_IN_DOUBLE = regex(r'[^\\"`$]+')
_NAME = regex(r"[A-Za-z_][A-Za-z0-9_]*|[0-9@*#?$!-]")
_CLOSING = {"(": ")", "{": "}", '"': '"', "`": "`"}
_MARKS = regex(r"[\\'\"`$(){}]")


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of a word: `text`, or what a run puts there, as it stands between its marks."""

    kind: str  # text, variable, command, arithmetic, process, escapes
    text: str


@dataclass(frozen=True, slots=True)
class Word:
    """One word; where `known` is false its text holds pieces as they stand (`$HOME/x`)."""

    text: str
    line: int
    known: bool = True
    quoted: bool = False
    parts: tuple[Part, ...] = ()  # empty for plain text without quotes


@dataclass(frozen=True, slots=True)
class Operator:
    """One operator; `tight` when no space stands before it, as in `2>`."""

    text: str
    line: int
    tight: bool


Token = Word | Operator


class Tokens:
    """Goes through a text once; `problems` fills on the way."""

    def __init__(self, text: str, starts: tuple[tuple[int, int], ...]) -> None:
        """Start at the beginning; `starts` says at which offsets which lines begin."""
        self._text = text
        self._at = 0
        self._offsets = [offset for offset, _ in starts]
        self._numbers = [number for _, number in starts]
        self.problems: list[Problem] = []

    @property
    def last(self) -> int:
        """Return the line that was read last."""
        return self.line(min(self._at, len(self._text)))

    def line(self, offset: int) -> int:
        """Return the line of the file that an offset stands on."""
        return self._numbers[max(0, bisect_right(self._offsets, offset) - 1)]

    def next(self) -> Token | None:
        """Return the next word or operator, or None at the end."""
        text, before = self._text, self._at
        if match := _BLANK.match(text, self._at):
            self._at = match.end()
        if match := _COMMENT.match(text, self._at):
            self._at = match.end()
        if self._at >= len(text):
            return None
        if text.startswith(("<(", ">("), self._at):
            return self._word()
        if match := _OPERATORS.match(text, self._at):
            start, self._at = self._at, match.end()
            return Operator(match[0], self.line(start), start == before)
        return self._word()

    def body(self, name: str, *, chomp: bool) -> tuple[str, int]:
        """Return the lines up to one that is `name`, and the line where they begin."""
        first = self.line(self._at)
        lines: list[str] = []
        while self._at < len(self._text):
            end = self._text.find("\n", self._at)
            end = len(self._text) if end < 0 else end
            line = self._text[self._at : end].rstrip("\r")
            self._at = min(end + 1, len(self._text))
            line = line.lstrip("\t") if chomp else line
            if line == name:
                return "".join(lines), first
            lines.append(f"{line}\n")
        self._complain(first, f"the here-document `{name:.40}` has no end")
        return "".join(lines), first

    def _complain(self, line: int, message: str) -> None:
        self.problems.append(Problem(line=line, message=message))

    def _word(self) -> Word:
        text, start = self._text, self._at
        if (match := _PLAIN.match(text, start)) and text[match.end() : match.end() + 1] in (
            *("", " ", "\n", "\t", ";", "&", "|", ")"),
        ):
            self._at = match.end()
            return Word(match[0], self.line(start))
        parts: list[Part] = []
        quoted = False
        while self._at < len(text):
            character = text[self._at]
            if match := _PLAIN.match(text, self._at):
                self._at = match.end()
                parts.append(Part("text", match[0]))
            elif character in "\\'\"":
                quoted = self._quoted(character, parts) or quoted
            elif character in "$`":
                parts.append(self._value(character))
            elif text.startswith(("<(", ">("), self._at) and self._at == start:
                parts.append(self._enclosed(2, "process", "("))
            else:
                break
        known = all(part.kind == "text" for part in parts)
        whole = "".join(_shown(part) for part in parts)
        return Word(whole, self.line(start), known, quoted, tuple(parts))

    def _quoted(self, character: str, parts: list[Part]) -> bool:
        """Read an escape or a quotation; return whether something was quoted."""
        text, at = self._text, self._at
        if character == "\\":
            self._at = at + 2
            following = text[at + 1 : at + 2]
            if following != "\n":  # which the shell drops
                parts.append(Part("text", following))
            return True
        if character == "'":
            end = text.find("'", at + 1)
            if end < 0:
                end = len(text)
                self._complain(self.line(at), "a single quote is not closed")
            parts.append(Part("text", text[at + 1 : end]))
            self._at = end + 1
            return True
        self._double(parts)
        return True

    def _double(self, parts: list[Part]) -> None:
        text, opened = self._text, self._at
        self._at += 1
        if text.startswith('"', self._at):
            parts.append(Part("text", ""))
        while self._at < len(text):
            character = text[self._at]
            if match := _IN_DOUBLE.match(text, self._at):
                self._at = match.end()
                parts.append(Part("text", match[0]))
            elif character == '"':
                self._at += 1
                return
            elif character == "\\":
                following = text[self._at + 1 : self._at + 2]
                self._at += 2
                if following != "\n":
                    kept = "" if following and following in '$`"\\' else "\\"
                    parts.append(Part("text", kept + following))
            else:
                parts.append(self._value(character))
        self._complain(self.line(opened), "a double quote is not closed")

    def _value(self, character: str) -> Part:
        """Read what begins with `$` or a backtick."""
        text, at = self._text, self._at
        if character == "`":
            return self._enclosed(1, "command", "`")
        if text.startswith("$((", at):
            part = self._enclosed(2, "arithmetic", "(")
            return Part(part.kind, part.text[1:-1])
        if text.startswith("$(", at):
            return self._enclosed(2, "command", "(")
        if text.startswith("${", at):
            return self._enclosed(2, "variable", "{")
        if text.startswith("$'", at):
            end = re.compile(r"(?:[^'\\]|\\.)*+", re.DOTALL).match(text, at + 2)
            self._at = (end.end() if end else len(text)) + 1
            return Part("escapes", text[at + 2 : self._at - 1])
        if match := _NAME.match(text, at + 1):
            self._at = match.end()
            return Part("variable", match[0])
        self._at += 1
        return Part("text", "$")

    def _enclosed(self, skip: int, kind: str, opening: str) -> Part:
        """Read up to the closing mark; quotes and further openings inside count."""
        start = self._at + skip
        stack = [_CLOSING[opening]]
        at = start
        while stack and (match := _MARKS.search(self._text, at)):
            at, mark = match.end(), match[0]
            quoting = stack[-1] == '"'
            if mark == "\\":
                at += 1
            elif mark == stack[-1]:
                stack.pop()
            elif mark == "$" and self._text[at : at + 1] in {"(", "{"}:
                stack.append(_CLOSING[self._text[at]])
                at += 1
            elif mark == "'" and not quoting:
                end = self._text.find("'", at)
                at = len(self._text) if end < 0 else end + 1
            elif mark in '"`' and not (quoting and mark == '"'):
                stack.append(mark)
            elif mark == "(" and stack[-1] == ")":
                stack.append(")")
        if stack:
            self._complain(
                self.line(start - skip), f"`{self._text[start - skip : start]}` has no end"
            )
            at = len(self._text) + 1
        self._at = min(at, len(self._text))
        return Part(kind, self._text[start : at - 1])


_SHOWN = {
    "text": "{}",
    "variable": "${{{}}}",
    "command": "$({})",
    "arithmetic": "$(({}))",
    "process": "<({})",
    "escapes": "$'{}'",
}


def _shown(part: Part) -> str:
    if part.kind == "variable" and part.text.isidentifier():
        return f"${part.text}"
    return _SHOWN[part.kind].format(part.text)
