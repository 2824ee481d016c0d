/* The kernels over vectors of VB bytes; avx512.c and avx2.c define the operations and include this.
 *
 * A kernel keeps the sums of a block of outputs in V vectors of 16-bit (or 32-bit) lanes while it walks the entries
 * of a channel, then requantizes and stores them. V and the pattern are constants where it is used, so every loop
 * over v unrolls and every branch on the pattern goes.
 */

#ifndef UNROLL
#ifdef __clang__
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 32")
#endif
#endif

static inline ALWAYS_INLINE ptrdiff_t block_bytes(const int pattern, int v)
{
    if (pattern == PATTERN_LOCAL_4)
        return (ptrdiff_t)2 * v * VB;
    return pattern == PATTERN_PAIR_1 ? (ptrdiff_t)(v / 2) * VB : (ptrdiff_t)v * VB;
}

/* Sum one entry's bytes; `fresh`: the sums begin here, with `start`. */
static inline ALWAYS_INLINE void sum_entry16(const uint8_t *from, const entry *e, const int V, const int pattern,
                                             const int fresh, vec start, vec *sum)
{
    const uint8_t *bytes = from + e->offset;
    pair_weights even = pair_weights_of(e->weights), odd = even;
    if (pattern == PATTERN_PAIR_1) /* even outputs in even vectors, odd ones in odd: one load serves both */
        odd = pair_weights_of(e[1].weights);
    UNROLL
    for (int v = 0; v < V; v += 2) {
        vec one = load(bytes + (pattern == PATTERN_PAIR_1 ? (ptrdiff_t)(v / 2) * VB : (ptrdiff_t)v * VB)), two = one;
        if (pattern != PATTERN_PAIR_1)
            two = load(bytes + (ptrdiff_t)(v + 1) * VB);
        if (fresh) {
            sum[v] = dot_pairs(start, one, even);
            sum[v + 1] = dot_pairs(start, two, odd);
        } else {
            dot_pairs_to(&sum[v], one, even);
            dot_pairs_to(&sum[v + 1], two, odd);
        }
    }
}

/* Sum entries of four bytes in 32 bits, then pack; the pack undoes the order of the fours. */
static inline ALWAYS_INLINE void sum16_of_fours(const uint8_t *from, const entry *e, int32_t count, const int V,
                                                int32_t start, vec *sum)
{
    vec wide[16];
    UNROLL
    for (int v = 0; v < 2 * V; v++)
        wide[v] = set32(start);
    for (int32_t t = 0; t < count; t++) {
        const uint8_t *bytes = from + e[t].offset;
        QUAD_WEIGHTS(w, e[t].weights);
        UNROLL
        for (int v = 0; v < 2 * V; v++)
            dot8_to(&wide[v], load(bytes + (ptrdiff_t)v * VB), w);
    }
    UNROLL
    for (int v = 0; v < V; v++)
        sum[v] = packs32(wide[2 * v], wide[2 * v + 1]);
}

/* Sum all entries of a channel; `peel`: the first one begins the sums, which pays where registers are left. */
static inline ALWAYS_INLINE void sum16(const uint8_t *from, const entry *e, int32_t count, const int V,
                                       const int pattern, int32_t start, const int peel, vec *sum)
{
    if (pattern == PATTERN_LOCAL_4) {
        sum16_of_fours(from, e, count, V, start, sum);
        return;
    }
    const int records = pattern == PATTERN_PAIR_1 ? 2 : 1;
    const entry *end = e + (ptrdiff_t)records * count;
    if (!peel || count == 0) {
        vec first = set16(start);
        UNROLL
        for (int v = 0; v < V; v++)
            sum[v] = first;
    } else {
        sum_entry16(from, e, V, pattern, 1, set16(start), sum);
        e += records;
    }
    for (; e != end; e += records)
        sum_entry16(from, e, V, pattern, 0, sum[0], sum);
}

/* Records of `entries` that so many of a kind take. */
static inline ALWAYS_INLINE int32_t entries_of(const int pattern, int32_t count)
{
    return pattern == PATTERN_PAIR_1 ? 2 * count : count;
}

/* A pattern's order of bytes to that of positions. */
static inline ALWAYS_INLINE vec in_order(vec bytes, const int pattern)
{
    if (pattern == PATTERN_PAIR_1)
        return mix_bytes(bytes);
    if (pattern == PATTERN_PAIR_2)
        return mix_quarters(bytes);
    return bytes;
}

