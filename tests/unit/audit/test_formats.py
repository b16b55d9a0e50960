"""The forms of a report, whole."""

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
    assert summary(REPORT) == [
        "skipped: IMG090 `hadolint` is not installed",
        "hint: pip install it",
        "2 findings (1 error, 1 warning) by 2 rules in 7 files, 1 suppressed",
        "hint: lockstitch check --fix  # 1 of them",
        "hint: lockstitch check --explain STK012",
    ]


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
