"""The look of secrets: the table patterns.toml, read when a text is first searched."""

import functools
import re
from pathlib import PurePosixPath

from lockstitch.resources import load_table
from lockstitch.values import frozen

_table = functools.partial(load_table, __package__, "patterns.toml")
_VARIETY = 6  # different characters that a made secret has at least
_UTF16 = (b"\xff\xfe", b"\xfe\xff")


@frozen
class Pattern:
    """One form of secret; patterns.toml says what each field is."""

    name: str
    pattern: str
    anchors: tuple[str, ...]
    high: bool = True
    files: str = ""
    literal: bool = False

    def compiled(self) -> re.Pattern[str]:
        """Return the pattern, compiled once and only when a text may have a match."""
        return _compiled(self.pattern)

    def is_for(self, path: str) -> bool:
        """Return whether the pattern is for a file of this name."""
        name = PurePosixPath(path).name.lower()
        return not self.files or re.fullmatch(self.files, name, re.DOTALL) is not None

    def refuses(self, secret: str) -> bool:
        """Return whether a match is a known false alarm."""
        if self.name == "private-key":
            return False
        if self.literal:
            return (
                is_placeholder(secret) or _compiled(_table()["fillers"]).search(secret) is not None
            )
        return is_placeholder(secret) or len(set(secret)) < _VARIETY


@functools.cache
def patterns() -> tuple[Pattern, ...]:
    """Return all patterns in the order of the table."""
    table = _table()
    listed = []
    for values in table["pattern"]:
        whole = re.sub("@([A-Z0-9]+)@", lambda m: table["parts"][m[1]], values["pattern"])
        anchors = tuple(values["anchors"])
        listed.append(Pattern(**{**values, "pattern": whole, "anchors": anchors}))
    return tuple(listed)


def is_placeholder(value: str) -> bool:
    """Return whether a value is one of documents and examples, or is read from elsewhere."""
    return not value or _compiled(_examples()).search(value) is not None


def may_have(data: bytes, path: str) -> bool:
    """Return whether a file may hold a secret: a quick no for nearly all, and never a wrong one."""
    if data[:2] in _UTF16 or any(p.files and p.is_for(path) for p in patterns()):
        return True
    if b"\0" in data and any(sign.search(data.replace(b"\0", b"")) for sign in _signs()):
        return True
    return any(sign.search(data) for sign in _signs())


def version() -> str:
    """Return a text that changes with any pattern, for records of what was found clean."""
    lines = [f"{pattern.name} {pattern.pattern} {pattern.high}" for pattern in patterns()]
    return "\n".join([*lines, _examples()])


@functools.cache
def _examples() -> str:
    return "(?i)" + "|".join(_table()["examples"])


@functools.cache
def _signs() -> tuple[re.Pattern[bytes], ...]:
    return tuple(re.compile(sign.encode()) for sign in _table()["signs"])


@functools.cache
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.MULTILINE)
