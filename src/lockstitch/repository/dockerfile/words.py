"""Quotes, escapes and variables in a Dockerfile's words, as BuildKit reads them.

The facts are of moby/buildkit, frontend/dockerfile/shell/lex.go: `$name`, `${name}` with `-`, `+`
and `?` (and `:` before them), `#`, `##`, `%`, `%%`, and `/` or `//` with a pattern. No command
substitution, no arithmetic, no assignment (`${name:=x}` is refused).
"""

from collections.abc import Mapping
from dataclasses import dataclass

from lockstitch.repository.text.globs import PatternError, replaced, without_prefix, without_suffix

__all__ = ["SPACES", "Expanded", "MissingError", "WordError", "expand", "expand_words"]
__all__ += ["raw_words", "unquoted"]

# Unicode's White_Space, which Go's `unicode.IsSpace` asks; Python's `isspace` has four more.
SPACES = (
    "\t\n\v\f\r \x85\xa0\u1680"
    + "".join(map(chr, range(0x2000, 0x200B)))
    + ("\u2028\u2029\u202f\u205f\u3000")
)
_PARAMETERS = "@*#?-$!0"  # of a shell; a Dockerfile sets none
_DEEPEST = 50
_LONGEST = 8_192  # a chain of `ENV a=$a$a` doubles with each line


class WordError(ValueError):
    """Says why a word cannot be read."""


class MissingError(WordError):
    """Says that `${name?}` asks for a value that the file does not give."""

    def __init__(self, name: str, message: str) -> None:
        """Keep the name."""
        super().__init__(message)
        self.name = name


@dataclass(frozen=True, slots=True)
class Expanded:
    """A text after expansion, and the names in it that have no value here."""

    text: str
    unknown: tuple[str, ...] = ()  # empty in the text, unless the base image or `--build-arg` say
    wrong: str = ""  # why the text stands here as it was written


def expand(text: str, values: Mapping[str, str], escape: str = "\\") -> Expanded:
    """Return a text with its variables replaced and its quotes removed.

    Raises WordError where BuildKit refuses the text.
    """
    if "$" not in text and "'" not in text and '"' not in text and escape not in text:
        return Expanded(text)
    lexer = _Lexer(text, values, escape)
    result, _ = lexer.run()
    return Expanded(result, tuple(dict.fromkeys(lexer.unknown)))


def expand_words(text: str, values: Mapping[str, str], escape: str = "\\") -> tuple[str, ...]:
    """Return the words of a text after expansion: a value with spaces is several."""
    lexer = _Lexer(text, values, escape)
    return tuple(lexer.run(split=True)[1])


def raw_words(text: str) -> tuple[str, ...]:
    """Return the words of a text with quotes, escapes and variables left; none if unbalanced."""
    lexer = _Lexer(text, {}, "\\", quotes=True, escapes=True, unset=True)
    try:
        return tuple(lexer.run(split=True)[1])
    except WordError:
        return ()


def unquoted(text: str) -> tuple[tuple[str, ...], bool]:
    """Return the words of a text without quotes, and whether any of it was quoted."""
    plain = _Lexer(text, {}, "\\", unset=True).run(split=True)[1]
    if len(plain) != 1:
        return tuple(plain), False
    quoted = _Lexer(text, {}, "\\", quotes=True, unset=True).run(split=True)[1]
    return tuple(plain), _quotes(plain[0]) != _quotes(quoted[0])


def _quotes(text: str) -> int:
    return text.count("'") + text.count('"')


class _Words:
    """Gathers words: spaces end one, unless they come from quotes or escapes."""

    def __init__(self, *, wanted: bool) -> None:
        self._wanted = wanted
        self._done: list[str] = []
        self._open: list[str] = []

    def add(self, text: str) -> None:
        if not self._wanted:
            return
        for character in text:
            if character not in SPACES:
                self._open.append(character)
            elif self._open:
                self._close()

    def add_raw(self, text: str) -> None:
        if text and self._wanted:
            self._open.append(text)

    def _close(self) -> None:
        self._done.append("".join(self._open))
        self._open.clear()

    def all(self) -> list[str]:
        if self._open:
            self._close()
        return self._done


