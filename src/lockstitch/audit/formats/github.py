"""A report as GitHub workflow commands, which annotate a pull request's lines."""

from lockstitch.audit.engine import Report
from lockstitch.audit.finding import Finding

__all__ = ["render"]


def render(report: Report) -> str:
    """Return one workflow command a finding, and a notice for each rule that could not look."""
    lines = [_command(each) for each in report.findings]
    lines += [
        f"::notice title={each.code}::{_data(f'skipped: {each.reason}')}" for each in report.skips
    ]
    return "".join(f"{line}\n" for line in lines)


def _command(each: Finding) -> str:
    place = f",line={each.line},col={each.column}" if each.line else ""
    text = f"{each.message}\nhint: {each.hint}" if each.hint else each.message
    return f"::{each.severity} file={_property(each.path)}{place},title={each.code}::{_data(text)}"


def _data(text: str) -> str:
    # The runner's own escapes: what else it would take for an end or for a command.
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
