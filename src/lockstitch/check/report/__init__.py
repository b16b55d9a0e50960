"""Forms of a report: text, JSON, SARIF and GitHub annotations."""

from collections.abc import Callable

from lockstitch.check.audit import Report
from lockstitch.check.report import github, json, sarif, text

__all__ = ["FORMS"]

FORMS: dict[str, Callable[[Report], str]] = {
    "text": text.render,
    "json": json.render,
    "sarif": sarif.render,
    "github": github.render,
}
