/* Layers, block by block: the choice of V, pattern and form for a instruction. Included by vector_kernels.h. */

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

static void conv16(const model *m, const instruction *s, uint8_t *arena)
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

static void max16(const model *m, const instruction *s, uint8_t *arena, int32_t *sums)
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

static void wide16(const model *m, const instruction *s, uint8_t *arena)
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

static void conv32(const model *m, const instruction *s, uint8_t *arena)
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
