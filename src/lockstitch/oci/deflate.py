"""A DEFLATE encoder whose bytes never change (RFC 1951).

Libraries change their output between versions and builds, and a layer's digest would change
with them. This one is ours, so its output is part of the layout version. It is about as
small as `zlib -1`. Content that is already compressed in a wheel never passes through here.
"""

import functools
import heapq
import re
import struct
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

_WINDOW = 32768
_BLOCK = 40_000  # tokens in one block, so that a table fits what it describes
_END = 256


def stored(data: bytes, *, final: bool = True) -> bytes:
    """Return the data as stored blocks: no compression, five bytes more for each 65,535.

    Without `final`, more blocks follow.
    """
    if not data:
        return b"\x01\x00\x00\xff\xff"
    parts = []
    for start in range(0, len(data), 65535):
        chunk = data[start : start + 65535]
        last = final and start + 65535 >= len(data)
        parts += [struct.pack("<BHH", last, len(chunk), len(chunk) ^ 0xFFFF), chunk]
    return b"".join(parts)


# --- headers: one block with the fixed codes, runs of one byte only ---------------------

_REVERSED = bytes(int(f"{i:08b}"[::-1], 2) for i in range(256))
_LITERAL = bytes(_REVERSED[0x30 + i] if i < 144 else 0 for i in range(256))
_RUN = re.compile(rb"(.)\1{7,}", re.DOTALL)


def _length_codes() -> dict[int, tuple[int, str]]:
    """Return match length → (symbol, extra bits first bit first); RFC 1951, 3.2.5."""
    codes = {}
    length, symbol = 3, 257
    for extra, count in ((0, 8), (1, 4), (2, 4), (3, 4), (4, 4), (5, 4)):
        for _ in range(count):
            for value in range(1 << extra):
                codes[length + value] = (symbol, _bits(value, extra))
            length += 1 << extra
            symbol += 1
    codes[258] = (285, "")
    return {length: codes[length] for length in range(3, 259)}


def _bits(value: int, count: int) -> str:
    return format(value, f"0{count}b")[::-1] if count else ""


_LENGTHS = _length_codes()


def _fixed_runs() -> dict[int, tuple[int, int]]:
    """Return run length → (bits as a number, how many) with distance code 0 behind it."""
    table = {}
    for length, (symbol, extra) in _LENGTHS.items():
        code = f"{symbol - 256:07b}" if symbol < 280 else f"{0xC0 + symbol - 280:08b}"
        text = code + extra + "00000"
        table[length] = (int(text[::-1], 2), len(text))
    return table


_RUNS = _fixed_runs()


