"""The forms of a report, whole."""

import dataclasses
import json

from lockstitch.audit.engine import Report
from lockstitch.audit.formats import FORMATS, sarif_document, summary
from lockstitch.audit.rule import Finding, Severity, Skip
from lockstitch.repository.text.lines import Edit

REPORT = Report(
    findings=(
        Finding(
            code="STK012",
            severity=Severity.ERROR,
            path="a: b,%.yaml",
            line=0,
            message="100 %\nwrong",
        ),
        Finding(
            code="STK011",
            severity=Severity.WARNING,
            path="compose.yaml",
            line=3,
            column=2,
            message="`version:` is obsolete\x1b[0m",
            hint="take the line out",
            fix=(Edit(path="compose.yaml", start=0, end=1, text=""),),
        ),
    ),
    skips=(Skip(code="IMG090", reason="`hadolint` is not installed", hint="pip install it"),),
    suppressed=1,
    rules=("STK011", "STK012"),
    files=7,
)


def test_text_has_no_word_for_the_terminal() -> None:
    assert FORMATS["text"](REPORT) == (
        "a: b,%.yaml: error STK012 100 %?wrong\n"
        "compose.yaml:3:2: warning STK011 `version:` is obsolete?[0m\n"
        "    hint: take the line out\n"
    )


def test_what_repeats_itself_in_a_file_is_named_by_its_lines() -> None:
    lines = (1, 2, 3, 4, 5, 6, 7, 8, 12, 14, 15)
    findings = [
        Finding(code="LCK005", severity=Severity.WARNING, path="a.txt", line=n, message=f"x{n}")
        for n in lines
    ]
    other = Finding(code="LCK003", severity=Severity.ERROR, path="a.txt", line=3, message="other")
    last = Finding(code="LCK005", severity=Severity.WARNING, path="b.txt", line=9, message="x9")
    found = (*findings[:3], other, *findings[3:], last)
    report = Report(findings=found, skips=(), suppressed=0, rules=("LCK005",), files=2)
    assert FORMATS["text"](report).splitlines() == [
        "a.txt:1:1: warning LCK005 x1",
        "a.txt:2:1: warning LCK005 x2",
        "a.txt:3:1: warning LCK005 x3",
        "a.txt:3:1: error LCK003 other",
        "a.txt:4:1: warning LCK005 x4",
        "a.txt:5:1: warning LCK005 x5",
        "a.txt: warning LCK005 6 more, on lines 6-8, 12, 14-15",
        "b.txt:9:1: warning LCK005 x9",
    ]


def test_the_summary_says_who_could_not_look() -> None:
    rest = [
        "2 findings (1 error, 1 warning) by 2 rules in 7 files, 1 suppressed",
        "hint: lockstitch check --fix  # 1 of them",
        "hint: lockstitch check --explain STK012",
    ]
    reason = "skipped: IMG090 `hadolint` is not installed"
    assert summary(REPORT) == [reason, *rest]
    assert summary(REPORT, verbose=True) == [reason, "hint: pip install it", *rest]
    other = Skip(code="SEC003", reason="there is no git", hint="apt-get install git")
    several = dataclasses.replace(REPORT, skips=(*REPORT.skips, other))
    says_why = "skipped: IMG090, SEC003; `lockstitch check --verbose` says why"
    assert summary(several) == [says_why, *rest]
    assert "skipped: SEC003 there is no git" in summary(several, verbose=True)


def test_a_hint_that_repeats_itself_is_printed_once() -> None:
    findings = [
        Finding(code=code, severity=Severity.ERROR, path=path, line=1, message="wrong", hint=hint)
        for code, path, hint in (
            ("IMG001", "a", "pin it"),
            ("IMG001", "b", "pin it"),
            ("IMG001", "c", "pin that"),
            ("IMG002", "d", "pin it"),
        )
    ]
    report = Report(findings=tuple(findings), skips=(), suppressed=0, rules=("IMG001",), files=4)
    lines = [line for line in FORMATS["text"](report).splitlines() if "hint" in line]
    assert lines == ["    hint: pin it", "    hint: pin that", "    hint: pin it"]


def test_nothing_found_is_said() -> None:
    empty = Report(findings=(), skips=(), suppressed=0, rules=("A",), files=1)
    assert summary(empty) == ["nothing found by 1 rule in 1 file"]


def test_json_has_a_schema() -> None:
    document = json.loads(FORMATS["json"](REPORT))
    assert document["schema"] == 1
    assert document["findings"][1] == {
        "code": "STK011",
        "severity": "warning",
        "path": "compose.yaml",
        "line": 3,
        "column": 2,
        "message": "`version:` is obsolete\x1b[0m",
        "hint": "take the line out",
        "fixable": True,
    }
    assert document["skipped"] == [
        {"code": "IMG090", "reason": "`hadolint` is not installed", "hint": "pip install it"}
    ]
    assert (document["suppressed"], document["files"]) == (1, 7)


def test_github_commands_are_escaped() -> None:
    assert FORMATS["github"](REPORT) == (
        "::error file=a%3A b%2C%25.yaml,title=STK012::100 %25%0Awrong\n"
        "::warning file=compose.yaml,line=3,col=2,title=STK011::"
        "`version:` is obsolete\x1b[0m%0Ahint: take the line out\n"
        "::notice title=IMG090::skipped: `hadolint` is not installed\n"
    )


def test_sarif_names_rules_places_and_what_was_skipped() -> None:
    log = sarif_document(REPORT)
    run = log["runs"][0]
    assert [each["id"] for each in run["tool"]["driver"]["rules"]] == ["STK011", "STK012"]
    first, second = run["results"]
    assert (first["ruleId"], first["ruleIndex"], first["level"]) == ("STK012", 1, "error")
    assert first["locations"][0]["physicalLocation"] == {
        "artifactLocation": {"uri": "a%3A%20b%2C%25.yaml", "uriBaseId": "%SRCROOT%"}
    }
    assert second["locations"][0]["physicalLocation"]["region"] == {
        "startLine": 3,
        "startColumn": 2,
    }
    note = run["invocations"][0]["toolExecutionNotifications"][0]
    assert note["message"]["text"] == "skipped: `hadolint` is not installed"
