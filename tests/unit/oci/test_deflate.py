"""The encoder: what zlib inflates is what went in, and the bytes never move."""

import random
import time
import zlib
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from support.images import check_golden, inflate

from lockstitch.digest import of_bytes
from lockstitch.oci import deflate

TWIN = deflate.compiled()
ENCODERS = [
    pytest.param(deflate.in_python, id="python"),
    pytest.param(TWIN, id="twin", marks=pytest.mark.skipif(not TWIN, reason="no compiler here")),
]


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


@pytest.mark.parametrize("encoder", ENCODERS)
def test_bytes_have_not_moved(
    encoder: Callable[[bytes], bytes], pytestconfig: pytest.Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deflate, "compiled", lambda: encoder)
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


@pytest.mark.parametrize(
    "name", ["source", "text", "three blocks", "far matches", "noise of letters"]
)
def test_content_is_about_as_small_as_zlib_makes_it(name: str) -> None:
    data = FIXED[name]
    assert len(deflate.compress(data)) < 1.02 * len(zlib.compress(data, 6)) + 10


def test_code_is_as_small_as_zlib_makes_it() -> None:
    ours = theirs = 0
    for path in sorted(Path(deflate.__file__).parents[1].rglob("*.py")):
        data = path.read_bytes()
        ours += len(deflate.compress(data))
        theirs += len(zlib.compress(data, 6)) - 6  # zlib's own header and sum
    assert ours < 1.01 * theirs


@pytest.mark.parametrize(("symbols", "most"), [(24, 15), (19, 7), (286, 15), (2, 1), (1, 7)])
def test_code_lengths_are_limited_and_complete(symbols: int, most: int) -> None:
    counts = [1, 1]
    while len(counts) < symbols:
        counts.append(counts[-1] + counts[-2])
    widths = deflate._widths(counts[:symbols], most)
    assert len(widths) == symbols
    assert max(widths) <= most
    if symbols > 1:
        assert sum(2.0**-width for width in widths) == 1.0


def test_unused_symbols_get_no_code() -> None:
    assert deflate._widths([0, 0, 5, 0], 15) == [0, 0, 1, 0]
    assert deflate._widths([0, 0], 15) == [0, 0]


def literals_only(counts: Sequence[int]) -> bytes:
    """Return one block of literals with these counts, so that no match disturbs them."""
    tokens = [symbol for symbol, times in enumerate(counts) for _ in range(times)]
    block = deflate._planned(deflate._counts(tokens))
    text = "1" + "".join(deflate._block(tokens, block))
    assert len(text) == block.bits  # what decides where blocks are cut
    return int(text[::-1], 2).to_bytes((len(text) + 7) // 8, "little")


def test_a_code_that_would_need_21_bits_is_written_with_15() -> None:
    counts = [1, 1]
    while len(counts) < 22:
        counts.append(counts[-1] + counts[-2])
    assert max(deflate._huffman(counts)) == 21
    plain = b"".join(bytes([symbol]) * times for symbol, times in enumerate(counts))
    assert inflate(literals_only(counts)) == plain


def test_a_code_of_code_lengths_that_would_need_8_bits_is_written_with_7() -> None:
    chance = random.Random(9)
    counts = [0] * 256
    for symbol in range(256):
        if chance.random() < 0.45:
            counts[symbol] = 1 << int(chance.random() ** 3 * 11)
    widths = deflate._widths([*counts, 1], 15)
    lengths = Counter(symbol for symbol, _ in deflate._run_lengths([*widths, 1]))
    assert max(deflate._huffman([lengths[symbol] for symbol in range(19)])) == 8
    plain = b"".join(bytes([symbol]) * times for symbol, times in enumerate(counts))
    assert inflate(literals_only(counts)) == plain


def test_few_bytes_get_the_fixed_codes_and_more_get_their_own() -> None:
    small, large = deflate.in_python(b"import os, os.path"), deflate.in_python(FIXED["source"])
    assert small[0] & 7 == 0b011
    assert large[0] & 6 == 0b100
    assert inflate(small) == b"import os, os.path"


def test_blocks_are_cut_where_the_data_changes() -> None:
    low = bytes(byte & 0x7F for byte in noise(20_000))  # few matches, so segments are alike
    high = bytes(byte | 0x80 for byte in noise(20_000))
    tokens = deflate._tokens(low + high)
    ends = [end for _, end, _ in deflate._blocks(tokens)]
    assert len(ends) == 3  # and the segment with the change is one of its own
    assert ends[0] <= len(deflate._tokens(low)) <= ends[1] == ends[0] + deflate._SEGMENT


def test_blocks_have_an_upper_size() -> None:
    tokens = deflate._tokens(bytes(byte & 0x7F for byte in noise(90_000)))  # few matches
    sizes = [end - start for start, end, _ in deflate._blocks(tokens)]
    assert sizes == [deflate._MOST, len(tokens) - deflate._MOST]


@pytest.mark.slow
@pytest.mark.parametrize("encoder", ENCODERS)
def test_many_blocks(encoder: Callable[[bytes], bytes]) -> None:
    data = bytes(byte & 0x7F for byte in noise(150_000))  # few matches, and yet it shrinks
    assert len(deflate._tokens(data)) > 2 * deflate._MOST
    packed = encoder(data)
    assert len(packed) < 0.9 * len(data)
    assert inflate(packed) == data


def test_matches_reach_32768_back_and_no_further() -> None:
    near = deflate._tokens(noise(32_768) * 2)
    far = deflate._tokens(noise(32_769) * 2)
    assert max(token & 0xFFFF for token in near if token > 255) == 32_768
    assert all(token & 0xFFFF <= 32_768 for token in far if token > 255)
    assert any(token >> 16 == 258 for token in near)


def test_a_match_waits_for_a_longer_one_at_the_next_byte() -> None:
    data = b"abcd" + b"-" + b"bcdefghijk" + b"+" + b"abcdefghijk"
    assert list(deflate._tokens(data))[-2:] == [ord("a"), 10 << 16 | 12]


def test_matches_of_three_bytes_are_near() -> None:
    near, far = b"xyz" + noise(4000, bytes(range(100))), b"xyz" + noise(4200, bytes(range(100)))
    assert 3 << 16 | 4003 in deflate._tokens(near + b"xyz" + b"\xff" * 4)
    assert not any(token >> 16 == 3 for token in list(deflate._tokens(far + b"xyz1234"))[-7:])


@pytest.mark.slow
def test_how_much_is_searched_at_once_does_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    data = noise(9_000, b"0123456789ab") + bytes(300) + noise(40_000, b"abc", seed=3)
    tokens = deflate._tokens(data)
    for step in (1 << 10, 1 << 14):
        monkeypatch.setattr(deflate, "_STEP", step)
        assert deflate._tokens(data) == tokens


def test_a_library_of_another_source_is_no_twin(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert deflate.load(tmp_path / "absent.so") is None
    (tmp_path / "damaged.so").write_bytes(b"\x7fELF")
    assert deflate.load(tmp_path / "damaged.so") is None
    (tmp_path / "deflate.c").write_text("another")
    monkeypatch.setattr(deflate, "_SOURCE", tmp_path / "deflate.c")
    assert deflate.load(deflate.LIBRARY) is None


def test_runs_is_linear() -> None:
    header = b"app/__init__.py".ljust(100, b"\0") + b"0000644\0" + bytes(404)
    times = []
    for count in (500, 4000):
        began = time.process_time()
        packed = deflate.runs(header * count)
        times.append(time.process_time() - began)
        assert inflate(packed) == header * count
    assert times[1] < 24 * times[0]  # 8 times, with room for a busy machine; it was 64
