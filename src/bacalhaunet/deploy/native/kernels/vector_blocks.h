/* One block of a layer's outputs: sum, requantize, store. Included by vector_kernels.h.
 *
 * V, the pattern and the form are constants where a block is used.
 */

/* `two`: the sum is that of two, added with saturation: it may leave 16 bits where that is far beyond the levels. */
static inline ALWAYS_INLINE void conv16_block(const model *m, const instruction *s, uint8_t *arena, const int V,
                                              const int pattern, const int form, const int two)
{
    vec high = set8(s->high);
    const int32_t outputs = V * (VB / 2), nothing = 0;
    const record *records = m->records + s->first;
    const entry *entries = m->entries;
    const int32_t n = s->n, channels = s->channels;
    for (int32_t c = 0; c < channels; c++) {
        const record row = records[c], *r = &row; /* a copy: stores of bytes may alias anything */
        const entry *e = entries + r->first;
        const uint8_t *from = arena;
        for (int32_t begin = 0; begin < n; begin += outputs, from += block_bytes(pattern, V)) {
            vec sum[16];
            sum16(from, e, r->count, V, pattern, &records[c].start, 0, 1, sum);
            if (two) {
                vec rest[16];
                sum16(from, e + entries_of(pattern, r->count), r->count2, V, pattern, &nothing, 0, 0, rest);
                UNROLL
                for (int v = 0; v < V; v++)
                    sum[v] = adds16(sum[v], rest[v]);
            }
            const int below = form == FORM_SHIFT_BELOW || form == FORM_PLAIN_BELOW;
            vec multiplier = set16_at(&records[c].multiplier, 0);
            vec offset = below ? set8_at(&records[c].offset) : set16_at(&records[c].offset, 0);
            shift_count shift = shift16_at(&records[c].shift);
            uint8_t aside[MOST_BLOCK], *row_place = arena + r->output + begin;
            uint8_t *to = block_place(row_place, aside, n - begin, outputs);
            UNROLL
            for (int v = 0; v < V; v += 2) {
                vec a = rounded16(sum[v], form, multiplier, offset, shift);
                vec b = rounded16(sum[v + 1], form, multiplier, offset, shift);
                vec bytes = packus16(a, b);
                bytes = in_order(min8(below ? subs8(bytes, offset) : bytes, high), pattern);
                store(to + v * (VB / 2), bytes);
            }
            end_block(row_place, aside, n - begin, outputs);
        }
    }
}

static inline ALWAYS_INLINE void max16_block(const model *m, const instruction *s, uint8_t *arena, int32_t *sums,
                                             const int V, const int pattern)
{
    const int32_t outputs = V * (VB / 2);
    const record *records = m->records + s->first;
    const entry *entries = m->entries;
    const int32_t n = s->n, channels = s->channels;
    for (int32_t c = 0; c < channels; c++) {
        const record row = records[c], *r = &row; /* a copy: stores of bytes may alias anything */
        const entry *e = entries + r->first;
        const uint8_t *from = arena;
        vec largest = set16(-32768);
        for (int32_t begin = 0; begin < n; begin += outputs, from += block_bytes(pattern, V)) {
            vec sum[16];
            sum16(from, e, r->count, V, pattern, &records[c].start, 0, 1, sum);
            UNROLL
            for (int v = 0; v < V; v++)
                largest = max16s(largest, sum[v]);
        }
        sums[r->output] = largest_lane(largest);
    }
}

/* Two sums by long multipliers in two parts. */
static inline ALWAYS_INLINE vec rounded_wide(vec one, vec two, const record *r)
{
    vec upper = set32(r->multiplier), lower = set32(r->lower);
    vec offset = set32(r->offset), offset_low = set32(r->offset_low);
    shift_count split = shift32_by(r->split), shift = shift32_by(r->shift);
    vec a = unpack_low16(one, two), b = unpack_high16(one, two);
    vec low_a = sra32(dot16(offset_low, a, lower), split), low_b = sra32(dot16(offset_low, b, lower), split);
    vec high_a = dot16(add32(low_a, offset), a, upper), high_b = dot16(add32(low_b, offset), b, upper);
    return packs32(sra32(high_a, shift), sra32(high_b, shift));
}

/* The same where the offset is in the sums' starts, 15 bits are multiplied apart and the level starts at bit 16. */
static inline ALWAYS_INLINE vec rounded_even_wide(vec one, vec two, const record *r)
{
    vec upper = set32(r->multiplier), lower = set32(r->lower), offset_low = set32(r->offset_low);
    vec a = pair_first(one, two), b = pair_second(one, two);
    vec high_a = dot16(sra32_by(dot16(offset_low, a, lower), WIDE_SPLIT), a, upper);
    vec high_b = dot16(sra32_by(dot16(offset_low, b, lower), WIDE_SPLIT), b, upper);
    return join_high(high_a, high_b);
}

