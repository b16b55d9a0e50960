"""Tables are added to a TOML file, and nothing else of it moves."""

import tomllib

import pytest

from lockstitch.errors import LockstitchError
from lockstitch.scaffold.init.edit import Table, edit

TEXT = """\
# the first comment
title = "x" # of the title

[tool.ruff] # ours
line-length  =  88 # wide

[other]
a = [1,2]

[tool.black]
skip = true

[dependency-groups]
dev = [
    "a", # why
]
test = ["b"]
"""
RUFF = ("tool", "ruff")


def added(text: str, *tables: Table, force: bool = False) -> str:
    return edit(text, tables, "pyproject.toml", force=force).text


def test_a_file_from_nothing() -> None:
    text = added(
        "",
        Table(path=("project",), values={"name": "a", "dependencies": ["x" * 40, "y" * 40]}),
        Table(path=("tool", "ruff", "lint", "per-file-ignores"), values={"tests/*": ["S"]}),
        Table(path=("tool", "lockstitch", "images", "a.b"), values={}),
    )
    assert text == (
        '[project]\nname = "a"\ndependencies = [\n'
        f'    "{"x" * 40}",\n    "{"y" * 40}",\n]\n\n'
        '[tool.ruff.lint.per-file-ignores]\n"tests/*" = ["S"]\n\n'
        '[tool.lockstitch.images."a.b"]\n'
    )


def test_only_what_is_missing_is_added() -> None:
    found = edit(
        TEXT,
        [
            Table(path=RUFF, values={"line-length": 100, "fix": True}, replaced=True),
            Table(path=("tool", "black"), values={"skip": False}),
            Table(path=("tool", "mypy"), values={"strict": True}, replaced=True),
            Table(path=("dependency-groups",), values={"dev": ["a", "c"]}, extended=True),
            Table(path=("project",), values={"name": "x"}),
        ],
        "pyproject.toml",
    )
    assert found.notes == ("`tool.ruff.line-length` is `88`, ours `100`: kept",)
    kept = [line for line in found.text.splitlines() if line in TEXT.splitlines()]
    assert kept == TEXT.splitlines() or [each for each in kept if each] == [
        line for line in TEXT.splitlines() if line
    ]
    assert '    "a", # why\n    "c",\n]' in found.text
    document = tomllib.loads(found.text)
    assert document["tool"]["ruff"] == {"line-length": 88, "fix": True}
    assert document["tool"]["black"] == {"skip": True}
    again = edit(found.text, [Table(path=("tool", "mypy"), values={"strict": True})], "x")
    assert again.text == found.text


def test_force_replaces_settings_and_nothing_else() -> None:
    text = added(
        TEXT,
        Table(path=RUFF, values={"line-length": 100}, replaced=True),
        Table(path=("tool", "black"), values={"skip": False}),
        force=True,
    )
    assert text == TEXT.replace("line-length  =  88", "line-length  =  100")


@pytest.mark.parametrize(
    "text",
    [
        "[tool]\nruff = {fix = true}\n",
        "tool.ruff.fix = true\n",
        "[tool.ruff]\n",
        "[tool.ruff.lint]\nselect = []\n",
        "[tool.ruff]\n[x]\n[tool.ruff.lint]\nselect = []\n",
        "tool = {black = {x = 1}}\n",
        "[tool]\n",
        "[tool.black]\n[a]\n[tool.mypy]\n[b]\n",
        "[[tool.x]]\ny = 1\n",
        "a = 1",
        "",
    ],
)
def test_every_way_to_write_a_table(text: str) -> None:
    wanted = tomllib.loads(text)
    wanted.setdefault("tool", {}).setdefault("ruff", {})["line-length"] = 100
    wanted["tool"]["ruff"].setdefault("format", {})["quote"] = "'"
    found = added(
        text,
        Table(path=RUFF, values={"line-length": 100}),
        Table(path=(*RUFF, "format"), values={"quote": "'"}),
    )
    assert tomllib.loads(found) == wanted


def test_the_project_comes_first_in_a_file_without_it() -> None:
    text = added("[tool.x]\na = 1\n", Table(path=("project",), values={"name": "a"}))
    assert text == '[project]\nname = "a"\n\n[tool.x]\na = 1\n'


@pytest.mark.parametrize("text", ["tool = 1\n", "[tool]\nruff = 1\n", "[[tool.ruff]]\n"])
def test_what_is_no_table_is_kept(text: str) -> None:
    found = edit(text, [Table(path=RUFF, values={"a": 1})], "x")
    assert found.text == text
    assert "is no table: kept" in found.notes[0]


def test_a_list_of_another_kind_is_kept() -> None:
    text = '[dependency-groups]\ndev = "x"\n'
    table = Table(path=("dependency-groups",), values={"dev": ["a"]}, extended=True)
    assert added(text, table) == text


def test_what_is_no_toml() -> None:
    with pytest.raises(LockstitchError, match="`x` is not valid TOML"):
        edit("[", [Table(path=("a",), values={})], "x")
