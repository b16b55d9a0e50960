"""The corpus of projects: what `lockstitch check` finds in each, against what is marked."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from support import cases
from support.cases import Mark

from lockstitch.audit import engine, rules
from lockstitch.audit.settings import Settings

__all__ = ["FOLDER", "Judged", "judge", "projects"]

FOLDER = Path(__file__).parents[1] / "corpus"
# What a folder alone does not show: a clone with its hooks, an environment, a history.
_ELSEWHERE = ("HOK001", "HOK002", "ENV", "SEC002", "SEC003")


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """One project: what was found rightly, found wrongly, and not found."""

    name: str
    right: tuple[Mark, ...]
    wrong: tuple[Mark, ...]
    missed: tuple[Mark, ...]


def projects(kind: str) -> list[Path]:
    """Return the files of `clean` or `taught` projects."""
    return sorted((FOLDER / kind).glob("*.txt"))


def judge(path: Path, folder: Path) -> Judged:
    """Write a project into a folder and compare; a mark without a line fits any."""
    (case,) = cases.parse(path.read_text(encoding="utf-8"))
    chosen = [rule for rule in rules.RULES if rule.default and _seen(rule.__name__)]
    report = engine.audit(
        cases.repository(cases.write(case, folder)), chosen, Settings(), rules.codes()
    )
    found = [Mark(finding.code, finding.path, finding.line) for finding in report.findings]
    left = [mark for mark in case.expect if _seen(mark.code)]
    right, wrong = [], []
    for each in found:
        match = next(_matching(each, left), None)
        if match is None:
            wrong.append(each)
        else:
            left.remove(match)
            right.append(each)
    return Judged(name=path.stem, right=tuple(right), wrong=tuple(wrong), missed=tuple(left))


def _seen(code: str) -> bool:
    return not code.startswith(_ELSEWHERE)


def _matching(found: Mark, left: list[Mark]) -> Iterator[Mark]:
    """Yield the marks that a finding may be, the most exact first."""
    for exact in (True, False):
        for mark in left:
            same = (mark.code, mark.path) == (found.code, found.path)
            if same and (mark.line == found.line if exact else not mark.line or not found.line):
                yield mark
