/* 256-bit vectors: AVX2 and FMA. */
#include "engine.h"

#ifdef ENGINE_X86

#ifdef __clang__
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2,fma")
#endif

#include <immintrin.h>
#include <string.h>

#define ALWAYS_INLINE __attribute__((always_inline))
#define OP static inline ALWAYS_INLINE vec
#define VB 32
#define MOST16 8
#define MOST_WIDE 4
#define MOST32 8

typedef __m256i vec;
typedef __m128i shift_count;

OP load(const uint8_t *from) { return _mm256_loadu_si256((const __m256i *)(const void *)from); }
static inline ALWAYS_INLINE void store(uint8_t *to, vec a) { _mm256_storeu_si256((__m256i *)(void *)to, a); }
static inline ALWAYS_INLINE void store_part(uint8_t *to, vec a, int32_t bytes)
{
    uint8_t all[VB];
    store(all, a);
    memcpy(to, all, (size_t)bytes);
}
OP load_part32(const int32_t *from, int32_t left)
{
    int32_t lanes[8] = {0};
    if (left >= 8)
        return _mm256_loadu_si256((const __m256i *)(const void *)from);
    memcpy(lanes, from, (size_t)left * sizeof *from);
    return _mm256_loadu_si256((const __m256i *)(const void *)lanes);
}
static inline ALWAYS_INLINE void store_part32(int32_t *to, vec a, int32_t left)
{
    int32_t lanes[8];
    _mm256_storeu_si256((__m256i *)(void *)lanes, a);
    memcpy(to, lanes, (size_t)(left < 8 ? left : 8) * sizeof *to);
}
OP set8(int32_t a) { return _mm256_set1_epi8((char)a); }
OP set16(int32_t a) { return _mm256_set1_epi16((short)a); }
OP set32(int32_t a) { return _mm256_set1_epi32(a); }
/* From memory, as in avx512.c. */
OP set8_at(const int32_t *from)
{
    vec a;
    __asm__("vpbroadcastb %1, %0" : "=x"(a) : "m"(*(const char *)from));
    return a;
}
OP set16_at(const int32_t *from, const int half)
{
    vec a;
    __asm__("vpbroadcastw %1, %0" : "=x"(a) : "m"(*((const char(*)[2])from + half)));
    return a;
}
OP add8(vec a, vec b) { return _mm256_add_epi8(a, b); }
OP add16(vec a, vec b) { return _mm256_add_epi16(a, b); }
OP add32(vec a, vec b) { return _mm256_add_epi32(a, b); }
typedef vec pair_weights; /* two signed bytes, again and again */
OP pair_weights_of(int32_t weights) { return set32(weights); }
/* Products first and in place, as in avx512.c. */
static inline ALWAYS_INLINE void dot_two(vec *sum, vec start, vec one, vec two, vec even, vec odd)
{
    __asm__("vpmaddubsw %3, %2, %0\n\tvpmaddubsw %5, %4, %1\n\tvpaddw %6, %0, %0\n\tvpaddw %6, %1, %1"
            : "=&x"(sum[0]), "=&x"(sum[1])
            : "x"(one), "x"(even), "x"(two), "x"(odd), "x"(start));
}
static inline ALWAYS_INLINE void dot_two_to(vec *sum, vec one, vec two, vec even, vec odd)
{
    vec a, b;
    __asm__("vpmaddubsw %5, %4, %2\n\tvpmaddubsw %7, %6, %3\n\tvpaddw %2, %0, %0\n\tvpaddw %3, %1, %1"
            : "+x"(sum[0]), "+x"(sum[1]), "=&x"(a), "=&x"(b)
            : "x"(one), "x"(even), "x"(two), "x"(odd));
}
OP mulhi16(vec a, vec b) { return _mm256_mulhi_epu16(a, b); }
OP mulhi16s(vec a, vec b) { return _mm256_mulhi_epi16(a, b); }
OP round_product16(vec a, vec b) { return _mm256_mulhrs_epi16(a, b); }
OP adds16(vec a, vec b) { return _mm256_adds_epi16(a, b); }
OP max16s(vec a, vec b) { return _mm256_max_epi16(a, b); }
OP min8(vec a, vec b) { return _mm256_min_epu8(a, b); }
OP subs8(vec a, vec b) { return _mm256_subs_epu8(a, b); }
OP or8(vec a, vec b) { return _mm256_or_si256(a, b); }
OP packus16(vec a, vec b) { return _mm256_packus_epi16(a, b); }
OP packs32(vec a, vec b) { return _mm256_packs_epi32(a, b); }
OP unpack_low8(vec a, vec b) { return _mm256_unpacklo_epi8(a, b); }
OP unpack_high8(vec a, vec b) { return _mm256_unpackhi_epi8(a, b); }
OP unpack_low16(vec a, vec b) { return _mm256_unpacklo_epi16(a, b); }
OP unpack_high16(vec a, vec b) { return _mm256_unpackhi_epi16(a, b); }
static inline ALWAYS_INLINE shift_count shift16_at(const int32_t *from) { return _mm_cvtsi32_si128(*from); }
static inline ALWAYS_INLINE shift_count shift32_by(int32_t bits) { return _mm_cvtsi32_si128(bits); }
OP sra16(vec a, shift_count bits) { return _mm256_sra_epi16(a, bits); }
OP sra32(vec a, shift_count bits) { return _mm256_sra_epi32(a, bits); }
#define shl32(a, bits) _mm256_slli_epi32(a, bits)
#define sra32_by(a, bits) _mm256_srai_epi32(a, bits)
OP dot16(vec sum, vec a, vec b) { return add32(sum, _mm256_madd_epi16(a, b)); }

