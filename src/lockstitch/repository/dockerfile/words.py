"""Quotes, escapes and variables in a Dockerfile's words, as BuildKit reads them.

The facts are of moby/buildkit, frontend/dockerfile/shell/lex.go: `$name`, `${name}` with `-`, `+`
and `?` (and `:` before them), `#`, `##`, `%`, `%%`, and `/` or `//` with a pattern. No command
substitution, no arithmetic, no assignment (`${name:=x}` is refused).
"""

import re
from collections.abc import Mapping

from lockstitch.values import frozen, positional, replace

# Unicode's White_Space, which Go's `unicode.IsSpace` asks; Python's `isspace` has four more.
SPACES = (
    "\t\n\v\f\r \x85\xa0\u1680"
    + "".join(map(chr, range(0x2000, 0x200B)))
    + ("\u2028\u2029\u202f\u205f\u3000")
)
_PARAMETERS = "@*#?-$!0"  # of a shell; a Dockerfile sets none
_DEEPEST = 50
_LONGEST = 8_192  # a chain of `ENV a=$a$a` doubles with each line
_LONGEST_PATTERN = 100
_LONGEST_MATCHED = 1_000


class WordError(ValueError):
    """Says why a word cannot be read; `name` is set where `${name?}` lacks its value."""

    def __init__(self, message: str, *, name: str = "") -> None:
        super().__init__(message)
        self.name = name


@positional
class Expanded:
    """A text after expansion, and the names in it that have no value here."""

    text: str
    unknown: tuple[str, ...] = ()  # empty in the text, unless the base image or `--build-arg` say
    wrong: str = ""  # why the text stands here as it was written


@frozen
class Scope:
    """The variables of an instruction; consecutive instructions share one where they can."""

    values: Mapping[str, str]  # of ARG and ENV, the last one counts; a base image's are not known
    arguments: frozenset[str] = frozenset()  # declared by ARG: `--build-arg` may say otherwise
    shell: tuple[str, ...] = ("/bin/sh", "-c")
    escape: str = "\\"

    def expand(self, text: str) -> Expanded:
        """Return a text as BuildKit would expand it; where it would refuse, the text and why."""
        try:
            return expand(text, self.values, self.escape)
        except WordError as error:
            return Expanded(text, (error.name,) if error.name else (), str(error))

    def expand_words(self, text: str) -> tuple[str, ...]:
        """Return a text's words after expansion; where BuildKit would refuse it, as they stand."""
        try:
            return expand_words(text, self.values, self.escape)
        except WordError:
            return tuple(text.split())

    def with_values(self, values: Mapping[str, str], arguments: frozenset[str]) -> "Scope":
        """Return this scope after an ARG or ENV."""
        return replace(self, values={**self.values, **values}, arguments=self.arguments | arguments)


def expand(text: str, values: Mapping[str, str], escape: str = "\\") -> Expanded:
    """Return a text with variables expanded, without quotes; raises WordError as BuildKit."""
    if "$" not in text and "'" not in text and '"' not in text and escape not in text:
        return Expanded(text)
    lexer = _Lexer(text, values, escape)
    return Expanded(lexer.run(), tuple(dict.fromkeys(lexer.unknown)))


def expand_words(text: str, values: Mapping[str, str], escape: str = "\\") -> tuple[str, ...]:
    """Return the words of an expanded text; raises WordError where BuildKit refuses it."""
    return _Lexer(text, values, escape).words()


def raw_words(text: str) -> tuple[str, ...]:
    """Return the words of a text with quotes, escapes and variables left; none if unbalanced."""
    try:
        return _Lexer(text, {}, quotes=True, escapes=True, unset=True).words()
    except WordError:
        return ()


def unquoted(text: str) -> tuple[tuple[str, ...], bool]:
    """Return unquoted words, and whether one was quoted; raises WordError for open quotes."""
    plain = _Lexer(text, {}, unset=True).words()
    if len(plain) != 1:
        return plain, False
    quoted = _Lexer(text, {}, quotes=True, unset=True).words()[0]
    return plain, any(quoted.count(mark) != plain[0].count(mark) for mark in "'\"")


