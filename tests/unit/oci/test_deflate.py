"""The encoder: what zlib inflates is what went in, and the bytes never move."""

import random
import zlib
from collections import Counter

import pytest
from support.images import check_golden, inflate

from lockstitch.digest import of_bytes
from lockstitch.oci import deflate


def noise(size: int, alphabet: bytes = bytes(range(256)), seed: int = 1) -> bytes:
    return bytes(random.Random(seed).choices(alphabet, k=size))


def fibonacci(symbols: int) -> bytes:
    """Return bytes whose counts grow like Fibonacci's numbers, shuffled: the deepest trees."""
    counts = [1, 1]
    while len(counts) < symbols:
        counts.append(counts[-1] + counts[-2])
    data = bytearray()
    for symbol, times in enumerate(counts):
        data += bytes([symbol]) * times
    random.Random(2).shuffle(data)
    return bytes(data)


FIXED = {
    "empty": b"",
    "one byte": b"x",
    "one symbol": b"a" * 1000,
    "two symbols": b"ab" * 3000,
    "no repeats": bytes(range(256)),
    "text": b"the quick brown fox jumps over the lazy dog\n" * 40,
    "source": b"".join(
        b"def f%d(x: int) -> int:\n    return x + %d\n" % (n, n) for n in range(400)
    ),
    "noise": noise(5000),
    "noise of letters": noise(20_000, b"abcdefgh"),
    "fibonacci": fibonacci(22),
    "far matches": noise(1000) + bytes(40_000) + noise(1000),
    "window's edge": noise(32_768) * 2,
    "behind the edge": noise(32_769) * 2,
    "three blocks": noise(100_000, b"etaoin shrdlu"),
    "longest match": b"z" * (4 + 258 * 3),
    "runs of every length": b"".join(b"x" + b"0" * size for size in range(530)),
}


@pytest.mark.parametrize("encode", [deflate.compress, deflate.runs, deflate.stored])
@pytest.mark.parametrize("name", FIXED)
def test_inflates_to_what_went_in(encode: object, name: str) -> None:
    assert callable(encode)
    assert inflate(encode(FIXED[name])) == FIXED[name]


def test_bytes_have_not_moved(pytestconfig: pytest.Config) -> None:
    lines = []
    for name, data in FIXED.items():
        for encode in (deflate.compress, deflate.runs, deflate.stored):
            packed = encode(data)
            digest = of_bytes(packed).hex
            lines.append(f"{encode.__name__:<8} {len(data):>6} {len(packed):>6} {digest} {name}\n")
    check_golden(pytestconfig, "deflate/digests.txt", "".join(lines))


def test_small_outputs_bit_for_bit() -> None:
    assert deflate.stored(b"") == b"\x01\x00\x00\xff\xff"
    assert deflate.stored(b"ab") == b"\x01\x02\x00\xfd\xffab"
    assert deflate.runs(b"") == b"\x03\x00"
    assert deflate.runs(b"a") == b"\x4b\x04\x00"
    assert deflate.compress(b"") == deflate.stored(b"")


@pytest.mark.parametrize("size", [65_534, 65_535, 65_536, 131_070, 131_071])
def test_stored_blocks_split_at_65535(size: int) -> None:
    data = noise(size)
    packed = deflate.stored(data)
    assert inflate(packed) == data
    assert len(packed) == size + 5 * -(-size // 65_535)


def test_what_does_not_shrink_is_stored() -> None:
    data = noise(3000)
    assert deflate.compress(data) == deflate.stored(data)


@pytest.mark.parametrize("size", [*range(30), *range(255, 270), *range(513, 524)])
def test_runs_of_every_length(size: int) -> None:
    for data in (b"\0" * size, b"x" + b"\0" * size + b"y", b"ab" * 3 + b"0" * size):
        assert inflate(deflate.runs(data)) == data


def test_runs_shrinks_what_it_is_for() -> None:
    header = b"app/main.py".ljust(100, b"\0") + b"0000644\0" + bytes(404)
    assert len(deflate.runs(header)) < 50


def test_runs_stores_what_its_codes_do_not_cover() -> None:
    assert deflate.runs(b"\x8f" * 20) != deflate.stored(b"\x8f" * 20)
    assert deflate.runs(b"\x90" * 20) == deflate.stored(b"\x90" * 20)


def test_repetitive_content_is_about_as_small_as_zlib_makes_it() -> None:
    data = FIXED["source"]
    assert len(deflate.compress(data)) < 1.3 * len(zlib.compress(data, 1))


@pytest.mark.parametrize(("symbols", "most"), [(24, 15), (19, 7), (286, 15), (2, 1), (1, 7)])
def test_code_lengths_are_limited_and_complete(symbols: int, most: int) -> None:
    counts = {0: 1, 1: 1}
    for symbol in range(2, symbols):
        counts[symbol] = counts[symbol - 1] + counts[symbol - 2]
    counts = {symbol: counts[symbol] for symbol in range(symbols)}
    widths = deflate._widths(counts, most)
    assert set(widths) == set(counts)
    assert max(widths.values()) <= most
    if symbols > 1:
        assert sum(2.0**-width for width in widths.values()) == 1.0


def test_unused_symbols_get_no_code() -> None:
    assert deflate._widths({1: 0, 2: 5, 3: 0}, 15) == {2: 1}
    assert deflate._widths({}, 15) == {}


def literals_only(counts: dict[int, int]) -> bytes:
    """Return one block of literals with these counts, so that no match disturbs them."""
    tokens = [symbol for symbol, times in counts.items() for _ in range(times)]
    text = "1" + "".join(deflate._block(tokens))
    return int(text[::-1], 2).to_bytes((len(text) + 7) // 8, "little")


def test_a_code_that_would_need_21_bits_is_written_with_15() -> None:
    counts = {0: 1, 1: 1}
    for symbol in range(2, 22):
        counts[symbol] = counts[symbol - 1] + counts[symbol - 2]
    assert max(deflate._huffman(counts).values()) == 21
    plain = b"".join(bytes([symbol]) * times for symbol, times in counts.items())
    assert inflate(literals_only(counts)) == plain


def test_a_code_of_code_lengths_that_would_need_8_bits_is_written_with_7() -> None:
    chance = random.Random(9)
    counts = {
        symbol: 1 << int(chance.random() ** 3 * 11)
        for symbol in range(256)
        if chance.random() < 0.45
    }
    widths = deflate._widths(counts | {256: 1}, 15)
    table = [widths.get(symbol, 0) for symbol in range(257)] + [1]
    lengths = Counter(symbol for symbol, _ in deflate._run_lengths(table))
    assert max(deflate._huffman(lengths).values()) == 8
    plain = b"".join(bytes([symbol]) * times for symbol, times in counts.items())
    assert inflate(literals_only(counts)) == plain


def test_many_blocks() -> None:
    data = bytes(byte & 0x7F for byte in noise(90_000))  # few matches, and yet it shrinks
    assert len(deflate._tokens(data)) > 2 * deflate._BLOCK
    packed = deflate.compress(data)
    assert len(packed) < 0.9 * len(data)
    assert inflate(packed) == data


def test_matches_reach_32768_back_and_no_further() -> None:
    near = deflate._tokens(noise(32_768) * 2)
    far = deflate._tokens(noise(32_769) * 2)
    assert max(token & 0xFFFF for token in near if token > 255) == 32_768
    assert all(token & 0xFFFF <= 32_768 for token in far if token > 255)
    assert any(token >> 16 == 258 for token in near)
