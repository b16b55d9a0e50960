"""TOML in one spelling, that tomllib reads back."""

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockstitch.lock import toml

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
VALUES = st.booleans() | st.integers(-(2**63), 2**63 - 1) | TEXTS | st.lists(TEXTS, max_size=3)
DOCUMENTS = st.recursive(
    st.dictionaries(TEXTS, VALUES, max_size=4),
    lambda inner: st.dictionaries(
        TEXTS, VALUES | inner | st.lists(inner, min_size=1, max_size=3), max_size=4
    ),
    max_leaves=12,
)

WRITTEN = """\
# One.
# Two.
version = 1
flag = true
empty = []
one = ["a"]
two = [
    "a",
    "b",
]

[table]
text = "x"

[[list]]
"odd key" = "\\"\\\\\\n\\u0001"

[[list.inner]]
deep = -1

[[list]]
"""


@given(DOCUMENTS)
def test_what_is_written_is_read_back(document: dict[str, object]) -> None:
    assert tomllib.loads(toml.dumps(document)) == document


def test_the_spelling_is_this() -> None:
    document = {
        "version": 1,
        "table": {"text": "x"},  # tables come after values, whatever the order given
        "flag": True,
        "list": [{"odd key": '"\\\n\x01', "inner": [{"deep": -1}]}, {}],
        "empty": [],
        "one": ("a",),
        "two": ["a", "b"],
    }
    assert toml.dumps(document, comment="One.\nTwo.") == WRITTEN
    assert tomllib.loads(WRITTEN)["list"] == document["list"]


def test_every_character_comes_back() -> None:
    text = "".join(map(chr, [*range(0x300), 0xFFFD, 0x1F600, 0x10FFFF]))
    assert tomllib.loads(toml.dumps({text: text})) == {text: text}


@pytest.mark.parametrize("value", [1.5, None, {1, 2}, object()])
def test_other_types_are_refused(value: object) -> None:
    with pytest.raises(TypeError):
        toml.dumps({"key": value})