class _Lexer:
    """Reads one text from left to right."""

    def __init__(
        self,
        text: str,
        values: Mapping[str, str],
        escape: str = "\\",
        *,
        quotes: bool = False,
        escapes: bool = False,
        unset: bool = False,
    ) -> None:
        """Start at the beginning; quotes, escapes and variables without a value can be kept."""
        self._text = text
        self._at = 0
        self._values = values
        self._escape = escape
        self._keep_quotes = quotes
        self._keep_escapes = escapes
        self._keep_unset = unset
        self._depth = 0
        self._words: list[str] = []
        self._open: list[str] = []  # pieces of the word that is being read
        self.unknown: list[str] = []

    def run(self) -> str:
        """Return the whole text."""
        return self._until("", keep_escapes=self._keep_escapes)

    def words(self) -> tuple[str, ...]:
        """Return the text's words: spaces end one, unless they come from quotes or escapes."""
        self.run()
        if self._open:
            self._words.append("".join(self._open))
        return tuple(self._words)

    def _peek(self) -> str:
        return self._text[self._at : self._at + 1]

    def _next(self) -> str:
        character = self._text[self._at : self._at + 1]
        self._at += 1
        return character

    def _until(self, stop: str, *, keep_escapes: bool) -> str:
        outer, self._keep_escapes = self._keep_escapes, keep_escapes
        self._depth += 1
        if self._depth > _DEEPEST:
            raise WordError(f"`${{` is nested deeper than {_DEEPEST}")
        result, length = [], 0
        while (character := self._peek()) and character != stop:
            part, whole = self._part(character)
            result.append(part)
            length += len(part)
            if length > _LONGEST:
                raise WordError(f"a text grows beyond {_LONGEST:,} characters")
            if self._depth == 1:
                self._gather(part, whole=whole)
        if stop and not self._peek():
            raise WordError("`${` has no `}`" if stop == "}" else f"`${{` has no `{stop}`")
        self._at += len(stop)
        self._depth -= 1
        self._keep_escapes = outer
        return "".join(result)

    def _gather(self, part: str, *, whole: bool) -> None:
        """Add to the word that is open; spaces end it unless the part is one whole."""
        if whole:
            self._open += [part] if part else []
            return
        for character in part:
            if character not in SPACES:
                self._open.append(character)
            elif self._open:
                self._words.append("".join(self._open))
                self._open.clear()

    def _part(self, character: str) -> tuple[str, bool]:
        """Return the next part, and whether spaces in it belong to the word."""
        if character == "$":
            return self._dollar(), False
        if character == "'":
            return self._single(), True
        if character == '"':
            return self._double(), True
        if character == "<":
            return self._angle(), True
        part = self._next()
        if part != self._escape:
            return part, False
        return (part if self._keep_escapes else "") + self._next(), True

    def _single(self) -> str:
        end = self._text.find("'", self._at + 1)
        if end < 0:
            raise WordError("a single quote is not closed")
        inner = self._text[self._at + 1 : end]
        self._at = end + 1
        return f"'{inner}'" if self._keep_quotes else inner

    def _double(self) -> str:
        self._at += 1
        parts = []
        while (character := self._peek()) != '"':
            if not character:
                raise WordError("a double quote is not closed")
            if character == "$":
                parts.append(self._dollar())
                continue
            self._at += 1
            if character == self._escape:
                if self._keep_escapes:
                    parts.append(character)
                if self._peek() in {'"', "$", self._escape}:  # all others stay as they are
                    character = self._next()
                elif not self._peek():
                    continue
            parts.append(character)
        self._at += 1
        inner = "".join(parts)
        return f'"{inner}"' if self._keep_quotes else inner

    def _angle(self) -> str:
        # `<< EOF` is one word for a here-document, spaces included.
        start = self._at
        self._at += 1
        if self._peek() == "<":
            self._at += 1
            while self._peek() in {"\t", "\r", " "}:
                self._at += 1
        return self._text[start : self._at]

    def _name(self) -> str:
        start = self._at
        first = self._peek()
        if first.isdecimal():
            while self._peek().isdecimal():
                self._at += 1
        elif first and first in _PARAMETERS:
            self._at += 1
        else:
            while (character := self._peek()) and (character.isalnum() or character == "_"):
                self._at += 1
        return self._text[start : self._at]

    def _value(self, name: str) -> str | None:
        value = self._values.get(name)
        if value is None:
            self.unknown.append(name)
        return value

    def _dollar(self) -> str:
        """Read a variable, which begins with `$`."""
        self._at += 1
        if self._peek() != "{":
            name = self._name()
            value = self._value(name) if name else "$"
            return f"${name}" if value is None and self._keep_unset else value or ""
        self._at += 1
        if self._peek() in {"", "{", "}", ":"}:
            raise WordError(f"`${{{self._peek()}` is no variable")
        name = self._name()
        operator = self._next()
        if operator == "}":
            value = self._value(name)
            return f"${{{name}}}" if value is None and self._keep_unset else value or ""
        if operator == "/":
            return self._replace(name)
        colon = operator == ":"
        operator = self._next() if colon else operator
        if not operator or operator not in "+-?#%" or (colon and operator in "#%"):
            shown = (":" if colon else "") + operator
            raise WordError(f"`${{{name}{shown}` is nothing that a Dockerfile knows")
        word = self._until("}", keep_escapes=operator in "#%")
        value = self._value(name)
        if value is None and self._keep_unset:
            return f"${{{name}{':' if colon else ''}{operator}{word}}}"
        missing = value is None or (colon and not value)
        if operator in "#%":
            longest = word.startswith(operator)
            return _cut(value or "", operator, word[longest:], longest=longest)
        if operator == "+":
            return "" if missing else word
        if operator == "?" and missing:
            message = f"`{name}` {word or 'has no value'}"
            raise WordError(message, name=name if value is None else "")
        return word if missing else value or ""

    def _replace(self, name: str) -> str:
        everywhere = self._peek() == "/"
        self._at += everywhere
        pattern = self._until("/", keep_escapes=True)
        replacement = self._until("}", keep_escapes=True)
        value = self._value(name)
        if value is None and self._keep_unset:
            return f"${{{name}/{pattern}/{replacement}}}"
        return _replaced(value or "", pattern, replacement, everywhere=everywhere)


