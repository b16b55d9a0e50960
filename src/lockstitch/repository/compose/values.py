"""The values of a compose file, which know their line, column and file.

Texts are interpolated as the Compose Specification has it (its chapter "Interpolation"): `$X`,
`${X}`, and with a word `-`, `?` or `+`, each also after `:`; `$$` is one dollar; anything else
after a dollar stays.
"""

import re
from collections.abc import Mapping
from typing import NamedTuple

from lockstitch.patterns import regex
from lockstitch.repository.text.yaml import Node, Scalar, scalar
from lockstitch.values import Problem, frozen

_NAME = regex(r"[_a-zA-Z][_a-zA-Z0-9]*")
_OPERATOR = regex(r":?[-?+]")
_ENTRY = regex(r"\s*(?:export\s+)?([^\s=:#]+)\s*(?:[=:]\s*(.*))?")
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t"}
_DEEPEST = 20
_LONGEST = 10_000  # characters
_LONGEST_FILE = 1_000_000
_MOST_SETTINGS = 5_000


class Value(NamedTuple):
    """One value: what it is after interpolation, as it was written, and where."""

    text: str
    raw: str
    line: int
    column: int
    path: str
    names: tuple[str, ...] = ()  # the variables that it uses
    unknown: tuple[str, ...] = ()  # those without a value or a default: empty in the text
    problem: str = ""  # why the text was not interpolated

    @property
    def is_known(self) -> bool:
        """Return whether the text is what a run would see."""
        return not self.unknown and not self.problem

    def __str__(self) -> str:
        return self.text


class Setting(NamedTuple):
    """One line of an env file; the value is None where only the name stands."""

    name: str
    value: str | None
    line: int


@frozen
class Variable:
    """One variable of `environment` or build argument; without a value it is the caller's."""

    name: str
    value: Value | None
    line: int
    path: str

    @property
    def text(self) -> str:
        """Return the text of the value, empty without one."""
        return self.value.text if self.value else ""


@frozen
class EnvFile:
    """One file of `env_file`."""

    file: Value
    required: bool
    settings: tuple[Setting, ...] | None  # None: the file does not exist


@frozen
class Port:
    """One entry of `ports`; a range is kept."""

    target: str
    published: str  # empty: any free one
    host: str  # empty: all addresses of the machine
    protocol: str
    value: Value


@frozen
class Mount:
    """One entry of a service's `volumes`."""

    kind: str  # bind, volume, tmpfs …
    source: str  # empty: a volume without a name
    target: str
    read_only: bool
    value: Value


@frozen
class Dependency:
    """One service of `depends_on`."""

    name: str
    condition: str
    required: bool
    line: int
    path: str


@frozen
class Command:
    """Words of `command`, `entrypoint` or a health check's test."""

    words: tuple[Value, ...]
    by_shell: bool  # the one word is a shell's text
    line: int
    path: str


@frozen
class Healthcheck:
    """A `healthcheck`; without a test, the image's own is changed."""

    test: Command | None
    disabled: bool
    settings: dict[str, Value]  # interval, timeout, retries, start_period, start_interval
    line: int
    path: str


@frozen
class Build:
    """A `build`; its folder is kept unresolved."""

    context: Value | None
    dockerfile: Value | None
    inline: Value | None
    target: Value | None
    args: tuple[Variable, ...]
    line: int
    path: str


@frozen
class Named:
    """One volume, network, secret or config of the file, or a service's use of one."""

    name: str
    external: bool
    values: dict[str, Value]  # its settings that are one value: file, environment, driver …
    line: int
    column: int
    path: str


@frozen
class Service:
    """One service, with what it extends."""

    name: str
    image: Value | None
    build: Build | None
    command: Command | None
    entrypoint: Command | None
    ports: tuple[Port, ...]
    environment: dict[str, Variable]
    env_files: tuple[EnvFile, ...]
    volumes: tuple[Mount, ...]
    depends_on: dict[str, Dependency]
    healthcheck: Healthcheck | None
    secrets: tuple[Named, ...]
    configs: tuple[Named, ...]
    networks: tuple[Named, ...]
    profiles: tuple[Value, ...]
    values: dict[str, Value]  # its further settings that are one value: user, restart …
    keys: dict[str, int]  # the keys of the service itself, each with its line
    nodes: dict[str, Node]  # the node of each key, of what it extends too
    line: int
    column: int
    path: str


@frozen
class Compose:
    """The services of a compose file; a name that an included file has too is this file's."""

    services: dict[str, Service]
    volumes: dict[str, Named]
    networks: dict[str, Named]
    secrets: dict[str, Named]
    configs: dict[str, Named]
    name: Value | None
    version_line: int | None  # of the obsolete `version:`
    files: tuple[str, ...]  # all that were read, this one first
    problems: tuple[Problem, ...]


# --- variables


def interpolate(node: Scalar, variables: Mapping[str, str], text: str | None = None) -> Value:
    """Return a scalar, or a part of its text, with its variables replaced."""
    raw = node.text if text is None else text
    if "$" not in raw:
        return Value(raw, raw, node.line, node.column, node.path)
    reader = _Interpolation(raw, variables)
    problem = ""
    try:
        result = reader.run("")
    except ValueError as error:
        result, problem = raw, str(error)
    names, unknown = tuple(dict.fromkeys(reader.names)), tuple(dict.fromkeys(reader.unknown))
    return Value(result, raw, node.line, node.column, node.path, names, unknown, problem)


