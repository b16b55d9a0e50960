/* The compiled twin of `compress` in deflate.py: the same bytes, some thirty times as fast.

   deflate.py says what each step is for; functions here have the names that they have there, and
   a test holds the two equal. Nothing is included but the types, and nothing is allocated: the
   library needs neither Python's headers nor a C library, so that one build of it serves every
   Python of a platform. */

#include <stddef.h>
#include <stdint.h>

#ifndef SOURCE
#define SOURCE "" /* the SHA-256 of this file, by which deflate.py knows its twin */
#endif

enum {
    WINDOW = 32768,
    NEAR = 4096,
    DEPTH = 16,
    LONGEST = 258,
    LAZY = 32,
    SEGMENT = 4096,
    MOST = 65536,
    END = 256,
    LITERALS = 288, /* the last two only exist as codes that are never used */
    DISTANCES = 30,
    HASH_BITS = 16,
};
#define NONE UINT32_MAX

typedef struct {
    uint32_t counts[LITERALS + DISTANCES]; /* of literals and lengths, then of distances */
    uint8_t widths[LITERALS + DISTANCES];  /* of the codes that suit them */
    uint64_t bits;                         /* what the block takes */
    int dynamic;
} Block;

typedef struct {
    const uint8_t *data;
    uint32_t size;
    uint32_t added; /* positions before it are in the tables */
    int hash_bits;
    uint32_t last4[1 << HASH_BITS], last3[1 << HASH_BITS]; /* hash -> the last position with it */
    uint32_t before4[WINDOW], before3[NEAR]; /* position -> the one before it with its hash */
    uint8_t length_symbol[LONGEST + 1];      /* less 257 */
    uint32_t tokens[MOST + SEGMENT];
    uint32_t block_tokens, segment_tokens;
    Block block, segment, both;
    uint8_t *out;
    size_t at, room;
    uint64_t waiting;
    int waiting_bits;
} Work;

static const uint8_t LENGTH_EXTRA[29] = {0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2,
                                         2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0};
static const uint16_t LENGTH_BASE[29] = {3,  4,  5,  6,  7,  8,  9,  10, 11,  13,  15,  17,  19,  23, 27,
                                         31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195, 227, 258};
static const uint8_t ORDER[19] = {16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15};

/* --- tokens ----------------------------------------------------------------------------- */

