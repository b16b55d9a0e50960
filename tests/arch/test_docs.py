"""Documents say what is: pages made from code are fresh, and paths they name exist."""

import re
import runpy
import sys
from pathlib import Path

import pytest

from lockstitch.audit import pages, rules
from lockstitch.cli.main import COMMANDS
from lockstitch.environ import VARIABLES

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
_LINK = re.compile(r"\]\((?!\w+:)([^)#\s]+)[^)]*\)")
_PATH = re.compile(r"`((?:src|tests|docs|bench|tools)/[\w./-]+)`")


def words(page: str) -> list[str]:
    """Return the words of a page of help, with options as argparse writes them since 3.13."""
    return re.sub(r"(-\w) ([A-Z]+), (--\w+ \2)", r"\1, \3", page).split()


def test_the_commands_page_is_what_the_commands_say() -> None:
    made = runpy.run_path(str(ROOT / "docs" / "generate.py"))
    page = (ROOT / "docs" / "reference" / "commands.md").read_text(encoding="utf-8")
    assert words(made["page"]()) == words(page), "make docs"
    # The page is written by the Python of `make setup`; a later argparse breaks lines elsewhere.
    assert sys.version_info >= (3, 13) or made["page"]() == page, "make docs"
    assert all(f"## lockstitch {name}\n" in page for name, _ in COMMANDS)


def test_the_rules_page_is_what_the_rules_say() -> None:
    page = (ROOT / "docs" / "reference" / "rules.md").read_text(encoding="utf-8")
    assert pages.markdown(rules.RULES) == page, "make docs"
    assert all(f"### {code}\n" in page for code in rules.codes())


def test_the_settings_are_what_their_schema_says() -> None:
    made = runpy.run_path(str(ROOT / "docs" / "generate.py"))
    for page, text in (
        (made["SETTINGS_PAGE"], made["settings"]()),
        (made["SCHEMA"], made["published"]()),
    ):
        assert page.read_text(encoding="utf-8") == text, "make docs"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_path_that_a_page_names_exists(page: Path) -> None:
    named = set(_PATH.findall(page.read_text(encoding="utf-8")))
    assert [path for path in sorted(named) if not (ROOT / path).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_to_a_file_leads_there(page: Path) -> None:
    linked = set(_LINK.findall(page.read_text(encoding="utf-8")))
    assert [link for link in sorted(linked) if not (page.parent / link).exists()] == []


def test_every_package_and_leaf_is_in_the_architecture() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    source = ROOT / "src" / "lockstitch"
    names = {path.stem for path in source.glob("[a-z]*.py")}
    names |= {path.parent.name for path in source.glob("*/__init__.py")}
    assert [name for name in sorted(names) if f"`{name}`" not in text] == []


def test_every_folder_and_helper_of_the_tests_is_in_their_page() -> None:
    tests = ROOT / "tests"
    text = (tests / "README.md").read_text(encoding="utf-8")
    folders = {path.parent.name for path in tests.glob("*/*") if path.parent.name != "support"}
    names = {f"{name}/" for name in folders if name != "__pycache__"}
    # The second half of one helper, which is imported by it alone.
    names |= {path.stem for path in (tests / "support").glob("*.py")} - {"registry_handler"}
    assert [name for name in sorted(names) if f"`{name}`" not in text] == []


def test_every_variable_is_in_the_reference() -> None:
    text = (ROOT / "docs" / "reference" / "configuration.md").read_text(encoding="utf-8")
    own = [name for name in VARIABLES if name.isupper()]
    assert [name for name in own if f"`{name}`" not in text] == []


def test_every_variable_of_a_fingerprint_is_in_its_reference() -> None:
    text = (ROOT / "docs" / "reference" / "fingerprint.md").read_text(encoding="utf-8")
    script = runpy.run_path(str(ROOT / "src" / "lockstitch" / "runtime" / "fingerprint.py"))
    assert [name for name in script["VARIABLES"] if f"`{name}`" not in text] == []