def _cut(value: str, operator: str, pattern: str, *, longest: bool) -> str:
    """Return a value without the shortest or longest start, or end, that fits a pattern."""
    runs = _runs(value, pattern)
    if operator == "#":
        match = _compiled(runs, longest=longest).match(value)
        return value[match.end() :] if match else value
    match = _compiled([run[::-1] for run in reversed(runs)], longest=longest).match(value[::-1])
    return value[: len(value) - match.end()] if match else value


def _replaced(value: str, pattern: str, replacement: str, *, everywhere: bool) -> str:
    """Return a value with the first, or every, longest fit of a pattern replaced."""
    end = -1

    def put(match: re.Match[str]) -> str:
        nonlocal end
        if match.start() == match.end() == end:  # nothing, right behind a fit: Go leaves it
            return ""
        end = match.end()
        return replacement

    compiled = _compiled(_runs(value, pattern), longest=True)
    return compiled.sub(put, value, count=0 if everywhere else 1)


def _runs(value: str, pattern: str) -> list[list[str]]:
    """Return a pattern's pieces between its stars, each character as an expression."""
    if len(pattern) > _LONGEST_PATTERN or len(value) > _LONGEST_MATCHED:
        raise WordError(f"a pattern of {len(pattern)} characters for {len(value)} is too much")
    runs: list[list[str]] = [[]]
    characters = iter(pattern)
    for character in characters:
        if character == "*":
            runs.append([])
        elif character == "?":
            runs[-1].append(".")
        elif character == "\\":
            # `}` and `/` are escaped for the sake of `${}`, the others for the pattern's.
            escaped = next(characters, "")
            if not escaped or escaped not in "*?\\}/":
                raise WordError(f"`\\{escaped}` is no escape of a pattern")
            runs[-1].append(re.escape(escaped))
        else:
            runs[-1].append(re.escape(character))
    return runs


def _compiled(runs: list[list[str]], *, longest: bool) -> re.Pattern[str]:
    """Return an expression that no pattern can blow up.

    Each run is looked for once: the first place where it fits is as good as any later one, and
    of the last run the latest place makes the longest fit.
    """
    first, *others = ("".join(run) for run in runs)
    parts = [rf"(?>.*?{run})" for run in others]
    if others and longest:
        parts[-1] = f"(?>.*{others[-1]})"
    return re.compile(first + "".join(parts), re.DOTALL)
