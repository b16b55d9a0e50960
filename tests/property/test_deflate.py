"""DEFLATE (RFC 1951): whatever goes in comes out of zlib."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.images import inflate

from lockstitch.oci import deflate

pieces = st.one_of(
    st.binary(max_size=80),
    st.text(max_size=80).map(str.encode),
    st.builds(lambda piece, times: piece * times, st.binary(max_size=20), st.integers(0, 400)),
    st.builds(lambda byte, times: bytes([byte]) * times, st.integers(0, 255), st.integers(0, 900)),
    st.builds(bytes, st.integers(0, 40_000)),  # zeros, so that distances grow past the window
)
contents = st.lists(pieces, max_size=12).map(b"".join)
# Counts that differ by orders of magnitude make the deep trees that have to be flattened.
skewed = st.lists(st.integers(0, 10), min_size=1, max_size=24).map(
    lambda powers: b"".join(bytes([n]) * (1 << power) for n, power in enumerate(powers))
)


@given(contents)
def test_compress(data: bytes) -> None:
    packed = deflate.compress(data)
    assert inflate(packed) == data
    assert len(packed) <= len(deflate.stored(data))


@given(skewed, st.integers(0, 1000))
def test_compress_skewed(data: bytes, seed: int) -> None:
    mixed = bytearray(data)
    random.Random(seed).shuffle(mixed)
    assert inflate(deflate.compress(bytes(mixed))) == mixed


@given(contents)
def test_runs(data: bytes) -> None:
    assert inflate(deflate.runs(data)) == data


@given(st.lists(st.sampled_from([b"\0" * 7, b"\0" * 100, b"0", b"a/b", b"\x8f"])).map(b"".join))
def test_runs_of_headers(data: bytes) -> None:
    packed = deflate.runs(data)
    assert inflate(packed) == data
    assert packed[0] & 7 == 0b011  # one last block with the fixed codes


@given(contents)
def test_stored(data: bytes) -> None:
    assert inflate(deflate.stored(data)) == data


@pytest.mark.parametrize("most", [7, 15])
@given(data=st.data())
def test_code_lengths_are_limited_and_complete(most: int, data: st.DataObject) -> None:
    symbols = st.integers(0, 18 if most == 7 else 285)
    counts = data.draw(st.dictionaries(symbols, st.integers(1, 1 << 40), min_size=2))
    widths = deflate._widths(counts, most)
    assert set(widths) == set(counts)
    assert 1 <= min(widths.values()) <= max(widths.values()) <= most
    assert sum(1 << (most - width) for width in widths.values()) == 1 << most
