"""Which Pythons a project allows."""

from pathlib import Path

from support import cases

from lockstitch.audit.rules.lck_machine import allows, requires


def test_which_pythons_are_allowed() -> None:
    assert allows(">=3.11.4", "3.11")
    assert not allows(">=3.11.4", "3.11.3")
    assert not allows(">=3.12", "3.11")
    assert allows("nonsense", "3.11"), "PKG001 says that"


def test_poetrys_range(tmp_path: Path) -> None:
    for said, wanted in (
        ("^3.11", ">=3.11,<4"),
        ("~3.11.2", ">=3.11.2,<3.12"),
        (">=3.9,<3.13", ">=3.9,<3.13"),
        ("^3.9 || ^4", ""),
    ):
        (tmp_path / "pyproject.toml").write_text(f'[tool.poetry.dependencies]\npython = "{said}"\n')
        assert requires(cases.repository(tmp_path), "") == wanted
