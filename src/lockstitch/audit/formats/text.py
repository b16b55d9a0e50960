"""Lines for people: place, code, what is so, and what to type."""

from collections.abc import Iterator, Sequence
from itertools import groupby

from lockstitch.audit.engine import Report
from lockstitch.audit.finding import Finding, Severity

__all__ = ["printable", "render", "summary"]

_SHOWN = 5  # findings of one rule in one file; of more, the lines are named


def render(report: Report) -> str:
    """Return two lines a finding, the second with its hint; what repeats itself in one."""
    lines: list[str] = []
    for path, found in groupby(report.findings, key=lambda each: each.path):
        lines += _of_file(path, [*found])
    return "".join(f"{printable(line)}\n" for line in lines)


def _of_file(path: str, found: Sequence[Finding]) -> Iterator[str]:
    by_code: dict[str, list[Finding]] = {}
    for each in found:
        listed = by_code.setdefault(each.code, [])
        listed.append(each)
        if len(listed) <= _SHOWN:
            place = f"{path}:{each.line}:{each.column}" if each.line else path
            yield f"{place}: {each.severity} {each.code} {each.message}"
            if each.hint:
                yield f"    hint: {each.hint}"
    for code, listed in by_code.items():
        if more := listed[_SHOWN:]:
            lines = sorted({each.line for each in more})
            where = f"line{'' if len(lines) == 1 else 's'} {_ranges(lines)}"
            yield f"{path}: {more[0].severity} {code} {len(more)} more, on {where}"


def _ranges(numbers: Sequence[int]) -> str:
    """Return sorted numbers in few words: 3, 5-7."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1][1:] = [number]
        else:
            runs.append([number])
    return ", ".join("-".join(map(str, run)) for run in runs)


def summary(report: Report) -> list[str]:
    """Return what is said about a report: counts, fixes, and who could not look."""
    found = len(report.findings)
    lines: list[str] = []
    for each in report.skips:
        lines.append(f"skipped: {each.code} {each.reason}")
        lines += [f"hint: {each.hint}"] if each.hint else []
    errors = report.count(Severity.ERROR)
    split = f"{_count(errors, 'error')}, {_count(found - errors, 'warning')}"
    amount = f"{_count(found, 'finding')} ({split})" if found else "nothing found"
    hidden = f", {report.suppressed} suppressed" if report.suppressed else ""
    who = f"{_count(len(report.rules), 'rule')} in {_count(report.files, 'file')}"
    lines.append(f"{amount} by {who}{hidden}")
    if report.fixable:
        lines.append(f"hint: lockstitch check --fix  # {report.fixable} of them")
    if found:
        first = report.findings[0].code
        lines.append(f"hint: lockstitch explain {first}")
    return lines


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def printable(text: str) -> str:
    """Return a text without what a terminal would obey: names and values come from anybody."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)
