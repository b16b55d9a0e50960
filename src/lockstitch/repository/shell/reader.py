"""Reads a POSIX shell's text into the simple commands that it may run, with their words.

What it does not follow it says: a word with `$(...)` or a variable is not `known`, `case` and
`for` keep their bodies and drop their heads, and whatever cannot be read is a problem. Aliases,
`eval` and functions are not followed; a function's name is in `functions`.
"""

import re
from dataclasses import dataclass, field, replace

from lockstitch.patterns import regex
from lockstitch.repository.shell.words import Operator, Part, Token, Tokens, Word
from lockstitch.repository.text.problem import Problem
from lockstitch.values import frozen

__all__ = ["Command", "Part", "Redirection", "Script", "Word", "line_starts", "read"]

_ASSIGNMENT = regex(r"([A-Za-z_][A-Za-z0-9_]*)(?:\[[^\]]*\])?\+?=")
_REDIRECTIONS = {"<", ">", ">>", "<<", "<<-", "<<<", "<&", ">&", "<>", ">|", "&>", "&>>"}
_OPENING = {"if", "while", "until", "{"}  # of `while`, `do` is what has an end
_MIDDLE = {"then", "elif", "else", "do", "!"}
_CLOSING = {"fi": "if", "done": "do", "}": "{", "esac": "case"}
_LARGEST = 200_000  # characters


@dataclass(frozen=True, slots=True)
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

    @property
    def arguments(self) -> tuple[str, ...]:
        """Return the words after the first, unknown parts as they stand."""
        return tuple(word.text for word in self.words[1:])


@frozen
class Script:
    """What a shell's text says."""

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
    reader = _Reader(Tokens(text, starts))
    return reader.run()


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

    def __init__(self, tokens: Tokens) -> None:
        self._tokens = tokens
        self._drafts: list[_Draft] = []
        self._draft: _Draft | None = None
        self._before = ""
        self._around: list[str] = []  # what is open: `(`, `if`, `case` …
        self._waiting: list[tuple[_Draft, int]] = []  # here-documents without their text
        self._functions: set[str] = set()
        self._pushed: Token | None = None

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

    def _next(self) -> Token | None:
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
        """Skip what a `for` goes over; a `do` on the same line is left."""
        while (token := self._next()) is not None:
            if isinstance(token, Word) and token.text == "do":
                return
            if isinstance(token, Operator) and token.text in {";", "\n"}:
                return
            if isinstance(token, Operator) and token.text == "(":
                self._skip_arithmetic()

    def _skip_arithmetic(self) -> None:
        """Skip up to the `))` of a `((`."""
        closed = False
        while (token := self._next()) is not None:
            closes = isinstance(token, Operator) and token.text == ")"
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
        if isinstance(token, Operator) and token.text == "(":
            token = self._next()  # its `)`
            return
        self._pushed = token

    def _skip_array(self) -> None:
        token = self._next()
        if not (isinstance(token, Operator) and token.text == "(" and token.tight):
            self._pushed = token
            return
        while token is not None and not (isinstance(token, Operator) and token.text == ")"):
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

    def _operator(self, operator: Operator) -> None:
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

    def _parenthesis(self, operator: Operator) -> None:
        draft = self._draft
        following = self._next()
        if draft is None:
            if isinstance(following, Operator) and following.text == "(" and following.tight:
                self._skip_arithmetic()
                return
            self._around.append("(")
            self._pushed = following
            return
        closes = isinstance(following, Operator) and following.text == ")"
        if closes and len(draft.words) == 1 and not draft.assignments and not draft.redirections:
            self._functions.add(draft.words[0].text)
            self._drafts.pop()
            self._draft = None
            return
        self._complain(operator.line, "a `(` stands inside of a command")
        self._pushed = following
        self._draft = None
        self._around.append("(")

    def _redirection(self, operator: Operator) -> None:
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
