"""Reads a POSIX shell's text into the simple commands that it may run, with their words.

What a word is made of stays apart: plain text, and parts whose value only a run can tell
(variables, `$(...)`, backticks, arithmetic, process substitution, `$'...'`). What the reader does
not follow it says: a word with such a part is not `known`, `case` and `for` keep their bodies and
drop their heads, and whatever cannot be read is a problem. Aliases, `eval` and functions are not
followed; a function's name is in `functions`.
"""

import re
from bisect import bisect_right
from dataclasses import dataclass, field

from lockstitch.patterns import regex
from lockstitch.values import Problem, frozen, positional, replace

_OPERATORS = regex(r"&&|\|\||;;&|;;|;&|\|&|&>>|&>|<<<|<<-|<<|<&|<>|>>|>&|>\||[;&|()<>\n]")
_BLANK = regex(r"(?:[ \t\r]|\\\r?\n)+")
_COMMENT = regex(r"#[^\n]*")
_PLAIN = regex(r"[^ \t\r\n;&|()<>\\'\"`$]+")
_IN_DOUBLE = regex(r'[^\\"`$]+')
_NAME = regex(r"[A-Za-z_][A-Za-z0-9_]*|[0-9@*#?$!-]")
_ENDS = {"(": ")", "{": "}", '"': '"', "`": "`"}
_MARKS = regex(r"[\\'\"`$(){}]")
_ASSIGNMENT = regex(r"([A-Za-z_][A-Za-z0-9_]*)(?:\[[^\]]*\])?\+?=")
_REDIRECTIONS = {"<", ">", ">>", "<<", "<<-", "<<<", "<&", ">&", "<>", ">|", "&>", "&>>"}
_OPENING = {"if", "while", "until", "{"}  # of `while`, `do` is what has an end
_MIDDLE = {"then", "elif", "else", "do", "!"}
_CLOSING = {"fi": "if", "done": "do", "}": "{", "esac": "case"}
_LARGEST = 200_000  # characters
_SHOWN = {
    "text": "{}",
    "variable": "${{{}}}",
    "command": "$({})",
    "arithmetic": "$(({}))",
    "process": "<({})",
    "escapes": "$'{}'",
}


@positional
class Part:
    """A piece of a word: `text`, or what a run puts there, as it stands between its marks."""

    kind: str  # text, variable, command, arithmetic, process, escapes
    text: str


@positional
class Word:
    """One word; where `known` is false its text holds pieces as they stand (`$HOME/x`)."""

    text: str
    line: int
    known: bool = True
    quoted: bool = False
    parts: tuple[Part, ...] = ()  # empty for plain text without quotes


@positional
class _Operator:
    """One operator; `tight` when no space stands before it, as in `2>`."""

    text: str
    line: int
    tight: bool


@positional
class Redirection:
    """One redirection; `body` is a here-document's text."""

    operator: str
    target: Word
    descriptor: str = ""  # the number before it, where one stands there
    body: str = ""
    body_line: int = 0


@frozen
class Command:
    """One simple command; lines are the file's."""

    words: tuple[Word, ...]  # the program first; empty for assignments or redirections alone
    assignments: tuple[tuple[str, Word], ...]  # NAME=VALUE before the program
    redirections: tuple[Redirection, ...]
    before: str  # the operator that it follows: `&&`, `||`, `;`, `|`, `&`, a line's end, or none
    line: int
    depth: int  # of subshells, groups, conditions and loops around it

    @property
    def program(self) -> str:
        """Return the first word, or an empty text when there is none or only a run can tell it."""
        return self.words[0].text if self.words and self.words[0].known else ""


@frozen
class Script:
    """The commands of a shell's text."""

    commands: tuple[Command, ...]
    functions: frozenset[str]
    problems: tuple[Problem, ...]


def line_starts(text: str, line: int) -> tuple[tuple[int, int], ...]:
    """Return at which offsets of a text which lines begin, when its first line is `line`."""
    offsets = [0, *(match.end() for match in re.finditer("\n", text))]
    return tuple((offset, line + number) for number, offset in enumerate(offsets))


def read(text: str, starts: tuple[tuple[int, int], ...] = ((0, 1),)) -> Script:
    """Return the simple commands of a shell's text; it never raises."""
    if len(text) > _LARGEST:
        line = starts[0][1]
        message = f"a script of more than {_LARGEST:,} characters is not read"
        problem = Problem(line=line, message=message, fatal=False)
        return Script(commands=(), functions=frozenset(), problems=(problem,))
    reader = _Reader(_Tokens(text, starts))
    return reader.run()


_Token = Word | _Operator


