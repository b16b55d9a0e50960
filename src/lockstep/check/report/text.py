"""Lines for people: place, code, what is so, and what to type."""

from lockstep.check.audit import Report

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
    errors = sum(each.severity == "error" for each in report.findings)
    lines = []
    for each in report.skips:
        lines.append(f"skipped: {each.code} {each.reason}")
        lines += [f"hint: {each.hint}"] if each.hint else []
    amount = f"{found} finding{'' if found == 1 else 's'}" if found else "nothing found"
    split = (
        f" ({errors} error{'' if errors == 1 else 's'}, {found - errors} warnings)" if found else ""
    )
    split = split.replace(" 1 warnings", " 1 warning")
    hidden = f", {report.suppressed} suppressed" if report.suppressed else ""
    lines.append(f"{amount}{split} by {len(report.rules)} rules in {report.files} files{hidden}")
    if report.fixable:
        lines.append(f"hint: lockstep check --fix  # {report.fixable} of them")
    if found:
        first = report.findings[0].code
        lines.append(f"hint: lockstep explain {first}")
    return lines


def printable(text: str) -> str:
    """Return a text without what a terminal would obey: names and values come from anybody."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)
