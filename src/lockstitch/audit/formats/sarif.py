"""A report as SARIF 2.1.0, which code scanning services read (OASIS, sarif-v2.1.0)."""

import json
from typing import Any
from urllib.parse import quote

from lockstitch import __version__
from lockstitch.audit import rules
from lockstitch.audit.engine import Report
from lockstitch.audit.finding import Finding
from lockstitch.audit.rule import Page

__all__ = ["document", "render"]


def document(report: Report) -> dict[str, Any]:
    """Return the values of the log: one run, its rules, results and notifications."""
    codes = sorted({each.code for each in report.findings})
    driver = {
        "name": "lockstitch",
        "version": __version__,
        "informationUri": "https://github.com/lockstitch/lockstitch",
        "rules": [_rule(code) for code in codes],
    }
    skipped = [
        {
            "level": "note",
            "message": {"text": f"skipped: {each.reason}"},
            "associatedRule": {"id": each.code},
        }
        for each in report.skips
    ]
    run = {
        "tool": {"driver": driver},
        "columnKind": "unicodeCodePoints",
        "invocations": [{"executionSuccessful": True, "toolExecutionNotifications": skipped}],
        "results": [_result(each, codes.index(each.code)) for each in report.findings],
    }
    return {
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [run],
    }


def render(report: Report) -> str:
    """Return the report as one SARIF log."""
    return json.dumps(document(report), indent=2, sort_keys=True) + "\n"


def _rule(code: str) -> dict[str, Any]:
    rule = rules.by_code(code)
    page = Page.of(rule)
    return {
        "id": code,
        "shortDescription": {"text": page.title},
        "fullDescription": {"text": page.sections["Why"]},
        "help": {"text": page.sections["Fix"]},
        "defaultConfiguration": {"level": str(rule.severity), "enabled": rule.default},
    }


def _result(each: Finding, index: int) -> dict[str, Any]:
    text = f"{each.message}. Hint: {each.hint}" if each.hint else each.message
    location: dict[str, Any] = {
        "artifactLocation": {"uri": quote(each.path), "uriBaseId": "%SRCROOT%"}
    }
    if each.line:
        location["region"] = {"startLine": each.line, "startColumn": each.column}
    return {
        "ruleId": each.code,
        "ruleIndex": index,
        "level": str(each.severity),
        "message": {"text": text},
        "locations": [{"physicalLocation": location}],
    }
