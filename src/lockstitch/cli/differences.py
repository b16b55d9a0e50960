"""Differences of two environments for people: a table, a pull request's text, JSON."""

import re
from collections.abc import Iterator, Sequence
from typing import Any

from lockstitch.cli.table import table
from lockstitch.drift import compare
from lockstitch.drift.compare import Difference
from lockstitch.fingerprint.model import Fingerprint

__all__ = ["document", "markdown", "text"]

_HEAD = ("name", "change", "from", "to", "imported", "asked for by")
_WIDEST = 36  # characters of a cell on a terminal


def document(
    before: Fingerprint, after: Fingerprint, found: Sequence[Difference]
) -> dict[str, Any]:
    """Return the comparison as JSON."""
    return {
        "before": before.digest,
        "after": after.digest,
        "matters": compare.matters(found),
        "differences": [each.document() for each in found],
    }


def text(found: Sequence[Difference], *, everything: bool) -> str:
    """Return a table, what is known of the moves in it, and how much is folded away."""
    strong = [each for each in found if each.effect.matters]
    rest = found[len(strong) :]
    lines = []
    if strong:
        lines += ["what can change results", _table(strong), *_known(strong)]
    else:
        lines.append("nothing that is known to change results")
    if rest and everything:
        lines += ["", "the rest", _table(rest)]
    elif rest:
        lines += ["", f"and {_counted(rest)} not known to change results (--all)"]
    return "\n".join(lines) + "\n"


def markdown(before: str, after: str, found: Sequence[Difference]) -> str:
    """Return tables for a pull request: what can change results open, the rest folded."""
    strong = [each for each in found if each.effect.matters]
    rest = found[len(strong) :]
    lines = [f"### {_code(before)} → {_code(after)}", ""]
    if strong:
        lines += ["**What can change results**", "", *_rows(strong)]
        lines += ["", *(f"- {_escaped(line)}" for line in _notes(strong))]
    else:
        lines.append("Nothing that is known to change results.")
    if rest:
        lines += ["", f"<details><summary>{_counted(rest)} not known to change results</summary>"]
        lines += ["", *_rows(rest), "", "</details>"]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines).rstrip("\n") + "\n")


def _counted(found: Sequence[Difference]) -> str:
    return f"{len(found)} difference{'s' if len(found) > 1 else ''}"


def _table(found: Sequence[Difference]) -> str:
    rows = [[_cut(cell) for cell in _cells(each)] for each in found]
    return table(_HEAD, rows, left=len(_HEAD))


def _cut(cell: str) -> str:
    return cell if len(cell) <= _WIDEST else f"{cell[: _WIDEST - 1]}…"


def _cells(each: Difference) -> list[str]:
    name = each.name if each.what == "package" else f"{each.what}: {each.name}"
    imported = {True: "yes", False: "no", None: ""}[each.imported]
    who = ["you"] if each.direct else []
    who += list(each.by[:2])
    more = f" and {len(each.by) - 2} more" if len(each.by) > 2 else ""  # noqa: PLR2004 -- as cut above
    return [name, each.kind, each.before or "-", each.after or "-", imported, ", ".join(who) + more]


def _known(found: Sequence[Difference]) -> Iterator[str]:
    notes = list(_notes(found))
    if notes:
        yield ""
        yield "known changes of results between these versions"
        yield from (f"  {note}" for note in notes)


def _notes(found: Sequence[Difference]) -> Iterator[str]:
    for each in found:
        for move in each.moves:
            yield f"{move.package} {move.version}: {move.what} ({move.source})"


def _rows(found: Sequence[Difference]) -> Iterator[str]:
    yield f"| {' | '.join(_HEAD)} |"
    yield "|---" * len(_HEAD) + "|"
    for each in found:
        name, *cells = _cells(each)
        yield f"| {_code(name)} | {' | '.join(map(_escaped, cells))} |"


def _code(text: str) -> str:
    return f"`{text.replace('`', '').replace('|', chr(92) + '|')}`"


def _escaped(text: str) -> str:
    """Return a text that no Markdown can hide in: a version comes from somebody's lock."""
    return re.sub(r"([\\`*_{}\[\]<>#|~])", r"\\\1", text)
