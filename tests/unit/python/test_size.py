"""Sizes as people write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockstitch.python import size


@pytest.mark.parametrize(
    ("text", "number"),
    [
        *(("0B", 0), ("1 B", 1), ("500MB", 500_000_000), ("1.5 GB", 1_500_000_000)),
        *(("2kB", 2_000), (" 3gb ", 3_000_000_000), ("0.1KB", 100)),
        *(("", None), ("500", None), ("MB", None), ("-1MB", None), ("1,5GB", None)),
        *(("1MiB", None), ("1TB", None), (".5GB", None), ("1e3MB", None), ("5MB\n6MB", None)),
    ],
)
def test_sizes_are_read(text: str, number: int | None) -> None:
    assert size.parse(text) == number


@pytest.mark.parametrize(
    ("number", "text"),
    [
        *((0, "0.0 kB"), (1, "0.0 kB"), (999, "1.0 kB"), (999_999, "1000.0 kB")),
        *((1_000_000, "1.0 MB"), (52_149_999, "52.1 MB"), (1_230_000_000, "1.23 GB")),
    ],
)
def test_sizes_are_shown(number: int, text: str) -> None:
    assert size.shown(number) == text


@given(st.integers(min_value=0, max_value=10**15))
def test_what_is_shown_is_read_back_within_its_digits(number: int) -> None:
    back = size.parse(size.shown(number))
    assert back is not None
    assert abs(back - number) <= max(50, number // 15)


@given(st.text(max_size=20))
def test_any_text_is_a_size_or_none(text: str) -> None:
    found = size.parse(text)
    assert found is None or found >= 0
