/* 128-bit vectors of AArch64. */
#include "engine.h"

#ifdef ENGINE_ARM64

#include <arm_neon.h>
#include <string.h>

#define ALWAYS_INLINE __attribute__((always_inline))
#define OP static inline ALWAYS_INLINE vec
#define VB 16
#define MOST16 16
#define MOST_WIDE 8
#define MOST32 8

typedef uint8x16_t vec;
typedef int32_t shift_count;

/* One vector as lanes of 16 and 32 bits, and back. */
#define AS_S16(a) vreinterpretq_s16_u8(a)
#define AS_U16(a) vreinterpretq_u16_u8(a)
#define AS_S32(a) vreinterpretq_s32_u8(a)
#define OF_S16(a) vreinterpretq_u8_s16(a)
#define OF_U16(a) vreinterpretq_u8_u16(a)
#define OF_S32(a) vreinterpretq_u8_s32(a)

OP load(const uint8_t *from) { return vld1q_u8(from); }
static inline ALWAYS_INLINE void store(uint8_t *to, vec a) { vst1q_u8(to, a); }
static inline ALWAYS_INLINE void store_part(uint8_t *to, vec a, int32_t bytes)
{
    uint8_t all[VB];
    store(all, a);
    memcpy(to, all, (size_t)bytes);
}
OP load_part32(const int32_t *from, int32_t left)
{
    int32_t lanes[4] = {0};
    memcpy(lanes, from, (size_t)(left < 4 ? left : 4) * sizeof *from);
    return OF_S32(vld1q_s32(lanes));
}
static inline ALWAYS_INLINE void store_part32(int32_t *to, vec a, int32_t left)
{
    int32_t lanes[4];
    vst1q_s32(lanes, AS_S32(a));
    memcpy(to, lanes, (size_t)(left < 4 ? left : 4) * sizeof *to);
}
OP set8(int32_t a) { return vdupq_n_u8((uint8_t)a); }
OP set16(int32_t a) { return OF_S16(vdupq_n_s16((int16_t)a)); }
OP set8_at(const int32_t *from) { return set8(*from); }
OP set16_at(const int32_t *from, const int half) { return set16(*from >> 16 * half); }
OP set32(int32_t a) { return OF_S32(vdupq_n_s32(a)); }
OP add8(vec a, vec b) { return vaddq_u8(a, b); }
OP add16(vec a, vec b) { return OF_S16(vaddq_s16(AS_S16(a), AS_S16(b))); }
OP round_product16(vec a, vec b) { return OF_S16(vqrdmulhq_s16(AS_S16(a), AS_S16(b))); }
OP adds16(vec a, vec b) { return OF_S16(vqaddq_s16(AS_S16(a), AS_S16(b))); }
OP add32(vec a, vec b) { return OF_S32(vaddq_s32(AS_S32(a), AS_S32(b))); }
OP mulhi16(vec a, vec b)
{
    uint32x4_t low = vmull_u16(vget_low_u16(AS_U16(a)), vget_low_u16(AS_U16(b)));
    uint32x4_t high = vmull_high_u16(AS_U16(a), AS_U16(b));
    return OF_U16(vuzp2q_u16(vreinterpretq_u16_u32(low), vreinterpretq_u16_u32(high)));
}
/* The doubled product's upper half, halved; never both are -32768. */
OP mulhi16s(vec a, vec b) { return OF_S16(vshrq_n_s16(vqdmulhq_s16(AS_S16(a), AS_S16(b)), 1)); }
OP max16s(vec a, vec b) { return OF_S16(vmaxq_s16(AS_S16(a), AS_S16(b))); }
OP min8(vec a, vec b) { return vminq_u8(a, b); }
OP subs8(vec a, vec b) { return vqsubq_u8(a, b); }
OP or8(vec a, vec b) { return vorrq_u8(a, b); }
OP packus16(vec a, vec b) { return vqmovun_high_s16(vqmovun_s16(AS_S16(a)), AS_S16(b)); }
OP packs32(vec a, vec b) { return OF_S16(vqmovn_high_s32(vqmovn_s32(AS_S32(a)), AS_S32(b))); }
OP unpack_low8(vec a, vec b) { return vzip1q_u8(a, b); }
OP unpack_high8(vec a, vec b) { return vzip2q_u8(a, b); }
OP unpack_low16(vec a, vec b) { return OF_S16(vzip1q_s16(AS_S16(a), AS_S16(b))); }
OP unpack_high16(vec a, vec b) { return OF_S16(vzip2q_s16(AS_S16(a), AS_S16(b))); }
static inline ALWAYS_INLINE shift_count shift16_at(const int32_t *from) { return -*from; }
static inline ALWAYS_INLINE shift_count shift32_by(int32_t bits) { return -bits; }
OP sra16(vec a, shift_count bits) { return OF_S16(vshlq_s16(AS_S16(a), vdupq_n_s16((int16_t)bits))); }
OP sra32(vec a, shift_count bits) { return OF_S32(vshlq_s32(AS_S32(a), vdupq_n_s32(bits))); }
#define shl32(a, bits) OF_S32(vshlq_n_s32(AS_S32(a), bits))
#define sra32_by(a, bits) OF_S32(vshrq_n_s32(AS_S32(a), bits))

/* Sums of neighbouring products. */
OP dot16(vec sum, vec a, vec b)
{
    int32x4_t low = vmull_s16(vget_low_s16(AS_S16(a)), vget_low_s16(AS_S16(b)));
    int32x4_t high = vmull_high_s16(AS_S16(a), AS_S16(b));
    return OF_S32(vaddq_s32(AS_S32(sum), vpaddq_s32(low, high)));
}

