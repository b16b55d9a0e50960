"""Which rules run: settings of pyproject.toml and the command line."""

from pathlib import Path

import pytest

from lockstitch.audit import rules, settings
from lockstitch.audit.settings import Settings
from lockstitch.errors import LockstitchError, UsageError

CODES = rules.codes()


def load(folder: Path, text: str) -> Settings:
    (folder / "pyproject.toml").write_text(text)
    return settings.load(folder, CODES)


def test_without_a_pyproject_there_are_none(tmp_path: Path) -> None:
    assert settings.load(tmp_path, CODES) == Settings()


@pytest.mark.parametrize("text", ["no toml", "tool = 3\n", "[tool]\nlockstitch = 3\n"])
def test_a_pyproject_that_is_wrong_is_a_rules_business(tmp_path: Path, text: str) -> None:
    assert load(tmp_path, text) == Settings()


def test_settings_are_read(tmp_path: Path) -> None:
    found = load(
        tmp_path,
        '[tool.lockstitch.check]\nselect = ["STK", "CHK001"]\nextend-select = ["CHK"]\n'
        'ignore = ["STK012"]\nexclude = ["old/**"]\n'
        '[tool.lockstitch.check.per-file-ignores]\n"deploy/**" = ["STK011"]\n',
    )
    assert found.select == ("STK", "CHK001")
    assert found.exclude == ("old/**",)
    assert found.ignores("STK011", "deploy/compose.yaml")
    assert not found.ignores("STK011", "compose.yaml")


def test_every_mistake_is_named(tmp_path: Path) -> None:
    text = (
        '[tool.lockstitch.check]\nselct = ["STK"]\nignore = ["STK999"]\nselect = "STK"\n'
        '[tool.lockstitch.check.per-file-ignores]\n"a" = ["stk011"]\n'
    )
    with pytest.raises(LockstitchError) as caught:
        load(tmp_path, text)
    said = [(each.message, each.hint) for each in caught.value.everything()]
    assert said == [
        ("`tool.lockstitch.check.select` must be a list of texts, found `'STK'`", ""),
        ("`tool.lockstitch.check.selct` is not a setting of lockstitch", "did you mean `select`?"),
        ("`STK999` is no code of a rule", said[2][1]),
        ("`stk011` is no code of a rule", "did you mean `STK011`?"),
    ]


def chosen(found: Settings = Settings(), **said: list[str]) -> list[str]:  # noqa: B008 -- frozen
    return [rule.__name__ for rule in settings.chosen(rules.RULES, found, **said)]


def test_by_default_all_rules_run_that_are_on() -> None:
    assert chosen() == [rule.__name__ for rule in rules.RULES if rule.default]
    assert chosen(select=["ALL"]) == CODES


def test_the_command_line_replaces_what_is_selected() -> None:
    own = Settings(select=("CHK",), ignore=("STK012",))
    assert chosen(own) == ["CHK001", "CHK002"]
    assert chosen(own, extend_select=["STK011"]) == ["STK011", "CHK001", "CHK002"]
    assert "STK012" in chosen(own, select=["STK"])
    assert chosen(own, ignore=["CHK001"]) == ["CHK002"]


def test_a_code_itself_counts_more_than_its_family() -> None:
    assert chosen(select=["STK011"], ignore=["STK"]) == ["STK011"]
    assert chosen(select=["STK011"], ignore=["STK011"]) == []


def test_a_code_that_no_rule_has_is_wrong_use() -> None:
    with pytest.raises(UsageError, match="`XYZ` is no code of a rule"):
        chosen(select=["XYZ"])
