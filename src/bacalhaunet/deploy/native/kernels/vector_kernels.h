/* The kernels over vectors of VB bytes; avx512.c and avx2.c define the operations and include this.
 *
 * A kernel keeps the sums of a block of outputs in V vectors of 16-bit (or 32-bit) lanes while it walks the entries
 * of a channel, then requantizes and stores them. V and the pattern are constants where it is used, so every loop
 * over v unrolls and every branch on the pattern goes.
 */

#include "vector_sums.h"

#include "vector_blocks.h"

#include "vector_layers.h"

static void fours(const model *m, const instruction *s, uint8_t *arena)
{
    const int32_t *at = m->numbers + s->first;
    for (int32_t row = 0; row < s->channels; row++, at += 5) {
        uint8_t *to = arena + at[4];
        for (int32_t j = 0; j < s->n; j += VB) {
            vec a = load(arena + at[0] + j), b = load(arena + at[1] + j);
            vec c = load(arena + at[2] + j), d = load(arena + at[3] + j);
            vec low = unpack_low8(a, b), high = unpack_high8(a, b);
            vec low2 = unpack_low8(c, d), high2 = unpack_high8(c, d);
            store(to + 4 * j, unpack_low16(low, low2));
            store(to + 4 * j + VB, unpack_high16(low, low2));
            store(to + 4 * j + 2 * VB, unpack_low16(high, high2));
            store(to + 4 * j + 3 * VB, unpack_high16(high, high2));
        }
    }
}

static void pairs(const model *m, const instruction *s, uint8_t *arena)
{
    if (s->pattern == PATTERN_LOCAL_4) {
        fours(m, s, arena);
        return;
    }
    const int32_t *at = m->numbers + s->first;
    for (int32_t row = 0; row < s->channels; row++, at += 3) {
        const uint8_t *one = arena + at[0], *two = arena + at[1];
        uint8_t *to = arena + at[2];
        for (int32_t j = 0; j < s->n; j += VB) {
            vec a = load(one + j), b = load(two + j);
            store(to + 2 * j, unpack_low8(a, b));
            store(to + 2 * j + VB, unpack_high8(a, b));
        }
    }
}

static void quantize(const input_quantizer *q, const float *samples, uint8_t *arena)
{
    for (int row = 0; row < 2; row++) {
        if (q->rows[row] < 0)
            continue;
        const float *from = samples + (ptrdiff_t)row * q->length;
        uint8_t *to = arena + q->rows[row];
        int32_t j = 0;
        for (; j + VB <= q->length; j += VB)
            store(to + j, quantize_vector(q, from + j));
        if (j < q->length) {
            float rest[VB] = {0};
            memcpy(rest, from + j, (size_t)(q->length - j) * sizeof(float));
            store_part(to + j, quantize_vector(q, rest), q->length - j);
        }
    }
}

/* `vectors` x VB / 4 sums from the c-th on. */
static inline ALWAYS_INLINE void dense_block(const model *m, const instruction *s, const uint8_t *arena, int32_t *sums,
                                             int32_t c, const int vectors)
{
    const int32_t *start = m->numbers + s->first, *weights = start + s->channels + c;
    const int32_t lanes = VB / 4, left = s->channels - c;
    vec sum[4];
    UNROLL
    for (int v = 0; v < vectors; v++)
        sum[v] = load_part32(start + c + v * lanes, left - v * lanes);
    for (int32_t i = 0; i < s->n; i++, weights += s->channels) {
        int32_t four;
        memcpy(&four, arena + s->source + 4 * (ptrdiff_t)i, sizeof four);
        vec bytes = set32(four);
        UNROLL
        for (int v = 0; v < vectors; v++)
            dot8_to(&sum[v], bytes, quad_of(load_part32(weights + v * lanes, left - v * lanes)));
    }
    UNROLL
    for (int v = 0; v < vectors; v++)
        store_part32(sums + c + v * lanes, sum[v], left - v * lanes);
}

static void dense(const model *m, const instruction *s, const uint8_t *arena, int32_t *sums)
{
    const int32_t lanes = VB / 4;
    for (int32_t c = 0; c < s->channels; c += 4 * lanes) {
        switch ((s->channels - c + lanes - 1) / lanes) {
        case 1: dense_block(m, s, arena, sums, c, 1); break;
        case 2: dense_block(m, s, arena, sums, c, 2); break;
        case 3: dense_block(m, s, arena, sums, c, 3); break;
        default: dense_block(m, s, arena, sums, c, 4); break;
        }
    }
}

/* As in portable.c, in 64 bits; bit 0 of the flags says that 32 are enough. */
static void round_sums(const model *m, const instruction *s, uint8_t *arena, int32_t *sums)
{
    if (s->flags & 2)
        for (int32_t c = 0; c < s->channels; c++)
            sums[c] = arena[s->source + c];
    const int64_t *offset = m->wides + s->first, *shift = offset + s->channels, *multiplier = shift + s->channels;
    uint8_t *to = arena + s->output;
    const int32_t high = s->high, channels = s->channels;
    if (s->flags & 1) {
        const int32_t *narrow = m->numbers + s->extra;
        const int32_t *offset32 = narrow, *shift32 = offset32 + channels, *multiplier32 = shift32 + channels;
        for (int32_t c = 0; c < channels; c++) {
            int32_t value = (multiplier32[c] * sums[c] + offset32[c]) >> shift32[c];
            value = value < 0 ? 0 : value;
            sums[c] = value > high ? high : value;
        }
    } else {
        for (int32_t c = 0; c < channels; c++) {
            int64_t value = offset[c];
            for (int32_t g = 0; g < s->groups; g++)
                value += multiplier[g * channels + c] * sums[g * channels + c];
            value >>= shift[c];
            sums[c] = (int32_t)(value < 0 ? 0 : value > high ? high : value);
        }
    }
    if (s->flags & 4) { /* and once more, by a table */
        const int32_t *table = m->numbers + s->pad;
        for (int32_t c = 0; c < channels; c++)
            to[c] = (uint8_t)table[sums[c]];
    } else {
        for (int32_t c = 0; c < channels; c++)
            to[c] = (uint8_t)sums[c];
    }
}

static inline ALWAYS_INLINE vec sum_bytes(const uint8_t *one, const uint8_t *two, vec multiplier, vec high)
{
    vec sum = add8(load(one), load(two)), zero = set8(0);
    vec a = round_product16(unpack_low8(sum, zero), multiplier);
    vec b = round_product16(unpack_high8(sum, zero), multiplier);
    return min8(packus16(a, b), high);
}

/* Numbers of a row: two sources, destination, multiplier. */
static void sum(const model *m, const instruction *s, uint8_t *arena)
{
    const int32_t *at = m->numbers + s->first;
    const int32_t n = s->n;
    vec high = set8(s->high);
    for (int32_t row = 0; row < s->channels; row++, at += 4) {
        const uint8_t *one = arena + at[0], *two = arena + at[1];
        uint8_t *to = arena + at[2];
        vec multiplier = set16(at[3]);
        int32_t j = 0;
        for (; j + VB <= n; j += VB)
            store(to + j, sum_bytes(one + j, two + j, multiplier, high));
        if (j < n)
            store_part(to + j, sum_bytes(one + j, two + j, multiplier, high), n - j);
    }
}
