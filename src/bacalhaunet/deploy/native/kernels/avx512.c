/* 512-bit vectors: AVX-512 F, BW, DQ, VL and VNNI. */
#include "engine.h"

#ifdef ENGINE_X86

#ifdef ENGINE_EMULATED /* a header with these instructions in C, for testing on processors that lack them */
#include ENGINE_EMULATED
#else
#ifdef __clang__
#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma")
#endif

#include <immintrin.h>
#endif
#include <string.h>

#ifdef ENGINE_EMULATED /* in C these operations are long: kept apart they compile in seconds, not minutes */
#define ALWAYS_INLINE
#define UNROLL
#else
#define ALWAYS_INLINE __attribute__((always_inline))
#endif
#define OP static inline ALWAYS_INLINE vec
#define VB 64
#define MOST16 16
#define MOST_WIDE 8
#define MOST32 8

typedef __m512i vec;
typedef vec shift_count; /* 16 bits: in every lane, for a shift of all lanes by one number is two operations on Intel */

OP load(const uint8_t *from) { return _mm512_loadu_si512(from); }
static inline ALWAYS_INLINE void store(uint8_t *to, vec a) { _mm512_storeu_si512(to, a); }
static inline ALWAYS_INLINE void store_part(uint8_t *to, vec a, int32_t bytes)
{
    _mm512_mask_storeu_epi8(to, ((__mmask64)1 << bytes) - 1, a);
}
static inline ALWAYS_INLINE __mmask16 lanes_of(int32_t left) { return left >= 16 ? 0xffff : (__mmask16)((1u << left) - 1); }
OP load_part32(const int32_t *from, int32_t left) { return _mm512_maskz_loadu_epi32(lanes_of(left), from); }
static inline ALWAYS_INLINE void store_part32(int32_t *to, vec a, int32_t left)
{
    _mm512_mask_storeu_epi32(to, lanes_of(left), a);
}
OP set8(int32_t a) { return _mm512_set1_epi8((char)a); }
OP set16(int32_t a) { return _mm512_set1_epi16((short)a); }
OP set32(int32_t a) { return _mm512_set1_epi32(a); }
/* From memory, which costs a load: from a general register it costs two vector operations. */
#ifdef ENGINE_EMULATED
OP set8_at(const int32_t *from) { return set8(*from); }
OP set16_at(const int32_t *from, const int half) { return set16(*from >> 16 * half); }
#else
OP set8_at(const int32_t *from)
{
    vec a;
    __asm__("vpbroadcastb %1, %0" : "=v"(a) : "m"(*(const char *)from));
    return a;
}
OP set16_at(const int32_t *from, const int half)
{
    vec a;
    __asm__("vpbroadcastw %1, %0" : "=v"(a) : "m"(*((const char(*)[2])from + half)));
    return a;
}
#endif
OP add8(vec a, vec b) { return _mm512_add_epi8(a, b); }
OP add16(vec a, vec b) { return _mm512_add_epi16(a, b); }
OP add32(vec a, vec b) { return _mm512_add_epi32(a, b); }
typedef vec pair_weights; /* two signed bytes, again and again */
OP pair_weights_of(int32_t weights) { return set32(weights); }
/* Two sums at a time, products first: where products and additions take turns Zen 4 gives them the same units, which
 * makes a loop of loads, products and additions a third slower. In place, for gcc otherwise copies every sum. */
