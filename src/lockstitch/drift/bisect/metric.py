"""Where the number of a run is read: its last line, a pattern in what it says, a JSON file."""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lockstitch import files, process
from lockstitch.drift.bisect.model import Fails, Metric, Outcome
from lockstitch.errors import LockstitchError, UsageError

__all__ = ["Reading", "parse"]

_NUMBER = r"[-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?"
_FOUND = re.compile(rf"(?<![\w.])(?:{_NUMBER}|[-+]?(?:nan|inf(?:inity)?)(?!\w))", re.IGNORECASE)
_TAIL = 20  # lines of a failed run that are kept
# Ctrl-C, SIGTERM, and SIGKILL, with which a system out of memory ends a program.
_STOPPED = (-2, -9, -15, 130, 137, 143)
_WIDEST = 160  # characters of a line that is shown


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """How a number is read from a run."""

    pattern: str = ""
    file: str = ""
    path: tuple[str, ...] = ()  # of the number in the file's JSON

    def document(self) -> dict[str, Any]:
        """Return it as JSON: runs that were read otherwise are other runs."""
        return {"pattern": self.pattern, "file": self.file, "path": list(self.path)}

    def stamp(self, folder: Path) -> tuple[int, int, int]:
        """Return what tells the file that a run writes from the one before."""
        try:
            found = (folder / self.file).stat()
        except OSError:
            return (0, 0, 0)
        return (found.st_mtime_ns, found.st_size, found.st_ino)

    def read(self, done: process.Finished, folder: Path, before: tuple[int, int, int]) -> Outcome:
        """Return what a run gave; `before` is the stamp of the file before it."""
        if done.code != 0:
            said = (done.stderr.strip() or done.stdout.strip()).splitlines()
            code = f"exit code {done.code}" if done.code > 0 else f"signal {-done.code}"
            detail = "\n".join(said[-_TAIL:])
            reason = _short(said[-1]) if said else code
            return Fails(reason=reason, detail=detail or code, passing=done.code in _STOPPED)
        if not self.file:
            return self._said(done)
        if self.stamp(folder) == before:
            return Fails(reason=f"the command did not write `{self.file}`")
        try:
            return Metric(value=self._number(files.read_text(folder / self.file)))
        except LockstitchError as error:
            return Fails(reason=error.message)

    def _said(self, done: process.Finished) -> Outcome:
        if self.pattern:
            # A log goes to stderr, and a result to stdout.
            for text in (done.stdout, done.stderr):
                found = list(re.finditer(self.pattern, text, re.MULTILINE))
                if found:
                    return _last(found[-1][1] if found[-1].re.groups else found[-1][0])
            return Fails(reason=f"nothing that the command says matches `{self.pattern}`")
        lines = [line for line in done.stdout.splitlines() if line.strip()]
        return _last(lines[-1]) if lines else Fails(reason="the command printed nothing")

    def _number(self, text: str) -> float:
        try:
            value: Any = json.loads(text)
        except (ValueError, RecursionError) as error:
            message = f"`{self.file}` is not valid JSON: {error}"
            raise LockstitchError(message) from error
        for key in self.path:
            known = isinstance(value, dict) and key in value
            if isinstance(value, list) and re.fullmatch(r"\d{1,6}", key) and int(key) < len(value):
                value = value[int(key)]
            elif known:
                value = value[key]
            else:
                message = f"`{self.file}` has no `{'.'.join(self.path)}`"
                raise LockstitchError(message)
        if isinstance(value, dict) and len(value) == 1:
            value = next(iter(value.values()))
        if isinstance(value, bool) or not isinstance(value, int | float):
            name = ".".join(self.path)
            message = f"`{self.file}{f':{name}' if name else ''}` is no number"
            raise LockstitchError(message)
        return float(value)


def parse(file: str, pattern: str) -> Reading:
    """Return how the options say that the number is read, or raise UsageError."""
    if file and pattern:
        message = "--metric-file cannot be used together with --metric-regex"
        raise UsageError(message, hint="keep one of them")
    if pattern:
        try:
            groups = re.compile(pattern).groups
        except re.error as error:
            message = f"--metric-regex is `{pattern}`, which is no regular expression: {error}"
            raise UsageError(message, hint="--metric-regex 'accuracy: (.*)'") from error
        if groups > 1:
            message = f"--metric-regex has {groups} groups, and the number can be in one of them"
            raise UsageError(message, hint="write (?:…) for the others")
        return Reading(pattern=pattern)
    name, _, path = file.partition(":")
    return Reading(file=name, path=tuple(path.split(".")) if path else ())


def _last(text: str) -> Outcome:
    found = _FOUND.findall(text)
    return Metric(value=float(found[-1])) if found else Fails(reason=f"no number: {_short(text)}")


def _short(line: str) -> str:
    return line if len(line) <= _WIDEST else f"{line[: _WIDEST - 1]}…"