/* Two vectors of 16-bit values in the pattern's order to one of bytes in the order of positions. */
static inline ALWAYS_INLINE vec to_bytes(vec a, vec b, vec high, const int pattern)
{
    vec bytes = min8(packus16(a, b), high);
    return in_order(bytes, pattern);
}

/* Bytes of the largest block. */
#define MOST_BLOCK (MOST16 * VB / 2)

/* Where a block of `size` bytes is to be stored, `left` of which belong to the row: in place, or aside. */
static inline ALWAYS_INLINE uint8_t *block_place(uint8_t *row, uint8_t *aside, int32_t left, int32_t size)
{
    return left >= size ? row : aside;
}

static inline ALWAYS_INLINE void end_block(uint8_t *row, const uint8_t *aside, int32_t left, int32_t size)
{
    if (left < size)
        memcpy(row, aside, (size_t)left);
}

/* Requantize 16-bit sums up to the byte; see enum form. */
static inline ALWAYS_INLINE vec rounded16(vec sum, const int form, vec multiplier, vec offset, shift_count shift)
{
    if (form == FORM_FULL)
        return sra16(add16(mulhi16(sum, multiplier), offset), shift);
    vec product = mulhi16s(sum, multiplier);
    return form == FORM_SHIFT || form == FORM_SHIFT_BELOW ? sra16(product, shift) : product;
}

/* `two`: the sum is that of two, added with saturation: it may leave 16 bits where that is far beyond the levels. */
static inline ALWAYS_INLINE void conv16_block(const model *m, const step *s, uint8_t *arena, const int V,
                                              const int pattern, const int form, const int two)
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
            vec sum[16];
            sum16(from, e, r->count, V, pattern, r->start, 1, sum);
            if (two) {
                vec rest[16];
                sum16(from, e + entries_of(pattern, r->count), r->count2, V, pattern, 0, 0, rest);
                UNROLL
                for (int v = 0; v < V; v++)
                    sum[v] = adds16(sum[v], rest[v]);
            }
            const int below = form == FORM_SHIFT_BELOW || form == FORM_PLAIN_BELOW;
            vec multiplier = set16(r->multiplier), offset = below ? set8(r->offset) : set16(r->offset);
            shift_count shift = shift_by(r->shift);
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

static inline ALWAYS_INLINE void max16_block(const model *m, const step *s, uint8_t *arena, int32_t *sums, const int V,
                                             const int pattern)
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
            sum16(from, e, r->count, V, pattern, r->start, 1, sum);
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
    shift_count split = shift_by(r->split), shift = shift_by(r->shift);
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