static inline ALWAYS_INLINE void dot_two(vec *sum, vec start, vec one, vec two, vec even, vec odd)
{
#ifdef ENGINE_EMULATED
    sum[0] = add16(start, _mm512_maddubs_epi16(one, even));
    sum[1] = add16(start, _mm512_maddubs_epi16(two, odd));
#else
    __asm__("vpmaddubsw %3, %2, %0\n\tvpmaddubsw %5, %4, %1\n\tvpaddw %6, %0, %0\n\tvpaddw %6, %1, %1"
            : "=&v"(sum[0]), "=&v"(sum[1])
            : "v"(one), "v"(even), "v"(two), "v"(odd), "v"(start));
#endif
}
static inline ALWAYS_INLINE void dot_two_to(vec *sum, vec one, vec two, vec even, vec odd)
{
#ifdef ENGINE_EMULATED
    sum[0] = add16(sum[0], _mm512_maddubs_epi16(one, even));
    sum[1] = add16(sum[1], _mm512_maddubs_epi16(two, odd));
#else
    vec a, b;
    __asm__("vpmaddubsw %5, %4, %2\n\tvpmaddubsw %7, %6, %3\n\tvpaddw %2, %0, %0\n\tvpaddw %3, %1, %1"
            : "+v"(sum[0]), "+v"(sum[1]), "=&v"(a), "=&v"(b)
            : "v"(one), "v"(even), "v"(two), "v"(odd));
#endif
}
OP mulhi16(vec a, vec b) { return _mm512_mulhi_epu16(a, b); }
OP mulhi16s(vec a, vec b) { return _mm512_mulhi_epi16(a, b); }
OP round_product16(vec a, vec b) { return _mm512_mulhrs_epi16(a, b); }
OP adds16(vec a, vec b) { return _mm512_adds_epi16(a, b); }
OP max16s(vec a, vec b) { return _mm512_max_epi16(a, b); }
OP min8(vec a, vec b) { return _mm512_min_epu8(a, b); }
OP subs8(vec a, vec b) { return _mm512_subs_epu8(a, b); }
OP or8(vec a, vec b) { return _mm512_or_si512(a, b); }
OP packus16(vec a, vec b) { return _mm512_packus_epi16(a, b); }
OP packs32(vec a, vec b) { return _mm512_packs_epi32(a, b); }
OP unpack_low8(vec a, vec b) { return _mm512_unpacklo_epi8(a, b); }
OP unpack_high8(vec a, vec b) { return _mm512_unpackhi_epi8(a, b); }
OP unpack_low16(vec a, vec b) { return _mm512_unpacklo_epi16(a, b); }
OP unpack_high16(vec a, vec b) { return _mm512_unpackhi_epi16(a, b); }
static inline ALWAYS_INLINE shift_count shift16_at(const int32_t *from) { return set16_at(from, 0); }
static inline ALWAYS_INLINE shift_count shift32_by(int32_t bits)
{
    return _mm512_castsi128_si512(_mm_cvtsi32_si128(bits));
}
OP sra16(vec a, shift_count bits) { return _mm512_srav_epi16(a, bits); }
OP sra32(vec a, shift_count bits) { return _mm512_sra_epi32(a, _mm512_castsi512_si128(bits)); }
#define shl32(a, bits) _mm512_slli_epi32(a, bits)
#define sra32_by(a, bits) _mm512_srai_epi32(a, bits)
OP dot16(vec sum, vec a, vec b) { return _mm512_dpwssd_epi32(sum, a, b); }
#define QUAD_WEIGHTS(name, weights) vec name = set32(weights)
OP quad_of(vec w) { return w; }
static inline ALWAYS_INLINE void dot8_to(vec *sum, vec bytes, vec weights)
{
#ifdef ENGINE_EMULATED
    *sum = _mm512_dpbusd_epi32(*sum, bytes, weights);
#else
    __asm__("vpdpbusd %2, %1, %0" : "+v"(*sum) : "v"(bytes), "v"(weights));
#endif
}

static inline ALWAYS_INLINE void dot8_small_to(vec *sum, vec bytes, vec weights) { dot8_to(sum, bytes, weights); }

/* Two sums of 16 bits side by side, as pairs for dot16, even positions and odd ones; then the upper halves. */
#define SWAPPED_HALVES                                                                                                 \
    _mm512_broadcast_i32x4(_mm_setr_epi8(2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9, 14, 15, 12, 13))
#define LOWER_HALVES 0x3333333333333333u
OP pair_first(vec one, vec two) { return _mm512_mask_shuffle_epi8(one, ~LOWER_HALVES, two, SWAPPED_HALVES); }
OP pair_second(vec one, vec two) { return _mm512_mask_shuffle_epi8(two, LOWER_HALVES, one, SWAPPED_HALVES); }
OP join_high(vec first, vec second)
{
    return _mm512_mask_shuffle_epi8(second, LOWER_HALVES, first, SWAPPED_HALVES);
}

/* Within 16 bytes: the second eight go between the first eight. */
OP mix_bytes(vec a)
{
    const vec order = _mm512_broadcast_i32x4(_mm_setr_epi8(0, 8, 1, 9, 2, 10, 3, 11, 4, 12, 5, 13, 6, 14, 7, 15));
    return _mm512_shuffle_epi8(a, order);
}

/* After a pack of two vectors: the eighths of the first, then those of the second. */
OP mix_quarters(vec a) { return _mm512_permutexvar_epi64(_mm512_setr_epi64(0, 2, 4, 6, 1, 3, 5, 7), a); }

/* After two packs of four vectors: the first's dwords, then the second's ... */
OP mix_dwords(vec a)
{
    return _mm512_permutexvar_epi32(_mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15), a);
}

static inline ALWAYS_INLINE int32_t largest_lane(vec a)
{
    __m256i half = _mm256_max_epi16(_mm512_castsi512_si256(a), _mm512_extracti64x4_epi64(a, 1));
    __m128i quarter = _mm_max_epi16(_mm256_castsi256_si128(half), _mm256_extracti128_si256(half, 1));
    __m128i flipped = _mm_xor_si128(quarter, _mm_set1_epi16(0x7fff)); /* the largest becomes the smallest unsigned */
    return (int16_t)((_mm_cvtsi128_si32(_mm_minpos_epu16(flipped)) & 0xffff) ^ 0x7fff);
}

