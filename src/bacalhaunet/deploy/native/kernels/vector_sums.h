/* Sums of a channel's entries in vectors, their order, and their rounding to bytes. Included by vector_kernels.h. */

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
        if (fresh)
            dot_two(sum + v, start, one, two, even, odd);
        else
            dot_two_to(sum + v, one, two, even, odd);
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

/* Sum all entries of a channel; the sums start with a half of `start`. `peel`: the first entry begins them, which
 * pays where registers are left. */
static inline ALWAYS_INLINE void sum16(const uint8_t *from, const entry *e, int32_t count, const int V,
                                       const int pattern, const int32_t *start, const int half, const int peel,
                                       vec *sum)
{
    if (pattern == PATTERN_LOCAL_4) {
        sum16_of_fours(from, e, count, V, *start, sum);
        return;
    }
    const int records = pattern == PATTERN_PAIR_1 ? 2 : 1;
    const entry *end = e + (ptrdiff_t)records * count;
    if (!peel || count == 0) {
        vec first = set16_at(start, half);
        UNROLL
        for (int v = 0; v < V; v++)
            sum[v] = first;
    } else {
        sum_entry16(from, e, V, pattern, 1, set16_at(start, half), sum);
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
