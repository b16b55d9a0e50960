"""Typed reading: every problem at once, each with the path to its value."""

import pytest

from lockstitch.errors import LockstitchError
from lockstitch.python.tables import Table, parse_toml

VALUES = {
    "text": "a",
    "empty": "",
    "number": 3,
    "flag": True,
    "texts": ["a", "b"],
    "mixed": ["a", 1],
    "table": {"x": "y", "z": {"deep": 1}},
    "float": 1.5,
}


@pytest.fixture
def problems() -> list[LockstitchError]:
    return []


@pytest.fixture
def table(problems: list[LockstitchError]) -> Table:
    return Table(VALUES, "top", problems)


def messages(problems: list[LockstitchError]) -> list[str]:
    return [problem.message for problem in problems]


def test_values_of_the_wanted_type_come_back(table: Table, problems: list[LockstitchError]) -> None:
    assert table.text("text") == "a"
    assert table.number("number", least=1, most=3) == 3
    assert table.flag("flag") is True
    assert table.texts("texts") == ("a", "b")
    assert table.table("table").text("x") == "y"
    assert table.table("table").table("z").number("deep", least=1, most=1) == 1
    assert table.raw("float") == 1.5
    assert list(table) == list(VALUES)
    assert table.has("text")
    assert problems == []
    table.close()


def test_what_is_not_there_is_its_default(table: Table, problems: list[LockstitchError]) -> None:
    assert (table.text("gone"), table.text("gone", "d")) == ("", "d")
    assert table.number("gone", 7, least=1, most=2) == 7
    assert (table.flag("gone"), table.flag("gone", default=True)) == (False, True)
    assert (table.texts("gone"), table.texts("gone", ("d",))) == ((), ("d",))
    assert list(table.table("gone")) == []
    assert (table.raw("gone"), table.has("gone"), table.tables("gone")) == (None, False, {})
    assert problems == []


def test_wrong_types_are_all_collected_and_give_the_default(
    table: Table, problems: list[LockstitchError]
) -> None:
    assert table.text("empty", "d") == "d"
    assert table.text("number") == ""
    assert table.number("flag", least=0, most=9) == 0  # in Python, True is a number
    assert table.number("number", 5, least=4, most=9) == 5
    assert table.number("text", least=0, most=9) == 0
    assert table.flag("number") is False
    assert table.texts("text") == ()
    assert table.texts("mixed") == ()
    assert list(table.table("text")) == []
    assert messages(problems) == [
        "`top.empty` must be a text, found `''`",
        "`top.number` must be a text, found `3`",
        "`top.flag` must be a whole number from 0 to 9, found `True`",
        "`top.number` must be a whole number from 4 to 9, found `3`",
        "`top.text` must be a whole number from 0 to 9, found `'a'`",
        "`top.number` must be true or false, found `3`",
        "`top.texts` must be a list of texts, found `'a'`".replace("texts`", "text`"),
        "`top.mixed` must be a list of texts, found `['a', 1]`",
        "`top.text` must be a table, found `'a'`",
    ]


def test_closing_raises_all_of_them(table: Table) -> None:
    table.text("number")
    table.complain("text", "is not nice", hint="be nice")
    with pytest.raises(LockstitchError) as caught:
        table.close()
    assert [(e.message, e.hint) for e in caught.value.everything()] == [
        ("`top.number` must be a text, found `3`", ""),
        ("`top.text` is not nice", "be nice"),
    ]


def test_a_long_value_is_cut(problems: list[LockstitchError]) -> None:
    Table({"key": ["x" * 1000, 1]}, "top", problems).texts("key")
    assert len(problems[0].message) < 150


def test_an_unknown_key_is_shown_with_the_nearest(problems: list[LockstitchError]) -> None:
    table = Table({"includ": [], "xyz": 1, "include": []}, "tool", problems)
    table.texts("include")
    table.table("env")
    table.refuse_others()
    assert [(problem.message, problem.hint) for problem in problems] == [
        ("`tool.includ` is not a setting of lockstitch", "did you mean `include`?"),
        ("`tool.xyz` is not a setting of lockstitch", "known keys: env, include"),
    ]


def test_tables_below_a_key_are_read_by_name(problems: list[LockstitchError]) -> None:
    document = {"images": {"a": {"port": 1}, "b": 2}}
    found = Table(document, "tool", problems).tables("images")
    assert list(found) == ["a", "b"]
    assert found["a"].path == "tool.images.a"
    assert messages(problems) == ["`tool.images.b` must be a table, found `2`"]


def test_a_document_has_no_path(problems: list[LockstitchError]) -> None:
    assert Table({"a": {"b": 1}}, "", problems).table("a").path == "a"


@pytest.mark.parametrize(
    "text",
    [
        ".".join("a" * 50_000) + " = 1\n",
        "[" + " . ".join("a" * 50_000) + "]\n",
        ".".join(['"a.b"'] * 50_000) + " = 1\n",
        ".".join(["'a'"] * 501) + " = 1\n",
    ],
)
def test_a_key_of_thousands_of_parts_is_refused_before_it_is_read(text: str) -> None:
    with pytest.raises(LockstitchError, match="it has a key of more than 500 parts"):
        parse_toml(text, "it", hint="")


@pytest.mark.parametrize(
    "text",
    [
        ".".join("a" * 400) + " = 1\n",
        f"a = '{'x' * 1_000_000}'\n",
        f"a = '{'x, ' * 300_000}'\n",
        f"a = {[1.5] * 100_000}\n",
    ],
)
def test_long_lines_are_read(text: str) -> None:
    assert "a" in parse_toml(text, "it", hint="")
