"""Reads one instruction of a Dockerfile: its joined lines, flags, words and here-documents.

As BuildKit does it (frontend/dockerfile/parser: parser.go, directives.go, line_parsers.go,
split_command.go): comments and blank lines between continuations are skipped, a continuation is
the escape character at the end of a line unless another stands before it, and parser directives
count only before everything else.
"""

import json
import re

from lockstitch.patterns import regex
from lockstitch.repository.dockerfile.words import SPACES, Scope, WordError, raw_words, unquoted
from lockstitch.values import Problem, frozen, positional, replace

Starts = tuple[tuple[int, int], ...]  # (offset in a text, line of the file), in order

_DIRECTIVE = regex(r"#\s*([a-zA-Z][a-zA-Z0-9]*)\s*=(.*)")
_DIRECTIVES = {"syntax", "escape", "check"}
_LONGEST = 65_535  # bytes: the buffer of BuildKit's scanner
_NAME = regex(r"[^\t\v\f\r ]+")
_BETWEEN = regex(r"[\t\v\f\r ]+")
_KIND = regex(r"(\S+)\s*(.*)", re.DOTALL)
_TABS = regex(r"^\t+", re.MULTILINE)
_OPENING = regex(r"\d*<<(-?)\s*([^<]*)")
_HEREDOCS = {"ADD", "COPY", "RUN"}
_COMMANDS = {"CMD", "ENTRYPOINT", "RUN", "SHELL"}
_LISTS = {"ADD", "COPY", "VOLUME"}
EXPANDED = frozenset({"ADD", "COPY", "EXPOSE", "STOPSIGNAL", "USER", "VOLUME", "WORKDIR"})


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


@positional
class Joined:
    """An instruction's line: its text, and at which offsets of it which file lines begin."""

    text: str
    first: int
    starts: Starts


class Lines:
    """Reads a text line by line; fills `problems`, `comments` and `directives` on the way."""

    def __init__(self, text: str) -> None:
        """Start before the first line; a byte order mark is skipped."""
        self._lines = text.removeprefix("\ufeff").split("\n")
        if not self._lines[-1]:
            self._lines.pop()  # the end of the last line, and not a line
        self.line = 0  # the number of the line that was read last
        self._head = True
        self.escape = "\\"
        self.comments: list[Comment] = []
        self.directives: dict[str, Directive] = {}
        self.problems: list[Problem] = []
        if len(text) > _LONGEST // 4:
            self._measure()

    def instruction(self) -> Joined | None:
        """Return the next line that is no comment and not blank, or None at the end."""
        while self.line < len(self._lines):
            line = self._next().lstrip(SPACES)
            if line.startswith("#"):
                self._comment(line)
                continue
            self._head = False
            if line:
                return self._joined(line)
        return None

    def body(self, name: str, *, chomp: bool) -> tuple[str, bool]:
        """Return the lines before one that is `name`, which is skipped, and whether it came."""
        lines: list[str] = []
        while self.line < len(self._lines):
            written = self._lines[self.line]
            line = self._next()
            if (line.lstrip("\t") if chomp else line) == name:
                return "".join(lines), True
            lines.append(f"{written}\n")
        return "".join(lines), False

    def complain(self, line: int, message: str, *, fatal: bool = True) -> None:
        """Keep a problem."""
        self.problems.append(Problem(line=line, message=message, fatal=fatal))

    def _next(self) -> str:
        self.line += 1
        return self._lines[self.line - 1].rstrip("\r")

    def _joined(self, line: str) -> Joined:
        first = self.line
        line, goes_on = self._cut(line)
        parts, starts, length, blank = [line], [(0, first)], len(line), 0
        while goes_on and self.line < len(self._lines):
            line = self._next()
            stripped = line.lstrip(SPACES)
            if stripped.startswith("#"):
                self._comment(stripped)
            elif not stripped:
                blank = blank or self.line
            else:
                line, goes_on = self._cut(line)
                starts.append((length, self.line))
                parts.append(line)
                length += len(line)
        if blank:
            self.complain(blank, "a blank line stands inside a continued instruction", fatal=False)
        return Joined("".join(parts), first, tuple(starts))

    def _cut(self, line: str) -> tuple[str, bool]:
        body = line.rstrip(" \t")
        if body.endswith(self.escape) and not body.endswith(self.escape * 2):
            return body[:-1], True
        return line, False

    def _comment(self, line: str) -> None:
        directive = _DIRECTIVE.fullmatch(line) if self._head else None
        name = directive[1].lower() if directive else ""
        value = directive[2].strip() if directive else ""
        if not value or name not in _DIRECTIVES:
            self._head = False
            self.comments.append(Comment(line=self.line, text=line[1:].strip()))
        elif name in self.directives:
            message = f"only one `{name}` parser directive may stand in a file"
            self.complain(self.line, message)
        else:
            self.directives[name] = Directive(line=self.line, name=name, value=value)
            if name == "escape" and value not in {"\\", "`"}:
                message = f"`escape` must be a backslash or a backtick, found `{value:.20}`"
                self.complain(self.line, message)
            elif name == "escape":
                self.escape = value

    def _measure(self) -> None:
        for number, line in enumerate(self._lines, 1):
            if len(line.encode(errors="surrogatepass")) > _LONGEST:
                self.complain(
                    number, f"a line is longer than {_LONGEST:,} bytes, which BuildKit refuses"
                )


