"""Fields of control files, lists of packages and METADATA."""

import pytest

from lockstitch.headers import fields_of


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        ("Name: a\nVersion: 1:2\n", {"name": "a", "version": "1:2"}),
        ("NAME:a\r\nname: b\r\n\r\nbody: c", {"name": "a"}),
        ("Depends: a,\n b\n\tc\n", {"depends": "a, b c"}),
        ("A: 1\nA: 2\n of the second\nB: 3\n", {"a": "1", "b": "3"}),
        ("# A: 1\nno field\n going on\n", {}),
        (b"Author: \xff\n", {"author": "\ufffd"}),
        ("", {}),
    ],
)
def test_fields(text: bytes | str, fields: dict[str, str]) -> None:
    assert fields_of(text) == fields


def test_a_field_of_a_million_lines_takes_no_time_by_their_square() -> None:
    assert len(fields_of("A: 1\n" + " x\n" * 1_000_000)["a"]) == 2_000_001