class _Tokens:
    """Reads a text token by token; fills `problems` on the way."""

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

    def next(self) -> _Token | None:
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
            return _Operator(match[0], self.line(start), start == before)
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
        """Read a variable or a substitution, after `$` or a backtick."""
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
        stack = [_ENDS[opening]]
        at = start
        while stack and (match := _MARKS.search(self._text, at)):
            at, mark = match.end(), match[0]
            quoting = stack[-1] == '"'
            if mark == "\\":
                at += 1
            elif mark == stack[-1]:
                stack.pop()
            elif mark == "$" and self._text[at : at + 1] in {"(", "{"}:
                stack.append(_ENDS[self._text[at]])
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


def _shown(part: Part) -> str:
    if part.kind == "variable" and part.text.isidentifier():
        return f"${part.text}"
    return _SHOWN[part.kind].format(part.text)


@dataclass(slots=True)
class _Draft:
    """A command that is being read; a here-document's text comes after its line."""

    words: list[Word] = field(default_factory=list)
    assignments: list[tuple[str, Word]] = field(default_factory=list)
    redirections: list[Redirection] = field(default_factory=list)
    before: str = ""
    line: int = 0
    depth: int = 0

    def command(self) -> Command:
        return Command(
            words=tuple(self.words),
            assignments=tuple(self.assignments),
            redirections=tuple(self.redirections),
            before=self.before,
            line=self.line,
            depth=self.depth,
        )


