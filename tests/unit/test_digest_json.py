"""JSON with one spelling."""

import json
import sys

import pytest

from lockstitch.digest import canonical_json, parse_json


def test_keys_are_sorted_and_nothing_is_spaced() -> None:
    value = {"b": [1, {"z": None, "a": True}], "a": 'zoë "quoted" \n', "B": ()}
    assert canonical_json(value) == (
        '{"B":[],"a":"zoë \\"quoted\\" \\n","b":[1,{"a":true,"z":null}]}'.encode()
    )


def test_insertion_order_does_not_show() -> None:
    assert canonical_json({"a": 1, "b": 2}) == canonical_json({"b": 2, "a": 1})


@pytest.mark.parametrize(
    "value", [1.0, float("nan"), [0.5], {"a": {"b": (1, 2.5)}}, {"a": [{"b": float("inf")}]}]
)
def test_floats_are_refused(value: object) -> None:
    with pytest.raises(TypeError):
        canonical_json(value)


@pytest.mark.parametrize("value", [{1: "a"}, {"a": [{None: 1}]}, {("a",): 1}, {True: 1}])
def test_keys_that_are_no_text_are_refused(value: object) -> None:
    with pytest.raises(TypeError):
        canonical_json(value)


def test_large_numbers_are_exact() -> None:
    assert canonical_json([2**63 + 1, -(2**70)]) == b"[9223372036854775809,-1180591620717411303424]"


# --- that of others


@pytest.mark.parametrize("limit", [400, 100_000])
@pytest.mark.parametrize(
    "text", ["[" * 201, "[" * 100_000, '{"a":' * 201 + "1" + "}" * 201, '["\\"", ' * 201]
)
def test_what_nests_too_deep_is_refused_whoever_calls(text: str, limit: int) -> None:
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(limit)  # the parser of `json` has Python's limit, and a caller's stack
    try:
        with pytest.raises(ValueError, match="nested deeper than 200 levels"):
            parse_json(text)
    finally:
        sys.setrecursionlimit(before)


@pytest.mark.parametrize(
    "value", [["["] * 500, {"a": "{" * 500}, [[]] * 500, {"a\\": ['"', "\\[" * 300]}]
)
def test_what_only_looks_nested_is_read(value: object) -> None:
    assert parse_json(json.dumps(value).encode()) == value
    assert parse_json("[" * 200 + "]" * 200)


def test_escaped_quotes_without_an_end_take_no_time() -> None:
    with pytest.raises(ValueError, match="Expecting value"):
        parse_json('\\"' * 500_000 + "[" * 201)
