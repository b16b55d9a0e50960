"""Every rule on its own small projects: tests/rules/CODE.txt."""

from pathlib import Path

import pytest
from support import cases
from support.cases import Case, Mark

from lockstitch.audit import engine, rules
from lockstitch.audit.rule import CheckOptions, Page, Rule
from lockstitch.audit.settings import Settings

FOLDER = Path(__file__).parents[2] / "rules"
CASES = {path.stem: cases.parse(path.read_text("utf-8")) for path in sorted(FOLDER.glob("*.txt"))}
CODES = rules.codes()


def test_every_rule_has_a_project_that_fails_and_one_that_passes() -> None:
    kinds = {code: {each.kind for each in CASES.get(code, [])} for code in CODES}
    assert [code for code in CODES if not {"bad", "good"} <= kinds[code]] == []
    assert sorted(CASES) == sorted(CODES)


def test_every_rule_that_has_fixes_shows_one() -> None:
    fixing = [rule.__name__ for rule in rules.RULES if rule.fixes]
    assert [c for c in fixing if not any(each.kind == "fixed" for each in CASES[c])] == []


def test_codes_are_unique_and_in_order_within_a_family() -> None:
    assert len({*CODES}) == len(CODES)
    for family in dict.fromkeys(code[:3] for code in CODES):
        own = [code for code in CODES if code.startswith(family)]
        assert own == sorted(own)


@pytest.mark.parametrize("rule", rules.RULES, ids=lambda rule: rule.__name__)
def test_a_rule_is_documented(rule: type[Rule]) -> None:
    page = Page.of(rule)
    assert page.title[0].isupper()
    assert "\n" not in page.title
    assert page.sections["Bad"] != page.sections["Good"]


def chosen(code: str) -> list[type[Rule]]:
    # Comments are about other rules.
    return list(rules.RULES) if code.startswith("CHK") else [rules.by_code(code)]


def found(code: str, case: Case, folder: Path) -> list[Mark]:
    cases.write(case, folder)
    options = cases.ASKED if case.asked else CheckOptions()
    return [
        cases.mark(each, folder)
        for each in cases.check(folder, *chosen(code), options=options)
        if each.code == code
    ]


def named(kind: str) -> list[object]:
    return [
        pytest.param(code, each, id=f"{code}-{each.name or number}")
        for code, listed in CASES.items()
        for number, each in enumerate(listed)
        if each.kind == kind
    ]


@pytest.mark.parametrize(("code", "case"), named("bad"))
def test_a_bad_project(code: str, case: Case, tmp_path: Path, pytestconfig: pytest.Config) -> None:
    assert case.expect, "a bad project says what is found"
    marks = sorted(found(code, case, tmp_path))
    if pytestconfig.getoption("golden"):
        path = FOLDER / f"{code}.txt"
        text = cases.rewritten(path.read_text("utf-8"), case, marks)
        path.write_text(text, encoding="utf-8", newline="\n")
        case = next(
            each for each in cases.parse(text) if (each.kind, each.name) == ("bad", case.name)
        )
    assert marks == list(case.expect)


@pytest.mark.parametrize(("code", "case"), named("good"))
def test_a_good_project(code: str, case: Case, tmp_path: Path) -> None:
    assert found(code, case, tmp_path) == []


@pytest.mark.parametrize(("code", "case"), named("fixed"))
def test_a_fix(code: str, case: Case, tmp_path: Path) -> None:
    before = next(e for e in CASES[code] if e.kind == "bad" and e.name == case.name)
    repo = cases.repository(cases.write(before, tmp_path))
    fixed = engine.fix(repo, chosen(code), Settings(), CODES)
    engine.write(repo, fixed.changes)
    assert {path: (tmp_path / path).read_bytes().decode() for path in fixed.changes} == case.files
    again = engine.fix(cases.repository(tmp_path), chosen(code), Settings(), CODES)
    assert again.changes == {}, "a second run finds nothing more to fix"
    assert [finding for finding in again.report.findings if finding.fix] == []
