#!/app/.venv/bin/python -ISB
"""Is /bin/sh in PostgreSQL's image, which has no shell; standard library only.

`initdb` starts its own programs through popen(3) and system(3), which ask for `sh -c`. What it
asks for is one command with redirections; anything else is refused.
"""

import os
import shlex
import sys
from collections.abc import Sequence

__all__ = ["main", "parse"]

_FLAGS = {"<": os.O_RDONLY, ">": os.O_WRONLY | os.O_CREAT | os.O_TRUNC}
_OTHER = frozenset("|;()`$*?\n")


def main(words: Sequence[str]) -> None:
    """Become the command of `sh -c COMMAND`."""
    if len(words) != 2 or words[0] != "-c":
        sys.exit(f"sh: only -c COMMAND is known here, not {' '.join(words)}")
    command, opened = parse(words[1])
    for number, target in opened.items():
        if isinstance(target, str):
            flag = "<" if number == 0 else ">"
            os.dup2(os.open(target, _FLAGS[flag], 0o600), number)
        else:
            os.dup2(target, number)
    os.execvp(command[0], command)  # noqa: S606 -- an argument list, no shell


def parse(text: str) -> tuple[list[str], dict[int, str | int]]:
    """Return a command's words and its redirected descriptors, or exit for real shell syntax."""
    lexer = shlex.shlex(text, posix=True, punctuation_chars="<>&|;()")
    lexer.whitespace_split = True
    words: list[str] = []
    opened: dict[int, str | int] = {}
    parts = list(lexer)
    while parts:
        part = parts.pop(0)
        if part in _FLAGS and parts:
            opened[0 if part == "<" else 1] = parts.pop(0)
        elif part == ">&" and words[-1:] == ["2"] and parts[:1] == ["1"]:
            del words[-1], parts[0]
            opened[2] = 1
        elif set(part) <= set("<>&|;()") or _OTHER & set(part):
            sys.exit(f"sh: `{part}` is not known here: {text}")
        else:
            words.append(part)
    return words or sys.exit(f"sh: no command in: {text}"), opened


if __name__ == "__main__":
    main(sys.argv[1:])