def runs(data: bytes) -> bytes:
    """Return ASCII data with long runs, such as tar headers, as one fixed-code block.

    Bytes of 144 and more have longer codes that are not worth a table here: such data is
    stored.
    """
    if data and max(data) >= 144:  # where the nine-bit codes begin
        return stored(data)
    bits, count, at = 3, 3, 0  # BFINAL=1, BTYPE=01

    for match in _RUN.finditer(data):
        start, end = match.span()
        literals = data[at : start + 1]
        bits |= int.from_bytes(literals.translate(_LITERAL), "little") << count
        count += 8 * len(literals)
        left = end - start - 1
        while left >= 3:  # the shortest match
            size = min(left, 258)
            if 0 < left - size < 3:  # leave a last match long enough
                size -= 3
            value, width = _RUNS[size]
            bits |= value << count
            count += width
            left -= size
        at = end - left
    bits |= int.from_bytes(data[at:].translate(_LITERAL), "little") << count
    count += 8 * (len(data) - at) + 7  # the end-of-block code is seven zeros
    return bits.to_bytes((count + 7) // 8, "little")


# --- content: greedy matches, a code table for each block -------------------------------


def compress(data: bytes) -> bytes:
    """Return the data compressed with greedy matches and dynamic codes."""
    if not data:
        return stored(data)
    tokens = _tokens(data)
    parts: list[str] = []
    for start in range(0, len(tokens), _BLOCK):
        parts.append("1" if start + _BLOCK >= len(tokens) else "0")
        parts.extend(_block(tokens[start : start + _BLOCK]))
    text = "".join(parts)
    packed = int(text[::-1], 2).to_bytes((len(text) + 7) // 8, "little")
    return packed if len(packed) < len(data) else stored(data)


def _tokens(data: bytes) -> list[int]:
    """Return literals as themselves and matches as `length << 16 | distance`."""
    last: dict[bytes, int] = {}
    size, at = len(data), 0
    tokens: list[int] = []
    seen, append = last.get, tokens.append  # this loop is the cost of the encoder
    while at < size - 3:
        key = data[at : at + 4]
        back = seen(key)
        last[key] = at
        if back is None or at - back > _WINDOW:
            append(data[at])
            at += 1
            continue
        length, most = 4, min(258, size - at)
        while (
            length + 16 <= most
            and data[at + length : at + length + 16] == data[back + length : back + length + 16]
        ):
            length += 16
        while length < most and data[at + length] == data[back + length]:
            length += 1
        append(length << 16 | at - back)
        at += length
    tokens.extend(data[at:])
    return tokens


def _block(tokens: Sequence[int]) -> Iterator[str]:
    """Yield the bits of one dynamic block, without the BFINAL bit (RFC 1951, 3.2.7)."""
    symbol_of, extra_of = _distances()
    counts = Counter(tokens)
    literals: Counter[int] = Counter({_END: 1})
    distances: Counter[int] = Counter()
    for token, times in counts.items():
        if token < _END:
            literals[token] += times
        else:
            literals[_LENGTHS[token >> 16][0]] += times
            distances[symbol_of[token & 0xFFFF]] += times
    literal_widths = _widths(literals, 15)
    distance_widths = _widths(distances, 15) or {0: 1}
    literal_codes, distance_codes = _codes(literal_widths), _codes(distance_widths)
    lengths = {
        length: literal_codes[symbol] + extra
        for length, (symbol, extra) in _LENGTHS.items()
        if symbol in literal_codes
    }
    words = {}  # each token that occurs → its bits
    for token in counts:
        if token < _END:
            words[token] = literal_codes[token]
        else:
            back = token & 0xFFFF
            words[token] = lengths[token >> 16] + distance_codes[symbol_of[back]] + extra_of[back]
    yield "01"  # BTYPE=10, first bit first
    yield from _tables(literal_widths, distance_widths)
    yield "".join(map(words.__getitem__, tokens))
    yield literal_codes[_END]


@functools.cache
def _distances() -> tuple[list[int], list[str]]:
    """Return the symbol and the extra bits of every distance from 0 (unused) to 32,768."""
    symbols, extras = [0], [""]
    for symbol in range(30):
        width = max(0, symbol // 2 - 1)
        for value in range(1 << width):
            symbols.append(symbol)
            extras.append(_bits(value, width))
    return symbols, extras


_ORDER = (16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15)


def _tables(literals: Mapping[int, int], distances: Mapping[int, int]) -> Iterator[str]:
    last_literal, last_distance = max(*literals, _END), max(distances)
    widths = [literals.get(symbol, 0) for symbol in range(last_literal + 1)]
    widths += [distances.get(symbol, 0) for symbol in range(last_distance + 1)]
    packed = list(_run_lengths(widths))
    code_widths = _widths(Counter(symbol for symbol, _ in packed), 7)
    codes = _codes(code_widths)
    count = len(_ORDER)
    while count > 4 and not code_widths.get(_ORDER[count - 1]):  # HCLEN's least
        count -= 1
    yield _bits(last_literal - 256, 5) + _bits(last_distance, 5) + _bits(count - 4, 4)
    yield "".join(_bits(code_widths.get(symbol, 0), 3) for symbol in _ORDER[:count])
    yield "".join(codes[symbol] + extra for symbol, extra in packed)


def _run_lengths(widths: Sequence[int]) -> Iterator[tuple[int, str]]:
    at = 0
    while at < len(widths):
        width, count = widths[at], 1
        while at + count < len(widths) and widths[at + count] == width:
            count += 1
        at += count
        if width == 0:
            while count >= 11:  # code 18 takes 11 to 138 zeros
                size = min(count, 138)
                yield 18, _bits(size - 11, 7)
                count -= size
            if count >= 3:  # code 17 takes 3 to 10 zeros
                yield 17, _bits(count - 3, 3)
                count = 0
        else:
            yield width, ""
            count -= 1
            while count >= 3:  # code 16 repeats the last width 3 to 6 times
                size = min(count, 6)
                yield 16, _bits(size - 3, 2)
                count -= size
        for _ in range(count):
            yield width, ""


def _widths(counts: Mapping[int, int], most: int) -> dict[int, int]:
    """Return symbol → code length of at most `most` bits; ties go to the smaller symbol."""
    counts = {symbol: times for symbol, times in sorted(counts.items()) if times}
    if len(counts) < 2:  # a lone symbol still needs one bit
        return dict.fromkeys(counts, 1)
    while True:
        widths = _huffman(counts)
        if max(widths.values()) <= most:
            return widths
        # Flatten the counts until the longest code fits: simple, and close to the best.
        counts = {symbol: (times + 1) // 2 for symbol, times in counts.items()}


def _huffman(counts: Mapping[int, int]) -> dict[int, int]:
    heap: list[tuple[int, int, tuple[int, ...]]]
    heap = [(times, symbol, (symbol,)) for symbol, times in counts.items()]
    heapq.heapify(heap)
    widths = dict.fromkeys(counts, 0)
    serial = 1000  # above every symbol, so that no two entries of the heap compare equal
    while len(heap) > 1:
        first, second = heapq.heappop(heap), heapq.heappop(heap)
        members = first[2] + second[2]
        for symbol in members:
            widths[symbol] += 1
        serial += 1
        heapq.heappush(heap, (first[0] + second[0], serial, members))
    return widths


def _codes(widths: Mapping[int, int]) -> dict[int, str]:
    """Return the canonical code of each symbol, first bit first (RFC 1951, 3.2.2)."""
    codes: dict[int, str] = {}
    code = before = 0
    for width, symbol in sorted((width, symbol) for symbol, width in widths.items()):
        code <<= width - before
        before = width
        codes[symbol] = format(code, f"0{width}b")
        code += 1
    return codes