class _Lexer:
    """Reads one text from left to right."""

    def __init__(
        self,
        text: str,
        values: Mapping[str, str],
        escape: str,
        *,
        quotes: bool = False,
        escapes: bool = False,
        unset: bool = False,
    ) -> None:
        self._text = text
        self._at = 0
        self._values = values
        self._escape = escape
        self._keep_quotes = quotes
        self._keep_escapes = escapes
        self._keep_unset = unset
        self._depth = 0
        self.unknown: list[str] = []

    def run(self, *, split: bool = False) -> tuple[str, list[str]]:
        return self._until("", keep_escapes=self._keep_escapes, split=split)

    def _peek(self) -> str:
        return self._text[self._at : self._at + 1]

    def _next(self) -> str:
        character = self._text[self._at : self._at + 1]
        self._at += 1
        return character

    def _until(
        self, stop: str, *, keep_escapes: bool, split: bool = False
    ) -> tuple[str, list[str]]:
        outer, self._keep_escapes = self._keep_escapes, keep_escapes
        self._depth += 1
        if self._depth > _DEEPEST:
            message = f"`${{` is nested deeper than {_DEEPEST}"
            raise WordError(message)
        words, result, length = _Words(wanted=split), [], 0
        while (character := self._peek()) and character != stop:
            part = self._part(character, words)
            result.append(part)
            length += len(part)
            if length > _LONGEST:
                message = f"a text grows beyond {_LONGEST:,} characters"
                raise WordError(message)
        if stop and not self._peek():
            message = "`${` has no `}`" if stop == "}" else f"`${{` has no `{stop}`"
            raise WordError(message)
        self._at += len(stop)
        self._depth -= 1
        self._keep_escapes = outer
        return "".join(result), words.all()

    def _part(self, character: str, words: _Words) -> str:
        if character == "$":
            part = self._dollar()
            words.add(part)
        elif character in "'\"<":
            part = {"'": self._single, '"': self._double, "<": self._angle}[character]()
            words.add_raw(part)
        else:
            part = self._next()
            if part == self._escape:
                kept = part if self._keep_escapes else ""
                part = kept + self._next()  # an escape at the end is dropped
                words.add_raw(part)
            else:
                words.add(part)
        return part

    def _single(self) -> str:
        end = self._text.find("'", self._at + 1)
        if end < 0:
            message = "a single quote is not closed"
            raise WordError(message)
        inner = self._text[self._at + 1 : end]
        self._at = end + 1
        return f"'{inner}'" if self._keep_quotes else inner

    def _double(self) -> str:
        self._at += 1
        parts = []
        while (character := self._peek()) != '"':
            if not character:
                message = "a double quote is not closed"
                raise WordError(message)
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
        self._at += 1
        if self._peek() != "{":
            name = self._name()
            if not name:
                return "$"
            value = self._value(name)
            return f"${name}" if value is None and self._keep_unset else value or ""
        self._at += 1
        if self._peek() in {"", "{", "}", ":"}:
            message = f"`${{{self._peek()}` is no variable"
            raise WordError(message)
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
            message = f"`${{{name}{shown}` is nothing that a Dockerfile knows"
            raise WordError(message)
        word, _ = self._until("}", keep_escapes=operator in "#%")
        value = self._value(name)
        if value is None and self._keep_unset:
            return f"${{{name}{':' if colon else ''}{operator}{word}}}"
        return self._modified(name, value, operator, word, colon=colon)

    def _modified(
        self, name: str, value: str | None, operator: str, word: str, *, colon: bool
    ) -> str:
        missing = value is None or (colon and not value)
        if operator == "-":
            return word if missing else value or ""
        if operator == "+":
            return "" if missing else word
        if operator == "?":
            if missing:
                message = f"`{name}` {word or 'has no value'}"
                raise MissingError(name, message) if value is None else WordError(message)
            return value or ""
        longest = word.startswith(operator)
        cut = without_prefix if operator == "#" else without_suffix
        try:
            return cut(value or "", word[longest:], longest=longest)
        except PatternError as error:
            raise WordError(str(error)) from error

    def _replace(self, name: str) -> str:
        everywhere = self._peek() == "/"
        self._at += everywhere
        pattern, _ = self._until("/", keep_escapes=True)
        replacement, _ = self._until("}", keep_escapes=True)
        value = self._value(name)
        if value is None and self._keep_unset:
            return f"${{{name}/{pattern}/{replacement}}}"
        try:
            return replaced(value or "", pattern, replacement, everywhere=everywhere)
        except PatternError as error:
            raise WordError(str(error)) from error