OP clip32(vec a, int32_t high) { return _mm512_min_epi32(_mm512_max_epi32(a, _mm512_setzero_si512()), set32(high)); }

OP round_float(vec sum, float scale, float bias)
{
    return _mm512_cvtps_epi32(_mm512_fmadd_ps(_mm512_cvtepi32_ps(sum), _mm512_set1_ps(scale), _mm512_set1_ps(bias)));
}

OP round_double(vec sum, double scale, double bias)
{
    __m512d a = _mm512_set1_pd(scale), b = _mm512_set1_pd(bias);
    __m512d low = _mm512_fmadd_pd(_mm512_cvtepi32_pd(_mm512_castsi512_si256(sum)), a, b);
    __m512d high = _mm512_fmadd_pd(_mm512_cvtepi32_pd(_mm512_extracti64x4_epi64(sum, 1)), a, b);
    return _mm512_inserti64x4(_mm512_castsi256_si512(_mm512_cvtpd_epi32(low)), _mm512_cvtpd_epi32(high), 1);
}

OP quantize_lanes(const input_quantizer *q, const float *from)
{
    __m512 x = _mm512_loadu_ps(from), scale = _mm512_set1_ps(q->scale);
    if (q->clipped) /* in this order they pass on what is no number, for the range to make it the lowest level */
        x = _mm512_min_ps(_mm512_set1_ps(q->clip_high), _mm512_max_ps(_mm512_set1_ps(q->clip_low), x));
    if (q->exact_reciprocal) {
        __m512 low = _mm512_mul_ps(x, _mm512_set1_ps(q->reciprocal_low));
        x = _mm512_fmadd_ps(x, _mm512_set1_ps(q->reciprocal), low);
    } else {
        x = _mm512_div_ps(x, scale);
    }
    if (!q->plain)
        x = _mm512_add_ps(x, _mm512_set1_ps(q->zero));
    x = _mm512_min_ps(_mm512_max_ps(x, _mm512_set1_ps(q->low)), _mm512_set1_ps(q->high));
    if (q->plain)
        return _mm512_cvtps_epi32(x);
    return _mm512_add_epi32(_mm512_cvtps_epi32(x), set32(q->code - (int32_t)q->zero));
}

static inline ALWAYS_INLINE vec quantize_vector(const input_quantizer *q, const float *from)
{
    if (q->plain) {
        vec a = packs32(quantize_lanes(q, from), quantize_lanes(q, from + 16));
        vec b = packs32(quantize_lanes(q, from + 32), quantize_lanes(q, from + 48));
        return add8(mix_dwords(_mm512_packs_epi16(a, b)), set8(q->code));
    }
    vec a = packs32(quantize_lanes(q, from), quantize_lanes(q, from + 16));
    vec b = packs32(quantize_lanes(q, from + 32), quantize_lanes(q, from + 48));
    return mix_dwords(packus16(a, b));
}

#include "vector_kernels.h"

const kernel_set kernels_avx512 = {"avx512", quantize, pairs, conv16, max16, wide16, conv32, dense, round_sums, sum};

#ifndef ENGINE_EMULATED
#ifdef __clang__ /* of two targets it takes the outer one */
#pragma clang attribute pop
#pragma clang attribute push(__attribute__((target("avx512vbmi,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx512vbmi")
#endif
#endif

/* Sums below 64 are places in a table of their levels, which one operation looks up. */
static void sum_by_table(const model *m, const instruction *s, uint8_t *arena)
{
    if (!(s->flags & SUM_SMALL)) {
        sum(m, s, arena);
        return;
    }
    const int32_t *at = m->numbers + s->first;
    const int32_t n = s->n;
    uint8_t places[VB], nothing[VB] = {0};
    for (int j = 0; j < VB; j++)
        places[j] = (uint8_t)j;
    for (int32_t row = 0; row < s->channels; row++, at += 4) {
        const uint8_t *one = arena + at[0], *two = arena + at[1];
        vec levels = sum_bytes(places, nothing, set16(at[3]), set8(s->high));
        int32_t j = 0;
        for (; j + VB <= n; j += VB)
            store(arena + at[2] + j, _mm512_permutexvar_epi8(add8(load(one + j), load(two + j)), levels));
        if (j < n)
            store_part(arena + at[2] + j, _mm512_permutexvar_epi8(add8(load(one + j), load(two + j)), levels), n - j);
    }
}

const kernel_set kernels_avx512_vbmi = {"avx512",  quantize, pairs, conv16, max16, wide16, conv32, dense, round_sums,
                                        sum_by_table};

#ifndef ENGINE_EMULATED
#ifdef __clang__
#pragma clang attribute pop
#else
#pragma GCC pop_options
#pragma GCC pop_options
#endif
#endif
#endif
