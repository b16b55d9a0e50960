"""A report as JSON; docs/reference/check.md has the schema."""

import json
from typing import Any

from lockstitch.audit.engine import Report
from lockstitch.audit.finding import Finding

__all__ = ["SCHEMA", "document", "render"]

SCHEMA = 1


def document(report: Report) -> dict[str, Any]:
    """Return the values that JSON has."""
    return {
        "schema": SCHEMA,
        "findings": [_finding(each) for each in report.findings],
        "skipped": [
            {"code": each.code, "reason": each.reason, "hint": each.hint} for each in report.skips
        ],
        "suppressed": report.suppressed,
        "rules": list(report.rules),
        "files": report.files,
    }


def render(report: Report) -> str:
    """Return the report as one JSON document."""
    return json.dumps(document(report), indent=2, sort_keys=True) + "\n"


def _finding(each: Finding) -> dict[str, Any]:
    return {
        "code": each.code,
        "severity": str(each.severity),
        "path": each.path,
        "line": each.line,
        "column": each.column,
        "message": each.message,
        "hint": each.hint,
        "fixable": bool(each.fix),
    }