/* Weights of the even and the odd bytes, as 16-bit numbers. */
typedef struct {
    int16x8_t even, odd;
} pair_weights, quad_weights;

static inline ALWAYS_INLINE quad_weights quad_of(vec w)
{
    quad_weights split = {vshrq_n_s16(vshlq_n_s16(AS_S16(w), 8), 8), vshrq_n_s16(AS_S16(w), 8)};
    return split;
}
static inline ALWAYS_INLINE pair_weights pair_weights_of(int32_t weights) { return quad_of(set32(weights)); }
#define QUAD_WEIGHTS(name, weights) quad_weights name = quad_of(set32(weights))

static inline ALWAYS_INLINE int16x8_t even_bytes(vec bytes)
{
    return vreinterpretq_s16_u16(vandq_u16(AS_U16(bytes), vdupq_n_u16(255)));
}
static inline ALWAYS_INLINE int16x8_t odd_bytes(vec bytes)
{
    return vreinterpretq_s16_u16(vshrq_n_u16(AS_U16(bytes), 8));
}
OP dot_pairs(vec start, vec bytes, pair_weights w)
{
    return OF_S16(vmlaq_s16(vmlaq_s16(AS_S16(start), even_bytes(bytes), w.even), odd_bytes(bytes), w.odd));
}
static inline ALWAYS_INLINE void dot_two(vec *sum, vec start, vec one, vec two, pair_weights even, pair_weights odd)
{
    sum[0] = dot_pairs(start, one, even);
    sum[1] = dot_pairs(start, two, odd);
}
static inline ALWAYS_INLINE void dot_two_to(vec *sum, vec one, vec two, pair_weights even, pair_weights odd)
{
    sum[0] = dot_pairs(sum[0], one, even);
    sum[1] = dot_pairs(sum[1], two, odd);
}

/* A product of two bytes fits 16 bits. */
static inline ALWAYS_INLINE void dot8_to(vec *sum, vec bytes, quad_weights w)
{
    int32x4_t total = vpadalq_s16(AS_S32(*sum), vmulq_s16(even_bytes(bytes), w.even));
    *sum = OF_S32(vpadalq_s16(total, vmulq_s16(odd_bytes(bytes), w.odd)));
}
/* Nor do two leave them. */
static inline ALWAYS_INLINE void dot8_small_to(vec *sum, vec bytes, vec weights)
{
    *sum = OF_S32(vpadalq_s16(AS_S32(*sum), AS_S16(dot_pairs(vdupq_n_u8(0), bytes, quad_of(weights)))));
}

/* Two sums of 16 bits side by side, as pairs for dot16; the upper halves of what was made of them. */
OP pair_first(vec one, vec two) { return unpack_low16(one, two); }
OP pair_second(vec one, vec two) { return unpack_high16(one, two); }
OP join_high(vec first, vec second) { return OF_S16(vuzp2q_s16(AS_S16(first), AS_S16(second))); }

/* The second eight bytes go between the first eight. Packs keep their order here. */
OP mix_bytes(vec a) { return vzip1q_u8(a, vextq_u8(a, a, 8)); }
OP mix_quarters(vec a) { return a; }
OP mix_dwords(vec a) { return a; }

static inline ALWAYS_INLINE int32_t largest_lane(vec a) { return vmaxvq_s16(AS_S16(a)); }

OP clip32(vec a, int32_t high)
{
    return OF_S32(vminq_s32(vmaxq_s32(AS_S32(a), vdupq_n_s32(0)), vdupq_n_s32(high)));
}

OP round_float(vec sum, float scale, float bias)
{
    float32x4_t x = vfmaq_f32(vdupq_n_f32(bias), vcvtq_f32_s32(AS_S32(sum)), vdupq_n_f32(scale));
    return OF_S32(vcvtnq_s32_f32(x));
}

OP round_double(vec sum, double scale, double bias)
{
    float64x2_t a = vdupq_n_f64(scale), b = vdupq_n_f64(bias);
    float64x2_t low = vfmaq_f64(b, vcvtq_f64_s64(vmovl_s32(vget_low_s32(AS_S32(sum)))), a);
    float64x2_t high = vfmaq_f64(b, vcvtq_f64_s64(vmovl_high_s32(AS_S32(sum))), a);
    return OF_S32(vmovn_high_s64(vmovn_s64(vcvtnq_s64_f64(low)), vcvtnq_s64_f64(high)));
}

OP quantize_lanes(const input_quantizer *q, const float *from)
{
    float32x4_t x = vld1q_f32(from);
    if (q->clipped)
        x = vminq_f32(vmaxq_f32(x, vdupq_n_f32(q->clip_low)), vdupq_n_f32(q->clip_high));
    if (q->exact_reciprocal)
        x = vfmaq_f32(vmulq_n_f32(x, q->reciprocal_low), x, vdupq_n_f32(q->reciprocal));
    else
        x = vdivq_f32(x, vdupq_n_f32(q->scale));
    x = vaddq_f32(x, vdupq_n_f32(q->zero));
    x = vminnmq_f32(vmaxnmq_f32(x, vdupq_n_f32(q->low)), vdupq_n_f32(q->high));
    return OF_S32(vaddq_s32(vcvtnq_s32_f32(x), vdupq_n_s32(q->code - (int32_t)q->zero)));
}

static inline ALWAYS_INLINE vec quantize_vector(const input_quantizer *q, const float *from)
{
    vec a = packs32(quantize_lanes(q, from), quantize_lanes(q, from + 4));
    vec b = packs32(quantize_lanes(q, from + 8), quantize_lanes(q, from + 12));
    return packus16(a, b);
}

#include "vector_kernels.h"

const kernel_set kernels_neon = {"neon", quantize, pairs, conv16, max16, wide16, conv32, dense, round_sums, sum};
#endif
