"""Reads the number of a run: from its last line, by a pattern in its output, or in a JSON file."""

import json
import re
from pathlib import Path
from typing import Any

from lockstitch import files, process
from lockstitch.drift.bisect.model import Fails, Metric, Outcome
from lockstitch.errors import LockstitchError, UsageError
from lockstitch.table import cut
from lockstitch.values import frozen

_NUMBER = r"[-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?"
_FOUND = re.compile(rf"(?<![\w.])(?:{_NUMBER}|[-+]?(?:nan|inf(?:inity)?)(?!\w))", re.IGNORECASE)
# A last number that is a time: `took 3.2`, `elapsed: 0:12`, `done in 12 s`.
_TIME = re.compile(
    rf"""\b(?:took|elapsed|duration|runtime)\W{{0,4}}{_NUMBER}\D*$
    |\b(?:wall|total|training|cpu)[ _]time\W{{0,4}}{_NUMBER}\D*$
    |^\s*time\W{{0,4}}{_NUMBER}\D*$
    |{_NUMBER}\s?(?:[mµun]?s|secs?|seconds?|millis\w*|mins?|minutes?|h|hours?)\W*$
    |\d:\d\d(?:\.\d+)?\W*$""",
    re.IGNORECASE | re.VERBOSE,
)
# What fails so may not fail the next time: it is no property of packages.
_PASSING = re.compile(
    r"""(?i)MemoryError|out\ of\ memory|cannot\ allocate|no\ space\ left|too\ many\ open\ files
    |Connection(?:Error|Reset|Refused|Aborted)|connection\ (?:reset|refused|aborted)|timed\ ?out
    |Timeout|name\ resolution|name\ or\ service|unreachable|HTTP\ Error\ (?:429|5\d\d)""",
    re.VERBOSE,
)
# Ctrl-C, SIGTERM, and SIGKILL, with which a system out of memory ends a program.
_STOPPED = (-2, -9, -15, 130, 137, 143)
_WIDEST = 160  # characters of a line that is shown


@frozen
class MetricSource:
    """The way to read the number of a run."""

    pattern: str = ""
    file: str = ""
    path: tuple[str, ...] = ()  # of the number in the file's JSON

    def document(self) -> dict[str, Any]:
        """Return it as JSON: a number that is read otherwise is another one."""
        return {"pattern": self.pattern, "file": self.file, "path": list(self.path)}

    def stamp(self, folder: Path) -> tuple[int, int, int]:
        """Return the stamp that tells the file that a run writes from an older one."""
        try:
            stat = (folder / self.file).stat()
        except OSError:
            return (0, 0, 0)
        return (stat.st_mtime_ns, stat.st_size, stat.st_ino)

    def read(self, done: process.Finished, folder: Path, before: tuple[int, int, int]) -> Outcome:
        """Return the outcome of a run; `before` is the stamp of the file before it."""
        if done.code != 0:
            lines = (done.stderr.strip() or done.stdout.strip()).splitlines()
            code = f"exit code {done.code}" if done.code > 0 else f"signal {-done.code}"
            detail = "\n".join(lines[-20:])  # lines of a failed run that are kept
            reason = cut(lines[-1], _WIDEST) if lines else code
            passing = done.code in _STOPPED or bool(_PASSING.search(reason))
            return Fails(reason=reason, detail=detail or code, passing=passing)
        if not self.file:
            return self._printed(done)
        if self.stamp(folder) == before:
            return Fails(reason=f"the command did not write `{self.file}`")
        try:
            name = ":".join(filter(None, (self.file, ".".join(self.path))))
            return Metric(value=self._number(files.read_text(folder / self.file)), line=name)
        except LockstitchError as error:
            return Fails(reason=error.message)

    def _printed(self, done: process.Finished) -> Outcome:
        if self.pattern:
            # A log goes to stderr, and a result to stdout.
            for text in (done.stdout, done.stderr):
                matches = list(re.finditer(self.pattern, text, re.MULTILINE))
                if matches:
                    match = matches[-1]
                    return _last(match[1] if match.re.groups else match[0], match[0])
            return Fails(reason=f"nothing in the command's output matches `{self.pattern}`")
        lines = [line for line in done.stdout.splitlines() if line.strip()]
        if not lines:
            return Fails(reason="the command printed nothing")
        if _TIME.search(lines[-1]):
            shown = cut(lines[-1], _WIDEST)
            return Fails(reason=f"a time, and no result, is in the last line: {shown}")
        return _last(lines[-1], lines[-1])

    def _number(self, text: str) -> float:
        try:
            value: Any = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise LockstitchError(f"`{self.file}` is not valid JSON: {error}") from error
        for key in self.path:
            known = isinstance(value, dict) and key in value
            if isinstance(value, list) and re.fullmatch(r"\d{1,6}", key) and int(key) < len(value):
                value = value[int(key)]
            elif known:
                value = value[key]
            else:
                raise LockstitchError(f"`{self.file}` has no `{'.'.join(self.path)}`")
        if isinstance(value, dict) and len(value) == 1:
            value = next(iter(value.values()))
        if isinstance(value, bool) or not isinstance(value, int | float):
            name = ".".join(self.path)
            raise LockstitchError(f"`{self.file}{f':{name}' if name else ''}` is no number")
        return float(value)


def parse(file: str, pattern: str) -> MetricSource:
    """Return how the options read the number; raises UsageError for contradictions."""
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
        return MetricSource(pattern=pattern)
    name, _, path = file.partition(":")
    return MetricSource(file=name, path=tuple(path.split(".")) if path else ())


def _last(text: str, line: str) -> Outcome:
    numbers = _FOUND.findall(text)
    if not numbers:
        return Fails(reason=f"no number: {cut(text, _WIDEST)}")
    return Metric(value=float(numbers[-1]), line=cut(line.strip(), _WIDEST))
