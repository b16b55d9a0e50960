"""Runs rules over a repository, drops what comments and settings suppress, and applies fixes."""

import os
import traceback
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import PurePath

from lockstitch import files
from lockstitch.audit.rule import Finding, Rule, Severity, Skip
from lockstitch.audit.settings import Settings
from lockstitch.errors import LockstitchError
from lockstitch.repository.files import Repository
from lockstitch.repository.text.lines import Edit, applied
from lockstitch.suppressions import Suppression, suppressions
from lockstitch.table import first_of
from lockstitch.values import field, frozen, replace

_NOWHERE = "."  # the path of a finding about no file
_REPORTS = "https://github.com/lockstitch/lockstitch/issues"
_NAMED = 2  # files like the one of a finding
_MOST_ROUNDS = 20  # one fix may need another's result


@frozen
class Report:
    """The findings in one order, and the rules that could not look."""

    findings: tuple[Finding, ...]
    skips: tuple[Skip, ...]
    suppressed: int
    rules: tuple[str, ...]  # codes of those that ran
    files: int

    @property
    def fixable(self) -> int:
        """Return how many findings have a fix."""
        return sum(bool(finding.fix) for finding in self.findings)

    hidden: int = 0  # findings of a lower level than was asked for

    def count(self, severity: Severity) -> int:
        """Return how many findings have a severity."""
        return sum(finding.severity is severity for finding in self.findings)

    def from_level(self, level: Severity) -> "Report":
        """Return the report without findings of a lower level, which are counted."""
        order = [*Severity]
        kept = [e for e in self.findings if order.index(e.severity) <= order.index(level)]
        return replace(self, findings=tuple(kept), hidden=len(self.findings) - len(kept))


@frozen
class Fixed:
    """The result of fixes: the last report, and each changed text before and after."""

    report: Report
    changes: Mapping[str, tuple[str, str]]  # path: (before, after), sorted
    fixed: int
    left: Mapping[str, str] = field(default_factory=dict)  # path: why its fixes are not made


def audit(
    repo: Repository,
    rules: Sequence[type[Rule]],
    settings: Settings,
    known: Sequence[str],
    only: Sequence[str] = (),
) -> Report:
    """Return the findings of rules; `known` are the codes of all rules.

    With `only`, findings elsewhere than in these files or folders are left out.
    """
    findings: dict[tuple[object, ...], Finding] = {}
    skips: dict[tuple[str, str], Skip] = {}
    for rule in rules:
        for outcome in _outcomes(rule, repo, settings):
            if isinstance(outcome, Skip):
                skips[outcome.code, outcome.reason] = outcome
            elif not settings.ignores(outcome.code, outcome.path):
                findings[outcome.order] = outcome
    chosen = [
        finding
        for finding in findings.values()
        if not only or finding.path == _NOWHERE or _is_below(finding.path, only)
    ]
    codes = tuple(rule.__name__ for rule in rules)
    kept, suppressed = _suppressed(repo, chosen, codes, known, settings)
    return Report(
        findings=tuple(sorted(_merged(kept), key=lambda finding: finding.order)),
        skips=tuple(skips[key] for key in sorted(skips)),
        suppressed=suppressed,
        rules=codes,
        files=len(repo.names),
    )


def _merged(findings: Sequence[Finding]) -> Iterator[Finding]:
    """Yield findings, one for what near copies of a file have on one line."""
    alike: dict[tuple[object, ...], list[Finding]] = {}
    for finding in findings:
        name = finding.path.rpartition("/")[2]
        same = (finding.code, name, finding.line, finding.column, finding.message)
        alike.setdefault(same if finding.line else (finding,), []).append(finding)
    for copies in alike.values():
        first, *others = sorted(copies, key=lambda finding: (finding.path.count("/"), finding.path))
        if others:
            names = first_of([f"`{finding.path}`" for finding in others], _NAMED)
            edits = tuple(edit for finding in copies for edit in finding.fix)
            first = replace(first, message=f"{first.message}, as in {names}", fix=edits)
        yield first


def _outcomes(rule: type[Rule], repo: Repository, settings: Settings) -> Iterator[Finding | Skip]:
    """Yield a rule's findings; a defect of the rule is a finding, and ends no other rule."""
    try:
        yield from rule(settings.options).find(repo)
    except LockstitchError as error:
        yield _crash(rule, error.message, error.hint)
    except Exception as error:  # noqa: BLE001 -- whatever a rule did not think of
        last = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{PurePath(last.filename).name}:{last.lineno}"
        yield _crash(rule, f"{type(error).__name__} at {where}")


def _crash(rule: type[Rule], why: str, hint: str = "") -> Finding:
    return Finding(
        code=rule.__name__,
        severity=Severity.ERROR,
        path=_NOWHERE,
        line=0,
        message=f"the rule crashed: {why}",
        hint=hint or f"please report it: {_REPORTS}",
    )


def _is_below(path: str, places: Sequence[str]) -> bool:
    return any(
        place in {"", "."} or path == place or path.startswith(f"{place}/") for place in places
    )