@positional
class Flag:
    """One `--name` or `--name=value`; a mount's value is also there as its parts."""

    name: str
    value: str | None = None
    parts: tuple[tuple[str, str | None], ...] = ()


@positional
class Pair:
    """One `name=value` of ENV, LABEL or ARG."""

    name: str
    raw: str  # with its quotes
    value: str | None  # expanded; None for an ARG without one
    unknown: tuple[str, ...] = ()


@frozen
class Heredoc:
    """One here-document; `<<-` removes the leading tabs of its text."""

    name: str
    text: str
    expand: bool
    line: int  # of the first line of its text


@frozen
class Instruction:
    """One instruction; lines count from 1."""

    name: str  # in capitals
    text: str  # after the name and the flags, continued lines joined, nothing expanded
    words: tuple[str, ...]  # as they stand: of a JSON list its texts; of a shell form one
    json: bool
    flags: tuple[Flag, ...]
    pairs: tuple[Pair, ...]
    heredocs: tuple[Heredoc, ...]
    first: int
    last: int
    starts: Starts  # of `text`
    scope: Scope
    trigger: "Instruction | None" = None  # of ONBUILD

    def flag(self, name: str) -> str | None:
        """Return the value of a flag, an empty text when it has none, None when not there."""
        return next((flag.value or "" for flag in self.flags if flag.name == name), None)

    def expanded(self) -> tuple[str, ...]:
        """Return the words with their variables, where this instruction has them replaced."""
        if self.name not in EXPANDED:
            return self.words
        if self.name == "EXPOSE":
            return tuple(part for word in self.words for part in self.scope.expand_words(word))
        return tuple(self.scope.expand(word).text for word in self.words)


