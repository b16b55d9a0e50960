"""Settings that move to where tools read them now: nothing is lost, nothing else changes."""

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockstitch.repository.packaging import moved_settings


def moved(text: str, *, ruff: bool = False, locked: bool = False) -> list[str | None]:
    document = tomllib.loads(text)
    return [each.text for each in moved_settings.find(document, text, ruff=ruff, locked=locked)]


def test_line_ends_of_windows_stay() -> None:
    text = '[tool.ruff]\r\nline-length = 90\r\n# why\r\nselect = ["E"]\r\n'
    wanted = (
        '[tool.ruff]\r\nline-length = 90\r\n\r\n[tool.ruff.lint]\r\n# why\r\nselect = ["E"]\r\n'
    )
    assert moved(text) == [wanted]


def test_a_last_line_without_an_end() -> None:
    text = '[tool.ruff]\nselect = ["E"]\nline-length = 90'
    wanted = '[tool.ruff]\nline-length = 90\n\n[tool.ruff.lint]\nselect = ["E"]\n'
    assert moved(text) == [wanted]


def test_texts_of_several_lines_and_brackets_in_values() -> None:
    text = (
        '[tool.ruff]\nselect = [\n  "E", # ]\n  """[tool.x]\n""",\n]\nline-length = 90\n'
        '[tool.ruff.flake8-quotes] # q\ninline-quotes = "single"\n'
    )
    wanted = (
        '[tool.ruff]\nline-length = 90\n\n[tool.ruff.lint]\nselect = [\n  "E", # ]\n'
        '  """[tool.x]\n""",\n]\n[tool.ruff.lint.flake8-quotes] # q\ninline-quotes = "single"\n'
    )
    assert moved(text) == [wanted]


@pytest.mark.parametrize(
    "text",
    [
        '[tool]\nruff = { select = ["E"] }\n',
        '[tool.ruff]\nselect = ["E"]\nlint.ignore = ["E5"]\n',
        '[tool."ruff"]\nisort.case-sensitive = true\n["tool".ruff.lint]\nisort.a = 1\n',
        '[tool.uv]\ndev-dependencies = ["a"]\n[dependency-groups]\ndev = ["b"]\n',
    ],
)
def test_in_doubt_nothing_moves(text: str) -> None:
    assert moved(text) == [None]


def test_a_table_below_poetrys_development_dependencies() -> None:
    text = (
        '[tool.poetry.dev-dependencies]\na = "1"\n[tool.poetry.dev-dependencies.b]\nversion = "2"\n'
    )
    new = "tool.poetry.group.dev.dependencies"
    assert moved(text) == [f'[{new}]\na = "1"\n[{new}.b]\nversion = "2"\n']
    assert moved(text, locked=True) == [None]


def test_a_byte_order_mark_or_anything_odd_is_left() -> None:
    assert moved_settings.blocks("this is no TOML\n") is None


KEYS = ["line-length", "select", "ignore", "isort", "exclude", "lint", "per-file-ignores"]
LINES = st.sampled_from(
    [
        *(f'{key} = ["x"] # {key}' for key in KEYS if key not in {"lint", "isort"}),
        *("# above", "", "[tool.ruff.isort]", "[tool.ruff.lint]", "[tool.ruff]", "[tool.other]"),
        *('lint.select = ["y"]', "isort.a = 1", "[tool.ruff.lint.isort]", "[tool.ruff.format]"),
    ]
)


@given(st.lists(LINES, max_size=12))
def test_whatever_moves_is_what_it_was_elsewhere(lines: list[str]) -> None:
    text = "[tool.ruff]\n" + "".join(f"{line}\n" for line in lines)
    try:
        before = tomllib.loads(text)
    except ValueError:
        return
    for made in moved(text):
        if made is not None:
            after = tomllib.loads(made)
            old, new = before["tool"].pop("ruff"), after["tool"].pop("ruff")
            assert after == before
            lint = {
                **old.pop("lint", {}),
                **{k: old.pop(k) for k in [*old] if k in moved_settings.RUFF},
            }
            assert new.pop("lint") == lint
            assert new == old
            assert sorted(made.split("#")[1:]) != [] or "#" not in text
            assert moved(made) == []
