/* Running a model, the instructions common to all instruction sets, and choosing among these. */
#include "engine.h"

#include <math.h>
#include <string.h>

/* The usual gather and the usual pool, in loops that compilers turn into vectors. */
static void gather_four(uint8_t *restrict to, const uint8_t *a, const uint8_t *b, const uint8_t *c, const uint8_t *d,
                        int32_t n)
{
    for (int32_t j = 0; j < n; j++) {
        to[4 * j] = a[j];
        to[4 * j + 1] = b[j];
        to[4 * j + 2] = c[j];
        to[4 * j + 3] = d[j];
    }
}

static void pool_two(uint8_t *restrict to, const uint8_t *from, int32_t n)
{
    for (int32_t j = 0; j < n; j++)
        to[j] = from[2 * j] > from[2 * j + 1] ? from[2 * j] : from[2 * j + 1];
}

/* dst[q + Q j] = src_q[S j]: rows of Q bytes an output. Numbers of a row: destination, then Q sources. */
void engine_gather(const model *m, const instruction *s, uint8_t *arena)
{
    const int32_t *at = m->numbers + s->first;
    int32_t quad = s->extra;
    for (int32_t row = 0; row < s->channels; row++, at += quad + 1) {
        if (quad == 4 && s->stride == 1) {
            gather_four(arena + at[0], arena + at[1], arena + at[2], arena + at[3], arena + at[4], s->n);
            continue;
        }
        for (int32_t q = 0; q < quad; q++) {
            uint8_t *to = arena + at[0] + q;
            const uint8_t *from = arena + at[1 + q];
            for (int32_t j = 0; j < s->n; j++)
                to[(ptrdiff_t)quad * j] = from[(ptrdiff_t)s->stride * j];
        }
    }
}

/* Numbers of a row: source, destination. */
void engine_pool(const model *m, const instruction *s, uint8_t *arena)
{
    const int32_t *at = m->numbers + s->first;
    for (int32_t row = 0; row < s->channels; row++, at += 2) {
        const uint8_t *from = arena + at[0];
        uint8_t *to = arena + at[1];
        if (s->kernel == 2 && s->stride == 2 && s->pad == 0 && 2 * s->n <= s->length) {
            pool_two(to, from, s->n);
            continue;
        }
        for (int32_t j = 0; j < s->n; j++) {
            int32_t begin = j * s->stride - s->pad, end = begin + s->kernel;
            uint8_t largest = 0;
            if (begin < 0)
                begin = 0;
            if (end > s->length)
                end = s->length;
            for (int32_t i = begin; i < end; i++)
                largest = from[i] > largest ? from[i] : largest;
            to[j] = largest;
        }
    }
}

static int32_t round_wide(const model *m, const int32_t *form, const int32_t *sums, int32_t groups, int32_t apart)
{
    const int64_t *wide = m->wides + form[1];
    if (form[0]) { /* thresholds: count, then as many values */
        int32_t low = 0, high = form[2];
        while (low < high) {
            int32_t middle = (low + high) / 2;
            if (sums[0] >= wide[middle])
                low = middle + 1;
            else
                high = middle;
        }
        return low;
    }
    int64_t value = wide[0];
    for (int32_t g = 0; g < groups; g++)
        value += wide[2 + g] * sums[(ptrdiff_t)g * apart];
    value >>= wide[1];
    return value < 0 ? 0 : value > form[2] ? form[2] : (int32_t)value;
}

/* Any convolution. Numbers of a row: output, form kind, form place, largest or count, then for each group: start,
 * taps, and offset and weight of each tap. */
void engine_any(const model *m, const instruction *s, uint8_t *arena, int32_t *sums)
{
    const int32_t *at = m->numbers + s->first;
    for (int32_t row = 0; row < s->channels; row++) {
        const int32_t *head = at;
        at += 4;
        for (int32_t g = 0; g < s->groups; g++) {
            int32_t *sum = sums + (ptrdiff_t)g * s->n;
            int32_t start = *at++, taps = *at++;
            for (int32_t j = 0; j < s->n; j++)
                sum[j] = start;
            for (int32_t t = 0; t < taps; t++, at += 2) {
                const uint8_t *from = arena + at[0];
                int32_t weight = at[1];
                for (int32_t j = 0; j < s->n; j++)
                    sum[j] += weight * from[(ptrdiff_t)s->stride * j];
            }
        }
        uint8_t *to = arena + head[0];
        for (int32_t j = 0; j < s->n; j++)
            to[j] = (uint8_t)round_wide(m, head + 1, sums + j, s->groups, s->n);
    }
}

/* Numbers of a sum: start, taps, then offset and weight of each tap. */
void engine_sparse(const model *m, const instruction *s, const uint8_t *arena, int32_t *sums)
{
    const int32_t *at = m->numbers + s->first;
    for (int32_t row = 0; row < s->channels; row++) {
        int32_t sum = *at++, taps = *at++;
        for (int32_t t = 0; t < taps; t++, at += 2)
            sum += arena[at[0]] * at[1];
        sums[row] = sum;
    }
}

