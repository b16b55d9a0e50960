"""One instruction of a Dockerfile as a value, and how it is read from its line."""

import re
from dataclasses import dataclass, field, replace

from lockstitch.patterns import regex
from lockstitch.repository.dockerfile.arguments import (
    Flag,
    flags,
    json_list,
    openings,
    quoted_words,
)
from lockstitch.repository.dockerfile.lines import Joined, Lines
from lockstitch.repository.dockerfile.scope import Scope
from lockstitch.repository.dockerfile.words import SPACES, WordError
from lockstitch.repository.text.problem import Problem
from lockstitch.values import frozen

__all__ = ["Heredoc", "Instruction", "Pair", "read"]

_NAME = regex(r"[^\t\v\f\r ]+")
_BETWEEN = regex(r"[\t\v\f\r ]+")
_KIND = regex(r"(\S+)\s*(.*)", re.DOTALL)
_TABS = regex(r"^\t+", re.MULTILINE)
_HEREDOCS = {"ADD", "COPY", "RUN"}
_COMMANDS = {"CMD", "ENTRYPOINT", "RUN", "SHELL"}
_LISTS = {"ADD", "COPY", "VOLUME"}
_WORDS = {"EXPOSE", "FROM"}
_PAIRS = {"ENV", "LABEL"}
_EXPANDED = {"ADD", "COPY", "EXPOSE", "STOPSIGNAL", "USER", "VOLUME", "WORKDIR"}


@dataclass(frozen=True, slots=True)
class Pair:
    """One `name=value` of ENV, LABEL or ARG."""

    name: str
    raw: str  # with its quotes
    value: str | None  # expanded; None for an ARG without one
    unknown: tuple[str, ...] = ()


@frozen
class Heredoc:
    """One here-document; its text has no leading tabs where `<<-` asks for none."""

    name: str
    text: str
    expand: bool
    chomp: bool
    descriptor: int
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
    starts: tuple[tuple[int, int], ...]  # (offset in `text`, line of the file), in order
    scope: Scope
    trigger: "Instruction | None" = None  # of ONBUILD

    def flag(self, name: str) -> str | None:
        """Return the value of a flag, an empty text when it has none, None when not there."""
        for flag in self.flags:
            if flag.name == name:
                return flag.value or ""
        return None

    def expanded(self) -> tuple[str, ...]:
        """Return the words with their variables, where this instruction has them replaced."""
        if self.name not in _EXPANDED:
            return self.words
        if self.name == "EXPOSE":
            return tuple(each for word in self.words for each in self.scope.expand_words(word))
        return tuple(self.scope.expand(word).text for word in self.words)


@dataclass(slots=True)
class _Draft:
    """What a parser of arguments fills in."""

    words: tuple[str, ...] = ()
    pairs: tuple[Pair, ...] = ()
    json: bool = False
    trigger: Instruction | None = None
    wrong: list[str] = field(default_factory=list)


def read(joined: Joined, lines: Lines, scope: Scope) -> Instruction:
    """Return the instruction of a line; its here-documents are taken from the lines after it.

    What is wrong with it goes to `lines.problems`.
    """
    return _read(joined, 0, lines, scope, inner=False)


def _read(joined: Joined, start: int, lines: Lines, scope: Scope, *, inner: bool) -> Instruction:
    line = joined.text.rstrip(SPACES)
    start = _after_spaces(line, start)
    match = _NAME.match(line, start)
    end = match.end() if match else start
    name = line[start:end].upper()
    begin = _after_spaces(line, end)
    found: tuple[Flag, ...] = ()
    if line.startswith("--", begin):
        found, offset = flags(line[begin:], lines.escape)
        begin = _after_spaces(line, begin + offset)
    text = line[begin:]
    draft = _Draft()
    heredocs: tuple[Heredoc, ...] = ()
    try:
        if name == "ONBUILD" and text and not inner:
            draft.trigger = _read(joined, begin, lines, scope, inner=True)
            heredocs = draft.trigger.heredocs
        else:
            _arguments(name, text, lines.escape, scope, draft)
        if name in _HEREDOCS and not draft.json and "<<" in line:
            heredocs = _heredocs(line, joined, lines)
    except WordError as error:
        draft.wrong.append(str(error))
    for message in draft.wrong:
        lines.problems.append(Problem(line=joined.first, message=f"{name:.20}: {message}"))
    return Instruction(
        name=name,
        text=text,
        words=draft.words,
        json=draft.json,
        flags=found,
        pairs=draft.pairs,
        heredocs=heredocs,
        first=joined.first,
        last=lines.line,
        starts=_shifted(joined.starts, begin),
        scope=scope,
        trigger=draft.trigger,
    )


