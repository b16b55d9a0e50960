"""Texts that are read and written: RECORD, entry points, canonical JSON."""

import json

from hypothesis import given
from hypothesis import strategies as st

from lockstitch.digest import canonical_json
from lockstitch.errors import LockstitchError
from lockstitch.image.contents import console_scripts, with_shebang
from lockstitch.image.wheel import Row, read_record_file, write_record_file

fields = st.text(st.characters(exclude_categories=["Cc", "Cs"]), max_size=20)
rows = st.lists(st.tuples(fields.filter(bool), fields, fields), max_size=10)


@given(rows)
def test_record_reads_what_it_wrote(given_rows: list[Row]) -> None:
    found = read_record_file(write_record_file(given_rows))
    assert found == sorted(set(given_rows), key=lambda row: (row[0].encode(), row))


@given(rows, st.data())
def test_order_of_rows_does_not_matter(given_rows: list[Row], data: st.DataObject) -> None:
    shuffled = data.draw(st.permutations(given_rows))
    assert write_record_file(shuffled) == write_record_file(given_rows)


@given(st.one_of(st.binary(max_size=200), st.text(max_size=200).map(str.encode)))
def test_any_record_is_read_or_is_a_value_error(data: bytes) -> None:
    try:
        found = read_record_file(data)
    except ValueError:
        return
    assert all(len(row) == 3 for row in found)


SPECIAL = ["[console_scripts]", "[gui_scripts]", "[DEFAULT]", "=", " = ", ":", ";", "#", "%", "["]
LINES = [
    "\n",
    "\n ",
    "\t",
    "\r",
    "\f",
    "\u2028",
    "é",
    "a",
    "b:c",
    "a = b:c\n",
    "x = y.z:w [extra]\n",
]
pieces = st.sampled_from([*SPECIAL, *LINES])


@given(
    st.one_of(st.lists(pieces).map("".join), st.text()),
    st.sampled_from(["", "[console_scripts]\n"]),
)
def test_any_entry_points_are_scripts_or_an_error(text: str, head: str) -> None:
    try:
        found = list(console_scripts((head + text).encode(), "demo.whl"))
    except LockstitchError as error:
        assert "demo.whl" in error.message  # noqa: PT017 -- either is right
        return
    for name, data in found:
        assert "/" not in name
        assert not name.startswith(".")
        assert data.startswith(b"#!/app/.venv/bin/python\nimport sys\n")
        compile(data.replace(b"from a ", b"from b "), name, "exec")
    assert [name for name, _ in found] == sorted({name for name, _ in found})


@given(st.binary())
def test_only_the_first_line_of_a_script_changes(data: bytes) -> None:
    found = with_shebang(data)
    assert found == data or data.startswith(b"#!python")
    assert found.partition(b"\n")[2] == data.partition(b"\n")[2]


text = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
leaves = st.one_of(st.none(), st.booleans(), st.integers(), text)
inner = st.one_of(leaves, st.lists(leaves, max_size=4), st.dictionaries(text, leaves, max_size=4))
values = st.one_of(inner, st.lists(inner, max_size=4), st.dictionaries(text, inner, max_size=4))


@given(values)
def test_canonical_json_is_json_and_has_one_spelling(value: object) -> None:
    data = canonical_json(value)
    assert json.loads(data) == value
    assert canonical_json(json.loads(data)) == data