static void write_logits(const model *m, const instruction *s, const int32_t *sums, int32_t *logits)
{
    const int64_t *wide = m->wides + s->first; /* for each: offset, then a multiplier for each group */
    if (s->flags & 1) { /* sum + offset */
        const int32_t *offset = m->numbers + s->source;
        for (int32_t c = 0; c < s->channels; c++)
            logits[c] = sums[c] + offset[c];
        return;
    }
    for (int32_t c = 0; c < s->channels; c++) {
        int64_t value = *wide++;
        for (int32_t g = 0; g < s->groups; g++)
            value += *wide++ * sums[g * s->channels + c];
        logits[c] = (int32_t)(value >> s->extra);
    }
}

static void take_integers(const input_quantizer *q, const uint8_t *integers, uint8_t *arena)
{
    for (int row = 0; row < 2; row++)
        if (q->rows[row] >= 0) {
            uint8_t *restrict to = arena + q->rows[row];
            const int32_t n = q->length, code = q->code;
            const uint8_t *restrict from = integers + (ptrdiff_t)row * n;
            for (int32_t j = 0; j < n; j++)
                to[j] = (uint8_t)(from[j] + code);
        }
}

/* Processors fetch what is read in order, but not across the time a frame takes: ask for a part with each one. */
static void fetch_ahead(workspace *w, ptrdiff_t bytes)
{
    for (ptrdiff_t b = 0; b < bytes && w->ahead_bytes > 0; b += 64, w->ahead += 64, w->ahead_bytes -= 64)
        __builtin_prefetch(w->ahead, 0, 2);
}

void engine_frame(const model *m, const kernel_set *k, workspace *w, const float *samples, const uint8_t *integers,
                  int32_t *logits)
{
    if (samples)
        k->quantize(&m->input, samples, w->arena);
    else
        take_integers(&m->input, integers, w->arena);
    const ptrdiff_t share = w->ahead_bytes / m->instruction_count + 64;
    for (int32_t number = 0; number < m->instruction_count; number++) {
        const instruction *s = &m->instructions[number];
        fetch_ahead(w, share);
        switch ((enum instruction_kind)s->kind) {
        case DO_PAIRS: k->pairs(m, s, w->arena); break;
        case DO_GATHER: engine_gather(m, s, w->arena); break;
        case DO_CONV16: k->conv16(m, s, w->arena); break;
        case DO_MAX16: k->max16(m, s, w->arena, w->sums); break;
        case DO_WIDE16: k->wide16(m, s, w->arena); break;
        case DO_CONV32: k->conv32(m, s, w->arena); break;
        case DO_ANY: engine_any(m, s, w->arena, w->sums); break;
        case DO_POOL: engine_pool(m, s, w->arena); break;
        case DO_SPARSE: engine_sparse(m, s, w->arena, w->sums); break;
        case DO_DENSE: k->dense(m, s, w->arena, w->sums); break;
        case DO_ROUND: k->round(m, s, w->arena, w->sums); break;
        case DO_SUM: k->sum(m, s, w->arena); break;
        case DO_LOGITS: write_logits(m, s, w->sums, logits); break;
        }
    }
}

const kernel_set *const *engine_available(void)
{
    static const kernel_set *found[4];
    int count = 0;
#ifdef ENGINE_EMULATED
    found[count++] = &kernels_avx512_vbmi;
#elif defined(ENGINE_X86)
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vnni"))
        found[count++] = __builtin_cpu_supports("avx512vbmi") ? &kernels_avx512_vbmi : &kernels_avx512;
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        found[count++] = &kernels_avx2;
#elif defined(ENGINE_ARM64)
    found[count++] = &kernels_neon; /* every such processor has it */
#endif
    found[count++] = &kernels_portable;
    found[count] = 0;
    return found;
}

static float level_of(const input_quantizer *q, float x)
{
    return rintf(x / q->scale + q->zero);
}

static float fast_level_of(const input_quantizer *q, float x)
{
    return rintf(fmaf(x, q->reciprocal, x * q->reciprocal_low) + q->zero);
}

/* Both functions never decrease; they are equal if they are at each boundary and just before it. */
static int reciprocal_is_exact(const input_quantizer *q)
{
    if (!(q->scale > 1e-20f && q->scale < 1e20f))
        return 0;
    for (float level = q->low + 1; level <= q->high; level++) {
        float x = (level - 0.5f - q->zero) * q->scale;
        for (int n = 0; n < 8; n++)
            x = nextafterf(x, -INFINITY);
        for (int n = 0; n < 16; n++) {
            if (level_of(q, x) != fast_level_of(q, x))
                return 0;
            x = nextafterf(x, INFINITY);
        }
    }
    return 1;
}

void engine_finish_quantizer(input_quantizer *q)
{
    q->reciprocal = 1.0f / q->scale;
    if ((double)q->reciprocal >= 1.0 / (double)q->scale) /* both parts positive: infinities keep their sign */
        q->reciprocal = nextafterf(q->reciprocal, 0.0f);
    q->reciprocal_low = (float)(1.0 / (double)q->scale - (double)q->reciprocal);
    q->exact_reciprocal = reciprocal_is_exact(q);
    q->plain = q->low >= -128 && q->high <= 127 && q->zero == 0;
    if (level_of(q, q->clip_low) <= q->low && level_of(q, q->clip_high) >= q->high)
        q->clipped = 0;
}