static inline ALWAYS_INLINE void wide16_block(const model *m, const instruction *s, uint8_t *arena, const int V,
                                              const int pattern, const int even)
{
    vec high = set8(s->high);
    const int32_t outputs = V * (VB / 2);
    const record *records = m->records + s->first;
    const entry *entries = m->entries;
    const int32_t n = s->n, channels = s->channels;
    for (int32_t c = 0; c < channels; c++) {
        const record row = records[c], *r = &row; /* a copy: stores of bytes may alias anything */
        const entry *e = entries + r->first;
        const uint8_t *from = arena;
        for (int32_t begin = 0; begin < n; begin += outputs, from += block_bytes(pattern, V)) {
            vec one[8], two[8];
            sum16(from, e, r->count, V, pattern, &records[c].start, 0, 0, one);
            sum16(from, e + entries_of(pattern, r->count), r->count2, V, pattern, &records[c].start, 1, 0, two);
            uint8_t aside[MOST_BLOCK], *row_place = arena + r->output + begin;
            uint8_t *to = block_place(row_place, aside, n - begin, outputs);
            UNROLL
            for (int v = 0; v < V; v += 2) {
                vec a = even ? rounded_even_wide(one[v], two[v], r) : rounded_wide(one[v], two[v], r);
                vec b = even ? rounded_even_wide(one[v + 1], two[v + 1], r) : rounded_wide(one[v + 1], two[v + 1], r);
                store(to + v * (VB / 2), to_bytes(a, b, high, pattern));
            }
            end_block(row_place, aside, n - begin, outputs);
        }
    }
}

/* One vector of bytes from the four vectors of levels that a block's VB outputs have, by the pattern's order. */
static inline ALWAYS_INLINE vec quads_to_bytes(const vec *level, const int pattern)
{
    if (pattern == PATTERN_QUAD_1) /* byte p of every dword is phase p */
        return or8(or8(level[0], shl32(level[1], 8)), or8(shl32(level[2], 16), shl32(level[3], 24)));
    if (pattern == PATTERN_QUAD_2) /* even and odd outputs of two blocks */
        return mix_quarters(packus16(or8(level[0], shl32(level[1], 16)), or8(level[2], shl32(level[3], 16))));
    return mix_dwords(packus16(packs32(level[0], level[1]), packs32(level[2], level[3])));
}

/* Sums of four bytes. 4 / stride phases of outputs share the bytes of a vector. */
static inline ALWAYS_INLINE void conv32_block(const model *m, const instruction *s, uint8_t *arena, const int V,
                                              const int pattern, const int small)
{
    const int phases = pattern == PATTERN_QUAD_1 ? 4 : pattern == PATTERN_QUAD_2 ? 2 : 1;
    const int apart = 4 / phases;
    const int32_t high = s->high;
    const int32_t outputs = V * (VB / 4);
    const record *records = m->records + s->first;
    const entry *entries = m->entries;
    const int32_t n = s->n, channels = s->channels;
    for (int32_t c = 0; c < channels; c++) {
        const record row = records[c], *r = &row; /* a copy: stores of bytes may alias anything */
        const entry *e = entries + r->first;
        const uint8_t *from = arena;
        for (int32_t begin = 0; begin < n; begin += outputs, from += (ptrdiff_t)V / phases * VB) {
            vec sum[8];
            UNROLL
            for (int v = 0; v < V; v++)
                sum[v] = set32(r->start);
            for (int32_t t = 0; t < r->count; t++) {
                const uint8_t *bytes = from + e[t].offset;
                vec four = set32(e[t].weights);
                QUAD_WEIGHTS(w, e[t].weights);
                UNROLL
                for (int v = 0; v < V; v++) {
                    vec one = load(bytes + (ptrdiff_t)(v / phases) * VB + (v % phases) * apart);
                    if (small) /* no two products leave 16 bits */
                        dot8_small_to(&sum[v], one, four);
                    else
                        dot8_to(&sum[v], one, w);
                }
            }
            if (r->exact_float) {
                UNROLL
                for (int v = 0; v < V; v++)
                    sum[v] = clip32(round_float(sum[v], r->scale_float, r->bias_float), high);
            } else {
                UNROLL
                for (int v = 0; v < V; v++)
                    sum[v] = clip32(round_double(sum[v], r->scale, r->bias), high);
            }
            uint8_t aside[MOST_BLOCK], *row_place = arena + r->output + begin;
            uint8_t *to = block_place(row_place, aside, n - begin, outputs);
            UNROLL
            for (int v = 0; v < V; v += 4)
                store(to + v * (VB / 4), quads_to_bytes(sum + v, pattern));
            end_block(row_place, aside, n - begin, outputs);
        }
    }
}
