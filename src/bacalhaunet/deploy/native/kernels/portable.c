/* Every kernel in plain C, in the words of its definition. Also what the vector kernels are tested against. */
#include "engine.h"

#include <math.h>

static void quantize(const input_quantizer *q, const float *samples, uint8_t *arena)
{
    for (int row = 0; row < 2; row++) {
        if (q->rows[row] < 0)
            continue;
        uint8_t *to = arena + q->rows[row];
        const float *from = samples + (ptrdiff_t)row * q->length;
        for (int32_t j = 0; j < q->length; j++) {
            float x = from[j];
            if (q->clipped)
                x = x < q->clip_low ? q->clip_low : x > q->clip_high ? q->clip_high : x;
            x = x / q->scale + q->zero;
            x = x > q->low ? x : q->low; /* also what is not a number */
            x = x < q->high ? x : q->high;
            to[j] = (uint8_t)((int32_t)rintf(x) - (int32_t)q->zero + q->code);
        }
    }
}

static void pairs(const model *m, const instruction *s, uint8_t *arena)
{
    const int32_t *at = m->numbers + s->first;
    if (s->pattern == PATTERN_LOCAL_4) {
        for (int32_t row = 0; row < s->channels; row++, at += 5)
            for (int32_t j = 0; j < 4 * s->n; j++)
                arena[at[4] + j] = arena[at[j % 4] + j / 4];
        return;
    }
    for (int32_t row = 0; row < s->channels; row++, at += 3) {
        const uint8_t *a = arena + at[0], *b = arena + at[1];
        uint8_t *to = arena + at[2];
        for (int32_t j = 0; j < s->n; j++) {
            to[2 * j] = a[j];
            to[2 * j + 1] = b[j];
        }
    }
}

static int32_t bytes_apart(int32_t pattern)
{
    static const int32_t apart[] = {1, 2, 2, 1, 2, 4, 4};
    return apart[pattern];
}

static int32_t signed_byte(int32_t weights, int n)
{
    int32_t byte = (weights >> (8 * n)) & 255;
    return byte < 128 ? byte : byte - 256;
}

#define CHUNK 64

/* PAIR_1: the two entries' weights for even and odd outputs. */
static void sum_neighbours(const uint8_t *arena, const entry *e, int32_t count, int32_t begin, int32_t outputs,
                           int32_t *restrict sum)
{
    for (int32_t n = 0; n < count; n++, e += 2) {
        const uint8_t *from = arena + e->offset + begin;
        int32_t even0 = signed_byte(e->weights, 0), even1 = signed_byte(e->weights, 1);
        int32_t odd0 = signed_byte(e[1].weights, 0), odd1 = signed_byte(e[1].weights, 1);
        for (int32_t j = 0; j < outputs; j += 2) {
            sum[j] += even0 * from[j] + even1 * from[j + 1];
            sum[j + 1] += odd0 * from[j] + odd1 * from[j + 1];
        }
    }
}

/* Sum entries for up to CHUNK outputs from `begin` on; `quad` and `apart` are constants where it is called. */
static inline void sum_entries_of(const uint8_t *arena, const entry *e, int32_t count, const int quad,
                                  const int32_t apart, int32_t begin, int32_t outputs, int32_t *restrict sum)
{
    for (int32_t n = 0; n < count; n++) {
        const uint8_t *from = arena + e[n].offset + (ptrdiff_t)apart * begin;
        int32_t w0 = signed_byte(e[n].weights, 0), w1 = signed_byte(e[n].weights, 1);
        for (int32_t j = 0; j < outputs; j++)
            sum[j] += w0 * from[apart * j] + w1 * from[apart * j + 1];
        if (quad == 4) {
            int32_t w2 = signed_byte(e[n].weights, 2), w3 = signed_byte(e[n].weights, 3);
            for (int32_t j = 0; j < outputs; j++)
                sum[j] += w2 * from[apart * j + 2] + w3 * from[apart * j + 3];
        }
    }
}

