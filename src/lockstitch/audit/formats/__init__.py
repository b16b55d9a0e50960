"""Forms of a report: text, JSON, SARIF and GitHub annotations."""

from collections.abc import Callable

from lockstitch.audit.engine import Report
from lockstitch.audit.formats import github, json, sarif, text

__all__ = ["FORMS"]

FORMS: dict[str, Callable[[Report], str]] = {
    "text": text.render,
    "json": json.render,
    "sarif": sarif.render,
    "github": github.render,
}
