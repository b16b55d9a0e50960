"""DEFLATE (RFC 1951): whatever goes in comes out of zlib."""

import marshal
import random
import sys
from collections.abc import Callable
from pathlib import Path

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


@pytest.mark.slow
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
    count = 19 if most == 7 else 286
    symbols = st.dictionaries(st.integers(0, count - 1), st.integers(1, 1 << 40), min_size=2)
    drawn = data.draw(symbols)
    widths = deflate._widths([drawn.get(symbol, 0) for symbol in range(count)], most)
    used = {symbol: width for symbol, width in enumerate(widths) if width}
    assert set(used) == set(drawn)
    assert max(used.values()) <= most
    assert sum(1 << (most - width) for width in used.values()) == 1 << most


# --- the compiled twin

TWIN = deflate.compiled()
with_twin = pytest.mark.skipif(not TWIN, reason="lockstitch was installed without a compiler")
HERE = Path(deflate.__file__)


def same(data: bytes) -> None:
    """Fail unless the twin gives what the Python code gives, if that is smaller."""
    assert TWIN
    expected = deflate.in_python(data)
    assert TWIN(data) == (expected if len(expected) < len(data) else data)


@with_twin
@given(contents)
def test_the_twin_gives_the_same_bytes(data: bytes) -> None:
    same(data)


@with_twin
@given(skewed, st.integers(0, 1000))
def test_the_twin_gives_the_same_bytes_of_skewed_counts(data: bytes, seed: int) -> None:
    mixed = bytearray(data)
    random.Random(seed).shuffle(mixed)
    same(bytes(mixed))


@with_twin
@given(
    st.integers(1, 6),
    st.lists(st.tuples(st.integers(1, 3000), st.integers(1, 40_000)), min_size=1, max_size=30),
    st.integers(0, 1000),
)
def test_the_twin_gives_the_same_bytes_of_copies(
    letters: int, copies: list[tuple[int, int]], seed: int
) -> None:
    """Copies of what came before, from every distance, are what the search for matches is for."""
    chance = random.Random(seed)
    data = bytearray(chance.choices(range(1 << letters), k=500))
    for size, back in copies:
        start = max(0, len(data) - back)
        data += data[start : start + size]
        data += bytes(chance.choices(range(1 << letters), k=chance.randrange(5)))
    same(bytes(data))


def sources() -> list[bytes]:
    return [path.read_bytes() for path in sorted(HERE.parents[1].rglob("*.py"))[::32]]


@with_twin
@pytest.mark.parametrize(
    "kind",
    [
        pytest.param(sources, id="source"),
        pytest.param(
            lambda: [marshal.dumps(compile(text, "", "exec")) for text in sources()], id="bytecode"
        ),
        pytest.param(lambda: [Path(sys.executable).read_bytes()[: 1 << 17]], id="ELF"),
        pytest.param(
            lambda: [path.read_bytes() for path in HERE.parents[1].rglob("*.gz")], id="compressed"
        ),
    ],
)
def test_the_twin_gives_the_same_bytes_of_files(kind: Callable[[], list[bytes]]) -> None:
    files = kind()
    assert files
    for data in files:
        same(data)
