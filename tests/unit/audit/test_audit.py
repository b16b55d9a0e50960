"""The audit around the rules: order, suppression, fixes until none is left."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pytest
from support import cases

from lockstitch.audit import engine
from lockstitch.audit.rule import Finding, Page, Rule, Severity, Skip
from lockstitch.audit.settings import Settings
from lockstitch.errors import LockstitchError
from lockstitch.repository.files import Repository
from lockstitch.repository.text.lines import Edit

CODES = ["AAA001", "AAA002", "CHK001", "CHK002"]


class AAA001(Rule):
    """The word bad stands in a file.

    Why: it does.

    Bad:
        bad

    Good:
        good

    Fix: write good.
    """

    severity: ClassVar[Severity] = Severity.ERROR
    fixes = True

    def find(self, repo: Repository) -> Iterator[Finding | Skip]:
        for name in repo.names:
            text = repo.text(name) or ""
            for number, line in enumerate(text.splitlines(), 1):
                if line.startswith("bad"):
                    at = text.index(line)
                    fix = [Edit(path=name, start=at, end=at + 3, text="good")]
                    yield self.finding(name, number, "`bad` is here", fix=fix)


class AAA002(Rule):
    """Fixed over and over.

    Why: it has no end.

    Bad:
        a

    Good:
        b

    Fix: none.
    """

    def find(self, repo: Repository) -> Iterator[Finding | Skip]:
        yield self.skip("`tool` is not installed")
        for name in repo.names:
            yield self.finding(
                name, 1, "grows", fix=[Edit(path=name, start=0, end=0, text="more ")]
            )


class AAA003(Rule):
    """It crashes.

    Why: it does.

    Bad:
        a

    Good:
        b

    Fix: none.
    """

    def find(self, repo: Repository) -> Iterator[Finding | Skip]:
        yield self.finding("a.txt", 1, "before it crashes")
        raise KeyError(repo.names[0])


class AAA004(Rule):
    """It raises what a reader of ours raises.

    Bad:
        a

    Good:
        b

    Fix: none.
    """

    def find(self, repo: Repository) -> Iterator[Finding | Skip]:
        if repo.names:
            message = f"`{repo.names[0]}` cannot be read"
            raise LockstitchError(message, hint=f"chmod +r {repo.names[0]}")
        yield self.finding("a.txt", 1, "there is none")


def write(folder: Path, **texts: str) -> Repository:
    for name, text in texts.items():
        (folder / f"{name}.txt").write_text(text)
    return cases.repository(folder)


def report(repo: Repository, *rules: type[Rule], only: tuple[str, ...] = ()) -> engine.Report:
    return engine.audit(repo, rules, Settings(), CODES, only)


def test_findings_come_in_the_order_of_their_places(tmp_path: Path) -> None:
    found = report(write(tmp_path, b="ok\nbad\n", a="bad 1\nbad 2\n"), AAA001)
    assert [finding.place for finding in found.findings] == ["a.txt:1", "a.txt:2", "b.txt:2"]
    assert (found.count(Severity.ERROR), found.fixable, found.files) == (3, 3, 2)


def test_copies_of_a_file_have_one_finding_and_all_of_them_are_fixed(tmp_path: Path) -> None:
    names = ["b/x.txt", "x.txt", "a/x.txt", "a/y.txt", "c/x.txt"]
    (tmp_path / "p").mkdir()
    for number, name in enumerate(names):
        path = tmp_path / "p" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"bad\n{number}\n")
    repo = Repository(tmp_path / "p", names, tracked=None)
    report = engine.audit(repo, [AAA001], Settings(), CODES)
    assert [(finding.path, finding.message) for finding in report.findings] == [
        ("a/y.txt", "`bad` is here"),
        ("x.txt", "`bad` is here, as in `a/x.txt`, `b/x.txt` and 1 more"),
    ]
    fixed = engine.fix(repo, [AAA001], Settings(), CODES)
    assert len(fixed.changes) == len(names)


def test_only_one_file(tmp_path: Path) -> None:
    repo = write(tmp_path, a="bad\n", b="bad\n")
    assert [e.path for e in report(repo, AAA001, only=("b.txt",)).findings] == ["b.txt"]


def test_a_rule_that_cannot_look_is_named(tmp_path: Path) -> None:
    found = report(write(tmp_path, a="x\n"), AAA002)
    assert found.skips == (Skip(code="AAA002", reason="`tool` is not installed"),)


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("bad  # lockstitch: ignore AAA001 -- known\nbad 2\n", [2]),
        ("# lockstitch: ignore AAA001 -- known\n\n# more\nbad\nbad 2\n", [5]),
        ("# lockstitch: ignore AAA -- the family\nbad\n", []),
        ("# lockstitch: ignore AAA001, AAA002 -- both\nbad\n", []),
        ("<!-- lockstitch: ignore AAA001 -- known -->\nbad\n", []),
        ("# lockstitch: ignore AAA001\nbad\n", [2]),
        ("# lockstitch: ignore AAA001 --\nbad\n", [2]),
        ("# lockstitch: ignore AAA002 -- another\nbad\n", [2]),
    ],
)
def test_a_comment_suppresses_with_a_reason(tmp_path: Path, text: str, lines: list[int]) -> None:
    found = report(write(tmp_path, a=text), AAA001)
    assert [finding.line for finding in found.findings] == lines
    assert found.suppressed == text.count("\nbad") + text.startswith("bad") - len(lines)


def test_settings_ignore_by_file(tmp_path: Path) -> None:
    repo = write(tmp_path, a="bad\n", b="bad\n")
    settings = Settings(per_file={"a*": ("AAA",)})
    found = engine.audit(repo, [AAA001], settings, CODES)
    assert [finding.path for finding in found.findings] == ["b.txt"]


def test_fixes_are_applied_until_none_is_left(tmp_path: Path) -> None:
    repo = write(tmp_path, a="bad 1\nbad 2\nbadbad\n", b="fine\n")
    fixed = engine.fix(repo, [AAA001], Settings(), CODES)
    assert fixed.changes == {"a.txt": ("bad 1\nbad 2\nbadbad\n", "good 1\ngood 2\ngoodbad\n")}
    assert (fixed.fixed, fixed.report.findings) == (3, ())
    assert (tmp_path / "a.txt").read_text().startswith("bad"), "nothing is written yet"
    (tmp_path / "a.txt").chmod(0o755)
    engine.write(repo, fixed.changes)
    assert (tmp_path / "a.txt").read_text() == "good 1\ngood 2\ngoodbad\n"
    assert (tmp_path / "a.txt").stat().st_mode & 0o777 == 0o755


def test_what_a_comment_suppresses_is_not_fixed(tmp_path: Path) -> None:
    repo = write(tmp_path, a="bad  # lockstitch: ignore AAA001 -- known\n")
    assert engine.fix(repo, [AAA001], Settings(), CODES).changes == {}


def test_fixes_that_never_end_are_our_fault(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="AAA002"):
        engine.fix(write(tmp_path, a="x\n"), [AAA002], Settings(), CODES)


def test_the_difference_names_new_files_and_missing_line_ends() -> None:
    text = engine.diff({"a": ("x", "y\n"), "new": ("", "1\n")})
    assert text.splitlines() == [
        "--- a/a", "+++ b/a", "@@ -1 +1 @@", "-x", "\\ No newline at end of file", "+y",
        "--- /dev/null", "+++ b/new", "@@ -0,0 +1 @@", "+1",
    ]  # fmt: skip


def test_a_docstring_must_say_all() -> None:
    class AAA009(Rule):
        """Says little.

        Why: for no reason.
        """

    with pytest.raises(ValueError, match="AAA009: the docstring has no Bad, Good, Fix"):
        Page.of(AAA009)


def test_what_is_not_utf8_is_left_and_named(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"bad # caf\xe9\n")
    fixed = engine.fix(write(tmp_path, b="bad\n"), [AAA001], Settings(), CODES)
    assert (fixed.left, [*fixed.changes]) == ({"a": "it is not UTF-8"}, ["b.txt"])
    assert [finding.path for finding in fixed.report.findings] == ["a"]


def test_a_link_is_left(tmp_path: Path) -> None:
    (tmp_path / "real").write_text("kept\n")
    repo = write(tmp_path)
    (tmp_path / "new").symlink_to("real")
    assert repo.why_left("new") == "it is a link"
    assert engine.write(repo, {"new": ("", "x\n")}) == {"new": "it has changed meanwhile"}
    assert (tmp_path / "new").is_symlink()
    assert (tmp_path / "real").read_text() == "kept\n"


def test_a_written_file_keeps_its_mode_and_attributes(tmp_path: Path) -> None:
    repo = write(tmp_path, a="bad\n")
    at = tmp_path / "a.txt"
    at.chmod(0o640)
    try:
        os.setxattr(at, "user.origin", b"here")
    except OSError:
        pytest.skip("no extended attributes here")
    assert engine.write(repo, {"a.txt": ("bad\n", "good\n")}) == {}
    assert os.getxattr(at, "user.origin") == b"here"
    assert at.stat().st_mode & 0o777 == 0o640


def test_a_rule_that_crashes_is_a_finding_and_ends_no_other(tmp_path: Path) -> None:
    found = report(write(tmp_path, a="bad\n"), AAA003, AAA001, only=("a.txt",))
    assert [(finding.code, finding.place) for finding in found.findings] == [
        ("AAA003", "."),
        ("AAA001", "a.txt:1"),
        ("AAA003", "a.txt:1"),
    ]
    crashed = found.findings[0]
    assert crashed.message.startswith("the rule crashed: KeyError at test_audit.py:")
    assert crashed.hint.startswith("please report it: https://")


def test_an_error_of_ours_in_a_rule_ends_no_other_either(tmp_path: Path) -> None:
    found = report(write(tmp_path, a="bad\n"), AAA004, AAA001, only=("a.txt",))
    assert [(finding.code, finding.place) for finding in found.findings] == [
        ("AAA004", "."),
        ("AAA001", "a.txt:1"),
    ]
    assert found.findings[0].message == "the rule crashed: `a.txt` cannot be read"
    assert found.findings[0].hint == "chmod +r a.txt"
