"""A report as text for people, as JSON, as SARIF 2.1.0 and as GitHub annotations."""

import json
import os
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from typing import Any
from urllib.parse import quote

from lockstitch import __version__
from lockstitch.audit import rules
from lockstitch.audit.engine import Report
from lockstitch.audit.rule import Finding, Page, Severity
from lockstitch.table import counted

_SHOWN = 5  # findings of one rule in one file; of more, the lines are named
_NOTES = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.HINT: "note"}


# --- text


def _text(report: Report) -> str:
    """Return a line a finding, and one for a hint that is new; what repeats itself in one."""
    lines: list[str] = []
    hinted: set[tuple[str, str]] = set()
    for path, findings in groupby(report.findings, key=lambda finding: finding.path):
        lines += _text_of_file(path, [*findings], hinted)
    return "".join(f"{printable(line)}\n" for line in lines)


def _text_of_file(
    path: str, findings: Sequence[Finding], hinted: set[tuple[str, str]]
) -> Iterator[str]:
    """Yield the lines of a file's findings; a hint of a rule that is known stands nowhere twice."""
    by_code: dict[str, list[Finding]] = {}
    for finding in findings:
        listed = by_code.setdefault(finding.code, [])
        listed.append(finding)
        if len(listed) <= _SHOWN:
            place = f"{path}:{finding.line}:{finding.column}" if finding.line else path
            yield f"{place}: {finding.severity} {finding.code} {finding.message}"
            if finding.hint and (finding.code, finding.hint) not in hinted:
                hinted.add((finding.code, finding.hint))
                yield f"    hint: {finding.hint}"
    for code, listed in by_code.items():
        if more := listed[_SHOWN:]:
            lines = sorted({finding.line for finding in more})
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


def summary(report: Report, *, verbose: bool = False) -> list[str]:
    """Return the lines that follow a report on stderr: skipped rules, counts, what to type next.

    Several skipped rules are one line, and with `verbose` each has its reason and hint.
    """
    lines: list[str] = []
    if verbose or len(report.skips) == 1:
        for skip in report.skips:
            lines.append(f"skipped: {skip.code} {skip.reason}")
            lines += [f"hint: {skip.hint}"] if skip.hint and verbose else []
    elif report.skips:
        codes = ", ".join(dict.fromkeys(skip.code for skip in report.skips))
        lines.append(f"skipped: {codes}; `lockstitch check --verbose` says why")
    count = len(report.findings)
    parts = [counted(report.count(level), level) for level in (Severity.ERROR, Severity.WARNING)]
    hints = report.count(Severity.HINT)
    split = ", ".join([*parts, *([counted(hints, "hint")] if hints else [])])
    amount = f"{counted(count, 'finding')} ({split})" if count else "nothing found"
    hidden = f", {report.suppressed} suppressed" if report.suppressed else ""
    scope = f"{counted(len(report.rules), 'rule')} in {counted(report.files, 'file')}"
    lines.append(f"{amount} by {scope}{hidden}")
    if report.hidden:
        lines.append(f"not shown: {report.hidden} of a lower level; all: --level hint")
    if report.fixable:
        lines.append(f"hint: lockstitch check --fix  # {report.fixable} of them")
    if count:
        lines.append(f"hint: lockstitch check --explain {report.findings[0].code}")
    return lines


def printable(text: str) -> str:
    """Return a text without control characters: names and values come from anybody."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)


# --- JSON and SARIF


def _json(report: Report) -> str:
    document = {
        "schema": 1,  # docs/reference/check.md describes it
        "findings": [
            {
                "code": finding.code,
                "severity": str(finding.severity),
                "path": finding.path,
                "line": finding.line,
                "column": finding.column,
                "message": finding.message,
                "hint": finding.hint,
                "fixable": bool(finding.fix),
            }
            for finding in report.findings
        ],
        "skipped": [
            {"code": skip.code, "reason": skip.reason, "hint": skip.hint} for skip in report.skips
        ],
        "suppressed": report.suppressed,
        "hidden": report.hidden,
        "rules": list(report.rules),
        "files": report.files,
    }
    return json.dumps(document, indent=2, sort_keys=True) + "\n"


def sarif_document(report: Report) -> dict[str, Any]:
    """Return the SARIF log of a report: one run, its rules, results and notifications."""
    codes = sorted({finding.code for finding in report.findings})
    driver = {
        "name": "lockstitch",
        "version": __version__,
        "informationUri": "https://github.com/lockstitch/lockstitch",
        "rules": [_sarif_rule(code) for code in codes],
    }
    skipped = [
        {
            "level": "note",
            "message": {"text": f"skipped: {skip.reason}"},
            "associatedRule": {"id": skip.code},
        }
        for skip in report.skips
    ]
    run = {
        "tool": {"driver": driver},
        "columnKind": "unicodeCodePoints",
        "invocations": [{"executionSuccessful": True, "toolExecutionNotifications": skipped}],
        "results": [
            _sarif_result(finding, codes.index(finding.code)) for finding in report.findings
        ],
    }
    return {
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [run],
    }


def _sarif_rule(code: str) -> dict[str, Any]:
    rule = rules.by_code(code)
    page = Page.of(rule)
    return {
        "id": code,
        "shortDescription": {"text": page.title},
        "fullDescription": {"text": page.sections["Why"]},
        "help": {"text": page.sections["Fix"]},
        "defaultConfiguration": {"level": _NOTES[rule.severity], "enabled": rule.default},
    }


def _sarif_result(finding: Finding, index: int) -> dict[str, Any]:
    text = f"{finding.message}. Hint: {finding.hint}" if finding.hint else finding.message
    location: dict[str, Any] = {
        "artifactLocation": {"uri": quote(os.fsencode(finding.path)), "uriBaseId": "%SRCROOT%"}
    }
    if finding.line:
        location["region"] = {"startLine": finding.line, "startColumn": finding.column}
    return {
        "ruleId": finding.code,
        "ruleIndex": index,
        "level": _NOTES[finding.severity],
        "message": {"text": text},
        "locations": [{"physicalLocation": location}],
    }


def _sarif(report: Report) -> str:
    return json.dumps(sarif_document(report), indent=2, sort_keys=True) + "\n"


# --- GitHub


def _github(report: Report) -> str:
    """Return one workflow command a finding, and a notice for each rule that could not look."""
    lines = []
    for finding in report.findings:
        place = f",line={finding.line},col={finding.column}" if finding.line else ""
        file = _escaped(finding.path).replace(":", "%3A").replace(",", "%2C")
        text = f"{finding.message}\nhint: {finding.hint}" if finding.hint else finding.message
        kind = "notice" if finding.severity is Severity.HINT else finding.severity
        head = f"::{kind} file={file}{place},title={finding.code}"
        lines.append(f"{head}::{_escaped(text)}")
    lines += [
        f"::notice title={skip.code}::skipped: {_escaped(skip.reason)}" for skip in report.skips
    ]
    return "".join(f"{line}\n" for line in lines)


def _escaped(text: str) -> str:
    # The runner's own escapes: what else it would take for an end or for a command.
    text = text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


FORMATS: dict[str, Callable[[Report], str]] = {
    "text": _text,
    "json": _json,
    "sarif": _sarif,
    "github": _github,
}