class _Reader:
    """Turns tokens into commands."""

    def __init__(self, tokens: _Tokens) -> None:
        self._tokens = tokens
        self._drafts: list[_Draft] = []
        self._draft: _Draft | None = None
        self._before = ""
        self._around: list[str] = []  # what is open: `(`, `if`, `case` …
        self._waiting: list[tuple[_Draft, int]] = []  # here-documents without their text
        self._functions: set[str] = set()
        self._pushed: _Token | None = None

    def run(self) -> Script:
        while (token := self._next()) is not None:
            if isinstance(token, Word):
                self._word(token)
            else:
                self._operator(token)
        if self._waiting:
            self._bodies()
        if self._around:
            self._complain(self._tokens.last, f"`{self._around[-1]}` has no end")
        return Script(
            commands=tuple(draft.command() for draft in self._drafts),
            functions=frozenset(self._functions),
            problems=tuple(self._tokens.problems),
        )

    def _next(self) -> _Token | None:
        token, self._pushed = self._pushed, None
        return token or self._tokens.next()

    def _complain(self, line: int, message: str) -> None:
        self._tokens.problems.append(Problem(line=line, message=message))

    def _opened(self, line: int) -> _Draft:
        if self._draft is None:
            depth = len(self._around)
            self._draft = _Draft(before=self._before, line=line, depth=depth)
            self._drafts.append(self._draft)
            self._before = ""
        return self._draft

    def _end(self, operator: str) -> None:
        if self._draft is not None:
            self._before = operator
        elif operator not in {"\n", ""} or not self._before:
            self._before = operator or self._before
        self._draft = None

    # --- words

    def _word(self, word: Word) -> None:
        if self._draft is None and not word.quoted and word.known and self._keyword(word):
            return
        draft = self._opened(word.line)
        match = None if draft.words else _ASSIGNMENT.match(word.text)
        if match is not None and _begins_plain(word, match.end()):
            value = _without(word, match.end())
            draft.assignments.append((match[1], value))
            if not value.text:
                self._skip_array()
            return
        draft.words.append(word)
        if word.text == "[[" and len(draft.words) == 1:
            self._condition(draft)

    def _keyword(self, word: Word) -> bool:
        text = word.text
        if text in _MIDDLE:
            return True
        if text in _OPENING:
            self._around.append("do" if text in {"while", "until"} else text)
        elif text in _CLOSING:
            self._close(_CLOSING[text], word)
        elif text in {"for", "select"}:
            self._around.append("do")
            self._skip_head()
        elif text == "case":
            self._around.append("case")
            self._skip_to("in", word)
            self._pattern()
        elif text == "function":
            name = self._next()
            if isinstance(name, Word):
                self._functions.add(name.text)
                self._skip_parentheses()
        else:
            return False
        return True

    def _close(self, opened: str, word: Word) -> None:
        if self._around and self._around[-1] == opened:
            self._around.pop()
        else:
            self._complain(word.line, f"`{word.text}` closes nothing")

    def _skip_head(self) -> None:
        """Skip the words of a `for`; a `do` on the same line is left."""
        while (token := self._next()) is not None:
            if isinstance(token, Word) and token.text == "do":
                return
            if isinstance(token, _Operator) and token.text in {";", "\n"}:
                return
            if isinstance(token, _Operator) and token.text == "(":
                self._skip_arithmetic()

    def _skip_arithmetic(self) -> None:
        """Skip up to the `))` of a `((`."""
        closed = False
        while (token := self._next()) is not None:
            closes = isinstance(token, _Operator) and token.text == ")"
            if closed and closes:
                return
            closed = closes
        self._complain(self._tokens.last, "`((` has no end")

    def _skip_to(self, text: str, word: Word) -> None:
        while (token := self._next()) is not None:
            if isinstance(token, Word) and token.text == text:
                return
        self._complain(word.line, f"`{word.text}` has no `{text}`")

    def _pattern(self) -> None:
        """Skip a `case`'s pattern up to its `)`, or end the `case`."""
        first = True
        while (token := self._next()) is not None:
            if isinstance(token, Word):
                if token.text == "esac" and not token.quoted and first:
                    self._close("case", token)
                    return
                first = False
            elif token.text == ")":
                return

    def _skip_parentheses(self) -> None:
        token = self._next()
        if isinstance(token, _Operator) and token.text == "(":
            token = self._next()  # its `)`
            return
        self._pushed = token

    def _skip_array(self) -> None:
        token = self._next()
        if not (isinstance(token, _Operator) and token.text == "(" and token.tight):
            self._pushed = token
            return
        while token is not None and not (isinstance(token, _Operator) and token.text == ")"):
            token = self._next()
        if token is None:
            self._complain(self._tokens.last, "`=(` has no end")

    def _condition(self, draft: _Draft) -> None:
        """Take all up to `]]` as words: `&&` and `<` mean something else there."""
        while (token := self._next()) is not None:
            word = token if isinstance(token, Word) else Word(token.text, token.line)
            draft.words.append(word)
            if word.text == "]]":
                return
        self._complain(draft.line, "`[[` has no `]]`")

    # --- operators

    def _operator(self, operator: _Operator) -> None:
        text = operator.text
        if text in _REDIRECTIONS:
            self._redirection(operator)
        elif text == "(":
            self._parenthesis(operator)
        elif text == ")":
            self._end("")
            if self._around and self._around[-1] == "(":
                self._around.pop()
            else:
                self._complain(operator.line, "`)` closes nothing")
        elif text in {";;", ";&", ";;&"}:
            self._end(";")
            if self._around and self._around[-1] == "case":
                self._pattern()
            else:
                self._complain(operator.line, f"`{text}` stands outside of a `case`")
        else:
            self._end(text)
            if text == "\n" and self._waiting:
                self._bodies()

    def _parenthesis(self, operator: _Operator) -> None:
        draft = self._draft
        following = self._next()
        if draft is None:
            if isinstance(following, _Operator) and following.text == "(" and following.tight:
                self._skip_arithmetic()
                return
            self._around.append("(")
            self._pushed = following
            return
        closes = isinstance(following, _Operator) and following.text == ")"
        if closes and len(draft.words) == 1 and not draft.assignments and not draft.redirections:
            self._functions.add(draft.words[0].text)
            self._drafts.pop()
            self._draft = None
            return
        self._complain(operator.line, "a `(` stands inside of a command")
        self._pushed = following
        self._draft = None
        self._around.append("(")

    def _redirection(self, operator: _Operator) -> None:
        draft = self._opened(operator.line)
        descriptor = ""
        if operator.tight and draft.words and draft.words[-1].text.isdecimal():
            descriptor = draft.words.pop().text
        target = self._next()
        if not isinstance(target, Word):
            self._complain(operator.line, f"`{operator.text}` has no target")
            self._pushed = target
            return
        draft.redirections.append(Redirection(operator.text, target, descriptor))
        if operator.text in {"<<", "<<-"}:
            self._waiting.append((draft, len(draft.redirections) - 1))

    def _bodies(self) -> None:
        for draft, number in self._waiting:
            opened = draft.redirections[number]
            chomp = opened.operator == "<<-"
            text, line = self._tokens.body(opened.target.text, chomp=chomp)
            draft.redirections[number] = replace(opened, body=text, body_line=line)
        self._waiting = []


def _begins_plain(word: Word, length: int) -> bool:
    """Return whether the first characters of a word are neither quoted nor of a variable."""
    if not word.parts:
        return True
    first = word.parts[0]
    return first.kind == "text" and len(first.text) >= length


def _without(word: Word, length: int) -> Word:
    if not word.parts:
        return replace(word, text=word.text[length:])
    first, *others = word.parts
    parts = (Part("text", first.text[length:]), *others)
    return replace(word, text=word.text[length:], parts=parts)