static void sum_entries(const uint8_t *arena, const entry *e, int32_t count, int quad, int32_t apart, int32_t begin,
                        int32_t outputs, int32_t *sum)
{
    if (quad == 2 && apart == 1)
        sum_neighbours(arena, e, count, begin, outputs, sum);
    else if (quad == 2)
        sum_entries_of(arena, e, count, 2, 2, begin, outputs, sum);
    else if (apart == 1)
        sum_entries_of(arena, e, count, 4, 1, begin, outputs, sum);
    else if (apart == 2)
        sum_entries_of(arena, e, count, 4, 2, begin, outputs, sum);
    else
        sum_entries_of(arena, e, count, 4, 4, begin, outputs, sum);
}

static void start_sums(int32_t *sum, int32_t start)
{
    for (int32_t j = 0; j < CHUNK; j++)
        sum[j] = start;
}

static int32_t clip(int32_t value, int32_t high)
{
    return value < 0 ? 0 : value > high ? high : value;
}

static int32_t saturated(int32_t sum)
{
    return sum < -32768 ? -32768 : sum > 32767 ? 32767 : sum;
}

static int32_t rounded16(const record *r, int32_t flags, int32_t sum, int32_t high)
{
    if (flags == FORM_FULL) {
        uint32_t product = (uint32_t)(uint16_t)sum * (uint32_t)r->multiplier;
        return clip(((int32_t)(product >> 16) + r->offset) >> r->shift, high);
    }
    /* r->offset is 0 without BELOW, r->shift without SHIFT. */
    return clip(clip((sum * r->multiplier) >> (16 + r->shift), 255) - r->offset, high);
}

static void conv16(const model *m, const instruction *s, uint8_t *arena)
{
    int32_t sum[CHUNK], rest[CHUNK], apart = bytes_apart(s->pattern), flags = s->flags;
    for (int32_t c = 0; c < s->channels; c++) {
        const record row = m->records[s->first + c], *r = &row; /* a copy: stores of bytes may alias anything */
        const entry *e = m->entries + r->first;
        for (int32_t begin = 0; begin < s->n; begin += CHUNK) {
            int32_t outputs = s->n - begin < CHUNK ? s->n - begin : CHUNK;
            start_sums(sum, r->start);
            sum_entries(arena, e, r->count, apart == 4 ? 4 : 2, apart, begin, outputs, sum);
            if (flags & CONV16_TWO) {
                start_sums(rest, 0);
                sum_entries(arena, e + (apart == 1 ? 2 : 1) * r->count, r->count2, 2, apart, begin, outputs, rest);
                for (int32_t j = 0; j < outputs; j++)
                    sum[j] = saturated(sum[j] + rest[j]);
            }
            uint8_t *to = arena + r->output + begin;
            const int32_t high = s->high;
            for (int32_t j = 0; j < outputs; j++)
                to[j] = (uint8_t)rounded16(r, flags, sum[j], high);
        }
    }
}

static void max16(const model *m, const instruction *s, uint8_t *arena, int32_t *sums)
{
    int32_t sum[CHUNK], apart = bytes_apart(s->pattern);
    for (int32_t c = 0; c < s->channels; c++) {
        const record *r = &m->records[s->first + c];
        int32_t largest = INT32_MIN;
        for (int32_t begin = 0; begin < s->n; begin += CHUNK) {
            int32_t outputs = s->n - begin < CHUNK ? s->n - begin : CHUNK;
            start_sums(sum, r->start);
            sum_entries(arena, m->entries + r->first, r->count, apart == 4 ? 4 : 2, apart, begin, outputs, sum);
            for (int32_t j = 0; j < outputs; j++)
                largest = sum[j] > largest ? sum[j] : largest;
        }
        sums[r->output] = largest;
    }
}

static int32_t half(int32_t pair, int high)
{
    int32_t value = (high ? pair >> 16 : pair) & 0xffff;
    return value < 0x8000 ? value : value - 0x10000;
}

