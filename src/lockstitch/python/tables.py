"""Reading of tables that somebody wrote: typed, or taking only what has the right type.

`Table` collects a problem, with the path to the bad value, for all that is not as it should be.
`table`, `tables` and `texts` pass over it: for the files of a repository that rules look at.
"""

import re
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from lockstitch.errors import LockstitchError, nearest, raise_all
from lockstitch.patterns import regex

T = TypeVar("T")
_LINE = regex(r"at line (\d+)")
# Comments, texts, brackets, and the beginning of a line with a key or a table.
_TOKEN = regex(
    r"""#[^\n]*|\"{3}(?:[^\\]|\\.)*?\"{3}|'{3}.*?'{3}|\"{3}|'{3}|"(?:[^"\\\n]|\\.)*"|'[^'\n]*'"""
    r"""|[\[\]{}]|\n[ \t]*(?=[\w.-]+[ \t]*=|\[+[\w. -]+\]+[ \t]*(?:\#[^\n]*)?(?:\n|$))""",
    re.DOTALL,
)

_MOST_PARTS = 500  # of a dotted key
_LONG = 2 * _MOST_PARTS  # characters that so many have at least
_DOTTED = regex(
    rf"""(?<![\w.-])(?:(?:[\w-]++|"[^"]*+"|'[^']*+')[ \t]*+\.[ \t]*+){{{_MOST_PARTS}}}"""
)


def toml(text: str) -> dict[str, Any]:
    """Return a TOML document; raises ValueError for none, RecursionError when nested too deep."""
    # `tomllib` needs memory by the square of a key's parts.
    if any(len(line) > _LONG and _DOTTED.search(line) for line in text.split("\n")):
        raise ValueError(f"it has a key of more than {_MOST_PARTS} parts")
    return tomllib.loads(text)


def parse_toml(text: str, source: str, *, hint: str) -> dict[str, Any]:
    """Return a TOML document, or raise LockstitchError with the name in `source` and the place."""
    try:
        return toml(text)
    except RecursionError as error:
        message = f"{source} is not valid TOML: it is nested too deep"
        raise LockstitchError(message, hint=hint) from error
    except ValueError as error:  # TOMLDecodeError, and numbers or dates that Python refuses
        message = f"{source} is not valid TOML: {_place(text, error)}"
        raise LockstitchError(message, hint=hint) from error


def _place(text: str, error: ValueError) -> str:
    """Return the parser's message; for a bracket or a text left open, where it began.

    The parser names the line at which it could not go on, often far below the fault.
    """
    stopped = getattr(error, "lineno", None) or _LINE.search(str(error))
    if stopped is None:  # the end of the document
        end = len(text)
    else:
        line = int(stopped[1]) if isinstance(stopped, re.Match) else stopped
        end = sum(len(text_line) for text_line in text.splitlines(keepends=True)[:line])
    opened = _open(text[:end])
    if opened is None:
        return str(error)
    mark, at = opened
    return f"`{mark}` of line {text.count(chr(10), 0, at) + 1} is not closed"


def _open(text: str) -> tuple[str, int] | None:
    """Return the outermost bracket or the text that is open at the end, and where it began.

    A bracket is open when a line follows that begins a new key or table inside of it.
    """
    brackets: list[tuple[str, int]] = []
    for match in _TOKEN.finditer(text):
        mark = match[0]
        if mark in {'"""', "'''"}:
            return mark, match.start()
        if mark in "[{":
            brackets.append((mark, match.start()))
        elif mark in "]}":
            if brackets:
                brackets.pop()
        elif mark.startswith("\n") and brackets and brackets[0][0] == "[":
            return brackets[0]
    return brackets[0] if brackets and brackets[0][0] == "[" else None


def table(value: object, *keys: str) -> Mapping[str, Any]:
    """Return the table at a path of keys, empty where there is none."""
    for key in keys:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value if isinstance(value, Mapping) else {}


def tables(value: object) -> list[Mapping[str, Any]]:
    """Return the tables of a list, none when it is no list."""
    return [item for item in value if isinstance(item, Mapping)] if isinstance(value, list) else []


def texts(value: object) -> list[str]:
    """Return the texts of a list, none when it is no list."""
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []


class Table:
    """A TOML table that collects every problem until `close` is called."""

    __slots__ = ("_asked", "_place", "_value", "problems")

    def __init__(
        self, value: object, path: "str | tuple[Table, str]", problems: list[LockstitchError]
    ) -> None:
        """Read `value`, which stands at `path` in the file, or at a key of another table."""
        self.problems = problems
        self._place = path  # put together only for a problem: a lock has thousands of tables
        self._asked: list[str] = []
        self._value: Mapping[str, Any] = {}
        if type(value) is dict or isinstance(value, Mapping):  # the first is ten times faster
            self._value = value
        else:
            self._wrong("", "a table", value)

    @property
    def path(self) -> str:
        """The place of the table in the file."""
        if isinstance(self._place, str):
            return self._place
        above, key = self._place
        return ".".join(part for part in (above.path, key) if part)

    def _wrong(self, key: str, wanted: str, value: object) -> None:
        message = f"`{self._where(key)}` must be {wanted}, found `{value!r:.80}`"
        self.problems.append(LockstitchError(message))

    def complain(self, key: str, message: str, *, hint: str = "") -> None:
        """Add a problem of this table's value."""
        self.problems.append(LockstitchError(f"`{self._where(key)}` {message}", hint=hint))

    def _where(self, key: str) -> str:
        return ".".join(part for part in (self.path, key) if part)

    def has(self, key: str) -> bool:
        """Return whether the table has a key."""
        return key in self._value

    def raw(self, key: str) -> object:
        """Return the value as it stands, or None."""
        self._asked.append(key)
        return self._value.get(key)

    def text(self, key: str, default: str = "") -> str:
        """Return a non-empty string."""
        value = self._value.get(key)
        if value and type(value) is str:  # as nearly all are: a lock has thousands
            self._asked.append(key)
            return value
        return self._typed(key, default, str, "a text", bool)

    def flag(self, key: str, *, default: bool = False) -> bool:
        """Return true or false."""
        return self._typed(key, default, bool, "true or false")

    def number(self, key: str, default: int = 0, *, least: int, most: int) -> int:
        """Return a whole number within limits."""
        value = self._value.get(key)
        if type(value) is int and least <= value <= most:
            self._asked.append(key)
            return value
        return self._typed(
            key,
            default,
            int,
            f"a whole number from {least} to {most}",
            lambda n: not isinstance(n, bool) and least <= n <= most,
        )

    def texts(self, key: str, default: Sequence[str] = ()) -> tuple[str, ...]:
        """Return a list of non-empty strings."""
        value = self._typed(
            key,
            list(default),
            list,
            "a list of texts",
            lambda items: all(isinstance(item, str) and item for item in items),
        )
        return tuple(value)

    def table(self, key: str) -> "Table":
        """Return a table below this one, empty when it is not there."""
        self._asked.append(key)
        return Table(self._value.get(key, {}), (self, key), self.problems)

    def each(self, key: str) -> list["Table"]:
        """Return the tables of a list of tables, empty when it is not there."""
        value = self.raw(key)
        if value is not None and not isinstance(value, list):
            self._wrong(key, "a list of tables", value)
        items = value if isinstance(value, list) else []
        return [Table(item, (self, f"{key}[{n}]"), self.problems) for n, item in enumerate(items)]

    def tables(self, key: str) -> dict[str, "Table"]:
        """Return the tables below a key, by name."""
        outer = self.table(key)
        return {name: outer.table(name) for name in outer}

    def __iter__(self) -> Iterator[str]:
        yield from self._value

    def _typed(
        self,
        key: str,
        default: T,
        kind: type[T],
        wanted: str,
        good: Callable[[T], bool] = lambda _: True,
    ) -> T:
        self._asked.append(key)
        if key not in self._value:
            return default
        value = self._value[key]
        if not isinstance(value, kind) or not good(value):
            self._wrong(key, wanted, value)
            return default
        return value

    def refuse_others(self) -> None:
        """Add a problem for each key that was not read, with the nearest known one."""
        known = sorted(set(self._asked))
        for key in (key for key in self._value if key not in known):
            hint = nearest(key, known, f"known keys: {', '.join(known)}")
            self.complain(key, "is not a setting of lockstitch", hint=hint)

    def close(self) -> None:
        """Raise the LockstitchErrors of everything that was wrong."""
        raise_all(self.problems)
