"""Regular expressions that are compiled when they are first used.

Hundreds are named when `lockstitch check` starts: compiling them there took 12 to 27 ms of 130.
"""

import re
from typing import AnyStr, cast

_METHODS = ("findall", "finditer", "fullmatch", "match", "search", "split", "sub", "subn")


class _Pattern:
    """Stands for a compiled expression, and becomes one."""

    def __init__(self, text: str | bytes, flags: int) -> None:
        self._text = text
        self._flags = flags

    def __getattr__(self, name: str) -> object:
        # Only what is not there yet is asked for here: the next call goes straight to `re`.
        compiled = re.compile(self._text, self._flags)
        for method in (*_METHODS, "pattern", "flags", "groupindex", "groups"):
            setattr(self, method, getattr(compiled, method))
        return getattr(compiled, name)


def regex(text: AnyStr, flags: int = 0) -> re.Pattern[AnyStr]:
    """Return a pattern compiled at its first use; a wrong expression fails then."""
    return cast("re.Pattern[AnyStr]", _Pattern(text, flags))