def read(joined: Joined, lines: Lines, scope: Scope, start: int = 0) -> Instruction:
    """Return the instruction of a line; its here-documents are taken from the lines after it.

    The trigger of ONBUILD begins at `start`. What is wrong goes to `lines.problems`.
    """
    line = joined.text.rstrip(SPACES)
    start = _after_spaces(line, start)
    match = _NAME.match(line, start)
    end = match.end() if match else start
    name = line[start:end].upper()
    begin = _after_spaces(line, end)
    flags: tuple[Flag, ...] = ()
    if line.startswith("--", begin):
        flags, offset = _flags(line[begin:], lines.escape)
        begin = _after_spaces(line, begin + offset)
    text = line[begin:]
    words: tuple[str, ...] = ()
    pairs: tuple[Pair, ...] = ()
    heredocs: tuple[Heredoc, ...] = ()
    is_json, trigger, wrong = False, None, list[str]()
    try:
        if name == "ONBUILD" and text and not start:
            trigger = read(joined, lines, scope, begin)
            heredocs = trigger.heredocs
        elif name in {"ARG", "ENV", "LABEL"} and text:
            pairs = (
                _declared(text, scope, wrong) if name == "ARG" else _named(name, text, scope, wrong)
            )
        elif text:
            words, is_json = _words(name, text)
        if name in _HEREDOCS and not is_json and "<<" in line:
            heredocs = _heredocs(line, joined, lines)
    except WordError as error:
        wrong.append(str(error))
    for message in wrong:
        lines.complain(joined.first, f"{name:.20}: {message}")
    return Instruction(
        name=name,
        text=text,
        words=words,
        json=is_json,
        flags=flags,
        pairs=pairs,
        heredocs=heredocs,
        first=joined.first,
        last=lines.line,
        starts=shifted(joined.starts, begin),
        scope=scope,
        trigger=trigger,
    )


def _after_spaces(line: str, at: int) -> int:
    while at < len(line) and line[at] in SPACES:
        at += 1
    return at


def shifted(starts: Starts, by: int) -> Starts:
    """Return where lines start in a text without its first characters."""
    moved = [(max(0, offset - by), line) for offset, line in starts]
    return tuple(moved[max(number for number, (offset, _) in enumerate(moved) if not offset) :])


def _flags(text: str, escape: str) -> tuple[tuple[Flag, ...], int]:
    """Return the flags that a text begins with, and the offset of what comes after them."""
    flags: list[Flag] = []
    at = 0
    while True:
        at = _after_spaces(text, at)
        if not text.startswith("--", at):
            return tuple(flags), at
        word, at = _flag_word(text, at, escape)
        if word == "--":
            return tuple(flags), at
        name, equals, value = word[2:].partition("=")
        parts = _mount_parts(value) if name == "mount" else ()
        flags.append(Flag(name, value if equals else None, parts))


def _flag_word(text: str, at: int, escape: str) -> tuple[str, int]:
    quote, word = "", []
    while at < len(text):
        character = text[at]
        if not quote and character in SPACES:
            break
        if character == escape:
            at += 1
            word.append(text[at : at + 1])
        elif character == quote:
            quote = ""
        elif not quote and character in "'\"":
            quote = character
        else:
            word.append(character)
        at += 1
    return "".join(word), min(at, len(text))


def _mount_parts(text: str) -> tuple[tuple[str, str | None], ...]:
    parts = []
    for part in re.findall(r'(?:"(?:[^"]|"")*"|[^,"])+', text):
        plain = part[1:-1].replace('""', '"') if part[0] == part[-1] == '"' else part
        key, equals, value = plain.partition("=")
        parts.append((key.lower(), value if equals else None))
    return tuple(parts)


def _words(name: str, text: str) -> tuple[tuple[str, ...], bool]:
    """Return the words of an instruction that has no pairs, and whether they are a JSON list."""
    if name in _COMMANDS or name in _LISTS:
        listed = _json_list(text)
        if listed is not None:
            return listed, True
        return (text,) if name in _COMMANDS else tuple(_BETWEEN.split(text)), False
    if name == "HEALTHCHECK":
        match = _KIND.fullmatch(text)
        kind, rest = match.groups() if match else (text, "")
        listed = _json_list(rest) if rest else ()
        return (kind, *((rest,) if listed is None else listed)), bool(rest) and listed is not None
    if name in {"EXPOSE", "FROM"}:
        return tuple(_BETWEEN.split(text)), False
    return (text,), False


def _json_list(text: str) -> tuple[str, ...] | None:
    """Return a JSON list's texts, None for no JSON; raises WordError for other lists."""
    if not text.startswith("["):
        return None
    try:
        value = json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        return None
    if not all(isinstance(item, str) for item in value):
        raise WordError("a JSON list may hold only texts here")
    return tuple(value)


