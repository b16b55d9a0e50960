"""Searches one text for secrets."""

import bisect
import os
import re
from collections.abc import Iterable, Iterator

from lockstitch.errors import LockstitchError
from lockstitch.patterns import regex
from lockstitch.secrets.patterns import Pattern, patterns
from lockstitch.suppressions import allowed_lines
from lockstitch.values import frozen, replace

_SAMPLE = 8192  # bytes in which a binary file has a zero
_SHOWN = 4
_LONG = 16  # of a shorter one, four characters would be too much
_EXAMPLE = regex(r"(?i)\s*(?:#|;|//)[^\n]*(?:\bexamples?\b|\be\.g\.)")
_RANKS = {"high": 0, "medium": 1, "low": 2}

# How a line is a comment, by the end of a file's name; JSON has none.
_COMMENTS = {
    **dict.fromkeys(("html", "htm", "xml", "svg", "md", "jinja", "j2"), "<!-- {} -->"),
    **dict.fromkeys(("js", "jsx", "ts", "tsx"), "// {}"),
    **dict.fromkeys(("css", "scss"), "/* {} */"),
    **dict.fromkeys(("json", "ipynb"), ""),
}


@frozen
class Secret:
    """A secret's place, counted from 1, and its kind and excerpt: never its value."""

    path: str
    line: int
    column: int
    rule: str  # the name of a pattern, or of a scanner's rule
    severity: str  # high: a secret by its form; medium: by its name or place; low: perhaps
    excerpt: str
    found_by: tuple[str, ...]

    def document(self) -> dict[str, object]:
        """Return the secret as JSON values."""
        return {
            "path": self.path,
            "line": self.line,
            "column": self.column,
            "rule": self.rule,
            "severity": self.severity,
            "excerpt": self.excerpt,
            "found_by": list(self.found_by),
        }

    def error(self, where: str) -> LockstitchError:
        """Return the error that stops a build."""
        message = f"`{where}:{self.line}` holds a secret ({self.rule}): {self.excerpt}"
        hint = "take it out and give it at run time"
        comment = _COMMENTS.get(self.path.rpartition(".")[2].lower(), "# {}")
        if comment:
            allowed = comment.format("lockstitch: allow-secret -- WHY")
            hint += f", or, where it is none, put before it: {allowed}"
        return LockstitchError(message, hint=hint)


def excerpt(secret: str) -> str:
    """Return all that may be shown of a secret: at most four characters, and its length."""
    first = secret[:_SHOWN] if len(secret) >= _LONG and secret[:_SHOWN].isprintable() else ""
    return f"{first}… ({len(secret)} characters)"


def merged(secrets: Iterable[Secret]) -> list[Secret]:
    """Return one secret for each file and line, the most severe, with all who found it."""
    kept: dict[tuple[str, int], Secret] = {}
    for secret in sorted(secrets, key=_order):
        place = (secret.path, secret.line)
        other = kept.setdefault(place, secret)
        names = tuple(dict.fromkeys((*other.found_by, *secret.found_by)))
        kept[place] = replace(other, found_by=names)
    return [
        kept[place] for place in sorted(kept, key=lambda place: (os.fsencode(place[0]), place[1]))
    ]


def _order(secret: Secret) -> tuple[int, bool, int, str]:
    # Our own names first: they are the ones that the documents explain.
    ours = secret.found_by == ("lockstitch",)
    return _RANKS.get(secret.severity, 2), not ours, secret.column, secret.rule


def decoded(data: bytes) -> str | None:
    """Return the text of a file, or None for one that is binary."""
    if data[:4] in {b"\xff\xfe\0\0", b"\0\0\xfe\xff"}:
        return data.decode("utf-32", "replace")
    if data[:2] in {b"\xff\xfe", b"\xfe\xff"}:  # editors of Windows save such text
        return data.decode("utf-16", "replace")
    return None if b"\0" in data[:_SAMPLE] else data.decode("utf-8", "replace")


def find_in(data: bytes, path: str, chosen: Iterable[Pattern] | None = None) -> list[Secret]:
    """Return the secrets of a file as `find`; in a binary one, those with a form of their own.

    Texts in a binary file end at a zero, or have one beside each letter.
    """
    text = decoded(data)
    if text is not None:
        return find(text, path, chosen)
    high = [pattern for pattern in (patterns() if chosen is None else chosen) if pattern.high]
    secrets: dict[str, Secret] = {}
    for joint in (b"\n", b""):
        for secret in find(data.replace(b"\0", joint).decode("latin-1"), path, high):
            secrets.setdefault(f"{secret.rule} {secret.excerpt}", replace(secret, line=1, column=1))
    return [*secrets.values()]


def find(text: str, path: str, chosen: Iterable[Pattern] | None = None) -> list[Secret]:
    """Return the secrets of a text in the order of their places, by all patterns or some.

    The path is only named. What a comment allows, and known examples and placeholders, are none.
    """
    lower = text.lower()
    secrets: list[tuple[int, Secret]] = []
    starts: list[int] = []
    allowed: set[int] = set()
    for pattern in patterns() if chosen is None else chosen:
        if not pattern.is_for(path) or not any(anchor in lower for anchor in pattern.anchors):
            continue
        for at, secret in _matches(pattern, text):
            if not starts:
                starts = [0, *(match.end() for match in re.finditer("\n", text))]
                allowed = allowed_lines(text)
            line = bisect.bisect_right(starts, at)
            if line not in allowed and not (pattern.literal and _is_example(text, at)):
                shown = Secret(
                    path=path,
                    line=line,
                    column=at - starts[line - 1] + 1,
                    rule=pattern.name,
                    severity="high" if pattern.high else "medium",
                    excerpt=excerpt(secret),
                    found_by=("lockstitch",),
                )
                secrets.append((at, shown))
    return [secret for _, secret in sorted(secrets, key=lambda pair: (pair[0], pair[1].rule))]


def _is_example(text: str, at: int) -> bool:
    """Return whether a place is in a comment that calls it an example."""
    return _EXAMPLE.match(text, text.rfind("\n", 0, at) + 1, at) is not None


def _matches(pattern: Pattern, text: str) -> Iterator[tuple[int, str]]:
    """Yield where each match starts, and the secret in it."""
    for match in pattern.compiled().finditer(text):
        secret = match["secret"] if "secret" in match.re.groupindex else match[0]
        if not pattern.refuses(secret):
            has_group = "secret" in match.re.groupindex and pattern.name != "private-key"
            yield match.start("secret" if has_group else 0), secret