def _after_spaces(line: str, at: int) -> int:
    while at < len(line) and line[at] in SPACES:
        at += 1
    return at


def _shifted(starts: tuple[tuple[int, int], ...], by: int) -> tuple[tuple[int, int], ...]:
    if len(starts) == 1:
        return starts
    shifted = [(max(0, offset - by), line) for offset, line in starts]
    last_at_zero = max(i for i, (offset, _) in enumerate(shifted) if not offset)
    return tuple(shifted[last_at_zero:])


def _heredocs(line: str, joined: Joined, lines: Lines) -> tuple[Heredoc, ...]:
    found = []
    for opened in openings(line):
        first = lines.line + 1
        text, ended = lines.body(opened.name, chomp=opened.chomp)
        if not ended:
            message = f"the here-document `{opened.name:.40}` has no end"
            lines.problems.append(Problem(line=joined.first, message=message))
        found.append(
            Heredoc(
                name=opened.name,
                text=_TABS.sub("", text) if opened.chomp else text,
                expand=opened.expand,
                chomp=opened.chomp,
                descriptor=opened.descriptor,
                line=first,
            )
        )
    return tuple(found)


def _arguments(name: str, text: str, escape: str, scope: Scope, draft: _Draft) -> None:
    if not text:
        return
    if name in _COMMANDS or name in _LISTS:
        listed = json_list(text)
        draft.json = listed is not None
        if listed is None:
            listed = (text,) if name in _COMMANDS else tuple(_BETWEEN.split(text))
        draft.words = listed
    elif name == "HEALTHCHECK":
        match = _KIND.fullmatch(text)
        kind, rest = match.groups() if match else (text, "")
        listed = json_list(rest) if rest else ()
        draft.json = bool(rest) and listed is not None
        draft.words = (kind, *((rest,) if listed is None else listed))
    elif name in _WORDS:
        draft.words = tuple(_BETWEEN.split(text))
    elif name in _PAIRS:
        draft.pairs = _named(name, text, escape, draft, scope)
    elif name == "ARG":
        draft.pairs = _declared(text, escape, draft, scope)
    else:
        draft.words = (text,)


def _named(name: str, text: str, escape: str, draft: _Draft, scope: Scope) -> tuple[Pair, ...]:
    words = quoted_words(text, escape)
    if "=" not in words[0]:
        key, *rest = _BETWEEN.split(text, maxsplit=1)
        if not rest:
            message = f"{name} needs a name and a value, found `{text:.40}`"
            raise WordError(message)
        return (_pair(key, rest[0], draft, scope),)
    for word in words:
        if "=" not in word:
            message = f"`{word:.40}` has no `=`: each must be name=value"
            raise WordError(message)
    # All of them see the values from before the instruction.
    split = (word.split("=", 1) for word in words)
    return tuple(_pair(key, raw, draft, scope) for key, raw in split)


def _declared(text: str, escape: str, draft: _Draft, scope: Scope) -> tuple[Pair, ...]:
    values = dict(scope.values)
    scope = replace(scope, values=values)
    pairs = []
    for word in quoted_words(text, escape):
        name, equals, raw = word.partition("=")
        pair = _pair(name, raw, draft, scope) if equals else Pair(name, "", None)
        if pair.value is not None:
            values[pair.name] = pair.value  # the next one sees it
        pairs.append(pair)
    return tuple(pairs)


def _pair(name: str, raw: str, draft: _Draft, scope: Scope) -> Pair:
    key, value = scope.expand(name), scope.expand(raw)
    draft.wrong += [each.wrong for each in (key, value) if each.wrong and not each.unknown]
    return Pair(key.text, raw, value.text, tuple(dict.fromkeys((*key.unknown, *value.unknown))))
