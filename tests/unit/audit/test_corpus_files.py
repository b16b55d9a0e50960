"""The corpus itself: every project is one case, and every mark is in it."""

import re
from pathlib import Path

import pytest
from support import cases, planted
from support.corpus import FOLDER

FILES = sorted(FOLDER.glob("*/*.txt"))
# How many codes a family has; IMG090 is beside them.
FAMILIES = {"LCK": 13, "PKG": 5, "IMG": 29, "HOK": 13, "STK": 15, "SEC": 4, "RUN": 5, "CHK": 2}
CODES = {f"{name}{number:03}" for name, last in FAMILIES.items() for number in range(1, last + 1)}


def ids(path: Path) -> str:
    return f"{path.parent.name}-{path.stem}"


def test_there_are_enough_projects() -> None:
    assert len([path for path in FILES if path.parent.name == "clean"]) >= 36
    assert {path.parent.name for path in FILES} <= {"clean", "taught"}


@pytest.mark.parametrize("path", FILES, ids=ids)
def test_a_project_is_one_case_with_words_about_it(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    (case,) = cases.parse(text)
    assert case.kind == ""
    assert case.files
    assert len(text.partition("\n-- ")[0]) > 30
    assert text.count("\n-- expect --\n") == 1
    assert bool(case.expect) == (path.parent.name == "taught")


@pytest.mark.parametrize("path", FILES, ids=ids)
def test_what_is_marked_is_there(path: Path) -> None:
    (case,) = cases.parse(path.read_text(encoding="utf-8"))
    for mark in case.expect:
        assert mark.code in CODES, mark
        assert mark.path in case.files, mark
        lines = case.files[mark.path].splitlines()
        assert mark.line <= len(lines), mark
        assert mark.line == 0 or lines[mark.line - 1].strip("\ufeff \t"), mark
    assert len({*case.expect}) == len(case.expect)


@pytest.mark.parametrize("path", FILES, ids=ids)
def test_a_project_can_be_written(path: Path, tmp_path: Path) -> None:
    (case,) = cases.parse(path.read_text(encoding="utf-8"))
    cases.write(case, tmp_path)
    written = {e.relative_to(tmp_path).as_posix() for e in tmp_path.rglob("*") if e.is_file()}
    assert written == {*case.files}
    left = [name for name, text in case.files.items() if re.search(r"@@[A-Z_]+@@", text)]
    assert left == []


def test_the_readme_has_the_counts() -> None:
    readme = (FOLDER / "README.md").read_text(encoding="utf-8")
    for kind in ("clean", "taught"):
        texts = [p.read_text(encoding="utf-8") for p in FILES if p.parent.name == kind]
        marks = sum(len(case.expect) for text in texts for case in cases.parse(text))
        assert f"| {kind} | {len(texts)} | {marks} |" in readme


def test_words_are_what_no_file_can_have() -> None:
    for name in planted.WORDS:
        assert any(f"@@{name}@@" in path.read_text(encoding="utf-8") for path in FILES), name