static inline ALWAYS_INLINE void wide16_block(const model *m, const step *s, uint8_t *arena, const int V,
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
            sum16(from, e, r->count, V, pattern, r->start, 0, one);
            sum16(from, e + entries_of(pattern, r->count), r->count2, V, pattern, r->start >> 16, 0, two);
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
static inline ALWAYS_INLINE void conv32_block(const model *m, const step *s, uint8_t *arena, const int V,
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

static void fours(const model *m, const step *s, uint8_t *arena)
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

static void pairs(const model *m, const step *s, uint8_t *arena)
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

/* Vectors of sums a block has: as many as the row needs and registers hold. */
static inline int32_t vectors_for(int32_t n, int32_t lanes, int32_t most)
{
    int32_t v = 2;
    while (v < most && v * lanes < n)
        v *= 2;
    return v;
}

#define BY_PATTERN(call, V, form)                                                                                      \
    switch (s->pattern) {                                                                                              \
    case PATTERN_PAIR_1: call(V, PATTERN_PAIR_1, form); break;                                                         \
    case PATTERN_PAIR_2: call(V, PATTERN_PAIR_2, form); break;                                                         \
    default: call(V, PATTERN_LOCAL, form); break;                                                                      \
    }

static void conv16(const model *m, const step *s, uint8_t *arena)
{
#define CALL(V, P, F) conv16_block(m, s, arena, V, P, F, 0)
#define CALL_TWO(V, P, F) conv16_block(m, s, arena, V, P, F, 1)
#define BY_FORM(V)                                                                                                     \
    switch (s->flags) {                                                                                                \
    case FORM_SHIFT: BY_PATTERN(CALL, V, FORM_SHIFT) break;                                                            \
    case FORM_SHIFT_BELOW: BY_PATTERN(CALL, V, FORM_SHIFT_BELOW) break;                                                \
    case FORM_PLAIN: BY_PATTERN(CALL, V, FORM_PLAIN) break;                                                            \
    case FORM_PLAIN_BELOW: BY_PATTERN(CALL, V, FORM_PLAIN_BELOW) break;                                                \
    default: BY_PATTERN(CALL, V, FORM_FULL) break;                                                                     \
    }
    if (s->pattern == PATTERN_LOCAL_4) {
        switch (s->flags) {
        case FORM_SHIFT: CALL(MOST_WIDE, PATTERN_LOCAL_4, FORM_SHIFT); break;
        case FORM_SHIFT_BELOW: CALL(MOST_WIDE, PATTERN_LOCAL_4, FORM_SHIFT_BELOW); break;
        case FORM_PLAIN: CALL(MOST_WIDE, PATTERN_LOCAL_4, FORM_PLAIN); break;
        case FORM_PLAIN_BELOW: CALL(MOST_WIDE, PATTERN_LOCAL_4, FORM_PLAIN_BELOW); break;
        default: CALL(MOST_WIDE, PATTERN_LOCAL_4, FORM_FULL); break;
        }
        return;
    }
    if (s->flags & CONV16_TWO) {
        BY_PATTERN(CALL_TWO, MOST_WIDE, FORM_SHIFT_BELOW)
        return;
    }
    switch (vectors_for(s->n, VB / 2, MOST16)) {
#if MOST16 >= 16
    case 16: BY_FORM(16) break;
#endif
    case 8: BY_FORM(8) break;
    case 4: BY_FORM(4) break;
    default: BY_FORM(2) break;
    }
#undef CALL
#undef CALL_TWO
#undef BY_FORM
}

static void max16(const model *m, const step *s, uint8_t *arena, int32_t *sums)
{
#define CALL(V, P, F) max16_block(m, s, arena, sums, V, P)
    if (s->pattern == PATTERN_LOCAL_4) {
        if (s->n >= 4 * (VB / 2))
            CALL(4, PATTERN_LOCAL_4, 0);
        else
            CALL(2, PATTERN_LOCAL_4, 0);
    } else if (s->n >= 8 * (VB / 2) && s->n % (8 * (VB / 2)) == 0) {
        BY_PATTERN(CALL, 8, 0)
    } else if (s->n >= 4 * (VB / 2)) {
        BY_PATTERN(CALL, 4, 0)
    } else {
        BY_PATTERN(CALL, 2, 0)
    }
#undef CALL
}

static void wide16(const model *m, const step *s, uint8_t *arena)
{
#define CALL(V, P, F) wide16_block(m, s, arena, V, P, F)
#define BY_FORM(V)                                                                                                     \
    if (s->flags & WIDE16_EVEN) {                                                                                      \
        BY_PATTERN(CALL, V, 1)                                                                                         \
    } else {                                                                                                           \
        BY_PATTERN(CALL, V, 0)                                                                                         \
    }
    switch (vectors_for(s->n, VB / 2, MOST_WIDE)) {
#if MOST_WIDE >= 8
    case 8: BY_FORM(8) break;
#endif
    case 4: BY_FORM(4) break;
    default: BY_FORM(2) break;
    }
#undef CALL
#undef BY_FORM
}

static void conv32(const model *m, const step *s, uint8_t *arena)
{
#define CALL(V, P) (s->flags & 1 ? conv32_block(m, s, arena, V, P, 1) : conv32_block(m, s, arena, V, P, 0))
#define BY_QUAD(V)                                                                                                     \
    switch (s->pattern) {                                                                                              \
    case PATTERN_QUAD_1: CALL(V, PATTERN_QUAD_1); break;                                                               \
    case PATTERN_QUAD_2: CALL(V, PATTERN_QUAD_2); break;                                                               \
    default: CALL(V, PATTERN_QUAD_4); break;                                                                           \
    }
#if MOST32 >= 8
    if (s->n > 4 * (VB / 4)) {
        BY_QUAD(8)
        return;
    }
#endif
    BY_QUAD(4)
#undef CALL
#undef BY_QUAD
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
static inline ALWAYS_INLINE void dense_block(const model *m, const step *s, const uint8_t *arena, int32_t *sums,
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

static void dense(const model *m, const step *s, const uint8_t *arena, int32_t *sums)
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
static void round_sums(const model *m, const step *s, uint8_t *arena, int32_t *sums)
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
static void sum(const model *m, const step *s, uint8_t *arena)
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