def _suppressed(
    repo: Repository,
    findings: list[Finding],
    codes: Sequence[str],
    known: Sequence[str],
    settings: Settings,
) -> tuple[list[Finding], int]:
    """Return the findings that no comment suppresses, those of the comments themselves included."""
    with_comments = [n for n in repo.read_names() if "lockstitch: ignore" in (repo.text(n) or "")]
    paths = dict.fromkeys((*(finding.path for finding in findings), *with_comments))
    comments = {path: suppressions(repo.text(path) or "") for path in paths}
    used: dict[tuple[str, int], set[str]] = {}  # codes of what a comment of a file has suppressed
    kept = []
    for finding in findings:
        suppressing = [
            comment
            for comment in comments[finding.path]
            if comment.reason and finding.line in comment.lines
            if finding.code.startswith(comment.codes)
        ]
        for comment in suppressing:
            fitting = (code for code in comment.codes if finding.code.startswith(code))
            used.setdefault((finding.path, comment.line), set()).update(fitting)
        if not suppressing:
            kept.append(finding)
    count = len(findings) - len(kept)
    for path, listed in comments.items():
        for comment in listed:
            own = _of_comment(path, comment, used.get((path, comment.line), set()), codes, known)
            kept += [finding for finding in own if not settings.ignores(finding.code, path)]
    return kept, count


def _of_comment(
    path: str, comment: Suppression, used: set[str], codes: Sequence[str], known: Sequence[str]
) -> Iterator[Finding]:
    wrong = [c for c in comment.codes if not any(code.startswith(c) for code in known)]
    # Whether a rule that did not run has anything to suppress is not known.
    ran = [c for c in comment.codes if any(code.startswith(c) for code in codes)]
    unused = [c for c in ran if c not in used]
    if "CHK001" in codes and (wrong or not comment.codes or not comment.reason):
        code = "CHK001"
        what = "names no rule" if not comment.codes else f"names `{wrong[0]}`" if wrong else ""
        message = f"the comment {what}, which no rule has" if wrong else f"the comment {what}"
        message = message if what else "the comment gives no reason, so it suppresses nothing"
        hint = f"# lockstitch: ignore {' '.join(comment.codes) or 'CODE'} -- why it is right here"
    elif "CHK002" in codes and comment.reason and unused:
        code = "CHK002"
        message = f"nothing here is {', '.join(unused)}, so the comment suppresses nothing"
        hint = "take it out"
    else:
        return
    yield Finding(
        code=code,
        severity=Severity.WARNING,
        path=path,
        line=comment.line,
        message=message,
        hint=hint,
    )


def fix(
    repo: Repository,
    rules: Sequence[type[Rule]],
    settings: Settings,
    known: Sequence[str],
    only: Sequence[str] = (),
) -> Fixed:
    """Return the repository's texts with all fixes applied, again and again until none is left.

    Raises RuntimeError when fixes undo each other: a defect of the rules.
    """
    before, fixed = repo, 0
    left: dict[str, str] = {}
    for _ in range(_MOST_ROUNDS):
        report = audit(repo, rules, settings, known, only)
        for path in {
            edit.path for finding in report.findings for edit in finding.fix
        } - repo.changed.keys():
            before.text(path)
            if reason := before.why_left(path):
                left[path] = reason
        wanted = (finding.fix for finding in report.findings if finding.fix)
        edits = _compatible(fix for fix in wanted if not any(edit.path in left for edit in fix))
        if not edits:
            changes = {
                path: (before.text(path) or "", text)
                for path, text in sorted(
                    repo.changed.items(), key=lambda pair: os.fsencode(pair[0])
                )
                if before.text(path) != text
            }
            return Fixed(report=report, changes=changes, fixed=fixed, left=left)
        fixed += len(edits)
        by_path: dict[str, list[Edit]] = {}
        for change in (edit for group in edits for edit in group):
            by_path.setdefault(change.path, []).append(change)
        repo = repo.with_texts(
            {path: applied(repo.text(path) or "", listed) for path, listed in by_path.items()}
        )
    codes = sorted({finding.code for finding in report.findings if finding.fix})
    raise RuntimeError(f"fixes do not end: {codes}")


def _compatible(fixes: Iterable[tuple[Edit, ...]]) -> list[tuple[Edit, ...]]:
    """Return the fixes whose edits touch no other's; the rest waits for the next round."""
    taken: list[Edit] = []
    chosen = []
    for edits in fixes:
        if not any(_touch(edit, other) for edit in edits for other in taken):
            taken += edits
            chosen.append(edits)
    return chosen


def _touch(one: Edit, other: Edit) -> bool:
    return one.path == other.path and one.start <= other.end and other.start <= one.end


def diff(changes: Mapping[str, tuple[str, str]]) -> str:
    """Return the changes as one unified difference."""
    import difflib

    parts = []
    for path, (before, after) in changes.items():
        old = "/dev/null" if not before else f"a/{path}"
        lines = difflib.unified_diff(
            before.splitlines(keepends=True), after.splitlines(keepends=True), old, f"b/{path}"
        )
        parts += [
            line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n"
            for line in lines
        ]
    return "".join(parts)


def write(repo: Repository, changes: Mapping[str, tuple[str, str]]) -> dict[str, str]:
    """Write changed texts, each whole or not at all; return the files left alone, and why.

    A file keeps its mode, owner and extended attributes, or is left as it is.
    """
    left = {}
    for path, (before, after) in changes.items():
        target = repo.root / path
        try:
            if target.is_symlink() or (target.read_bytes() if target.exists() else b"") != (
                before.encode()
            ):
                left[path] = "it has changed meanwhile"
            elif target.exists():
                files.replace_bytes(target, after.encode())
            else:
                mode = 0o600 if target.name == ".env" else 0o644  # it holds passwords
                files.write_bytes(target, after.encode(), mode=mode)
        except OSError as error:
            left[path] = f"it cannot be written as it is: {error.strerror or error}"
    return left