static void wide16(const model *m, const instruction *s, uint8_t *arena)
{
    int32_t one[CHUNK], two[CHUNK], apart = bytes_apart(s->pattern);
    for (int32_t c = 0; c < s->channels; c++) {
        const record *r = &m->records[s->first + c];
        int32_t upper1 = half(r->multiplier, 0), upper2 = half(r->multiplier, 1);
        int32_t lower1 = half(r->lower, 0), lower2 = half(r->lower, 1);
        for (int32_t begin = 0; begin < s->n; begin += CHUNK) {
            int32_t outputs = s->n - begin < CHUNK ? s->n - begin : CHUNK;
            start_sums(one, half(r->start, 0));
            start_sums(two, half(r->start, 1));
            sum_entries(arena, m->entries + r->first, r->count, 2, apart, begin, outputs, one);
            sum_entries(arena, m->entries + r->first + (apart == 1 ? 2 : 1) * r->count, r->count2, 2, apart, begin, outputs, two);
            for (int32_t j = 0; j < outputs; j++) {
                int32_t a = half(one[j], 0), b = half(two[j], 0);
                int32_t low = a * lower1 + b * lower2 + r->offset_low;
                int32_t high = a * upper1 + b * upper2 + r->offset;
                arena[r->output + begin + j] = (uint8_t)clip((high + (low >> r->split)) >> r->shift, s->high);
            }
        }
    }
}

static void conv32(const model *m, const instruction *s, uint8_t *arena)
{
    int32_t sum[CHUNK], apart = bytes_apart(s->pattern);
    for (int32_t c = 0; c < s->channels; c++) {
        const record *r = &m->records[s->first + c];
        for (int32_t begin = 0; begin < s->n; begin += CHUNK) {
            int32_t outputs = s->n - begin < CHUNK ? s->n - begin : CHUNK;
            start_sums(sum, r->start);
            sum_entries(arena, m->entries + r->first, r->count, 4, apart, begin, outputs, sum);
            for (int32_t j = 0; j < outputs; j++) {
                double level = rint((double)sum[j] * r->scale + r->bias);
                arena[r->output + begin + j] = (uint8_t)(level < 0 ? 0 : level > s->high ? s->high : level);
            }
        }
    }
}

/* Numbers: a start for each output, then for each four inputs the outputs' weights, packed. */
static void dense(const model *m, const instruction *s, const uint8_t *arena, int32_t *sums)
{
    const int32_t *start = m->numbers + s->first, *weights = start + s->channels;
    for (int32_t c = 0; c < s->channels; c++)
        sums[c] = start[c];
    for (int32_t i = 0; i < s->n; i++, weights += s->channels)
        for (int q = 0; q < 4; q++) {
            int32_t value = arena[s->source + 4 * i + q];
            for (int32_t c = 0; c < s->channels; c++)
                sums[c] += value * signed_byte(weights[c], q);
        }
}

/* Wides: offset, shift, multipliers of each group, each an array over outputs. Bit 1 of the flags: the sums are bytes
 * of the source. Bit 2: the values are looked up in a table of numbers. */
static void round_sums(const model *m, const instruction *s, uint8_t *arena, int32_t *sums)
{
    if (s->flags & 2)
        for (int32_t c = 0; c < s->channels; c++)
            sums[c] = arena[s->source + c];
    const int64_t *offset = m->wides + s->first, *shift = offset + s->channels, *multiplier = shift + s->channels;
    for (int32_t c = 0; c < s->channels; c++) {
        int64_t value = offset[c];
        for (int32_t g = 0; g < s->groups; g++)
            value += multiplier[g * s->channels + c] * sums[g * s->channels + c];
        value >>= shift[c];
        value = value < 0 ? 0 : value > s->high ? s->high : value;
        arena[s->output + c] = (uint8_t)(s->flags & 4 ? m->numbers[s->pad + value] : value);
    }
}

/* Numbers of a row: two sources, destination, multiplier. */
static void sum(const model *m, const instruction *s, uint8_t *arena)
{
    const int32_t *at = m->numbers + s->first;
    for (int32_t row = 0; row < s->channels; row++, at += 4)
        for (int32_t j = 0; j < s->n; j++) {
            int32_t total = arena[at[0] + j] + arena[at[1] + j];
            arena[at[2] + j] = (uint8_t)clip((total * at[3] + (1 << 14)) >> 15, s->high);
        }
}

const kernel_set kernels_portable = {"portable", quantize, pairs, conv16, max16, wide16, conv32, dense, round_sums, sum};