/* Two sums of 16 bits side by side, as pairs for dot16; the upper halves of what was made of them. */
OP pair_first(vec one, vec two) { return unpack_low16(one, two); }
OP pair_second(vec one, vec two) { return unpack_high16(one, two); }
OP join_high(vec first, vec second) { return packs32(sra32_by(first, 16), sra32_by(second, 16)); }

/* Without VNNI: even and odd bytes as 16-bit numbers, which no weight can make overflow. */
typedef struct {
    vec even, odd;
} quad_weights;
#define QUAD_WEIGHTS(name, weights) quad_weights name = split_weights(set32(weights))
static inline ALWAYS_INLINE quad_weights split_weights(vec w)
{
    quad_weights split = {_mm256_srai_epi16(_mm256_slli_epi16(w, 8), 8), _mm256_srai_epi16(w, 8)};
    return split;
}
static inline ALWAYS_INLINE quad_weights quad_of(vec w) { return split_weights(w); }
static inline ALWAYS_INLINE void dot8_to(vec *sum, vec bytes, quad_weights w)
{
    vec even = _mm256_and_si256(bytes, _mm256_set1_epi16(255)), odd = _mm256_srli_epi16(bytes, 8);
    *sum = add32(add32(*sum, _mm256_madd_epi16(even, w.even)), _mm256_madd_epi16(odd, w.odd));
}

static inline ALWAYS_INLINE void dot8_small_to(vec *sum, vec bytes, vec weights)
{
    *sum = add32(*sum, _mm256_madd_epi16(_mm256_maddubs_epi16(bytes, weights), _mm256_set1_epi16(1)));
}

/* Within 16 bytes: the second eight go between the first eight. */
OP mix_bytes(vec a)
{
    const vec order = _mm256_broadcastsi128_si256(_mm_setr_epi8(0, 8, 1, 9, 2, 10, 3, 11, 4, 12, 5, 13, 6, 14, 7, 15));
    return _mm256_shuffle_epi8(a, order);
}

/* After a pack of two vectors: the quarters of the first, then those of the second. */
OP mix_quarters(vec a) { return _mm256_permute4x64_epi64(a, 0xD8); }

/* After two packs of four vectors: the first's dwords, then the second's ... */
OP mix_dwords(vec a) { return _mm256_permutevar8x32_epi32(a, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7)); }

static inline ALWAYS_INLINE int32_t largest_lane(vec a)
{
    __m128i quarter = _mm_max_epi16(_mm256_castsi256_si128(a), _mm256_extracti128_si256(a, 1));
    __m128i flipped = _mm_xor_si128(quarter, _mm_set1_epi16(0x7fff)); /* the largest becomes the smallest unsigned */
    return (int16_t)((_mm_cvtsi128_si32(_mm_minpos_epu16(flipped)) & 0xffff) ^ 0x7fff);
}

OP clip32(vec a, int32_t high) { return _mm256_min_epi32(_mm256_max_epi32(a, _mm256_setzero_si256()), set32(high)); }

OP round_float(vec sum, float scale, float bias)
{
    return _mm256_cvtps_epi32(_mm256_fmadd_ps(_mm256_cvtepi32_ps(sum), _mm256_set1_ps(scale), _mm256_set1_ps(bias)));
}

OP round_double(vec sum, double scale, double bias)
{
    __m256d a = _mm256_set1_pd(scale), b = _mm256_set1_pd(bias);
    __m256d low = _mm256_fmadd_pd(_mm256_cvtepi32_pd(_mm256_castsi256_si128(sum)), a, b);
    __m256d high = _mm256_fmadd_pd(_mm256_cvtepi32_pd(_mm256_extracti128_si256(sum, 1)), a, b);
    return _mm256_inserti128_si256(_mm256_castsi128_si256(_mm256_cvtpd_epi32(low)), _mm256_cvtpd_epi32(high), 1);
}

OP quantize_lanes(const input_quantizer *q, const float *from)
{
    __m256 x = _mm256_loadu_ps(from), scale = _mm256_set1_ps(q->scale);
    if (q->clipped) /* in this order they pass on what is no number, for the range to make it the lowest level */
        x = _mm256_min_ps(_mm256_set1_ps(q->clip_high), _mm256_max_ps(_mm256_set1_ps(q->clip_low), x));
    if (q->exact_reciprocal) {
        __m256 low = _mm256_mul_ps(x, _mm256_set1_ps(q->reciprocal_low));
        x = _mm256_fmadd_ps(x, _mm256_set1_ps(q->reciprocal), low);
    } else {
        x = _mm256_div_ps(x, scale);
    }
    if (!q->plain)
        x = _mm256_add_ps(x, _mm256_set1_ps(q->zero));
    x = _mm256_min_ps(_mm256_max_ps(x, _mm256_set1_ps(q->low)), _mm256_set1_ps(q->high));
    if (q->plain)
        return _mm256_cvtps_epi32(x);
    return _mm256_add_epi32(_mm256_cvtps_epi32(x), set32(q->code - (int32_t)q->zero));
}

static inline ALWAYS_INLINE vec quantize_vector(const input_quantizer *q, const float *from)
{
    vec a = packs32(quantize_lanes(q, from), quantize_lanes(q, from + 8));
    vec b = packs32(quantize_lanes(q, from + 16), quantize_lanes(q, from + 24));
    if (q->plain)
        return add8(mix_dwords(_mm256_packs_epi16(a, b)), set8(q->code));
    return mix_dwords(packus16(a, b));
}

#include "vector_kernels.h"

const kernel_set kernels_avx2 = {"avx2", quantize, pairs, conv16, max16, wide16, conv32, dense, round_sums, sum};

#ifdef __clang__
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif
#endif