def _refuse_constant(name: str) -> object:
    raise ValueError(f"`{name}` is not of JSON")


def _named(name: str, text: str, scope: Scope, wrong: list[str]) -> tuple[Pair, ...]:
    """Return the pairs of ENV or LABEL; all of them see the values from before it."""
    words = _quoted_words(text, scope.escape)
    if "=" not in words[0]:
        key, *rest = _BETWEEN.split(text, maxsplit=1)
        if not rest:
            raise WordError(f"{name} needs a name and a value, found `{text:.40}`")
        return (_pair(key, rest[0], scope, wrong),)
    for word in words:
        if "=" not in word:
            raise WordError(f"`{word:.40}` has no `=`: each must be name=value")
    split = (word.split("=", 1) for word in words)
    return tuple(_pair(key, raw, scope, wrong) for key, raw in split)


def _declared(text: str, scope: Scope, wrong: list[str]) -> tuple[Pair, ...]:
    """Return the pairs of ARG; each sees the ones before it."""
    values = dict(scope.values)
    scope = replace(scope, values=values)
    pairs = []
    for word in _quoted_words(text, scope.escape):
        name, equals, raw = word.partition("=")
        pair = _pair(name, raw, scope, wrong) if equals else Pair(name, "", None)
        if pair.value is not None:
            values[pair.name] = pair.value
        pairs.append(pair)
    return tuple(pairs)


def _pair(name: str, raw: str, scope: Scope, wrong: list[str]) -> Pair:
    key, value = scope.expand(name), scope.expand(raw)
    wrong += [word.wrong for word in (key, value) if word.wrong and not word.unknown]
    return Pair(key.text, raw, value.text, tuple(dict.fromkeys((*key.unknown, *value.unknown))))


def _quoted_words(text: str, escape: str) -> tuple[str, ...]:
    """Return the words of `ENV`, `LABEL` or `ARG`, with quotes and escapes left in them."""
    if not any(character in text for character in ("'", '"', escape)):
        return tuple(text.split())
    words: list[str] = []
    word: list[str] = []
    quote, at = "", 0
    while at < len(text):
        character = text[at]
        if not quote and character in SPACES:
            words += ["".join(word)] if word else []
            word = []
        elif character == escape and quote != "'":
            at += 1
            if at < len(text):  # an escape at the end is dropped
                word.append(character + text[at])
        else:
            if character == quote:
                quote = ""
            elif not quote and character in "'\"":
                quote = character
            word.append(character)
        at += 1
    return (*words, "".join(word)) if word else tuple(words)


def _opening(word: str) -> tuple[str, bool, bool] | None:
    """Return the name of the here-document that a raw word opens, or None.

    With it, whether variables are replaced in its text, and whether tabs before its lines go.
    Raises WordError for bad quotes.
    """
    match = _OPENING.fullmatch(word)
    if match is None or not match[2]:
        return None
    names, quoted = unquoted(match[2])
    return (names[0], not quoted, bool(match[1])) if len(names) == 1 else None


def opens_heredoc(word: str) -> bool:
    """Return whether a raw word opens a here-document."""
    try:
        return "<<" in word and _opening(word) is not None
    except WordError:
        return False


def _heredocs(line: str, joined: Joined, lines: Lines) -> tuple[Heredoc, ...]:
    heredocs = []
    for opened in [_opening(word) for word in raw_words(line)]:
        if opened is None:
            continue
        name, expand, chomp = opened
        first = lines.line + 1
        text, ended = lines.body(name, chomp=chomp)
        if not ended:
            lines.complain(joined.first, f"the here-document `{name:.40}` has no end")
        text = _TABS.sub("", text) if chomp else text
        heredocs.append(Heredoc(name=name, text=text, expand=expand, line=first))
    return tuple(heredocs)
