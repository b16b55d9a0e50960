"""What follows an instruction's name: flags, JSON lists, words with quotes, here-documents.

The facts are of moby/buildkit, frontend/dockerfile/parser/line_parsers.go, split_command.go and
parser.go. Nothing is expanded here.
"""

import json
import re
from dataclasses import dataclass

from lockstitch.patterns import regex
from lockstitch.repository.dockerfile.words import SPACES, WordError, raw_words, unquoted

__all__ = ["Flag", "Opening", "flags", "json_list", "opening", "openings", "quoted_words"]

_OPENING = regex(r"(\d*)<<(-?)\s*([^<]*)")


@dataclass(frozen=True, slots=True)
class Flag:
    """One `--name` or `--name=value`; a mount's value is also there as its parts."""

    name: str
    value: str | None = None
    parts: tuple[tuple[str, str | None], ...] = ()

    def part(self, *names: str) -> str | None:
        """Return the value of the first part that has one of these names, or None."""
        return next((value for name, value in self.parts if name in names), None)


@dataclass(frozen=True, slots=True)
class Opening:
    """Where a here-document begins: `<<NAME`."""

    name: str
    expand: bool
    chomp: bool
    descriptor: int


def flags(text: str, escape: str) -> tuple[tuple[Flag, ...], int]:
    """Return the flags that a text begins with, and the offset of what comes after them."""
    found: list[Flag] = []
    at = 0
    while True:
        while at < len(text) and text[at] in SPACES:
            at += 1
        if not text.startswith("--", at):
            return tuple(found), at
        word, at = _flag_word(text, at, escape)
        if word == "--":
            return tuple(found), at
        found.append(_flag(word))


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


def _flag(word: str) -> Flag:
    name, equals, value = word[2:].partition("=")
    return Flag(name, value if equals else None, _parts(value) if name == "mount" else ())


def _parts(text: str) -> tuple[tuple[str, str | None], ...]:
    parts = re.findall(r'(?:"(?:[^"]|"")*"|[^,"])+', text)
    found = []
    for part in parts:
        plain = part[1:-1].replace('""', '"') if part[0] == part[-1] == '"' else part
        key, equals, value = plain.partition("=")
        found.append((key.lower(), value if equals else None))
    return tuple(found)


def json_list(text: str) -> tuple[str, ...] | None:
    """Return the texts of a JSON list, or None when it is no JSON: then it is a shell's line.

    Raises WordError for a list of anything but texts.
    """
    if not text.startswith("["):
        return None
    try:
        value = json.loads(text, parse_constant=_refused)
    except (ValueError, RecursionError):
        return None
    if not all(isinstance(each, str) for each in value):
        message = "a JSON list may hold only texts here"
        raise WordError(message)
    return tuple(value)


def _refused(name: str) -> object:
    message = f"`{name}` is not of JSON"
    raise ValueError(message)


def quoted_words(text: str, escape: str) -> tuple[str, ...]:
    """Return the words of `ENV`, `LABEL` or `ARG`, with quotes and escapes left in them."""
    if not any(character in text for character in ("'", '"', escape)):
        return tuple(text.split())
    found: list[str] = []
    word: list[str] = []
    quote, at = "", 0
    while at < len(text):
        character = text[at]
        if not quote and character in SPACES:
            if word:
                found.append("".join(word))
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
    if word:
        found.append("".join(word))
    return tuple(found)


def opening(word: str) -> Opening | None:
    """Return the here-document that a raw word opens, or None; raises WordError for bad quotes."""
    match = _OPENING.fullmatch(word)
    if match is None or not match[3]:
        return None
    names, quoted = unquoted(match[3])
    if len(names) != 1:
        return None
    descriptor = int(match[1][:9] or 0)
    return Opening(names[0], not quoted, bool(match[2]), descriptor)


def openings(line: str) -> tuple[Opening, ...]:
    """Return the here-documents that an instruction's line opens, in order."""
    found = (opening(word) for word in raw_words(line))
    return tuple(each for each in found if each is not None)
