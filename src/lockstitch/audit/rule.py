"""A rule of the audit and what it yields: findings, or that it could not look."""

import os
import re
from collections.abc import Iterator, Sequence
from enum import StrEnum
from inspect import cleandoc
from pathlib import Path
from typing import ClassVar

from lockstitch.patterns import regex
from lockstitch.repository.files import Repository
from lockstitch.repository.text.lines import Edit
from lockstitch.values import field, frozen

_SECTION = regex(r"^(Why|Bad|Good|Fix|Source):[ \t]*", re.MULTILINE)
_NEEDED = ("Why", "Bad", "Good", "Fix")


class Severity(StrEnum):
    """The severity: an error breaks the same-everywhere promise, a warning is a cost or a risk.

    A hint is good practice that many repositories do without: it is shown on demand.
    """

    ERROR = "error"
    WARNING = "warning"
    HINT = "hint"


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
        """Return the key that findings are sorted by."""
        return (os.fsencode(self.path), self.line, self.column, self.code, self.message)


@frozen
class Skip:
    """A rule that could not look, and the reason: a missing fact is never a pass."""

    code: str
    reason: str
    hint: str = ""


@frozen
class Page:
    """The documentation of a rule: its docstring by section; `Source` may be missing."""

    title: str
    sections: dict[str, str]

    @classmethod
    def of(cls, rule: "type[Rule]") -> "Page":
        """Return the page of a rule; raises ValueError naming the sections that are missing."""
        title, _, rest = cleandoc(rule.__doc__ or "").partition("\n")
        parts = _SECTION.split(rest)
        sections = {
            name: cleandoc("\n" + body).strip("\n")
            for name, body in zip(parts[1::2], parts[2::2], strict=True)
        }
        missing = [name for name in _NEEDED if not sections.get(name)]
        if missing or parts[0].strip():
            message = f"{rule.__name__}: the docstring has no {', '.join(missing) or 'such text'}"
            raise ValueError(message)
        return cls(title=title.rstrip("."), sections=sections)


@frozen
class CheckOptions:
    """The caller's options for rules that cost more, or that look at more."""

    measure: bool = False  # run each hook and time it
    slow: float = 5.0  # seconds of a hook for all files
    verify: bool = False  # hash every file of an environment
    history: bool = False  # look for secrets in all commits
    images: tuple[Path, ...] = ()  # OCI layouts beside the project's own


_DEFAULT = CheckOptions()


class Rule:
    """Looks at a repository for one kind of defect."""

    severity: ClassVar[Severity] = Severity.WARNING
    default: ClassVar[bool] = True  # whether it runs without being selected
    fixes: ClassVar[bool] = False  # whether some of its findings have a fix

    def __init__(self, options: CheckOptions = _DEFAULT) -> None:
        self.options = options

    @property
    def code(self) -> str:
        """Return the code: the name of the class."""
        return type(self).__name__

    def find(self, repo: Repository) -> Iterator[Finding | Skip]:  # noqa: ARG002 -- of subclasses
        """Yield the findings in a repository; the order does not matter."""
        yield from ()

    def finding(
        self,
        path: str,
        line: int,
        message: str,
        *,
        hint: str = "",
        column: int = 1,
        fix: Sequence[Edit] | Edit | None = (),
        severity: Severity | None = None,
    ) -> Finding:
        """Return a finding of this rule; the message is one sentence without a full stop."""
        return Finding(
            code=self.code,
            severity=severity or self.severity,
            path=path,
            line=line,
            column=column,
            message=message,
            hint=hint,
            fix=(fix,) if isinstance(fix, Edit) else tuple(fix or ()),
        )

    def skip(self, reason: str, *, hint: str = "") -> Skip:
        """Return the skip of this rule, with the reason why it could not look."""
        return Skip(code=self.code, reason=reason, hint=hint)