class _Interpolation:
    def __init__(self, text: str, variables: Mapping[str, str]) -> None:
        self._text = text
        self._variables = variables
        self._at = 0
        self._depth = 0
        self.names: list[str] = []
        self.unknown: list[str] = []

    def run(self, stop: str) -> str:
        """Return the text up to a character, which is skipped, or to the end."""
        self._depth += 1
        if self._depth > _DEEPEST:
            raise ValueError(f"its variables nest deeper than {_DEEPEST}")
        parts: list[str] = []
        marks = re.compile(r"[$}]" if stop else r"\$")
        while match := marks.search(self._text, self._at):
            parts.append(self._text[self._at : match.start()])
            self._at = match.end()
            if match[0] == stop:
                self._depth -= 1
                return "".join(parts)
            parts.append(self._dollar())
        if stop:
            raise ValueError("`${` has no `}`")
        parts.append(self._text[self._at :])
        whole = "".join(parts)
        if len(whole) > _LONGEST:
            raise ValueError(f"it grows beyond {_LONGEST:,} characters")
        return whole

    def _dollar(self) -> str:
        if self._text.startswith("$", self._at):
            self._at += 1
            return "$"
        if match := _NAME.match(self._text, self._at):
            self._at = match.end()
            return self._plain(match[0])
        if not self._text.startswith("{", self._at):
            return "$"
        match = _NAME.match(self._text, self._at + 1)
        if match is None:
            raise ValueError(f"`${self._text[self._at : self._at + 20]}` names no variable")
        self._at = match.end()
        if self._text.startswith("}", self._at):
            self._at += 1
            return self._plain(match[0])
        operator = _OPERATOR.match(self._text, self._at)
        if operator is None:
            shown = match[0] + self._text[self._at : self._at + 1]
            raise ValueError(f"`${{{shown}` is nothing that Compose knows")
        self._at = operator.end()
        return self._with_word(match[0], operator[0])

    def _plain(self, name: str) -> str:
        self.names.append(name)
        value = self._variables.get(name)
        if value is None:
            self.unknown.append(name)
        return value or ""

    def _with_word(self, name: str, operator: str) -> str:
        value = self._variables.get(name)
        missing = value is None or (operator[0] == ":" and not value)
        before = len(self.names), len(self.unknown)
        word = self.run("}")
        if missing == (operator[-1] == "+"):  # the word is not used, nor are its variables
            del self.names[before[0] :], self.unknown[before[1] :]
        self.names.append(name)
        if operator[-1] == "+":
            return "" if missing else word
        if missing and operator[-1] == "?":
            self.unknown.append(name)
            raise ValueError(f"`{name}` must be given: {word or 'it has no value'}")
        return word if missing else value or ""


# --- env files


def dotenv(text: str, variables: Mapping[str, str]) -> tuple[Setting, ...]:
    """Return the lines of an env file; later ones may use the names of those before them.

    Quoted values may go on over lines; single quotes keep everything as it is.
    """
    if len(text) > _LONGEST_FILE:
        return ()
    known = dict(variables)
    settings: list[Setting] = []
    lines = text.removeprefix("\ufeff").splitlines()
    at = 0
    unclosed: set[str] = set()
    while at < len(lines) and len(settings) < _MOST_SETTINGS:
        line, number = lines[at], at + 1
        at += 1
        match = _ENTRY.fullmatch(line)
        if match is None or line.lstrip().startswith("#"):
            continue
        name, raw = match[1], match[2]
        if raw is None:
            settings.append(Setting(name, None, number))
            continue
        quote = raw[:1] if raw[:1] in {"'", '"'} else ""
        if quote and quote not in unclosed and _closing(raw, quote) < 0:
            last = at
            while last < len(lines) and _closing(lines[last], quote, 0) < 0:
                last += 1
            if last == len(lines):
                unclosed.add(quote)
            else:
                raw, at = "\n".join([raw, *lines[at : last + 1]]), last + 1
        known[name] = _unquoted(raw, quote, known)
        settings.append(Setting(name, known[name], number))
    return tuple(settings)


def _closing(raw: str, quote: str, at: int = 1) -> int:
    while at < len(raw):
        if raw[at] == "\\":
            at += 1
        elif raw[at] == quote:
            return at
        at += 1
    return -1


def _unquoted(raw: str, quote: str, known: Mapping[str, str]) -> str:
    if not quote:
        inner = re.split(r"\s#", f" {raw}", maxsplit=1)[0].strip()
    else:
        end = _closing(raw, quote)
        inner = raw[1:end] if end > 0 else raw[1:]
        if quote == "'":
            return inner.replace("\\'", "'")
        inner = re.sub(r"\\([nrt\"\\])", lambda m: _ESCAPES.get(m[1], m[1]), inner)
    return interpolate(scalar(inner, 0, 0, ""), known).text
