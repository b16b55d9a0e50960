"""Case files: small projects in one text, what `lockstitch check` finds in them, what it fixes.

`== bad: words`, `== good: words` and `== fixed: words` start a case (`bad git` commits it first,
`bad asked` asks for all that costs more, a hook of 0.3 seconds counting as slow),
`-- path --` a file, `-- expect --` the list of findings as `CODE path:line`, each with its severity
and message and its hint in indented lines below, which `make golden` writes. `@@FORM@@` stands
for a planted secret of that form (tests/support/planted.py), as in `@@GITHUB_TOKEN@@`, or for
one of the words there, as in `@@CR@@`.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

from support import planted
from support.programs import git
from support.projects import write_files

from lockstitch.audit import engine, rules
from lockstitch.audit.rule import CheckOptions, Finding, Rule
from lockstitch.audit.settings import Settings
from lockstitch.repository.files import Repository, open_repository

__all__ = [
    "ASKED",
    "Case",
    "Mark",
    "check",
    "mark",
    "marks",
    "parse",
    "repository",
    "rewritten",
    "write",
]

_CASE = re.compile(
    r"== (?P<kind>bad|good|fixed)(?P<git> git)?(?P<asked> asked)?(?:: (?P<name>.*))?"
)
_FILE = re.compile(r"-- (?P<path>\S.*?) --")
_MARK = re.compile(r"(?P<code>[A-Z]{3}\d{3}) (?P<path>.+?)(?::(?P<line>\d+))?(?:\s+#.*)?")
ASKED = CheckOptions(measure=True, slow=0.3, history=True)
_INDENT = "    "
_FILTERS = ((re.compile(r"\b\d+\.\d+ s\b"), "N s"),)
_SECRET = re.compile(r"@@([A-Z_]+)@@")


@dataclass(frozen=True, slots=True, order=True)
class Mark:
    """One expected finding; line 0 is the file as a whole."""

    code: str
    path: str
    line: int = 0
    text: str = ""  # severity, message and hint; the corpus has none


@dataclass(slots=True, kw_only=True)
class Case:
    """One small project."""

    kind: str = ""
    name: str = ""
    git: bool = False
    asked: bool = False
    files: dict[str, str] = field(default_factory=dict)
    expect: tuple[Mark, ...] = ()


def parse(text: str) -> list[Case]:
    """Return the cases of a text; one without `==` lines is one case."""
    found = [Case()]
    lines: list[str] | None = None
    collected: list[tuple[Case, str, list[str]]] = []
    for line in text.splitlines():
        case = _CASE.fullmatch(line)
        file = _FILE.fullmatch(line)
        if case:
            git, asked = bool(case["git"]), bool(case["asked"])
            name = case["name"] or ""
            found.append(Case(kind=case["kind"], name=name, git=git, asked=asked))
            lines = None
        elif file:
            lines = []
            collected.append((found[-1], file["path"], lines))
        elif lines is not None:
            lines.append(line[1:] if re.match(r"\\(-- |== )", line) else line)
    for each, path, content in collected:
        if path == "expect":
            each.expect = marks(content)
        else:
            each.files[path] = _SECRET.sub(_planted, "".join(f"{x}\n" for x in content))
    return [each for each in found if each.files or each.kind]


def _planted(match: re.Match[str]) -> str:
    if match[1] == "LARGE":  # more than anybody wants to read here
        return "x" * 520_000
    if match[1] in planted.WORDS:
        return planted.WORDS[match[1]]
    name = match[1].lower().replace("_", "-")
    return planted.private_key(1) if name == "private-key" else planted.FORMS[name].secret(1)


def marks(lines: Iterable[str]) -> tuple[Mark, ...]:
    """Return the marks of lines; a line that is none raises ValueError."""
    found: list[Mark] = []
    for line in lines:
        if line.startswith(_INDENT) and found:
            text = f"{found[-1].text}\n{line.removeprefix(_INDENT)}".lstrip("\n")
            found[-1] = replace(found[-1], text=text)
        elif line.strip() and not line.startswith("#"):
            match = _MARK.fullmatch(line.strip())
            if match is None:
                message = f"no mark: {line}"
                raise ValueError(message)
            found.append(Mark(match["code"], match["path"], int(match["line"] or 0)))
    return tuple(sorted(found))


def mark(finding: Finding, folder: Path) -> Mark:
    """Return the mark of a finding, with its words; what differs from run to run is filtered."""
    lines = [f"{finding.severity}: {finding.message}"]
    lines += [f"hint: {finding.hint}"] if finding.hint else []
    text = "\n".join(lines).replace(str(folder), "FOLDER")
    for pattern, name in _FILTERS:
        text = pattern.sub(name, text)
    return Mark(finding.code, finding.path, finding.line, text)


def rewritten(text: str, case: Case, found: Iterable[Mark]) -> str:
    """Return the text of a file of cases with the words of what is found in one of them.

    The marks stay as they are: which findings there are is written by hand.
    """
    left = sorted(found)
    lines: list[str] = []
    inside, expect = False, False
    for line in text.splitlines():
        if start := _CASE.fullmatch(line):
            inside, expect = (start["kind"], start["name"] or "") == (case.kind, case.name), False
        elif _FILE.fullmatch(line):
            expect = line == "-- expect --"
        if not (inside and expect):
            lines.append(line)
        elif not line.startswith(_INDENT):
            lines.append(line)
            for each in marks([line] if _MARK.fullmatch(line) else []):
                same = next((m for m in left if replace(m, text="") == each), None)
                if same:
                    left.remove(same)
                    lines += [f"{_INDENT}{words}" for words in same.text.splitlines()]
    return "".join(f"{line}\n" for line in lines)


def write(case: Case, folder: Path) -> Path:
    """Write a case's files below a folder, and commit them where it wants git."""
    late = {p: t for p, t in case.files.items() if p.startswith((".git/", ".venv/"))}
    write_files(folder, {p: t for p, t in case.files.items() if p not in late})
    if case.git:
        for words in (
            ["init", "-q"],
            ["add", "-A"],
            ["commit", "-q", "-m", "all", "--allow-empty"],
        ):
            git(folder, *words)
    write_files(folder, late)
    for path, text in case.files.items():
        if text.startswith("\ufffe"):
            (folder / path).write_bytes(text[1:].encode("utf-16"))
    for path in case.files:
        if "/bin/" in path:
            (folder / path).chmod(0o755)
    return folder


def repository(folder: Path) -> Repository:
    """Return the repository of a folder."""
    return open_repository(folder)


def check(
    folder: Path,
    *chosen: type[Rule],
    options: CheckOptions = CheckOptions(),  # noqa: B008 -- frozen
) -> list[Finding]:
    """Return what rules find in a folder, without the runner of the command line."""
    report = engine.audit(repository(folder), chosen, Settings(options=options), rules.codes())
    return list(report.findings)
