"""A DEFLATE encoder whose bytes never change (RFC 1951).

Libraries change their output between versions and builds, and a layer's digest would change
with them. This one is ours, so its output is part of the layout version. It is about as small
as `zlib -6`. Content that is already compressed in a wheel never passes through here.

`compress` has a compiled twin, deflate.c, that gives the same bytes in far less time. It is an
option: where no compiler was found when lockstitch was installed, the code below does the work.
"""

import ctypes
import functools
import hashlib
import heapq
import operator
import os
import re
import struct
import threading
from array import array
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

# All of these decide bytes, and stand in deflate.c too.
_WINDOW = 32768
_NEAR = 4096  # a match of three bytes from further away costs more than three literals
_LONGEST = 258
_SEGMENT = 4096  # tokens that stay in one block
_MOST = 65536  # tokens in one block
_STEP = 1 << 19  # positions that are searched at once, which shows in nothing but memory
_END = 256
_LITERALS = 288  # and lengths: the last two only exist as codes that are never used


def stored(data: bytes, *, final: bool = True) -> bytes:
    """Return data in stored blocks, uncompressed; without `final`, more blocks follow."""
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
    done = bytearray()
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
        if count > 1 << 14:  # a number that grew for ever would make the loop quadratic
            whole = count & ~7
            done += (bits & (1 << whole) - 1).to_bytes(whole // 8, "little")
            bits, count = bits >> whole, count - whole
    bits |= int.from_bytes(data[at:].translate(_LITERAL), "little") << count
    count += 8 * (len(data) - at) + 7  # the end-of-block code is seven zeros
    return bytes(done + bits.to_bytes((count + 7) // 8, "little"))


# --- content: lazy matches, blocks where the data changes, a code table for each block --


def compress(data: bytes) -> bytes:
    """Return the data compressed with lazy matches, and with codes that suit each part of it."""
    encode = compiled()
    packed = encode(data) if encode and len(data) < 1 << 32 else in_python(data)
    return packed if len(packed) < len(data) else stored(data)


def in_python(data: bytes) -> bytes:
    """Return the result of `compress` for data that shrinks, without the compiled twin."""
    tokens = _tokens(data)
    parts, waiting = [], ""
    for start, end, block in _blocks(tokens):
        final = end == len(tokens)
        text = "".join((waiting, "01"[final], *_block(tokens[start:end], block)))
        whole = len(text) if final else len(text) & ~7
        parts.append(int(text[:whole][::-1], 2).to_bytes((whole + 7) // 8, "little"))
        waiting = text[whole:]
    return b"".join(parts)


def _backs(data: bytes) -> "array[int]":
    """Return how far before each position its four bytes stood last.

    What lies above the window says the same of its first three, and 0 that there is neither.
    """
    backs = array("H")
    append, far = backs.append, -_WINDOW - 1
    fours: dict[int, int] = {}
    threes: dict[int, int] = {}
    for start in range(0, len(data), _STEP):
        fours, threes = (  # what is too far goes, so that memory stays small
            {word: at for word, at in last.items() if at >= start - _WINDOW}
            for last in (fours, threes)
        )
        piece = data[start : start + _STEP + 3]
        if len(piece) < 4:
            break
        words = [0] * (len(piece) - 3)
        for shift in range(4):
            count = (len(piece) - shift) // 4
            words[shift::4] = struct.unpack_from(f"<{count}I", piece, shift)
        for at, word in enumerate(words, start):
            back = at - fours.get(word, far)
            fours[word] = at
            three = word & 0xFFFFFF
            if back > _WINDOW:
                back = at - threes.get(three, far)
                back = back + _WINDOW if back <= _NEAR else 0
            threes[three] = at
            append(back)
    backs.extend([0] * (len(data) - len(backs)))
    return backs


def _tokens(data: bytes) -> "array[int]":
    """Return literals as themselves and matches as `length << 16 | distance`."""
    backs, tokens = _backs(data), array("I")
    append, size, at, pending = tokens.append, len(data), 0, 0
    while at < size:
        back, known, token = backs[at], pending >> 16, 0
        if 0 < back <= _WINDOW:
            if known < 32:  # a match of this length is taken, whatever the next byte would give
                token = _longest(data, backs, at, max(known, 3))
        elif back and not pending:
            token = 3 << 16 | back - _WINDOW
        if pending and not token:
            append(pending)
            pending = 0
            at += known - 1
            continue
        if pending or not token:
            append(data[at - 1] if pending else data[at])
        pending = token
        at += 1
    if pending:
        append(pending)
    return tokens


def _longest(data: bytes, backs: "array[int]", at: int, length: int) -> int:
    """Return the longest match of more than `length` bytes as a token, the nearest of equals."""
    most, token = min(_LONGEST, len(data) - at), 0
    if length >= most:
        return 0
    start, distance, last = at, 0, data[at + length]
    for _ in range(16):  # candidates for a match
        back = backs[start]
        start -= back
        distance += back
        if not 0 < back <= _WINDOW or distance > _WINDOW:
            break
        if data[start + length] != last:
            continue
        size = 4
        while (
            size + 16 <= most
            and data[at + size : at + size + 16] == data[start + size : start + size + 16]
        ):
            size += 16
        while size < most and data[at + size] == data[start + size]:
            size += 1
        if size > length:
            length, token = size, size << 16 | distance
            if size == most:
                break
            last = data[at + length]
    return token


# --- blocks


class _Block(NamedTuple):
    """A block of tokens: the codes that take the fewest bits, and how many they take."""

    bits: int
    header: str
    literals: Sequence[int]  # the width of the code of each symbol
    distances: Sequence[int]


def _blocks(tokens: "array[int]") -> Iterator[tuple[int, int, _Block]]:
    """Yield start, end and codes of each block: a segment joins one where that takes no more."""
    start, counts, block = 0, [0], None
    for at in range(0, len(tokens), _SEGMENT):
        end = min(at + _SEGMENT, len(tokens))
        segment = _counts(tokens[at:end])
        alone = _planned(segment)
        if block and end - start <= _MOST:
            both = list(map(operator.add, counts, segment))
            joined = _planned(both)
            if joined.bits <= block.bits + alone.bits:
                counts, block = both, joined
                continue
        if block:
            yield start, at, block
        start, counts, block = at, segment, alone
    if block:
        yield start, len(tokens), block


def _counts(tokens: Sequence[int]) -> list[int]:
    """Return how often each symbol occurs: literals and lengths, then distances."""
    counts = [0] * len(_FIXED)
    for token, times in Counter(tokens).items():
        if token < _END:
            counts[token] += times
        else:
            counts[_LENGTHS[token >> 16][0]] += times
            counts[_LITERALS + _distance(token & 0xFFFF)[0]] += times
    return counts


def _planned(counts: list[int]) -> _Block:
    """Return the codes for these counts, one end of the block among them."""
    counts[_END] = 1
    literals, distances = _widths(counts[:_LITERALS], 15), _widths(counts[_LITERALS:], 15)
    if not any(distances):
        distances[0] = 1  # one code of one bit, which is not used
    header = "".join(_tables(literals, distances))
    both = sum(map(operator.mul, counts, _EXTRA)) + 3
    dynamic = both + len(header) + sum(map(operator.mul, counts, literals + distances))
    fixed = both + sum(map(operator.mul, counts, _FIXED))
    if dynamic < fixed:  # BTYPE=10 or 01, first bit first
        return _Block(dynamic, "01" + header, literals, distances)
    return _Block(fixed, "10", _FIXED[:_LITERALS], _FIXED[_LITERALS:])


def _block(tokens: Sequence[int], block: _Block) -> Iterator[str]:
    """Yield the bits of one block, without the BFINAL bit (RFC 1951, 3.2.3)."""
    literals, distances = _codes(block.literals), _codes(block.distances)
    words = {}  # each token that occurs → its bits
    for token in set(tokens):
        if token < _END:
            words[token] = literals[token]
        else:
            symbol, extra = _LENGTHS[token >> 16]
            distance, more = _distance(token & 0xFFFF)
            words[token] = literals[symbol] + extra + distances[distance] + more
    yield block.header
    yield "".join(map(words.__getitem__, tokens))
    yield literals[_END]


@functools.cache
def _distance(distance: int) -> tuple[int, str]:
    """Return the symbol and the extra bits of a distance."""
    if distance <= 4:
        return distance - 1, ""
    width = (distance - 1).bit_length() - 2
    return 2 * width + (distance - 1 >> width), _bits(distance - 1 & (1 << width) - 1, width)


_FIXED = (8,) * 144 + (9,) * 112 + (7,) * 24 + (8,) * 8 + (5,) * 30
_EXTRA = (0,) * 265 + tuple(1 + symbol // 4 for symbol in range(20)) + (0,) * 3
_EXTRA += (0,) * 4 + tuple(1 + symbol // 2 for symbol in range(26))
_ORDER = (16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15)


def _tables(literals: Sequence[int], distances: Sequence[int]) -> Iterator[str]:
    """Yield the bits of a dynamic block's code lengths (RFC 1951, 3.2.7)."""
    last_literal = max(symbol for symbol, width in enumerate(literals) if width)
    last_distance = max(symbol for symbol, width in enumerate(distances) if width)
    packed = list(_run_lengths([*literals[: last_literal + 1], *distances[: last_distance + 1]]))
    counts = Counter(symbol for symbol, _ in packed)
    widths = _widths([counts[symbol] for symbol in range(len(_ORDER))], 7)
    codes = _codes(widths)
    count = len(_ORDER)
    while count > 4 and not widths[_ORDER[count - 1]]:  # HCLEN's least
        count -= 1
    yield _bits(last_literal - 256, 5) + _bits(last_distance, 5) + _bits(count - 4, 4)
    yield "".join(_bits(widths[symbol], 3) for symbol in _ORDER[:count])
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


def _widths(counts: Sequence[int], most: int) -> list[int]:
    """Return the code length of each symbol, at most `most` bits; ties go to the smaller symbol."""
    if sum(map(bool, counts)) < 2:  # a lone symbol still needs one bit
        return [int(times > 0) for times in counts]
    while True:
        widths = _huffman(counts)
        if max(widths) <= most:
            return widths
        # Flatten the counts until the longest code fits: simple, and close to the best.
        counts = [(times + 1) // 2 for times in counts]


def _huffman(counts: Sequence[int]) -> list[int]:
    """Return the code length of each symbol; of equal counts, leaves and older nodes go first."""
    leaves = sorted((times, symbol) for symbol, times in enumerate(counts) if times)
    heap = [(times, node) for node, (times, _) in enumerate(leaves)]
    root = 2 * len(leaves) - 2
    above, depths, widths = [0] * root, [0] * (root + 1), [0] * len(counts)
    for node in range(len(leaves), root + 1):
        first = heapq.heappop(heap)
        second = heapq.heapreplace(heap, (first[0] + heap[0][0], node))
        above[first[1]] = above[second[1]] = node
    for node in range(root - 1, -1, -1):
        depths[node] = depths[above[node]] + 1
    for (_, symbol), depth in zip(leaves, depths, strict=False):
        widths[symbol] = depth
    return widths


def _codes(widths: Sequence[int]) -> list[str]:
    """Return the canonical code of each symbol, first bit first (RFC 1951, 3.2.2)."""
    codes = [""] * len(widths)
    code = before = 0
    for width, symbol in sorted((width, symbol) for symbol, width in enumerate(widths) if width):
        code <<= width - before
        before = width
        codes[symbol] = format(code, f"0{width}b")
        code += 1
    return codes


# --- the compiled twin

_SOURCE = Path(__file__).with_name("deflate.c")
LIBRARY = Path(__file__).with_name("deflate-twin.so")  # where tools/hatch_build.py puts it


@functools.cache
def compiled() -> Callable[[bytes], bytes] | None:
    """Return the compiled twin of `in_python`, or None where it was not made."""
    return load(LIBRARY)


def described() -> str:
    """Return in words which encoder works here, and how to get the faster one."""
    if compiled():
        return "compiled"
    return (
        "Python, with the same bytes in some 40 times the time; "
        "with a C compiler, install lockstitch again for the compiled one"
    )


def load(path: Path) -> Callable[[bytes], bytes] | None:
    """Return the twin in a library, or None without one of this very source."""
    try:
        library = ctypes.CDLL(os.fspath(path))
        source = (ctypes.c_char * 64).in_dll(library, "lockstitch_source").value.decode()
        if source != hashlib.sha256(_SOURCE.read_bytes()).hexdigest():
            return None  # such as that of an editable install whose source moved on
        size_of_work, encode = library.lockstitch_work, library.lockstitch_compress
    except (AttributeError, OSError, ValueError):
        return None
    size_of_work.restype = encode.restype = ctypes.c_size_t
    encode.argtypes = [ctypes.c_char_p, ctypes.c_uint32, ctypes.c_char_p, ctypes.c_char_p]
    used = threading.local()  # of each thread: new memory for each file costs more than small files

    def twin(data: bytes) -> bytes:
        if not hasattr(used, "work"):
            used.work, used.out = ctypes.create_string_buffer(size_of_work()), b""
        if len(used.out) < len(data):
            used.out = ctypes.create_string_buffer(1 << len(data).bit_length())
        size = encode(data, len(data), used.out, used.work)
        return ctypes.string_at(used.out, size) if size else data

    return twin