static uint32_t word(const uint8_t *at)
{
    return at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

static uint32_t triple(const uint8_t *at)
{
    return at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16;
}

static uint64_t eight(const uint8_t *at)
{
    return word(at) | (uint64_t)word(at + 4) << 32;
}

static uint32_t hash(const Work *work, uint32_t value)
{
    return value * 0x9E3779B1u >> (32 - work->hash_bits);
}

static void add_until(Work *work, uint32_t end)
{
    for (; work->added < end && work->added + 4 <= work->size; work->added++) {
        uint32_t at = work->added, slot = hash(work, triple(work->data + at));
        work->before3[at % NEAR] = work->last3[slot];
        work->last3[slot] = at;
        slot = hash(work, word(work->data + at));
        work->before4[at % WINDOW] = work->last4[slot];
        work->last4[slot] = at;
    }
}

/* What is nearer than the size of `before4` or `before3` is not overwritten there yet. */

static uint32_t longest(Work *work, uint32_t at, uint32_t length)
{
    const uint8_t *data = work->data;
    uint32_t most = work->size - at < LONGEST ? work->size - at : LONGEST, token = 0;
    if (most < 4 || length >= most)
        return 0;
    add_until(work, at);
    uint32_t want = word(data + at);
    uint32_t back = work->last4[hash(work, want)];
    for (int left = DEPTH; back != NONE && at - back <= WINDOW;) {
        if (word(data + back) == want) {
            if (data[back + length] == data[at + length]) {
                uint32_t size = 4;
                uint64_t differ = 0;
                for (; size + 8 <= most; size += 8)
                    if ((differ = eight(data + back + size) ^ eight(data + at + size)) != 0)
                        break;
                if (differ)
                    size += (uint32_t)__builtin_ctzll(differ) / 8;
                else
                    while (size < most && data[back + size] == data[at + size])
                        size++;
                if (size > length) {
                    length = size;
                    token = size << 16 | (at - back);
                    if (size == most)
                        break;
                }
            }
            if (--left == 0)
                break;
        }
        back = work->before4[back % WINDOW];
    }
    return token;
}

static uint32_t short_match(Work *work, uint32_t at)
{
    if (at + 4 > work->size)
        return 0;
    add_until(work, at);
    uint32_t want = triple(work->data + at);
    uint32_t back = work->last3[hash(work, want)];
    while (back != NONE && at - back <= NEAR) {
        if (triple(work->data + back) == want)
            return 3u << 16 | (at - back);
        back = work->before3[back % NEAR];
    }
    return 0;
}

/* --- codes ------------------------------------------------------------------------------ */

static int distance_symbol(uint32_t distance)
{
    if (--distance < 4)
        return (int)distance;
    int top = 31 - __builtin_clz(distance);
    return 2 * top + (int)(distance >> (top - 1) & 1);
}

static int distance_extra(int symbol)
{
    return symbol < 4 ? 0 : symbol / 2 - 1;
}

/* Sorts by heap, since there is no library; keys differ, so every way of sorting is the same. */
static void sink(uint64_t *keys, int at, int count)
{
    for (int child; (child = 2 * at + 1) < count; at = child) {
        if (child + 1 < count && keys[child + 1] > keys[child])
            child++;
        if (keys[at] >= keys[child])
            return;
        uint64_t key = keys[at];
        keys[at] = keys[child];
        keys[child] = key;
    }
}

static void sort(uint64_t *keys, int count)
{
    for (int at = count / 2; at-- > 0;)
        sink(keys, at, count);
    for (int end = count; --end > 0;) {
        uint64_t key = keys[0];
        keys[0] = keys[end];
        keys[end] = key;
        sink(keys, 0, end);
    }
}

static void widths(const uint32_t *given, int symbols, int most, uint8_t *result)
{
    uint32_t counts[LITERALS], above[2 * LITERALS];
    uint64_t leaves[LITERALS], sums[LITERALS];
    uint8_t depths[2 * LITERALS];
    int used = 0;
    for (int symbol = 0; symbol < symbols; symbol++) {
        counts[symbol] = given[symbol];
        result[symbol] = counts[symbol] != 0;
        used += counts[symbol] != 0;
    }
    if (used < 2)
        return;
    for (int longest = most + 1; longest > most;) {
        int leaf = 0, sum = 0, count = 0;
        for (int symbol = 0; symbol < symbols; symbol++)
            if (counts[symbol])
                leaves[count++] = (uint64_t)counts[symbol] << 16 | (uint64_t)symbol;
        sort(leaves, count);
        for (int made = 0; made < used - 1; made++) {
            sums[made] = 0;
            for (int half = 0; half < 2; half++)
                if (leaf < used && (sum >= made || leaves[leaf] >> 16 <= sums[sum])) {
                    sums[made] += leaves[leaf] >> 16;
                    above[leaf++] = (uint32_t)(used + made);
                } else {
                    sums[made] += sums[sum];
                    above[used + sum++] = (uint32_t)(used + made);
                }
        }
        depths[2 * used - 2] = 0;
        longest = 0;
        for (int node = 2 * used - 3; node >= 0; node--) {
            depths[node] = depths[above[node]] + 1;
            if (node < used) {
                result[leaves[node] & 0xFFFF] = depths[node];
                if (depths[node] > longest)
                    longest = depths[node];
            }
        }
        for (int symbol = 0; symbol < symbols; symbol++)
            counts[symbol] = (counts[symbol] + 1) / 2;
    }
}

/* The canonical codes, first bit first. */
static void codes(const uint8_t *given, int symbols, uint16_t *result)
{
    uint32_t code = 0;
    for (int width = 1; width <= 15; width++, code <<= 1)
        for (int symbol = 0; symbol < symbols; symbol++)
            if (given[symbol] == width) {
                uint32_t reversed = 0;
                for (int bit = 0; bit < width; bit++)
                    reversed |= (code >> bit & 1) << (width - 1 - bit);
                result[symbol] = (uint16_t)reversed;
                code++;
            }
}

static void write(Work *work, uint64_t bits, int count)
{
    work->waiting |= bits << work->waiting_bits;
    work->waiting_bits += count;
    while (work->waiting_bits >= 8) {
        if (work->at < work->room)
            work->out[work->at] = (uint8_t)work->waiting;
        work->at++;
        work->waiting >>= 8;
        work->waiting_bits -= 8;
    }
}

/* Writes the code lengths of a dynamic block, or only counts their bits. */
static uint64_t tables(Work *work, const uint8_t *both, int writes)
{
    uint8_t all[LITERALS + DISTANCES], symbols[LITERALS + DISTANCES], extra[LITERALS + DISTANCES];
    int literals = LITERALS, distances = DISTANCES, length = 0, packed = 0, sent = 19;
    while (literals > END + 1 && !both[literals - 1])
        literals--;
    while (distances > 1 && !both[LITERALS + distances - 1])
        distances--;
    for (int symbol = 0; symbol < literals; symbol++)
        all[length++] = both[symbol];
    for (int symbol = 0; symbol < distances; symbol++)
        all[length++] = both[LITERALS + symbol];
    for (int at = 0, count; at < length; at += count) {
        int width = all[at], left;
        for (count = 1; at + count < length && all[at + count] == width; count++)
            ;
        left = count;
        if (width == 0) {
            for (; left >= 11; left -= extra[packed++] + 11) {
                symbols[packed] = 18;
                extra[packed] = (uint8_t)((left < 138 ? left : 138) - 11);
            }
            if (left >= 3) {
                symbols[packed] = 17;
                extra[packed++] = (uint8_t)(left - 3);
                left = 0;
            }
        } else {
            symbols[packed] = (uint8_t)width;
            extra[packed++] = 0;
            for (left--; left >= 3; left -= extra[packed++] + 3) {
                symbols[packed] = 16;
                extra[packed] = (uint8_t)((left < 6 ? left : 6) - 3);
            }
        }
        for (; left > 0; left--) {
            symbols[packed] = (uint8_t)width;
            extra[packed++] = 0;
        }
    }
    static const uint8_t EXTRA[19] = {[16] = 2, [17] = 3, [18] = 7};
    uint32_t counts[19];
    uint8_t lengths[19];
    uint16_t words[19];
    for (int symbol = 0; symbol < 19; symbol++)
        counts[symbol] = 0;
    for (int at = 0; at < packed; at++)
        counts[symbols[at]]++;
    widths(counts, 19, 7, lengths);
    while (sent > 4 && !lengths[ORDER[sent - 1]])
        sent--;
    uint64_t bits = 14 + 3 * (uint64_t)sent;
    for (int symbol = 0; symbol < 19; symbol++)
        bits += (uint64_t)counts[symbol] * (lengths[symbol] + EXTRA[symbol]);
    if (!writes)
        return bits;
    codes(lengths, 19, words);
    write(work, (uint64_t)literals - 257, 5);
    write(work, (uint64_t)distances - 1, 5);
    write(work, (uint64_t)sent - 4, 4);
    for (int at = 0; at < sent; at++)
        write(work, lengths[ORDER[at]], 3);
    for (int at = 0; at < packed; at++) {
        write(work, words[symbols[at]], lengths[symbols[at]]);
        write(work, extra[at], EXTRA[symbols[at]]);
    }
    return bits;
}

/* --- blocks ----------------------------------------------------------------------------- */

static uint8_t fixed_width(int symbol)
{
    if (symbol >= LITERALS)
        return 5;
    return symbol < 144 ? 8 : symbol < 256 ? 9 : symbol < 280 ? 7 : 8;
}

/* Chooses the codes of a block by its counts, and says what it takes with them. */
static void plan(Work *work, Block *block)
{
    block->counts[END] = 1;
    widths(block->counts, LITERALS, 15, block->widths);
    widths(block->counts + LITERALS, DISTANCES, 15, block->widths + LITERALS);
    int any = 0;
    for (int symbol = LITERALS; symbol < LITERALS + DISTANCES; symbol++)
        any |= block->widths[symbol];
    if (!any)
        block->widths[LITERALS] = 1; /* one code of one bit, which is not used */
    uint64_t dynamic = 3 + tables(work, block->widths, 0), fixed = 3;
    for (int symbol = 0; symbol < LITERALS + DISTANCES; symbol++) {
        int extra = symbol >= LITERALS ? distance_extra(symbol - LITERALS)
                    : symbol > END     ? LENGTH_EXTRA[symbol - 257]
                                       : 0;
        dynamic += (uint64_t)block->counts[symbol] * (uint64_t)(block->widths[symbol] + extra);
        fixed += (uint64_t)block->counts[symbol] * (uint64_t)(fixed_width(symbol) + extra);
    }
    block->dynamic = dynamic < fixed;
    block->bits = block->dynamic ? dynamic : fixed;
    for (int symbol = 0; symbol < LITERALS + DISTANCES && !block->dynamic; symbol++)
        block->widths[symbol] = fixed_width(symbol);
}

static void emit(Work *work, int final)
{
    Block *block = &work->block;
    const uint8_t *literals = block->widths, *distances = block->widths + LITERALS;
    uint16_t words[LITERALS], distance_words[DISTANCES];
    codes(literals, LITERALS, words);
    codes(distances, DISTANCES, distance_words);
    write(work, (uint64_t)(final | (block->dynamic ? 4 : 2)), 3);
    if (block->dynamic)
        tables(work, block->widths, 1);
    for (uint32_t at = 0; at < work->block_tokens; at++) {
        uint32_t token = work->tokens[at];
        if (token < END) {
            write(work, words[token], literals[token]);
            continue;
        }
        uint32_t length = token >> 16, distance = token & 0xFFFF;
        int symbol = work->length_symbol[length];
        write(work, words[257 + symbol], literals[257 + symbol]);
        write(work, length - LENGTH_BASE[symbol], LENGTH_EXTRA[symbol]);
        symbol = distance_symbol(distance);
        int extra = distance_extra(symbol);
        write(work, distance_words[symbol], distances[symbol]);
        write(work, (distance - 1) & ((1u << extra) - 1), extra);
    }
    write(work, words[END], literals[END]);
}

/* Takes the segment into the block where that takes no more bits, else writes the block. */
static void end_segment(Work *work)
{
    if (!work->segment_tokens)
        return;
    plan(work, &work->segment);
    int joined = !work->block_tokens;
    if (joined)
        work->block = work->segment;
    else if (work->block_tokens + work->segment_tokens <= MOST) {
        for (int symbol = 0; symbol < LITERALS + DISTANCES; symbol++)
            work->both.counts[symbol] = work->block.counts[symbol] + work->segment.counts[symbol];
        plan(work, &work->both);
        joined = work->both.bits <= work->block.bits + work->segment.bits;
        if (joined)
            work->block = work->both;
    }
    if (!joined) {
        emit(work, 0);
        for (uint32_t at = 0; at < work->segment_tokens; at++)
            work->tokens[at] = work->tokens[work->block_tokens + at];
        work->block = work->segment;
        work->block_tokens = 0;
    }
    work->block_tokens += work->segment_tokens;
    work->segment_tokens = 0;
    for (int symbol = 0; symbol < LITERALS + DISTANCES; symbol++)
        work->segment.counts[symbol] = 0;
}

static void add_token(Work *work, uint32_t token)
{
    work->tokens[work->block_tokens + work->segment_tokens++] = token;
    if (token < END)
        work->segment.counts[token]++;
    else {
        work->segment.counts[257 + work->length_symbol[token >> 16]]++;
        work->segment.counts[LITERALS + distance_symbol(token & 0xFFFF)]++;
    }
    if (work->segment_tokens == SEGMENT)
        end_segment(work);
}

/* --- what deflate.py calls -------------------------------------------------------------- */

const char lockstitch_source[] = SOURCE;

size_t lockstitch_work(void)
{
    return sizeof(Work);
}

/* Writes the compressed form and returns its size, or 0 when it is not below that of the data. */
size_t lockstitch_compress(const uint8_t *data, uint32_t size, uint8_t *out, Work *work)
{
    work->data = data;
    work->size = size;
    work->added = 0;
    work->out = out;
    work->at = 0;
    work->room = size;
    work->waiting = 0;
    work->waiting_bits = 0;
    work->block_tokens = work->segment_tokens = 0;
    for (work->hash_bits = 8; work->hash_bits < HASH_BITS && size >> work->hash_bits;)
        work->hash_bits++;
    for (uint32_t slot = 0; slot < 1u << work->hash_bits; slot++)
        work->last4[slot] = work->last3[slot] = NONE;
    for (int symbol = 0; symbol < 29; symbol++)
        for (int length = LENGTH_BASE[symbol]; length <= LONGEST; length++)
            work->length_symbol[length] = (uint8_t)symbol;
    for (int symbol = 0; symbol < LITERALS + DISTANCES; symbol++)
        work->segment.counts[symbol] = 0;

    uint32_t at = 0, pending = 0;
    while (at < size) {
        if (work->at >= work->room)
            return 0;
        uint32_t known = pending >> 16;
        uint32_t token = known < LAZY ? longest(work, at, known < 3 ? 3 : known) : 0;
        if (pending && token) {
            add_token(work, data[at - 1]);
            pending = token;
            at++;
        } else if (pending) {
            add_token(work, pending);
            pending = 0;
            at += known - 1;
        } else {
            if (!token)
                token = short_match(work, at);
            if (token)
                pending = token;
            else
                add_token(work, data[at]);
            at++;
        }
    }
    if (pending)
        add_token(work, pending);
    end_segment(work);
    emit(work, 1);
    if (work->waiting_bits)
        write(work, 0, 8 - work->waiting_bits);
    return work->at < work->room ? work->at : 0;
}
