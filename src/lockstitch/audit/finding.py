"""What a rule says: a finding with its place and its fix, or that it could not look."""

from dataclasses import field
from enum import StrEnum

from lockstitch.repository.text.edits import Edit
from lockstitch.values import frozen

__all__ = ["Finding", "Severity", "Skip"]


class Severity(StrEnum):
    """How bad it is: an error breaks the same-everywhere promise, a warning is a cost or a risk."""

    ERROR = "error"
    WARNING = "warning"


@frozen
class Finding:
    """One thing that is wrong; lines and columns count from 1, line 0 is the file as a whole."""

    code: str
    severity: Severity
    path: str
    line: int
    message: str
    hint: str = ""
    column: int = 1
    fix: tuple[Edit, ...] = field(default=(), compare=False)  # all of them or none

    @property
    def place(self) -> str:
        """Return `path:line`, or the path alone for a file as a whole."""
        return f"{self.path}:{self.line}" if self.line else self.path

    @property
    def order(self) -> tuple[bytes, int, int, str, str]:
        """Return what findings are sorted by."""
        return (self.path.encode(), self.line, self.column, self.code, self.message)


@frozen
class Skip:
    """Says that a rule could not look: what is missing is never a pass."""

    code: str
    reason: str
    hint: str = ""
