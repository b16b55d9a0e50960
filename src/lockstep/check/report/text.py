"""Lines for people: place, code, what is so, and what to type."""

from lockstep.check.audit import Report
from lockstep.check.finding import Severity

__all__ = ["printable", "render", "summary"]


def render(report: Report) -> str:
    """Return two lines a finding, the second with its hint."""
    lines = []
    for each in report.findings:
        place = f"{each.path}:{each.line}:{each.column}" if each.line else each.path
        lines.append(f"{place}: {each.severity} {each.code} {each.message}")
        lines += [f"    hint: {each.hint}"] if each.hint else []
    return "".join(f"{printable(line)}\n" for line in lines)


def summary(report: Report) -> list[str]:
    """Return what is said about a report: counts, fixes, and who could not look."""
    found = len(report.findings)
    lines = []
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
        lines.append(f"hint: lockstep check --fix  # {report.fixable} of them")
    if found:
        first = report.findings[0].code
        lines.append(f"hint: lockstep explain {first}")
    return lines


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def printable(text: str) -> str:
    """Return a text without what a terminal would obey: names and values come from anybody."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)
